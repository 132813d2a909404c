"""What is true without a machine: deciders, views, messages, consistency, lag, errors, ports.

Everything here is a value or a pure function. No await, no clock, no chance of its own, no disk:
time and ids arrive in envelopes, random numbers from a generator that the caller seeds.
"""
