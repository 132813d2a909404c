"""A view's rows in a SQLite file: one file per replica, which any SQL client can read beside us.

    runtime > mailbox > aggregate > journal > event store > bus > projection > [read store] > query

Inside the brackets: rows and checkpoint move in one transaction, on the writer's thread. Queries
run on a reader's thread, each in one read transaction, so that rows and position are of one moment.
A crash may take back the last transactions (synchronous=NORMAL), rows and checkpoint together: they
are built again from the log.
"""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..domain.errors import InvariantViolation, SchemaMismatch, StoreLocked, StoreReadOnly
from ..domain.messages import Position
from ..domain.rows import Changes
from ..domain.select import Select
from ..domain.view import View
from .sqlite_errors import translated, unwritable
from .sqlite_header import READ_STORE, Header
from .sqlite_table import Table
from .sqlite_thread import SqliteThread, close_all

SCHEMA_VERSION = 1

CACHE_KIB = 8_192
"""Page cache per connection. There may be many replicas, and the system caches the file as well."""

_CHECKPOINT = (
    "CREATE TABLE aftertide_checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1),"
    " position INTEGER NOT NULL, signature TEXT NOT NULL, database_id TEXT NOT NULL) STRICT"
)
_HEADER = Header(READ_STORE, SCHEMA_VERSION, lambda connection: connection.execute(_CHECKPOINT))

_POSITION = "SELECT position FROM aftertide_checkpoint"
_MOVE = "UPDATE aftertide_checkpoint SET position = ? WHERE position = ?"


class SqliteReadStores:
    """A ReadStoreFactory for one folder, which is created where it is missing.

    Replica 1 of the view `balances` is `balances.db`, replica 2 is `balances-2.db`.
    """

    def __init__(self, folder: str | os.PathLike[str], *, busy_timeout_ms: int = 5_000) -> None:
        self.folder = Path(folder)
        self._busy_timeout_ms = busy_timeout_ms

    def path(self, view: View[Any, Any, Any], replica: int) -> Path:
        return self.folder / (f"{view.name}.db" if replica == 1 else f"{view.name}-{replica}.db")

    async def __call__(
        self, view: View[Any, Any, Any], replica: int, database_id: str
    ) -> "SqliteReadStore":
        _make(self.folder)
        return await SqliteReadStore.open(
            self.path(view, replica), view, database_id, busy_timeout_ms=self._busy_timeout_ms
        )


