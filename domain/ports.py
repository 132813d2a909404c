"""What the actors need of the world: an event store, read stores, a clock.

Each port is a Protocol; each implementation is one file in stores/ or actors/clock.py and passes the
port's contract class in tests/contracts/.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import msgspec

from .messages import Append, Commit, NewEvent, Position, StreamKey, Version

if TYPE_CHECKING:
    from asyncio import Future

    from .select import Select
    from .view import View

StoredRow = tuple[Position, StreamKey, Version, int, int, str, str, bytes | str]
"""position, stream key, version, type key, recorded at (Unix µs), command id, context, data."""


class StoredPage(msgspec.Struct, frozen=True, gc=False):
    """Consecutive rows of the log, in position order, and the names behind their keys."""

    rows: Sequence[StoredRow]
    streams: Mapping[StreamKey, tuple[str, str]]
    """Holds at least the streams of these rows."""
    types: Mapping[int, str]
    """Holds at least the types of these rows."""
    head: Position
    """The head of the log when the page was read."""


class LoadedStream(msgspec.Struct, frozen=True, gc=False):
    """Events of one stream after a version, as stored."""

    stream_key: StreamKey
    """0 where the stream does not exist."""
    version: Version
    """Version of the last row, or the one asked after where there are none."""
    rows: Sequence[tuple[str, bytes | str, int]]
    """type name, data, position; in version order."""
    complete: bool
    """False when the stream has, or may have, more events than are here."""


class EventStore(Protocol):
    """The write database.

    Guarantees: a batch is one transaction; positions are assigned inside it, dense and in commit order;
    an append is all or nothing; one whose expected version is not the stream's version writes nothing
    and leaves the others of its batch alone. When `append`'s future is done without an error, the events
    survive a crash of the process, and with the default durability of the machine.
    """

    @property
    def database_id(self) -> str:
        """Names this log for ever; read stores keep it to know whose checkpoint they hold."""
        ...

    def append(self, batch: Sequence[Append], recorded_at: float) -> "Future[Commit]":
        """Start the transaction at once and return a future of its outcome; at most one may be under way.

        Nobody's cancellation reaches it. Fails with StoreUnavailable, and then nothing was written.
        """
        ...

    def load(
        self, streams: Sequence[tuple[str, str, Version]], limit: int
    ) -> "Future[Sequence[LoadedStream]]":
        """For each (category, id, after version) its next events, at most `limit` over all of them.

        Starts at once. Sees every append that was done when it was called. What the limit cut off is
        said by `complete=False`; ask again after the version that came.
        """
        ...

    def read(self, after: Position, limit: int) -> Awaitable[StoredPage]:
        """At most `limit` rows after a position."""
        ...

    def read_stream(
        self, category: str, id: str, after: Version, limit: int
    ) -> Awaitable[StoredPage]:
        """At most `limit` rows of one stream after a version, in version order."""
        ...

    def head(self) -> Awaitable[Position]:
        """The last position that is committed, by any process."""
        ...

    def statistics(self) -> "EventStoreStatistics": ...

    def aclose(self) -> Awaitable[None]: ...


@runtime_checkable
class ImmediateEventStore(EventStore, Protocol):
    """An event store that needs no waiting: its appends are done when they return."""

    def append_at_once(
        self,
        category: str,
        id: str,
        expected_version: Version,
        events: Sequence[NewEvent],
        stream_key: StreamKey,
        recorded_at: float,
    ) -> tuple[Position, StreamKey]:
        """Append to one stream; the last event's position and the stream's key.

        Raises ConcurrencyConflict, and then nothing was written.
        """
        ...


class EventStoreStatistics(NamedTuple):
    """Counted since the store was opened."""

    transactions: int
    """Transactions that committed something."""
    thread_hops: int
    """Calls handed to the writer's thread; 0 where there is none."""
    events: int
    """Events committed."""


class ReadStore(Protocol):
    """One replica of one view: rows and the checkpoint that says what they reflect.

    Guarantees: `put` moves rows and checkpoint in one transaction; `select` and `get` see both as of one
    moment. Keys are scalars, or tuples for a view with several key columns.
    """

    @property
    def checkpoint(self) -> Position:
        """The position the committed rows reflect. Never ahead of them."""
        ...

    @property
    def rebuilt(self) -> bool:
        """Opening found rows of another form or version and dropped them: they are built anew."""
        ...

    def put(self, changes: Mapping[Any, Any], position: Position) -> Awaitable[None]:
        """Write rows (None deletes) and the checkpoint, all or nothing.

        Raises InvariantViolation, and writes nothing, for a position that is not ahead of the checkpoint.
        """
        ...

    def get(self, keys: Sequence[Any]) -> Awaitable[Mapping[Any, Any]]:
        """The rows that exist among these keys, as of the checkpoint."""
        ...

    def select(self, query: "Select") -> Awaitable[tuple[Position, Sequence[Any]]]:
        """Rows that match, and the position they reflect."""
        ...

    def aclose(self) -> Awaitable[None]: ...


class ReadStoreFactory(Protocol):
    """Opens the read store of one replica, empty or as it was left."""

    def __call__(
        self, view: "View[Any, Any, Any]", replica: int, database_id: str
    ) -> Awaitable[ReadStore]: ...


class TimerHandle(Protocol):
    def cancel(self) -> None: ...


class Clock(Protocol):
    """The only source of time."""

    def time(self) -> float:
        """Unix seconds. It may jump when somebody sets the machine's clock."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment. It never jumps."""
        ...

    def call_later(self, seconds: float, callback: Callable[[], None]) -> TimerHandle: ...

    async def sleep(self, seconds: float) -> None: ...
