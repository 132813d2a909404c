"""An asyncio event loop without sockets, in virtual time, whose every choice comes from a tape.

Nothing waits here: when nothing is ready, the clock jumps to the next timer. Time is a whole number of
nanoseconds, and a timer fires at its instant or later, never a rounding before it: two deadlines that re-arm
each other a fraction too early would stand still for ever.

What may not enter: real clocks, real chance, real I/O. Threads' work runs inline, as a callback.
"""

import asyncio
import gc
import heapq
from asyncio import events
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import Context
from dataclasses import dataclass
from math import ceil, isfinite
from threading import get_ident
from types import BuiltinMethodType
from typing import Any, NoReturn, TypeVar, TypeVarTuple, cast

from .determinism import collector_at_rest, ordering_patches
from .errors import LimitReached, Livelock, NoProgress, NotSimulated, UnknownPython
from .graveyard import Graveyard
from .incarnation import CURRENT, Incarnation
from .patches import Patch, applied
from .schedule import POLICIES, Policy, Priorities, chooser
from .steps import WAKEUP, SimulationTask, Step, number_task, step_type
from .stock import StockHandle, StockLoop
from .tape import Tape
from .threads import run_inline, thread_patches
from .trace import Trace
from .waiting import waiting

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

SECOND_NS = 1_000_000_000
_MOST_CANCELLED_TIMERS = 100
COLLECTION_STEPS = 20_000
"""Steps between two garbage collections."""


@dataclass(frozen=True, slots=True)
class LoopLimits:
    """When a simulation gives up, or helps itself."""

    spin_steps: int = 10_000
    """Steps at one instant after which the clock moves on to the next timer although something is ready."""
    livelock_steps: int = 200_000
    """Steps at one instant, with no timer to move on to, that are a livelock."""
    steps: int = 20_000_000
    """Steps of a whole simulation."""
    seconds: float = 10 * 365 * 86_400.0
    """Virtual seconds of a whole simulation: with a ticking timer in it, a deadlock looks like a long wait."""


