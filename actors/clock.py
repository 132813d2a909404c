"""The one real clock. Everything else that needs time takes a Clock."""

import asyncio
import time
from collections.abc import Callable


class SystemClock:
    """Wall time for what is recorded, the event loop's own time for waiting."""

    time = staticmethod(time.time)

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, seconds: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, callback)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
