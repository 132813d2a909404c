"""The loop: virtual time, permuted steps, and what may never be permuted."""

import asyncio
import gc
import itertools
import signal
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertide.simulation import steps
from aftertide.simulation.errors import (
    LimitReached,
    Livelock,
    NoProgress,
    NotSimulated,
    SimulationError,
    UnknownPython,
)
from aftertide.simulation.loop import LoopLimits, SimulationLoop
from aftertide.simulation.schedule import POLICIES, Policy, Priorities
from aftertide.simulation.tape import Tape

Main = Callable[[], Awaitable[Any]]


def run(main: Main, seed: int = 0, **options: Any) -> Any:
    return run_on(SimulationLoop(Tape(seed), **options), main)


def run_on(loop: SimulationLoop, main: Main) -> Any:
    async def body() -> Any:
        return await main()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(body())


@pytest.fixture(params=POLICIES)
def policy(request: pytest.FixtureRequest) -> Policy:
    found: Policy = request.param
    return found


# --- time


def test_a_minute_of_sleep_takes_no_time(policy: Policy) -> None:
    async def main() -> float:
        await asyncio.sleep(3_600)
        return asyncio.get_running_loop().time()

    began = time.perf_counter()
    assert run(main, policy=policy) == 3_600
    assert time.perf_counter() - began < 60


@settings(max_examples=200, deadline=None)
@given(
    whens=st.lists(st.floats(0, 1e8, allow_subnormal=False), min_size=1, max_size=5),
    policy=st.sampled_from(POLICIES),
)
def test_a_timer_never_fires_before_its_time_and_within_a_microsecond_after(
    whens: list[float], policy: Policy
) -> None:
    fired: list[tuple[float, float]] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def note(when: float) -> None:
            fired.append((when, loop.time()))

        done = loop.create_future()
        for when in whens:
            loop.call_at(when, note, when)
        loop.call_at(2e8, done.set_result, None)
        await done

    run(main, policy=policy)
    assert len(fired) == len(whens)
    assert all(when <= at <= when + 1e-6 for when, at in fired)


def test_timers_of_one_instant_fire_in_the_order_in_which_they_were_set(policy: Policy) -> None:
    fired: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number in range(50):
            loop.call_later(1.0, fired.append, number)
        await asyncio.sleep(2)

    for seed in range(5):
        fired.clear()
        run(main, seed, policy=policy)
        assert fired == list(range(50))


def test_two_deadlines_a_rounding_apart_do_not_stand_still(policy: Policy) -> None:
    async def main() -> float:
        with anyio.move_on_after(2.0010000000000003), anyio.move_on_after(2.001):
            await anyio.sleep_forever()
        with anyio.move_on_after(0.1 + 0.2), anyio.move_on_after(0.3):
            await anyio.sleep_forever()
        return anyio.current_time()

    assert run(main, policy=policy) == pytest.approx(2.301)


def test_cancelled_timers_do_not_pile_up() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        for _ in range(10_000):
            with anyio.move_on_after(3_600):
                await asyncio.sleep(0)
        return len(loop._timers)

    assert run(main) < 300


# --- order


async def _ordered_program(log: list[str]) -> None:
    """Callbacks, timers, tasks and futures whose order the stock loop defines."""
    loop = asyncio.get_running_loop()

    async def worker(name: str) -> None:
        for turn in range(3):
            log.append(f"{name} {turn}")
            loop.call_soon(log.append, f"{name} soon {turn}")
            loop.call_later(0, log.append, f"{name} later {turn}")
            await asyncio.sleep(0)

    tasks = [asyncio.create_task(worker(name)) for name in "abc"]
    loop.call_soon(tasks[1].cancel)
    future = loop.create_future()
    future.add_done_callback(lambda _: log.append("done"))
    loop.call_soon(future.set_result, None)
    await asyncio.wait(tasks)
    await asyncio.sleep(0.001)


def test_fifo_is_the_order_of_the_stock_loop() -> None:
    stock: list[str] = []
    asyncio.run(_ordered_program(stock))
    ours: list[str] = []
    run(lambda: _ordered_program(ours), policy="fifo")
    assert ours == stock


