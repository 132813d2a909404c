"""One order for what others order by memory address, and one moment for what the garbage collector does.

anyio keeps cancel scopes, tasks and events in sets and walks through them: equal seeds would cancel in
different orders. While a simulation runs, scopes and events are made by subclasses whose hash is their
number in order of creation; tasks have such a hash anyway (see steps.py).

The collector comes when enough objects were made since it came last, by whomever, and then finalizers run:
generators are closed, lost tasks end. So it is switched off, and the loop calls it after so many steps.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Self

from anyio._backends import _asyncio as anyio_asyncio

from .patches import Patch

if TYPE_CHECKING:
    from .loop import SimulationLoop

_next_number = count().__next__
"""Replaced by the running loop's own: a second run in this process must begin with the same numbers."""


class OrderedCancelScope(anyio_asyncio.CancelScope):
    """A cancel scope whose hash is its number."""

    __slots__ = ("_number",)

    _number: int

    # In __new__ and not in __init__, which anyio.CancelScope(…) runs twice.
    def __new__(cls, *, deadline: float = float("inf"), shield: bool = False) -> Self:
        self = object.__new__(cls)
        self._number = _next_number()
        return self

    def __hash__(self) -> int:
        return self._number


class OrderedEvent(anyio_asyncio.Event):
    """An event whose hash is its number."""

    __slots__ = ("_number",)

    _number: int

    def __new__(cls) -> Self:
        self = object.__new__(cls)
        self._number = _next_number()
        return self

    def __hash__(self) -> int:
        return self._number


def ordering_patches(loop: "SimulationLoop") -> list[Patch]:
    """What this loop needs replaced in anyio."""
    return [
        Patch(sys.modules[__name__], "_next_number", count().__next__),
        Patch(anyio_asyncio, "CancelScope", OrderedCancelScope),
        Patch(anyio_asyncio, "Event", OrderedEvent),
    ]


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """No garbage collection of its own inside the block; one that is asked for looks at what was made in it."""
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()  # so that asking costs little
    try:
        yield
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()
