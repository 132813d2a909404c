"""Turns come in order, in slices, one at a time; what is collected goes out after each slice."""

import asyncio
from asyncio import CancelledError, get_running_loop
from collections.abc import Callable
from contextvars import ContextVar

import pytest

from aftertide.actors.dispatcher import Dispatcher
from tests.fake_clock import rest

WHO = ContextVar("WHO", default="nobody")


class Worker:
    def __init__(
        self, name: str, log: list[str], work: Callable[[], object] = lambda: None
    ) -> None:
        self.name = name
        self.log = log
        self.work = work
        self.crashes: list[BaseException] = []

    def turn(self) -> None:
        self.log.append(self.name)
        self.work()

    def crashed(self, error: BaseException) -> None:
        self.crashes.append(error)


def dispatcher(slice_actors: int = 256) -> Dispatcher:
    return Dispatcher(get_running_loop(), slice_actors=slice_actors)


async def test_turns_come_in_the_order_in_which_actors_were_woken() -> None:
    runs, log = dispatcher(), list[str]()
    for name in "cabd":
        runs.wake(Worker(name, log))
    assert log == []  # never inside the caller's own turn of the loop
    await rest()
    assert log == ["c", "a", "b", "d"]
    assert runs.idle
    assert runs.turns == 4


async def test_an_actor_that_wakes_itself_comes_after_those_that_wait() -> None:
    runs, log = dispatcher(), list[str]()
    again = Worker("again", log, lambda: runs.wake(again) if log.count("again") < 3 else None)
    runs.wake(again)
    runs.wake(Worker("other", log))
    await rest()
    assert log == ["again", "other", "again", "again"]


async def test_between_two_slices_the_event_loop_serves_others() -> None:
    runs, log = dispatcher(slice_actors=2), list[str]()
    for name in "abcde":
        runs.wake(Worker(name, log))
    get_running_loop().call_soon(lambda: log.append("loop"))
    await rest()
    assert log == ["a", "b", "loop", "c", "d", "e"]


async def test_what_turns_collected_goes_out_after_each_slice_and_not_between_turns() -> None:
    runs, log = dispatcher(slice_actors=2), list[str]()
    runs.after_slice += [lambda: log.append("journal"), lambda: log.append("activation")]
    for name in "abc":
        runs.wake(Worker(name, log))
    await rest()
    assert log == ["a", "b", "journal", "activation", "c", "journal", "activation"]


async def test_a_slice_can_be_asked_for_without_an_actor() -> None:
    runs, log = dispatcher(), list[str]()
    runs.after_slice.append(lambda: log.append("flushed"))
    runs.schedule()
    runs.schedule()
    await rest()
    assert log == ["flushed"]


async def test_while_held_no_turn_runs_and_what_was_collected_still_goes_out() -> None:
    runs, log = dispatcher(), list[str]()
    runs.after_slice.append(lambda: log.append("flushed"))
    runs.held = True
    runs.wake(Worker("a", log))
    await rest()
    assert log == ["flushed"]
    assert not runs.idle
    runs.release()
    await rest()
    assert log == ["flushed", "a", "flushed"]


async def test_a_turn_that_raises_fails_its_own_actor_only() -> None:
    runs, log = dispatcher(), list[str]()
    runs.after_slice.append(lambda: log.append("flushed"))
    actors = [Worker("a", log), Worker("b", log, lambda: 1 // 0), Worker("c", log)]
    for actor in actors:
        runs.wake(actor)
    await rest()
    assert log == ["a", "b", "c", "flushed"]
    assert [len(actor.crashes) for actor in actors] == [0, 1, 0]
    assert isinstance(actors[1].crashes[0], ZeroDivisionError)


def _raise(error: BaseException) -> None:
    raise error


async def test_a_turn_that_raises_what_is_no_exception_fails_its_own_actor_only() -> None:
    runs, log = dispatcher(), list[str]()
    runs.after_slice.append(lambda: log.append("flushed"))
    cancelled = Worker("a", log, lambda: _raise(CancelledError()))
    runs.wake(cancelled)
    runs.wake(Worker("b", log))
    await rest()
    assert log == ["a", "b", "flushed"]
    assert isinstance(cancelled.crashes[0], CancelledError)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_process_that_is_told_to_end_in_a_turn_ends_and_strands_nobody(
    kind: type[BaseException],
) -> None:
    loop = asyncio.new_event_loop()
    log: list[str] = []
    try:
        runs = Dispatcher(loop)
        interrupted = Worker("a", log, lambda: _raise(kind()))
        runs.wake(interrupted)
        runs.wake(Worker("b", log))
        with pytest.raises(kind):
            loop.run_until_complete(rest())
        # The loop may go on, as asyncio.run does to let everybody clean up.
        loop.run_until_complete(rest())
    finally:
        loop.close()
    assert log == ["a", "b"]
    assert isinstance(interrupted.crashes[0], kind)


async def test_turns_run_in_the_context_of_whoever_opened_the_runtime() -> None:
    """Not in that of the request that happens to send first: what it bound is nobody else's."""
    seen: list[str] = []
    WHO.set("opener")
    runs = dispatcher()
    WHO.set("request")
    runs.wake(Worker("a", [], lambda: seen.append(WHO.get())))
    await rest()
    assert seen == ["opener"]


async def test_the_next_of_a_slice_can_be_chosen() -> None:
    """By a simulation, which then has one more order to try."""
    log: list[str] = []
    asked: list[tuple[str, int]] = []

    def last(purpose: str, count: int) -> int:
        asked.append((purpose, count))
        return count - 1

    runs = Dispatcher(get_running_loop(), choose=last)
    for name in "abc":
        runs.wake(Worker(name, log))
    await rest()
    assert log == ["c", "a", "b"]
    assert asked == [("dispatcher.next", 3)]
