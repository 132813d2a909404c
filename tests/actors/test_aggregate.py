"""An aggregate decides one command after the other, and answers only what the disk knows."""

import asyncio
from asyncio import CancelledError, Task
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest

from aftertide import (
    AftertideError,
    CommandRejected,
    ConcurrencyConflict,
    DeadlineExceeded,
    Decider,
    DecisionFailed,
    Envelope,
    InvariantViolation,
    Limits,
    Receipt,
    RecordedEvent,
    Runtime,
    StoreFull,
    StreamUnreadable,
    UnknownEventType,
)
from aftertide.domain.messages import Append, NewEvent, StreamKey, Version
from tests.bank import ACCOUNT, Account, Command, Deposit, Deposited, Look, Split, Withdraw
from tests.fake_clock import START, FakeClock, rest
from tests.staged import StagedEventStore, open_on

T = TypeVar("T")

FULL = StoreFull("bank.db", "no space left", "Free some space.")


def start(execution: Coroutine[Any, Any, T]) -> Task[T]:
    return asyncio.create_task(execution)


async def events(runtime: Runtime, id: str = "alice") -> list[Any]:
    return [recorded.event async for recorded in runtime.read(ACCOUNT, id)]


def foreign(store: StagedEventStore, id: str, at: int, *amounts: int) -> None:
    """What another process appended."""
    new = [
        NewEvent("Deposited", b'{"amount":%d}' % amount, None, "foreign", "") for amount in amounts
    ]
    append = Append("account", id, Version(at), new, StreamKey(0))
    commit = store.log.append([append], START).result()
    assert not commit.conflicts


@pytest.fixture
def store() -> StagedEventStore:
    return StagedEventStore()


# ---- deciding


async def test_each_command_is_decided_on_the_state_that_the_ones_before_it_left(
    store: StagedEventStore,
) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        commands: list[Command] = [
            Deposit(5),
            Withdraw(3),
            Withdraw(3),
            Deposit(1),
            Withdraw(3),
            Withdraw(1),
        ]
        outcomes = await runtime.execute_many(ACCOUNT, [("alice", c) for c in commands])
    assert [getattr(outcome, "version", None) for outcome in outcomes] == [1, 2, None, 3, 4, None]
    assert [str(o) for o in outcomes if isinstance(o, CommandRejected)] == [
        "cannot withdraw 3: the balance is 2",
        "cannot withdraw 1: the balance is 0",
    ]


async def test_what_waits_in_a_mailbox_is_appended_at_once_and_answered_one_by_one(
    store: StagedEventStore,
) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        commands: list[Command] = [Split((1, 2, 3)), Look(), Deposit(4), Split((5, 6))]
        outcomes = await runtime.execute_many(ACCOUNT, [("alice", c) for c in commands])
        assert [(o.position, o.version) for o in outcomes if isinstance(o, Receipt)] == [
            (3, 3), (3, 3), (4, 4), (6, 6),
        ]  # fmt: skip
        assert store.batches == [["account-alice"]]
        assert [event.amount for event in await events(runtime)] == [1, 2, 3, 4, 5, 6]


async def test_commands_that_come_while_an_append_is_under_way_are_decided_ahead_of_the_disk(
    store: StagedEventStore,
) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        first = start(runtime.execute(ACCOUNT, "alice", Deposit(10)))
        await rest()
        second = start(runtime.execute(ACCOUNT, "alice", Withdraw(10)))
        await rest()
        assert len(store.batches) == 1
        store.end()
        await rest()
        assert first.done()
        assert not second.done()
        assert len(store.batches) == 2
        store.end()
        assert (await second).version == 2
        store.held = False


