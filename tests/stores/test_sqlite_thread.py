"""A connection's thread does each function once, whole and in order, and never outlives its owner."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import ClassVar, cast

import aiosqlite
import anyio
import pytest

from aftertide.domain.errors import (
    InvariantViolation,
    NotADatabase,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from aftertide.stores import sqlite_thread
from aftertide.stores.sqlite_header import WRITE_DATABASE, Header
from aftertide.stores.sqlite_thread import SqliteThread

ENDLESS = (
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(seen(x)) FROM n"
)


def create(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE t (a)")
    connection.execute("CREATE TABLE u (a NOT NULL)")


HEADER = Header(WRITE_DATABASE, 1, create)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
async def thread(path: Path) -> AsyncIterator[SqliteThread]:
    thread = await SqliteThread.open(path, header=HEADER, busy_timeout_ms=0)
    yield thread
    await thread.aclose()
    await ended(thread)


async def ended(thread: SqliteThread) -> None:
    """Its thread is over. What is closed has nothing left to do but return."""
    thread._connection._thread.join(10)
    assert not thread._connection._thread.is_alive()


def held_open(folder: Path) -> list[str]:
    """Files in the folder that this process has open, where the system tells."""
    descriptors = Path("/proc/self/fd")
    links = (
        [os.readlink(link) for link in descriptors.iterdir() if link.is_symlink()]
        if descriptors.exists()
        else []
    )
    return [link for link in links if link.startswith(str(folder))]


def add(value: int) -> Callable[[sqlite3.Connection], None]:
    def insert(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (?)", (value,))
        connection.execute("COMMIT")

    return insert


def held(connection: sqlite3.Connection) -> list[int]:
    return [value for (value,) in connection.execute("SELECT a FROM t ORDER BY rowid")]


def stored(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return held(connection)


async def endless(thread: SqliteThread) -> "asyncio.Future[object]":
    """A statement that goes on until it is interrupted, and has begun."""
    begun = threading.Event()

    def seen(x: int) -> int:
        begun.set()
        return x

    def run(connection: sqlite3.Connection) -> object:
        connection.create_function("seen", 1, seen)
        return connection.execute(ENDLESS).fetchall()

    running = thread.submit(run)
    assert begun.wait(10)
    return running


# ---- running functions


async def test_a_function_runs_on_the_connections_thread_and_its_result_comes_back(
    thread: SqliteThread,
) -> None:
    def where(connection: sqlite3.Connection) -> tuple[int, bool]:
        return threading.get_ident(), connection.in_transaction

    ident, in_transaction = await thread.run(where)
    assert ident not in (threading.get_ident(), 0)
    assert not in_transaction


async def test_a_submitted_function_starts_at_once(thread: SqliteThread) -> None:
    started = threading.Event()
    done = thread.submit(lambda _: started.set())
    # The loop has no turn until this: a task would not have run.
    assert started.wait(10)
    await done


async def test_functions_run_in_the_order_given_and_each_is_one_hop(thread: SqliteThread) -> None:
    before = thread.hops
    for number in range(50):
        _ = thread.submit(add(number))
    assert await thread.run(held) == [*range(50)]
    assert thread.hops - before == 51


@pytest.mark.parametrize("how", ["natively", "by a scope"])
async def test_a_cancelled_caller_leaves_at_once_and_the_function_still_ends(
    thread: SqliteThread, path: Path, how: str
) -> None:
    may_go_on = threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        may_go_on.wait(10)
        add(1)(connection)

    async def wait() -> None:
        await thread.run(slow)

    if how == "natively":
        task = asyncio.create_task(wait())
        await anyio.lowlevel.checkpoint()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
    else:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await wait()
        assert scope.cancelled_caught
    assert stored(path) == []
    may_go_on.set()
    assert await thread.run(held) == [1]


async def test_a_failure_that_nobody_waits_for_is_not_reported_as_lost(
    thread: SqliteThread,
) -> None:
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    try:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await thread.run(lambda connection: connection.execute("no SQL"))
        await thread.run(held)
    finally:
        loop.set_exception_handler(before)
    assert reported == []


async def test_a_function_that_raises_is_rolled_back_and_its_error_comes_back(
    thread: SqliteThread, path: Path
) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (1)")
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await thread.run(fail)
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # nothing holds the lock
        other.execute("ROLLBACK")
    await thread.run(add(2))
    assert stored(path) == [2]


async def test_a_transaction_left_open_is_rolled_back_and_is_our_bug(
    thread: SqliteThread, path: Path
) -> None:
    def forget(connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO t VALUES (1)")

    with pytest.raises(InvariantViolation, match="left its transaction open"):
        await thread.run(forget)
    assert not await thread.run(lambda connection: connection.in_transaction)
    assert stored(path) == []


async def test_an_exception_that_no_future_can_carry_is_reported_all_the_same(
    thread: SqliteThread,
) -> None:
    def stop(_: sqlite3.Connection) -> None:
        raise StopIteration

    with anyio.fail_after(10), pytest.raises(InvariantViolation, match="StopIteration"):
        await thread.run(stop)


async def test_errors_of_sqlite_arrive_as_conditions_with_their_cause(thread: SqliteThread) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("INSERT INTO t VALUES (zeroblob(99999))")

    with pytest.raises(StoreFull) as caught:
        await thread.run(fill)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
    # A mistake of our own is not dressed up as the world's.
    with pytest.raises(sqlite3.IntegrityError):
        await thread.run(lambda connection: connection.execute("INSERT INTO u VALUES (NULL)"))


async def test_an_endless_statement_can_be_interrupted(thread: SqliteThread) -> None:
    running = await endless(thread)
    thread.interrupt()
    with pytest.raises(StoreUnavailable, match="interrupted"):
        await running
    thread.interrupt()  # nothing runs: no harm
    assert await thread.run(held) == []


# ---- opening


async def test_an_open_connection_is_as_it_was_asked_for(path: Path) -> None:
    thread = await SqliteThread.open(path, synchronous="NORMAL", busy_timeout_ms=7, cache_kib=100)

    def ask(connection: sqlite3.Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "busy_timeout", "cache_size", "temp_store")
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names]

    assert await thread.run(ask) == ["wal", 1, 7, -100, 2]
    await thread.aclose()


async def test_a_reader_sees_what_was_committed_and_can_not_write(
    thread: SqliteThread, path: Path
) -> None:
    reader = await SqliteThread.open(path, read_only=True)
    await thread.run(add(1))
    assert await reader.run(held) == [1]
    with pytest.raises(StoreReadOnly):
        await reader.run(add(2))
    assert await reader.run(held) == [1]
    await reader.aclose()


async def test_many_may_open_a_new_file_at_once(path: Path) -> None:
    opened: list[SqliteThread] = []

    async def open_one(number: int) -> None:
        thread = await SqliteThread.open(path, header=HEADER)
        opened.append(thread)
        await thread.run(add(number))

    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(open_one, number)
    for thread in opened:
        await thread.aclose()
    assert sorted(stored(path)) == [*range(8)]


@pytest.mark.parametrize("name", ["what? #1%20.db", "ü.db", ":memory:", "a b.db"])
async def test_any_file_name_is_that_file(tmp_path: Path, name: str) -> None:
    thread = await SqliteThread.open(tmp_path / name)
    await thread.aclose()
    assert [file.name for file in tmp_path.iterdir()] == [name]


async def test_a_relative_path_is_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    thread = await SqliteThread.open("here.db")
    await thread.aclose()
    assert os.listdir(tmp_path) == ["here.db"]


@pytest.mark.parametrize("name", ["", "a\0b"])
async def test_what_is_no_path_is_the_callers_mistake(name: str) -> None:
    with pytest.raises(ValueError, match="no path of a database file"):
        await SqliteThread.open(name)


@pytest.mark.parametrize("case", ["folder", "missing folder", "missing file", "no database"])
async def test_a_failed_opening_names_the_cause_and_leaves_no_thread(
    tmp_path: Path, case: str
) -> None:
    (tmp_path / "text").write_text("a note")
    name, read_only, error, text = {
        "folder": (tmp_path, False, StoreReadOnly, "it is a folder"),
        "missing folder": (tmp_path / "no" / "a.db", False, StoreReadOnly, r"/no does not exist"),
        "missing file": (tmp_path / "no.db", True, StoreReadOnly, "the file does not exist"),
        "no database": (tmp_path / "text", False, NotADatabase, "not an SQLite database"),
    }[case]
    before = set(threading.enumerate())
    with pytest.raises(error, match=text) as caught:
        await SqliteThread.open(name, header=HEADER, read_only=read_only)
    assert held_open(tmp_path) == []
    del caught  # whose frames would have kept a connection that was not closed
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    assert os.listdir(tmp_path) == ["text"]


@pytest.mark.parametrize("how", ["natively", "by a scope"])
async def test_a_cancelled_opening_leaves_no_thread(path: Path, how: str) -> None:
    before = set(threading.enumerate())
    opened: list[SqliteThread] = []

    async def opening() -> None:
        opened.append(await SqliteThread.open(path, header=HEADER))
        await anyio.lowlevel.checkpoint()  # where a scope's cancellation arrives

    if how == "natively":
        task = asyncio.create_task(opening())
        await anyio.lowlevel.checkpoint()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert opened == []
    else:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await opening()
        for thread in opened:  # it was opened, so its owner can close it
            await thread.aclose()
    for left in set(threading.enumerate()) - before:
        left.join(10)
        assert not left.is_alive()


async def test_an_old_sqlite_is_refused_by_its_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreUnavailable, match=r"needed is 3\.38 or newer"):
        await SqliteThread.open(path)
    assert not path.exists()


async def test_an_aiosqlite_that_is_built_otherwise_is_refused_by_its_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Other:
        _thread = _connector = _connection = stop = None

    monkeypatch.setattr(aiosqlite, "connect", lambda *_, **__: Other())
    with pytest.raises(
        StoreUnavailable, match=r"aiosqlite 0\.22\.\d+ has no _tx.*aiosqlite>=0\.22"
    ):
        await SqliteThread.open(path)
    assert not path.exists()


async def test_a_lock_that_stays_fails_the_opening_and_nothing_hangs(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (a)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnavailable, match="another connection holds its lock"):
            await SqliteThread.open(path, busy_timeout_ms=0)


def test_two_openings_in_each_others_way_wait_and_try_again() -> None:
    class InTheWay:
        """A connection that finds another one changing the mode, once."""

        said: ClassVar[list[str]] = []

        def execute(self, statement: str) -> sqlite3.Cursor:
            self.said.append(statement)
            if len(self.said) == 1:
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return memory.execute("SELECT 'wal'")

    with closing(sqlite3.connect(":memory:")) as memory:
        mode = sqlite_thread._journal_mode(cast("sqlite3.Connection", InTheWay()))
    asked = "PRAGMA journal_mode = WAL"
    assert (mode, InTheWay.said) == ("wal", [asked, "BEGIN EXCLUSIVE", "ROLLBACK", asked])


# ---- closing


async def test_closing_lets_what_was_submitted_end(path: Path) -> None:
    thread = await SqliteThread.open(path, header=HEADER)
    for number in range(20):
        _ = thread.submit(add(number))
    await thread.aclose()
    await ended(thread)
    assert stored(path) == [*range(20)]
    assert not path.with_name("a.db-wal").exists()


@pytest.mark.parametrize("how", ["natively", "by a scope"])
async def test_a_cancelled_close_closes_all_the_same(path: Path, how: str) -> None:
    thread = await SqliteThread.open(path, header=HEADER)
    may_go_on = threading.Event()
    _ = thread.submit(lambda connection: (may_go_on.wait(10), add(1)(connection)))
    if how == "natively":
        task = asyncio.create_task(thread.aclose())
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
            task.cancel()
        assert not task.done()
        may_go_on.set()
        await asyncio.wait([task])
        assert task.cancelled()
    else:
        with anyio.CancelScope() as scope:
            scope.cancel()
            may_go_on.set()
            await thread.aclose()
            closed = True
        assert closed
    await ended(thread)
    assert stored(path) == [1]


async def test_closing_twice_is_closing_once_and_then_nothing_runs(path: Path) -> None:
    thread = await SqliteThread.open(path, header=HEADER)
    async with anyio.create_task_group() as group:
        group.start_soon(thread.aclose)
        group.start_soon(thread.aclose)
    await thread.aclose()
    await ended(thread)
    with pytest.raises(StoreUnavailable, match="its connection is closed"):
        await thread.run(held)
    thread.interrupt()
    assert repr(thread).endswith("closed>")


async def test_closing_a_reader_does_not_wait_for_an_endless_query(
    thread: SqliteThread, path: Path
) -> None:
    reader = await SqliteThread.open(path, read_only=True)
    running = await endless(reader)
    with anyio.fail_after(10):
        await reader.aclose()
    with pytest.raises(StoreUnavailable, match="interrupted"):
        await running


def test_a_process_that_dies_with_an_open_connection_dies(path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from aftertide.stores.sqlite_thread import SqliteThread\n"
        "async def main():\n"
        "    global kept\n"
        "    kept = await SqliteThread.open(sys.argv[1])\n"
        "    raise SystemExit(3)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], timeout=30, check=False)
    assert done.returncode == 3
