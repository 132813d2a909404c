"""The front door and the composition root: the only file that knows both actors and stores.

    [runtime] > mailbox > aggregate > journal > event store > bus > projection > read store > query

Inside the brackets: finds the aggregate, hands it the envelope, awaits the receipt. Opens and closes what
runs, in an order that loses nothing.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import (
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from types import TracebackType
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NoReturn,
    Self,
    TypedDict,
    TypeVar,
    Unpack,
    cast,
    overload,
)

import anyio
from anyio.abc import TaskGroup

from .actors.activation import Activation
from .actors.aggregate import Aggregate, Kind
from .actors.bus import Bus
from .actors.clock import SystemClock
from .actors.dispatcher import Dispatcher
from .actors.journal import Journal
from .actors.log import CommitLog, Log, Logger, bind_log
from .actors.mailbox import MailboxStatistics
from .actors.passivation import Passivation
from .actors.projection import Projection, ProjectionStatistics
from .actors.query import Queries, ReplicaSet
from .actors.supervisor import Supervisor
from .domain.codec import Codec, EventTypes
from .domain.consistency import Answer, Answers, Consistency, Eventual, OnTimeout
from .domain.decider import Decider
from .domain.errors import (
    AftertideError,
    InvariantViolation,
    RuntimeClosed,
    SchemaMismatch,
    described,
    text_of,
)
from .domain.limits import Limits
from .domain.messages import (
    NO_CONTEXT,
    Context,
    Envelope,
    Position,
    Receipt,
    RecordedEvent,
    Version,
)
from .domain.ports import Clock, EventStore, ReadStoreFactory
from .domain.select import Select
from .domain.view import Replicas, View
from .stores.memory_events import MemoryEventStore
from .stores.memory_rows import open_memory_rows
from .stores.sqlite_events import SqliteEventStore
from .stores.sqlite_rows import SqliteReadStores
from .stores.sqlite_thread import Synchronous, outlast

C = TypeVar("C")
S = TypeVar("S")
E = TypeVar("E")
R = TypeVar("R")
K = TypeVar("K")

Durability = Literal["full", "normal", "off"]

IN_MEMORY = ":memory:"
WINDOW = 2_000
"""Commands of one `execute_many` that are under way at once."""


class CommandOptions(TypedDict, total=False):
    """What may be said beside a command, to `execute`. None is the same as not saying it."""

    command_id: str | None
    """Names the command for ever; without it the runtime makes one."""
    correlation_id: str | None
    """Names the conversation that the command belongs to; without it, its own id."""
    causation_id: str | None
    """Names the message that led to the command."""
    expected_version: int | None
    """Refuse with ConcurrencyConflict unless the stream is at this version when the command's turn comes."""
    timeout: float | None
    """Seconds that the command may wait for its turn; then it is refused with DeadlineExceeded. Once decided,
    its outcome is known."""
    metadata: Mapping[str, Any] | None
    """What is kept beside the events: a user, a tenant, a trace. What JSON can say."""


@dataclass(frozen=True, slots=True)
class AggregateStatistics:
    """What the aggregates of one decider are doing."""

    category: str
    active: int
    rejected: int
    """Commands answered with the domain's no, a conflict on an expected version, or a passed deadline."""
    mailboxes: MailboxStatistics


@dataclass(frozen=True, slots=True)
class Statistics:
    """One look at a runtime. Counters count since it was opened."""

    head: Position
    commands: int
    """Commands accepted."""
    events: int
    """Events committed."""
    transactions: int
    """Transactions of the write database that committed something."""
    thread_hops: int
    """Calls handed to the write database's writer thread."""
    activations: int
    passivations: int
    aggregates: Mapping[str, AggregateStatistics]
    projections: Mapping[str, ProjectionStatistics]
    """By replica: `balances/1`."""


