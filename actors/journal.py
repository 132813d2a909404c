"""The single writer: takes every append that is waiting and commits them in one transaction.

    runtime > mailbox > aggregate > [journal] > event store > bus > projection > read store > query

Inside the brackets: group commit that clocks itself. No timer and no linger: while no transaction is under
way, what waits goes out at the end of the dispatcher's slice; while one is, the next one collects. Nobody
awaits a commit, so nobody's cancellation can reach it: its outcome is always learned and always answered.

Bare futures and callbacks instead of anyio here: it is on the path of every command.
"""

from asyncio import Future
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, Protocol

from ..domain.errors import AftertideError, InvariantViolation, described
from ..domain.limits import Limits
from ..domain.messages import (
    Append,
    Commit,
    CommittedBatch,
    NewEvent,
    Position,
    RecordedEvent,
    StreamKey,
    Version,
)
from ..domain.ports import EventStore, ImmediateEventStore
from .aggregate import AppendAtOnce, Decided
from .dispatcher import Dispatcher


class Publisher(Protocol):
    """What the journal needs of the bus."""

    @property
    def subscriptions(self) -> Sequence[object]:
        """The very list that grows: while nobody listens, no recorded events need to be made."""
        ...

    def publish(self, batch: CommittedBatch) -> None: ...

    def observe(self, head: Position) -> None: ...


