"""A mailbox is bounded, first in first out, and has one reader."""

import asyncio
from asyncio import Future, get_running_loop
from collections.abc import Coroutine
from typing import Any

import pytest

from aftertide import CommandRejected, Envelope, Limits, MailboxFull, Receipt
from aftertide.actors.mailbox import Door, Mailbox, Message
from tests.bank import ACCOUNT, Deposit, Look
from tests.fake_clock import rest
from tests.staged import StagedEventStore, open_on


class Box(Mailbox):
    def __init__(self, door: Door) -> None:
        self.messages = None
        self._door = door
        self.woken = 0

    @property
    def door(self) -> Door:
        return self._door

    @property
    def stream(self) -> str:
        return "account-alice"

    def wake(self) -> None:
        self.woken += 1


def message(number: int) -> Message:
    reply: Future[Receipt] = get_running_loop().create_future()
    return Envelope(Deposit(number), f"command-{number}", 0.0), reply


def numbers(messages: list[Message]) -> list[int]:
    return [envelope.command.amount for envelope, _ in messages]


async def test_messages_are_taken_in_the_order_in_which_they_came() -> None:
    box = Box(Door(10, "wait"))
    for number in range(5):
        box.send(message(number))
    assert numbers(box.take()) == [0, 1, 2, 3, 4]
    assert box.messages is None


async def test_only_the_first_message_asks_for_a_turn() -> None:
    box = Box(Door(10, "wait"))
    for number in range(5):
        box.send(message(number))
    assert box.woken == 1
    box.take()
    box.send(message(5))
    assert box.woken == 2


async def test_a_full_mailbox_refuses_where_senders_may_not_wait() -> None:
    door = Door(2, "refuse")
    box = Box(door)
    box.send(message(0))
    box.send(message(1))
    with pytest.raises(MailboxFull, match=r"'account-alice' holds 2 commands.*when_full=\"wait\""):
        box.send(message(2))
    assert numbers(box.take()) == [0, 1]
    assert door.statistics().refused == 1
    box.send(message(3))  # there is room again


async def test_not_waiting_is_a_choice_of_the_sender_too() -> None:
    door = Door(1, "wait")
    box = Box(door)
    box.send_nowait(message(0))
    with pytest.raises(MailboxFull):
        box.send_nowait(message(1))
    assert door.statistics().standing_in_line == 0
    assert numbers(box.take()) == [0]


async def test_those_in_line_move_up_in_order_and_before_any_that_come_later() -> None:
    door = Door(2, "wait")
    box = Box(door)
    for number in range(7):
        box.send(message(number))
    assert door.statistics().standing_in_line == 5
    seen = numbers(box.take())
    box.send(message(7))
    while box.messages is not None:
        taken = numbers(box.take())
        assert len(taken) <= 2
        seen += taken
    assert seen == list(range(8))
    assert door.statistics() == type(door.statistics())(2, 0, 6, 0)


async def test_moving_up_asks_for_a_turn() -> None:
    box = Box(Door(1, "wait"))
    box.send(message(0))
    box.send(message(1))
    box.take()
    assert box.woken == 2


async def test_the_lines_of_two_mailboxes_are_two() -> None:
    door = Door(1, "wait")
    one, other = Box(door), Box(door)
    for number in range(2):
        one.send(message(number))
        other.send(message(10 + number))
    assert numbers(one.take()) == [0]
    assert numbers(other.messages or []) == [10]
    assert numbers(one.take()) == [1]
    assert numbers(other.take()) == [10]
    assert numbers(other.take()) == [11]
    assert door.lines == {}


async def test_what_is_put_back_comes_first_whatever_the_capacity() -> None:
    box = Box(Door(2, "wait"))
    for number in range(2):
        box.send(message(number))
    taken = box.take()
    box.send(message(2))
    box.put_back(taken)
    assert numbers(box.take()) == [0, 1, 2]
    box.put_back([])
    assert box.messages is None


async def test_senders_that_left_the_line_do_not_make_it_grow() -> None:
    """A host that tries again and again, with a timeout, at an aggregate whose disk stands still."""
    door = Door(1, "wait")
    box = Box(door)
    box.send(message(0))
    staying = message(1)
    box.send(staying)
    for number in range(2, 5_000):
        leaving = message(number)
        box.send(leaving)
        leaving[1].cancel()
    assert door.statistics().standing_in_line < 2_000
    box.take()
    assert (box.messages or [])[0] is staying


# ---- as the front door shows it


async def test_a_runtime_refuses_the_command_too_many_and_takes_it_later() -> None:
    store = StagedEventStore()
    store.hold_loads = True
    limits = Limits(mailbox_commands=2, when_full="refuse")
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        replies = [runtime.execute(ACCOUNT, "alice", Deposit(1)) for _ in range(3)]
        outcomes = await _gathered(replies, store)
        assert [type(outcome) for outcome in outcomes] == [Receipt, Receipt, MailboxFull]
        mailboxes = runtime.statistics().aggregates["account"].mailboxes
        assert (mailboxes.capacity_commands, mailboxes.refused, mailboxes.waited) == (2, 1, 0)
        store.hold_loads = False
        assert (await runtime.execute(ACCOUNT, "alice", Deposit(1))).version == 3


async def test_a_full_mailbox_of_one_aggregate_is_no_matter_to_another() -> None:
    store = StagedEventStore()
    limits = Limits(mailbox_commands=1, when_full="refuse")
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        store.hold_loads = True
        replies = [runtime.execute(ACCOUNT, id, Deposit(1)) for id in ("alice", "alice", "bob")]
        outcomes = await _gathered(replies, store)
        assert [type(outcome) for outcome in outcomes] == [Receipt, MailboxFull, Receipt]


async def test_a_sender_that_leaves_the_line_is_passed_over() -> None:
    store = StagedEventStore()
    store.hold_loads = True
    limits = Limits(mailbox_commands=2)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        tasks = [
            asyncio.create_task(runtime.execute(ACCOUNT, "alice", Deposit(10**number)))
            for number in range(6)
        ]
        await rest()
        assert runtime.statistics().aggregates["account"].mailboxes.standing_in_line == 4
        tasks[1].cancel()  # in the mailbox
        tasks[3].cancel()  # in line
        store.end_load()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        amounts = [event.event.amount async for event in runtime.read(ACCOUNT, "alice")]
    assert amounts == [1, 100, 10_000, 100_000]
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes] == [
        False, True, False, True, False, False,
    ]  # fmt: skip


async def test_a_line_ends_whatever_its_commands_decide() -> None:
    store = StagedEventStore()
    limits = Limits(mailbox_commands=1)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        commands = [Look() if number % 2 else Deposit(1) for number in range(20)]
        outcomes = await runtime.execute_many(ACCOUNT, [("alice", c) for c in commands])
        assert not [o for o in outcomes if isinstance(o, CommandRejected)]
        assert [o.version for o in outcomes if isinstance(o, Receipt)] == [
            number // 2 + 1 for number in range(20)
        ]


async def _gathered(
    replies: list[Coroutine[Any, Any, Receipt]], store: StagedEventStore
) -> list[Receipt | BaseException]:
    tasks = [asyncio.create_task(reply) for reply in replies]
    await rest()
    store.end_load()
    return await asyncio.gather(*tasks, return_exceptions=True)
