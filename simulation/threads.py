"""Work for threads, done inline: as one callback of the loop, after a drawn delay.

`loop.run_in_executor`, `asyncio.to_thread` and `anyio.to_thread.run_sync` keep their results, errors and
cancellation. What they can't do here is call back into the loop and wait for it (`anyio.from_thread`): the
one thread there is would wait for itself, and anyio refuses it.
"""

import asyncio
from asyncio import events
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from anyio import CancelScope, CapacityLimiter
from anyio._backends._asyncio import AsyncIOBackend
from anyio._core._eventloop import set_current_async_library

from .patches import Patch

if TYPE_CHECKING:
    from .loop import SimulationLoop

LONGEST_WORK_SECONDS = 0.001
"""Work for a thread is drawn to take from nothing up to this."""


def run_inline(
    loop: "SimulationLoop", function: Callable[..., Any], arguments: tuple[Any, ...]
) -> "asyncio.Future[Any]":
    """A future of what the function returns when its moment has come. Cancelled before, it never runs."""
    future = loop.create_future()
    delay = loop.tape.draw("thread", 0.0, LONGEST_WORK_SECONDS)
    loop.call_later(delay, _work, future, function, arguments)
    return future


def _work(
    future: "asyncio.Future[Any]", function: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    if future.done():
        return
    try:
        with off_the_loop():
            result = function(*arguments)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - whoever awaits the future gets it
        if isinstance(error, StopIteration):  # which no future can carry
            stopped = RuntimeError("the function for a thread raised StopIteration")
            stopped.__cause__ = error
            future.set_exception(stopped)
        else:
            future.set_exception(error)
    else:
        future.set_result(result)


class off_the_loop:
    """Inside the block no loop is running, as it is in a thread."""

    def __enter__(self) -> None:
        self._loop = events._get_running_loop()
        events._set_running_loop(None)

    def __exit__(self, *_: object) -> None:
        events._set_running_loop(self._loop)


def thread_patches(loop: "SimulationLoop") -> list[Patch]:
    """What this loop needs replaced in anyio."""

    async def run_sync_in_worker_thread(
        cls: type[AsyncIOBackend],
        func: Callable[..., Any],
        args: tuple[Any, ...],
        abandon_on_cancel: bool = False,
        limiter: CapacityLimiter | None = None,
    ) -> object:
        await cls.checkpoint()
        result: object = None
        async with limiter or cls.current_default_thread_limiter():
            with CancelScope(shield=not abandon_on_cancel):
                context = copy_context()
                context.run(set_current_async_library, None)
                result = await run_inline(loop, partial(context.run, func), args)
        return result

    return [
        Patch(AsyncIOBackend, "run_sync_in_worker_thread", classmethod(run_sync_in_worker_thread))
    ]
