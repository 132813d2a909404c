"""What remembers: one implementation of one port per file, in memory and in SQLite.

Knows `domain` and nothing above it; no store knows who runs it.
"""
