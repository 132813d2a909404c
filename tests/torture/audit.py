"""Holds what was said against what is in the files, with nothing but sqlite3.

No line of Aftertide runs here: what it reads wrongly would look right to itself. The files are copied first
(the file and its -wal, which is all that a crash leaves), so that the next life finds them as the last left
them and has to recover by itself.
"""

import json
import shutil
import sqlite3
from bisect import insort
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.torture.reckoning import Event, Reckoning, Row
from tests.torture.said import (
    Acknowledged,
    Broke,
    Failed,
    Left,
    Opened,
    Reached,
    Rejected,
    Said,
    Saw,
)

MOST_SHOWN = 12


class Book:
    """Everything that the lives on one write database have said."""

    def __init__(self) -> None:
        self.acknowledged: dict[str, Acknowledged] = {}
        self.rejected: list[Rejected] = []
        self.failed: dict[str, Failed] = {}
        self.left: set[str] = set()
        self.seen: list[tuple[int, int, Saw]] = []
        """(position, ticket, answer), ascending."""
        self.least: dict[tuple[Path, str], int] = {}
        """(folder, replica) -> the highest position that an answer reflected."""
        self.head = 0
        self.problems: list[str] = []

    def record(self, said: Said, views: Path) -> None:
        match said:
            case Acknowledged(ref=ref, position=position):
                if ref in self.acknowledged:
                    self.problems.append(f"{ref} was acknowledged twice")
                self.acknowledged[ref] = said
                self.head = max(self.head, position)
            case Rejected():
                self.rejected.append(said)
            case Failed(ref=ref):
                self.failed[ref] = said
            case Left(ref=ref):
                self.left.add(ref)
            case Saw(replica=replica, position=position):
                insort(self.seen, (position, len(self.seen), said))
                place = views, replica
                self.least[place] = max(self.least.get(place, 0), position)
            case Opened(head=head) | Reached(position=head):
                self.head = max(self.head, head)
            case Broke(trace=trace):
                self.problems.append(f"a life broke:\n{trace}")


class Found(NamedTuple):
    """What an audit saw, when all was well."""

    log: list[Event]
    reckoning: Reckoning

    @property
    def events(self) -> int:
        return len(self.log)


def audit(
    database: Path, book: Book, *folders: Path, settled: bool = False, scratch: Path | None = None
) -> Found:
    """Raise AssertionError with all that is lost, doubled or torn; `settled`: views stand at the head.

    `folders` are the folders of read stores. No process may have the files open. Copies are made in `scratch`,
    else beside the files.
    """
    problems = list(book.problems)
    scratch = scratch or database.parent
    database_id, events = _log(database, scratch, problems)
    problems += _whole_commands(events)
    problems += _promised(events, book)
    replicas = [
        replica
        for folder in folders
        for replica in _replicas(folder, scratch, database_id, problems)
    ]
    reckoning = Reckoning()
    due = sorted(replicas, key=lambda replica: -replica.checkpoint)
    answers = list(reversed(book.seen))
    for event in (None, *events):
        if event is not None:
            reckoning.add(event)
        while due and due[-1].checkpoint == reckoning.position:
            problems += _rows(due.pop(), reckoning)
        while answers and answers[-1][0] == reckoning.position:
            problems += _answer(answers.pop()[2], reckoning)
    head = reckoning.position
    problems += [
        f"{r.name}: its checkpoint {r.checkpoint} is ahead of the log at {head}" for r in due
    ]
    problems += [f"{saw} reflects more than the log has ({head})" for _, _, saw in answers]
    for replica in replicas:
        least = book.least.get((replica.folder, replica.address), 0)
        if replica.checkpoint < least:
            problems.append(
                f"{replica.name}: at {replica.checkpoint}, and an answer showed {least}"
            )
        if settled and replica.checkpoint != head:
            problems.append(
                f"{replica.name}: settled at {replica.checkpoint}, the log ends at {head}"
            )
    problems += _quoted_states(book, reckoning)
    if problems:
        shown = "\n".join(f"- {problem}" for problem in problems[:MOST_SHOWN])
        raise AssertionError(f"{len(problems)} problem(s) in {database}:\n{shown}")
    return Found(events, reckoning)


