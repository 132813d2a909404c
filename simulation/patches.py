"""Replacing attributes of other people's modules while a simulation runs, and putting them back.

A patch is a value; a part of the simulation says which ones it needs, the loop applies them all when it
begins to run and takes them back when it stops. Nothing stays replaced between two runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import get_ident
from typing import Any, NamedTuple

from .errors import SimulationError


class Patch(NamedTuple):
    """`owner.name` is `value` while the simulation runs."""

    owner: Any
    name: str
    value: Any


_MISSING = object()
_running: list[int] = []
"""The thread whose simulation runs now: there is at most one in a process."""


@contextmanager
def applied(patches: Sequence[Patch]) -> Iterator[None]:
    """Replace them all for the time of the block.

    Raises SimulationError where another simulation runs in this process: they would share the patches.
    """
    if _running:
        raise SimulationError(
            "another simulation runs in this process, and both would replace the same clocks and classes: "
            "run simulations one after the other, or in processes of their own."
        )
    _running.append(get_ident())
    before: list[Patch] = []
    try:
        for owner, name, value in patches:
            # From the class's own dictionary: a classmethod must come back as one.
            before.append(Patch(owner, name, vars(owner).get(name, _MISSING)))
            setattr(owner, name, value)
        yield
    finally:
        for owner, name, value in reversed(before):
            if value is _MISSING:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        _running.clear()


def in_simulation() -> bool:
    """Whether the calling thread is the one that runs the simulation."""
    return bool(_running) and _running[0] == get_ident()
