"""Putting idle aggregates to sleep: what has no commands leaves memory, its stream stays.

Runs from a timer, in slices, and touches only aggregates that are idle at that moment: nothing waits in
their mailbox and nothing of them is on its way to the disk. So it never races a command.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from ..domain.limits import Limits
from ..domain.ports import Clock, TimerHandle
from .aggregate import Aggregate, Kind

SLICE = 2_000
"""Aggregates looked at before the event loop serves others: about half a millisecond."""


class Passivation:
    """Passivates what was idle for `Limits.idle_seconds`, and what exceeds `Limits.active_aggregates`."""

    def __init__(self, kinds: Sequence[Kind], clock: Clock, limits: Limits) -> None:
        self._kinds = kinds
        self._clock = clock
        self._limits = limits
        self._timer: TimerHandle | None = None
        self._sweeping: list[tuple[Kind, list[Aggregate]]] = []
        self.passivations = 0

    def start(self) -> None:
        self._again(self._limits.idle_seconds / 2, self._begin)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def relieve(self) -> None:
        """Called after each slice of turns: make room where a decider has more active than it may."""
        most = self._limits.active_aggregates
        for kind in self._kinds:
            if len(kind.active) > most:
                # An eighth more than needed, so that this is not asked for by every command. In the order
                # of activation: the oldest first, and those with a command in this epoch last.
                self._shrink(kind, len(kind.active) - most + most // 8)

    def _shrink(self, kind: Kind, surplus: int) -> None:
        idle = [
            aggregate
            for aggregate in islice(kind.active.values(), 2 * surplus + SLICE)
            if aggregate.idle
        ]
        idle.sort(key=lambda aggregate: aggregate.touched)
        self._passivate(kind, idle[:surplus])

    def _begin(self) -> None:
        for kind in self._kinds:
            self._sweeping.append((kind, list(kind.active.values())))
            kind.epoch += 1
        self._sweep()

    def _sweep(self) -> None:
        while self._sweeping:
            kind, aggregates = self._sweeping[-1]
            part = aggregates[-SLICE:]
            del aggregates[-SLICE:]
            if not aggregates:
                self._sweeping.pop()
            # An epoch is half of `idle_seconds`, and a command may have come at its very end: only after
            # two more that are whole was it idle for as long as it is promised.
            self._passivate(kind, (a for a in part if a.touched < kind.epoch - 2 and a.idle))
            if self._sweeping:
                self._again(0.0, self._sweep)
                return
        self._again(self._limits.idle_seconds / 2, self._begin)

    def _passivate(self, kind: Kind, aggregates: Iterable[Aggregate]) -> None:
        for aggregate in aggregates:
            # It may have been abandoned and replaced by a new activation since it was listed.
            if kind.active.get(aggregate.id) is aggregate:
                del kind.active[aggregate.id]
                self.passivations += 1

    def _again(self, seconds: float, callback: Callable[[], None]) -> None:
        self._timer = self._clock.call_later(seconds, callback)
