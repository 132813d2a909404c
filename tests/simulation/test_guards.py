"""Clocks, chance and ids from outside: controlled, and named with their call site."""

import asyncio
import contextlib
import datetime
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from random import choice as held_choice
from time import time as held_time
from typing import Any

import pytest

from aftertide.simulation.clock import EPOCH_SECONDS
from aftertide.simulation.errors import NotSimulated, Uncontrolled
from aftertide.simulation.guards import Guard
from aftertide.simulation.world import Simulation

from . import worlds


def run(function: Callable[[], Any], guard: Guard = "control", seed: int = 1) -> Simulation:
    simulation = Simulation(seed, guard=guard)

    async def main(simulation: Simulation) -> None:
        await simulation.sleep(5)
        simulation.trace.note(repr(function()))

    simulation.run(main)
    return simulation


SOURCES: dict[str, Callable[[], Any]] = {
    "time.time()": lambda: time.time(),
    "time.time_ns()": lambda: time.time_ns(),
    "time.monotonic()": lambda: time.monotonic(),
    "time.perf_counter()": lambda: time.perf_counter(),
    "random.random()": lambda: random.random(),
    "random.choice()": lambda: random.choice(range(10**9)),
    "random.shuffle()": lambda: random.shuffle(list(range(9))),
    "random.Random()": lambda: random.Random().random(),
    "os.urandom()": lambda: os.urandom(8),
    "uuid.uuid1()": lambda: uuid.uuid1(),
}
DEEPER: dict[str, tuple[str, Callable[[], Any]]] = {
    "uuid.uuid4": ("os.urandom()", lambda: uuid.uuid4()),
    "secrets": ("os.urandom()", lambda: secrets.token_hex(8)),
    "random.SystemRandom": ("os.urandom()", lambda: random.SystemRandom().random()),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_outside_gives_the_same_every_time_and_is_named_with_its_place(name: str) -> None:
    first, second = run(SOURCES[name]), run(SOURCES[name])
    assert first.trace.digest() == second.trace.digest()
    line = next(line for line in first.uncontrolled if line.startswith(name))
    assert "test_guards.py:" in line
    assert line.endswith("<lambda>(), 1 time")


@pytest.mark.parametrize("name", DEEPER)
def test_the_place_is_where_our_code_calls_not_inside_the_library(name: str) -> None:
    what, function = DEEPER[name]
    first, second = run(function), run(function)
    assert first.trace.digest() == second.trace.digest()
    assert any(
        line.startswith(f"{what} at tests/simulation/test_guards.py") for line in first.uncontrolled
    )


def test_clocks_read_virtual_time() -> None:
    readings: list[float] = []
    run(lambda: readings.extend([time.time(), time.monotonic(), time.perf_counter_ns()]))
    assert readings == [EPOCH_SECONDS + 5, 5.0, 5_000_000_000]


def test_a_blocking_sleep_takes_virtual_time_from_everybody() -> None:
    log: list[float] = []

    async def main(simulation: Simulation) -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(1, lambda: log.append(loop.time()))
        time.sleep(10)
        await simulation.sleep(0.5)
        return loop.time()

    assert Simulation(0).run(main) == 10.5
    assert log == [10.0]


@pytest.mark.parametrize("name", SOURCES)
def test_in_the_strict_mode_a_source_outside_raises(name: str) -> None:
    with pytest.raises(Uncontrolled, match=r"test_guards\.py:\d+"):
        run(SOURCES[name], "raise")


def test_in_the_strict_mode_catching_it_does_not_help() -> None:
    def careless() -> None:
        with contextlib.suppress(Exception):
            time.time()

    with pytest.raises(Uncontrolled, match=r"time\.time\(\) at .*careless"):
        run(careless, "raise")


def test_a_report_that_is_not_empty_can_be_made_an_error() -> None:
    simulation = run(SOURCES["time.time()"])
    with pytest.raises(Uncontrolled, match=r"time\.time\(\) at .*test_guards\.py"):
        simulation.guards.check()
    run(lambda: None).guards.check()


def test_what_the_tools_around_read_is_real_and_what_logging_reads_is_no_news() -> None:
    record: list[float] = []

    class Handler(logging.Handler):
        def emit(self, entry: logging.LogRecord) -> None:
            record.append(entry.created)

    logger = logging.getLogger("aftertide.test-guards")
    logger.addHandler(Handler())
    logger.setLevel("INFO")
    simulation = run(lambda: logger.info("hello"))
    assert record == [EPOCH_SECONDS + 5]
    assert simulation.uncontrolled == []


def test_other_threads_keep_the_real_clock() -> None:
    readings: list[float] = []
    go, done = threading.Event(), threading.Event()

    def outside() -> None:
        go.wait()
        readings.append(time.time())
        done.set()

    thread = threading.Thread(target=outside)
    thread.start()

    def inside() -> None:
        go.set()
        done.wait()

    run(inside)
    thread.join()
    assert readings[0] > EPOCH_SECONDS + 1_000


def test_all_is_given_back_after_the_run() -> None:
    names = [(time, "time"), (random, "choice"), (os, "urandom"), (threading.Thread, "start")]
    before = [getattr(owner, name) for owner, name in names]
    state = random.getstate()
    run(lambda: (held_choice("ab"), random.random()))
    assert [getattr(owner, name) for owner, name in names] == before
    assert random.getstate() == state


def test_a_function_that_was_held_on_to_still_draws_from_the_seed() -> None:
    def held() -> Any:
        return held_choice(range(10**9))

    assert run(held).trace.digest() == run(held).trace.digest()
    assert run(held, seed=2).trace.digest() != run(held).trace.digest()


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("thread", lambda: threading.Thread(target=print).start()),
        ("socket", lambda: socket.socket()),
        ("address", lambda: socket.getaddrinfo("localhost", 1)),
        ("process", lambda: subprocess.Popen([sys.executable, "-c", ""])),
        ("forked", lambda: os.fork()),
    ],
)
def test_threads_sockets_and_processes_are_refused_with_their_place(
    what: str, function: Callable[[], Any]
) -> None:
    with pytest.raises(NotSimulated, match=rf"{what}.* at tests/simulation/test_guards\.py"):
        run(function)


@pytest.mark.parametrize(
    ("what", "function"),
    [
        ("time.time()", lambda: held_time()),
        ("random.getrandbits()", lambda: held_choice("ab")),
        ("datetime.datetime.now()", lambda: datetime.datetime.now(datetime.UTC)),
        ("datetime.date.today()", lambda: datetime.date.today()),  # noqa: DTZ011
    ],
)
def test_watching_sees_what_no_replacement_reaches(what: str, function: Callable[[], Any]) -> None:
    simulation = run(function, "watch")
    assert any(
        line.startswith(f"{what} at tests/simulation/test_guards.py")
        for line in simulation.uncontrolled
    )


def test_the_production_runtime_asks_nothing_from_outside() -> None:
    assert worlds.bank(0, guard="watch").uncontrolled == []


Main = Callable[[Simulation], Awaitable[None]]
