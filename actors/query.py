"""The read side's door: picks a replica that can meet the asked consistency, waits if it must.

    runtime > mailbox > aggregate > journal > event store > bus > projection > read store > [query]

Inside the brackets: a replica that can answer now is preferred, waiting is the last resort; whoever waits is
woken by the commit he waits for. Every answer says which position it reflects and how far that is behind.
"""

from asyncio import FIRST_EXCEPTION, Future, wait
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from ..domain.consistency import AtLeast, Consistency, Eventual, Freshness, OnTimeout, Strong
from ..domain.errors import NotFreshEnough, ProjectionStopped, RuntimeClosed, StoreUnavailable
from ..domain.messages import Position
from ..domain.ports import Clock, EventStore
from ..domain.select import Select
from ..domain.view import View
from .bus import Bus
from .projection import CLOSING, Projection
from .waiters import Waiters

T = TypeVar("T")


class ReplicaSet:
    """All replicas of one view, and those who wait for any of them."""

    def __init__(self, view: View[Any, Any, Any], replicas: Sequence[Projection]) -> None:
        self.view = view
        self.replicas = tuple(replicas)
        self._turn = 0
        self._closed = False
        self._waiters: Waiters[Projection] = Waiters()
        for replica in replicas:
            replica.on_advance.append(self._advanced)
            replica.on_stop.append(self._stopped)
            replica.awaited_by.append(self._waiters)

    def find(self, replica: int) -> Projection:
        """Raises ValueError for a number that no replica has."""
        for candidate in self.replicas:
            if candidate.replica == replica:
                return candidate
        raise ValueError(
            f"view {self.view.name!r} has no replica {replica!r}: it has 1 to {len(self.replicas)}."
        )

    def ready(self, position: Position) -> Projection | None:
        """The next one, in turn, of those that have the position; one that runs before one that stopped."""
        able = [replica for replica in self.replicas if replica.position >= position]
        running = [replica for replica in able if replica.state in ("running", "paused")] or able
        if not running:
            return None
        self._turn += 1
        return running[self._turn % len(running)]

    def freshest(self) -> Projection:
        return max(self.replicas, key=lambda replica: replica.position)

    def wait_for(self, position: Position) -> "Future[Projection]":
        """The first replica to reach the position. Raises ProjectionStopped when none will."""
        if self._closed:
            raise RuntimeClosed(CLOSING)
        self._check_alive()
        waiting = self._waiters.wait_for(position)
        for replica in self.replicas:
            replica.hurry()
        return waiting

    def _check_alive(self) -> None:
        stopped = [replica.stopped_by for replica in self.replicas]
        if all(stopped) and stopped[0] is not None:
            raise stopped[0].again()

    def _advanced(self, replica: Projection) -> None:
        self._waiters.reached(replica.position, replica)

    def _stopped(self, _: Projection) -> None:
        try:
            self._check_alive()
        except ProjectionStopped as stopped:
            self._waiters.fail(stopped)

    def close(self) -> None:
        """End all replicas. Whoever waits gets RuntimeClosed."""
        self._closed = True
        for replica in self.replicas:
            replica.close()
        self._waiters.fail(RuntimeClosed(CLOSING))


