"""One simulated world: loop, clock, SQLite, nodes and guards, all from one tape.

simulation = Simulation(seed=7)
result = simulation.run(main)        # main(simulation) is a coroutine function
simulation.trace.digest()            # equal for equal seeds
"""

import asyncio
import os
import platform
import sqlite3
from collections.abc import Callable, Coroutine, Mapping
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from ..stores import sqlite_events
from .clock import SimulationClock
from .errors import SimulationError
from .guards import Guard, Guards
from .loop import LoopLimits, SimulationLoop
from .node import Node
from .patches import Patch
from .schedule import Policy, Priorities
from .sqlite import Latency, SimulatedSqlite
from .tape import Tape
from .trace import Trace

T = TypeVar("T")

_IN_MEMORY = "/dev/shm"


class Simulation:
    """A world for one run.

    `policy` says how task steps are permuted (see schedule.py), `guard` what is done about clocks and
    chance from outside (see guards.py), `lockstep` whether SQLite's work is done by real threads.
    A seed is valid for one Python minor version and one set of libraries: `versions()` names them.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        tape: Tape | None = None,
        policy: Policy = "tasks",
        priorities: Priorities | None = None,
        limits: LoopLimits = LoopLimits(),  # noqa: B008 - frozen
        latency: Latency = Latency(),  # noqa: B008 - frozen
        lockstep: bool = False,
        guard: Guard = "control",
    ) -> None:
        self.tape = tape or Tape(seed)
        self.loop = SimulationLoop(self.tape, policy=policy, priorities=priorities, limits=limits)
        self.clock = SimulationClock(self.loop)
        self.guards = Guards(self.loop, guard)
        self.sqlite = SimulatedSqlite(self.loop, latency=latency, lockstep=lockstep)
        self.nodes: dict[str, Node] = {}
        self.loop.patches += self.guards.patches() + self.sqlite.patches()
        # The store gives the interpreter's lock to its writer's thread: here there is none.
        self.loop.patches.append(Patch(sqlite_events, "sleep", lambda seconds: None))
        self.loop.around = self.guards.around
        self._was_run = False
        self._folder: TemporaryDirectory[str] | None = None

    @property
    def trace(self) -> Trace:
        return self.loop.trace

    @property
    def folder(self) -> Path:
        """A folder of its own for files, removed after the run; in memory where the system has such a place,
        because a real flush tells nothing here and takes most of the time."""
        if self._folder is None:
            self._folder = TemporaryDirectory(
                prefix="aftertide-", dir=_IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else None
            )
        return Path(self._folder.name)

    @property
    def uncontrolled(self) -> list[str]:
        """Where clocks, chance or ids from outside were asked, one line for each place."""
        return self.guards.report()

    def run(self, main: "Callable[[Simulation], Coroutine[Any, Any, T]]") -> T:
        """Run `main(self)` to its end, then cancel what is left and close the world.

        Raises what `main` raised, Stuck with who waits where, Uncontrolled under the guard "raise", or what
        a node's `main` raised and nobody looked at.
        """
        if self._was_run:
            raise SimulationError("this simulation was run before: make a new one for another run.")
        self._was_run = True
        try:
            with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
                result = runner.run(main(self))
        finally:
            if self._folder is not None:
                self._folder.cleanup()
        if self.guards.mode == "raise":
            self.guards.check()  # the code may have caught it
        for node in self.nodes.values():
            if node.failure is not None:
                node.failure.add_note(f"raised by the main function of node {node.name!r}")
                raise node.failure
        return result

    def node(self, name: str, main: Callable[[], Coroutine[Any, Any, object]]) -> Node:
        """A node that runs `main()` and is down until `start()`. Raises ValueError for a name that is taken."""
        if name in self.nodes:
            raise ValueError(f"there is a node {name!r} already: give this one another name.")
        node = self.nodes[name] = Node(name, main, self.loop, self.sqlite)
        return node

    async def sleep(self, seconds: float) -> None:
        await self.clock.sleep(seconds)

    def seed_for(self, label: str) -> int:
        """A seed derived from this simulation's: for `Runtime.open(…, seed=…)`, or a random.Random."""
        return self.tape.seed_for(label)

    def save(self, path: str | PathLike[str], **notes: object) -> None:
        """Write the decisions taken, with versions and the trace's digest, as a file that Tape.load reads."""
        self.tape.save(
            path, versions=versions(), trace=self.trace.digest(), policy=self.loop.policy, **notes
        )


def loop_factory(
    seed: int = 0, *, policy: Policy = "tasks", guard: Guard = "control"
) -> Callable[[], SimulationLoop]:
    """A `loop_factory` for anyio.run, asyncio.Runner or anyio's pytest plugin: a whole world for each loop."""
    return lambda: Simulation(seed, policy=policy, guard=guard).loop


def versions() -> Mapping[str, str]:
    """What a seed's meaning depends on."""
    libraries = ("anyio", "aiosqlite", "msgspec", "aftertide")
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: version(name) for name in libraries},
    }
