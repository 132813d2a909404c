"""`aftertide demo`: the two scenarios that show the whole at once, and what they showed in a few sentences."""

import argparse
import sys
from typing import TYPE_CHECKING

import anyio

from ..scenarios import Outcome, Settings, play
from ..scenarios.narrator import Narrator, narrator_for
from ..scenarios.registry import find
from .log import add_log_options, configured_log
from .parser import CommandParser

if TYPE_CHECKING:
    from .parser import Subparsers


def add_demo(commands: "Subparsers[CommandParser]") -> None:
    parser = commands.add_parser(
        "demo", help="see it at work in half a minute: stale_read, then flights", allow_abbrev=False
    )
    add_log_options(parser)
    parser.set_defaults(call=demo)


def demo(arguments: argparse.Namespace) -> int:
    narrator = narrator_for(sys.stdout)
    settings = Settings(logger=configured_log(arguments))
    stale_read = anyio.run(play, find("stale_read"), settings, narrator)
    flights = anyio.run(play, find("flights"), settings, narrator)
    tell(narrator, stale_read, flights)
    return 0 if stale_read.held and flights.held else 1


def tell(narrator: Narrator, stale_read: Outcome, flights: Outcome) -> None:
    """What a newcomer should have seen."""
    stale, written = stale_read.measured, flights.measured
    narrator.title("In short")
    narrator.say(
        f"Written: {written['commands']:,} commands about {written['rows']:,} real flights, "
        f"{written['commands_per_second']:,.0f} a second, each answered once it was safe on the disk. "
        f"{written['events']:,} became events; {written['rejected']:,} were refused with a reason."
    )
    narrator.say(
        f"Behind: four views followed in databases of their own, each with a delay by design; none was more than "
        f"{written['peak_lag_seconds']:.2f} s behind, and every answer said how far. Of {stale['deposits']} answers "
        f"asked for at once, {stale['stale_at_once']} were stale; asked for with the receipt's position, "
        f"{stale['stale_at_least']} were."
    )
    if flights.held and stale_read.held:
        narrator.say(
            f"Converged: {written['catch_up_seconds']:.2f} s after the last command the views held every event, and "
            "equal what a plain loop over the file computes, to the digit."
        )
    else:
        narrator.say("A promise was broken: the line above that says BROKEN tells which.")
    narrator.say("")
    narrator.say("Go on:")
    narrator.say("  aftertide list")
    narrator.say("  aftertide run bank --lag exponential:0.5")
    narrator.say("  aftertide run flights --store flights.db --json flights.json")
    narrator.say("  aftertide inspect flights.db")
