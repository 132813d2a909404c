"""`aftertide inspect`: what a database holds, read-only, also while it is in use."""

import argparse
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..domain.errors import NotADatabase, SchemaMismatch
from ..scenarios import WrongUsage
from ..scenarios.narrator import table_lines
from ..stores.sqlite_inspection import LoggedEvent, WriteDatabase
from .parser import CommandParser, whole_number

if TYPE_CHECKING:
    from .parser import Subparsers

SHOWN_STREAMS = 20
_MOST = 2**63 - 1


def add_inspect(commands: "Subparsers[CommandParser]") -> None:
    parser = commands.add_parser(
        "inspect",
        help="look into a database: streams, events, how far its views have come",
        description="Reads a write database, also while it is in use, and changes nothing.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("database", type=Path, metavar="DATABASE", help="the write database: bank.db")
    add(
        "--read-stores",
        type=Path,
        metavar="FOLDER",
        help="the views' folder; default: bank.views beside bank.db",
    )
    add(
        "--streams",
        type=whole_number(0, _MOST),
        default=SHOWN_STREAMS,
        metavar="N",
        help=f"show the N longest streams, 0 for all; default {SHOWN_STREAMS}",
    )
    add("--events", action="store_true", help="print the events instead, as JSON lines")
    add(
        "--stream",
        metavar="NAME",
        help="with --events: those of this stream only, like account-alice",
    )
    add(
        "--after",
        type=whole_number(0, _MOST),
        default=0,
        metavar="POSITION",
        help="with --events: begin after this position",
    )
    parser.set_defaults(call=inspect)


def inspect(arguments: argparse.Namespace) -> int:
    try:
        database = WriteDatabase(arguments.database)
    except (NotADatabase, SchemaMismatch) as error:
        raise WrongUsage(str(error)) from None
    with database:
        if arguments.events:
            for event in database.events(after=arguments.after, stream=arguments.stream):
                print(event_line(event))
        else:
            folder = arguments.read_stores or arguments.database.with_suffix(".views")
            for line in summary(database, folder, arguments.streams):
                print(line)
    return 0


def event_line(event: LoggedEvent) -> str:
    """One event as a line of JSON; a payload that is no JSON stands there in base64."""
    line = {
        "position": event.position,
        "stream": event.stream,
        "version": event.version,
        "type": event.type,
        "recorded_at": datetime.fromtimestamp(event.recorded_at, UTC),
        "command_id": event.command_id,
        "data": _json(event.data),
    }
    if event.context:
        line["context"] = _json(event.context)
    return msgspec.json.encode(line).decode()


def _json(payload: str | bytes) -> msgspec.Raw | str | bytes:
    try:
        return msgspec.json.decode(payload, type=msgspec.Raw)
    except msgspec.DecodeError:
        return payload


def summary(database: WriteDatabase, folder: Path, most_streams: int) -> Iterator[str]:
    """What the database holds, as lines for a reader."""
    categories, head = database.categories(), database.head
    streams = sum(category.streams for category in categories)
    yield f"{database.path}: {head:,} events in {streams:,} streams. Head: position {head}."
    yield (
        f"First event {_moment(database, 1)}, last {_moment(database, head)}."
        if head
        else "No events yet."
    )
    if categories:
        yield ""
        yield from table_lines(
            ["category", "streams", "events"],
            [(each.name, each.streams, each.events) for each in categories],
        )
        yield ""
        shown = database.streams(most_streams or -1)
        yield from table_lines(["stream", "version"], shown)
        if len(shown) < streams:
            yield f"  … and {streams - len(shown):,} shorter ones (--streams 0 shows all)"
    yield ""
    yield from _replicas(database, folder)


def _moment(database: WriteDatabase, position: int) -> str:
    at = database.recorded_at(position)
    return (
        "–"
        if at is None
        else datetime.fromtimestamp(at, UTC).isoformat(sep=" ", timespec="milliseconds")
    )


def _replicas(database: WriteDatabase, folder: Path) -> Iterator[str]:
    checkpoints = database.checkpoints(folder, time.time())
    if not checkpoints:
        yield f"No views: there are no read stores in {folder} (--read-stores names another folder)."
        return
    yield from table_lines(
        ["view/replica", "at position", "behind events", "behind s", "rows"],
        [
            (each.replica, each.position, each.behind_events, each.behind_seconds, each.rows)
            for each in checkpoints
            if each.problem is None
        ],
    )
    for each in checkpoints:
        if each.problem is not None:
            yield f"  {each.replica}: {each.problem}"
