"""One replica of one view: waits out its lag, folds the batch, moves rows and checkpoint together.

    runtime > mailbox > aggregate > journal > event store > bus > [projection] > read store > query

Inside the brackets: position p+1 is applied after p and never otherwise. What the bus brings twice is
passed over, what it does not bring is read from the event store. Rows and checkpoint move in one
transaction, so a crash between them does not exist. Waiters are woken after that commit, never before.
"""

from asyncio import Future, get_running_loop
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import Random
from typing import Any, Literal, NamedTuple

from ..domain.codec import EventTypes
from ..domain.errors import ProjectionStopped, RuntimeClosed, StreamUnreadable, described
from ..domain.lag import Lag
from ..domain.limits import Limits
from ..domain.messages import CommittedBatch, Position, RecordedEvent
from ..domain.ports import Clock, EventStore, ReadStore, StoredPage
from ..domain.view import View
from .bus import Subscription
from .log import Log
from .waiters import Waiters

State = Literal["running", "paused", "restarting", "stopped", "closed"]

BUSY_PAGE_EVENTS = 200
"""Events per page while commands are being decided: a page is a stall of the event loop."""


CLOSING = "the runtime is closing"


class Pending(NamedTuple):
    """Events that are known and not yet applied, up to `last`; those the view does not want are left out."""

    due: float
    events: Sequence[RecordedEvent[Any]]
    last: Position
    recorded_at: float
    """When the first of them was committed."""


@dataclass(frozen=True, slots=True)
class ProjectionStatistics:
    """What one replica has done since the runtime opened."""

    name: str
    view: str
    replica: int
    state: State
    position: Position
    behind_events: int
    behind_seconds: float
    """At least so much: for what was committed long ago, or by others, see the freshness of an answer."""
    lag: str
    applied_events: int
    transactions: int
    pages_read: int
    """Pages read from the event store, because the bus did not have them."""
    overflows: int
    """Times it fell so far behind that the bus stopped buffering for it."""
    restarts: int


