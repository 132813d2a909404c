"""Whoever waits for a position is woken by the commit that reaches it, once and in order."""

from asyncio import Future, InvalidStateError

import pytest

from aftertide.actors.waiters import Waiters
from aftertide.domain.messages import Position
from tests.fake_clock import rest


def waiting(*positions: int) -> tuple[Waiters[str], list[Future[str]]]:
    waiters: Waiters[str] = Waiters()
    return waiters, [waiters.wait_for(Position(position)) for position in positions]


async def test_those_whose_position_is_reached_are_woken_and_no_others() -> None:
    waiters, futures = waiting(3, 1, 2, 3)
    waiters.reached(Position(2), "balances/1")
    assert [future.done() for future in futures] == [False, True, True, False]
    assert await futures[1] == "balances/1"
    assert len(waiters) == 2
    waiters.reached(Position(9), "balances/2")
    assert [await future for future in futures] == [
        "balances/2", "balances/1", "balances/1", "balances/2",
    ]  # fmt: skip
    assert len(waiters) == 0


async def test_they_are_woken_in_the_order_of_their_positions_and_then_of_their_coming() -> None:
    waiters, futures = waiting(5, 4, 5, 4)
    woken: list[int] = []
    for index, future in enumerate(futures):
        future.add_done_callback(lambda _, index=index: woken.append(index))  # type: ignore[misc]
    waiters.reached(Position(5), "balances/1")
    await rest()
    assert woken == [1, 3, 0, 2]


async def test_whoever_left_is_passed_over() -> None:
    waiters, futures = waiting(1, 1)
    futures[0].cancel()
    assert len(waiters) == 1
    waiters.reached(Position(1), "balances/1")
    assert await futures[1] == "balances/1"


async def test_a_failure_reaches_all_who_wait_and_nobody_who_comes_later() -> None:
    waiters, futures = waiting(1, 2)
    futures[0].cancel()
    waiters.fail(LookupError("gone"))
    with pytest.raises(LookupError, match="gone"):
        await futures[1]
    later = waiters.wait_for(Position(1))
    waiters.reached(Position(1), "balances/1")
    assert await later == "balances/1"


async def test_those_who_left_do_not_pile_up() -> None:
    """A replica that never moves, and a host that asks again after each timeout."""
    waiters, staying = waiting(7)
    for _ in range(10_000):
        waiters.wait_for(Position(7)).cancel()
    assert len(waiters._heap) < 200
    waiters.reached(Position(7), "balances/1")
    assert await staying[0] == "balances/1"
    with pytest.raises(InvalidStateError):
        waiters.wait_for(Position(8)).result()
