"""The one real clock: wall time for what is recorded, a time that never jumps for what waits."""

import asyncio
import time

from aftertide.actors.clock import SystemClock


async def test_it_tells_the_time_of_the_machine_and_of_the_event_loop() -> None:
    clock = SystemClock()
    before = time.time()
    assert before <= clock.time() <= time.time()
    loop = asyncio.get_running_loop()
    assert loop.time() <= clock.monotonic() <= loop.time()


async def test_what_is_called_later_is_called_and_not_before() -> None:
    clock = SystemClock()
    called = asyncio.Event()
    begun = clock.monotonic()
    clock.call_later(0.01, called.set)
    assert not called.is_set()
    await called.wait()
    assert clock.monotonic() >= begun + 0.009  # the loop's clock has a resolution


async def test_a_timer_that_is_cancelled_is_not_called() -> None:
    clock = SystemClock()
    called: list[str] = []
    clock.call_later(0.001, lambda: called.append("cancelled")).cancel()
    after = asyncio.Event()
    clock.call_later(0.002, after.set)
    await after.wait()
    assert called == []


async def test_sleeping_is_waiting() -> None:
    clock = SystemClock()
    begun = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() >= begun + 0.009
