"""aiosqlite without threads: each call runs on the loop's thread when its drawn moment has come.

User code stays as it is. What a connection's thread would do is done by aiosqlite's own worker function, one
request at a time: first in, first out for each connection, at max(the one before, now + a drawn latency); its
answer comes after another drawn latency. Between the two lies the moment that matters: committed, and nobody
knows it yet.

A lock that somebody else holds can't be waited for on the only thread. So SQLite never waits here: a call
that finds the database locked, and left everything as it was, is tried again in virtual time, at SQLite's
own intervals, until its busy timeout is over. A real thread may do the work instead (`lockstep=True`), with
the loop standing still meanwhile: same seed, same trace, so each checks the other.
"""

import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import unquote, urlsplit
from weakref import ReferenceType, WeakSet, ref

import aiosqlite
import aiosqlite.core

from .incarnation import CURRENT, Incarnation
from .patches import Patch, in_simulation
from .power import files_of
from .threads import off_the_loop

if TYPE_CHECKING:
    from asyncio import Future, Handle

    from .loop import SimulationLoop

T = TypeVar("T")
C = TypeVar("C", bound=sqlite3.Cursor)
Request = tuple["Future[Any] | None", Callable[[], object]]
Database = str | bytes | PathLike[str]

_BUSY_INTERVALS_MS = (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100)
"""sqliteDefaultBusyCallback in SQLite's main.c; 100 ms from there on."""
_DEFAULT_TIMEOUT_SECONDS = 5.0
_PARAMETERS = (
    *("timeout", "detect_types", "isolation_level", "check_same_thread", "factory"),
    *("cached_statements", "uri"),
)
"""sqlite3.connect's, in their order after the database."""
_PATIENCE_SECONDS = 60.0
"""Real seconds that a real thread may take for one request."""


