"""What the loop costs against the stock one. Means something on a quiet machine only."""

import asyncio
import time
from collections.abc import Callable

import pytest

from aftertide.simulation import SimulationLoop, Tape

pytestmark = pytest.mark.bench

ACTORS, MESSAGES = 10, 100


async def actors() -> None:
    """Ten actors that answer a hundred messages each."""
    queues: list[asyncio.Queue[asyncio.Future[int] | None]] = [
        asyncio.Queue() for _ in range(ACTORS)
    ]
    loop = asyncio.get_running_loop()

    async def actor(queue: asyncio.Queue[asyncio.Future[int] | None]) -> None:
        while (reply := await queue.get()) is not None:
            reply.set_result(1)

    async def client(queue: asyncio.Queue[asyncio.Future[int] | None]) -> None:
        for _ in range(MESSAGES):
            reply: asyncio.Future[int] = loop.create_future()
            queue.put_nowait(reply)
            await reply
        queue.put_nowait(None)

    async with asyncio.TaskGroup() as group:
        for queue in queues:
            group.create_task(actor(queue))
            group.create_task(client(queue))


def seconds(loop_factory: Callable[[], asyncio.AbstractEventLoop]) -> float:
    """The best of several runs."""
    best = float("inf")
    for _ in range(30):
        began = time.perf_counter()
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(actors())
        best = min(best, time.perf_counter() - began)
    return best


def test_the_loop_takes_at_most_two_and_a_half_times_the_stock_one_and_runs_sixty_seeds_a_second() -> (
    None
):
    stock, ours = seconds(asyncio.new_event_loop), seconds(lambda: SimulationLoop(Tape(1)))
    assert ours < 2.5 * stock
    assert ours < 1 / 60
