"""The world outside, noticed and named: clocks, chance, ids, threads, sockets and processes.

Production code takes its time and chance from ports. What forgets to is caught here: real clocks read
virtual time, chance and ids come from the seed, and each call site is written down (`control`) or raises
(`raise`). Threads, sockets and processes always raise: nothing could make them repeatable.

`watch` also sees what no replacement reaches, such as `datetime.now` or a `from time import time` of long
ago: it looks at every call into C. That costs several times the run, so it is for one seed and not for all.
"""

import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Literal

from .clock import SimulationClock
from .errors import NotSimulated, Uncontrolled
from .patches import Patch, in_simulation
from .waiting import short_path

if TYPE_CHECKING:
    from .loop import SimulationLoop

Guard = Literal["control", "raise", "watch", "off"]
GUARDS: tuple[Guard, ...] = ("control", "raise", "watch", "off")

MOST_SITES = 1_000
"""Call sites that are remembered; further ones are only counted."""

_REAL = frozenset(
    (
        *("pytest", "_pytest", "pluggy", "xdist", "execnet", "pytest_timeout", "hypothesis"),
        *("coverage", "faulthandler", "threading", "concurrent", "tempfile"),
    )
)
"""Tools around the simulation, not part of it: they get the real thing."""
_QUIET = frozenset(["logging", "asyncio", "anyio", "sqlite3", "aiosqlite"])
"""What they read is controlled and does not steer anything: not worth a line."""
_THROUGH = frozenset(["uuid", "random", "secrets"])
"""The call site is the one that called them."""

_CHANCE = (
    *("betavariate", "choice", "choices", "expovariate", "gammavariate", "gauss", "getrandbits"),
    *("lognormvariate", "normalvariate", "paretovariate", "randbytes", "randint", "random"),
    *("randrange", "sample", "shuffle", "triangular", "uniform", "vonmisesvariate"),
    "weibullvariate",
)


