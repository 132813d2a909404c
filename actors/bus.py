"""From the journal to every projection: in memory, in order, bounded.

    runtime > mailbox > aggregate > journal > event store > [bus] > projection > read store > query

Inside the brackets: one bounded buffer for each subscriber. One that falls behind keeps what it has and
reads on from the event store until it has caught up; nothing is dropped, and nobody waits for it.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..domain.messages import CommittedBatch, Position

REMEMBERED_COMMITS = 4_096
"""Commit times that are kept to tell the age of an answer."""


class Subscription:
    """What one subscriber has not taken yet. `behind` says that the rest is in the event store."""

    def __init__(
        self, name: str, head: Position, capacity_events: int, wake: Callable[[], None]
    ) -> None:
        self.name = name
        self.head = head
        """The last position that was published."""
        self.behind = True
        self.overflows = 0
        self._capacity = capacity_events
        self._wake = wake
        self._batches: deque[CommittedBatch] = deque()
        self._buffered = 0

    def offer(self, batch: CommittedBatch) -> None:
        self.head = max(self.head, batch.last)
        if not self.behind:
            size = len(batch.events)
            if self._buffered + size > self._capacity:
                self.behind = True
                self.overflows += 1
            else:
                self._batches.append(batch)
                self._buffered += size
        self._wake()

    def observe(self, head: Position) -> None:
        """Somebody else's commits were seen in the store: read on from there."""
        if head > self.head:
            self.head = head
            self.behind = True
            self._wake()

    def take(self) -> CommittedBatch | None:
        """The next buffered batch, if any."""
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._buffered -= len(batch.events)
        return batch

    def caught_up(self, position: Position) -> bool:
        """Called by a subscriber that has read the store up to `position`: is there nothing after it?

        If so, the buffer is used again from the next commit on.
        """
        # No await between this check and the next `offer`: this is the transaction that re-attaches.
        if not self._batches and position >= self.head:
            self.behind = False
        return not self.behind

    def restart(self) -> None:
        """Forget what is buffered: the subscriber starts again from its checkpoint, out of the store."""
        self._batches.clear()
        self._buffered = 0
        self.behind = True

    @property
    def buffered_events(self) -> int:
        return self._buffered


class Listener(Protocol):
    """Who is told of every committed batch, in order, and must not raise."""

    def offer(self, batch: CommittedBatch) -> None: ...

    def observe(self, head: Position) -> None: ...


class Bus:
    """Hands each committed batch to every subscription, and remembers when it was committed."""

    def __init__(self, head: Position, opened_at: float) -> None:
        """`head` is where the log stood at `opened_at`, in Unix seconds."""
        self.head = head
        self.subscriptions: list[Listener] = []
        # What stands in the log was committed by now; when exactly, the store knows.
        self._commits = [(head, Position(head + 1), opened_at)]
        """last position, first position, time; ascending."""

    def subscribe(self, name: str, capacity_events: int, wake: Callable[[], None]) -> Subscription:
        subscription = Subscription(name, self.head, capacity_events, wake)
        self.subscriptions.append(subscription)
        return subscription

    def publish(self, batch: CommittedBatch) -> None:
        commits = self._commits
        commits.append((batch.last, batch.first, batch.recorded_at))
        if len(commits) > 2 * REMEMBERED_COMMITS:
            del commits[:REMEMBERED_COMMITS]
        self.head = max(self.head, batch.last)
        for subscription in self.subscriptions:
            subscription.offer(batch)

    def observe(self, head: Position) -> None:
        """Everything up to here is committed: by another process, or by us and a batch went lost on its way."""
        self.head = max(self.head, head)
        for subscription in self.subscriptions:
            subscription.observe(head)

    def recorded_at(self, position: Position) -> float | None:
        """When the event at `position` was committed, if that was not too many commits ago."""
        commits = self._commits
        index = bisect_left(commits, (position,))
        if index == len(commits) or commits[index][1] > position:
            return None
        return commits[index][2]

    def recorded_by(self, position: Position) -> float | None:
        """A time by which the event at `position` was committed: the next one that is known."""
        index = bisect_left(self._commits, (position,))
        return None if index == len(self._commits) else self._commits[index][2]
