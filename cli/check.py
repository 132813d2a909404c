"""`aftertide check`: hold a recorded history against the rules, and show what broke with its proof."""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..domain.decider import Decider
from ..domain.view import View
from ..scenarios import UnknownScenario, WrongUsage
from ..scenarios.registry import find
from ..simulation import History, HistoryUnreadable, Rule, check
from ..simulation.rules import ALL, BY_NAME, BoundedStaleness, MonotonicReads, ReadYourWrites
from .parser import CommandParser, checked, whole_number

if TYPE_CHECKING:
    from .parser import Subparsers

STRICT: dict[str, Rule] = {
    rule.name: rule for rule in (ReadYourWrites(every=True), MonotonicReads(every=True))
}


def add_check(commands: "Subparsers[CommandParser]") -> None:
    parser = commands.add_parser(
        "check",
        help="hold a recorded history against the promises",
        description="Reads a history (JSON lines) and says which promises it breaks, each with its proof. "
        f"The rules: {', '.join(BY_NAME)}; bounded_staleness where a bound is given.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "history",
        type=Path,
        metavar="HISTORY",
        help="the file: see aftertide run NAME --history FILE",
    )
    add(
        "--rule",
        action="append",
        choices=sorted(BY_NAME),
        metavar="NAME",
        help="hold it against this rule only; may be given several times",
    )
    add(
        "--scenario",
        metavar="NAME|SCRIPT.py",
        help="whose views and deciders the rows are compared with: a scenario, or a script's path",
    )
    add(
        "--every-read",
        action="store_true",
        help="hold every answer to the session guarantees, whatever it asked for",
    )
    add(
        "--max-behind-events",
        type=whole_number(0, 2**63 - 1),
        metavar="N",
        help="no answer may miss more events that were known when it was asked for",
    )
    add(
        "--max-behind-seconds",
        type=checked(_seconds),
        metavar="S",
        help="no answer may miss an event that had been known for longer",
    )
    parser.set_defaults(call=check_history)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{text!r} is not a number of seconds from 0")
    return seconds


def check_history(arguments: argparse.Namespace) -> int:
    views, deciders = _known_by(arguments.scenario)
    try:
        history = History.read(arguments.history, views=views, deciders=deciders)
    except (HistoryUnreadable, OSError) as error:
        raise WrongUsage(str(error)) from None
    report = check(history, _rules(arguments))
    print(report)
    if arguments.scenario is None and {"value_oracle", "torn_answers"} & report.not_judged.keys():
        print("  (--scenario NAME|SCRIPT.py names the views and deciders.)")
    return 0 if report.ok else 1


def _rules(arguments: argparse.Namespace) -> Sequence[Rule]:
    rules = ALL if arguments.rule is None else [BY_NAME[name] for name in arguments.rule]
    if arguments.every_read:
        rules = [STRICT.get(rule.name, rule) for rule in rules]
    events, seconds = arguments.max_behind_events, arguments.max_behind_seconds
    if events is None and seconds is None:
        return rules
    bound = BoundedStaleness(events=events, seconds=seconds)
    return [*rules, bound]


def _known_by(
    scenario: str | None,
) -> tuple[Sequence[View[Any, Any, Any]], Sequence[Decider[Any, Any, Any]]]:
    """The views and deciders in the module of a scenario."""
    if scenario is None:
        return (), ()
    try:
        module = sys.modules[find(scenario).main.__module__]
    except UnknownScenario as error:
        raise WrongUsage(f"--scenario {scenario}: {error}") from None
    values = list(vars(module).values())
    views = {each.name: each for each in values if isinstance(each, View)}
    deciders = {each.category: each for each in values if isinstance(each, Decider)}
    return list(views.values()), list(deciders.values())
