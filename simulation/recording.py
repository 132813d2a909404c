"""Recording a real runtime: who asked for what, what it answered, what its replicas applied, and its log.

    recording = record(runtime)
    ann = recording.client("ann")                  # execute and query as the runtime has them, and noted
    history = await recording.finish()

It stands beside the runtime: callers are noted where they go through a client, replicas through the callbacks
they offer anyway. A runtime that nobody records runs the very code it runs without this file.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import msgspec

from ..actors.projection import Projection
from ..domain.codec import EventTypes
from ..domain.consistency import Eventual
from ..domain.errors import (
    CommandRejected,
    Condition,
    DecisionFailed,
    StreamUnreadable,
    UnknownEventType,
    described,
)
from ..domain.messages import Position
from ..runtime import Runtime
from .client import Client, Front
from .history import History
from .records import (
    Applied,
    Crashed,
    Executed,
    Logged,
    Outcome,
    Queried,
    Restarted,
    Settled,
)

O = TypeVar("O", Executed, Queried)  # noqa: E741 - an operation

FINAL_ROWS = 10_000
"""Rows of each replica that `finish` asks for."""

# What the front door promises of these: nothing of the command was appended. Of anything else nobody knows.
_NOTHING_HAPPENED = (
    CommandRejected, Condition, DecisionFailed, StreamUnreadable, TypeError, UnknownEventType, ValueError
)  # fmt: skip

_encode = msgspec.json.Encoder().encode


class Recording:
    """A history that is being written. All its times come from one clock and are strictly increasing.

    So what happened before something else has the smaller time, also where the clock stands still.
    """

    def __init__(self, runtime: Runtime) -> None:
        options = runtime._options
        self._runtime = runtime
        self._clock = runtime.clock
        self._began = self._clock.monotonic()
        self._last = 0.0
        self._commands = 0
        self._under_way: dict[int, Executed | Queried] = {}
        self._watched: list[tuple[Projection, Callable[[Projection], None]]] = []
        self._positions: dict[str, Position] = {}
        epoch = self._clock.time()
        self._prefix = f"recorded-{runtime.head:x}-{int(epoch * 1e6):x}-"
        self.history = History(
            epoch=epoch,
            views=[replicas.view for replicas in options.replicas],
            deciders=options.deciders,
        )
        for name, position in self._watch(runtime, "").items():
            if position:
                self.history.replicas[name] = position

    def now(self) -> float:
        """Seconds since the beginning, later than all that were given before."""
        self._last = max(
            self._clock.monotonic() - self._began, math.nextafter(self._last, math.inf)
        )
        return self._last

    def client(self, session: str, front: Front | None = None) -> Client:
        """Somebody who executes and queries, in a session of this name.

        `front` is what it speaks to; without one, the runtime that is watched when it speaks.
        """
        return Client(self, session, front)

    # ---- what happens to the runtime

    def watch(self, runtime: Runtime, *, node: str = "") -> None:
        """Go on with this runtime, which was opened on the same database after a restart."""
        self._unwatch()
        self._runtime = runtime
        checkpoints = self._watch(runtime, node)
        self.history.add(Restarted(at=self.now(), node=node, checkpoints=checkpoints))

    def crashed(self, node: str = "") -> None:
        """The runtime was killed: nothing of it will be told any more."""
        self._watched.clear()
        self.history.add(Crashed(at=self.now(), node=node))

    async def settle(self, timeout: float | None = None) -> Position:
        """The runtime's `settle`, noted: every replica has to be at the head that it returns."""
        head = await self._runtime.settle(timeout)
        self.settled(head)
        return head

    def settled(self, head: Position) -> None:
        """Every replica was waited for, until it had applied all up to this position."""
        self.history.add(Settled(at=self.now(), head=head))

    async def finish(self, *, final_rows: int = FINAL_ROWS) -> History:
        """Ask every replica for its rows (that many at the most), read the log, and stop listening.

        The runtime must be open. What is under way has an unknown outcome in the history. After a restart,
        `watch` the next runtime and finish again: it is the same history.
        """
        if final_rows:
            last = Client(self, None, self._runtime)
            for projection, _ in self._watched:
                await last.query(
                    projection.view,
                    replica=projection.replica,
                    limit=final_rows,
                    consistency=Eventual(),
                )
        self._unwatch()
        names = EventTypes(self.history.deciders).names
        self.history.log.clear()  # of an earlier finish, before a restart
        async for event in self._runtime.read():
            self.history.add(
                Logged(
                    position=event.position,
                    stream=event.stream,
                    version=event.version,
                    type=names[type(event.event)],
                    recorded_at=event.recorded_at,
                    command_id=event.command_id,
                    context=event.context,
                    data=msgspec.Raw(_encode(event.event)),
                )
            )
        for operation in self._under_way.values():
            self.history.add(operation)
        self._under_way.clear()
        return self.history

    def _watch(self, runtime: Runtime, node: str) -> dict[str, Position]:
        checkpoints: dict[str, Position] = {}
        for projection in runtime._projections:
            name = f"{node}/{projection.name}" if node else projection.name
            advanced = partial(self._advanced, name, [projection.restarts])
            projection.on_advance.append(advanced)
            self._watched.append((projection, advanced))
            checkpoints[name] = self._positions[name] = projection.position
        return checkpoints

    def _unwatch(self) -> None:
        for projection, advanced in self._watched:
            projection.on_advance.remove(advanced)
        self._watched.clear()

    def _advanced(self, name: str, restarts: list[int], projection: Projection) -> None:
        if projection.restarts != restarts[0]:
            restarts[0] = projection.restarts
            self.history.add(Restarted(at=self.now(), checkpoints={name: None}))
        first = min(self._positions[name] + 1, projection.position)
        self._positions[name] = projection.position
        self.history.add(
            Applied(
                replica=name, position=projection.position, first=Position(first), at=self.now()
            )
        )

    # ---- what clients do

    def next_id(self) -> str:
        """An id for a command that has none."""
        self._commands += 1
        return f"{self._prefix}{self._commands}"

    def begin(self, operation: O) -> O:
        """Note that somebody began this, whose outcome is unknown as yet. Then call `ended` or `failed` with it."""
        self._under_way[id(operation)] = operation
        return operation

    def ended(self, operation: O, **told: object) -> None:
        """It was answered; what the answer told is added to its record."""
        self._end(operation, outcome="ok", **told)

    def failed(self, operation: O, error: BaseException) -> None:
        """It raised this: either nothing happened, or nobody knows."""
        outcome: Outcome = "fail" if isinstance(error, _NOTHING_HAPPENED) else "info"
        self._end(operation, outcome=outcome, error=described(error))

    def unknown(self, operation: O, error: BaseException) -> None:
        """Whoever began it was told this, which says nothing of this operation."""
        self._end(operation, outcome="info", error=described(error))

    def _end(self, operation: O, **told: object) -> None:
        # One that ends after the history was finished is unknown there already.
        if self._under_way.pop(id(operation), None) is not None:
            self.history.add(msgspec.structs.replace(operation, end=self.now(), **told))

    @property
    def front(self) -> Front:
        return self._runtime


def record(runtime: Runtime) -> Recording:
    """Begin a history of this runtime, which must be open."""
    if runtime._state != "open":
        raise ValueError("record(runtime): the runtime is not open. Begin inside its `async with`.")
    return Recording(runtime)
