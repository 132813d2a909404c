"""How far each projection was behind the log while a scenario ran, and that as a small plot.

Pure but for `watch`, which looks at the runtime's statistics by the scenario's clock.
"""

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from aftertide import Runtime

from ..domain.ports import Clock
from .report import Measured

N = TypeVar("N", int, float)

MOST_SAMPLES = 512
_BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Behind:
    """How far one replica was behind: the age of the oldest event it had not applied, and how many those were."""

    replica: str
    median_seconds: float
    peak_seconds: float
    peak_events: int


@dataclass(slots=True)
class LagRecord:
    """Samples in the order of time, one list per projection, at equal intervals.

    When there are MOST_SAMPLES, neighbours are merged into their larger and the interval doubles: a run
    of any length costs the same memory.
    """

    every_seconds: float
    seconds: dict[str, list[float]] = field(default_factory=dict)
    """Age of the oldest event that the projection has not applied."""
    events: dict[str, list[int]] = field(default_factory=dict)
    """How many events it has not applied."""
    watched_seconds: float = 0.0

    def add(self, behind: Iterable[tuple[str, float, int]]) -> None:
        """One sample of every projection: (name, seconds, events)."""
        for name, seconds, events in behind:
            self.seconds.setdefault(name, []).append(seconds)
            self.events.setdefault(name, []).append(events)
        if any(len(samples) >= MOST_SAMPLES for samples in self.seconds.values()):
            self.seconds = {name: merged(samples, 2) for name, samples in self.seconds.items()}
            self.events = {name: merged(samples, 2) for name, samples in self.events.items()}
            self.every_seconds *= 2

    async def watch(self, runtime: Runtime, clock: Clock) -> None:
        """Sample until cancelled."""
        began = clock.monotonic()
        while True:
            self.add(
                (name, each.behind_seconds, each.behind_events)
                for name, each in runtime.statistics().projections.items()
            )
            self.watched_seconds = clock.monotonic() - began
            await clock.sleep(self.every_seconds)

    @property
    def peak_seconds(self) -> float:
        """How far any of them was behind, at the most."""
        return max((max(samples) for samples in self.seconds.values()), default=0.0)

    def summary(self) -> list[Behind]:
        """How far each was behind."""
        return [
            Behind(name, statistics.median(seconds), max(seconds), max(self.events[name]))
            for name, seconds in self.seconds.items()
        ]

    def report(self) -> list[Measured]:
        """All of it, for the JSON report."""
        return [
            {
                "projection": each.replica,
                "median_seconds": each.median_seconds,
                "peak_seconds": each.peak_seconds,
                "peak_events": each.peak_events,
                "sampled_every_seconds": self.every_seconds,
                "behind_seconds": [*self.seconds[each.replica]],
                "behind_events": [*self.events[each.replica]],
            }
            for each in self.summary()
        ]

    def plot(self, projection: str, *, width: int = 60, height: int = 6) -> list[str]:
        """The seconds behind over time, as lines of text."""
        samples = self.seconds.get(projection, [])
        return plot_lines(samples, self.watched_seconds, width=width, height=height)


def merged(samples: Sequence[N], by: int) -> list[N]:
    """Of each `by` neighbours the largest."""
    return [max(samples[i : i + by]) for i in range(0, len(samples), by)]


def plot_lines(values: Sequence[float], duration: float, *, width: int, height: int) -> list[str]:
    """Bars of seconds over a duration in seconds; the axis says the peak in the unit that suits it."""
    if not values:
        return ["  (nothing was sampled)"]
    columns = min(width, len(values))
    edges = [i * len(values) // columns for i in range(columns + 1)]
    bars = [max(values[a:b]) for a, b in itertools.pairwise(edges)]
    peak = max(bars)
    eighths = [round(bar / peak * height * 8) if peak else 0 for bar in bars]
    label = f"{peak:.2f} s" if peak >= 1 else f"{peak * 1000:.0f} ms"
    lines = []
    for level in range(height - 1, -1, -1):
        cells = "".join(_BLOCKS[min(8, max(0, eighth - level * 8))] for eighth in eighths)
        left = label if level == height - 1 else "0" if level == 0 else ""
        lines.append(f"  {left:>8} │{cells}".rstrip())
    end = f"{duration:.1f} s"
    lines.append("  " + " " * 9 + "└" + "─" * columns)
    lines.append("  " + " " * 10 + "0" + end.rjust(max(columns - 1, len(end) + 1)))
    return lines