def test_equal_seeds_take_the_same_way_and_others_another() -> None:
    def trace(seed: int, policy: Policy) -> str:
        loop = SimulationLoop(Tape(seed), policy=policy)
        run_on(loop, lambda: _ordered_program([]))
        return loop.trace.digest()

    for policy in POLICIES:
        assert trace(1, policy) == trace(1, policy)
    assert len({trace(seed, "tasks") for seed in range(20)}) > 5
    assert len({trace(seed, "batch") for seed in range(20)}) > 5
    assert len({trace(seed, "fifo") for seed in range(20)}) == 1


@pytest.mark.parametrize("chosen", ["batch", "tasks"])
def test_every_order_of_three_ready_tasks_comes_up(chosen: Policy) -> None:
    async def main() -> str:
        order: list[str] = []

        async def worker(name: str) -> None:
            order.append(name)

        await asyncio.gather(*(worker(name) for name in "abc"))
        return "".join(order)

    orders = {run(main, seed, policy=chosen) for seed in range(100)}
    assert orders == {"".join(order) for order in itertools.permutations("abc")}


def test_callbacks_keep_their_order_and_no_step_overtakes_an_older_one(policy: Policy) -> None:
    async def main() -> list[tuple[str, int]]:
        log: list[tuple[str, int]] = []
        loop = asyncio.get_running_loop()

        async def worker(number: int) -> None:
            log.append(("step", number))

        tasks = []
        for number in range(40):
            if number % 4 == 3:
                loop.call_soon(log.append, ("callback", number))
            else:
                tasks.append(asyncio.create_task(worker(number)))
        await asyncio.wait(tasks)
        return log

    for seed in range(20):
        log = run(main, seed, policy=policy)
        assert len(log) == 40
        for place, (kind, number) in enumerate(log):
            if kind == "callback":
                # Everything older stands before it, everything younger after it.
                assert {other for _, other in log[:place]} == set(range(number))


def test_a_task_cancel_that_was_called_soon_is_a_callback_and_not_a_step() -> None:
    async def main() -> dict[str, int]:
        seen: dict[str, int] = {}
        target = asyncio.create_task(asyncio.sleep(60))
        await asyncio.sleep(0.001)

        async def look(name: str) -> None:
            seen[name] = target.cancelling()

        older = asyncio.create_task(look("older"))
        asyncio.get_running_loop().call_soon(target.cancel)
        younger = asyncio.create_task(look("younger"))
        await asyncio.wait([older, younger])
        return seen

    for seed in range(50):
        assert run(main, seed) == {"older": 0, "younger": 1}


@pytest.mark.parametrize("priorities", [None, Priorities(3, 50)])
def test_a_cancelled_scope_raises_at_the_next_checkpoint_in_every_seed(
    policy: Policy, priorities: Priorities | None
) -> None:
    async def main() -> bool:
        async def noise() -> None:
            while True:
                await asyncio.sleep(0)

        async with anyio.create_task_group() as group:
            group.start_soon(noise)
            group.start_soon(noise)
            await asyncio.sleep(0)
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anyio.lowlevel.checkpoint()
                return False
            group.cancel_scope.cancel()
        return scope.cancelled_caught

    for seed in range(200):
        assert run(main, seed, policy=policy, priorities=priorities)


def test_a_lost_update_between_two_tasks_is_found_and_shrinks_to_one_decision() -> None:
    async def main() -> int:
        shared = 0

        async def add() -> None:
            nonlocal shared
            await asyncio.sleep(0)
            seen = shared
            await asyncio.sleep(0)
            shared = seen + 1

        async with asyncio.TaskGroup() as group:
            group.create_task(add(), name="first")
            group.create_task(add(), name="second")
        return shared

    assert run(main, policy="fifo") == 1, "in stock order the update is always lost"
    outcomes = {run(main, seed) for seed in range(30)}
    assert outcomes == {1, 2}
    seed = next(seed for seed in range(30) if run(main, seed) == 2)
    tape = Tape(seed)
    run_on(SimulationLoop(tape), main)
    alone = [
        decision
        for decision in tape.decisions
        if run_on(SimulationLoop(tape.fork([decision])), main) == 2
    ]
    assert alone, tape.decisions


# --- when it can't go on


