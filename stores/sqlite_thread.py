"""One SQLite connection and its thread: a plain function runs there in exactly one hop.

A hop costs 30 to 170 µs, so a transaction is one function (BEGIN, statements, COMMIT) and never
three awaits. That also makes it whole: no await inside, hence no cancellation inside. What is no
transaction, no thread and no setting of a connection does not belong here.

The connection is aiosqlite's. Its public methods make a hop each and have none for "run this
function", so this file, and no other, puts calls on aiosqlite's queue itself. `open` looks whether
that queue is still there.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import aiosqlite
from anyio import CancelScope

from ..domain.errors import InvariantViolation, StoreUnavailable
from .sqlite_errors import PRIMARY_CODE, translated, unwritable
from .sqlite_header import Header, check_end, check_header, initialise

T = TypeVar("T")
_Put = Callable[[tuple[asyncio.Future[Any] | None, Callable[[], Any]]], None]
Synchronous = Literal["FULL", "NORMAL", "OFF"]

OLDEST_SQLITE = (3, 38)
"""RETURNING and STRICT (3.35, 3.37), and 3.38 with JSON functions always built in."""

CACHED_STATEMENTS = 512
"""Multi-row statements come in eight sizes for each table: all stay prepared."""

_WAL_TRIES = 20


class SqliteThread:
    """An open connection. Functions given to it run one after the other, in the order given.

    A function gets the sqlite3.Connection, in autocommit mode: it says BEGIN and COMMIT itself. One
    that raises is rolled back; one that returns with a transaction open is rolled back and fails.
    sqlite3's errors arrive as conditions of `domain/errors.py`.

    Belongs to the event loop it was opened in.
    """

    __slots__ = (
        "__weakref__",
        "_connection",
        "_create_future",
        "_perform",
        "_put",
        "_read_only",
        "_stopped",
        "hops",
        "path",
    )

    def __init__(self, path: str, connection: aiosqlite.Connection, *, read_only: bool) -> None:
        self.path = path
        self.hops = 0
        """Functions handed to the thread since it was opened."""
        self._connection = connection
        self._create_future = asyncio.get_running_loop().create_future
        self._put: _Put = connection._tx.put_nowait
        self._perform: Callable[[Callable[[sqlite3.Connection], Any]], Any]
        self._read_only = read_only
        self._stopped: asyncio.Future[Any] | None = None

    def __repr__(self) -> str:
        return f"<SqliteThread {self.path}{' closed' if self._stopped else ''}>"

    @classmethod
    async def open(
        cls,
        path: str | os.PathLike[str],
        *,
        header: Header | None = None,
        read_only: bool = False,
        synchronous: Synchronous = "FULL",
        busy_timeout_ms: int = 5_000,
        cache_kib: int = 65_536,
        mmap_mib: int = 0,
        wal_autocheckpoint_pages: int = 4_000,
    ) -> Self:
        """Open the file, creating it unless `read_only`, in WAL mode.

        With `header`, a file that is not of this kind is refused before anything in it is changed,
        and an empty one is initialised. Raises StoreUnavailable or one of its kinds; then no thread
        and no connection is left.
        """
        name = os.fspath(path)
        _check_surroundings(name)
        connection = aiosqlite.connect(
            _uri(name, read_only=read_only),
            uri=True,
            isolation_level=None,
            cached_statements=CACHED_STATEMENTS,
            timeout=busy_timeout_ms / 1000,
        )
        _check_aiosqlite(name, connection)
        # aiosqlite's thread keeps an interpreter from exiting while a connection is open. Whoever
        # dies without closing shall die: SQLite is made to lose its process at any moment.
        connection._thread.daemon = True
        self = cls(name, connection, read_only=read_only)
        pragmas = (
            f"cache_size = {-cache_kib:d}",
            "temp_store = MEMORY",
            f"mmap_size = {mmap_mib * 1_048_576:d}",
            f"synchronous = {synchronous}",
            f"wal_autocheckpoint = {wal_autocheckpoint_pages:d}",
        )

        def set_up() -> None:
            if not read_only and (reason := unwritable(name)) is not None:
                raise reason
            check_end(name)
            sqlite = connection._connector()
            try:
                for pragma in pragmas:
                    sqlite.execute(f"PRAGMA {pragma}")
                _settle(sqlite, name, header, read_only=read_only)
            except BaseException:
                # Here and not in aclose(): the file is let go whatever becomes of the caller.
                sqlite.close()
                raise
            connection._connection = sqlite
            self._perform = partial(_perform, sqlite, name)

        opened: asyncio.Future[None] = self._create_future()
        self._put((opened, partial(_translating, name, set_up)))
        connection._thread.start()
        try:
            await outlast(opened)
        except BaseException:
            await self.aclose()
            raise
        return self

    def submit(self, function: Callable[[sqlite3.Connection], T]) -> "asyncio.Future[T]":
        """Hand the function to the thread at once, without a task; the future tells how it ended.

        It runs to its end whatever becomes of the future: cancelling that only means that nobody
        looks. Raises StoreUnavailable where the connection is closed.
        """
        if self._stopped is not None:
            raise StoreUnavailable(self.path, "its connection is closed", "Open the store again.")
        future: asyncio.Future[T] = self._create_future()
        self.hops += 1
        self._put((future, partial(self._perform, function)))
        return future

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run the function on the thread. A cancelled caller leaves; the function still ends."""
        # No shield is needed for that: a cancelled caller cancels the future, aiosqlite looks at it
        # only after the function has run, and this future is nobody else's.
        return await self.submit(function)

    def interrupt(self) -> None:
        """Make the statement that runs now fail with StoreUnavailable. Harmless where none runs."""
        sqlite = self._connection._connection
        if sqlite is not None and self._stopped is None:
            sqlite.interrupt()

    async def aclose(self) -> None:
        """Close the connection and end its thread, after all functions that were submitted.

        Those still running on a read-only connection are interrupted. Not cut short by
        cancellation, which is passed on at the end. May be called twice.
        """
        if self._stopped is None:
            if self._read_only:
                self.interrupt()
            # Both are queued before the first await: no cancellation can leave the thread behind.
            self._put((None, self._close))
            self._stopped = self._connection.stop()
        if self._stopped is not None:
            await outlast(self._stopped)

    def _close(self) -> None:
        """On the thread. Separate from aiosqlite's stop(), whose thread stays if closing fails."""
        sqlite, self._connection._connection = self._connection._connection, None
        if sqlite is not None:
            sqlite.close()


