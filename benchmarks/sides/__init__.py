"""What is timed. One function per run; each prepares, warms up and measures.

A side runs in its own child process (benchmarks/child.py) and returns figures by name.
"""
