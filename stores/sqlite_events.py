"""The log in a SQLite file: one writer, dense positions, durable when it says so.

    runtime > mailbox > aggregate > journal > [event store] > bus > projection > read store > query

Inside the brackets: a batch is one function on the writer's thread, and one transaction in it. Streams and
types have short integer keys. Positions are given out inside the transaction, under SQLite's write lock, so
they are dense and in commit order for all processes that write this file.
"""

import os
import sqlite3
from asyncio import Future, get_running_loop
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from random import Random
from time import sleep  # noqa: TID251 - sleep(0) waits for nothing: it gives the interpreter's lock away
from typing import Any
from uuid import UUID

from ..domain.errors import StoreUnavailable
from ..domain.messages import (
    Append,
    Commit,
    Position,
    StreamKey,
    Version,
    split_stream,
    stream_name,
)
from ..domain.ports import EventStoreStatistics, LoadedStream, StoredPage, StoredRow
from .sqlite_errors import damaged
from .sqlite_header import WRITE_DATABASE, Header
from .sqlite_thread import SqliteThread, Synchronous, close_all

SCHEMA_VERSION = 1

_SCHEMA = """
CREATE TABLE aftertide_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE streams (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE types (key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
-- The payload last: what comes before it is read without touching it. Text where the codec writes text. No
-- column is ever NULL or a BLOB without need: Python's sqlite3 takes four times as long to bind those.
-- `previous` is the position of the stream's event before, 0 where there is none, -1 for the row right before.
CREATE TABLE events (
    position INTEGER PRIMARY KEY, previous INTEGER NOT NULL, stream INTEGER NOT NULL, version INTEGER NOT NULL,
    type INTEGER NOT NULL, at INTEGER NOT NULL, command TEXT NOT NULL, context TEXT NOT NULL, data ANY NOT NULL
) STRICT;
-- Where each stream ends. Together with `previous` it stands for an index on (stream, version): in a log of long
-- streams that index has a page of its own for every stream, and a commit would write one for every event.
CREATE TABLE heads (stream INTEGER PRIMARY KEY, version INTEGER NOT NULL, last INTEGER NOT NULL) STRICT;
-- Entries into long streams, so that a page from their middle is not reached from their end.
CREATE UNIQUE INDEX milestones ON events (stream, version) WHERE version % 64 = 0;
-- Whoever writes, every event is the next one of its stream.
CREATE TRIGGER appended AFTER INSERT ON events BEGIN
    SELECT RAISE(ABORT, 'not the next version of its stream')
        WHERE NEW.version <> 1 + coalesce((SELECT version FROM heads WHERE stream = NEW.stream), 0);
    INSERT INTO heads VALUES (NEW.stream, NEW.version, NEW.position)
        ON CONFLICT (stream) DO UPDATE SET version = NEW.version, last = NEW.position; END;
-- For people with an SQL client; Aftertide itself never reads it.
CREATE VIEW log AS
    SELECT e.position, s.name AS stream, e.version, t.name AS type,
           strftime('%Y-%m-%dT%H:%M:%f', e.at / 1e6, 'unixepoch') || 'Z' AS recorded_at, e.command,
           e.context, e.data
    FROM events e JOIN streams s ON s.key = e.stream JOIN types t ON t.key = e.type;
"""

_COLUMNS = 7
_MOST_ROWS = 4_096
"""Rows in one statement; 7 values each stay below SQLite's 32,766."""


