"""Which handles are steps of a task and which are plain callbacks; and a task that has a number.

The scheduler may permute steps, never callbacks: `call_soon` promises their order, and anyio's cancellation
is built on it. `task.cancel` is bound to a task too and is a plain callback, so the exact type or name decides.
Both are details of CPython. A self-test reads them from live handles before the first simulation.
"""

import asyncio
import inspect
import platform
from asyncio import events
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from functools import cache
from types import BuiltinMethodType
from typing import TYPE_CHECKING, Any, TypeVarTuple, cast

from .errors import UnknownPython
from .incarnation import CURRENT, Incarnation
from .stock import StockLoop

if TYPE_CHECKING:
    from .loop import SimulationLoop

Ts = TypeVarTuple("Ts")

WAKEUP = "task_wakeup"


class Step(events.Handle):
    """A handle that continues a task."""

    __slots__ = ("code", "task")

    code: int
    """The task's number, times two: how the trace writes it."""
    task: "asyncio.Task[Any]"


class SimulationTask(asyncio.Task[Any]):
    """A task with a number, in order of creation: its hash, so that sets of tasks have one order."""

    code: int
    known_as: str
    """What it is called in traces and decisions, if no other task is called so."""
    incarnation: Incarnation | None

    def __init__(
        self,
        coro: Generator[Any, None, Any] | Coroutine[Any, Any, Any],
        *,
        loop: "SimulationLoop",
        name: str | None = None,
        context: Context | None = None,
        **more: Any,  # noqa: ANN401 - what later Pythons add
    ) -> None:
        # Before the parent's own: it schedules the first step, which is recorded under the number.
        number = loop.enrol(self, coro, name, context)
        super().__init__(
            coro,
            loop=loop,
            name=f"Task-{number + 1}" if name is None else name,
            context=context,
            **more,
        )

    def __hash__(self) -> int:
        return self.code

    def set_name(self, value: object, /) -> None:
        super().set_name(value)
        loop: Any = self.get_loop()
        if (
            inspect.iscoroutine(coro := self.get_coro())
            and inspect.getcoroutinestate(coro) == inspect.CORO_CREATED
        ):
            loop.rename(self, str(value))


def number_task(task: object, number: int, name: str, context: Context | None) -> None:
    """Give a task, ours or one that a foreign task factory made, what the simulation knows it by."""
    numbered = cast("SimulationTask", task)
    numbered.code = number << 1
    numbered.known_as = name
    numbered.incarnation = CURRENT.get() if context is None else context.get(CURRENT)


class _Recorder(StockLoop):
    """A loop that runs what it is given and keeps the callbacks it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Callable[..., Any]] = []

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        self.seen.append(callback)
        return super().call_soon(callback, *args, context=context)

    def _run_once(self) -> None:
        ready: Any = self._ready  # type: ignore[attr-defined]
        while ready and not self._stopping:
            ready.popleft()._run()
        if not ready:
            self.stop()


class _Bare:
    """Awaiting it yields None, like `asyncio.sleep(0)`."""

    def __await__(self) -> Generator[None, None, None]:
        yield


@cache
def step_type() -> type:
    """The type of a first step's callback on this Python, once it is known that we can tell steps apart.

    Raises UnknownPython where live handles are not what the scheduler relies on.
    """
    loop = _Recorder()
    try:
        future: asyncio.Future[None] = loop.create_future()

        async def body() -> None:
            await _Bare()
            await future

        task = asyncio.Task(body(), loop=loop)
        loop.call_soon(lambda: loop.call_soon(future.set_result, None))
        task.add_done_callback(lambda _: loop.stop())
        loop.run_forever()
        cancel = loop.call_soon(task.cancel)
        first, seen = loop.seen[0], loop.seen
        kind = type(first)
        steps = [callback for callback in seen if is_step(callback, kind)]
        named = [getattr(callback, "__name__", None) for callback in seen]
        problem = None
        if not task.done() or task.cancelled():
            problem = "a task did not run to its end on BaseEventLoop._ready and _run_once"
        elif kind in (BuiltinMethodType, type(body), type(loop.stop)):
            problem = f"the first step of a task is a {kind.__name__}, no type of its own"
        elif len(steps) != 3 or any(getattr(step, "__self__", None) is not task for step in steps):
            problem = f"of a task's three steps, {len(steps)} are recognised among {named}"
        elif is_step(cancel._callback, kind):  # type: ignore[attr-defined]
            problem = "task.cancel is taken for a step"
        if problem is not None:
            raise UnknownPython(
                f"{_python()} is not supported by the simulation: {problem}. Known are CPython 3.11, 3.12 and "
                "3.13 with asyncio's C accelerator; run it on one of them."
            )
        return kind
    finally:
        loop.close()


def is_step(callback: object, kind: type) -> bool:
    """Whether a callback continues a task; the loop has the same test inline."""
    return type(callback) is kind or (
        type(callback) is BuiltinMethodType and callback.__name__ == WAKEUP
    )


def _python() -> str:
    return f"{platform.python_implementation()} {platform.python_version()}"