class SqliteReadStore:
    """A ReadStore on one file, with one writer and one reader.

    One reader, because several do not help: short queries of four connections took twice as long as
    those of one, since their threads contend for Python's interpreter. A long query holds up others
    of its replica only; who has long ones keeps a replica for them.
    """

    def __init__(
        self,
        view: View[Any, Any, Any],
        writer: SqliteThread,
        reader: SqliteThread,
        checkpoint: Position,
        *,
        rebuilt: bool,
    ) -> None:
        self.view = view
        self.path = writer.path
        self.rebuilt = rebuilt
        """Opening found rows of another form or version and dropped them: they are built anew."""
        self._table = Table(view.schema)
        self._writer = writer
        self._reader = reader
        self._checkpoint = checkpoint

    def __repr__(self) -> str:
        return f"<SqliteReadStore {self.path}@{self._checkpoint}>"

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        view: View[Any, Any, Any],
        database_id: str,
        *,
        busy_timeout_ms: int = 5_000,
    ) -> "SqliteReadStore":
        """Open or create the file, as it was left.

        Rows of another form (fields, key, `view.version`) are dropped and the checkpoint goes back
        to 0. Raises SchemaMismatch for rows of another write database and for a newer schema, or
        another kind of StoreUnavailable; then nothing is left open.
        """
        opened: list[SqliteThread] = []
        try:
            writer = await SqliteThread.open(
                path,
                header=_HEADER,
                synchronous="NORMAL",
                busy_timeout_ms=busy_timeout_ms,
                cache_kib=CACHE_KIB,
                wal_autocheckpoint_pages=1_000,
            )
            opened.append(writer)
            position, rebuilt = await writer.run(partial(_settle, writer.path, view, database_id))
            reader = await SqliteThread.open(
                path, read_only=True, busy_timeout_ms=busy_timeout_ms, cache_kib=CACHE_KIB
            )
            opened.append(reader)
            store = cls(view, writer, reader, position, rebuilt=rebuilt)
            await reader.run(store._table.prepare)
        except BaseException:
            await close_all(opened)
            raise
        return store

    @property
    def checkpoint(self) -> Position:
        return self._checkpoint

    async def put(self, changes: Mapping[Any, Any], position: Position) -> None:
        await self._writer.run(partial(self._put, self.view.schema.changes(changes), position))

    async def get(self, keys: Sequence[Any]) -> dict[Any, Any]:
        schema = self.view.schema
        wanted = schema.key_tuples(keys)
        # On the writer's thread: a projection asks, and what it wrote before is there already.
        rows = schema.rows(
            await self._writer.run(lambda connection: self._table.get(connection, wanted))
        )
        return dict(zip(map(schema.key_of, rows), rows, strict=True))

    async def select(self, query: Select) -> tuple[Position, list[Any]]:
        query.check(self.view)
        return await self._reader.run(partial(self._select, query))

    async def aclose(self) -> None:
        # The writer last: it is the one that folds the write-ahead log back into the file.
        await close_all([self._writer, self._reader])

    # ---- on a connection's thread

    def _put(self, changes: Changes, position: Position, connection: sqlite3.Connection) -> None:
        before = self._checkpoint
        if position <= before:
            raise InvariantViolation(
                f"view {self.view.name!r} is at position {before} and was given {position}: "
                "a put must move it ahead."
            )
        connection.execute("BEGIN IMMEDIATE")
        self._table.upsert(connection, changes.written)
        self._table.delete(connection, changes.deleted)
        if connection.execute(_MOVE, (position, before)).rowcount != 1:
            # These rows were folded from older ones: writing them would undo the other's.
            raise StoreLocked(
                self.path,
                f"its checkpoint is not at {before}, where this runtime left it: another process "
                "writes into it",
                "Give each process a folder of its own with read_stores=FOLDER.",
            )
        connection.execute("COMMIT")
        # Here and not in put(), whose caller may have left: what is committed must be known.
        self._checkpoint = position

    def _select(self, query: Select, connection: sqlite3.Connection) -> tuple[Position, list[Any]]:
        connection.execute("BEGIN")
        position: tuple[Position] = connection.execute(_POSITION).fetchone()
        found = self._table.select(connection, query)
        connection.execute("COMMIT")
        return position[0], self.view.schema.rows(found)


def _settle(
    path: str, view: View[Any, Any, Any], database_id: str, connection: sqlite3.Connection
) -> tuple[Position, bool]:
    """The checkpoint of the rows that are there, and whether other rows were dropped."""
    table = Table(view.schema)
    signature = f"version {view.version}; {view.schema.signature}"
    connection.execute("BEGIN IMMEDIATE")
    found = connection.execute(
        "SELECT position, signature, database_id FROM aftertide_checkpoint"
    ).fetchone()
    if found is not None and found[2] != database_id:
        raise SchemaMismatch(
            path,
            f"its rows are of the write database {found[2]}, and this one is {database_id}",
            "It was not changed. Delete it, and it is built from the log, or choose another folder "
            "with read_stores=FOLDER.",
        )
    position = Position(0)
    same = found is not None and found[1] == signature and table.exists(connection)
    if same:
        position = Position(found[0])
    else:
        table.create(connection)
        connection.execute(
            "INSERT OR REPLACE INTO aftertide_checkpoint VALUES (1, 0, ?, ?)",
            (signature, database_id),
        )
    table.index(connection)
    connection.execute("COMMIT")
    return position, found is not None and not same


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise StoreReadOnly(
            str(folder), "it is a file, and read stores need a folder", "Choose another path."
        ) from error
    except OSError as error:
        raise unwritable(str(folder)) or translated(error, str(folder)) from error
