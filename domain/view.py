"""A view as a value: a keyed fold from recorded events to typed rows."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from .annotations import annotated_types
from .lag import Lag
from .messages import RecordedEvent
from .rows import RowSchema

R = TypeVar("R")
E = TypeVar("E")
K = TypeVar("K")

MOST_REPLICAS = 64


class View(Generic[R, E, K]):
    """Rows of type `row`, one per key, each a fold of the events that concern its key.

    `apply(row, event, key)` is pure: it gets the row as the events before left it (None where there is
    none) and returns the new row, or None to delete it. `event` is a RecordedEvent; which event types it
    wants is read from its annotation `RecordedEvent[A | B]`, or given as `events`. All others only move the
    checkpoint on.

    `keys(event)` names the keys that an event concerns, any number of them; without it, the aggregate's
    id. `key` is the row's field that holds the key, or a tuple of fields. `indexes` are further fields, or
    tuples of fields, by which rows are searched. Raise `version` when `apply` changes its meaning: the
    rows are then built anew.

    Views compare by identity. Raises TypeError or ValueError with the reason where this does not fit.
    """

    __slots__ = ("apply", "events", "indexes", "key", "keys", "name", "row", "schema", "version")

    def __init__(
        self,
        name: str,
        *,
        row: type[R],
        key: str | tuple[str, ...],
        apply: Callable[[R | None, RecordedEvent[E], K], R | None],
        keys: Callable[[RecordedEvent[E]], Iterable[K]] | None = None,
        events: Sequence[type] = (),
        indexes: Sequence[str | tuple[str, ...]] = (),
        version: int = 1,
    ) -> None:
        for what, function in (("apply", apply), ("keys", keys or apply)):
            if not callable(function) or inspect.iscoroutinefunction(function):
                raise TypeError(
                    f"{what} of view {name!r} is {function!r}: it must be a plain function, not async. "
                    "Everything it may use comes with the event."
                )
        self.name = name
        self.row = row
        self.key = (key,) if isinstance(key, str) else tuple(key)
        self.apply = apply
        self.keys = keys
        self.indexes = tuple(
            (index,) if isinstance(index, str) else tuple(index) for index in indexes
        )
        self.version = version
        self.schema: RowSchema[R] = RowSchema.of(name, row, self.key, self.indexes)
        self.events = tuple(events) or annotated_types(apply, 1, inside=RecordedEvent)
        if not self.events:
            raise TypeError(
                f"view {name!r} does not say which events it takes: annotate apply's second parameter as "
                "RecordedEvent[A | B], or pass events=(A, B)."
            )
        if isinstance(version, bool) or not isinstance(version, int) or version < 1:
            raise ValueError(
                f"the version of view {name!r} is {version!r}: it must be a whole number from 1."
            )

    def __repr__(self) -> str:
        return f"<View {self.name}>"

    def replicas(self, count: int, *, lag: "Lag | Sequence[Lag]" = Lag.none()) -> "Replicas":  # noqa: B008
        """This view kept `count` times, each replica with its own read store and its own lag."""
        lags = (lag,) * count if isinstance(lag, Lag) else tuple(lag)
        return Replicas(self, count, lags)

    def with_lag(self, lag: Lag) -> "Replicas":
        """This view kept once, with a lag."""
        return self.replicas(1, lag=lag)

    def fold(self, events: Iterable[RecordedEvent[Any]]) -> dict[Any, R]:
        """All rows by key after these events: what a replica at the last one's position must hold."""
        rows: dict[Any, R] = {}
        wanted = frozenset(self.events)
        for event in events:
            if type(event.event) in wanted:
                for key in self.keys_of(event):
                    row = self.apply(rows.get(key), event, key)
                    if row is None:
                        rows.pop(key, None)
                    else:
                        rows[key] = row
        return rows

    def keys_of(self, event: RecordedEvent[Any]) -> Iterable[Any]:
        return (event.id,) if self.keys is None else self.keys(event)


@dataclass(frozen=True, slots=True)
class Replicas:
    """Which view is kept, in how many replicas, with which lag each."""

    view: View[Any, Any, Any]
    count: int
    lags: tuple[Lag, ...]

    def __post_init__(self) -> None:
        if (
            isinstance(self.count, bool)
            or not isinstance(self.count, int)
            or not 1 <= self.count <= MOST_REPLICAS
        ):
            raise ValueError(
                f"view {self.view.name!r} can't have {self.count!r} replicas: allowed are 1 to {MOST_REPLICAS}."
            )
        if len(self.lags) != self.count:
            raise ValueError(
                f"view {self.view.name!r} has {self.count} replicas and {len(self.lags)} lags: "
                "give one lag for all or one for each."
            )
        for lag in self.lags:
            if not isinstance(lag, Lag):
                raise TypeError(
                    f"{lag!r} is no lag: use Lag.constant(0.1), Lag.exponential(0.04), …"
                )