def test_a_deadlock_is_an_error_at_once_that_says_who_waits_for_what_and_where() -> None:
    async def main() -> None:
        lock = asyncio.Lock()
        event = anyio.Event()

        async def reader() -> None:
            await event.wait()

        async def joiner(task: asyncio.Task[None]) -> None:
            await task

        await lock.acquire()
        async with anyio.create_task_group() as group:
            task = asyncio.create_task(reader(), name="reader")
            group.start_soon(joiner, task, name="joiner")
            await lock.acquire()

    with pytest.raises(NoProgress) as caught:
        run(main)
    text = str(caught.value)
    waiting = dict(line.split(" waits for ", 1) for line in caught.value.waiting)
    assert set(waiting) == {"run_on.<locals>.body", "reader", "joiner"}
    assert waiting["joiner"].startswith("task reader")
    assert "Event.wait()" in waiting["reader"]
    assert f"{__name__.rsplit('.')[-1]}.py:" in waiting["reader"]
    assert "Lock.acquire()" in waiting["run_on.<locals>.body"]
    assert text.count("\n") == 3
    assert run(lambda: asyncio.sleep(1, "the next one runs")) == "the next one runs"


def test_spinning_under_a_deadline_ends_at_the_deadline(policy: Policy) -> None:
    async def main() -> float:
        with anyio.move_on_after(1):
            while True:
                await asyncio.sleep(0)
        return anyio.current_time()

    assert run(main, policy=policy) == 1.0


def test_spinning_without_any_timer_is_a_livelock_that_names_the_task(policy: Policy) -> None:
    async def main() -> None:
        async def spinner() -> None:
            while True:
                await asyncio.sleep(0)

        await asyncio.create_task(spinner(), name="spinner")

    with pytest.raises(Livelock, match="spinner took") as caught:
        run(main, policy=policy, limits=LoopLimits(spin_steps=100, livelock_steps=1_000))
    assert any(line.startswith("spinner waits for its turn") for line in caught.value.waiting)


def test_much_work_at_one_instant_is_no_livelock(policy: Policy) -> None:
    async def main() -> int:
        for _ in range(5_000):
            await asyncio.sleep(0)
        return 1

    assert run(main, policy=policy, limits=LoopLimits(spin_steps=100, livelock_steps=6_000)) == 1


def test_a_deadlock_behind_a_ticking_timer_ends_at_the_limit_of_time() -> None:
    async def main() -> None:
        async def heart() -> None:
            while True:
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            group.create_task(heart(), name="heart")
            await asyncio.get_running_loop().create_future()

    with pytest.raises(LimitReached, match="virtual time reached") as caught:
        run(main, limits=LoopLimits(seconds=100))
    assert any("heart" in line for line in caught.value.waiting)


def test_steps_without_end_are_stopped_at_the_limit_of_steps() -> None:
    async def main() -> None:
        while True:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)

    with pytest.raises(LimitReached, match="steps"):
        run(main, limits=LoopLimits(steps=5_000, spin_steps=100))


# --- the world it has not


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("create_connection", lambda loop: loop.create_connection(asyncio.Protocol, "h", 1)),
        ("create_server", lambda loop: loop.create_server(asyncio.Protocol, "h", 1)),
        ("getaddrinfo", lambda loop: loop.getaddrinfo("h", 1)),
        ("add_reader", lambda loop: loop.add_reader(0, print)),
        ("subprocess_exec", lambda loop: loop.subprocess_exec(asyncio.SubprocessProtocol, "x")),
        ("add_signal_handler", lambda loop: loop.add_signal_handler(signal.SIGUSR1, print)),
    ],
)
def test_sockets_processes_and_signals_are_refused_by_name(
    name: str, call: Callable[[asyncio.AbstractEventLoop], Any]
) -> None:
    async def main() -> None:
        call(asyncio.get_running_loop())

    with pytest.raises(NotSimulated, match=name):
        run(main)


def test_a_foreign_thread_can_not_come_in() -> None:
    errors: list[BaseException] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def intrude() -> None:
            try:
                loop.call_soon_threadsafe(print)
            except NotSimulated as error:
                errors.append(error)

        thread = threading.Thread(target=intrude)
        thread.start()
        thread.join()

    run(main)
    assert "foreign thread" in str(errors[0])


def test_work_for_threads_runs_inline_with_its_result_and_its_error() -> None:
    async def main() -> list[object]:
        here = threading.get_ident()

        def work(fail: bool) -> int:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()
            if fail:
                raise KeyError("work")
            return threading.get_ident()

        for through in (
            asyncio.to_thread,
            anyio.to_thread.run_sync,
            lambda function, *args: asyncio.get_running_loop().run_in_executor(
                None, function, *args
            ),
        ):
            assert await through(work, False) == here
            with pytest.raises(KeyError, match="work"):
                await through(work, True)
        return [asyncio.get_running_loop().time() > 0]

    assert run(main) == [True]


