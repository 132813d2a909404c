"""`execute` on memory stores: the way to an aggregate and back, without disk or view."""

import asyncio
from collections.abc import Sequence

from aftertide import Runtime

from ..accounts import ACCOUNT, AMOUNT, Deposit, names, shares
from ..figures import Figures
from ..meter import Meter
from .runtime import warm_up

WARM_UP = 2_000


def asks(clients: int, actors: int, count: int) -> Figures:
    """Each client executes one deposit after the other; all send the same command object."""
    return asyncio.run(_asks(clients, actors, count))


async def _asks(clients: int, actors: int, count: int) -> Figures:
    deposit = Deposit(AMOUNT)
    gate = asyncio.Event()
    meter: Meter | None = None
    async with Runtime.open(":memory:", deciders=[ACCOUNT], projections=[]) as runtime:
        ids = names(actors)
        await warm_up(runtime, ids)
        for _ in range(WARM_UP):
            await runtime.execute(ACCOUNT, ids[0], deposit)

        async def client(share: Sequence[str]) -> None:
            await gate.wait()
            for account in share:
                await runtime.execute(ACCOUNT, account, deposit)
            assert meter is not None
            meter.stop()  # the last client's word counts

        async with asyncio.TaskGroup() as group:
            for share in shares(count, clients, ids):
                group.create_task(client(share))
            await asyncio.sleep(0)  # every client is up and waits at the gate
            meter = Meter()
            gate.set()
        return meter.figures(count)
