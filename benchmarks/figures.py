"""Numbers of several rounds and what may be said of them: median, spread, ratio, target.

Ratios are taken within a round and only then is their median taken. A machine that is slow for a
minute is slow for both sides of that round; the ratio of two medians would compare different
minutes.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Figures = dict[str, float]
"""What one run of one side measured, by name. The unit ends the name: `p99_us`."""


@dataclass(frozen=True, slots=True)
class Samples:
    """One number per round, in the order of the rounds. Raises ValueError when there is none."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("samples of no rounds: at least one round is needed (--rounds 1).")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        return min(self.values)

    @property
    def high(self) -> float:
        return max(self.values)

    def per(self, other: "Samples") -> "Samples":
        """Round by round, this divided by the other. Raises ValueError for other rounds."""
        return self._with(other, lambda mine, theirs: mine / theirs)

    def best(self, other: "Samples") -> "Samples":
        """Round by round, the larger of the two."""
        return self._with(other, max)

    def times(self, factor: float) -> "Samples":
        return Samples(tuple(value * factor for value in self.values))

    def _with(self, other: "Samples", combine: Callable[[float, float], float]) -> "Samples":
        if len(self.values) != len(other.values):
            raise ValueError(
                f"{len(self.values)} rounds can't be compared with {len(other.values)}: "
                "only sides of the same rounds can."
            )
        return Samples(tuple(map(combine, self.values, other.values)))


class Rounds:
    """What all sides of a question measured, by side; every side once per round."""

    def __init__(self, sides: Mapping[str, Sequence[Figures]]) -> None:
        self.sides = sides

    def samples(self, side: str, figure: str) -> Samples:
        """Raises KeyError naming what there is, for an unknown side or figure."""
        runs = self.sides[side]
        if any(figure not in run for run in runs):
            raise KeyError(f"side {side!r} has no figure {figure!r}: it has {', '.join(runs[0])}.")
        return Samples(tuple(run[figure] for run in runs))

    def has(self, side: str) -> bool:
        return side in self.sides


@dataclass(frozen=True, slots=True)
class Target:
    """A promise: the median must lie between `least` and `most`; `aim` is what we would like.

    `form` is how a value is printed: `{:.1f} x`, `{:.0%}`, `{:.0f} bytes`.
    """

    promise: str
    samples: Samples
    least: float | None = None
    most: float | None = None
    aim: float | None = None
    form: str = "{:.2f} x"

    @property
    def reached(self) -> bool:
        return self._holds(self.samples.median)

    @property
    def sure(self) -> bool:
        """Every round says what the median says."""
        return all(self._holds(value) == self.reached for value in self.samples.values)

    def _holds(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    @property
    def wanted(self) -> str:
        """The allowed range and the aim, as text."""
        bounds = [
            f"{sign} {self.form.format(bound)}"
            for sign, bound in ((">=", self.least), ("<=", self.most))
            if bound is not None
        ]
        aim = "" if self.aim is None else f" (aim {self.form.format(self.aim)})"
        return " and ".join(bounds) + aim


def percentile(sorted_values: Sequence[float], fraction: float) -> float:
    """Nearest rank on sorted values: the smallest that at least this fraction does not exceed.

    Raises ValueError for no values or a fraction outside 0 < fraction <= 1.
    """
    if not sorted_values:
        raise ValueError("a percentile of no values: something must have been measured.")
    if not 0 < fraction <= 1:
        raise ValueError(f"{fraction!r} is no fraction: it must be more than 0 and at most 1.")
    rank = -(-len(sorted_values) * round(fraction * 1_000_000) // 1_000_000)
    return sorted_values[max(rank, 1) - 1]


def latency_figures(seconds: Sequence[float]) -> Figures:
    """p50, p99 and the longest, in microseconds."""
    ordered = sorted(seconds)
    return {
        "p50_us": percentile(ordered, 0.50) * 1e6,
        "p99_us": percentile(ordered, 0.99) * 1e6,
        "longest_us": ordered[-1] * 1e6,
    }
