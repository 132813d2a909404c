"""Thousands are cancelled while they ask, by both kinds of cancellation: nothing is torn, lost or left behind.

Hosts cancel natively (asyncio.timeout, a server that shuts down) and by anyio's scopes, at any moment. Whoever
leaves may have done something or not; whoever stays must not notice.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import closing
from pathlib import Path
from random import Random

import anyio
from anyio.lowlevel import checkpoint

from aftertide import AtLeast, Lag, Limits, Position, Runtime, Strong
from tests.torture.audit import Book, audit
from tests.torture.clients import Clients
from tests.torture.market import ACCOUNT, BALANCES, ORDER, TALLIES
from tests.torture.said import Said
from tests.torture.torment import Torment, quick_and_long
from tests.torture.writer import TIGHT

Act = Callable[[], Coroutine[None, None, None]]


# ---- ways to be cancelled; each ends when the act has ended, and says whether it was cut short


async def natively(act: Act, random: Random) -> bool:
    task = asyncio.create_task(act())
    for _ in range(int(10 ** random.uniform(0, 2)) - 1):
        await checkpoint()
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled() or task.result() is not None


async def by_a_timeout(act: Act, random: Random) -> bool:
    try:
        async with asyncio.timeout(random.uniform(0, 0.004)):
            await act()
    except TimeoutError:
        return True
    return False


async def by_wait_for(act: Act, random: Random) -> bool:
    try:
        await asyncio.wait_for(act(), random.uniform(0, 0.004))
    except TimeoutError:
        return True
    return False


async def by_a_scope(act: Act, random: Random) -> bool:
    async with anyio.create_task_group() as group:
        group.start_soon(act)
        for _ in range(int(10 ** random.uniform(0, 2)) - 1):
            await checkpoint()
        group.cancel_scope.cancel()
    return group.cancel_scope.cancelled_caught


async def by_a_deadline(act: Act, random: Random) -> bool:
    with anyio.move_on_after(random.uniform(0, 0.004)) as scope:
        await act()
    return scope.cancelled_caught


WAYS = (natively, by_a_timeout, by_wait_for, by_a_scope, by_a_deadline)


class Impatient:
    """Clients that leave while they ask for anything that the front door has."""

    def __init__(self, runtime: Runtime, clients: Clients) -> None:
        self._runtime = runtime
        self._clients = clients
        self.left = 0

    async def leave(self, times: int, random: Random) -> None:
        acts: tuple[Callable[[Random], Awaitable[object]], ...] = (
            self._clients.one_by_one,
            self._clients.one_by_one,
            self._clients.many,
            self._clients.reading,
            self._wait_for_what_comes,
            self._read,
            self._settle,
        )
        left = 0
        while left < times:
            chosen = random.choice(acts)

            async def act(chosen: Callable[[Random], Awaitable[object]] = chosen) -> None:
                await chosen(random)

            left += await random.choice(WAYS)(act, random)
        self.left += left

    async def _wait_for_what_comes(self, random: Random) -> None:
        position = self._runtime.head + random.randint(0, 5)
        await self._clients.look(random, AtLeast(Position(position)))

    async def _read(self, random: Random) -> None:
        async for _ in self._runtime.read(
            after=max(0, self._runtime.head - random.randint(0, 500))
        ):
            pass

    async def _settle(self, random: Random) -> None:
        await self._runtime.settle()


def open_market(folder: Path, random: Random, limits: Limits) -> Runtime:
    return Runtime.open(
        folder / "market.db",
        deciders=[ACCOUNT, ORDER],
        projections=[
            BALANCES.replicas(2, lag=[Lag.none(), Lag.uniform(0, 0.01)]),
            TALLIES.with_lag(Lag.exponential(0.002)),
        ],
        durability=random.choice(("full", "normal")),
        limits=limits,
    )


@quick_and_long(1, 6)
async def test_thousands_who_are_cancelled_tear_lose_and_leave_nothing(
    torment: Torment, tmp_path: Path
) -> None:
    times = 800 if torment.rounds == 1 else 2_000
    for number in range(1, torment.rounds + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        book = Book()
        with torment.round(number) as random:
            limits = random.choice((Limits(), TIGHT))
            async with open_market(folder, random, limits) as runtime:

                def say(said: Said, folder: Path = folder, book: Book = book) -> None:
                    book.record(said, folder / "market.views")

                clients = Clients(runtime, say, "client", random.getrandbits(32), queries=True)
                impatient = Impatient(runtime, clients)
                async with anyio.create_task_group() as group:
                    group.start_soon(clients.work, 12, times)
                    for _ in range(20):
                        own = Random(random.getrandbits(32))
                        group.start_soon(impatient.leave, times // 20, own)
                await _nothing_is_left(runtime, folder, clients)
            found = audit(folder / "market.db", book, folder / "market.views", settled=True)
            assert not book.failed
            torment.count(
                cancelled=impatient.left,
                events=found.events,
                acknowledged=len(book.acknowledged),
            )


async def _nothing_is_left(runtime: Runtime, folder: Path, clients: Clients) -> None:
    """No transaction, no line before a mailbox, no waiter; and everybody who comes now is served."""
    for path in (folder / "market.db", *(folder / "market.views").glob("*.db")):
        with closing(sqlite3.connect(path, timeout=10, isolation_level=None)) as somebody:
            somebody.execute("BEGIN IMMEDIATE")
    with anyio.fail_after(30):
        await clients.quote_all_accounts()
        await clients.look(Random(1), Strong())
        await runtime.settle()
    for aggregates in runtime.statistics().aggregates.values():
        assert aggregates.mailboxes.standing_in_line == 0
    for view, replica in ((BALANCES, 1), (BALANCES, 2), (TALLIES, 1)):
        projection = runtime.projection(view, replica)
        assert (projection.state, projection.restarts) == ("running", 0)
        assert len(projection.waiters) == 0


@quick_and_long(8, 50)
async def test_a_host_that_is_cancelled_while_it_opens_works_or_closes_loses_nothing(
    torment: Torment, tmp_path: Path
) -> None:
    """A server that shuts down, at a moment that nobody chose, and is started again."""
    book = Book()
    threads = set(threading.enumerate())
    views = tmp_path / "market.views"

    def say(said: Said) -> None:
        book.record(said, views)

    for number in range(1, torment.rounds + 1):
        with torment.round(number) as random:

            async def host(random: Random = random, number: int = number) -> None:
                async with open_market(
                    tmp_path, random, random.choice((Limits(), TIGHT))
                ) as runtime:
                    clients = Clients(
                        runtime, say, f"host{number}", random.getrandbits(32), queries=True
                    )
                    await clients.work(random.choice((1, 16)), random.choice((1, 200, 1_000)))

            way = random.choice(WAYS)
            if way in (natively, by_a_scope):
                turns = Random(random.getrandbits(32))
                torment.count(cancelled=await way(host, turns))
            else:
                torment.count(cancelled=await _within(host, random.uniform(0, 0.15), random))
            for thread in set(threading.enumerate()) - threads:
                thread.join(timeout=10)  # a connection's: it may be on its last steps
                assert not thread.is_alive(), f"{thread} was left with a connection"
            audit(tmp_path / "market.db", book, views)
    async with open_market(tmp_path, Random(1), Limits()) as runtime:
        await Clients(runtime, say, "last", 1, queries=True).quote_all_accounts()
        await runtime.settle()
    found = audit(tmp_path / "market.db", book, views, settled=True)
    torment.count(events=found.events, acknowledged=len(book.acknowledged))


async def _within(act: Act, seconds: float, random: Random) -> bool:
    if random.random() < 0.5:
        with anyio.move_on_after(seconds) as scope:
            await act()
        return scope.cancelled_caught
    try:
        async with asyncio.timeout(seconds):
            await act()
    except TimeoutError:
        return True
    return False
