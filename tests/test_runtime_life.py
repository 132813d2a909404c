"""A runtime opens whole or not at all, ends what it accepted, and leaves nothing behind."""

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from asyncio import CancelledError
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from aftertide import (
    CommandRejected,
    Lag,
    Limits,
    NotADatabase,
    Receipt,
    Runtime,
    RuntimeClosed,
    SchemaMismatch,
    StoreReadOnly,
    StoreUnavailable,
    Strong,
    View,
)
from aftertide.stores.sqlite_header import WRITE_DATABASE
from tests.bank import ACCOUNT, BALANCES, Balance, Deposit, Withdraw, apply
from tests.fake_clock import FakeClock, rest
from tests.staged import StagedEventStore, open_on
from tests.stores.unprivileged import unprivileged_folder

TWO = BALANCES.replicas(2)


def open_files() -> set[str]:
    """Paths that this process has open; databases only."""
    paths = set()
    for fd in os.listdir("/proc/self/fd"):
        try:
            path = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if ".db" in path:
            paths.add(path)
    return paths


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    threads = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(5)  # one that has closed its file may still be on its way out
        assert not thread.is_alive()
    assert open_files() == set()


# ---- opening


async def test_a_runtime_is_what_it_was_when_it_closed(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    for opened in range(3):
        async with Runtime.open(path, deciders=[ACCOUNT], projections=[TWO]) as runtime:
            assert runtime.head == opened
            assert (await runtime.execute(ACCOUNT, "a", Deposit(1))).version == opened + 1
            await runtime.settle()
            for replica in (1, 2):
                answer = await runtime.query(BALANCES, "a", replica=replica)
                assert answer.row == Balance("a", opened + 1, opened + 1)
    assert sorted(path.name for path in tmp_path.rglob("*.db*")) == [
        "balances-2.db", "balances.db", "bank.db",
    ]  # fmt: skip


async def test_read_stores_stand_where_they_are_told_to(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    async with Runtime.open(
        tmp_path / "bank.db", deciders=[ACCOUNT], projections=[TWO], read_stores=folder
    ) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit(1))
        await runtime.settle()
    with closing(sqlite3.connect(folder / "balances-2.db")) as connection:
        assert connection.execute("SELECT * FROM balances").fetchall() == [("a", 1, 1)]
    assert not (tmp_path / "bank.views").exists()


async def test_a_runtime_opens_once(tmp_path: Path) -> None:
    runtime = Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT])
    async with runtime:
        with pytest.raises(RuntimeClosed, match="this runtime was opened before"):
            async with runtime:
                pass
        assert (await runtime.execute(ACCOUNT, "a", Deposit(1))).version == 1
    with pytest.raises(RuntimeClosed, match=r"opened before.*Open a new one with Runtime.open"):
        async with runtime:
            pass


async def test_before_it_is_open_it_takes_nothing() -> None:
    runtime = Runtime.open(deciders=[ACCOUNT])
    with pytest.raises(RuntimeClosed, match="the runtime is new"):
        await runtime.execute(ACCOUNT, "a", Deposit(1))


