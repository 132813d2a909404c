"""The log in memory: gone with the process, otherwise the same promises.

    runtime > mailbox > aggregate > journal > [event store] > bus > projection > read store > query

Inside the brackets: lists. Events are kept as encoded bytes, as on disk, so that what can't be stored there
fails here too.
"""

from asyncio import Future, get_running_loop
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from random import Random
from typing import TypeVar
from uuid import UUID

import msgspec

from ..domain.errors import ConcurrencyConflict, InvariantViolation
from ..domain.messages import Append, Commit, NewEvent, Position, StreamKey, Version, stream_name
from ..domain.ports import EventStoreStatistics, LoadedStream, StoredPage, StoredRow

T = TypeVar("T")


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One event of the log; its place in the list is its position. No tuple: the garbage collector would
    walk a tuple per event again and again."""

    stream_key: StreamKey
    new: NewEvent
    recorded_at: float


class MemoryEventStore:
    """An ImmediateEventStore: its commits are done when they return."""

    def __init__(self, random: Random | None = None) -> None:
        self._database_id = str(UUID(int=(random or Random()).getrandbits(128), version=4))
        self._log: list[Entry] = []
        self._keys: dict[str, StreamKey] = {}
        self._names: dict[StreamKey, tuple[str, str]] = {}
        self._streams: dict[StreamKey, list[Position]] = {}
        """The positions of each stream's events, in version order."""
        self._type_keys: dict[str, int] = {}
        self._type_names: dict[int, str] = {}
        self._transactions = 0
        self._closed = False

    @property
    def database_id(self) -> str:
        return self._database_id

    def append(self, batch: Sequence[Append], recorded_at: float) -> "Future[Commit]":
        if self._closed:
            raise InvariantViolation("append to a closed store.")
        head_before = Position(len(self._log))
        conflicts: dict[int, Version] = {}
        stream_keys: dict[int, StreamKey] = {}
        for index, append in enumerate(batch):
            try:
                _, key = self.append_at_once(
                    append.category,
                    append.id,
                    append.expected_version,
                    append.events,
                    append.stream_key,
                    recorded_at,
                )
            except ConcurrencyConflict as conflict:
                conflicts[index] = Version(conflict.actual)
            else:
                self._transactions -= 1  # the batch is one
                if not append.stream_key:
                    stream_keys[index] = key
        head = Position(len(self._log))
        if head > head_before:
            self._transactions += 1
        return _done(Commit(head_before, head, recorded_at, conflicts, stream_keys))

    def append_at_once(
        self,
        category: str,
        id: str,
        expected_version: Version,
        events: Sequence[NewEvent],
        stream_key: StreamKey,
        recorded_at: float,
    ) -> tuple[Position, StreamKey]:
        key = stream_key or self._keys.get(stream_name(category, id))
        stream = self._streams[key] if key else []
        version = len(stream)
        if version != expected_version:
            raise ConcurrencyConflict(stream_name(category, id), expected_version, version)
        if not key:
            key = self._new_stream(category, id, stream)
        log = self._log
        position = len(log)
        for new in events:
            position += 1
            log.append(Entry(key, new, recorded_at))
            stream.append(position)  # type: ignore[arg-type]
        self._transactions += 1
        return position, key  # type: ignore[return-value]

    def _new_stream(self, category: str, id: str, stream: list[Position]) -> StreamKey:
        key = StreamKey(len(self._keys) + 1)
        self._keys[stream_name(category, id)] = key
        self._names[key] = (category, id)
        self._streams[key] = stream
        return key

    def load(
        self, streams: Sequence[tuple[str, str, Version]], limit: int
    ) -> "Future[Sequence[LoadedStream]]":
        loaded = []
        for category, id, after in streams:
            key = self._keys.get(stream_name(category, id), StreamKey(0))
            stream = self._streams.get(key, [])
            part = stream[after : after + limit]
            limit -= len(part)
            version = Version(after + len(part))
            entries = [(self._log[position - 1].new, position) for position in part]
            rows = [(new.type, new.data, position) for new, position in entries]
            loaded.append(LoadedStream(key, version, rows, version >= len(stream)))
        return _done(loaded)

    async def read(self, after: Position, limit: int) -> StoredPage:
        return self._page(range(after + 1, min(after + limit, len(self._log)) + 1))

    async def read_stream(self, category: str, id: str, after: Version, limit: int) -> StoredPage:
        key = self._keys.get(stream_name(category, id), StreamKey(0))
        return self._page(self._streams.get(key, [])[after : after + limit])

    async def head(self) -> Position:
        return Position(len(self._log))

    def statistics(self) -> EventStoreStatistics:
        return EventStoreStatistics(self._transactions, 0, len(self._log))

    async def aclose(self) -> None:
        self._closed = True

    def _page(self, positions: Iterable[int]) -> StoredPage:
        return StoredPage(
            [self._row(position) for position in positions],
            self._names,
            self._type_names,
            Position(len(self._log)),
        )

    def _row(self, position: int) -> StoredRow:
        entry = self._log[position - 1]
        key, new, recorded_at = entry.stream_key, entry.new, entry.recorded_at
        version = bisect_left(self._streams[key], position) + 1
        type_key = self._type_keys.setdefault(new.type, len(self._type_keys) + 1)
        self._type_names[type_key] = new.type
        at = int(recorded_at * 1_000_000)
        return (
            Position(position), key, Version(version), type_key, at, new.command_id, new.context, new.data
        )  # fmt: skip


def _done(result: T) -> "Future[T]":
    done: Future[T] = get_running_loop().create_future()
    done.set_result(result)
    return done
