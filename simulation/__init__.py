"""What breaks the runtime, repeatably: virtual time, scheduler, faults, history and its checkers.

All of it follows from one seed. It drives the runtime from above: no production code knows it.
"""
