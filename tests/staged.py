"""A runtime on stores that do what a test tells them: held, failing, torn at a moment of its choice."""

from asyncio import Future, get_running_loop
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, cast

from aftertide import Runtime
from aftertide.domain.messages import Append, Commit, Position, Version
from aftertide.domain.ports import (
    EventStore,
    EventStoreStatistics,
    LoadedStream,
    ReadStore,
    ReadStoreFactory,
    StoredPage,
)
from aftertide.domain.view import View
from aftertide.stores.memory_events import MemoryEventStore
from aftertide.stores.memory_rows import MemoryReadStore


class StagedEventStore:
    """The log in memory, but an append is under way until the test lets it end.

    With `held = False` it ends by itself, in the next turn of the event loop. It has no
    `append_at_once`: what runs on it takes the way of a store on disk.
    """

    def __init__(self) -> None:
        self.log = MemoryEventStore(Random(1))
        self.held = False
        self.hold_loads = False
        self.batches: list[list[str]] = []
        """The streams of each append that began."""
        self.loads: list[list[tuple[str, Version]]] = []
        """The streams, and the versions after which, of each load that began."""
        self.failures: list[Exception] = []
        """What the next appends fail with, one each, having written nothing."""
        self.read_failures: list[Exception] = []
        self.under_way: Future[Commit] | None = None
        self._batch: Sequence[Append] = ()
        self._recorded_at = 0.0
        self.loading: Future[Sequence[LoadedStream]] | None = None
        self._load: tuple[Sequence[tuple[str, str, Version]], int]

    @property
    def database_id(self) -> str:
        return self.log.database_id

    def append(self, batch: Sequence[Append], recorded_at: float) -> "Future[Commit]":
        assert self.under_way is None, "one append at a time"
        self.batches.append([append.stream for append in batch])
        self._batch, self._recorded_at = batch, recorded_at
        self.under_way = get_running_loop().create_future()
        if not self.held:
            get_running_loop().call_soon(self.end)
        return self.under_way

    def end(self, error: Exception | None = None) -> None:
        """The append that is under way is committed, or fails with `error`."""
        future, self.under_way = self.under_way, None
        assert future is not None, "no append is under way"
        if error is None and self.failures:
            error = self.failures.pop(0)
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(self.log.append(self._batch, self._recorded_at).result())

    def load(
        self, streams: Sequence[tuple[str, str, Version]], limit: int
    ) -> "Future[Sequence[LoadedStream]]":
        self.loads.append([(id, after) for _, id, after in streams])
        future: Future[Sequence[LoadedStream]] = get_running_loop().create_future()
        self.loading, self._load = future, (streams, limit)
        if not self.hold_loads:
            get_running_loop().call_soon(self.end_load)
        return future

    def end_load(self, error: Exception | None = None) -> None:
        future, (streams, limit) = self.loading, self._load
        assert future is not None, "no load is under way"
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(self.log.load(streams, limit).result())

    def let_go(self) -> None:
        """Hold nothing any more, and end what is under way: a test that failed must not wait for ever."""
        self.held = self.hold_loads = False
        if self.under_way is not None:
            self.end()
        if self.loading is not None and not self.loading.done():
            self.end_load()

    async def read(self, after: Position, limit: int) -> StoredPage:
        if self.read_failures:
            raise self.read_failures.pop(0)
        return await self.log.read(after, limit)

    async def read_stream(self, category: str, id: str, after: Version, limit: int) -> StoredPage:
        return await self.log.read_stream(category, id, after, limit)

    async def head(self) -> Position:
        return await self.log.head()

    def statistics(self) -> EventStoreStatistics:
        return self.log.statistics()

    async def aclose(self) -> None:
        """The log is kept for the next runtime, as a file would be."""


class StagedReadStore(MemoryReadStore):
    """Rows in memory; each put can be made to fail, before it wrote or after."""

    def __init__(self, view: View[Any, Any, Any]) -> None:
        super().__init__(view)
        self.fail_before: list[Exception] = []
        self.fail_after: list[Exception] = []
        self.puts: list[tuple[dict[Any, Any], Position]] = []

    async def put(self, changes: Mapping[Any, Any], position: Position) -> None:
        if self.fail_before:
            raise self.fail_before.pop(0)
        await super().put(changes, position)
        self.puts.append((dict(changes), position))
        if self.fail_after:
            raise self.fail_after.pop(0)


class StagedReadStores:
    """A ReadStoreFactory; `stores` holds what it opened, by name of the replica."""

    def __init__(self) -> None:
        self.stores: dict[str, StagedReadStore] = {}

    async def __call__(
        self, view: View[Any, Any, Any], replica: int, database_id: str
    ) -> ReadStore:
        name = f"{view.name}/{replica}"
        # Kept over runtimes, as a file would be.
        return self.stores.setdefault(name, StagedReadStore(view))


class _Staged(Runtime):
    events: EventStore
    rows: ReadStoreFactory | None

    async def _open_events(self) -> EventStore:
        return self.events

    async def __aexit__(self, *error: Any) -> None:  # noqa: ANN401 - passed on as it is
        if isinstance(self.events, StagedEventStore) and error[0] is not None:
            self.events.let_go()
        await super().__aexit__(*error)

    def _read_store_factory(self) -> ReadStoreFactory:
        return self.rows or super()._read_store_factory()


def open_on(
    events: EventStore,
    rows: ReadStoreFactory | None = None,
    **options: Any,  # noqa: ANN401 - what Runtime.open takes
) -> Runtime:
    """Runtime.open(":memory:", **options), on these stores."""
    runtime = cast("_Staged", _Staged.open(":memory:", **options))
    runtime.events, runtime.rows = events, rows
    return runtime