class Journal:
    """Collects what aggregates decide, commits it in batches, publishes it, answers those who wait."""

    def __init__(
        self,
        store: EventStore,
        head: Position,
        dispatcher: Dispatcher,
        limits: Limits,
        now: Callable[[], float],
        bus: Publisher,
        on_trouble: Callable[[str, Exception], None],
    ) -> None:
        self._store = store
        self.head = head
        self._dispatcher = dispatcher
        self._limits = limits
        self._limit = limits.journal_events
        self._now = now
        self._bus = bus
        self._on_trouble = on_trouble
        self._waiting: list[Decided] = []
        self._waiting_events = 0
        self._flying: list[Decided] | None = None
        self._immediate = False
        self._is_immediate = isinstance(store, ImmediateEventStore)
        self.append_at_once: AppendAtOnce = (
            store.append_at_once if isinstance(store, ImmediateEventStore) else _has_to_wait
        )

    @property
    def unheard(self) -> bool:
        """Commits are done when they return, and nobody listens: an idle aggregate may `append_at_once`."""
        return self._is_immediate and not self._bus.subscriptions

    @property
    def idle(self) -> bool:
        return not self._waiting and self._flying is None

    def observe(self, head: Position) -> None:
        """Somebody else's commits were seen in the store."""
        if head > self.head:
            self.head = head
            self._bus.observe(head)

    def submit(self, decided: Decided) -> None:
        """Take an aggregate's events; it may add to them until the transaction begins."""
        self._waiting.append(decided)
        self._waiting_events += len(decided.events)
        if self._waiting_events >= self._limit:
            self._dispatcher.held = True

    def added(self, events: int) -> None:
        """So many more were added to what waits."""
        self._waiting_events += events
        if self._waiting_events >= self._limit:
            self._dispatcher.held = True

    def withdraw(self, decided: Decided) -> None:
        """Forget an append that is not under way: the state it was decided on is taken back."""
        self._waiting.remove(decided)
        self._waiting_events -= len(decided.events)
        self._release()

    def flush(self) -> None:
        """Begin a transaction with what waits, if none is under way."""
        # The loop is for stores that commit at once: they leave nothing under way.
        while self._flying is None and self._waiting:
            self._begin()

    def _begin(self) -> None:
        batch = self._waiting
        events = self._waiting_events
        if events > self._limits.transaction_events:
            batch, events = self._split()
        else:
            self._waiting = []
        self._waiting_events -= events
        for decided in batch:
            decided.submitted = True
        self._flying = batch
        recorded_at = self._now()
        try:
            commit = self._store.append(batch, recorded_at)
        except Exception as error:  # noqa: BLE001 - a store that can't even begin
            self._finish_failed(batch, error)
            return
        self._immediate = commit.done()
        if self._immediate:
            self._finish(commit)
        else:
            commit.add_done_callback(self._finish)

    def _split(self) -> tuple[list[Decided], int]:
        events = 0
        count = 0
        while events < self._limits.transaction_events:
            events += len(self._waiting[count].events)
            count += 1
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch, events

    def _finish(self, outcome: "Future[Commit]") -> None:
        batch = self._flying
        if batch is None:
            raise InvariantViolation("the event store answered an append that was not under way.")
        if outcome.cancelled():
            self._finish_failed(batch, InvariantViolation("the event store dropped an append."))
            return
        error = outcome.exception()
        if error is not None:
            self._finish_failed(batch, error)
            return
        self._flying = None
        commit = outcome.result()
        if commit.conflicts:
            # Before the next transaction begins: what was decided on a state that is now wrong must not go
            # into it.
            for index, actual in commit.conflicts.items():
                batch[index].aggregate.conflicted(batch[index], actual)
        # Start the next transaction before spending time on replies: the writer must not wait for us. A store
        # that commits at once is not begun again from here: `flush` does, and positions are settled in order.
        if self._waiting and not self._immediate:
            self._begin()
        self._settle(batch, commit)

    def _settle(self, batch: list[Decided], commit: Commit) -> None:
        self.observe(commit.head_before)  # where another process's commits stand in between
        self.head = max(self.head, commit.head)
        conflicts, stream_keys = commit.conflicts, commit.stream_keys
        position = commit.head_before + 1
        won = (
            batch
            if not conflicts
            else [d for index, d in enumerate(batch) if index not in conflicts]
        )
        # After the commit, never before: a subscriber must not see what a crash could take back.
        if self._bus.subscriptions and commit.head > commit.head_before:
            self._bus.publish(_recorded(won, commit))
        for index, decided in enumerate(batch):
            if conflicts and index in conflicts:
                continue
            key = stream_keys.get(index, decided.stream_key) if stream_keys else decided.stream_key
            decided.aggregate.committed(decided, Position(position), key)
            position += len(decided.events)
        self._after()

    def _finish_failed(self, batch: list[Decided], error: BaseException) -> None:
        self._flying = None
        if not isinstance(error, AftertideError):
            bug = InvariantViolation(
                f"the event store failed: {described(error)}. Please report this."
            )
            bug.__cause__ = error
            error = bug
        self._on_trouble("journal.append_failed", error)
        for decided in batch:
            decided.aggregate.failed(decided, error)
        self._after()
        if self._waiting:
            self._dispatcher.schedule()

    def _after(self) -> None:
        self._release()
        if self._dispatcher.draining:
            self._dispatcher.schedule()

    def _release(self) -> None:
        if self._dispatcher.held and self._waiting_events < self._limits.journal_events:
            self._dispatcher.release()


def _recorded(won: Sequence[Append], commit: Commit) -> CommittedBatch:
    """The events of a transaction as the bus carries them: no decoding, they are as they will be read."""
    recorded_at = commit.recorded_at
    position = commit.head_before
    events: list[RecordedEvent[Any]] = []
    record = events.append
    for decided in won:
        category, id, version = decided.category, decided.id, decided.expected_version
        for new in decided.events:
            position = Position(position + 1)
            version = Version(version + 1)
            record(
                RecordedEvent(
                    position,
                    category,
                    id,
                    version,
                    new.event,
                    recorded_at,
                    new.command_id,
                    new.context,
                )
            )
    if position != commit.head:
        raise InvariantViolation(
            f"a transaction of {len(events)} event(s) moved the head from {commit.head_before} to {commit.head}."
        )
    return CommittedBatch(events, Position(commit.head_before + 1), commit.head, recorded_at)


def _has_to_wait(
    category: str,
    id: str,
    version: Version,
    new: list[NewEvent],
    stream_key: StreamKey,
    recorded_at: float,
) -> NoReturn:
    raise InvariantViolation("a commit at once was asked of a store that has to be waited for.")