class Queries:
    """Answers queries on all views of a runtime."""

    def __init__(
        self,
        sets: Sequence[ReplicaSet],
        bus: Bus,
        head: Callable[[], Position],
        events: EventStore,
        clock: Clock,
    ) -> None:
        self._sets = {replica_set.view: replica_set for replica_set in sets}
        self._bus = bus
        self._head = head
        self._events = events
        self._clock = clock
        self._closed = False

    def replicas(self, view: View[Any, Any, Any]) -> ReplicaSet:
        """Raises ValueError for a view that this runtime does not keep."""
        found = self._sets.get(view)
        if found is None:
            names = sorted(known.name for known in self._sets)
            name = getattr(view, "name", view)
            if name in names:
                raise ValueError(
                    f"the runtime keeps another view that is named {name!r}: ask with the very object "
                    "that was passed to Runtime.open(projections=[…])."
                )
            raise ValueError(
                f"view {name!r} is not kept by this runtime (it keeps {', '.join(names) or 'none'}): "
                "pass it to Runtime.open(projections=[…])."
            )
        return found

    async def query(
        self,
        view: View[Any, Any, Any],
        select: Select,
        consistency: Consistency,
        timeout_seconds: float,
        on_timeout: OnTimeout,
        replica: int | None,
    ) -> tuple[Sequence[Any], Freshness]:
        """Rows and their freshness. Raises NotFreshEnough or ProjectionStopped where the position is not
        reached and a stale answer is not wanted."""
        replicas = self.replicas(view)
        select.check(view)
        asked = None if replica is None else replicas.find(replica)
        wanted = await self._wanted(consistency)
        chosen = (
            replicas.ready(wanted) if asked is None else asked if asked.position >= wanted else None
        )
        if chosen is None:
            # Whoever is waited for must know that there is something to apply.
            self._bus.observe(min(wanted, self._head()))
            try:
                waiting = (asked or replicas).wait_for(wanted)
                best = asked or replicas.freshest()
                chosen = await self._wait(
                    view, waiting, wanted, lambda: best.position, timeout_seconds
                )
            except (NotFreshEnough, ProjectionStopped):
                if on_timeout != "stale":
                    raise
                chosen = asked or replicas.freshest()
        try:
            position, rows = await chosen.rows.select(select)
            behind, now = self._head() - position, self._clock.time()
            recorded_at = await self._recorded_at(Position(position + 1)) if behind > 0 else now
        except StoreUnavailable as error:
            if self._closed:
                raise RuntimeClosed(CLOSING) from error
            raise
        return rows, _freshness(
            chosen, position, behind, now - recorded_at, stale=position < wanted
        )

    async def settle(self, timeout_seconds: float | None) -> Position:
        """Until every replica has applied the head; that head. Raises NotFreshEnough, ProjectionStopped."""
        head = await self._wanted(Strong())
        waiting: dict[Future[Projection], Projection] = {}

        def give_up() -> None:
            for future, projection in waiting.items():
                if not future.done():
                    future.set_exception(
                        NotFreshEnough(
                            projection.view.name, head, projection.position, timeout_seconds or 0.0
                        )
                    )

        with self._timer(timeout_seconds, give_up):
            try:
                for replica_set in self._sets.values():
                    for projection in replica_set.replicas:
                        if projection.position < head:
                            waiting[projection.wait_for(head)] = projection
                if waiting:
                    # Of all at once: one that stopped is not hidden behind one that is slow.
                    await wait(waiting, return_when=FIRST_EXCEPTION)
                for future in waiting:
                    if future.done():
                        future.result()
            finally:
                for future in waiting:
                    _leave(future)
        return head

    def close(self) -> None:
        """End all projections. Whoever waits, and whoever is about to, gets RuntimeClosed."""
        self._closed = True
        for replica_set in self._sets.values():
            replica_set.close()

    def freshness(self, projection: Projection) -> Freshness:
        """What can be said of this replica now, without asking the disk: it is at least that much behind."""
        position = projection.position
        known = [
            self._bus.recorded_by(Position(position + 1)),
            projection.oldest_pending(),
        ]
        now = self._clock.time()
        by = min((time for time in known if time is not None), default=now)
        return _freshness(projection, position, self._head() - position, now - by)

    async def _recorded_at(self, position: Position) -> float:
        """When the event at a position was committed, which it was."""
        recorded_at = self._bus.recorded_at(position)
        if recorded_at is None:
            # Too many commits ago, or another process's: the log itself has the time.
            page = await self._events.read(Position(position - 1), 1)
            recorded_at = page.rows[0][4] / 1_000_000
        return recorded_at

    async def _wanted(self, consistency: Consistency) -> Position:
        match consistency:
            case Eventual():
                return Position(0)
            case AtLeast(position) if position <= self._head():
                return position
            case AtLeast(position):
                await self._observe()
                return position
            case Strong():
                return await self._observe()
        raise TypeError(
            f"{consistency!r} is no consistency: use Eventual(), AtLeast(position) or Strong()."
        )

    async def _observe(self) -> Position:
        """The head in the store itself: another process may have committed what nobody told us."""
        try:
            head = await self._events.head()
        except StoreUnavailable as error:
            if self._closed:
                raise RuntimeClosed(CLOSING) from error
            raise
        self._bus.observe(head)
        return head

    async def _wait(
        self,
        view: View[Any, Any, Any],
        waiting: "Future[Projection]",
        wanted: Position,
        reached: Callable[[], Position],
        timeout_seconds: float | None,
    ) -> Projection:
        """Who reached the position. Raises NotFreshEnough or ProjectionStopped."""

        def give_up() -> None:
            if not waiting.done():
                waiting.set_exception(
                    NotFreshEnough(view.name, wanted, reached(), timeout_seconds or 0.0)
                )

        with self._timer(timeout_seconds, give_up):
            try:
                return await waiting
            finally:
                _leave(waiting)

    @contextmanager
    def _timer(self, seconds: float | None, callback: Callable[[], None]) -> Iterator[None]:
        timer = None if seconds is None else self._clock.call_later(seconds, callback)
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()


def _freshness(
    projection: Projection,
    position: Position,
    behind_events: int,
    age_seconds: float,
    *,
    stale: bool = False,
) -> Freshness:
    if behind_events <= 0:
        return Freshness(position, 0, 0.0, projection.name, stale)
    return Freshness(position, behind_events, max(0.0, age_seconds), projection.name, stale)


def _leave(waiting: "Future[Any]") -> None:
    """Whoever stops waiting leaves no waiter behind, and no error that nobody looked at."""
    if not waiting.cancel() and not waiting.cancelled():
        waiting.exception()