async def test_no_receipt_comes_before_the_commit(store: StagedEventStore) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        reply = start(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        await rest()
        assert not reply.done()
        store.end()
        assert await reply == Receipt("account", "alice", 1, 1, (await reply).command_id)  # type: ignore[arg-type]
        store.held = False


async def test_a_rejection_touches_only_its_own_command(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        outcomes = await runtime.execute_many(
            ACCOUNT, [("alice", c) for c in (Deposit(1), Withdraw(9), Deposit(1), Withdraw(2))]
        )
        assert [type(outcome) for outcome in outcomes] == [
            Receipt, CommandRejected, Receipt, Receipt,
        ]  # fmt: skip
        assert len(await events(runtime)) == 3
        assert runtime.statistics().aggregates["account"].rejected == 1


async def test_a_rejection_is_answered_only_after_the_state_it_rests_on_is_durable(
    store: StagedEventStore,
) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        deposit = start(runtime.execute(ACCOUNT, "alice", Deposit(5)))
        refused = start(runtime.execute(ACCOUNT, "alice", Withdraw(6)))
        await rest()
        late = start(runtime.execute(ACCOUNT, "alice", Withdraw(7)))
        await rest()
        assert not deposit.done()
        assert not refused.done()
        assert not late.done()
        store.end()
        assert (await deposit).version == 1
        with pytest.raises(CommandRejected, match="withdraw 6: the balance is 5"):
            await refused
        with pytest.raises(CommandRejected, match="withdraw 7: the balance is 5"):
            await late
        store.held = False


async def test_a_rejection_that_rests_on_nothing_new_needs_no_append(
    store: StagedEventStore,
) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        with pytest.raises(CommandRejected):
            await runtime.execute(ACCOUNT, "alice", Withdraw(1))
        assert store.batches == []


async def test_a_failed_append_drops_the_state_and_decides_rejections_again(
    store: StagedEventStore,
) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        start_balance = start(runtime.execute(ACCOUNT, "alice", Deposit(5)))
        await rest()
        store.end()
        await start_balance
        withdraw = start(runtime.execute(ACCOUNT, "alice", Withdraw(5)))
        # Refused on a balance of 0 that never comes to be; on the 5 that there are it is right.
        again = start(runtime.execute(ACCOUNT, "alice", Withdraw(4)))
        await rest()
        store.end(FULL)
        await rest()
        with pytest.raises(StoreFull):
            await withdraw
        assert not again.done()
        store.end()
        assert (await again).version == 2
        assert [type(event).__name__ for event in await events(runtime)] == [
            "Deposited",
            "Withdrawn",
        ]
        store.held = False


async def test_a_failed_append_takes_back_what_was_decided_on_top_of_it(
    store: StagedEventStore,
) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        deposit = start(runtime.execute(ACCOUNT, "alice", Deposit(5)))
        await rest()
        on_top = start(runtime.execute(ACCOUNT, "alice", Withdraw(5)))
        beside = start(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        await rest()
        store.end(FULL)
        await rest()
        with pytest.raises(StoreFull):
            await deposit
        store.end()
        with pytest.raises(CommandRejected, match="the balance is 0"):
            await on_top
        assert (await beside).version == 1
        store.held = False
        assert (await runtime.execute(ACCOUNT, "alice", Withdraw(1))).version == 2


async def test_others_of_a_failed_transaction_hear_of_it_and_go_on(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        store.failures = [FULL]
        outcomes = await runtime.execute_many(ACCOUNT, [(id, Deposit(1)) for id in ("a", "b", "c")])
        assert [type(outcome) for outcome in outcomes] == [StoreFull] * 3
        outcomes = await runtime.execute_many(ACCOUNT, [(id, Deposit(1)) for id in ("a", "b", "c")])
        assert [o.version for o in outcomes if isinstance(o, Receipt)] == [1, 1, 1]
        assert runtime.head == 3


async def test_an_append_that_could_not_even_begin_is_answered(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        store.append = _raising(OSError("no such device"))  # type: ignore[method-assign]
        with pytest.raises(InvariantViolation, match="OSError: no such device") as caught:
            await runtime.execute(ACCOUNT, "alice", Deposit(1))
        assert isinstance(caught.value.__cause__, OSError)
        del store.append
        assert (await runtime.execute(ACCOUNT, "alice", Deposit(1))).version == 1


def _raising(error: Exception) -> Any:  # noqa: ANN401 - stands in for any method
    def method(*_: object) -> None:
        raise error

    return method


async def test_a_command_without_events_is_answered_at_the_version_and_the_head_it_saw(
    store: StagedEventStore,
) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        assert (await runtime.execute(ACCOUNT, "alice", Look())).version == 0
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await runtime.execute(ACCOUNT, "bob", Deposit(1))
        receipt = await runtime.execute(ACCOUNT, "alice", Look())
        assert (receipt.position, receipt.version) == (2, 1)
        assert len(store.batches) == 2


async def test_a_receipt_without_events_names_a_position_that_holds_what_it_rested_on(
    store: StagedEventStore,
) -> None:
    """Also where another process wrote it: a view at that position has seen it."""
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        foreign(store, "alice", 0, 5, 5)
        receipt = await runtime.execute(ACCOUNT, "alice", Look())
        assert (receipt.position, receipt.version) == (2, 2)
        assert runtime.head == 2


async def test_a_command_without_events_waits_for_what_it_rests_on(store: StagedEventStore) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        deposit = start(runtime.execute(ACCOUNT, "alice", Deposit(5)))
        look = start(runtime.execute(ACCOUNT, "alice", Look()))
        await rest()
        assert not look.done()
        store.end()
        assert (await look).position == (await deposit).position == 1
        store.held = False


# ---- expected versions and deadlines


async def test_an_expected_version_is_what_the_stream_must_be_at_when_the_turn_comes(
    store: StagedEventStore,
) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1), expected_version=0)
        await runtime.execute(ACCOUNT, "alice", Deposit(1), expected_version=1)
        with pytest.raises(ConcurrencyConflict) as caught:
            await runtime.execute(ACCOUNT, "alice", Deposit(1), expected_version=1)
        assert (caught.value.expected, caught.value.actual, caught.value.attempts) == (1, 2, 1)
        assert "is at version 2, not 1: another writer appended 1 event(s) first" in str(
            caught.value
        )
        assert len(await events(runtime)) == 2


async def test_of_two_that_expect_the_same_version_one_wins(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        replies = [
            start(runtime.execute(ACCOUNT, "alice", Deposit(amount), expected_version=0))
            for amount in (1, 2)
        ]
        outcomes = await asyncio.gather(*replies, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Receipt, ConcurrencyConflict]
        assert await events(runtime) == [Deposited(1)]


async def test_an_expected_version_is_checked_again_when_a_conflict_takes_the_state_back(
    store: StagedEventStore,
) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        reply = start(runtime.execute(ACCOUNT, "alice", Deposit(1), expected_version=0))
        await rest()
        foreign(store, "alice", 0, 7)
        store.end()
        with pytest.raises(ConcurrencyConflict) as caught:
            await reply
        assert (caught.value.expected, caught.value.actual) == (0, 1)
        store.held = False
        assert await events(runtime) == [Deposited(7)]


async def test_a_command_whose_turn_comes_too_late_is_not_decided(store: StagedEventStore) -> None:
    clock = FakeClock()
    store.hold_loads = True
    async with open_on(store, deciders=[ACCOUNT], clock=clock) as runtime:
        replies = [
            start(runtime.execute(ACCOUNT, "alice", Deposit(seconds), timeout=seconds))
            for seconds in (1, 2, 3)
        ]
        await clock.advance(2.0)
        store.end_load()
        outcomes = await asyncio.gather(*replies, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [DeadlineExceeded, Receipt, Receipt]
        assert "1.000 s past its deadline" in str(outcomes[0])
        assert [event.amount for event in await events(runtime)] == [2, 3]


async def test_a_command_that_was_decided_in_time_ends_however_long_the_disk_takes(
    store: StagedEventStore,
) -> None:
    clock = FakeClock()
    store.held = True
    async with open_on(store, deciders=[ACCOUNT], clock=clock) as runtime:
        reply = start(runtime.execute(ACCOUNT, "alice", Deposit(1), timeout=1))
        await clock.advance(3_600)
        store.end()
        assert (await reply).version == 1
        store.held = False


# ---- conflicts with other processes


async def test_a_conflict_reads_the_stream_again_and_decides_again(store: StagedEventStore) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        deposit = start(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        refused = start(runtime.execute(ACCOUNT, "alice", Withdraw(8)))
        await rest()
        foreign(store, "alice", 0, 7)
        store.end()
        await rest()
        assert not deposit.done()
        assert store.batches == [["account-alice"], ["account-alice"]]
        store.end()
        assert (await deposit).version == 2
        assert (await refused).version == 3  # on the foreign 7 it is right
        store.held = False
        assert [event.amount for event in await events(runtime)] == [7, 1, 8]


async def test_a_conflict_of_one_stream_is_none_of_the_others_in_its_transaction(
    store: StagedEventStore,
) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        loser = start(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        winner = start(runtime.execute(ACCOUNT, "bob", Deposit(1)))
        await rest()
        foreign(store, "alice", 0, 7)
        store.end()
        await rest()
        assert (await winner).position == 2
        assert not loser.done()
        store.end()
        assert (await loser).position == 3
        store.held = False


async def test_what_was_decided_on_a_state_that_lost_is_not_appended(
    store: StagedEventStore,
) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        first = start(runtime.execute(ACCOUNT, "alice", Deposit(10)))
        await rest()
        # On top of the 10 it is right; when the 10 turns out to come after the foreign 1, still.
        second = start(runtime.execute(ACCOUNT, "alice", Withdraw(10)))
        other = start(runtime.execute(ACCOUNT, "bob", Deposit(1)))
        await rest()
        foreign(store, "alice", 0, 1)
        store.end()
        await rest()
        # The transaction after the lost one holds what stands on its own, and nothing of alice.
        assert store.batches[1] == ["account-bob"]
        store.end()
        await rest()
        store.end()
        assert [(await reply).version for reply in (first, second, other)] == [2, 3, 1]
        store.held = False
        assert [event.amount for event in await events(runtime)] == [1, 10, 10]


async def test_conflicts_are_bounded_and_then_said(store: StagedEventStore) -> None:
    store.held = True
    limits = Limits(conflict_attempts=3)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        reply = start(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        for attempt in range(3):
            await rest()
            foreign(store, "alice", attempt, 7)
            store.end()
        with pytest.raises(
            ConcurrencyConflict, match=r"3 attempts.*Reload the aggregate"
        ) as caught:
            await reply
        assert (caught.value.attempts, caught.value.actual) == (3, 3)
        store.held = False
        assert [event.amount for event in await events(runtime)] == [7, 7, 7]
        # It was not for ever: the next one begins with the state that there is.
        assert (await runtime.execute(ACCOUNT, "alice", Withdraw(21))).version == 4


async def test_attempts_are_those_of_one_decision_and_not_of_a_life(
    store: StagedEventStore,
) -> None:
    store.held = True
    limits = Limits(conflict_attempts=2)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        for version in range(3):
            # Each loses once; decided again, it needs no append: a refusal on the balance there is.
            reply = start(runtime.execute(ACCOUNT, "alice", Deposit(1), expected_version=version))
            await rest()
            foreign(store, "alice", version, 1)
            store.end()
            with pytest.raises(ConcurrencyConflict) as caught:
                await reply
            assert caught.value.attempts == 1
        store.held = False


# ---- deciders that misbehave


@dataclass(frozen=True, slots=True)
class Do:
    what: str


@dataclass(frozen=True, slots=True)
class Done:
    what: str
    number: int = 0
    ratio: float = 0.0


@dataclass(frozen=True, slots=True)
class Undeclared:
    what: str


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def misbehave(command: Do, state: tuple[str, ...]) -> Sequence[Done]:
    done: Any = Done
    match command.what:
        case "divide":
            return [Done("divide", 1 // 0)]
        case "unprintable":
            raise Unprintable
        case "cancel":
            raise CancelledError
        case "stop":
            raise StopIteration
        case "undeclared":
            return [Undeclared("x")]  # type: ignore[list-item]
        case "None":
            return None  # type: ignore[return-value]
        case "unencodable":
            return [done(object())]
        case "text for a number":
            return [done("x", "many")]
        case "NaN":
            return [done("x", 0, float("nan"))]
        case "infinity":
            return [done("x", 0, float("inf"))]
        case "surrogate":
            return [Done("\ud800")]
        case "half":
            return [Done("half"), done(object())]
        case "evolve":
            return [Done("evolve")]
        case what:
            return [Done(what)]


def remember(state: tuple[str, ...], event: Done) -> tuple[str, ...]:
    if event.what == "evolve":
        raise ArithmeticError("evolve must not raise")
    return (*state, event.what)


MISBEHAVING = Decider[Do, tuple[str, ...], Done]("misbehaving", (), misbehave, remember)

PROBLEMS = {
    "divide": (ZeroDivisionError, "ZeroDivisionError: integer division or modulo by zero"),
    "unprintable": (Unprintable, r"Unprintable: \(its own text failed with RuntimeError\)"),
    "cancel": (CancelledError, "CancelledError"),
    "stop": (StopIteration, "StopIteration"),
    "undeclared": (
        KeyError,
        r"type Undeclared, which decider 'misbehaving' does not declare .*Done",
    ),
    "None": (TypeError, "'NoneType' object is not iterable"),
    "unencodable": (TypeError, "Encoding objects of type object is unsupported"),
    "text for a number": (ValueError, "Done can't be read again.* Expected `int`, got `str`"),
    "NaN": (ValueError, "Done can't be read again.* Expected `float`, got `null`"),
    "infinity": (ValueError, "Done can't be read again"),
    "surrogate": (UnicodeEncodeError, "surrogates not allowed"),
    "half": (TypeError, "Encoding objects of type object is unsupported"),
    "evolve": (ArithmeticError, "ArithmeticError: evolve must not raise"),
}


@pytest.mark.parametrize("immediate", [True, False], ids=["memory", "staged"])
@pytest.mark.parametrize("what", PROBLEMS)
async def test_a_decider_that_fails_fails_its_command_alone_with_the_cause(
    what: str, immediate: bool
) -> None:
    kind, text = PROBLEMS[what]
    runtime = (
        Runtime.open(deciders=[MISBEHAVING])
        if immediate
        else open_on(StagedEventStore(), deciders=[MISBEHAVING])
    )
    async with runtime:
        await runtime.execute(MISBEHAVING, "m", Do("before"))
        with pytest.raises(DecisionFailed, match=text) as caught:
            await runtime.execute(MISBEHAVING, "m", Do(what))
        assert isinstance(caught.value.__cause__, kind)
        assert "deciding Do for 'misbehaving-m' failed" in str(caught.value)
        assert "Nothing was appended. Mend the decider" in str(caught.value)
        assert (await runtime.execute(MISBEHAVING, "m", Do("after"))).version == 2
        outcomes = await runtime.execute_many(
            MISBEHAVING, [("m", Do(each)) for each in ("one", what, "two")]
        )
        assert [type(outcome) for outcome in outcomes] == [Receipt, DecisionFailed, Receipt]
        told = [recorded.event.what async for recorded in runtime.read(MISBEHAVING, "m")]
    assert told == ["before", "after", "one", "two"]


async def test_a_rejection_keeps_its_cause_and_its_class(store: StagedEventStore) -> None:
    class Overdrawn(CommandRejected):
        pass

    def refuse(command: Do, state: int) -> list[Done]:
        try:
            raise LookupError("why")
        except LookupError as error:
            raise Overdrawn("no") from error

    decider = Decider("refusing", 0, refuse, lambda state, event: state, events=[Done])
    for runtime in (Runtime.open(deciders=[decider]), open_on(store, deciders=[decider])):
        async with runtime:
            for _ in range(2):
                with pytest.raises(Overdrawn, match="no") as caught:
                    await runtime.execute(decider, "m", Do("x"))
                assert isinstance(caught.value.__cause__, LookupError)


async def test_the_state_is_made_of_what_will_be_read_again(store: StagedEventStore) -> None:
    """An event with a list where JSON makes one of a tuple: now and after a restart it is the same."""

    @dataclass(frozen=True)
    class Tagged:
        tags: list[str]

    seen: list[object] = []

    def tag(command: Do, state: object) -> list[Tagged]:
        seen.append(state)
        return [Tagged(("a", command.what))]  # type: ignore[arg-type]

    decider = Decider("tagged", None, tag, lambda _, event: event.tags, events=[Tagged])
    async with open_on(store, deciders=[decider]) as runtime:
        await runtime.execute(decider, "t", Do("b"))
        await runtime.execute(decider, "t", Do("c"))
    assert seen == [None, ["a", "b"]]


async def test_a_crash_in_a_turn_answers_everybody_who_waits_and_the_next_begins_anew(
    store: StagedEventStore,
) -> None:
    """Which must not happen, and did: an error outside of all the places where one is expected."""

    class Told(BaseException):
        pass

    def decide(command: Do, state: int) -> list[Done]:
        if command.what == "crash":
            raise Told
        return [Done(command.what)]

    decider = Decider("crashing", 0, decide, lambda state, _: state + 1, events=[Done])
    store.hold_loads = True
    limits = Limits(mailbox_commands=4)
    async with open_on(store, deciders=[decider], limits=limits) as runtime:
        commands = [Do("one"), Do("crash"), Do("two"), Do("three"), Do("in line"), Do("in line")]
        replies = [start(runtime.execute(decider, "c", command)) for command in commands]
        other = start(runtime.execute(decider, "other", Do("one")))
        await rest()
        store.hold_loads = False
        store.end_load()
        outcomes = await asyncio.gather(*replies, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [InvariantViolation] * 6
        assert "a turn of <Aggregate crashing-c@0> raised Told. Please report this." in str(
            outcomes[0]
        )
        assert (await other).version == 1
        assert (await runtime.execute(decider, "c", Do("again"))).version == 1
        assert [recorded.event.what async for recorded in runtime.read()] == ["one", "again"]


async def test_a_crash_does_not_leave_the_journal_full(store: StagedEventStore) -> None:
    class Told(BaseException):
        pass

    def decide(command: Do, state: int) -> list[Done]:
        if command.what == "crash":
            raise Told
        return [Done(command.what)] * 20

    decider = Decider("crashing", 0, decide, lambda state, _: state + 1, events=[Done])
    async with open_on(store, deciders=[decider], limits=Limits(journal_events=10)) as runtime:
        outcomes = await runtime.execute_many(decider, [("c", Do("many")), ("c", Do("crash"))])
        assert [type(outcome) for outcome in outcomes] == [InvariantViolation] * 2
        assert (await runtime.execute(decider, "c", Do("again"))).version == 20


# ---- what an event can hold


@pytest.mark.parametrize(
    "amount",
    [2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400],
    ids=lambda n: f"{n.bit_length()} bits",
)
async def test_whole_numbers_of_any_size_come_back_as_they_were(
    store: StagedEventStore, amount: int
) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(amount))
        assert await events(runtime) == [Deposited(amount)]
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        with pytest.raises(CommandRejected, match=f"the balance is {amount}"):
            await runtime.execute(ACCOUNT, "alice", Withdraw(abs(amount) + 1))


@pytest.mark.parametrize(
    "note",
    [
        "",
        "ä" * 1_000,
        "日本語",
        "\u202e\u0000\x1f",
        "🏦" * 10,
        "\U0010ffff",
        'quo"te\\',
        "x" * 1_048_576,
    ],
    ids=["empty", "umlauts", "cjk", "controls", "emoji", "last", "quotes", "megabyte"],
)
async def test_text_of_any_kind_and_a_megabyte_of_it_comes_back_as_it_was(
    store: StagedEventStore, note: str
) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, note[:50] or "-", Deposit(1, note))
        assert await events(runtime, note[:50] or "-") == [Deposited(1, note)]


async def test_an_event_that_could_not_be_read_again_is_never_written(
    store: StagedEventStore,
) -> None:
    """It would make its aggregate unreadable for ever."""
    amount: Any = "a lot"
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        with pytest.raises(DecisionFailed):
            await runtime.execute(ACCOUNT, "alice", Deposit(amount))
        assert store.batches == [["account-alice"]]
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        assert (await runtime.execute(ACCOUNT, "alice", Withdraw(1))).version == 2


# ---- activation


async def test_a_long_stream_is_read_page_by_page(store: StagedEventStore) -> None:
    foreign(store, "alice", 0, *[1] * 25)
    async with open_on(store, deciders=[ACCOUNT], limits=Limits(load_events=10)) as runtime:
        assert (await runtime.execute(ACCOUNT, "alice", Withdraw(25))).version == 26
        assert store.loads == [[("alice", 0)], [("alice", 10)], [("alice", 20)]]
        assert runtime.statistics().activations == 1


async def test_a_stream_that_ends_with_its_page_is_read_once_more(store: StagedEventStore) -> None:
    foreign(store, "alice", 0, *[1] * 10)
    async with open_on(store, deciders=[ACCOUNT], limits=Limits(load_events=10)) as runtime:
        assert (await runtime.execute(ACCOUNT, "alice", Withdraw(10))).version == 11


async def test_short_streams_are_served_between_the_pages_of_a_long_one(
    store: StagedEventStore,
) -> None:
    foreign(store, "long", 0, *[1] * 35)
    store.hold_loads = True
    async with open_on(store, deciders=[ACCOUNT], limits=Limits(load_events=10)) as runtime:
        long = start(runtime.execute(ACCOUNT, "long", Withdraw(35)))
        await rest()
        short = start(runtime.execute(ACCOUNT, "short", Deposit(1)))
        await rest()
        store.end_load()
        await rest()
        store.end_load()
        await rest()
        assert short.done()
        assert not long.done()
        store.hold_loads = False
        store.end_load()
        assert (await long).version == 36


async def test_aggregates_that_wake_together_share_one_read(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        ids = [f"a{number}" for number in range(100)]
        await runtime.execute_many(ACCOUNT, [(id, Deposit(1)) for id in ids])
        assert [len(streams) for streams in store.loads] == [100]
        assert store.batches == [[f"account-{id}" for id in ids]]


async def test_commands_that_come_while_the_state_is_read_are_decided_on_it(
    store: StagedEventStore,
) -> None:
    foreign(store, "alice", 0, 5)
    store.hold_loads = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        replies = [start(runtime.execute(ACCOUNT, "alice", Withdraw(5))) for _ in range(2)]
        await rest()
        replies.append(start(runtime.execute(ACCOUNT, "alice", Deposit(1))))
        await rest()
        store.end_load()
        outcomes = await asyncio.gather(*replies, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Receipt, CommandRejected, Receipt]
        assert len(store.loads) == 1


async def test_a_read_that_fails_is_answered_and_the_next_command_tries_anew(
    store: StagedEventStore,
) -> None:
    store.hold_loads = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        replies = [start(runtime.execute(ACCOUNT, id, Deposit(1))) for id in ("a", "a", "b")]
        await rest()
        store.end_load(FULL)
        outcomes = await asyncio.gather(*replies, return_exceptions=True)
        assert outcomes == [FULL] * 3
        store.hold_loads = False
        assert (await runtime.execute(ACCOUNT, "a", Deposit(1))).version == 1


@pytest.mark.parametrize("error", [OSError("broken"), CancelledError()], ids=["raises", "drops"])
async def test_a_store_that_breaks_its_promise_is_our_bug_and_strands_nobody(
    store: StagedEventStore, error: BaseException
) -> None:
    store.hold_loads = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        reply = start(runtime.execute(ACCOUNT, "a", Deposit(1)))
        await rest()
        if isinstance(error, Exception):
            store.end_load(error)
        else:
            assert store.loading is not None
            store.loading.cancel()
        with pytest.raises(InvariantViolation, match="event store"):
            await reply
        store.hold_loads = False
        assert (await runtime.execute(ACCOUNT, "a", Deposit(1))).version == 1


async def test_an_event_of_an_unknown_type_is_named_with_its_place(store: StagedEventStore) -> None:
    foreign(store, "bob", 0, 1)
    new = [NewEvent("Refunded", b"{}", None, "foreign", "")]
    await store.log.append([Append("account", "alice", Version(0), new)], START)
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        for _ in range(2):
            with pytest.raises(
                UnknownEventType,
                match="position 2 of stream 'account-alice' is an event of type 'Refunded'",
            ):
                await runtime.execute(ACCOUNT, "alice", Deposit(1))
        assert (await runtime.execute(ACCOUNT, "bob", Deposit(1))).version == 2


async def test_a_stream_that_evolve_can_not_take_is_said_to_all_who_wait(
    store: StagedEventStore,
) -> None:
    foreign(store, "bob", 0, 1)
    new = [NewEvent("Deposited", b'{"amount":"x"}', None, "foreign", "")]
    await store.log.append([Append("account", "alice", Version(0), new)], START)
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        outcomes = await runtime.execute_many(
            ACCOUNT, [("alice", Deposit(1)), ("bob", Deposit(1)), ("alice", Deposit(2))]
        )
        assert [type(outcome) for outcome in outcomes] == [
            StreamUnreadable, Receipt, StreamUnreadable,
        ]  # fmt: skip
        assert "'account-alice' can't be read after version 0" in str(outcomes[0])
        assert "Expected `int`, got `str`" in str(outcomes[0])


# ---- many


async def test_a_thousand_clients_on_one_aggregate_lose_nothing(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:

        async def client(number: int) -> list[AftertideError | Receipt]:
            outcomes: list[AftertideError | Receipt] = []
            for command in (Deposit(number), Withdraw(number // 2)):
                try:
                    outcomes.append(await runtime.execute(ACCOUNT, "hot", command))
                except CommandRejected as no:
                    outcomes.append(no)
            return outcomes

        outcomes = await asyncio.gather(*map(client, range(1_000)))
        receipts = [o for pair in outcomes for o in pair if isinstance(o, Receipt)]
        assert sorted(r.version for r in receipts) == list(range(1, 2_001))
        balance = sum(number - number // 2 for number in range(1_000))
        with pytest.raises(CommandRejected, match=f"the balance is {balance}$"):
            await runtime.execute(ACCOUNT, "hot", Withdraw(10**9))
        assert len(store.batches) < 20


async def test_a_decision_gets_its_envelope_where_it_asks_for_it(store: StagedEventStore) -> None:
    seen: list[Envelope[Do]] = []

    def decide(command: Do, state: int, envelope: Envelope[Do]) -> list[Done]:
        seen.append(envelope)
        return [Done(command.what)]

    decider = Decider.with_envelope("timed", 0, decide, lambda state, _: state, events=[Done])
    clock = FakeClock()
    async with open_on(store, deciders=[decider], clock=clock) as runtime:
        await clock.advance(5)
        receipt = await runtime.execute(
            decider, "a", Do("x"), command_id="c1", correlation_id="k", causation_id="b", metadata={"u": 1}
        )  # fmt: skip
        recorded = [event async for event in runtime.read(decider, "a")]
    assert receipt.command_id == "c1"
    assert seen[0].issued_at == START + 5
    for message in (seen[0], recorded[0]):
        assert (message.command_id, message.correlation_id) == ("c1", "k")
        assert (message.causation_id, message.metadata) == ("b", {"u": 1})
    assert isinstance(recorded[0], RecordedEvent)


async def test_an_aggregate_says_who_and_where_it_is(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "alice", Split((1, 2)))
        aggregate = runtime._kinds[ACCOUNT].active["alice"]
        assert repr(aggregate) == "<Aggregate account-alice@2>"
        assert aggregate.state == Account(3, 2)
