"""Waking aggregates up: everything that became active in one slice is read in one go.

New streams cost one look-up each; long ones are read page by page, and others that wait are served between
the pages. One read is under way at a time, so that what waits meanwhile shares the next one.
"""

from asyncio import Future
from collections.abc import Callable, Sequence

from ..domain.errors import AftertideError, InvariantViolation, StreamUnreadable, described
from ..domain.limits import Limits
from ..domain.messages import Position
from ..domain.ports import EventStore, LoadedStream
from .aggregate import Aggregate, OnTrouble
from .dispatcher import Dispatcher

MOST_STREAMS = 256
"""Streams in one read: bounds how long the first of them waits for the last."""


class Activation:
    """Reads the state of aggregates that have commands waiting and nothing to decide them on."""

    def __init__(
        self,
        store: EventStore,
        dispatcher: Dispatcher,
        limits: Limits,
        on_trouble: OnTrouble,
        observe: Callable[[Position], None],
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._limits = limits
        self._on_trouble = on_trouble
        self._observe = observe
        self._waiting: list[Aggregate] = []
        self._reading: list[Aggregate] | None = None
        self.activations = 0

    @property
    def idle(self) -> bool:
        return not self._waiting and self._reading is None

    def request(self, aggregate: Aggregate) -> None:
        """Read the aggregate's state; it gets a turn when it is there."""
        self._waiting.append(aggregate)
        self._dispatcher.schedule()

    def flush(self) -> None:
        while self._reading is None and self._waiting:
            batch = self._reading = self._waiting[:MOST_STREAMS]
            del self._waiting[:MOST_STREAMS]
            wanted = [(a.kind.category, a.id, a.version) for a in batch]
            try:
                loading = self._store.load(wanted, self._limits.load_events)
            except Exception as error:  # noqa: BLE001 - a store that can't even begin
                self._failed(batch, error)
                continue
            if not loading.done():
                loading.add_done_callback(self._finish)
                return
            self._finish(loading, flush=False)

    def _finish(self, loading: "Future[Sequence[LoadedStream]]", *, flush: bool = True) -> None:
        batch = self._reading or []
        if loading.cancelled():
            self._failed(batch, InvariantViolation("the event store dropped a read."))
        elif (error := loading.exception()) is not None:
            self._failed(batch, error)
        else:
            self._reading = None
            for aggregate, stream in zip(batch, loading.result(), strict=True):
                self._activate(aggregate, stream)
        if flush:
            self.flush()
        if self._dispatcher.draining:
            self._dispatcher.schedule()

    def _activate(self, aggregate: Aggregate, stream: LoadedStream) -> None:
        kind = aggregate.kind
        try:
            state = kind.types.fold(kind.decider, aggregate.state, stream.rows, aggregate.stream)
        except Exception as error:  # noqa: BLE001 - evolve and decoding are the user's: one stream must not stop the others
            failed = self._unreadable(aggregate, error)
            self._on_trouble("aggregate.unreadable", aggregate, failed)
            aggregate.abandon(failed)
            return
        if stream.rows:
            # Another process may have written it. A receipt without events names a position at which all is
            # visible that the decision rested on, and projections must know that there is something to read.
            self._observe(Position(stream.rows[-1][2]))
        if stream.complete:
            self.activations += 1
            aggregate.activated(state, stream.version, stream.stream_key)
        else:
            aggregate.state, aggregate.version = state, stream.version
            self._waiting.append(aggregate)

    def _failed(self, batch: list[Aggregate], error: BaseException) -> None:
        self._reading = None
        if not isinstance(error, AftertideError):
            bug = InvariantViolation(
                f"the event store failed: {described(error)}. Please report this."
            )
            bug.__cause__ = error
            error = bug
        for aggregate in batch:
            self._on_trouble("aggregate.unreadable", aggregate, error)
            aggregate.abandon(error)

    def _unreadable(self, aggregate: Aggregate, error: Exception) -> Exception:
        if isinstance(error, AftertideError):
            return error
        unreadable = StreamUnreadable(aggregate.stream, aggregate.version, error)
        unreadable.__cause__ = error
        return unreadable
