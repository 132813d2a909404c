"""What happened, event by event: every step, every callback, every move of the clock, as whole numbers.

    -n         the clock moved to n nanoseconds
    2k         a step of the k-th task
    2k + 1     the k-th label: a callback's name, or what a part of the simulation noted

Two runs took the same way exactly when their traces have the same digest; where not, the first difference
says at which event and what each did there.
"""

import hashlib
import sys
from array import array
from collections.abc import Iterator
from typing import NamedTuple


class Difference(NamedTuple):
    """The first event that differs, what each run did there, and the events both had before it."""

    place: int
    first: str
    second: str
    before: tuple[str, ...]

    def __str__(self) -> str:
        same = "".join(f"\n    both:   {line}" for line in self.before)
        return f"event {self.place} differs:{same}\n    first:  {self.first}\n    second: {self.second}"


class Trace:
    """A run's events, and the names behind their numbers."""

    __slots__ = ("_codes", "events", "labels", "tasks")

    def __init__(self) -> None:
        self.events = array("q")
        self.labels: list[str] = []
        self.tasks: list[str] = []
        self._codes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.events)

    def code(self, label: str) -> int:
        """The number under which a label is recorded."""
        code = self._codes.get(label)
        if code is None:
            code = self._codes[label] = len(self.labels) << 1 | 1
            self.labels.append(label)
        return code

    def note(self, label: str) -> None:
        """Record that something happened outside a step: a store was called, a fault struck."""
        self.events.append(self.code(label))

    def digest(self) -> str:
        """16 hexadecimal digits over all events and names: equal for equal runs, on any machine."""
        hashed = hashlib.blake2b(digest_size=8)
        events = self.events
        if sys.byteorder == "big":
            events = events[:]
            events.byteswap()
        hashed.update(events.tobytes())
        hashed.update("\n".join([*self.labels, "", *self.tasks]).encode("utf-8", "surrogatepass"))
        return hashed.hexdigest()

    def lines(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """The events as text, one line each."""
        for event in self.events[start:stop]:
            if event < 0:
                yield f"clock {-event / 1e9:.9f}"
            elif event & 1:
                yield f"call  {self.labels[event >> 1]}"
            else:
                yield f"step  {self.tasks[event >> 1]}"

    def difference(self, other: "Trace") -> Difference | None:
        """Where two runs parted, or None where they did not."""
        return first_difference(list(self.lines()), list(other.lines()))


def first_difference(first: list[str], second: list[str]) -> Difference | None:
    """Where two traces written as lines parted, or None where they did not."""
    if first == second:
        return None
    shorter = min(len(first), len(second))
    index = next((i for i in range(shorter) if first[i] != second[i]), shorter)
    ended = "(it had ended)"
    return Difference(
        index,
        first[index] if index < len(first) else ended,
        second[index] if index < len(second) else ended,
        tuple(first[max(0, index - 5) : index]),
    )
