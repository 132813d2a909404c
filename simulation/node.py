"""A node: something that runs, can be killed without a `finally`, and is started again from what is durable.

Everything that runs in a node's context belongs to its incarnation, tasks, callbacks, timers and SQLite
connections alike. `crash()` drops all of it between two steps. Whoever stands outside reaches a node through
`call`, which is the network: the answer may never come. Calling a node's objects directly would run its code
in the caller's context, where a crash does not reach it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from .errors import NodeCrashed, NodeDown
from .incarnation import CURRENT, Incarnation
from .power import FileState, record_files

if TYPE_CHECKING:
    from .loop import SimulationLoop
    from .sqlite import SimulatedSqlite

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Node:
    """One process of the simulated world. Made by `Simulation.node`."""

    def __init__(
        self,
        name: str,
        main: Callable[[], Coroutine[Any, Any, object]],
        loop: "SimulationLoop",
        sqlite: "SimulatedSqlite",
    ) -> None:
        self.name = name
        self.incarnation: Incarnation | None = None
        """None while the node is down."""
        self.incarnations = 0
        self.failure: BaseException | None = None
        """What `main` raised, until somebody looked with `wait_stopped`."""
        self._main = main
        self._loop = loop
        self._sqlite = sqlite
        self._context: Context | None = None
        self._stopped: asyncio.Future[None] | None = None
        self._offset_seconds = 0.0

    def __repr__(self) -> str:
        return f"<Node {self.name}#{self.incarnations} {'up' if self.is_up else 'down'}>"

    @property
    def is_up(self) -> bool:
        return self.incarnation is not None

    def start(self) -> None:
        """Run `main` in a new incarnation. Raises ValueError if the node is up."""
        if self.incarnation is not None:
            raise ValueError(
                f"node {self.name!r} is up already: crash it before you start it again."
            )
        self.incarnations += 1
        incarnation = Incarnation(self.name, self.incarnations)
        incarnation.clock_offset_seconds = self._offset_seconds
        context = copy_context()
        context.run(CURRENT.set, incarnation)
        self.incarnation, self._context = incarnation, context
        self._stopped = self._loop.create_future()
        self._loop.trace.note(f"start of {self.name}#{self.incarnations}")
        # Outside every task group: a group would wait for tasks that never end.
        task = self._loop.create_task(self._main(), name=self.name, context=context.copy())
        task.add_done_callback(self._ended, context=context.copy())

    def restart(self) -> None:
        """Start it again after a crash."""
        self.start()

    def crash(self) -> None:
        """Kill it, like `kill -9`: nothing of it runs any more, no `finally` either; open transactions are
        rolled back. Called from inside the node, the step under way still ends. Does nothing while it is down.
        """
        incarnation = self.incarnation
        if incarnation is None:
            return
        self.incarnation = self._context = None
        self._loop.kill(incarnation)
        for callback in incarnation.on_death:
            callback()
        incarnation.on_death.clear()
        self._settle(None)

    def power_loss(self, *, lying_disk: bool = False) -> dict[str, int]:
        """Kill it and its machine: what the disk had not been told to keep may be gone.

        Each database in WAL mode comes back as of a drawn commit: any since the last checkpoint where its
        writer says `synchronous=NORMAL` or OFF, the last one with FULL; with `lying_disk`, which ignores
        every flush, any of them. Returns how many commits each file lost. Raises ValueError where somebody
        else has one of the files open: crash that one first.
        """
        incarnation = self.incarnation
        files: list[FileState] = []
        if incarnation is not None:
            files = record_files(self._sqlite, incarnation)
        self.crash()
        return {
            str(file.path): file.restore(
                self._loop.tape,
                f"{self.name}/{file.path.name}",
                self._loop.trace,
                lying_disk=lying_disk,
            )
            for file in files
        }

    def skew_clock(self, offset_seconds: float) -> None:
        """Set how far the node's wall clock is ahead; stays over a restart."""
        self._offset_seconds = offset_seconds
        if self.incarnation is not None:
            self.incarnation.clock_offset_seconds = offset_seconds

    async def call(self, function: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Run a coroutine function inside the node and wait for its outcome, as a client would.

        Raises NodeDown where nothing was started, NodeCrashed where the node died first and the outcome is
        unknown, else what the function raised. A cancelled caller cancels the function, without waiting.
        """
        incarnation, context = self.incarnation, self._context
        if incarnation is None or context is None:
            raise NodeDown(self.name)
        answer: asyncio.Future[T] = self._loop.create_future()

        async def serve() -> None:
            try:
                result = await function(*args)
            except BaseException as error:
                if answer.done():
                    raise
                answer.set_exception(_carried(error))
                if not isinstance(error, Exception):
                    raise
            else:
                if not answer.done():
                    answer.set_result(result)

        def crashed() -> None:
            if not answer.done():
                answer.set_exception(NodeCrashed(self.name, incarnation.number))

        task = self._loop.create_task(
            serve(), context=context.copy(), name=f"call:{_name(function)}"
        )
        incarnation.on_death.append(crashed)
        try:
            return await answer
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            if crashed in incarnation.on_death:
                incarnation.on_death.remove(crashed)

    async def wait_stopped(self) -> None:
        """Until `main` has returned or the node crashed. Raises what `main` raised."""
        if self._stopped is not None:
            await asyncio.shield(self._stopped)
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure

    def _ended(self, task: "asyncio.Task[object]") -> None:
        self.incarnation = self._context = None
        self._settle(None if task.cancelled() else task.exception())

    def _settle(self, failure: BaseException | None) -> None:
        self.failure = failure
        if self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)


def _carried(error: BaseException) -> BaseException:
    """What a future can hold of it."""
    if isinstance(error, StopIteration):
        return RuntimeError("the function raised StopIteration")
    return error


def _name(function: Callable[..., Any]) -> str:
    inner = getattr(function, "func", function)
    return getattr(inner, "__name__", type(inner).__name__)