@contextmanager
def copy_of(database: Path, scratch: Path) -> Iterator[sqlite3.Connection]:
    """A client's connection to a copy of the file as it was left."""
    folder = scratch / "audit"
    folder.mkdir()
    try:
        for suffix in ("", "-wal"):
            source = database.with_name(database.name + suffix)
            if source.exists():
                shutil.copyfile(source, folder / source.name)
        with closing(sqlite3.connect(folder / database.name, isolation_level=None)) as connection:
            yield connection
    finally:
        shutil.rmtree(folder)


# ---- the log


def _log(database: Path, scratch: Path, problems: list[str]) -> tuple[str, list[Event]]:
    """The log's own id, and its events as far as positions and versions have no gap."""
    with copy_of(database, scratch) as connection:
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            return "", []  # killed before it was initialised
        problems += _integrity(connection, database)
        [database_id] = connection.execute(
            "SELECT value FROM aftertide_meta WHERE name = 'database_id'"
        ).fetchone()
        [rows] = connection.execute("SELECT count(*) FROM events").fetchone()
        found = connection.execute(
            "SELECT position, stream, version, type, command, data FROM log ORDER BY position"
        ).fetchall()
        empty = connection.execute(
            "SELECT name FROM streams WHERE key NOT IN (SELECT stream FROM events)"
        ).fetchall()
        problems += _pointers(connection)
    if rows != len(found):
        problems.append(f"{rows - len(found)} event(s) are of a stream or a type that has no name")
    problems += [f"stream {name} was kept without any event" for (name,) in empty]
    events: list[Event] = []
    versions: dict[str, int] = defaultdict(int)
    for index, (position, stream, version, kind, command, data) in enumerate(found, 1):
        event = Event(position, stream, version, kind, command, json.loads(data))
        versions[event.stream] += 1
        if event.position != index or event.version != versions[event.stream]:
            problems.append(f"{event} stands at {index} and is number {versions[event.stream]}")
            break
        events.append(event)
    return database_id, events


def _pointers(connection: sqlite3.Connection) -> list[str]:
    """What finds a stream's events: where it ends, and from each event the one before."""
    problems: list[str] = []
    ends: dict[int, tuple[int, int]] = {}  # stream -> version, position
    for position, previous, stream, version in connection.execute(
        "SELECT position, previous, stream, version FROM events ORDER BY position"
    ):
        found = position - 1 if previous == -1 else previous
        before = ends.get(stream, (0, 0))
        if (version - 1, found) != before:
            problems.append(f"position {position} points back to {found}, not to {before[1]}")
        ends[stream] = version, position
    heads = {
        stream: (version, last)
        for stream, version, last in connection.execute("SELECT * FROM heads")
    }
    if heads != ends:
        differing = [key for key in heads.keys() | ends.keys() if heads.get(key) != ends.get(key)]
        problems.append(f"streams {differing[:5]} do not end where their heads say")
    return problems


def _integrity(connection: sqlite3.Connection, path: Path) -> list[str]:
    said = connection.execute("PRAGMA integrity_check").fetchall()
    return [] if said == [("ok",)] else [f"{path}: integrity_check says {said[:3]}"]


def _whole_commands(events: list[Event]) -> list[str]:
    """Each command is there once and whole: its parts side by side, in one stream, under one id."""
    problems: list[str] = []
    ended: dict[str, str] = {}
    command_ids: dict[str, str] = {}
    before: tuple[str, str, int, int] | None = None  # ref, stream, part, of
    for event in events:
        ref, part, of = event.data["ref"], event.data["part"], event.data["of"]
        if before is not None and before[2] < before[3]:
            if (ref, event.stream, part) != (before[0], before[1], before[2] + 1):
                problems.append(f"{before[0]} is torn: {event} stands where its rest should")
        elif part != 1:
            problems.append(f"{ref} begins with part {part} at position {event.position}")
        elif ref in ended:
            problems.append(f"{ref} is there twice: in {ended[ref]} and at {event.position}")
        if command_ids.setdefault(event.command, ref) != ref:
            problems.append(f"{ref} and {command_ids[event.command]} share the id {event.command}")
        ended[ref] = f"{event.stream} at {event.position}"
        before = ref, event.stream, part, of
    if before is not None and before[2] < before[3]:
        problems.append(f"{before[0]} is torn at the end of the log")
    return problems


