"""A scaled clock keeps the proportions of time, at any speed."""

from collections.abc import Callable

import pytest

from aftertide.scenarios.clock import ScaledClock


class Handle:
    def cancel(self) -> None:
        pass


class HandMoved:
    """A clock that a test moves, and that remembers what it was asked for."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []
        self.timers: list[float] = []

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> Handle:
        self.timers.append(seconds)
        return Handle()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


def test_scenario_time_begins_at_the_real_time_and_runs_as_many_times_faster() -> None:
    real = HandMoved()
    clock = ScaledClock(20, real)
    assert clock.time() == 1_000.0
    before = clock.monotonic()
    real.now += 3
    assert clock.time() == 1_060.0
    assert clock.monotonic() - before == 60.0
    assert clock.real_seconds() == 3.0


async def test_pauses_and_timers_are_as_many_times_shorter() -> None:
    real = HandMoved()
    clock = ScaledClock(4, real)
    await clock.sleep(10)
    clock.call_later(2, lambda: None)
    assert (real.slept, real.timers) == ([2.5], [0.5])


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), 1e-9])
def test_a_scale_that_makes_no_sense_is_refused_with_what_is_allowed(scale: float) -> None:
    with pytest.raises(ValueError, match=r"allowed are 0\.001 to 1000000"):
        ScaledClock(scale, HandMoved())
