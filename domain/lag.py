"""Lag models: how long after its commit an event becomes visible in a replica. All times are in seconds.

A model is a value; `sampler` binds it to a seeded generator. Equal seeds give equal delays.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import ClassVar

LONGEST_SECONDS = 31_536_000.0
"""A year: a longer delay is taken for a mistake."""


class Lag:
    """A distribution of delays from commit to visibility. Make one with the class methods below."""

    __slots__ = ()
    kind: ClassVar[str]

    @classmethod
    def none(cls) -> "Constant":
        """No delay beyond the work itself."""
        return Constant(0.0)

    @classmethod
    def constant(cls, seconds: float) -> "Constant":
        return Constant(seconds)

    @classmethod
    def uniform(cls, low: float, high: float) -> "Uniform":
        return Uniform(low, high)

    @classmethod
    def exponential(cls, mean: float) -> "Exponential":
        return Exponential(mean)

    @classmethod
    def lognormal(cls, median: float, sigma: float) -> "Lognormal":
        """Median in seconds; sigma is the standard deviation of the delay's natural logarithm."""
        return Lognormal(median, sigma)

    @classmethod
    def trace(cls, seconds: Iterable[float]) -> "Trace":
        """Recorded delays, used in their order and then from the start again."""
        return Trace(tuple(seconds))

    @classmethod
    def parse(cls, text: str) -> "Lag":
        """The model that `str(lag)` wrote: `none`, `constant:0.5`, `uniform:0.1,0.5`, `exponential:0.04`,
        `lognormal:0.04,0.5`, `trace:0.1,0.2,0.3`. Raises ValueError with the forms that are allowed.
        """
        kind, _, rest = text.strip().partition(":")
        if kind == "none" and not rest:
            return cls.none()
        try:
            numbers = [float(part) for part in rest.split(",")] if rest else []
            match kind, numbers:
                case "constant", [seconds]:
                    return Constant(seconds)
                case "uniform", [low, high]:
                    return Uniform(low, high)
                case "exponential", [mean]:
                    return Exponential(mean)
                case "lognormal", [median, sigma]:
                    return Lognormal(median, sigma)
                case "trace", [_, *_]:
                    return Trace(tuple(numbers))
        except ValueError as error:
            raise ValueError(f"{text!r} is no lag: {error}. {_FORMS}") from None
        raise ValueError(f"{text!r} is no lag. {_FORMS}")

    def sampler(self, random: Random) -> Callable[[], float]:
        """A function that draws the next delay, in seconds, never negative."""
        raise NotImplementedError

    @property
    def is_none(self) -> bool:
        return False


_FORMS = (
    "Write none, constant:SECONDS, uniform:LOW,HIGH, exponential:MEAN, lognormal:MEDIAN,SIGMA "
    "or trace:A,B,C…"
)


def _check(name: str, value: float, *, positive: bool = False) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds, not {value!r}.")
    if (
        not math.isfinite(value)
        or value < 0
        or value > LONGEST_SECONDS
        or (positive and value == 0)
    ):
        least = "more than 0" if positive else "0"
        raise ValueError(
            f"{name} is {value!r}: allowed are {least} to {LONGEST_SECONDS:g} seconds."
        )


@dataclass(frozen=True, slots=True)
class Constant(Lag):
    seconds: float
    kind: ClassVar[str] = "constant"

    def __post_init__(self) -> None:
        _check("a constant lag", self.seconds)

    def sampler(self, random: Random) -> Callable[[], float]:
        return lambda: self.seconds

    @property
    def is_none(self) -> bool:
        return self.seconds == 0

    def __str__(self) -> str:
        return f"constant:{self.seconds!r}" if self.seconds else "none"


@dataclass(frozen=True, slots=True)
class Uniform(Lag):
    low: float
    high: float
    kind: ClassVar[str] = "uniform"

    def __post_init__(self) -> None:
        _check("the low end of a uniform lag", self.low)
        _check("the high end of a uniform lag", self.high)
        if self.low > self.high:
            raise ValueError(
                f"a uniform lag from {self.low!r} to {self.high!r}: low must not exceed high."
            )

    def sampler(self, random: Random) -> Callable[[], float]:
        return lambda: random.uniform(self.low, self.high)

    def __str__(self) -> str:
        return f"uniform:{self.low!r},{self.high!r}"


@dataclass(frozen=True, slots=True)
class Exponential(Lag):
    mean: float
    kind: ClassVar[str] = "exponential"

    def __post_init__(self) -> None:
        _check("the mean of an exponential lag", self.mean, positive=True)

    def sampler(self, random: Random) -> Callable[[], float]:
        return lambda: min(random.expovariate(1 / self.mean), LONGEST_SECONDS)

    def __str__(self) -> str:
        return f"exponential:{self.mean!r}"


@dataclass(frozen=True, slots=True)
class Lognormal(Lag):
    median: float
    sigma: float
    kind: ClassVar[str] = "lognormal"

    def __post_init__(self) -> None:
        _check("the median of a lognormal lag", self.median, positive=True)
        _check("the sigma of a lognormal lag", self.sigma)
        if self.sigma > 10:
            raise ValueError(
                f"the sigma of a lognormal lag is {self.sigma!r}: allowed are 0 to 10."
            )

    def sampler(self, random: Random) -> Callable[[], float]:
        mu = math.log(self.median)
        return lambda: min(random.lognormvariate(mu, self.sigma), LONGEST_SECONDS)

    def __str__(self) -> str:
        return f"lognormal:{self.median!r},{self.sigma!r}"


@dataclass(frozen=True, slots=True)
class Trace(Lag):
    seconds: tuple[float, ...] = field(default=())
    kind: ClassVar[str] = "trace"

    def __post_init__(self) -> None:
        if not self.seconds:
            raise ValueError("a recorded trace needs at least one delay.")
        for delay in self.seconds:
            _check("a delay of a recorded trace", delay)

    def sampler(self, random: Random) -> Callable[[], float]:
        position = -1

        def draw() -> float:
            nonlocal position
            position = (position + 1) % len(self.seconds)
            return self.seconds[position]

        return draw

    def __str__(self) -> str:
        return "trace:" + ",".join(repr(delay) for delay in self.seconds)
