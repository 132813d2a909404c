"""A clock that runs faster or slower than the world's: lags, ages and pauses keep their proportions.

What the processor and the disk do takes its real time, so at 10 times the speed a commit of 2 ms looks like
one of 20 ms.
"""

from collections.abc import Callable

from ..actors.clock import SystemClock
from ..domain.ports import Clock, TimerHandle

SLOWEST, FASTEST = 0.001, 1_000_000


class ScaledClock:
    """`scale` scenario seconds pass in one second of `real`; both read the same when this was made.

    Needs a running event loop. Raises ValueError for a scale outside a thousandth to a million.
    """

    def __init__(self, scale: float = 1.0, real: Clock | None = None) -> None:
        if not SLOWEST <= scale <= FASTEST:
            raise ValueError(
                f"time can't run {scale!r} times as fast: allowed are {SLOWEST} to {FASTEST}."
            )
        self.scale = scale
        self.real: Clock = real or SystemClock()
        self._began = self.real.time()
        self._began_monotonic = self.real.monotonic()

    def time(self) -> float:
        return self._began + (self.real.time() - self._began) * self.scale

    def monotonic(self) -> float:
        return self.real.monotonic() * self.scale

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle:
        return self.real.call_later(seconds / self.scale, callback)

    async def sleep(self, seconds: float) -> None:
        await self.real.sleep(seconds / self.scale)

    def real_seconds(self) -> float:
        """Real seconds since this clock was made: what a rate is measured by."""
        return self.real.monotonic() - self._began_monotonic