async def test_a_view_of_a_new_version_is_built_anew_from_the_log(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    async with Runtime.open(path, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
        for amount in (1, 2, 4):
            await runtime.execute(ACCOUNT, "a", Deposit(amount))
        await runtime.settle()

    def doubled(row: Balance | None, event: Any, account: str) -> Balance:  # noqa: ANN401 - any event
        new = apply(row, event, account)
        return Balance(account, new.balance + event.event.amount, new.events)

    for version, apply_, balance in ((1, doubled, 7), (2, doubled, 14), (3, apply, 7)):
        view = View(
            "balances", row=Balance, key="account", apply=apply_, events=BALANCES.events, version=version
        )  # fmt: skip
        async with Runtime.open(path, deciders=[ACCOUNT], projections=[view]) as runtime:
            answer = await runtime.query(view, "a", consistency=Strong())
            assert answer.row == Balance("a", balance, 3)


# ---- opening that fails


def not_a_database(folder: Path) -> None:
    (folder / "bank.db").write_bytes(b"Dear diary, " * 1_000)


def of_another_application(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.execute("CREATE TABLE diary (day TEXT)")


def of_a_newer_schema(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "bank.db")) as connection:
        connection.execute("CREATE TABLE events (x)")
        connection.execute(f"PRAGMA application_id = {WRITE_DATABASE}")
        connection.execute("PRAGMA user_version = 99")


def a_folder(folder: Path) -> None:
    (folder / "bank.db").mkdir()


def read_store_is_something_else(folder: Path) -> None:
    (folder / "bank.views").mkdir()
    (folder / "bank.views" / "balances-2.db").write_bytes(b"Dear diary, " * 1_000)


def read_stores_are_a_file(folder: Path) -> None:
    (folder / "bank.views").write_text("Dear diary")


FAILURES: list[tuple[Callable[[Path], None], type[StoreUnavailable], str]] = [
    (not_a_database, NotADatabase, "it is not an SQLite database.*Choose another path"),
    (of_another_application, NotADatabase, "it is an SQLite database of another application"),
    (
        of_a_newer_schema,
        SchemaMismatch,
        "schema version 99, of a newer Aftertide; this one knows 1",
    ),
    (a_folder, StoreReadOnly, "it is a folder"),
    (read_store_is_something_else, NotADatabase, r"balances-2\.db: it is not an SQLite database"),
    (read_stores_are_a_file, StoreReadOnly, "it is a file, and read stores need a folder"),
]


@pytest.mark.parametrize(
    ("prepare", "kind", "text"), FAILURES, ids=lambda v: getattr(v, "__name__", "")
)
async def test_an_opening_that_fails_says_why_changes_nothing_and_leaves_nothing_open(
    tmp_path: Path, prepare: Callable[[Path], None], kind: type[StoreUnavailable], text: str
) -> None:
    prepare(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.db") if path.is_file()}
    runtime = Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT], projections=[TWO])
    with pytest.raises(kind, match=text):
        async with runtime:
            pytest.fail("it opened")
    for path, content in before.items():
        assert path.read_bytes() == content
    with pytest.raises(RuntimeClosed):
        await runtime.execute(ACCOUNT, "a", Deposit(1))
    with pytest.raises(RuntimeClosed, match="opened before"):
        async with runtime:
            pass


async def test_a_folder_that_can_not_be_written_is_said() -> None:
    with unprivileged_folder() as folder:
        folder.chmod(0o500)
        with pytest.raises(StoreReadOnly, match="may not write in the folder"):
            async with Runtime.open(folder / "bank.db", deciders=[ACCOUNT]):
                pytest.fail("it opened")
        folder.chmod(0o700)


async def test_the_read_stores_of_another_database_are_refused(tmp_path: Path) -> None:
    for name in ("one.db", "other.db"):
        opening = Runtime.open(
            tmp_path / name, deciders=[ACCOUNT], projections=[TWO], read_stores=tmp_path / "views"
        )
        if name == "one.db":
            async with opening as runtime:
                await runtime.execute(ACCOUNT, "a", Deposit(1))
                await runtime.settle()
        else:
            with pytest.raises(
                SchemaMismatch, match=r"balances\.db: its rows are of the write database"
            ):
                async with opening:
                    pytest.fail("it opened")


async def test_a_write_database_that_was_restored_from_an_older_state_is_noticed(
    tmp_path: Path,
) -> None:
    """Its read stores have seen what the log has lost; positions would mean something else now."""
    path, backup = tmp_path / "bank.db", tmp_path / "backup.db"

    async def write() -> None:
        async with Runtime.open(path, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
            await runtime.execute(ACCOUNT, "a", Deposit(1))
            await runtime.settle()

    await write()
    backup.write_bytes(path.read_bytes())
    await write()
    path.write_bytes(backup.read_bytes())
    with pytest.raises(
        SchemaMismatch, match=r"its checkpoint is 2, but the log ends at 1.*Delete the read store"
    ):
        await write()


async def test_an_opening_that_is_cancelled_at_any_moment_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    turns = 0
    while True:
        turns += 1
        opened = False

        async def body(turns: int) -> None:
            nonlocal opened
            async with Runtime.open(
                tmp_path / f"bank{turns % 2}.db", deciders=[ACCOUNT], projections=[TWO]
            ):
                opened = True
                await asyncio.get_running_loop().create_future()

        task = asyncio.create_task(body(turns))
        for _ in range(turns):
            await anyio.lowlevel.checkpoint()
        if turns > 40 and not opened:
            # The threads need their time, whatever the number of turns: cancel it once it is open, too.
            while not opened:
                await anyio.lowlevel.checkpoint()
        task.cancel()
        with pytest.raises(CancelledError):
            await task
        if opened:
            return


# ---- closing


async def test_after_the_end_it_takes_nothing_and_says_so(tmp_path: Path) -> None:
    async with Runtime.open(
        tmp_path / "bank.db", deciders=[ACCOUNT], projections=[BALANCES]
    ) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit(1))
        session = runtime.read()
        await anext(session)
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: runtime.execute(ACCOUNT, "a", Deposit(1)),
        lambda: runtime.execute_many(ACCOUNT, [("a", Deposit(1))]),
        lambda: runtime.query(BALANCES),
        lambda: runtime.query(BALANCES, "a", consistency=Strong()),
        lambda: runtime.settle(),
        lambda: anext(runtime.read()),
        lambda: anext(session),
    ]
    for use in uses:
        with pytest.raises(RuntimeClosed, match=r"the runtime is closed: it takes no more work"):
            await use()
    assert runtime.head == 1
    assert runtime.statistics().events == 1


