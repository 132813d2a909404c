"""Time that stands still until a test moves it: the Clock port for everything that waits, ages or expires."""

from asyncio import Event
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

from anyio.lowlevel import checkpoint

START = 1_800_000_000.0
TURNS = 40
"""Turns of the event loop after which all that runs in memory has come to rest."""


async def rest() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(TURNS):
        await checkpoint()


class FakeTimer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """A Clock. `advance` moves it, and lets what a timer woke come to rest before the next timer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.wall_offset = START
        self._timers: list[tuple[float, int, FakeTimer]] = []
        self._ticket = count()

    def time(self) -> float:
        return self.wall_offset + self.now

    def monotonic(self) -> float:
        return self.now

    def call_later(self, seconds: float, callback: Callable[[], None]) -> FakeTimer:
        timer = FakeTimer(callback)
        heappush(self._timers, (self.now + seconds, next(self._ticket), timer))
        return timer

    async def sleep(self, seconds: float) -> None:
        woken = Event()
        self.call_later(seconds, woken.set)
        await woken.wait()

    @property
    def waiting(self) -> list[float]:
        """Seconds from now until each timer that is set."""
        return sorted(
            due - self.now for due, _, timer in self._timers if timer.callback is not None
        )

    async def step(self) -> None:
        """To the next timer, and no further: not to those that it sets for the same moment either."""
        await rest()
        while self._timers:
            due, _, timer = heappop(self._timers)
            if timer.callback is not None:
                self.now = max(self.now, due)
                timer.callback()
                break
        await rest()

    async def advance(self, seconds: float) -> None:
        until = self.now + seconds
        await rest()
        while self._timers and self._timers[0][0] <= until:
            due, _, timer = heappop(self._timers)
            self.now = max(self.now, due)
            if timer.callback is not None:
                timer.callback()
                await rest()
        self.now = until
        await rest()