class SimulationLoop(StockLoop):
    """The loop. `tape` decides, `trace` remembers, `now_ns` is the virtual time.

    Raises UnknownPython on an interpreter whose event loop it does not know.
    """

    def __init__(
        self,
        tape: Tape | None = None,
        *,
        policy: Policy = "tasks",
        priorities: Priorities | None = None,
        limits: LoopLimits = LoopLimits(),
        patches: Sequence[Patch] = (),
    ) -> None:
        if policy not in POLICIES:
            raise ValueError(f"policy is {policy!r}: allowed are {', '.join(POLICIES)}.")
        super().__init__()
        try:
            self._step_type = step_type()
        except UnknownPython:
            super().close()
            raise
        self.tape = tape or Tape()
        self.trace = Trace()
        self.tape.task_names = self.trace.tasks
        self.policy: Policy = policy
        self.limits = limits
        self.now_ns = 0
        self.steps = 0
        """Steps and callbacks run so far."""
        self.graveyard = Graveyard()
        self.patches = [*ordering_patches(self), *thread_patches(self), *patches]
        """Applied while the loop runs. Parts of a simulation add theirs before the first run."""
        self.around: Callable[[], AbstractContextManager[None]] = nullcontext
        """Entered around each run, inside the patches."""
        self.on_close: list[Callable[[], None]] = []
        self._pick = chooser(self.tape, priorities)
        self._seconds = 0.0
        self._ready: deque[Any] = deque()
        self._open: list[Step] = []
        """Task steps among which the next one is chosen: all are older than anything in `_ready`."""
        self._batch = 0
        """Handles in `_ready` that belong to the batch under way; not used by the policy `tasks`."""
        self._rest = 0
        """How many handles were still to run when the loop was told to stop."""
        self._timers: list[tuple[int, int, Any]] = []
        self._timer_number = 0
        self._cancelled_timers = 0
        self._names: dict[str, int] = {}
        self._tasks: dict[int, asyncio.Task[Any]] = {}
        """Those that are not done, by code. asyncio itself forgets a task that nobody else knows."""
        self._next_collection = COLLECTION_STEPS
        self._deaths = 0
        self.answering: Callable[..., events.Handle] | None = None
        """Set while a connection's work runs inline: where its answers go instead of the ready list."""

    @classmethod
    def factory(
        cls, seed: int = 0, *, policy: Policy = "tasks", priorities: Priorities | None = None
    ) -> Callable[[], "SimulationLoop"]:
        """A `loop_factory` for asyncio.Runner, anyio.run or anyio's pytest plugin."""
        return lambda: cls(Tape(seed), policy=policy, priorities=priorities)

    # --- time ---

    def time(self) -> float:
        """Virtual seconds since the simulation began."""
        return self._seconds

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> events.TimerHandle:
        if when is None:
            raise TypeError("when cannot be None")
        self._check_closed()
        timer = events.TimerHandle(when, callback, args, self, context)
        ticks = self._ticks(when)
        if ticks <= self.now_ns and self.policy == "tasks":
            self._ready.append(timer)
        else:
            self._push(ticks, timer)
        return timer

    def call_at_ns(
        self,
        ticks: int,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> events.TimerHandle:
        """`call_at` for a moment that is a whole number already."""
        timer = events.TimerHandle(ticks / SECOND_NS, callback, args, self, context)
        self._push(ticks, timer)
        return timer

    def _push(self, ticks: int, timer: Any) -> None:  # noqa: ANN401 - a TimerHandle, as it is inside
        timer._scheduled = True
        self._timer_number += 1
        heapq.heappush(self._timers, (ticks, self._timer_number, timer))

    def _ticks(self, when: float) -> int:
        """The first whole nanosecond that is not before `when`, as `time()` will read it."""
        if not isfinite(when) or when <= self._seconds:
            if when == float("inf"):
                return 1 << 62
            return self.now_ns
        ticks = ceil(when * SECOND_NS)
        while ticks / SECOND_NS < when:
            ticks += 1
        return ticks

    def _timer_handle_cancelled(self, handle: StockHandle) -> None:
        if handle._scheduled:
            self._cancelled_timers += 1
            if self._cancelled_timers > _MOST_CANCELLED_TIMERS and self._cancelled_timers * 2 > len(
                self._timers
            ):
                self._sweep_timers(lambda timer: not timer.cancelled())

    def _sweep_timers(self, keep: Callable[[StockHandle], bool]) -> None:
        kept = [entry for entry in self._timers if keep(entry[2])]
        heapq.heapify(kept)
        self._timers[:] = kept
        self._cancelled_timers = 0

    def _advance(self, *, spinning: bool = False) -> bool:
        """Move the clock to the next timer and make ready what is due. False where there is no timer."""
        timers = self._timers
        while timers and (timers[0][2]._cancelled or self._is_dead(timers[0][2])):
            heapq.heappop(timers)[2]._scheduled = False
            self._cancelled_timers = max(0, self._cancelled_timers - 1)
        if spinning and timers and timers[0][0] <= self.now_ns:
            self._release_due()
            return self._advance(spinning=True)
        if not timers or timers[0][0] >= 1 << 62:
            return False
        if timers[0][0] > self.now_ns:
            self.move_clock(timers[0][0])
        self._release_due()
        return True

    def move_clock(self, now_ns: int) -> None:
        """Let time pass up to this moment; what fell due meanwhile runs when it can."""
        if now_ns <= self.now_ns:
            return
        if now_ns > self.limits.seconds * SECOND_NS:
            raise LimitReached(
                f"virtual time reached {now_ns / SECOND_NS:.3f} s and may reach {self.limits.seconds:g}.",
                "Whoever waits below waits for something that does not happen; a timer that is set again and "
                "again hides it. Or allow more: LoopLimits(seconds=…).",
                self.waiting(),
            )
        self.now_ns = now_ns
        self._seconds = now_ns / SECOND_NS
        self.trace.events.append(-now_ns)

    def block(self, seconds: float) -> None:
        """What `time.sleep` does to a loop: time passes, and nobody else gets a turn."""
        self.move_clock(self._ticks(self._seconds + seconds))
        if self.policy == "tasks":
            self._release_due()

    def _release_due(self) -> None:
        timers, now = self._timers, self.now_ns
        while timers and timers[0][0] <= now:
            timer = heapq.heappop(timers)[2]
            timer._scheduled = False
            if not timer._cancelled:
                self._ready.append(timer)
            else:
                self._cancelled_timers = max(0, self._cancelled_timers - 1)

    # --- making ready ---

    def call_soon(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        if self._closed or self._debug:
            self._check_closed()
            self._check_callback(callback, "call_soon")
        kind = type(callback)
        # The same test as is_step, inline: this is where every step passes.
        if kind is self._step_type or (kind is BuiltinMethodType and callback.__name__ == WAKEUP):
            step = Step(callback, args, self, context)
            step.task = task = callback.__self__  # type: ignore[attr-defined]
            try:
                step.code = task.code
            except AttributeError:  # a task of a foreign factory
                self.enrol(task, task.get_coro(), task.get_name(), context)
                step.code = task.code
            self._ready.append(step)
            return step
        handle = events.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(
        self, callback: Callable[[*Ts], object], *args: *Ts, context: Context | None = None
    ) -> events.Handle:
        if self.answering is not None:
            return self.answering(callback, *args)
        if self._thread_id is not None and get_ident() != self._thread_id:
            raise NotSimulated(
                f"a foreign thread calls {getattr(callback, '__qualname__', callback)!r}",
                "When it comes would be the operating system's choice: use run_in_executor, to_thread or a task.",
            )
        return self.call_soon(callback, *args, context=context)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: Context | None = None,
        **more: Any,  # noqa: ANN401 - what later Pythons add
    ) -> "asyncio.Task[T]":
        self._check_closed()
        if self._task_factory is not None:
            return super().create_task(coro, name=name, context=context, **more)
        named = None if name is None else str(name)
        task = SimulationTask(coro, loop=self, name=named, context=context, **more)
        if task.done():  # one that was started eagerly
            self._tasks.pop(task.code, None)
        return task

    def enrol(
        self, task: "asyncio.Task[Any]", coro: object, name: str | None, context: Context | None
    ) -> int:
        """Give a task its number and the address it has in decisions and traces."""
        if name is None or name.startswith("Task-"):
            name = str(getattr(coro, "__qualname__", None) or type(coro).__qualname__)
        number = len(self.trace.tasks)
        self.trace.tasks.append(self._address(name))
        number_task(task, number, name, context)
        self._tasks[number << 1] = task
        return number

    def rename(self, task: SimulationTask, name: str) -> None:
        """Give a task another address before its first step: Python 3.11 names tasks after it made them."""
        self._names[task.known_as] -= 1
        self.trace.tasks[task.code >> 1] = self._address(name)
        task.known_as = name

    def _address(self, name: str) -> str:
        same = self._names[name] = self._names.get(name, 0) + 1
        return name if same == 1 else f"{name}~{same}"

    def name_of(self, task: "asyncio.Task[Any]") -> str:
        """The address of a task in decisions and traces: `client`, `client~2`."""
        code = getattr(task, "code", None)
        return task.get_name() if code is None else self.trace.tasks[code >> 1]

    # --- running ---

    def run_forever(self) -> None:
        with applied(self.patches), collector_at_rest(), self.around():
            super().run_forever()

    def _run_once(self) -> None:
        """Run until the loop is stopped, then whatever was ready at that moment, as the stock loop does."""
        batched, permuted = self.policy != "tasks", self.policy != "fifo"
        ready, steps, pick, tasks = self._ready, self._open, self._pick, self._tasks
        record, label, next_ready = self.trace.events.append, self._label, ready.popleft
        limit = budget = self.limits.spin_steps
        rest: int | None = None
        """Once stopped: how many handles are still to run."""
        if self._stopping:  # before it began: what is ready now
            if batched:
                self._release_due()
                self._batch = len(ready)
            self.stop()
        try:
            while True:
                if self._stopping and rest is None:
                    rest = self._rest
                if rest is not None:
                    if rest <= 0:
                        return
                    rest -= 1
                if batched and not self._batch and not steps:
                    self._release_due()
                    self._batch = len(ready)
                if permuted:
                    if batched:
                        while self._batch and type(ready[0]) is Step:
                            steps.append(next_ready())
                            self._batch -= 1
                    else:
                        while ready and type(ready[0]) is Step:
                            steps.append(next_ready())
                handle: Any
                if steps:
                    handle = step = steps.pop(pick(steps) if len(steps) > 1 and rest is None else 0)
                    code = step.code
                elif ready:
                    handle = next_ready()
                    if batched:
                        self._batch -= 1
                    code = handle.code if type(handle) is Step else -1
                else:
                    if rest is not None:
                        return
                    self._count(limit - budget)
                    limit = budget = self.limits.spin_steps
                    if not self._advance():
                        raise NoProgress(
                            "nothing is ready and no timer is pending: everybody waits for somebody.",
                            "Find the one whose signal does not come:",
                            self.waiting(),
                        )
                    continue
                if handle._cancelled:
                    continue
                if self._deaths and self._is_dead(handle):
                    continue
                record(code if code >= 0 else label(handle))
                handle._run()
                if code >= 0 and handle.task.done():
                    tasks.pop(code, None)
                budget -= 1
                if not budget:
                    self._count(limit)
                    limit = budget = self._spinning()
        finally:
            self.steps += limit - budget

    def stop(self) -> None:
        """Run what is ready now, and then no more."""
        super().stop()
        self._rest = len(self._open) + (len(self._ready) if self.policy == "tasks" else self._batch)

    def _label(self, handle: StockHandle) -> int:
        callback = handle._callback
        try:
            name: str = callback.__qualname__
        except AttributeError:
            name = _name_of(callback)
        return self.trace.code(name)

    def _count(self, steps: int) -> None:
        self.steps += steps
        if self.steps >= self._next_collection:
            self._next_collection = self.steps + COLLECTION_STEPS
            gc.collect()
        if self.steps >= self.limits.steps:
            raise LimitReached(
                f"the simulation took {self.steps:,} steps and may take {self.limits.steps:,}.",
                "Something repeats itself for ever, or allow more: LoopLimits(steps=…).",
                self.waiting(),
            )

    def _spinning(self) -> int:
        """Many steps were taken at one instant: let time move on, or give up. Returns the next budget."""
        instant = self._instant_steps()
        if self._advance(spinning=True):
            return self.limits.spin_steps
        if instant >= self.limits.livelock_steps:
            raise Livelock(
                f"{instant:,} steps at virtual time {self._seconds:g} s, and no timer that could move it on: "
                f"{self._busiest()}.",
                "Whoever repeats a step until something changes must wait for it, or allow more: "
                "LoopLimits(livelock_steps=…). Tasks:",
                self.waiting(),
            )
        return self.limits.spin_steps

    def _instant_steps(self) -> int:
        """Steps since the clock moved last, as far back as is of interest."""
        count = 0
        events, most = self.trace.events, self.limits.livelock_steps
        for place in range(len(events) - 1, -1, -1):
            if events[place] < 0 or count >= most:
                break
            count += 1
        return count

    def _busiest(self) -> str:
        counts: dict[str, int] = {}
        for line in self.trace.lines(-1_000):
            counts[line[6:]] = counts.get(line[6:], 0) + 1
        most = sorted(counts.items(), key=lambda item: -item[1])[:5]
        return "of the last 1,000, " + ", ".join(f"{name} took {count}" for name, count in most)

    def waiting(self) -> list[str]:
        """Who waits for what and where, one line for each task that is alive."""
        return waiting(self._tasks.values(), self.name_of)

    # --- death ---

    def kill(self, incarnation: Incarnation) -> None:
        """Nothing that belongs to this incarnation runs from now on: no step, no callback, no `finally`."""
        incarnation.alive = False
        self._deaths += 1
        self.trace.note(f"crash of {incarnation.node}#{incarnation.number}")
        if self.policy != "tasks":
            batch = list(self._ready)[: self._batch]
            self._batch = sum(not self._is_dead(handle) for handle in batch)
        places: tuple[Any, Any] = (self._ready, self._open)
        for place in places:  # in place: `_run_once` holds on to them
            alive = [handle for handle in place if not self._is_dead(handle)]
            place.clear()
            place.extend(alive)
        self._sweep_timers(lambda timer: not timer.cancelled() and not self._is_dead(timer))
        dead = [
            task
            for task in self._tasks.values()
            if cast("SimulationTask", task).incarnation is incarnation
        ]
        for task in dead:
            del self._tasks[cast("SimulationTask", task).code]
        self.graveyard.take(self, dead, incarnation)

    def _is_dead(self, handle: StockHandle) -> bool:
        incarnation = handle._context.get(CURRENT)
        return incarnation is not None and not incarnation.alive

    def _asyncgen_firstiter_hook(self, agen: AsyncGenerator[object, object]) -> None:
        self.graveyard.begun(agen)
        super()._asyncgen_firstiter_hook(agen)

    def close(self) -> None:
        if self.is_running():
            raise RuntimeError("Cannot close a running event loop")
        if self.is_closed():
            return
        super().close()
        self._open.clear()
        self._tasks.clear()
        self._timers.clear()
        for callback in self.on_close:
            callback()
        self.on_close.clear()
        self.graveyard.bury()

    # --- threads ---

    def run_in_executor(
        self, executor: object, func: Callable[[*Ts], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        """Runs the function inline, as one callback, after a drawn delay."""
        self._check_closed()
        return run_inline(self, func, args)

    def _write_to_self(self) -> None:
        """No selector sleeps here, so nobody has to be woken."""

    def __repr__(self) -> str:
        return f"<SimulationLoop seed={self.tape.seed} {self.policy} at {self._seconds:.9f} s>"


def _name_of(callback: object) -> str:
    while hasattr(callback, "func"):  # functools.partial
        callback = callback.func
    name = getattr(callback, "__qualname__", None)
    return name if isinstance(name, str) else type(callback).__qualname__


def _refuse(name: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(self: SimulationLoop, *args: object, **options: object) -> NoReturn:
        raise NotSimulated(f"loop.{name}() was called", instead)

    refuse.__name__ = name
    return refuse


_SOCKETS = (
    "Replace the network by an object with the same methods, or test this part on a real loop."
)
_PROCESSES = "Make the process a node of the simulation, or test this part on a real loop."
_SIGNALS = "Let the scenario call what the signal would call."
for _instead, _methods in (
    (
        _SOCKETS,
        """create_connection create_server create_unix_connection create_unix_server create_datagram_endpoint
        connect_accepted_socket getaddrinfo getnameinfo sendfile sock_accept sock_connect sock_recv
        sock_recv_into sock_recvfrom sock_recvfrom_into sock_sendall sock_sendfile sock_sendto start_tls
        add_reader remove_reader add_writer remove_writer""",
    ),
    (
        _PROCESSES,
        "connect_read_pipe connect_write_pipe subprocess_exec subprocess_shell",
    ),
    (_SIGNALS, "add_signal_handler remove_signal_handler"),
):
    for _method in _methods.split():
        setattr(SimulationLoop, _method, _refuse(_method, _instead))
