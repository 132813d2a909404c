"""Looking at databases from outside: read-only, also while a runtime uses them.

Plain functions on connections of their own, for a command line and its like. Nothing here is on the way of a
command, nothing writes, and no lock is held longer than a page takes.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..domain.errors import NotADatabase, SchemaMismatch, StoreUnavailable
from ..domain.messages import Position, Version
from .sqlite_errors import translated
from .sqlite_events import SCHEMA_VERSION as WRITE_SCHEMA_VERSION
from .sqlite_header import READ_STORE, WRITE_DATABASE, check_header
from .sqlite_rows import SCHEMA_VERSION as READ_SCHEMA_VERSION

PAGE_EVENTS = 1_000

_STREAMS = """
    SELECT name, version FROM streams LEFT JOIN heads ON stream = key
"""
_EVENTS = """
    SELECT e.position, s.name, e.version, t.name, e.at, e.command, e.context, e.data
    FROM events e JOIN streams s ON s.key = e.stream JOIN types t ON t.key = e.type
    WHERE e.position > ? {of_stream} ORDER BY e.position LIMIT ?
"""


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event as it is stored, its payload not decoded."""

    position: Position
    stream: str
    version: Version
    type: str
    recorded_at: float
    """Unix seconds."""
    command_id: str
    context: str
    """JSON; empty where there is no more to say than the command's id."""
    data: str | bytes
    """Text where the codec writes text."""


@dataclass(frozen=True, slots=True)
class Category:
    """Streams of one decider."""

    name: str
    streams: int
    events: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far one replica of a view has come."""

    replica: str
    """`balances/2`."""
    position: Position = Position(0)  # noqa: RUF009 - a NewType call is the int itself
    behind_events: int = 0
    behind_seconds: float = 0.0
    """Age of the oldest event that it has not applied."""
    rows: int = 0
    problem: str | None = None
    """Why nothing can be said of it; the rest means nothing then."""


class WriteDatabase:
    """A write database, to look at. Close it, or use it in a `with`."""

    def __init__(self, path: Path) -> None:
        """Raises NotADatabase, SchemaMismatch or another kind of StoreUnavailable."""
        self.path = path
        self._connection = _open(path, WRITE_DATABASE, WRITE_SCHEMA_VERSION)
        self.database_id = str(
            self._one("SELECT value FROM aftertide_meta WHERE name = 'database_id'")
        )

    def __enter__(self) -> "WriteDatabase":
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    @property
    def head(self) -> Position:
        position: Position = self._one("SELECT coalesce(max(position), 0) FROM events")
        return position

    def recorded_at(self, position: int) -> float | None:
        """When the event there was committed, in Unix seconds; None where there is none."""
        at: int | None = self._one("SELECT at FROM events WHERE position = ?", position)
        return None if at is None else at / 1e6

    def categories(self) -> list[Category]:
        """In the order of their names."""
        # Versions are dense, so a stream's version is the number of its events.
        rows = self._all(
            f"SELECT substr(name, 1, instr(name, '-') - 1), count(*), sum(version) FROM ({_STREAMS}) "
            "GROUP BY 1 ORDER BY 1"
        )
        return [Category(*row) for row in rows]

    def streams(self, limit: int) -> list[tuple[str, Version]]:
        """The longest streams with their versions; a limit below 0 is none."""
        return self._all(f"{_STREAMS} ORDER BY version DESC, name LIMIT ?", limit)

    def events(self, *, after: int = 0, stream: str | None = None) -> Iterator[LoggedEvent]:
        """Events after a position, of one stream or of all, up to the head at the beginning."""
        head = self.head
        query = _EVENTS.format(
            of_stream=""
            if stream is None
            else "AND e.stream = (SELECT key FROM streams WHERE name = ?)"
        )
        while True:
            # Page by page: a reader that stays keeps the database from shortening its write-ahead log.
            parameters = (after, PAGE_EVENTS) if stream is None else (after, stream, PAGE_EVENTS)
            rows = self._all(query, *parameters)
            for row in rows:
                if row[0] > head:
                    return
                position, name, version, type, at, command, context, data = row
                yield LoggedEvent(position, name, version, type, at / 1e6, command, context, data)
            if len(rows) < PAGE_EVENTS:
                return
            after = rows[-1][0]

    def checkpoints(self, folder: Path, now: float) -> list[Checkpoint]:
        """How far the read stores in the folder have come; none where there is no such folder."""
        found = [self._checkpoint(path, now) for path in folder.glob("*.db")]
        return sorted(found, key=lambda each: _by_number(each.replica))

    def _checkpoint(self, path: Path, now: float) -> Checkpoint:
        view, _, number = path.stem.partition("-")
        replica = f"{view}/{number or 1}"
        try:
            position, rows = self._progress(path, view)
        except StoreUnavailable as error:
            return Checkpoint(replica, problem=str(error))
        oldest = self.recorded_at(position + 1)
        return Checkpoint(
            replica,
            position,
            max(0, self.head - position),
            0.0 if oldest is None else max(0.0, now - oldest),
            rows,
        )

    def _progress(self, path: Path, view: str) -> tuple[Position, int]:
        """The checkpoint and the number of rows that it stands for."""
        connection = _open(path, READ_STORE, READ_SCHEMA_VERSION)
        try:
            with _translated(path):
                connection.execute("BEGIN")  # both of one moment
                position, database_id = connection.execute(
                    "SELECT position, database_id FROM aftertide_checkpoint"
                ).fetchone()
                if database_id != self.database_id:
                    raise SchemaMismatch(
                        str(path), "it is the read store of another write database", "Look there."
                    )
                quoted = '"' + view.replace('"', '""') + '"'
                (rows,) = connection.execute(f"SELECT count(*) FROM {quoted}").fetchone()
        finally:
            connection.close()
        return position, rows

    def _one(self, query: str, *parameters: object) -> Any:  # noqa: ANN401 - a value of SQLite
        rows = self._all(query, *parameters)
        return rows[0][0] if rows else None

    def _all(self, query: str, *parameters: object) -> list[Any]:
        with _translated(self.path):
            return self._connection.execute(query, parameters).fetchall()


def _open(path: Path, application_id: int, schema_version: int) -> sqlite3.Connection:
    if not path.exists():
        raise NotADatabase(
            str(path), "there is no such file", "Name a database that a runtime has written."
        )
    if path.is_dir():
        found = ", ".join(str(each) for each in sorted(path.glob("*.db"))) or "it holds no .db file"
        raise NotADatabase(str(path), "it is a folder", f"Name a database in it: {found}.")
    with _translated(path):
        connection = sqlite3.connect(_uri(path), uri=True, isolation_level=None)
        try:
            if check_header(connection, str(path), application_id, schema_version):
                raise NotADatabase(
                    str(path), "it is empty: nobody has written into it", "Name another one."
                )
        except BaseException:
            connection.close()
            raise
        return connection


def _by_number(replica: str) -> tuple[str, int, str]:
    view, _, number = replica.partition("/")
    return view, int(number) if number.isdecimal() else 0, number


def _uri(path: Path) -> str:
    # Whoever reads a database in WAL mode needs the files beside it, and makes them where they are missing. Where
    # that is not allowed and nobody has made them, nobody is writing either.
    beside = path.with_name(f"{path.name}-wal")
    effective = os.access in os.supports_effective_ids
    still = not beside.exists() and not os.access(path.parent, os.W_OK, effective_ids=effective)
    return f"{path.resolve().as_uri()}?{'immutable=1' if still else 'mode=ro'}"


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        if (condition := translated(error, str(path))) is not error:
            raise condition from error
        raise
