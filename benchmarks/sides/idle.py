"""What an activated aggregate costs in memory while it does nothing."""

import asyncio
import gc
import tracemalloc
from pathlib import Path

from aftertide import Decider, Limits, Runtime

from ..accounts import AMOUNT, Account, Deposit, Deposited, decide, names
from ..figures import Figures

BATCH = 5_000


def keep(account: Account, event: Deposited) -> Account:
    """The state stays one shared object: what is left is the actor itself."""
    return account


HOLDER = Decider("holder", Account(), decide, keep)


def actors(folder: str, count: int) -> Figures:
    """Bytes that Python allocated per activated aggregate beside its state, by tracemalloc.

    The log is a SQLite file, so that events don't lie in Python's memory. The ids are the caller's
    and not counted; whatever else the runtime keeps per aggregate is, wherever it keeps it.
    """
    return asyncio.run(_actors(Path(folder, "bank.db"), count))


async def _actors(path: Path, count: int) -> Figures:
    ids = names(count)
    limits = Limits(active_aggregates=count + BATCH, idle_seconds=3_600.0)
    async with Runtime.open(path, deciders=[HOLDER], projections=[], limits=limits) as runtime:
        await _activate(runtime, ids[:BATCH])
        gc.collect()
        tracemalloc.start()
        first, _ = tracemalloc.get_traced_memory()
        for start in range(BATCH, count, BATCH):
            await _activate(runtime, ids[start : start + BATCH])
        gc.collect()
        last, _ = tracemalloc.get_traced_memory()
        by_file = tracemalloc.take_snapshot().statistics("filename")
        tracemalloc.stop()
        grown = count - BATCH
        figures = {
            "bytes_per_actor": (last - first) / grown,
            "active": float(runtime.statistics().aggregates[HOLDER.category].active),
        }
        for one in by_file[:6]:
            figures[f"bytes_in {'/'.join(Path(one.traceback[0].filename).parts[-2:])}"] = (
                one.size / grown
            )
        return figures


async def _activate(runtime: Runtime, ids: list[str]) -> None:
    for outcome in await runtime.execute_many(HOLDER, [(name, Deposit(AMOUNT)) for name in ids]):
        if isinstance(outcome, Exception):
            raise outcome