def _promised(events: list[Event], book: Book) -> list[str]:
    """What was acknowledged is at its place; what failed is nowhere."""
    problems: list[str] = []
    ours: dict[str, list[Event]] = defaultdict(list)
    streams: dict[str, int] = defaultdict(int)
    for event in events:
        ours[event.data["ref"]].append(event)
        streams[event.stream] = event.version
    for ref, receipt in book.acknowledged.items():
        found = ours.get(ref, [])
        if receipt.events == 0:
            if found or streams[receipt.stream] < receipt.version or len(events) < receipt.position:
                problems.append(
                    f"LOST what {receipt} saw: {receipt.stream} is at {streams[receipt.stream]}"
                )
            continue
        if not found:
            problems.append(f"LOST: {receipt}, the log ends at {len(events)}")
            continue
        last = found[-1]
        place = last.command, last.stream, last.version, last.position, len(found)
        told = receipt.command_id, receipt.stream, receipt.version, receipt.position, receipt.events
        if place != told:
            problems.append(f"MOVED: {receipt} is really {last}, {len(found)} event(s)")
    problems += [
        f"{failed} was answered, and it is in the log: {ours[ref][0]}"
        for ref, failed in book.failed.items()
        if ref in ours
    ]
    problems += [
        f"{rejected} was answered, and it is in the log: {ours[rejected.ref][0]}"
        for rejected in book.rejected
        if rejected.ref in ours
    ]
    if len(events) < book.head:
        problems.append(f"a head of {book.head} was told, and the log ends at {len(events)}")
    return problems


def _quoted_states(book: Book, reckoning: Reckoning) -> list[str]:
    """A rejection rests on a state that is durable: the amount it quotes, at the version it quotes."""
    problems: list[str] = []
    for rejected in book.rejected:
        amount, version = map(int, rejected.state.split("@"))
        if (found := reckoning.state(rejected.stream, version)) != amount:
            problems.append(f"{rejected} rests on a state that never was: there it was {found}")
    return problems


# ---- the read stores


class Replica(NamedTuple):
    name: str
    folder: Path
    address: str
    view: str
    checkpoint: int
    rows: dict[str, Row]


def _replicas(
    folder: Path, scratch: Path, database_id: str, problems: list[str]
) -> Iterator[Replica]:
    if not folder.exists():
        return
    for path in sorted(folder.glob("*.db")):
        view, _, number = path.stem.partition("-")
        with copy_of(path, scratch) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if view not in tables:  # killed before it was initialised
                continue
            problems += _integrity(connection, path)
            [(checkpoint, owner)] = connection.execute(
                "SELECT position, database_id FROM aftertide_checkpoint"
            ).fetchall()
            found = connection.execute(f'SELECT * FROM "{view}"').fetchall()
        if owner != database_id:
            problems.append(f"{path}: it is of the log {owner}, and this one is {database_id}")
        rows = {row[0]: list(row) for row in found}
        yield Replica(str(path), folder, f"{view}/{number or 1}", view, checkpoint, rows)


def _rows(replica: Replica, reckoning: Reckoning) -> list[str]:
    wanted = reckoning.rows(replica.view)
    differing = sorted(
        key
        for key in wanted.keys() | replica.rows.keys()
        if wanted.get(key) != replica.rows.get(key)
    )
    return [
        f"{replica.name} at {replica.checkpoint}: row {key} is {replica.rows.get(key)}, "
        f"the log says {wanted.get(key)}"
        for key in differing[:3]
    ]


def _answer(saw: Saw, reckoning: Reckoning) -> list[str]:
    view = saw.replica.partition("/")[0]
    wanted = reckoning.rows(view).get(saw.key)
    return [] if wanted == saw.row else [f"{saw} was answered, the log says {wanted} there"]