def test_work_for_a_thread_that_was_cancelled_before_it_began_never_runs() -> None:
    ran: list[int] = []

    async def main() -> None:
        future = asyncio.get_running_loop().run_in_executor(None, ran.append, 1)
        future.cancel()
        await asyncio.sleep(1)

    run(main, 1)
    assert ran == []


# --- this Python


def test_a_python_whose_steps_we_can_not_tell_from_callbacks_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps.step_type.cache_clear()
    monkeypatch.setattr(steps, "WAKEUP", "task_awakened")
    try:
        with pytest.raises(UnknownPython, match=r"of a task's three steps, 2 are recognised"):
            SimulationLoop()
    finally:
        steps.step_type.cache_clear()


def test_a_python_whose_tasks_are_no_builtin_type_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps.step_type.cache_clear()
    monkeypatch.setattr(asyncio, "Task", asyncio.tasks._PyTask)  # type: ignore[attr-defined]
    try:
        with pytest.raises(UnknownPython, match="no type of its own"):
            SimulationLoop()
    finally:
        steps.step_type.cache_clear()


# --- as a loop among loops


@pytest.fixture
def loop() -> Iterator[SimulationLoop]:
    loop = SimulationLoop()
    yield loop
    loop.close()


def test_stop_lets_what_was_ready_run_and_nothing_after(loop: SimulationLoop) -> None:
    log: list[str] = []

    def stop() -> None:
        log.append("a")
        loop.stop()
        loop.call_soon(log.append, "late")

    loop.call_soon(stop)
    loop.call_soon(log.append, "b")
    loop.run_forever()
    assert log == ["a", "b"]
    loop.stop()
    loop.run_forever()
    assert log == ["a", "b", "late"]


def test_it_runs_under_anyio() -> None:
    async def main() -> float:
        await anyio.sleep(5)
        return anyio.current_time()

    options = {"loop_factory": SimulationLoop.factory(3, policy="batch")}
    assert anyio.run(main, backend_options=options) == 5.0


def test_a_task_that_nobody_holds_is_not_lost_and_the_collector_comes_by_steps() -> None:
    async def main() -> list[str]:
        log: list[str] = []

        async def lost() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            except GeneratorExit:
                log.append("collected")
                raise

        asyncio.get_running_loop().call_soon(asyncio.create_task, lost())
        await asyncio.sleep(1)
        gc.collect()
        assert not gc.isenabled()
        return log

    assert gc.isenabled()
    assert run(main) == []
    assert gc.isenabled()


def test_garbage_of_a_long_run_is_collected() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.me = self

    async def main() -> int:
        kept: list[weakref.ref[Cycle]] = []
        for _ in range(50_000):
            kept.append(weakref.ref(Cycle()))
            await asyncio.sleep(0)
        return sum(reference() is not None for reference in kept)

    assert run(main) < 30_000


def test_tasks_that_are_done_do_not_pile_up() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        for _ in range(20_000):
            await asyncio.create_task(asyncio.sleep(0))
        return len(loop._tasks)

    assert run(main) < 5


def test_tasks_of_a_foreign_factory_are_traced_and_permuted(loop: SimulationLoop) -> None:
    loop.set_task_factory(lambda loop, coro, **more: asyncio.Task(coro, loop=loop, **more))

    async def nothing() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.gather(nothing(), nothing())

    loop.run_until_complete(main())
    name = f"{test_tasks_of_a_foreign_factory_are_traced_and_permuted.__name__}.<locals>.nothing"
    assert {name, f"{name}~2"} <= set(loop.trace.tasks)


def test_two_simulations_at_once_are_refused_and_the_first_goes_on() -> None:
    async def main() -> str:
        def other() -> None:
            loop = SimulationLoop()
            try:
                loop.run_until_complete(loop.create_future())
            finally:
                loop.close()

        with pytest.raises(SimulationError, match="another simulation runs"):
            await asyncio.to_thread(other)
        return "went on"

    assert run(main) == "went on"


def test_nothing_stays_replaced_after_a_run() -> None:
    from anyio._backends import _asyncio as backend

    before = (backend.CancelScope, backend.Event, vars(backend.AsyncIOBackend).copy())
    with pytest.raises(ZeroDivisionError):
        run(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert (backend.CancelScope, backend.Event, vars(backend.AsyncIOBackend).copy()) == before
