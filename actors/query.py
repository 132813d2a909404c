"""The read side's door: picks a replica that can meet the asked consistency, waits if it must.

    runtime > mailbox > aggregate > journal > event store > bus > projection > read store > [query]

Inside the brackets: a replica that can answer now is preferred, waiting is the last resort; whoever waits is
woken by the commit he waits for. Every answer says which position it reflects and how far that is behind.
"""

from asyncio import Future
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from ..domain.consistency import AtLeast, Consistency, Eventual, Freshness, OnTimeout, Strong
from ..domain.errors import NotFreshEnough, ProjectionStopped
from ..domain.messages import Position
from ..domain.ports import Clock
from ..domain.select import Select
from ..domain.view import View
from .bus import Bus
from .projection import Projection
from .waiters import Waiters

T = TypeVar("T")


class ReplicaSet:
    """All replicas of one view, and those who wait for any of them."""

    def __init__(self, view: View[Any, Any, Any], replicas: Sequence[Projection]) -> None:
        self.view = view
        self.replicas = tuple(replicas)
        self._turn = 0
        self._waiters: Waiters[Projection] = Waiters()
        for replica in replicas:
            replica.on_advance.append(self._advanced)
            replica.on_stop.append(self._stopped)

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
        self._check_alive()
        return self._waiters.wait_for(position)

    def _check_alive(self) -> None:
        stopped = [replica.stopped_by for replica in self.replicas]
        if all(stopped) and stopped[0] is not None:
            raise stopped[0]

    def _advanced(self, replica: Projection) -> None:
        self._waiters.reached(replica.position, replica)

    def _stopped(self, _: Projection) -> None:
        try:
            self._check_alive()
        except ProjectionStopped as stopped:
            self._waiters.fail(stopped)

    def close(self, error: Exception) -> None:
        self._waiters.fail(error)


class Queries:
    """Answers queries on all views of a runtime."""

    def __init__(
        self,
        sets: Sequence[ReplicaSet],
        bus: Bus,
        head: Callable[[], Position],
        stored_head: Callable[[], Awaitable[Position]],
        clock: Clock,
    ) -> None:
        self._sets = {replica_set.view: replica_set for replica_set in sets}
        self._bus = bus
        self._head = head
        self._stored_head = stored_head
        self._clock = clock

    def replicas(self, view: View[Any, Any, Any]) -> ReplicaSet:
        """Raises ValueError for a view that this runtime does not keep."""
        found = self._sets.get(view)
        if found is None:
            known = ", ".join(sorted(known.name for known in self._sets)) or "none"
            name = getattr(view, "name", view)
            raise ValueError(
                f"view {name!r} is not kept by this runtime (it keeps {known}): "
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
        wanted = await self._wanted(consistency)
        asked = None if replica is None else replicas.find(replica)
        chosen = (
            replicas.ready(wanted) if asked is None else asked if asked.position >= wanted else None
        )
        if chosen is None:
            try:
                waiting = replicas.wait_for(wanted) if asked is None else _wait_for(asked, wanted)
                best = asked or replicas.freshest()
                chosen = await self._wait(
                    view, waiting, wanted, lambda: best.position, timeout_seconds
                )
            except (NotFreshEnough, ProjectionStopped):
                if on_timeout != "stale":
                    raise
                chosen = asked or replicas.freshest()
        position, rows = await chosen.rows.select(select)
        return rows, self.freshness(chosen, position, stale=position < wanted)

    async def settle(self, timeout_seconds: float | None) -> Position:
        """Until every replica has applied the head; that head. Raises NotFreshEnough, ProjectionStopped."""
        head = await self._wanted(Strong())
        for replica_set in self._sets.values():
            for projection in replica_set.replicas:
                if projection.position < head:
                    await self._wait(
                        replica_set.view,
                        _wait_for(projection, head),
                        head,
                        partial(getattr, projection, "position"),
                        timeout_seconds,
                    )
        return head

    def freshness(
        self, projection: Projection, position: Position, *, stale: bool = False
    ) -> Freshness:
        """What can be said of rows of this replica at this position, now."""
        behind = max(self._head() - position, 0)
        return Freshness(
            position,
            behind,
            self._age(projection, position) if behind else 0.0,
            projection.name,
            stale,
        )

    def _age(self, projection: Projection, position: Position) -> float:
        recorded_at = self._bus.recorded_at(Position(position + 1))
        if recorded_at is None:
            recorded_at = projection.oldest_pending()
        return 0.0 if recorded_at is None else max(0.0, self._clock.time() - recorded_at)

    async def _wanted(self, consistency: Consistency) -> Position:
        match consistency:
            case Eventual():
                return Position(0)
            case AtLeast(position):
                return position
            case Strong():
                # From the store itself: another process may have committed what nobody told us.
                head = await self._stored_head()
                self._bus.observe(head)
                return head
        raise TypeError(
            f"{consistency!r} is no consistency: use Eventual(), AtLeast(position) or Strong()."
        )

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

        timer = (
            None if timeout_seconds is None else self._clock.call_later(timeout_seconds, give_up)
        )
        try:
            return await waiting
        finally:
            waiting.cancel()  # whoever was cancelled while waiting leaves no waiter behind
            if timer is not None:
                timer.cancel()


def _wait_for(projection: Projection, position: Position) -> "Future[Projection]":
    if projection.stopped_by is not None:
        raise projection.stopped_by
    return projection.waiters.wait_for(position)
