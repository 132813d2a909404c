"""The promises about speed, one file each: which sides alternate, and which ratio must come out.

A question is a function from a Laboratory to an Answer; benchmarks/catalogue.py names them all.
"""
