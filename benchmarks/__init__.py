"""What Aftertide costs, against the limit and against others. `python -m benchmarks --help`.

    questions/   one file per promise about speed: which sides alternate, which ratio must come out
    sides/       what is timed; each runs in a fresh child process and prints its figures
    laboratory   runs the sides of a question by turns, round after round, each on fresh files
    figures      medians, spreads and ratios of what came back
    report       tables for people, JSON for machines

Not part of the wheel. Nothing here is imported by the runtime, and the sides use its front door
only, except where a baseline must read the very rows that the store wrote.
"""
