"""The `aftertide` command: argparse over scenarios, runtime and simulation.

No logic lives here: a command parses, calls and prints.
"""