class Runtime:
    """Commands in, durable events, read stores that follow. Open one with `Runtime.open(...)`.

    Belongs to the event loop and the task that opened it; any task of that loop may use it.
    """

    def __init__(self, options: "_Options") -> None:
        """Not for callers: use `Runtime.open`."""
        self._options = options
        self.clock: Clock = options.clock
        self._limits = options.limits
        self._random = Random(options.seed)
        self._log = options.log
        self._types = EventTypes(options.deciders, options.codec)
        _check_fit(options, self._types)
        self._state: Literal["new", "open", "closing", "closed"] = "new"
        self._commands = 0
        self._now = options.clock.time
        self._ids: Iterator[str] = map(str, count(1))
        self._exit = AsyncExitStack()
        self._kinds: dict[Decider[Any, Any, Any], Kind] = {}
        self._taking: dict[Decider[Any, Any, Any], Kind] = {}
        """The kinds that take commands: all of them while the runtime is open."""

    @classmethod
    def open(
        cls,
        database: str | os.PathLike[str] = IN_MEMORY,
        *,
        deciders: Sequence[Decider[Any, Any, Any]],
        projections: Sequence[View[Any, Any, Any] | Replicas] = (),
        read_stores: str | os.PathLike[str] | None = None,
        durability: Durability = "full",
        limits: Limits = Limits(),  # noqa: B008 - frozen
        clock: Clock | None = None,
        seed: int | None = None,
        codec: Codec | None = None,
        logger: Logger | None = None,
    ) -> "Runtime":
        """A runtime as an async context manager: `async with Runtime.open("bank.db", …) as runtime`.

        `database` is the path of the write database, made if it is not there, or ":memory:". Read stores
        are files in the folder `read_stores`; without it, in `bank.views` beside `bank.db`, or in memory
        for a database in memory. `read_stores=":memory:"` keeps them in memory in any case: they are
        then built from the log at each opening. `durability` is for a power loss, since all three survive the
        loss of the process: "full" loses nothing, "normal" may lose the last transactions, "off" the file. `seed`
        makes lags repeatable. `logger` is a structlog logger; without one, Aftertide logs to the standard logger
        "aftertide", which is silent unless the host listens.

        Opening raises ValueError or TypeError for arguments that do not fit together, a kind of
        StoreUnavailable for files that can't be used.
        """
        if durability not in ("full", "normal", "off"):
            raise ValueError(
                f"durability is {durability!r}: allowed are 'full', 'normal' and 'off'."
            )
        return cls(
            _Options(
                os.fspath(database),
                tuple(deciders),
                _replicas(projections),
                None if read_stores is None else Path(read_stores),
                durability,
                limits,
                clock or SystemClock(),
                seed,
                codec,
                bind_log(logger),
            )
        )

    async def __aenter__(self) -> Self:
        if self._state != "new":
            raise RuntimeClosed("this runtime was opened before")
        try:
            await self._open()
        except BaseException as error:
            self._state = "closed"
            with anyio.CancelScope(shield=True):
                await self._exit.__aexit__(type(error), error, error.__traceback__)
            raise
        self._state = "open"
        self._taking = self._kinds
        self._log.info("runtime.opened", database=self._options.database, head=self.head)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # A host that is cancelled still gets its answers and its files closed. It is bounded: what was
        # accepted is on its way to the disk, and nothing new is accepted.
        self._state = "closing"
        self._taking = {}
        try:
            await outlast(self._drain())
        finally:
            try:
                await self._end_projections()
            finally:
                self._state = "closed"
                with anyio.CancelScope(shield=True):
                    await self._exit.aclose()
                self._log.info("runtime.closed", database=self._options.database, head=self.head)

    async def _end_projections(self) -> None:
        self._passivation.close()
        self._queries.close()
        # Not inside a shield of ours: scopes must end in the order in which they began, and this one is older.
        self._tasks.cancel_scope.shield = True
        await self._tasks.__aexit__(None, None, None)

    # ---- commands

    async def execute(
        self,
        decider: Decider[C, S, E],
        id: str,
        command: C,
        **options: Unpack[CommandOptions],
    ) -> Receipt:
        """Let the aggregate decide the command; returns when its events are durable.

        For what may be said beside the command, see CommandOptions. A cancelled `execute` either never
        started or runs to its end without you.

        Raises CommandRejected as `decide` raised it; ConcurrencyConflict where `expected_version` is not
        the stream's, or other processes were faster too often; DeadlineExceeded, MailboxFull,
        RuntimeClosed, DecisionFailed, a kind of StoreUnavailable; TypeError for a command that the
        decider does not take. Whatever it raises, nothing of the command was appended.
        """
        # Options in one dict: six keyword parameters with defaults cost a sixth of a microsecond, unused.
        envelope = (
            self._envelope(command, options)
            if options
            else Envelope(command, next(self._ids), self._now())
        )
        kind = self._taking.get(decider)
        if kind is None or type(command) not in kind.commands:
            self._refuse(decider, command)
        try:
            aggregate = kind.active.get(id)
        except TypeError:  # a list, say: `find` tells what an id is
            aggregate = None
        if aggregate is None:
            aggregate = kind.find(id)
        elif self._at_once and aggregate.messages is None:
            # Nothing waits and nothing has to be waited for: the sender takes the turn, and then lets all
            # others have theirs, as if it had been answered.
            self._commands += 1
            receipt = aggregate.at_once(envelope)
            await _OTHERS
            return receipt
        reply = self._create_future()
        aggregate.send((envelope, reply))
        self._commands += 1
        return await reply

    async def execute_many(
        self, decider: Decider[C, S, E], commands: Iterable[tuple[str, C]]
    ) -> list[Receipt | AftertideError]:
        """Execute (id, command) pairs, many at once; their outcomes in the same order.

        Commands of one aggregate are decided in the order given. One that fails does not stop the
        others: its error stands in its place. Raises TypeError and ValueError for what is no command or
        no id, at that point; those before it are executed all the same.
        """
        kind = self._kinds.get(decider)
        if kind is None or self._state != "open":
            self._refuse(decider)
        outcomes: list[Receipt | AftertideError] = []
        under_way: deque[asyncio.Future[Receipt]] = deque()
        mistake: Exception | None = None
        try:
            for id, command in commands:
                try:
                    reply = self._send_one(kind, id, command)
                except (TypeError, ValueError) as error:
                    mistake = error
                    break
                under_way.append(reply)
                if len(under_way) >= WINDOW:
                    outcomes.append(await _outcome(under_way.popleft()))
            while under_way:
                outcomes.append(await _outcome(under_way.popleft()))
        finally:
            # Leaving early: what has not begun never starts, the rest ends unseen.
            for reply in under_way:
                if not reply.cancel() and not reply.cancelled():
                    reply.exception()  # looked at, so that asyncio does not report it as lost
        if mistake is not None:
            raise mistake
        return outcomes

    def _send_one(self, kind: Kind, id: str, command: object) -> "asyncio.Future[Receipt]":
        if type(command) not in kind.commands:
            self._refuse(kind.decider, command)
        envelope = Envelope(command, next(self._ids), self._now())
        reply = self._create_future()
        try:
            self._check_open()
            kind.find(id).send((envelope, reply))
            self._commands += 1
        except AftertideError as error:  # MailboxFull, RuntimeClosed: one command's outcome
            reply.set_exception(error)
        return reply

    def _refuse(self, decider: Decider[Any, Any, Any], command: object = None) -> NoReturn:
        self._check_open()
        kind = self._kinds.get(decider)
        if kind is None:
            known = sorted(kind.category for kind in self._kinds.values())
            if getattr(decider, "category", None) in known:
                raise ValueError(
                    f"the runtime has another decider of the category {decider.category!r}: use the "
                    "very object that was passed to Runtime.open(deciders=[…])."
                )
            raise ValueError(
                f"{decider!r} is not one of this runtime's deciders ({', '.join(known) or 'none'}): "
                "pass it to Runtime.open(deciders=[…])."
            )
        names = ", ".join(sorted(command_type.__name__ for command_type in kind.commands))
        raise TypeError(
            f"decider {kind.category!r} takes no {type(command).__name__} ({command!r:.100}): it takes {names}."
        )

    def _check_open(self) -> None:
        if self._state != "open":
            raise RuntimeClosed(f"the runtime is {self._state}")

    def _envelope(self, command: C, options: CommandOptions) -> Envelope[C]:
        unknown = options.keys() - CommandOptions.__annotations__.keys()
        if unknown:
            raise TypeError(
                f"execute takes no option {', '.join(map(repr, sorted(unknown)))}: it takes "
                f"{', '.join(CommandOptions.__annotations__)}."
            )
        command_id = options.get("command_id")
        correlation_id = options.get("correlation_id")
        causation_id = options.get("causation_id")
        expected_version = options.get("expected_version")
        timeout = options.get("timeout")
        metadata = options.get("metadata")
        for name, value in (
            ("command_id", command_id),
            ("correlation_id", correlation_id),
            ("causation_id", causation_id),
        ):
            if value is not None and not _is_text(value):
                raise ValueError(
                    f"{name} is {value!r}: it must be a string that is not empty and valid text."
                )
        if expected_version is not None and (
            not isinstance(expected_version, int) or expected_version < 0
        ):
            raise ValueError(
                f"expected_version is {expected_version!r}: it must be a whole number from 0."
            )
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout is {timeout!r}: it must be a number of seconds from 0.")
        context = Context(correlation_id, causation_id, metadata or None)
        if metadata:
            # Here, where its author hears of it, and not when the aggregate's turn comes.
            try:
                context.encoded()
            except Exception as error:
                raise TypeError(
                    f"metadata is {metadata!r}: it must be what JSON can say ({described(error)})."
                ) from error
        now = self._now()
        return Envelope(
            command,
            command_id or next(self._ids),
            now,
            None if expected_version is None else Version(expected_version),
            None if timeout is None else now + timeout,
            None if context == NO_CONTEXT else context,
        )

    # ---- queries

    @overload
    async def query(
        self,
        view: View[R, E, K],
        key: K,
        /,
        *,
        consistency: Consistency = ...,
        timeout: float | None = ...,
        on_timeout: OnTimeout = ...,
        replica: int | None = ...,
    ) -> Answer[R]: ...

    @overload
    async def query(
        self,
        view: View[R, E, K],
        /,
        *,
        where: Mapping[str, Any] | None = ...,
        order_by: str | Sequence[str] = ...,
        limit: int | None = ...,
        offset: int = ...,
        consistency: Consistency = ...,
        timeout: float | None = ...,
        on_timeout: OnTimeout = ...,
        replica: int | None = ...,
    ) -> Answers[R]: ...

    async def query(
        self,
        view: View[Any, Any, Any],
        /,
        *keys: Any,
        where: Mapping[str, Any] | None = None,
        order_by: str | Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
        consistency: Consistency = Eventual(),  # noqa: B008 - frozen
        timeout: float | None = None,
        on_timeout: OnTimeout = "raise",
        replica: int | None = None,
    ) -> Answer[Any] | Answers[Any]:
        """Read a view: the row at `key`, or all rows that match, all of one position.

        `where` maps columns to values (a list matches any of its members, None the absence of a value),
        `order_by` names columns (a leading hyphen for descending), `limit` and `offset` cut.
        `consistency` says how fresh the answer must be: Eventual(), AtLeast(receipt.position), Strong().
        Where no replica is that fresh it waits, woken by the commit, `timeout` seconds at the most; then it
        raises NotFreshEnough, or with on_timeout="stale" answers with what there is and says so in its
        freshness. Raises ProjectionStopped at once when no replica will get there.

        `replica` asks that one and no other.
        """
        self._check_open()
        if len(keys) > 1:
            raise TypeError("query takes one key; for several rows use where= or no key at all.")
        if on_timeout not in ("raise", "stale"):
            raise ValueError(f"on_timeout is {on_timeout!r}: allowed are 'raise' and 'stale'.")
        seconds = self._limits.query_timeout_seconds if timeout is None else timeout
        if not seconds >= 0:
            raise ValueError(f"timeout is {timeout!r}: it must be a number of seconds from 0.")
        columns = (order_by,) if isinstance(order_by, str) else tuple(order_by)
        if keys and (where or columns or limit is not None or offset):
            raise TypeError("a query for one key takes no where, order_by, limit or offset.")
        select = Select(keys or None, where or {}, columns, limit, offset)
        rows, freshness = await self._queries.query(
            view, select, consistency, seconds, on_timeout, replica
        )
        if keys:
            return Answer(rows[0] if rows else None, freshness)
        return Answers(tuple(rows), freshness)

    @overload
    def read(self, /, *, after: int = ...) -> AsyncIterator[RecordedEvent[Any]]: ...

    @overload
    def read(
        self, decider: Decider[C, S, E], id: str, /, *, after: int = ...
    ) -> AsyncIterator[RecordedEvent[E]]: ...

    async def read(
        self,
        decider: Decider[Any, Any, Any] | None = None,
        id: str | None = None,
        /,
        *,
        after: int = 0,
    ) -> AsyncIterator[RecordedEvent[Any]]:
        """The whole log after a position, or one stream after a version, up to the end it has when reached.

        Read page by page from the write database: what was committed before the call is there.
        """
        if isinstance(after, bool) or not isinstance(after, int) or after < 0:
            raise ValueError(f"after is {after!r}: it must be a whole number from 0.")
        if decider is not None:
            if decider not in self._kinds:
                self._refuse(decider)
            if not isinstance(id, str):
                raise TypeError(
                    f"the id of a {decider.category!r} aggregate is {id!r}: it must be a string. "
                    "Without a decider, read() gives the whole log."
                )
        while True:
            self._check_open()
            if decider is None:
                page = await self._events.read(Position(after), self._limits.page_events)
            else:
                page = await self._events.read_stream(
                    decider.category, id or "", Version(after), self._limits.page_events
                )
            if not page.rows:
                return
            for event in self._types.decode(page):
                yield event
            after = page.rows[-1][0] if decider is None else page.rows[-1][2]

    async def settle(self, timeout: float | None = None) -> Position:
        """Return, with the head, once every replica of every view has applied all that is committed now.

        A signal, not a poll. Raises NotFreshEnough after `timeout` seconds, ProjectionStopped at once when
        a replica will not get there.
        """
        self._check_open()
        if timeout is not None and not timeout >= 0:
            raise ValueError(f"timeout is {timeout!r}: it must be a number of seconds from 0.")
        return await self._queries.settle(timeout)

    # ---- looking at it, and steering replicas

    @property
    def head(self) -> Position:
        """The last position that this runtime knows to be committed."""
        return max(self._journal.head, self._bus.head)

    def projection(self, view: View[Any, Any, Any], replica: int = 1) -> Projection:
        """One replica, to pause, resume, restart or give another lag while it runs."""
        return self._queries.replicas(view).find(replica)

    def statistics(self) -> Statistics:
        store = self._events.statistics()
        return Statistics(
            self.head,
            self._commands,
            store.events,
            store.transactions,
            store.thread_hops,
            self._activation.activations,
            self._passivation.passivations,
            {
                kind.category: AggregateStatistics(
                    kind.category, len(kind.active), kind.rejected, kind.door.statistics()
                )
                for kind in self._kinds.values()
            },
            {projection.name: self._look_at(projection) for projection in self._projections},
        )

    def _look_at(self, projection: Projection) -> ProjectionStatistics:
        freshness = self._queries.freshness(projection)
        return projection.statistics(freshness.behind_events, freshness.behind_seconds)

    # ---- opening and closing

    async def _open(self) -> None:
        options, limits, loop = self._options, self._limits, asyncio.get_running_loop()
        # loop.create_future() is a Python function around this, at twice the price.
        self._create_future: Callable[[], asyncio.Future[Receipt]] = partial(
            asyncio.Future, loop=loop
        )
        self._events = await self._open_events()
        self._exit.push_async_callback(self._events.aclose)
        head = await self._events.head()
        # The head makes the ids of two runs with one seed differ.
        prefix = f"{self._random.getrandbits(80):020x}-{head:x}-"
        self._ids = map(prefix.__add__, map(str, count(1)))
        self._bus = Bus(head, self._now())
        verbose = self._log.listens(logging.DEBUG)
        if verbose:
            self._bus.subscriptions.append(CommitLog(self._log, head))
        self._dispatcher = Dispatcher(loop)
        self._journal = Journal(
            self._events, head, self._dispatcher, limits, self._now, self._bus, self._append_failed
        )
        self._activation = Activation(
            self._events, self._dispatcher, limits, self._trouble, self._journal.observe
        )
        for decider in options.deciders:
            self._kinds[decider] = Kind(
                decider,
                self._types,
                self._journal,
                self._dispatcher,
                self._activation.request,
                limits,
                self._now,
                self._trouble,
                self._rejected if verbose else None,
            )
        self._passivation = Passivation(tuple(self._kinds.values()), self.clock, limits)
        self._dispatcher.after_slice += [
            self._journal.flush,
            self._activation.flush,
            self._passivation.relieve,
        ]
        await self._open_projections(head)
        self._queries = Queries(
            self._replica_sets, self._bus, lambda: self.head, self._events, self.clock
        )
        self._at_once = self._journal.unheard
        self._passivation.start()
        # Last: whatever fails before leaves no task behind.
        supervisor = Supervisor(self.clock, limits, self._log)
        self._tasks: TaskGroup = anyio.create_task_group()
        await self._tasks.__aenter__()
        for projection in self._projections:
            self._tasks.start_soon(supervisor.run, projection, name=f"projection:{projection.name}")

    async def _open_events(self) -> EventStore:
        options = self._options
        if options.database == IN_MEMORY:
            return MemoryEventStore(self._random)
        return await SqliteEventStore.open(
            options.database,
            synchronous=cast("Synchronous", options.durability.upper()),
            text=self._types.codec.text,
            random=self._random,
        )

    async def _open_projections(self, head: Position) -> None:
        open_rows = self._read_store_factory()
        self._replica_sets: list[ReplicaSet] = []
        self._projections: list[Projection] = []
        for replicas in self._options.replicas:
            own: list[Projection] = []
            for number, lag in enumerate(replicas.lags, 1):
                rows = await open_rows(replicas.view, number, self._events.database_id)
                self._exit.push_async_callback(rows.aclose)
                if rows.checkpoint > head:
                    raise SchemaMismatch(
                        f"{replicas.view.name}/{number}",
                        f"its checkpoint is {rows.checkpoint}, but the log ends at {head}: the write database "
                        "was restored from an older state",
                        "Delete the read store; it is built again from the log.",
                    )
                if rows.rebuilt:
                    self._log.warning(
                        "projection.rebuilding", projection=f"{replicas.view.name}/{number}"
                    )
                own.append(
                    Projection(
                        replicas.view,
                        number,
                        lag,
                        self._events,
                        rows,
                        self._types,
                        self._bus.subscribe,
                        self.clock,
                        self._limits,
                        Random(self._random.getrandbits(64)),
                        lambda: self._dispatcher.turns,
                        self._log,
                    )
                )
            self._projections += own
            self._replica_sets.append(ReplicaSet(replicas.view, own))

    def _read_store_factory(self) -> ReadStoreFactory:
        database, folder = self._options.database, self._options.read_stores
        if folder == Path(IN_MEMORY) or (folder is None and database == IN_MEMORY):
            return open_memory_rows
        if folder is None:
            folder = Path(database).with_suffix(".views")
        return SqliteReadStores(folder)

    def _drain(self) -> "asyncio.Future[None]":
        """Done when everything that was accepted has its answer."""
        drained: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def check() -> None:
            # Whoever is not answered waits in one of these three, or in a line that moves up into them.
            if (
                self._dispatcher.idle
                and self._journal.idle
                and self._activation.idle
                and not drained.done()
            ):
                drained.set_result(None)

        self._dispatcher.draining = True
        self._dispatcher.after_slice.append(check)
        self._dispatcher.schedule()
        return drained

    def _trouble(
        self,
        what: str,
        aggregate: Aggregate,
        error: Exception,
        envelope: Envelope[Any] | None = None,
        /,
    ) -> None:
        level = self._log.error if isinstance(error, InvariantViolation) else self._log.warning
        level(what, cause=str(error), **_about(aggregate, envelope))

    def _rejected(self, aggregate: Aggregate, envelope: Envelope[Any], error: Exception) -> None:
        self._log.debug("command.rejected", cause=text_of(error), **_about(aggregate, envelope))

    def _append_failed(self, what: str, error: Exception) -> None:
        self._log.error(what, head=self.head, cause=str(error))


