"""The entry point of the `aftertide` command: parse, call, print.

`build_parser` stands apart from `main` so that the tests can hold the guides' commands against it.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import cast

from .. import __version__
from ..domain.errors import AftertideError
from ..scenarios import WrongUsage
from .check import add_check
from .demo import add_demo
from .inspect import add_inspect
from .parser import CommandParser
from .run import add_list, add_run

HELD, BROKEN, WRONG_USAGE = 0, 1, 2
INTERRUPTED, READER_LEFT = 130, 141
"""What shells give for SIGINT and SIGPIPE: nothing can be said of the promises."""

EXIT_CODES = "exit codes: 0 all promises held, 1 one was broken or the run failed, 2 wrong usage"


def build_parser() -> CommandParser:
    parser = CommandParser(
        prog="aftertide",
        description="See, bound and test eventual consistency.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"aftertide {__version__}")
    commands = parser.add_subparsers(
        title="commands", metavar="COMMAND", dest="command", parser_class=CommandParser
    )
    add_list(commands)
    add_run(commands)
    add_inspect(commands)
    add_check(commands)
    add_demo(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that can't show a character gets another one, and the run goes on.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    parser = build_parser()
    try:
        arguments = parser.parse_args(argv)
        if arguments.command is None:
            parser.print_help()
            return WRONG_USAGE
        code = cast("Callable[[argparse.Namespace], int]", arguments.call)(arguments)
        sys.stdout.flush()  # here, where it is known what to do if nobody reads it
        return code
    except SystemExit as stop:  # argparse has said what is wrong, or shown its help
        return WRONG_USAGE if stop.code else HELD
    except WrongUsage as error:
        return _say(error, WRONG_USAGE)
    except AftertideError as error:
        return _say(error, BROKEN)
    except KeyboardInterrupt:
        return _say("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read us has seen enough (`| head`). Python must not complain about it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _say(what: object, code: int) -> int:
    print(f"aftertide: {what}", file=sys.stderr)
    return code
