"""One timed stretch: wall clock, CPU, fsync calls, latencies. The same for all sides."""

import gc
import time

from .disks import fsync_calls
from .figures import Figures, latency_figures


class Meter:
    """Made when the warm-up is over; `stop` ends the stretch, `also` reads the clock once more."""

    def __init__(self) -> None:
        # What the warm-up left is collected before, on every side; the collector stays on.
        gc.collect()
        self.latencies: list[float] = []
        """Seconds, one per command, appended by the clients."""
        self._fsyncs = fsync_calls()
        self._cpu = time.process_time()
        self._started = time.perf_counter()
        self._seconds = 0.0

    def stop(self) -> float:
        """Seconds since the start; the first call is what rates are computed from."""
        self._seconds = time.perf_counter() - self._started
        return self._seconds

    def also(self) -> float:
        """Seconds since the start, without ending anything."""
        return time.perf_counter() - self._started

    def figures(self, commands: int) -> Figures:
        """Rates and latencies of the stretch; CPU includes what ran until now in all threads."""
        figures: Figures = {
            "commands": float(commands),
            "seconds": self._seconds,
            "commands_per_second": commands / self._seconds,
            "cpu_us_per_command": (time.process_time() - self._cpu) / commands * 1e6,
        }
        if self.latencies:
            figures |= latency_figures(self.latencies)
        now = fsync_calls()
        if now is not None and self._fsyncs is not None:
            figures["fsyncs_per_1000"] = (now - self._fsyncs) / commands * 1_000
        return figures