class Projection:
    """The actor that keeps one replica. `run` is its life; the supervisor owns it."""

    def __init__(
        self,
        view: View[Any, Any, Any],
        replica: int,
        lag: Lag,
        events: EventStore,
        rows: ReadStore,
        types: EventTypes,
        subscribe: Callable[[str, int, Callable[[], None]], Subscription],
        clock: Clock,
        limits: Limits,
        random: Random,
        activity: Callable[[], int],
        log: Log,
    ) -> None:
        self.view = view
        self.replica = replica
        self.name = f"{view.name}/{replica}"
        self.state: State = "running"
        self.position = rows.checkpoint
        self.rows = rows
        self.waiters: Waiters[Projection] = Waiters()
        self.awaited_by: list[Waiters[Projection]] = [self.waiters]
        """Its own waiters, and those who wait for any replica of the view."""
        self.on_advance: list[Callable[[Projection], None]] = []
        self.on_stop: list[Callable[[Projection], None]] = []
        self.stopped_by: ProjectionStopped | None = None
        self.restarts = 0
        self._events = events
        self._types = types
        self._clock = clock
        self._limits = limits
        self._activity = activity
        self._log = log.bind(projection=self.name)
        self._random = random
        self.lag = lag
        self._wanted = frozenset(view.events)
        self._wanted_names = frozenset(types.names[wanted] for wanted in view.events)
        self._subscription = subscribe(self.name, limits.bus_events, self._bus_has_more)
        self._pending: deque[Pending] = deque()
        self._cache: dict[Any, Any] = {}
        self._known = self.position
        """The last position that is pending or applied."""
        self._last_due = 0.0
        self._applied_at = -1.0
        self._last_activity = 0
        self._sleeper: Future[None] | None = None
        self._listening = False
        self._applied_events = 0
        self._transactions = 0
        self._pages_read = 0
        self._overflows = 0
        """Those that the log was told of."""

    def __repr__(self) -> str:
        return f"<Projection {self.name}@{self.position}>"

    # ---- steering: each takes effect between two transactions

    @property
    def lag(self) -> Lag:
        """Delay from commit to visibility. A new one holds for what arrives from now on."""
        return self._lag

    @lag.setter
    def lag(self, lag: Lag) -> None:
        self._lag = lag
        self._sample = None if lag.is_none else lag.sampler(self._random)

    def pause(self) -> None:
        """Apply nothing until `resume`. What is committed meanwhile waits. A stopped one stays stopped."""
        if self.state in ("running", "restarting"):
            self.state = "paused"
            self._poke()

    def resume(self) -> None:
        if self.state == "paused":
            self.state = "running"
            self._poke()

    def restart(self) -> None:
        """Start again from the checkpoint after it was stopped by an error."""
        if self.state == "stopped":
            self.state = "running"
            self.stopped_by = None
            self._poke()

    def close(self) -> None:
        """End after the transaction that is under way. Whoever waits gets RuntimeClosed."""
        self.state = "closed"
        self.waiters.fail(RuntimeClosed(CLOSING))
        self._poke()

    def wait_for(self, position: Position) -> "Future[Projection]":
        """Done when it has applied the position. Raises ProjectionStopped or RuntimeClosed."""
        if self.state == "closed":
            raise RuntimeClosed(CLOSING)
        if self.stopped_by is not None:
            raise self.stopped_by.again()
        waiting = self.waiters.wait_for(position)
        self.hurry()
        return waiting

    def hurry(self) -> None:
        """Somebody waits now: what has come is applied without a rest."""
        self._poke()

    # ---- life

    async def run(self) -> None:
        """Apply what comes, until closed. Raises what `apply` or a store raised; run again to start from
        the checkpoint."""
        self._cache.clear()
        self._pending.clear()
        self._subscription.restart()
        self.position = self._known = self.rows.checkpoint
        self._last_due = 0.0
        while (batch := await self._due()) is not None:
            await self._apply(*batch)

    async def parked(self, error: Exception) -> None:
        """Stopped for good: waiters learn the cause now. Returns when it is told to restart or to close."""
        reason = described(error)
        if (notes := getattr(error, "__notes__", None)) is not None:
            reason = f"{notes[-1]}: {reason}"
        stopped = ProjectionStopped(self.name, self.position, reason)
        stopped.__cause__ = error
        self.state = "stopped"
        self.stopped_by = stopped
        self.waiters.fail(stopped)
        for callback in self.on_stop:
            callback(self)
        while self.state == "stopped":
            await self.woken()

    async def woken(self, seconds: float | None = None) -> None:
        """Until it is steered, or the time is over."""
        self._sleeper = get_running_loop().create_future()
        timer = None if seconds is None else self._clock.call_later(seconds, self._poke)
        try:
            await self._sleeper
        finally:
            self._sleeper = None
            if timer is not None:
                timer.cancel()

    async def _due(self) -> tuple[list[RecordedEvent[Any]], Position] | None:
        """What may become visible now, as one batch; waits for it. None when closed."""
        while self.state != "closed":
            if self.state == "paused":
                await self.woken()
            elif not self._pending:
                await self._more()
            elif (wait := self._pending[0].due - self._clock.monotonic()) > 0:
                await self.woken(wait)
            elif (rest := self._rest()) > 0:
                await self.woken(rest)
            else:
                return self._collect()
        return None

    def _rest(self) -> float:
        """Seconds to let more come before the next transaction. None while anybody waits for this one."""
        if self._sample is not None or self._subscription.behind or any(map(len, self.awaited_by)):
            return 0.0
        return self._applied_at + self._limits.coalesce_seconds - self._clock.monotonic()

    async def _more(self) -> None:
        """Fill `_pending` from the bus, else from the store, else wait until there is more."""
        if self._pull():
            return
        if not self._subscription.caught_up(self._known):
            await self._read_page()
            return
        self._listening = True
        try:
            await self.woken()
        finally:
            self._listening = False

    def _pull(self) -> bool:
        batch = self._subscription.take()
        if batch is None:
            return False
        if batch.first > self._known + 1:
            # Something is missing: an outage of the bus, or another process's commits. The store has it.
            self._subscription.restart()
            return False
        if batch.last > self._known:
            self._add(batch)
        return True

    def _add(self, batch: CommittedBatch) -> None:
        events = batch.events
        if batch.first <= self._known:  # the front of it was seen already
            events = [event for event in events if event.position > self._known]
        self._pending.append(
            Pending(self._due_time(batch.recorded_at), events, batch.last, batch.recorded_at)
        )
        self._known = batch.last

    async def _read_page(self) -> None:
        if self._subscription.overflows != self._overflows:
            self._overflows = self._subscription.overflows
            behind = self._subscription.head - self._known
            self._log.info("projection.fell_behind", position=self.position, behind_events=behind)
        activity = self._activity()
        busy = activity != self._last_activity
        self._last_activity = activity
        limit = (
            min(self._limits.page_events, BUSY_PAGE_EVENTS) if busy else self._limits.page_events
        )
        page = await self._events.read(self._known, limit)
        self._pages_read += 1
        self._subscription.observe(page.head)
        if not page.rows:
            return
        if self._sample is None:
            pages = [page]
        else:  # what was committed together becomes visible together
            pages = [
                StoredPage(list(rows), page.streams, page.types, page.head)
                for _, rows in groupby(page.rows, key=lambda row: row[4])
            ]
        for part in pages:
            try:
                self._add_page(part)
            except StreamUnreadable as error:
                rows = [row for row in part.rows if row[0] < (error.position or 0)]
                if rows:
                    self._add_page(StoredPage(rows, part.streams, part.types, part.head))
                if not self._pending:
                    raise
                return  # what comes before it holds; the next page begins with it

    def _add_page(self, page: StoredPage) -> None:
        events = self._types.decode(page, self._wanted_names)
        first, last = page.rows[0], page.rows[-1]
        due = self._due_time(last[4] / 1_000_000)
        self._pending.append(Pending(due, events, last[0], first[4] / 1_000_000))
        self._known = last[0]

    def _due_time(self, recorded_at: float) -> float:
        """When a batch may be applied: its commit plus a drawn lag, and never before the one before it."""
        if self._sample is None:
            return self._last_due
        lag = self._sample()
        # Not more than the lag from now on, whatever somebody does to the machine's clock.
        left = min(lag, max(0.0, recorded_at + lag - self._clock.time()))
        self._last_due = max(self._last_due, self._clock.monotonic() + left)
        return self._last_due

    def _collect(self) -> tuple[list[RecordedEvent[Any]], Position]:
        now = self._clock.monotonic()
        events: list[RecordedEvent[Any]] = []
        last = self.position
        while self._pending and self._pending[0].due <= now:
            batch = self._pending.popleft()
            events += batch.events
            last = batch.last
            if len(events) >= self._limits.transaction_events:
                break
            if not self._pending:
                self._pull()
        return events, last

    async def _apply(self, events: list[RecordedEvent[Any]], last: Position) -> None:
        """Raises at an event that can't be applied; those before it are."""
        try:
            poison = await self._apply_together(events, last)
        except (TypeError, ValueError):
            # A key or a row that the store can't hold, and nothing was written. Whose is it?
            for event in events:
                try:
                    poison = await self._apply_together([event], event.position)
                except (TypeError, ValueError) as error:
                    poison = event, error
                if poison is not None:
                    break
            else:
                raise
        if poison is not None:
            event, raised = poison
            note = f"applying {type(event.event).__name__} at position {event.position}"
            if note not in getattr(raised, "__notes__", ()):
                raised.add_note(note)
            raise raised

    async def _apply_together(
        self, events: list[RecordedEvent[Any]], last: Position
    ) -> tuple[RecordedEvent[Any], Exception] | None:
        """In one transaction, up to the event at which `apply` raised, if it did: that one and its error."""
        changes, poison = await self._fold(events)
        if poison is not None:
            last = Position(poison[0].position - 1)
        if last > self.position:
            await self.rows.put(changes, last)
            self._applied_at = self._clock.monotonic()
            self._transactions += 1
            self._applied_events += last - self.position
            self._remember(changes)
            self.position = last
            self.waiters.reached(last, self)
            for callback in self.on_advance:
                callback(self)
        return poison

    async def _fold(
        self, events: list[RecordedEvent[Any]]
    ) -> tuple[dict[Any, Any], tuple[RecordedEvent[Any], Exception] | None]:
        """The rows that change, and the event at which `apply` raised, if it did: what comes before it holds."""
        view, cache, wanted = self.view, self._cache, self._wanted
        apply, keys_of = view.apply, view.keys
        changes: dict[Any, Any] = {}
        poison = None
        event: RecordedEvent[Any]
        if keys_of is None:
            missing = {
                event.id: None
                for event in events
                if event.id not in cache and type(event.event) in wanted
            }
            await self._fetch(list(missing))
            for event in events:
                if type(event.event) not in wanted:
                    continue
                key = event.id
                row = changes[key] if key in changes else cache.get(key)
                try:
                    changes[key] = apply(row, event, key)
                except Exception as error:  # noqa: BLE001 - the user's code; its prefix is still good
                    return changes, (event, error)
            return changes, None
        work: list[tuple[RecordedEvent[Any], list[Any]]] = []
        for event in events:
            if type(event.event) in wanted:
                try:
                    work.append((event, list(keys_of(event))))
                except Exception as error:  # noqa: BLE001 - as above
                    poison = (event, error)
                    break
        await self._fetch(list({key: None for _, keys in work for key in keys if key not in cache}))
        for event, keys in work:
            rows: dict[Any, Any] = {}
            try:
                for key in keys:
                    row = (
                        rows[key]
                        if key in rows
                        else changes[key]
                        if key in changes
                        else cache.get(key)
                    )
                    rows[key] = apply(row, event, key)
            except Exception as error:  # noqa: BLE001 - as above; none of this event's rows may stay
                return changes, (event, error)
            changes.update(rows)
        return changes, poison

    async def _fetch(self, missing: list[Any]) -> None:
        if missing:
            found = await self.rows.get(missing)
            cache = self._cache
            for key in missing:
                cache[key] = found.get(key)

    def _remember(self, changes: dict[Any, Any]) -> None:
        cache, limit = self._cache, self._limits.cached_rows
        cache.update(changes)
        if len(cache) > limit:
            for key in list(cache)[: len(cache) - limit * 3 // 4]:
                del cache[key]

    # ---- what others ask

    def oldest_pending(self) -> float | None:
        """When the oldest event that is known here and not applied was committed."""
        return self._pending[0].recorded_at if self._pending else None

    def statistics(self, behind_events: int, behind_seconds: float) -> ProjectionStatistics:
        return ProjectionStatistics(
            self.name,
            self.view.name,
            self.replica,
            self.state,
            self.position,
            behind_events,
            behind_seconds,
            str(self._lag),
            self._applied_events,
            self._transactions,
            self._pages_read,
            self._subscription.overflows,
            self.restarts,
        )

    def _bus_has_more(self) -> None:
        # While it waits out a lag, what is committed meanwhile needs no wake-up.
        if self._listening:
            self._poke()

    def _poke(self) -> None:
        sleeper = self._sleeper
        if sleeper is not None and not sleeper.done():
            sleeper.set_result(None)
