"""A runtime in the test's own process, with its clients and the book of what they were told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from aftertide import Limits, Runtime
from tests.torture.audit import Book
from tests.torture.clients import Clients
from tests.torture.market import ACCOUNT, BALANCES, ORDER, TALLIES
from tests.torture.said import Said

VIEWS = (BALANCES, TALLIES)
NO_RESTARTS = Limits(restarts=0)
"""A projection that fails stops at once and says so; it is the test that restarts it."""


class Shop:
    """A runtime in this process, its clients, and the book of what they were told."""

    def __init__(
        self, runtime: Runtime, database: Path, views: Path, book: Book, random: Random
    ) -> None:
        self.runtime = runtime
        self.database = database
        self.views = views
        self.book = book

        def say(said: Said) -> None:
            book.record(said, views)

        # The head, so that the refs of two shops on one log differ.
        name, seed = f"shop{runtime.head}", random.getrandbits(32)
        self.clients = Clients(runtime, say, name, seed, queries=True)

    def refused(self, since: int = 0) -> list[str]:
        """The names of all conditions that clients were answered."""
        return [failed.error for failed in list(self.book.failed.values())[since:]]

    async def work_until(self, error: str, clients: int) -> None:
        before = len(self.book.failed)
        while error not in self.refused(before):
            await self.clients.work(clients, 20)

    async def recover(self, clients: int) -> None:
        """Go on as if nothing had been; nobody is refused any more."""
        for view in VIEWS:
            for replica in (1, 2):
                self.runtime.projection(view, replica).restart()
        failed = len(self.book.failed)
        await self.clients.work(clients, 200)
        assert self.refused(failed) == []
        await self.runtime.settle(timeout=30)
        await self.clients.quote_all_accounts()


@asynccontextmanager
async def open_shop(
    database: Path, views: Path, random: Random, book: Book | None = None
) -> AsyncIterator[Shop]:
    """With the book of an earlier shop on these files, if there was one."""
    runtime = Runtime.open(
        database,
        deciders=[ACCOUNT, ORDER],
        projections=[view.replicas(2) for view in VIEWS],
        read_stores=views,
        durability=random.choice(("full", "normal")),
        limits=NO_RESTARTS,
    )
    async with runtime:
        yield Shop(runtime, database, views, book or Book(), random)
