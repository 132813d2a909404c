"""One life of a node, from its start to its crash, as a context variable that all it starts inherits."""

from collections.abc import Callable
from contextvars import ContextVar


class Incarnation:
    """What runs in its context belongs to it; when it is dead, nothing of that runs any more."""

    __slots__ = ("alive", "clock_offset_seconds", "node", "number", "on_death")

    def __init__(self, node: str, number: int) -> None:
        self.node = node
        self.number = number
        self.alive = True
        self.clock_offset_seconds = 0.0
        """How far this node's clock is ahead of the simulation's."""
        self.on_death: list[Callable[[], None]] = []
        """What the world does at the crash (it closes files); not what the node would do."""

    def __repr__(self) -> str:
        return f"<Incarnation {self.node}#{self.number}{'' if self.alive else ' dead'}>"


CURRENT: ContextVar[Incarnation | None] = ContextVar("aftertide_incarnation", default=None)
"""None in whoever drives the simulation from outside all nodes."""