def _sizes() -> list[int]:
    """Rows for which statements are made: all up to 8, then steps of a quarter."""
    sizes = list(range(1, 9))
    while sizes[-1] < _MOST_ROWS:
        sizes.append(min(sizes[-1] * 5 // 4, _MOST_ROWS))
    return sizes


_SIZES = _sizes()


@cache
def _insert(size: int) -> str:
    """Insert the first ? of `size` rows. What is left over is filled with 0, which costs next to nothing.

    One statement whatever the number of rows, from few texts, so that SQLite has it prepared.
    """
    rows = ",".join(["(?,?,?,?,?,?,?)"] * size)
    return (
        "INSERT INTO events (previous, stream, version, type, at, command, context, data) SELECT "
        # The first event of an append follows where its stream ends; the others follow each other.
        "coalesce((SELECT iif(version = column2 - 1, last, -1) FROM heads WHERE stream = column1),"
        f" iif(column2 = 1, 0, -1)), * FROM (VALUES {rows}) LIMIT ?"
    )


_READ = (
    "SELECT position, stream, version, type, at, command, context, data FROM events "
    "WHERE position > ? ORDER BY position LIMIT ?"
)
_FIND = (
    "SELECT key, coalesce(version, 0) FROM streams LEFT JOIN heads ON stream = key WHERE name = ?"
)
_STREAM = """
    WITH RECURSIVE chain AS (
        SELECT * FROM events WHERE position = coalesce(
            (SELECT position FROM events WHERE stream = :stream AND version >= :last AND version % 64 = 0
             ORDER BY version LIMIT 1),
            (SELECT last FROM heads WHERE stream = :stream))
        UNION ALL
        SELECT e.* FROM chain c CROSS JOIN events e
            ON e.position = iif(c.previous = -1, c.position - 1, c.previous)
            -- A damaged pointer must neither lead into another stream nor round in a circle.
            AND e.stream = c.stream AND e.version = c.version - 1
        WHERE c.version > :after + 1
    )
    SELECT {columns} FROM chain WHERE version > :after AND version <= :last ORDER BY version
"""
"""Events of a stream after a version up to another one: from the next milestone, or the end, backwards."""
_READ_STREAM = _STREAM.format(columns="position, stream, version, type, at, command, context, data")
LOAD_STREAM = _STREAM.format(columns="type, data, position")

REMEMBERED_STREAMS = 65_536
"""Stream names a reader keeps by key; beyond that the oldest are looked up again."""


def write_header(random: Random) -> Header:
    """What a new write database is made of. `random` draws the name that it has for ever."""

    def create(connection: sqlite3.Connection) -> None:
        # Not executescript, which commits first: this is part of a transaction.
        for statement in _statements(_SCHEMA):
            connection.execute(statement)
        connection.execute(
            "INSERT INTO aftertide_meta VALUES ('database_id', ?)",
            (str(UUID(int=random.getrandbits(128), version=4)),),
        )

    return Header(WRITE_DATABASE, SCHEMA_VERSION, create)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one by one."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


class SqliteEventStore:
    """An EventStore on one file. Open it with `open`, close it with `aclose`."""

    def __init__(
        self,
        writer: SqliteThread,
        readers: Sequence[SqliteThread],
        database_id: str,
        *,
        text: bool,
    ) -> None:
        self._pack: Callable[[bytes], str | bytearray] = bytes.decode if text else bytearray
        self.path = writer.path
        self._writer = writer
        self._readers = tuple(readers)
        self._database_id = database_id
        self._type_keys: dict[str, int] = {}
        """Types that are committed. This and the next are used on the writer's thread only."""
        self._new_types: dict[str, int] = {}
        """Types of the transaction under way: a rollback must not leave a key that means nothing."""
        self._names: dict[StreamKey, tuple[str, str]] = {}
        self._type_names: dict[int, str] = {}
        self._transactions = 0
        self._events = 0

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        synchronous: Synchronous = "FULL",
        text: bool = True,
        readers: int = 2,
        busy_timeout_ms: int = 5_000,
        random: Random | None = None,
    ) -> "SqliteEventStore":
        """Open or create the file. Raises a kind of StoreUnavailable, and then nothing is left open.

        `text` says that payloads are UTF-8 text: they are stored so that SQL's JSON functions read them.
        """
        opened: list[SqliteThread] = []
        try:
            writer = await SqliteThread.open(
                path,
                header=write_header(random or Random()),
                synchronous=synchronous,
                busy_timeout_ms=busy_timeout_ms,
            )
            opened.append(writer)
            for _ in range(readers):
                reader = await SqliteThread.open(
                    path, read_only=True, busy_timeout_ms=busy_timeout_ms
                )
                opened.append(reader)
            name = await writer.run(_database_id)
            if name is None:
                raise damaged(writer.path, "the name that it was given when it was made is gone")
        except BaseException:
            await close_all(opened)
            raise
        return cls(writer, opened[1:], name, text=text)

    @property
    def database_id(self) -> str:
        return self._database_id

    def append(self, batch: Sequence[Append], recorded_at: float) -> "Future[Commit]":
        values = self._values(batch, recorded_at)
        if values is None:
            commit = self._writer.submit(partial(self._append, batch, recorded_at))
        else:
            rows = len(values) // _COLUMNS
            size = _SIZES[bisect_left(_SIZES, rows)]
            values += [0] * ((size - rows) * _COLUMNS)
            values.append(rows)
            commit = self._writer.submit(
                partial(self._append_known, _insert(size), values, rows, batch, recorded_at)
            )
        get_running_loop().call_soon(_give_way)
        return commit

    def _values(self, batch: Sequence[Append], recorded_at: float) -> list[Any] | None:
        """The rows of a batch in one flat list; None where something has to be looked up first."""
        type_keys, pack = self._type_keys, self._pack
        at = int(recorded_at * 1_000_000)
        values: list[Any] = []
        add = values.extend
        for append in batch:
            key = append.stream_key
            version: int = append.expected_version
            if not key or not append.events:
                return None
            for new in append.events:
                version += 1
                type_key = type_keys.get(new.type)
                if type_key is None:
                    return None
                add((key, version, type_key, at, new.command_id, new.context, pack(new.data)))
        if not 0 < len(values) <= _MOST_ROWS * _COLUMNS:
            return None
        # A stream that comes twice would need to see in its second append where the first one ended.
        return values if len({append.stream_key for append in batch}) == len(batch) else None

    def load(
        self, streams: Sequence[tuple[str, str, Version]], limit: int
    ) -> "Future[Sequence[LoadedStream]]":
        return self._readers[0].submit(partial(self._load, streams, limit))

    async def read(self, after: Position, limit: int) -> StoredPage:
        # Not the reader that activates aggregates: a long catch-up must not stand in a command's way.
        return await self._readers[-1].run(partial(self._page_of_log, after, limit))

    async def read_stream(self, category: str, id: str, after: Version, limit: int) -> StoredPage:
        name = stream_name(category, id)
        return await self._readers[-1].run(partial(self._page_of_stream, name, after, limit))

    async def head(self) -> Position:
        return await self._readers[0].run(_head)

    def statistics(self) -> EventStoreStatistics:
        return EventStoreStatistics(self._transactions, self._writer.hops, self._events)

    async def aclose(self) -> None:
        # The writer last: it is the one that folds the write-ahead log back into the file.
        await close_all([self._writer, *self._readers])

    # ---- on the writer's thread

    def _append_known(
        self,
        insert: str,
        values: list[Any],
        rows: int,
        batch: Sequence[Append],
        recorded_at: float,
        connection: sqlite3.Connection,
    ) -> Commit:
        """Nearly every batch: one statement, which is its own transaction.

        Each statement gives the interpreter's lock away and has to get it back from a busy event loop. With
        one of them, SQLite's work and the loop's go on side by side.
        """
        try:
            head = connection.execute(insert, values).lastrowid or 0
        except sqlite3.IntegrityError:
            return self._append(batch, recorded_at, connection)
        return self._committed(Commit(Position(head - rows), Position(head), recorded_at, {}, {}))

    def _append(
        self, batch: Sequence[Append], recorded_at: float, connection: sqlite3.Connection
    ) -> Commit:
        commit = self._transaction(batch, recorded_at, connection)
        self._type_keys.update(self._new_types)
        return self._committed(commit)

    def _committed(self, commit: Commit) -> Commit:
        if commit.head > commit.head_before:
            self._transactions += 1
            self._events += commit.head - commit.head_before
        return commit

    def _transaction(
        self, batch: Sequence[Append], recorded_at: float, connection: sqlite3.Connection
    ) -> Commit:
        execute = connection.execute
        conflicts: dict[int, Version] = {}
        self._new_types.clear()
        # IMMEDIATE: whoever else writes is waited for here, before any work, not at the first insert.
        execute("BEGIN IMMEDIATE")
        try:
            head_before, stream_keys = self._write(batch, recorded_at, connection)
        except sqlite3.IntegrityError:
            # Some stream is not where it was expected. Begin again, asking stream by stream.
            execute("ROLLBACK")
            self._new_types.clear()
            execute("BEGIN IMMEDIATE")
            conflicts = self._conflicts(batch, connection)
            winners = [index for index in range(len(batch)) if index not in conflicts]
            won = [batch[index] for index in winners]
            head_before, keys = self._write(won, recorded_at, connection)
            stream_keys = {winners[index]: key for index, key in keys.items()}
        head = _head(connection)
        execute("COMMIT")
        return Commit(head_before, head, recorded_at, conflicts, stream_keys)

    def _write(
        self, batch: Sequence[Append], recorded_at: float, connection: sqlite3.Connection
    ) -> tuple[Position, dict[int, StreamKey]]:
        """Insert all of it; the head before and the keys of streams that had none.

        IntegrityError where a stream is not at its expected version.
        """
        at = int(recorded_at * 1_000_000)
        head = _head(connection)
        stream_keys = self._stream_keys(batch, connection)
        type_keys, pack = self._type_keys, self._pack
        values: list[Any] = []
        seen: set[int] = set()
        for index, append in enumerate(batch):
            key = append.stream_key or stream_keys[index]
            version: int = append.expected_version
            if key in seen or not append.events:
                _insert_all(values, connection)
                values.clear()
                seen.clear()
            seen.add(key)
            if not append.events and _version(connection, key) != version:
                raise sqlite3.IntegrityError("without events, no trigger looks")
            for new in append.events:
                version += 1
                type_key = type_keys.get(new.type) or self._type_key(connection, new.type)
                values += (key, version, type_key, at, new.command_id, new.context, pack(new.data))
        _insert_all(values, connection)
        return head, stream_keys

    def _conflicts(
        self, batch: Sequence[Append], connection: sqlite3.Connection
    ) -> dict[int, Version]:
        conflicts: dict[int, Version] = {}
        versions: dict[str, int] = {}
        latest = (
            "SELECT coalesce((SELECT version FROM heads WHERE stream = "
            "(SELECT key FROM streams WHERE name = ?)), 0)"
        )
        for index, append in enumerate(batch):
            stream = append.stream
            if stream not in versions:
                versions[stream] = connection.execute(latest, (stream,)).fetchone()[0]
            if versions[stream] != append.expected_version:
                conflicts[index] = Version(versions[stream])
            else:
                versions[stream] += len(append.events)
        return conflicts

    def _stream_keys(
        self, batch: Sequence[Append], connection: sqlite3.Connection
    ) -> dict[int, StreamKey]:
        """Keys for the appends that bring none, by index: found, or given now."""
        keys: dict[int, StreamKey] = {}
        find = "SELECT key FROM streams WHERE name = ?"
        for index, append in enumerate(batch):
            if not append.stream_key:
                name = stream_name(append.category, append.id)
                # A new stream is the usual case, so it is tried first.
                inserted = connection.execute(
                    "INSERT OR IGNORE INTO streams (name) VALUES (?)", (name,)
                )
                key = (
                    inserted.lastrowid
                    if inserted.rowcount
                    else connection.execute(find, (name,)).fetchone()[0]
                )
                keys[index] = StreamKey(key or 0)
        return keys

    def _type_key(self, connection: sqlite3.Connection, name: str) -> int:
        key = self._new_types.get(name)
        if key is None:
            connection.execute("INSERT OR IGNORE INTO types (name) VALUES (?)", (name,))
            key = connection.execute("SELECT key FROM types WHERE name = ?", (name,)).fetchone()[0]
            self._new_types[name] = key
        return key

    # ---- on a reader's thread

    def _load(
        self,
        streams: Sequence[tuple[str, str, Version]],
        limit: int,
        connection: sqlite3.Connection,
    ) -> list[LoadedStream]:
        execute = connection.execute
        loaded: list[LoadedStream] = []
        names = self._type_names_of(connection)
        for category, id, after in streams:
            found = execute(_FIND, (stream_name(category, id),)).fetchone()
            if found is None:
                loaded.append(LoadedStream(StreamKey(0), after, (), True))
                continue
            key, version = found
            last = min(version, after + limit)
            rows = self._stream(connection, LOAD_STREAM, key, after, last)
            limit -= len(rows)
            try:
                events = [(names[type_key], data, position) for type_key, data, position in rows]
            except KeyError:
                names = self._type_names_of(connection, [row[0] for row in rows])
                events = [(names[type_key], data, position) for type_key, data, position in rows]
            loaded.append(LoadedStream(key, Version(max(after, last)), events, last >= version))
        return loaded

    def _page_of_log(
        self, after: Position, limit: int, connection: sqlite3.Connection
    ) -> StoredPage:
        page = self._page(lambda: connection.execute(_READ, (after, limit)).fetchall(), connection)
        rows = page.rows
        # Positions are dense, so a damaged file that leaves rows out can't do it unseen. What the file says
        # wrongly inside a row is the codec's to notice.
        end = max(after, 0) + len(rows)
        last = rows[-1][0] if rows else end
        if last != end or (len(rows) < limit and last < page.head):
            raise self._gap(f"position {end}", page.head if last == end else last)
        return page

    def _page_of_stream(
        self, name: str, after: Version, limit: int, connection: sqlite3.Connection
    ) -> StoredPage:
        def read() -> list[StoredRow]:
            found = connection.execute(_FIND, (name,)).fetchone()
            if found is None:
                return []
            key, version = found
            return self._stream(connection, _READ_STREAM, key, after, min(version, after + limit))

        return self._page(read, connection)

    def _stream(
        self, connection: sqlite3.Connection, query: str, key: int, after: int, last: int
    ) -> list[Any]:
        """What the query says of a stream's events after a version up to another one, which are there."""
        if last <= after:
            return []
        bounds = {"stream": key, "after": after, "last": last}
        rows = connection.execute(query, bounds).fetchall()
        # A back-pointer of a damaged file leads astray, and leaves versions out.
        if len(rows) != last - after:
            raise self._gap(f"version {last} of stream {key}", after + len(rows))
        return rows

    def _gap(self, expected: str, found: int) -> StoreUnavailable:
        return damaged(self.path, f"{found} was read where {expected} should be")

    def _page(
        self,
        read: Callable[[], list[StoredRow]],
        connection: sqlite3.Connection,
    ) -> StoredPage:
        # One read transaction: rows, names and head are of one moment.
        connection.execute("BEGIN")
        rows = read()
        head = _head(connection)
        names = self._stream_names_of(connection, rows)
        types = self._type_names_of(connection)
        if any(row[3] not in types for row in rows):
            types = self._type_names_of(connection, [row[3] for row in rows])
        connection.execute("COMMIT")
        return StoredPage(rows, names, types, head)

    def _stream_names_of(
        self, connection: sqlite3.Connection, rows: Sequence[StoredRow]
    ) -> dict[StreamKey, tuple[str, str]]:
        known = self._names
        missing = list({row[1]: None for row in rows if row[1] not in known})
        if len(known) + len(missing) > REMEMBERED_STREAMS:
            # A new one, not fewer entries: a page that is being decoded still needs the old one.
            known = self._names = {}
            missing = list({row[1]: None for row in rows})
        for start in range(0, len(missing), 128):
            part = missing[start : start + 128]
            marks = ",".join("?" * len(part))
            for key, name in connection.execute(
                f"SELECT key, name FROM streams WHERE key IN ({marks}) AND typeof(name) = 'text'",
                part,
            ):
                known[key] = split_stream(name)
        self._check_named("stream", missing, known)
        return known

    def _type_names_of(
        self, connection: sqlite3.Connection, wanted: Sequence[int] = ()
    ) -> dict[int, str]:
        """Names of types by key; read again where there are wanted ones, which must then be among them."""
        if wanted or not self._type_names:
            read = connection.execute("SELECT key, name FROM types WHERE typeof(name) = 'text'")
            self._type_names = dict(read.fetchall())
        self._check_named("type", wanted, self._type_names)
        return self._type_names

    def _check_named(self, what: str, keys: Sequence[int], names: Mapping[Any, object]) -> None:
        for key in keys:
            if key not in names:
                raise damaged(self.path, f"an event is of {what} {key}, which has no name")


def _give_way() -> None:
    """Let the writer's thread begin: it needs the interpreter's lock for a moment, which the loop would keep
    through all it has to do for the batch before. Called one turn of the loop after the thread was woken, when
    it is there to take it. Without this the two work one after the other: a quarter less throughput."""
    sleep(0)


def _head(connection: sqlite3.Connection) -> Position:
    head: int = connection.execute("SELECT coalesce(max(position), 0) FROM events").fetchone()[0]
    return Position(head)


def _database_id(connection: sqlite3.Connection) -> str | None:
    found = connection.execute(
        "SELECT value FROM aftertide_meta WHERE name = 'database_id'"
    ).fetchone()
    return None if found is None else found[0]


def _version(connection: sqlite3.Connection, key: int) -> int:
    found = connection.execute("SELECT version FROM heads WHERE stream = ?", (key,)).fetchone()
    return int(found[0]) if found else 0


def _insert_all(values: list[Any], connection: sqlite3.Connection) -> None:
    """Insert the rows of a flat list, in as many statements as they need."""
    for start in range(0, len(values), _MOST_ROWS * _COLUMNS):
        part = values[start : start + _MOST_ROWS * _COLUMNS]
        rows = len(part) // _COLUMNS
        size = _SIZES[bisect_left(_SIZES, rows)]
        connection.execute(_insert(size), [*part, *[0] * ((size - rows) * _COLUMNS), rows])
