"""The entry point of the `aftertide` command: parse, call, print.

`build_parser` stands apart from `main` so that the tests can hold the guides' commands against it.
"""

import argparse
from collections.abc import Sequence

from .. import __version__


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="aftertide", description="See, bound and test eventual consistency."
    )
    parser.add_argument("--version", action="version", version=f"aftertide {__version__}")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    parser = build_parser()
    parser.parse_args(argv)
    parser.print_help()
    return 0
