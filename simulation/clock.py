"""The Clock port in virtual time, with a skew for each node."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from .incarnation import CURRENT

if TYPE_CHECKING:
    from .loop import SimulationLoop

EPOCH_SECONDS = 1_767_225_600.0
"""Unix time at which every simulation begins: 2026-01-01T00:00:00Z."""


class SimulationClock:
    """Unix time begins at EPOCH_SECONDS, and is ahead by what the calling node's clock is ahead."""

    def __init__(self, loop: "SimulationLoop") -> None:
        self._loop = loop
        self.monotonic: Callable[[], float] = loop.time

    def time(self) -> float:
        incarnation = CURRENT.get()
        offset = 0.0 if incarnation is None else incarnation.clock_offset_seconds
        return EPOCH_SECONDS + self._loop.time() + offset

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return self._loop.call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
