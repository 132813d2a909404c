"""`aftertide list` and `aftertide run`."""

import argparse
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from ..domain.lag import Lag
from ..domain.view import MOST_REPLICAS
from ..scenarios import Scenario, Settings, UnknownScenario, play
from ..scenarios.clock import FASTEST, SLOWEST
from ..scenarios.narrator import narrator_for, table_lines
from ..scenarios.registry import BUILT_IN, built_in, find, is_script
from .log import add_log_options, configured_log
from .parser import CommandParser, checked, whole_number

if TYPE_CHECKING:
    from .parser import Subparsers


def add_list(commands: "Subparsers[CommandParser]") -> None:
    parser = commands.add_parser("list", help="show the scenarios there are", allow_abbrev=False)
    parser.set_defaults(call=list_scenarios)


def list_scenarios(_: argparse.Namespace) -> int:
    rows = [(each.name, each.headline) for each in built_in()]
    print("\n".join(table_lines(["scenario", "what happens"], rows)))
    print("\nRun one: aftertide run NAME. Your own: aftertide run path/to/script.py.")
    return 0


def add_run(commands: "Subparsers[CommandParser]") -> None:
    parser = commands.add_parser(
        "run",
        help="run a scenario, by its name or from a script of your own",
        usage="aftertide run NAME|SCRIPT.py [options] [options of the scenario]",
        add_help=False,  # shown by `complete`, which knows the scenario's own options too
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "scenario",
        nargs="?",
        metavar="NAME|SCRIPT.py",
        help="one of `aftertide list`, or a script's path",
    )
    add(
        "-h",
        "--help",
        action="store_true",
        help="show this; after NAME with the scenario's own options",
    )
    add(
        "--seed",
        type=whole_number(0, 2**63 - 1),
        default=1,
        metavar="N",
        help="where chance begins; default 1",
    )
    add(
        "--store",
        metavar="PATH",
        help="the database file, a folder for it, or :memory:; default: a temporary folder, deleted afterwards",
    )
    add(
        "--replicas",
        type=whole_number(1, MOST_REPLICAS),
        metavar="N",
        help="copies of each view, instead of the scenario's choice",
    )
    add(
        "--lag",
        type=checked(Lag.parse),
        metavar="SPEC",
        help="from commit to visibility, for each view: none, constant:SECONDS, uniform:LOW,HIGH, "
        "exponential:MEAN, lognormal:MEDIAN,SIGMA or trace:A,B,C,…",
    )
    add("--json", type=Path, metavar="FILE", help="write all that was measured into this file")
    add(
        "--history",
        type=Path,
        metavar="FILE",
        help="record who asked for what and was answered what, for aftertide check",
    )
    add(
        "--time-scale",
        type=checked(_time_scale),
        default=1.0,
        metavar="X",
        help=f"lags, ages and pauses pass X times faster; {SLOWEST} to {FASTEST}",
    )
    add_log_options(parser)
    parser.complete = _complete
    parser.set_defaults(call=run)


def _time_scale(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not SLOWEST <= scale <= FASTEST:
        raise ValueError(f"{text!r} is not a number from {SLOWEST} to {FASTEST}")
    return scale


def _complete(parser: CommandParser, arguments: argparse.Namespace, rest: list[str]) -> None:
    arguments.parser, arguments.rest = parser, rest
    name = arguments.scenario
    if name is None:
        if not arguments.help:
            parser.error(f"name a scenario ({', '.join(BUILT_IN)}) or the path of your own script")
        parser.print_help()
        parser.exit()
    if is_script(name):
        return  # its options are known when it has been read, and that is not the parser's to do
    try:
        scenario = find(name)
    except UnknownScenario as error:
        parser.error(str(error))
    arguments.found, arguments.own = scenario, own_options(parser, scenario, arguments)


def own_options(
    parser: CommandParser, scenario: Scenario, arguments: argparse.Namespace
) -> dict[str, object]:
    """The values of the scenario's options, out of what the parser of `run` did not understand."""
    own = CommandParser(
        prog=f"aftertide run {arguments.scenario}",
        usage=argparse.SUPPRESS if arguments.help else parser.usage,
        add_help=False,
        allow_abbrev=False,
    )
    group = own.add_argument_group(f"options of {scenario.name}")
    for option in scenario.options:
        group.add_argument(
            option.flag,
            dest=option.name,
            type=checked(option.parse),
            default=option.default,
            metavar=type(option.default).__name__.upper() if option.default is not None else "TEXT",
            help=option.help + ("" if option.default is None else f"; default {option.default}"),
        )
    if arguments.help:
        print(
            f"{scenario.name}: {scenario.plot}\n\n{parser.format_help()}\n{own.format_help()}".rstrip()
        )
        parser.exit()
    own.complete = lambda _, __, unknown: (
        own.unknown(unknown[0], parser.option_strings) if unknown else None
    )
    return vars(own.parse_args(arguments.rest))


def run(arguments: argparse.Namespace) -> int:
    if is_script(arguments.scenario):
        scenario = find(arguments.scenario)
        own = own_options(arguments.parser, scenario, arguments)
    else:
        scenario, own = arguments.found, arguments.own
    settings = Settings(
        seed=arguments.seed,
        store=arguments.store,
        replicas=arguments.replicas,
        lag=arguments.lag,
        time_scale=arguments.time_scale,
        json=arguments.json,
        history=arguments.history,
        options=own,
        logger=configured_log(arguments),
    )
    outcome = anyio.run(play, scenario, settings, narrator_for(sys.stdout))
    return 0 if outcome.held else 1
