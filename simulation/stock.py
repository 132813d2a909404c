"""What the simulation uses of asyncio's event loop and its handles that has no public name.

Only declarations: `steps.step_type` looks at start-up whether they still hold.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextvars import Context
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet


class StockHandle(Protocol):
    """A Handle or TimerHandle, as it is inside."""

    _callback: Callable[..., object]
    _cancelled: bool
    _context: Context
    _scheduled: bool

    def _run(self) -> None: ...

    def cancelled(self) -> bool: ...


class StockLoop(asyncio.BaseEventLoop):
    """BaseEventLoop, as it is inside."""

    if TYPE_CHECKING:
        _asyncgens: WeakSet[AsyncGenerator[object, object]]
        _closed: bool
        _debug: bool
        _stopping: bool
        _task_factory: object
        _thread_id: int | None

        def _check_closed(self) -> None: ...

        def _check_callback(self, callback: object, method: str) -> None: ...

        def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[object, object]) -> None: ...