def _perform(
    sqlite: sqlite3.Connection, path: str, function: Callable[[sqlite3.Connection], T]
) -> T:
    try:
        result = function(sqlite)
    except BaseException as error:
        _roll_back(sqlite, error)
        if isinstance(error, StopIteration):  # which no future can carry
            raise InvariantViolation(f"{function!r} raised StopIteration") from error
        if isinstance(error, Exception) and (condition := translated(error, path)) is not error:
            raise condition from error
        raise
    if sqlite.in_transaction:
        left_open = InvariantViolation(
            f"{path}: {function!r} left its transaction open; it was rolled back."
        )
        _roll_back(sqlite, left_open)
        raise left_open
    return result


def _roll_back(sqlite: sqlite3.Connection, cause: BaseException) -> None:
    if not sqlite.in_transaction:
        return
    try:
        sqlite.execute("ROLLBACK")
    except sqlite3.Error as error:  # the cause says more than this one
        cause.add_note(f"ROLLBACK failed, too: {error}")


def _translating(path: str, function: Callable[[], T]) -> T:
    try:
        return function()
    except Exception as error:
        if (condition := translated(error, path)) is not error:
            raise condition from error
        raise


def _settle(
    sqlite: sqlite3.Connection, path: str, header: Header | None, *, read_only: bool
) -> None:
    """Find out whose file it is, bring it into WAL mode, and make it ours where it is empty."""
    # In this order: WAL mode writes into the file.
    empty = header is not None and check_header(
        sqlite, path, header.application_id, header.schema_version
    )
    if read_only:
        # SQLite opens lazily: without this, only the first query finds what can't be read.
        sqlite.execute("SELECT count(*) FROM sqlite_master").fetchone()
        return
    _use_wal(sqlite, path)
    if header is not None and empty:
        initialise(sqlite, path, header)


def _use_wal(sqlite: sqlite3.Connection, path: str) -> None:
    mode = _journal_mode(sqlite)
    if mode != "wal":
        raise StoreUnavailable(
            path,
            f"its file system allows journal mode {mode!r} only, not 'wal'",
            "Put it on a local disk: network file systems can't share memory between processes.",
        )


def _journal_mode(sqlite: sqlite3.Connection) -> str:
    """The mode it has after WAL was asked for."""
    tries = 0
    while True:
        try:
            mode: tuple[str] = sqlite.execute("PRAGMA journal_mode = WAL").fetchone()
        except sqlite3.OperationalError as error:
            tries += 1
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY or tries == _WAL_TRIES:
                raise
            # Two that open a new file at once stand in each other's way, and SQLite says so without
            # waiting. This waits, up to the busy timeout.
            sqlite.execute("BEGIN EXCLUSIVE")
            sqlite.execute("ROLLBACK")
        else:
            return mode[0]


async def outlast(future: "asyncio.Future[T]") -> T:
    """The future's outcome, waited for to the end. Who was cancelled meanwhile learns it then."""
    cancelled: asyncio.CancelledError | None = None
    # The scope holds off anyio's cancellation; the loop the native one, which knows no scopes.
    with CancelScope(shield=True):
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is not None:
        if not future.cancelled():
            future.exception()  # looked at, so that asyncio does not report it as lost
        raise cancelled
    return future.result()


async def close_all(threads: Sequence[SqliteThread]) -> None:
    """Close them all, the first opened last, whatever happens meanwhile."""
    raised: BaseException | None = None
    for thread in reversed(threads):
        try:
            await thread.aclose()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - cancelled or not, the others wait
            raised = error
    if raised is not None:
        raise raised


def _uri(path: str, *, read_only: bool) -> str:
    return f"{Path(path).absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}"


def _check_surroundings(path: str) -> None:
    if not path or "\0" in path:
        raise ValueError(
            f"{path!r} is no path of a database file: give a name without NUL characters."
        )
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise StoreUnavailable(
            path,
            f"this Python uses SQLite {sqlite3.sqlite_version}; needed is "
            f"{'.'.join(map(str, OLDEST_SQLITE))} or newer",
            "Use a Python built with a newer SQLite: those of python.org, uv and conda are.",
        )


def _check_aiosqlite(path: str, connection: aiosqlite.Connection) -> None:
    used = ("_tx", "_thread", "_connector", "_connection", "stop")
    missing = [name for name in used if not hasattr(connection, name)]
    if missing:
        raise StoreUnavailable(
            path,
            f"aiosqlite {aiosqlite.__version__} has no {', '.join(missing)}",
            "Install the version that Aftertide is made for: pip install 'aiosqlite>=0.22,<0.23'.",
        )