async def test_what_was_accepted_when_it_closes_is_decided_made_durable_and_answered(
    tmp_path: Path,
) -> None:
    path = tmp_path / "bank.db"
    async with Runtime.open(path, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
        replies = [
            asyncio.create_task(runtime.execute(ACCOUNT, f"a{n % 10}", Deposit(1)))
            for n in range(500)
        ]
        await anyio.lowlevel.checkpoint()
    receipts = await asyncio.gather(*replies)
    assert sorted(receipt.position for receipt in receipts) == list(range(1, 501))
    async with Runtime.open(path, deciders=[ACCOUNT]) as runtime:
        assert runtime.head == 500


async def test_those_in_line_when_it_closes_are_answered_too() -> None:
    store = StagedEventStore()
    store.hold_loads = True
    limits = Limits(mailbox_commands=2)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        replies = [asyncio.create_task(runtime.execute(ACCOUNT, "a", Deposit(1))) for _ in range(9)]
        await rest()
        closing_ = asyncio.create_task(_refused_while_closing(runtime))
        store.hold_loads = False
        asyncio.get_running_loop().call_soon(store.end_load)
    assert [(await reply).version for reply in replies] == list(range(1, 10))
    await closing_


async def _refused_while_closing(runtime: Runtime) -> None:
    while runtime._state == "open":
        await anyio.lowlevel.checkpoint()
    with pytest.raises(RuntimeClosed, match="the runtime is closing"):
        await runtime.execute(ACCOUNT, "a", Deposit(1))


async def test_a_failed_append_while_it_closes_is_answered_and_what_it_took_back_too() -> None:
    store = StagedEventStore()
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        replies = [asyncio.create_task(runtime.execute(ACCOUNT, "a", Deposit(1))) for _ in range(2)]
        await rest()
        replies.append(asyncio.create_task(runtime.execute(ACCOUNT, "a", Withdraw(1))))
        await rest()
        store.failures = [OSError("torn")]
        store.held = False
        asyncio.get_running_loop().call_soon(store.end)
    outcomes = await asyncio.gather(*replies, return_exceptions=True)
    assert [type(outcome).__name__ for outcome in outcomes] == [
        "InvariantViolation", "InvariantViolation", "CommandRejected",
    ]  # fmt: skip


async def test_a_list_of_commands_that_meets_the_end_has_an_outcome_for_each() -> None:
    store = StagedEventStore()

    async def many() -> list[object]:
        commands = ((f"a{n % 7}", Deposit(1)) for n in range(6_000))
        return list(await runtime.execute_many(ACCOUNT, commands))

    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        task = asyncio.create_task(many())
        await rest()
        store.held = True
        await anyio.lowlevel.checkpoint()
        store.held = False
        if store.under_way:
            asyncio.get_running_loop().call_soon(store.end)
    outcomes = await task
    assert len(outcomes) == 6_000
    kinds = [type(outcome) for outcome in outcomes]
    accepted = kinds.count(Receipt)
    assert kinds == [Receipt] * accepted + [RuntimeClosed] * (6_000 - accepted)
    assert accepted == await store.head()


async def test_an_error_of_the_body_passes_and_everything_is_closed(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="mine"):  # noqa: PT012 - its body is what fails
        async with Runtime.open(
            tmp_path / "bank.db", deciders=[ACCOUNT], projections=[TWO]
        ) as runtime:
            reply = asyncio.create_task(runtime.execute(ACCOUNT, "a", Deposit(1)))
            await anyio.lowlevel.checkpoint()
            raise LookupError("mine")
    assert (await reply).version == 1


async def test_closing_does_not_wait_for_a_lag(tmp_path: Path) -> None:
    clock = FakeClock()
    view = BALANCES.with_lag(Lag.constant(1_000))
    async with Runtime.open(
        tmp_path / "bank.db", deciders=[ACCOUNT], projections=[view], clock=clock
    ) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit(1))
    async with Runtime.open(
        tmp_path / "bank.db", deciders=[ACCOUNT], projections=[BALANCES]
    ) as runtime:
        assert (await runtime.query(BALANCES, "a", consistency=Strong())).row == Balance("a", 1, 1)


