"""Who waits for what, and where: what a simulation shows of its tasks when it is stuck."""

import asyncio
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

_LIBRARIES = ("asyncio", "anyio", "contextlib", "functools")
MOST_SHOWN = 40


Name = Callable[["asyncio.Task[Any]"], str]


def waiting(tasks: Iterable["asyncio.Task[Any]"], name: Name) -> list[str]:
    """One line for each task that is not done, in order of creation; the rest of very many is counted."""
    pending = sorted((task for task in tasks if not task.done()), key=hash)
    lines = [_line(task, name) for task in pending[:MOST_SHOWN]]
    if len(pending) > MOST_SHOWN:
        lines.append(f"and {len(pending) - MOST_SHOWN} more")
    return lines


def _line(task: "asyncio.Task[Any]", name_of: Name) -> str:
    frames, awaited = _chain(task.get_coro())
    awaited = getattr(task, "_fut_waiter", None) or awaited
    name = name_of(task)
    incarnation = getattr(task, "incarnation", None)
    if incarnation is not None:
        name = f"{incarnation.node}: {name}"
    own = [frame for frame in frames if not _is_library(frame.f_globals.get("__name__", ""))]
    if not frames:
        return f"{name} has not begun"
    place = " < ".join(_place(frame) for frame in reversed(own[-3:] or frames[-1:]))
    inner = frames[-1]
    through = "" if inner in own else f", in {_name(inner.f_code)}()"
    return f"{name} waits for {_what(awaited, name_of)}{through} at {place}"


def _chain(coroutine: object) -> tuple[list[FrameType], object]:
    """The frames from the task's own coroutine inwards, and what the innermost one awaits."""
    frames: list[FrameType] = []
    current: Any = coroutine
    while current is not None:
        if inspect.iscoroutine(current):
            frame, following = current.cr_frame, current.cr_await
        elif inspect.isgenerator(current):
            frame, following = current.gi_frame, current.gi_yieldfrom
        elif inspect.isasyncgen(current):
            frame, following = current.ag_frame, current.ag_await
        else:
            return frames, current
        if frame is None:
            return frames, None
        frames.append(frame)
        current = following
    return frames, None


def _what(awaited: object, name_of: Name) -> str:
    if awaited is None:
        return "its turn"
    if isinstance(awaited, asyncio.Task):
        return f"task {name_of(awaited)}"
    if isinstance(awaited, asyncio.Future):
        return (
            f"a {type(awaited).__name__.lstrip('_')}"
            if type(awaited) is not asyncio.Future
            else "a signal"
        )
    return f"a {type(awaited).__name__}"


def _is_library(module: str) -> bool:
    return module.partition(".")[0] in _LIBRARIES


def _name(code: CodeType) -> str:
    return code.co_qualname


def _place(frame: FrameType) -> str:
    return f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_qualname}()"


def short_path(filename: str) -> str:
    """A path as a reader knows it: from the working directory, or from the installed package on."""
    path = Path(filename)
    if "site-packages" in path.parts:
        return "/".join(path.parts[path.parts.index("site-packages") + 1 :])
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return "/".join(path.parts[-3:])
