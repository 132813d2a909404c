"""Named places in the way of a command at which a process kills itself.

Laid in the child only, from outside: production code has no hook and pays for none. A trap that is never
reached fails its test, so a renamed function or a changed statement is noticed.
"""

import os
import re
import signal
import sqlite3
import threading
from collections.abc import Callable
from random import Random
from typing import Any, Literal

import msgspec

from aftertide.actors.aggregate import Aggregate
from aftertide.actors.bus import Bus
from aftertide.actors.journal import Journal
from aftertide.actors.projection import Projection

When = Literal["before", "inside", "after"]
File = Literal["log", "rows"]

STATEMENTS: dict[str, tuple[File, str, When]] = {
    # The log: most appends are one INSERT that is its own transaction; those with a new stream are several.
    "before an append begins": ("log", "BEGIN IMMEDIATE|INSERT INTO events", "before"),
    "inside an append of one statement": ("log", "INSERT INTO events", "inside"),
    "between a new stream and its events": ("log", "INSERT OR IGNORE INTO streams", "after"),
    "between an append's rows and its COMMIT": ("log", "COMMIT", "before"),
    "inside an append's COMMIT": ("log", "COMMIT", "inside"),
    "between an append's COMMIT and its publication": ("log", "COMMIT", "after"),
    # The read stores: rows, checkpoint, COMMIT.
    "before rows are put": ("rows", "BEGIN IMMEDIATE", "before"),
    "inside the put of rows": ("rows", 'INSERT INTO "', "inside"),
    "between rows and their checkpoint": ("rows", "UPDATE aftertide_checkpoint", "before"),
    "between a checkpoint and its COMMIT": ("rows", "COMMIT", "before"),
    "inside a put's COMMIT": ("rows", "COMMIT", "inside"),
    "after a put's COMMIT": ("rows", "COMMIT", "after"),
}

CALLS: dict[str, tuple[type, str, When]] = {
    "between an append's statement and its outcome": (Journal, "_finish", "before"),
    "before a publication": (Bus, "publish", "before"),
    "between publication and receipt": (Bus, "publish", "after"),
    "after a receipt was set": (Aggregate, "committed", "after"),
    "between publication and apply": (Projection, "_apply", "before"),
    "between a put and its waiters": (Projection, "_remember", "before"),
}

OPENING = "at a statement that makes the files"
MAKING = "PRAGMA (journal_mode|application_id|user_version)|BEGIN|COMMIT|CREATE|INSERT|DROP"
MAKINGS = 66
"""Some more than there are."""

PLACES = (*STATEMENTS, *CALLS)


class Trap(msgspec.Struct, frozen=True):
    """A place, and the how-manieth time that somebody comes there."""

    place: str
    time: int


class _Spring:
    """Counts who comes by, and kills at the right one."""

    def __init__(self, time: int, armed: bool) -> None:
        self._left = time
        self.armed = armed

    def here(self) -> bool:
        """Whether this is the time."""
        if self.armed:
            self._left -= 1
        return self.armed and self._left == 0

    def touch(self) -> None:
        if self.here():
            kill()


_springs: list[_Spring] = []


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm() -> None:
    """Count from now on."""
    for spring in _springs:
        spring.armed = True


def lay(trap: Trap, database: str, random: Random) -> None:
    """Make this process die at the place. What leads to the opening counts for no other place."""
    spring = _Spring(trap.time, armed=trap.place == OPENING)
    _springs.append(spring)
    if trap.place in CALLS:
        owner, name, when = CALLS[trap.place]
        setattr(owner, name, _surrounded(getattr(owner, name), when, spring))
        return
    file, pattern, when = STATEMENTS.get(trap.place, ("any", MAKING, "before"))
    _lay_in_sqlite(file, re.compile(pattern), when, spring, database, random)


def _surrounded(
    function: Callable[..., object], when: When, spring: _Spring
) -> Callable[..., object]:
    def before(*arguments: object) -> object:
        spring.touch()
        return function(*arguments)

    def after(*arguments: object) -> object:
        result = function(*arguments)
        spring.touch()
        return result

    return before if when == "before" else after


def _lay_in_sqlite(
    file: str,
    pattern: re.Pattern[str],
    when: When,
    spring: _Spring,
    database: str,
    random: Random,
) -> None:
    connect: Callable[..., sqlite3.Connection] = sqlite3.connect

    class Trapped(sqlite3.Connection):
        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401
            if when == "after" or not pattern.match(sql) or not spring.here():
                cursor = super().execute(sql, parameters)
                if when == "after" and pattern.match(sql):
                    spring.touch()
                return cursor
            if when == "before":
                kill()
            _kill_soon(random)
            return super().execute(sql, parameters)

    def trapped_connect(location: str, **options: object) -> sqlite3.Connection:
        writes = "mode=rwc" in location
        ours = "log" if f"/{os.path.basename(database)}?" in location else "rows"
        if writes and file in ("any", ours):
            options["factory"] = Trapped
        return connect(location, **options)

    sqlite3.connect = trapped_connect  # type: ignore[assignment]


def _kill_soon(random: Random) -> None:
    """Kill from another thread, while SQLite is inside a statement and has let go of the interpreter."""
    # A count and not a time: from less than the statement takes to more than it takes.
    turns = int(10 ** random.uniform(0, 4.5))
    begun = threading.Event()

    def killer() -> None:
        begun.wait()
        for _ in range(turns):
            pass
        kill()

    threading.Thread(target=killer, daemon=True).start()
    begun.set()