# ---- hosts


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Runtime]:
    async with Runtime.open(path, deciders=[ACCOUNT], projections=[TWO]) as runtime:
        yield runtime


async def work(runtime: Runtime, rounds: int = 1_000_000) -> None:
    for _ in range(rounds):
        await runtime.execute(ACCOUNT, "a", Deposit(1))


async def in_timeout(path: Path) -> None:
    with pytest.raises(TimeoutError):  # noqa: PT012 - inside and outside is the point
        async with asyncio.timeout(0.05):
            async with opened(path) as runtime:
                await work(runtime)


async def timeout_inside(path: Path) -> None:
    async with opened(path) as runtime:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await work(runtime)
        await work(runtime, 3)


async def in_task_group(path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:  # noqa: PT012 - two tasks outlive the runtime
        async with asyncio.TaskGroup() as group:
            async with opened(path) as runtime:
                group.create_task(work(runtime))
                group.create_task(work(runtime))
                await work(runtime, 3)
    assert [type(error) for error in caught.value.exceptions] == [RuntimeClosed] * 2


async def task_group_inside(path: Path) -> None:
    async with opened(path) as runtime:
        async with asyncio.TaskGroup() as group:
            for _ in range(5):
                group.create_task(work(runtime, 5))


async def in_cancelled_scope(path: Path) -> None:
    with anyio.CancelScope() as scope:
        async with opened(path) as runtime:
            await work(runtime, 3)
            scope.cancel()
            await work(runtime)
    assert scope.cancelled_caught


async def scopes_all_around(path: Path) -> None:
    async with anyio.create_task_group() as outer:
        with anyio.move_on_after(0.05):
            async with opened(path) as runtime:
                async with anyio.create_task_group() as inner:
                    inner.start_soon(work, runtime)
                    await work(runtime)
        outer.cancel_scope.cancel()


async def failing_after(path: Path) -> None:
    with pytest.raises(TimeoutError):  # noqa: PT012 - as above
        with anyio.fail_after(0.05):
            async with opened(path) as runtime:
                await work(runtime)


async def cancelled_task(path: Path) -> None:
    running = asyncio.Event()

    async def serve() -> None:
        async with opened(path) as runtime:
            running.set()
            await work(runtime)

    task = asyncio.create_task(serve())
    await running.wait()
    task.cancel()
    await anyio.lowlevel.checkpoint()
    task.cancel()  # a host in a hurry
    with pytest.raises(CancelledError):
        await task


async def two_at_once(path: Path) -> None:
    async with opened(path), opened(path.with_name("second.db")) as second:
        await work(second, 3)


HOSTS = [
    in_timeout, timeout_inside, in_task_group, task_group_inside, in_cancelled_scope, scopes_all_around,
    failing_after, cancelled_task, two_at_once,
]  # fmt: skip


@pytest.mark.parametrize("host", HOSTS, ids=lambda host: host.__name__)
async def test_a_host_may_open_and_leave_it_as_it_likes(
    tmp_path: Path, host: Callable[[Path], Awaitable[None]]
) -> None:
    path = tmp_path / "bank.db"
    await host(path)
    async with opened(path) as runtime:  # nothing holds a lock, nothing is half
        await runtime.settle()
        head = runtime.head
        answer = await runtime.query(BALANCES, "a")
        assert answer.row is None or answer.row == Balance("a", head, head)
        assert (await runtime.execute(ACCOUNT, "b", Deposit(1))).position == head + 1


async def test_a_rejection_in_a_task_group_is_that_error_and_no_other(tmp_path: Path) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        async with opened(tmp_path / "bank.db") as runtime, asyncio.TaskGroup() as group:
            group.create_task(runtime.execute(ACCOUNT, "a", Withdraw(1)))
    assert caught.group_contains(CommandRejected)


CHILD = """
import asyncio, sys
from pathlib import Path
from tests.bank import *
from aftertide import *

async def main(how: str) -> None:
    asyncio.get_running_loop().slow_callback_duration = 60  # a busy machine is no news
    view = BALANCES.replicas(2, lag=Lag.exponential(0.001))
    async with Runtime.open("bank.db", deciders=[ACCOUNT], projections=[view]) as runtime:
        replies = [asyncio.create_task(runtime.execute(ACCOUNT, f"a{n % 5}", Deposit(1))) for n in range(200)]
        if how == "orderly":
            await asyncio.gather(*replies)
            await runtime.settle()
            await runtime.query(BALANCES, where={"balance": 40}, consistency=Strong())
            async for _ in runtime.read():
                pass
        elif how == "early":
            await replies[0]
        elif how == "raise":
            await replies[0]
            raise SystemExit(3)
        elif how == "reader":
            async for _ in runtime.read():
                break
        elif how == "never closed":
            await replies[0]
            global kept
            kept = Runtime.open("other.db", deciders=[ACCOUNT], projections=[view])
            await kept.__aenter__()

try:
    asyncio.run(main(sys.argv[1]))
finally:
    import threading
    left = [t for t in threading.enumerate() if t is not threading.main_thread()]
    if sys.argv[1] != "never closed":
        for thread in left:  # one that has closed its file may still be on its way out
            thread.join(5)
        assert not any(thread.is_alive() for thread in left), left
"""


@pytest.mark.parametrize(
    ("how", "code"),
    [("orderly", 0), ("early", 0), ("raise", 3), ("reader", 0), ("never closed", 1)],
)
def test_a_process_ends_without_a_warning_a_thread_or_a_wait(
    tmp_path: Path, how: str, code: int
) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", CHILD, how],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if how != "never closed":  # which is its own fault, and says so; but it must end
        assert (ran.returncode, ran.stdout, ran.stderr) == (code, "", "")
    with closing(sqlite3.connect(tmp_path / "bank.db")) as connection:
        positions = connection.execute("SELECT position FROM events ORDER BY position").fetchall()
        assert positions == [(position,) for position in range(1, 201)]
