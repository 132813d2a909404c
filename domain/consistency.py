"""What a query may ask for, and what its answer says of itself."""

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from .messages import Position

R = TypeVar("R")

OnTimeout = Literal["raise", "stale"]


@dataclass(frozen=True, slots=True)
class Eventual:
    """Some committed prefix of the log: any replica, no wait."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Everything up to `position`: a replica that has it, else a wait for the one that will."""

    position: Position

    def __post_init__(self) -> None:
        if type(self.position) is not int or self.position < 0:
            raise ValueError(
                f"AtLeast({self.position!r}): a position is a whole number from 0. Pass receipt.position."
            )


@dataclass(frozen=True, slots=True)
class Strong:
    """Everything that was committed when the query began."""


Consistency = Eventual | AtLeast | Strong


@dataclass(frozen=True, slots=True)
class Freshness:
    """How fresh an answer is, as of the moment its rows were read."""

    position: Position
    """The rows reflect the log up to here, and nothing after."""
    behind_events: int
    """Committed events that the rows do not reflect."""
    behind_seconds: float
    """Age of the oldest of those; 0.0 when there are none."""
    replica: str
    """Which replica answered: `balances/2`."""
    stale: bool = False
    """The asked consistency was not reached in time and `on_timeout="stale"` allowed this answer."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """One row, or None where the view has none at that key."""

    row: R | None
    freshness: Freshness


@dataclass(frozen=True, slots=True)
class Answers(Generic[R]):
    """Rows in the asked order; without one, in the order of their keys. All of one position."""

    rows: tuple[R, ...]
    freshness: Freshness
