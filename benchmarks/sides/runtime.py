"""Aftertide itself, through its front door.

Workload W: deposits spread over accounts by concurrent clients, durable on a SQLite file, one
projection on a SQLite file caught up to the last event. Not timed: opening, and one deposit per
account that brings it to life.
"""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from aftertide import Runtime, Strong

from ..accounts import ACCOUNT, AMOUNT, BALANCES, Deposit, names, shares
from ..figures import Figures
from ..meter import Meter


def first_deposits(database: Path, accounts: int, prefix: str) -> None:
    """A log in which each account has one deposit. Leaves no read store behind."""

    async def make() -> None:
        async with Runtime.open(database, deciders=[ACCOUNT], projections=[]) as runtime:
            await warm_up(runtime, names(accounts, prefix))

    asyncio.run(make())


async def warm_up(runtime: Runtime, accounts: Sequence[str]) -> None:
    for outcome in await runtime.execute_many(
        ACCOUNT, [(name, Deposit(AMOUNT)) for name in accounts]
    ):
        if isinstance(outcome, Exception):
            raise outcome


def workload(
    folder: str, clients: int, commands: int, accounts: int, database: str | None = None
) -> Figures:
    """W on a fresh file in `folder`, or on `database`, whose read stores are kept beside it."""
    return asyncio.run(
        _workload(Path(database or Path(folder, "bank.db")), clients, commands, accounts)
    )


async def _workload(path: Path, clients: int, commands: int, accounts: int) -> Figures:
    async with Runtime.open(path, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
        ids = names(accounts)
        await warm_up(runtime, ids)
        await runtime.settle()
        total = await _total(runtime)
        before = runtime.statistics()
        meter = await deposits(runtime, shares(commands, clients, ids))
        await runtime.settle()
        end_to_end = meter.also()
        figures = meter.figures(commands)
        after = runtime.statistics()
        if await _total(runtime) != total + commands * AMOUNT:
            raise RuntimeError(
                "the balances do not sum up to what was deposited: nothing was measured."
            )
        transactions = after.transactions - before.transactions
        return figures | {
            "end_to_end_per_second": commands / end_to_end,
            "transactions_per_1000": transactions / commands * 1_000,
            "hops_per_transaction": (after.thread_hops - before.thread_hops) / transactions,
        }


async def deposits(runtime: Runtime, shared: Sequence[Sequence[str]]) -> Meter:
    """Each client deposits one after the other. The clients are up before the clock starts."""
    gate = asyncio.Event()
    meter: Meter | None = None

    async def client(share: Sequence[str]) -> None:
        now = time.perf_counter
        await gate.wait()
        assert meter is not None
        took = meter.latencies.append
        for account in share:
            started = now()
            await runtime.execute(ACCOUNT, account, Deposit(AMOUNT))
            took(now() - started)
        meter.stop()  # the last client's word counts

    async with asyncio.TaskGroup() as group:
        for share in shared:
            group.create_task(client(share))
        await asyncio.sleep(0)
        meter = Meter()
        gate.set()
    return meter


async def _total(runtime: Runtime) -> int:
    answers = await runtime.query(BALANCES, consistency=Strong())
    return sum(row.balance for row in answers.rows)
