"""Whoever is cancelled never started or ran to a known outcome, at whatever moment and in whatever way.

Hypothesis chooses how each client goes, and after how many turns of the event loop. What must hold in every case:
what was acknowledged is in the log, no command is in it twice, and what the log says is what the views say.
"""

import asyncio
import sqlite3
import tempfile
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aftertide import (
    AtLeast,
    CommandRejected,
    ConcurrencyConflict,
    Limits,
    MailboxFull,
    NotFreshEnough,
    Position,
    Receipt,
    Runtime,
    RuntimeClosed,
    Strong,
)
from tests.bank import ACCOUNT, BALANCES, Command, Deposit, Deposited, Split, Withdraw

HOW = [
    "Task.cancel",
    "asyncio.timeout",
    "wait_for",
    "move_on_after",
    "CancelScope",
    "task group",
    "stays",
]


@dataclass(frozen=True, slots=True)
class Client:
    how: str
    turns: int
    """Turns of the event loop until it goes."""
    account: str
    command: Command
    reads: bool
    """It asks the view for its own write afterwards."""


commands = st.one_of(
    st.builds(Deposit, st.integers(1, 5)),
    st.builds(Withdraw, st.integers(1, 5)),
    st.builds(Split, st.lists(st.integers(1, 3), max_size=3).map(tuple)),
)
clients = st.lists(
    st.builds(
        Client, st.sampled_from(HOW), st.integers(0, 25), st.sampled_from("abc"), commands, st.booleans()
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


class Outcomes:
    """What the clients know when all is over."""

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        self.refused: set[str] = set()
        self.sent: dict[str, Client] = {}

    async def run(self, runtime: Runtime, name: str, client: Client) -> None:
        self.sent[name] = client
        try:
            receipt = await runtime.execute(
                ACCOUNT, client.account, client.command, command_id=name
            )
        except (CommandRejected, MailboxFull, RuntimeClosed, ConcurrencyConflict):
            self.refused.add(name)
            return
        self.receipts[name] = receipt
        if client.reads:
            await runtime.query(BALANCES, client.account, consistency=AtLeast(receipt.position))


async def after(turns: int, act: Callable[[], object]) -> None:
    for _ in range(turns):
        await checkpoint()
    act()


async def attempt(work: Callable[[], Coroutine[None, None, None]], client: Client) -> None:
    """Do the work and go in the client's way. Time-outs are made to strike at a turn, not at a time."""
    match client.how:
        case "Task.cancel":
            task = asyncio.create_task(work())
            await after(client.turns, task.cancel)
            await asyncio.gather(task, return_exceptions=True)
        case "asyncio.timeout":
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(None) as timeout,
                    striking(client.turns, _strike(timeout)),
                ):
                    await work()
        case "wait_for":

            async def waiting() -> None:
                await asyncio.wait_for(work(), 60)

            task = asyncio.create_task(waiting())
            await after(client.turns, task.cancel)
            await asyncio.gather(task, return_exceptions=True)
        case "move_on_after":
            with anyio.move_on_after(60) as scope:
                async with striking(client.turns, lambda: setattr(scope, "deadline", -1.0)):
                    await work()
        case "CancelScope":
            with anyio.CancelScope() as scope:
                async with striking(client.turns, scope.cancel):
                    await work()
        case "task group":
            async with anyio.create_task_group() as group:
                group.start_soon(work)
                await after(client.turns, group.cancel_scope.cancel)
        case _:
            await work()


def _strike(timeout: asyncio.Timeout) -> Callable[[], object]:
    return lambda: timeout.reschedule(asyncio.get_running_loop().time() - 1)


@asynccontextmanager
async def striking(turns: int, act: Callable[[], object]) -> AsyncIterator[None]:
    """After so many turns of the loop do this, unless the body has ended by then."""
    task = asyncio.create_task(after(turns, act))
    try:
        yield
    finally:
        task.cancel()


async def storm(runtime: Runtime, clients: list[Client], outcomes: Outcomes) -> None:
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(
                attempt(lambda n=number, c=client: outcomes.run(runtime, f"c{n}", c), client)  # type: ignore[misc]
            )


async def check(runtime: Runtime, outcomes: Outcomes) -> None:
    """Everything that must hold, whoever went when."""
    # A refusal comes after what its stream has under way: then the log has come to rest, whoever is gone.
    balances = {account: await _balance(runtime, account) for account in "abc"}
    log = [event async for event in runtime.read()]
    assert [event.position for event in log] == list(range(1, len(log) + 1))
    by_command: dict[str, list[int]] = {}
    for event in log:
        by_command.setdefault(event.command_id, []).append(event.position)
    for name, positions in by_command.items():
        client = outcomes.sent[name]
        # All of a command's events or none, and never twice.
        count = len(client.command.amounts) if isinstance(client.command, Split) else 1
        assert positions == list(range(positions[0], positions[0] + count))
        assert name not in outcomes.refused
        if name in outcomes.receipts:
            assert outcomes.receipts[name].position == positions[-1]
    for name, receipt in outcomes.receipts.items():
        if outcomes.sent[name].command != Split(()):
            assert name in by_command
        assert receipt.position <= len(log)
    for name, client in outcomes.sent.items():
        if client.how == "stays":
            assert name in outcomes.receipts or name in outcomes.refused
    # No state ran ahead of the log: what was decided on is what the log says.
    await runtime.settle()
    assert runtime.head == len(log)
    for account in "abc":
        amounts = [
            e.event.amount if isinstance(e.event, Deposited) else -e.event.amount
            for e in log
            if e.id == account
        ]
        answer = await runtime.query(BALANCES, account)
        assert (answer.row.balance if answer.row else 0) == sum(amounts)
        assert balances[account] == sum(amounts)
    aggregates = runtime.statistics().aggregates["account"]
    assert aggregates.mailboxes.standing_in_line == 0


async def _balance(runtime: Runtime, account: str) -> int:
    while True:
        try:
            await runtime.execute(ACCOUNT, account, Withdraw(10**9))
        except MailboxFull:  # of commands whose senders are gone
            await checkpoint()
        except CommandRejected as refusal:
            return int(str(refusal).rpartition(" ")[2])


LIMITS = st.sampled_from(
    [
        Limits(),
        Limits(mailbox_commands=2),
        Limits(mailbox_commands=2, when_full="refuse"),
        Limits(journal_events=3, transaction_events=2),
    ]
)


@settings(max_examples=100, deadline=None)
@given(clients, LIMITS, st.booleans())
def test_in_memory_nothing_is_lost_doubled_or_half_whoever_goes_when(
    clients: list[Client], limits: Limits, warm: bool
) -> None:
    async def body() -> None:
        outcomes = Outcomes()
        async with Runtime.open(
            deciders=[ACCOUNT], projections=[BALANCES], limits=limits
        ) as runtime:
            if warm:
                await warm_up(runtime, outcomes)
            await storm(runtime, clients, outcomes)
            await check(runtime, outcomes)

    asyncio.run(body())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(clients, LIMITS, st.booleans())
def test_on_disk_nothing_is_lost_doubled_or_half_whoever_goes_when(
    clients: list[Client], limits: Limits, warm: bool
) -> None:
    async def body(path: Path) -> None:
        outcomes = Outcomes()
        async with Runtime.open(
            path, deciders=[ACCOUNT], projections=[BALANCES], limits=limits, durability="off"
        ) as runtime:
            if warm:
                await warm_up(runtime, outcomes)
            await storm(runtime, clients, outcomes)
            await check(runtime, outcomes)
            no_transaction_is_open(path)
        async with Runtime.open(path, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
            await check(runtime, outcomes)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(body(Path(folder) / "bank.db"))


async def warm_up(runtime: Runtime, outcomes: Outcomes) -> None:
    for account in "abc":
        name = f"warm-{account}"
        await outcomes.run(runtime, name, Client("stays", 0, account, Deposit(3), reads=False))


def no_transaction_is_open(path: Path) -> None:
    """Somebody else can write at once."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(clients, st.integers(0, 30), st.sampled_from(["Task.cancel", "asyncio.timeout", "scope"]))
def test_a_runtime_that_is_cancelled_with_its_clients_keeps_what_it_acknowledged(
    clients: list[Client], turns: int, how: str
) -> None:
    """The host goes down: the very block that holds the runtime is cancelled, clients and all."""

    async def host(path: Path, outcomes: Outcomes) -> None:
        async with Runtime.open(
            path, deciders=[ACCOUNT], projections=[BALANCES], durability="off"
        ) as runtime:
            await storm(runtime, clients, outcomes)
            await asyncio.get_running_loop().create_future()

    async def body(path: Path) -> None:
        outcomes = Outcomes()
        match how:
            case "Task.cancel":
                task = asyncio.ensure_future(host(path, outcomes))
                await after(turns, task.cancel)
                with pytest.raises(CancelledError):
                    await task
            case "asyncio.timeout":
                with suppress(TimeoutError):
                    async with asyncio.timeout(None) as timeout, striking(turns, _strike(timeout)):
                        await host(path, outcomes)
            case _:
                with anyio.CancelScope() as scope:
                    async with striking(turns, scope.cancel):
                        await host(path, outcomes)
        for name, client in list(outcomes.sent.items()):
            if name not in outcomes.receipts and name not in outcomes.refused:
                outcomes.sent[name] = Client(
                    "Task.cancel", 0, client.account, client.command, reads=False
                )
        if path.exists():
            async with Runtime.open(path, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
                await check(runtime, outcomes)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(body(Path(folder) / "bank.db"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(HOW), st.integers(0, 8)), min_size=1, max_size=10))
def test_readers_that_go_leave_the_others_their_answers(goers: list[tuple[str, int]]) -> None:
    async def body() -> None:
        async with Runtime.open(deciders=[ACCOUNT], projections=[BALANCES.replicas(2)]) as runtime:
            for replica in (1, 2):
                runtime.projection(BALANCES, replica).pause()
            await runtime.execute(ACCOUNT, "a", Deposit(1))

            async def read() -> None:
                await runtime.query(BALANCES, "a", consistency=Strong(), timeout=0.05)

            async def stay() -> int:
                answer = await runtime.query(BALANCES, "a", consistency=AtLeast(Position(1)))
                return answer.row.balance if answer.row else 0

            staying = [asyncio.ensure_future(stay()) for _ in range(3)]
            settling = asyncio.ensure_future(runtime.settle())
            going = [
                asyncio.ensure_future(
                    attempt(read, Client(how, turns, "a", Deposit(1), reads=True))
                )
                for how, turns in goers
                if how != "stays"
            ]
            await asyncio.gather(*going, return_exceptions=True)
            for replica in (1, 2):
                runtime.projection(BALANCES, replica).resume()
            assert await asyncio.gather(*staying) == [1, 1, 1]
            assert await settling == 1
            assert len(runtime.projection(BALANCES, 1).waiters) == 0

    asyncio.run(body())


async def test_a_timeout_that_is_never_reached_costs_nothing(tmp_path: Path) -> None:
    async with Runtime.open(
        tmp_path / "bank.db", deciders=[ACCOUNT], projections=[BALANCES]
    ) as runtime:
        for number in range(20):
            async with asyncio.timeout(60):
                await runtime.execute(ACCOUNT, "a", Deposit(1))
            await asyncio.wait_for(runtime.execute(ACCOUNT, "a", Deposit(1)), 60)
            with anyio.fail_after(60):
                receipt = await runtime.execute(ACCOUNT, "a", Deposit(1))
            assert receipt.version == 3 * (number + 1)
        with pytest.raises(NotFreshEnough):
            await runtime.query(BALANCES, consistency=AtLeast(Position(1_000)), timeout=0)