class Guards:
    """What one simulation does about the world outside, and what it saw of it."""

    def __init__(self, loop: "SimulationLoop", mode: Guard = "control") -> None:
        if mode not in GUARDS:
            raise ValueError(f"guard is {mode!r}: allowed are {', '.join(GUARDS)}.")
        self.mode: Guard = mode
        self.sites: dict[tuple[str, str], int] = {}
        """What was called where, and how often."""
        self._loop = loop
        self._clock = SimulationClock(loop)
        self._random = loop.tape.generator("outside")
        self._hidden = loop.tape.generator("hidden").getstate()
        """What the random module's own generator holds while the simulation runs."""
        self._unseeded = 0

    def report(self) -> list[str]:
        """One line for each call site: `time.time() at shop.py:31 place(), 12 times`."""
        return [
            f"{what} at {place}, {count} time{'s' if count > 1 else ''}"
            for (what, place), count in self.sites.items()
        ]

    def check(self) -> None:
        """Raises Uncontrolled where anything was seen, with all call sites."""
        if self.sites:
            lines = "".join(f"\n  {line}" for line in self.report())
            raise Uncontrolled(f"time, chance or ids came from outside:{lines}\n{_INSTEAD}")

    # --- what is replaced ---

    def patches(self) -> list[Patch]:
        if self.mode == "off":
            return []
        clock, loop = self._clock, self._loop
        chance = self._random
        return [
            self._instead(time, "time", clock.time),
            self._instead(time, "time_ns", lambda: int(clock.time() * 1e9)),
            self._instead(time, "monotonic", loop.time),
            self._instead(time, "monotonic_ns", lambda: loop.now_ns),
            self._instead(time, "perf_counter", loop.time),
            self._instead(time, "perf_counter_ns", lambda: loop.now_ns),
            self._instead(time, "sleep", loop.block),
            self._instead(os, "urandom", chance.randbytes),
            self._instead(random, "_urandom", chance.randbytes, "os.urandom"),
            self._instead(uuid, "uuid1", lambda *_: self._uuid1()),
            *(self._instead(random, name, getattr(chance, name)) for name in _CHANCE),
            Patch(random.Random, "seed", self._seed(random.Random.seed)),
            self._refuse(threading.Thread, "start", "a thread was started", _THREADS),
            self._refuse(socket.socket, "__init__", "a socket was opened", _NETWORK),
            self._refuse(socket, "getaddrinfo", "an address was looked up", _NETWORK),
            self._refuse(subprocess.Popen, "__init__", "a process was started", _PROCESSES),
            self._refuse(os, "fork", "the process was forked", _PROCESSES),
        ]

    def _instead(
        self, module: ModuleType, name: str, ours: Callable[..., object], shown: str = ""
    ) -> Patch:
        theirs: Callable[..., object] = getattr(module, name)
        what = f"{shown or f'{module.__name__}.{name}'}()"

        def controlled(*args: object, **options: object) -> object:
            if not in_simulation() or self._is_real(what, sys._getframe(1)):
                return theirs(*args, **options)
            return ours(*args, **options)

        return Patch(module, name, controlled)

    def _seed(self, theirs: Callable[..., None]) -> Callable[..., None]:
        def seed(generator: random.Random, a: object = None, version: int = 2) -> None:
            if (
                a is None
                and in_simulation()
                and not self._is_real("random.Random()", sys._getframe(1))
            ):
                self._unseeded += 1
                a = f"{self._loop.tape.seed}/{self._unseeded}"
            theirs(generator, a, version)

        return seed

    def _refuse(self, owner: object, name: str, what: str, instead: str) -> Patch:
        theirs: Callable[..., object] = getattr(owner, name)

        def refused(*args: object, **options: object) -> object:
            if not in_simulation() or _root(sys._getframe(1)) in _REAL - {
                "threading",
                "concurrent",
            }:
                return theirs(*args, **options)
            frame = _site(sys._getframe(1), _REAL | _QUIET)
            raise NotSimulated(f"{what} at {_place(frame)}", instead)

        return Patch(owner, name, refused)

    def _uuid1(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=1)

    def _is_real(self, what: str, caller: FrameType) -> bool:
        """Whether a tool calls that is no part of the simulation; else the call is written down."""
        frame = _site(caller, _THROUGH)
        root = _root(frame)
        if root in _REAL:
            return True
        if root not in _QUIET:
            self._saw(what, frame)
        return False

    def _saw(self, what: str, frame: FrameType) -> None:
        site = (what, _place(frame))
        if site not in self.sites and len(self.sites) >= MOST_SITES:
            site = ("more", "other places")
        self.sites[site] = self.sites.get(site, 0) + 1
        if self.mode == "raise":
            raise Uncontrolled(f"{what} was called at {_place(frame)}. {_INSTEAD}")

    # --- what is only watched ---

    @contextmanager
    def around(self) -> Iterator[None]:
        """Seed the generator behind `random.choice`, for those who hold on to that function; and watch."""
        if self.mode == "off":
            yield
            return
        before = random.getstate()
        random.setstate(self._hidden)
        try:
            if self.mode == "watch":
                with self._watching():
                    yield
            else:
                yield
        finally:
            self._hidden = random.getstate()
            random.setstate(before)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """See every call into C that asks the world outside, in this thread and this block."""

        def profile(frame: FrameType, event: str, function: object) -> None:
            if event != "c_call":
                return
            owner = getattr(function, "__self__", None)
            name = getattr(function, "__name__", "")
            if function in _WATCHED:
                what = f"{getattr(function, '__module__', '')}.{name}()"
            elif owner is _HIDDEN:
                what = f"random.{name}()"
            elif name in _DATES and isinstance(owner, type) and owner.__module__ == "datetime":
                what = f"datetime.{owner.__name__}.{name}()"
            elif name in ("start_new_thread", "start_joinable_thread"):
                what = f"_thread.{name}()"
            else:
                return
            site = _site(frame, _THROUGH)
            if _root(site) not in _REAL | _QUIET and not _is_ours(site):
                self._saw(what, site)

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            yield
        finally:
            sys.setprofile(before)


_HIDDEN = random.random.__self__  # type: ignore[attr-defined]
"""The generator behind the functions of the random module."""
_TIME = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")
_WATCHED = frozenset((*(getattr(time, name) for name in _TIME), os.urandom))
_DATES = ("now", "utcnow", "today")
_INSTEAD = "Take time from a Clock, chance from a seeded random.Random, ids from those."
_THREADS = "Use run_in_executor or to_thread, which run inline here, or a task."
_NETWORK = "Replace the network by an object with the same methods, or test this part outside."
_PROCESSES = "Make the process a node of the simulation, or test this part outside."


def _root(frame: FrameType) -> str:
    name: str = frame.f_globals.get("__name__", "")
    return name.partition(".")[0]


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__", "")).startswith(__package__)


def _site(frame: FrameType, through: frozenset[str]) -> FrameType:
    while _root(frame) in through and frame.f_back is not None:
        frame = frame.f_back
    return frame


def _place(frame: FrameType) -> str:
    return f"{short_path(frame.f_code.co_filename)}:{frame.f_lineno} {frame.f_code.co_qualname}()"
