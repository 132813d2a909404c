"""The floor of asyncio: a bare future round trip, by as many client tasks as the other side has."""

import asyncio

from ..figures import Figures
from ..meter import Meter

WARM_UP = 2_000


def round_trips(clients: int, count: int) -> Figures:
    """create_future, call_soon(set_result), await: what any ask in asyncio costs at least."""
    return asyncio.run(_round_trips(clients, count))


async def _round_trips(clients: int, count: int) -> Figures:
    loop = asyncio.get_running_loop()
    gate = asyncio.Event()
    meter: Meter | None = None

    async def client(count: int) -> None:
        await gate.wait()
        for _ in range(count):
            future = loop.create_future()
            loop.call_soon(future.set_result, None)
            await future
        if meter is not None:
            meter.stop()  # the last client's word counts

    gate.set()
    await client(WARM_UP)
    gate.clear()
    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client(count // clients))
        await asyncio.sleep(0)  # every client is up and waits at the gate
        meter = Meter()
        gate.set()
    return meter.figures(count // clients * clients)