@dataclass(frozen=True, slots=True)
class _Options:
    database: str
    deciders: tuple[Decider[Any, Any, Any], ...]
    replicas: tuple[Replicas, ...]
    read_stores: Path | None
    durability: Durability
    limits: Limits
    clock: Clock
    seed: int | None
    codec: Codec | None
    log: Log


def _replicas(projections: Sequence[View[Any, Any, Any] | Replicas]) -> tuple[Replicas, ...]:
    replicas = tuple(
        projection if isinstance(projection, Replicas) else projection.replicas(1)
        for projection in projections
    )
    names = [each.view.name for each in replicas]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"view {name!r} is given twice: give each view once, with .replicas(n) for several copies."
            )
    return replicas


def _about(aggregate: Aggregate, envelope: Envelope[Any] | None) -> dict[str, object]:
    """What every line about an aggregate is bound with."""
    about: dict[str, object] = {"stream": aggregate.stream, "version": aggregate.version}
    if envelope is not None:
        about |= {
            "command": type(envelope.command).__name__,
            "command_id": envelope.command_id,
            "correlation_id": envelope.correlation_id,
        }
    return about


def _check_fit(options: _Options, types: EventTypes) -> None:
    """Raises ValueError where deciders and views can't be in one runtime."""
    categories: dict[str, Decider[Any, Any, Any]] = {}
    for decider in options.deciders:
        if categories.setdefault(decider.category, decider) is not decider:
            # Two would write the same streams, each with a state that the other makes wrong.
            raise ValueError(
                f"two deciders have the category {decider.category!r}: streams are named by it, so give "
                "each decider its own."
            )
    for replicas in options.replicas:
        for event_type in replicas.view.events:
            if event_type not in types:
                known = ", ".join(sorted(types.known)) or "none"
                raise ValueError(
                    f"view {replicas.view.name!r} takes events of type {event_type.__name__}, which no "
                    f"decider of this runtime declares (known: {known}): pass the decider that writes "
                    "them in deciders=[…]."
                )


def _is_text(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate: no database takes it
        return False
    return True


class _Others:
    """Awaited, it lets everybody else run once: what asyncio.sleep(0) does, without three Python calls."""

    __slots__ = ()
    if TYPE_CHECKING:

        def __await__(self) -> Generator[None, None, None]: ...

    else:
        __await__ = [None].__iter__


_OTHERS = _Others()


async def _outcome(reply: "asyncio.Future[Receipt]") -> Receipt | AftertideError:
    try:
        return await reply
    except AftertideError as error:
        return error