@dataclass(frozen=True, slots=True)
class Latency:
    """How long SQLite takes, in virtual seconds: uniformly between low and high."""

    before: tuple[float, float] = (0.000_05, 0.002)
    """From the request to its effect."""
    after: tuple[float, float] = (0.0, 0.001)
    """From the effect to the answer."""

    def __post_init__(self) -> None:
        for low, high in (self.before, self.after):
            if not 0 <= low <= high < float("inf"):
                raise ValueError(f"a latency from {low!r} to {high!r}: needed is 0 <= low <= high.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a function returned or raised; called, it does so again."""

    value: object
    error: BaseException | None

    def __call__(self) -> object:
        if self.error is not None:
            raise self.error
        return self.value


class _Drained(BaseException):
    """Ends aiosqlite's worker function when it asks for a request that has not come."""


class SimulatedSqlite:
    """All aiosqlite connections of one simulation."""

    def __init__(
        self,
        loop: "SimulationLoop",
        *,
        latency: Latency = Latency(),
        lockstep: bool = False,
    ) -> None:
        self.loop = loop
        self.latency = latency
        self.lockstep = lockstep
        self.channels: list[Channel] = []
        self.executing: Channel | None = None
        self._names: dict[tuple[Incarnation | None, str], int] = {}
        self._connect: Callable[..., sqlite3.Connection] = sqlite3.connect
        loop.on_close.append(self._end)

    def patches(self) -> list[Patch]:
        return [
            Patch(aiosqlite.core, "SimpleQueue", self._open),
            Patch(aiosqlite.core, "Thread", SimulatedThread),
            Patch(aiosqlite.Connection, "__init__", _owned(aiosqlite.Connection.__init__)),
            Patch(sqlite3, "connect", self._connected),
        ]

    def of(self, incarnation: Incarnation | None) -> "list[Channel]":
        """The connections that an incarnation has open."""
        return [channel for channel in self.channels if channel.incarnation is incarnation]

    def name(self, incarnation: Incarnation | None, name: str) -> str:
        """A name for a connection in decisions and traces: `node#1/bank.db~2`."""
        same = self._names[incarnation, name] = self._names.get((incarnation, name), 0) + 1
        node = "" if incarnation is None else f"{incarnation.node}#{incarnation.number}/"
        return f"{node}{name}" if same == 1 else f"{node}{name}~{same}"

    def _open(self) -> "Channel":
        channel = Channel(self)
        self.channels.append(channel)
        return channel

    def _connected(
        self, database: Database, *args: object, **options: object
    ) -> sqlite3.Connection:
        """sqlite3.connect, with a busy timeout of 0 for those who are simulated."""
        channel = self.executing
        if channel is None and not in_simulation():
            return self._connect(database, *args, **options)
        # By position is how Python up to 3.14 allows it, too.
        options.update(zip(_PARAMETERS, args, strict=False))
        options.setdefault("factory", TrackedConnection)
        timeout = options.get("timeout", _DEFAULT_TIMEOUT_SECONDS)
        connection = self._connect(database, **{**options, "timeout": 0.0})
        if channel is not None:
            channel.opened(connection, database, float(cast("float", timeout)))
        return connection

    def _end(self) -> None:
        for channel in self.channels:
            channel.end()
        self.channels.clear()


class TrackedConnection(sqlite3.Connection):
    """Knows its cursors: one that is in the middle of its rows keeps a closed connection's locks."""

    cursors: "WeakSet[sqlite3.Cursor]"

    def cursor(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - as the parent's
        return self._track(super().cursor(*args, **options))

    def execute(self, *args: Any) -> sqlite3.Cursor:  # noqa: ANN401 - as the parent's
        return self._track(super().execute(*args))

    def _track(self, cursor: "C") -> "C":
        try:
            self.cursors.add(cursor)
        except AttributeError:
            self.cursors = WeakSet((cursor,))
        return cursor


class SimulatedThread:
    """What aiosqlite takes for its thread: says to the queue which function works on it."""

    def __init__(
        self, target: Callable[..., Any], args: "tuple[Channel, ...]" = (), **_: object
    ) -> None:
        self.daemon = False
        self.name = "simulated"
        self._target = target
        self._channel = args[0]

    def start(self) -> None:
        self._channel.start(self._target)

    def is_alive(self) -> bool:
        return self._channel.is_working

    def join(self, timeout: float | None = None) -> None:
        """Nothing to wait for."""


class Channel:
    """One connection: requests in order, each at its moment. To aiosqlite it is the queue."""

    def __init__(self, world: SimulatedSqlite) -> None:
        self.incarnation = CURRENT.get()
        self.owner: ReferenceType[aiosqlite.Connection] | None = None
        self.raw: list[sqlite3.Connection] = []
        self.name = world.name(self.incarnation, "connection")
        self._world = world
        self._loop = world.loop
        # Requests run in the context of whoever opened the connection, as its thread does.
        self._context = copy_context()
        self._worker: _Inline | _Real | None = None
        self._waiting: list[Request] = []
        """Put before the thread was started."""
        self._requests: deque[Request] = deque()
        self._due = 0
        """How many of them have had their moment."""
        self._last_ns = 0
        self._last_answer_ns = 0
        self._timeout_seconds = _DEFAULT_TIMEOUT_SECONDS
        self._tries = 0
        self._waited_ms = 0
        self._blocked = False
        self.dropped = False
        if self.incarnation is not None:
            self.incarnation.on_death.append(self.drop)

    @property
    def is_working(self) -> bool:
        return self._worker is not None and not self._worker.ended and not self.dropped

    # --- what aiosqlite's connection does with its queue and thread ---

    def put_nowait(self, request: Request) -> None:
        if self.dropped or (self._worker is not None and self._worker.ended):
            return
        if self._worker is None:
            self._waiting.append(request)
        elif self._loop.is_closed():
            self._worker.perform(
                request[1]
            )  # a connection that is thrown away after the world has ended
        else:
            self._schedule(request)

    def put(self, request: Request, block: bool = True, timeout: float | None = None) -> None:
        self.put_nowait(request)

    def start(self, target: Callable[..., Any]) -> None:
        self._worker = _Real(target) if self._world.lockstep else _Inline(target)
        for request in self._waiting:
            self._schedule(request)
        self._waiting.clear()

    def _schedule(self, request: Request) -> None:
        latency = self._loop.tape.draw(
            "sqlite.before", *self._world.latency.before, actor=self.name
        )
        self._requests.append(request)
        self._last_ns = max(self._last_ns, self._loop.now_ns + int(latency * 1e9))
        self._loop.call_at_ns(self._last_ns, self._moment, context=self._context)

    # --- the thread's work ---

    def _moment(self) -> None:
        self._due += 1
        while self._due and not self._blocked and not self.dropped:
            self._perform()

    def _perform(self) -> None:
        future, function = self._requests[0]
        worker = self._worker
        if worker is None or worker.ended:
            self._requests.clear()
            self._due = 0
            return
        self._loop.trace.note(f"sqlite {self.name} {_described(function)}")
        before = self._state()
        self._world.executing = self
        try:
            outcome = worker.perform(function)
        finally:
            self._world.executing = None
        self._take_timeouts()
        if _is_busy(outcome.error) and self._is_as_before(before) and self._may_retry():
            return
        self._requests.popleft()
        self._due -= 1
        self._tries = self._waited_ms = 0
        self._loop.answering = self._answer
        try:
            worker.answer(future, outcome)
        finally:
            self._loop.answering = None
        if not self.is_working:  # that was the request to stop
            self._world.channels.remove(self)

    def _answer(self, callback: Callable[..., object], *args: object) -> "Handle":
        latency = self._loop.tape.draw("sqlite.after", *self._world.latency.after, actor=self.name)
        self._last_answer_ns = max(self._last_answer_ns, self._loop.now_ns + int(latency * 1e9))
        return self._loop.call_at_ns(self._last_answer_ns, callback, *args, context=self._context)

    # --- locks ---

    def _state(self) -> "list[tuple[sqlite3.Connection, int, bool]]":
        """What a call can have changed, as far as the connections tell."""
        return [(raw, raw.total_changes, raw.in_transaction) for raw in self.raw if _is_open(raw)]

    def _is_as_before(self, before: "list[tuple[sqlite3.Connection, int, bool]]") -> bool:
        """Whether the call can be made again. An empty transaction that it has begun is taken back: Python
        begins one by itself before an INSERT, and SQLite would have waited after that."""
        after = self._state()
        if [entry[:2] for entry in before] != [entry[:2] for entry in after]:
            return False
        for (raw, _, was_open), (_, _, is_open) in zip(before, after, strict=True):
            if was_open and not is_open:
                return False
            if is_open and not was_open:
                self._on_thread(raw.rollback)
        return True

    def _may_retry(self) -> bool:
        """Wait for the lock in virtual time, if the busy timeout is not over."""
        interval = _BUSY_INTERVALS_MS[min(self._tries, len(_BUSY_INTERVALS_MS) - 1)]
        interval = min(interval, int(self._timeout_seconds * 1_000) - self._waited_ms)
        if interval <= 0:
            return False
        self._tries += 1
        self._waited_ms += interval
        self._blocked = True
        at = self._loop.now_ns + interval * 1_000_000
        self._last_ns = max(self._last_ns, at)
        self._loop.call_at_ns(at, self._retry, context=self._context)
        return True

    def _retry(self) -> None:
        self._blocked = False
        while self._due and not self._blocked and not self.dropped:
            self._perform()

    def _take_timeouts(self) -> None:
        """Whoever set a busy timeout by PRAGMA gets it, but not from SQLite, which would really wait."""
        for raw in self.raw:
            if _is_open(raw) and (timeout_ms := self._ask(raw, "PRAGMA busy_timeout")):
                self._timeout_seconds = timeout_ms / 1_000
                self._ask(raw, "PRAGMA busy_timeout = 0")

    def _ask(self, raw: sqlite3.Connection, pragma: str) -> int:
        def ask() -> int:
            cursor = raw.cursor()
            cursor.row_factory = None
            row: tuple[int] = cursor.execute(pragma).fetchone()
            return row[0]

        return self._on_thread(ask)

    def _on_thread(self, function: Callable[[], T]) -> T:
        """Something of our own, on the thread that the connections belong to."""
        if self._worker is None or self._worker.ended:
            return function()
        return cast("T", self._worker.perform(function)())

    # --- files and their end ---

    def opened(
        self, connection: sqlite3.Connection, database: Database, timeout_seconds: float
    ) -> None:
        """A function of this channel has opened a database."""
        if not self.raw:
            self.name = self._world.name(self.incarnation, _file_name(database))
        self.raw.append(connection)
        self._timeout_seconds = timeout_seconds

    def files(self) -> list[tuple[Path, bool, int]]:
        """The files it has open, whether it wrote there, and how durably (PRAGMA synchronous)."""
        found: list[tuple[Path, bool, int]] = []
        for raw in self.raw:
            if not self.dropped and _is_open(raw):
                found += self._on_thread(partial(files_of, raw))
        return found

    def drop(self) -> None:
        """The process died: its requests are gone, its files are closed, which rolls back."""
        if self.dropped:
            return
        self.dropped = True
        self._requests.clear()
        self._waiting.clear()
        self._close()
        owner = self.owner() if self.owner is not None else None
        if owner is not None:
            owner._connection = None  # or it would warn that it was not closed

    def end(self) -> None:
        """The world has ended. A connection still open stays its owner's, for the warning that it deserves."""
        if isinstance(self._worker, _Real):
            self.drop()

    def _close(self) -> None:
        def close() -> None:
            for raw in self.raw:
                for cursor in list(getattr(raw, "cursors", ())):
                    cursor.close()
                raw.close()

        if self._worker is None:
            close()
        elif not self._worker.ended:
            self._worker.perform(close)
            self._worker.stop()


class _Inline:
    """aiosqlite's worker function, called for one request at a time, on the loop's thread."""

    def __init__(self, target: Callable[..., Any]) -> None:
        self._target = target
        self._requests: deque[Request] = deque()
        self.ended = False

    def perform(self, function: Callable[[], object]) -> Outcome:
        with off_the_loop():
            return _attempt(function)

    def answer(self, future: "Future[Any] | None", outcome: Outcome) -> None:
        self._requests.append((future, outcome))
        try:
            self._target(self)
        except _Drained:
            return
        self.ended = True  # the worker returned: it was told to stop

    def get(self) -> Request:
        """What the worker function calls."""
        if not self._requests:
            raise _Drained
        return self._requests.popleft()

    def stop(self) -> None:
        self.ended = True


class _Real:
    """aiosqlite's worker function on a real thread, for which the loop stands still."""

    def __init__(self, target: Callable[..., Any]) -> None:
        self._queue: SimpleQueue[Request] = SimpleQueue()
        self._done = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, args=(target,), daemon=True)
        self.ended = False
        _start_thread(self._thread)

    def _run(self, target: Callable[..., Any]) -> None:
        try:
            target(self)
        finally:
            self.ended = True
            self._done.release()

    def get(self) -> Request:
        """What the worker function calls: by then it is done with the request before."""
        self._done.release()
        return self._queue.get()

    def perform(self, function: Callable[[], object]) -> Outcome:
        outcomes: list[Outcome] = []
        self._hand_over((None, lambda: outcomes.append(_attempt(function))))
        return outcomes[0]

    def answer(self, future: "Future[Any] | None", outcome: Outcome) -> None:
        self._hand_over((future, outcome))

    def _hand_over(self, request: Request) -> None:
        self._wait()
        self._queue.put(request)
        self._wait()
        self._done.release()

    def _wait(self) -> None:
        if not self._done.acquire(timeout=_PATIENCE_SECONDS):
            raise TimeoutError(
                f"a SQLite thread gave no answer for {_PATIENCE_SECONDS:g} real seconds: something in the "
                "request waits for the loop, which waits for it."
            )

    def stop(self) -> None:
        if not self.ended:
            # What makes aiosqlite's worker function return.
            self._queue.put((None, lambda: aiosqlite.core._STOP_RUNNING_SENTINEL))
            self._thread.join(_PATIENCE_SECONDS)


_start_thread = threading.Thread.start
"""From before any simulation, which forbids starting threads."""


def _attempt(function: Callable[[], object]) -> Outcome:
    try:
        return Outcome(function(), None)
    except BaseException as error:  # noqa: BLE001 - as aiosqlite's worker does
        return Outcome(None, error)


def _owned(theirs: Callable[..., None]) -> Callable[..., None]:
    """Connection.__init__, after which the queue knows whose it is."""

    def init(connection: aiosqlite.Connection, *args: object, **options: object) -> None:
        theirs(connection, *args, **options)
        channel: Any = connection._tx
        if isinstance(channel, Channel):
            channel.owner = ref(connection)

    return init


def _is_busy(error: BaseException | None) -> bool:
    """Whether SQLite would have waited: somebody holds a lock, and waiting can help."""
    for _ in range(5):
        if error is None:
            return False
        if isinstance(error, sqlite3.OperationalError):
            code = getattr(error, "sqlite_errorcode", 0)
            # Not for an older snapshot: that stays old however long one waits, so SQLite does not.
            return code & 0xFF == sqlite3.SQLITE_BUSY and code != sqlite3.SQLITE_BUSY_SNAPSHOT
        error = error.__cause__
    return False


def _is_open(raw: sqlite3.Connection) -> bool:
    try:
        raw.in_transaction  # noqa: B018 - raises for a closed connection
        raw.total_changes  # noqa: B018
    except sqlite3.ProgrammingError:
        return False
    return True


def _described(function: Callable[..., object]) -> str:
    """What a request does, for the trace: SQLite's method and the SQL, or the names of our functions.

    No other argument: it may hold a path, which differs from run to run.
    """
    inner = getattr(function, "func", function)
    name = str(getattr(inner, "__qualname__", type(inner).__name__))
    arguments: tuple[Any, ...] = getattr(function, "args", ())
    if isinstance(getattr(inner, "__self__", None), sqlite3.Connection | sqlite3.Cursor):
        sql = next((argument for argument in arguments if isinstance(argument, str)), "")
        return f"{name} {' '.join(sql.split())[:80]}".rstrip()
    nested = next((argument for argument in arguments if callable(argument)), None)
    return name if nested is None else f"{name} {_described(nested)}"


def _file_name(database: Database) -> str:
    path = database_path(database)
    return "memory" if path is None else path.name


def database_path(database: Database) -> Path | None:
    """The file behind sqlite3.connect's argument; None for one in memory."""
    name = database.decode() if isinstance(database, bytes) else str(database)
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    return None if name in ("", ":memory:") else Path(name)
