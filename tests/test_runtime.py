"""The front door: commands in, receipts out, the log to read, and mistakes that are said to whoever makes them."""

import asyncio
import gc
import pickle
from collections.abc import AsyncIterator, Iterator
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

import aftertide
from aftertide import (
    AftertideError,
    CommandRejected,
    ConcurrencyConflict,
    DeadlineExceeded,
    Decider,
    DecisionFailed,
    Limits,
    MailboxFull,
    NotFreshEnough,
    ProjectionStopped,
    Receipt,
    Runtime,
    RuntimeClosed,
    StoreFull,
    StreamUnreadable,
    UnknownEventType,
    View,
)
from aftertide.runtime import WINDOW
from tests.bank import (
    ACCOUNT,
    BALANCES,
    Balance,
    Command,
    Deposit,
    Deposited,
    Look,
    Split,
    Withdraw,
)
from tests.fake_clock import START, FakeClock, rest
from tests.staged import StagedEventStore, open_on


@pytest.fixture(params=["memory", "file"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    return ":memory:" if request.param == "memory" else tmp_path / "bank.db"


@pytest.fixture
async def runtime(database: str | Path) -> AsyncIterator[Runtime]:
    async with Runtime.open(database, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
        yield runtime


# ---- execute


async def test_a_receipt_says_where_the_command_stands(runtime: Runtime) -> None:
    await runtime.execute(ACCOUNT, "bob", Split((1, 2, 3)))
    receipt = await runtime.execute(ACCOUNT, "alice", Split((1, 2)), command_id="c1")
    assert receipt == Receipt("account", "alice", 5, 2, "c1")  # type: ignore[arg-type]
    assert receipt.stream == "account-alice"
    assert runtime.head == 5


async def test_what_a_receipt_was_given_for_is_in_the_log(runtime: Runtime) -> None:
    receipts = [await runtime.execute(ACCOUNT, f"a{n % 3}", Deposit(n)) for n in range(20)]
    log = [event async for event in runtime.read()]
    assert [(e.position, e.id, e.version, e.command_id) for e in log] == [
        (r.position, r.id, r.version, r.command_id) for r in receipts
    ]


async def test_every_command_gets_an_id_of_its_own(tmp_path: Path) -> None:
    ids: set[str] = set()
    for _ in range(3):  # also where the seed is the same, run after run
        async with Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT], seed=1) as runtime:
            for _ in range(50):
                ids.add((await runtime.execute(ACCOUNT, "a", Deposit(1))).command_id)
    assert len(ids) == 150


async def test_what_travels_with_a_command_is_stored_beside_its_events(runtime: Runtime) -> None:
    metadata = {"user": "ü", "n": 2**70, "nested": {"list": [1, None, True]}}
    await runtime.execute(
        ACCOUNT, "a", Split((1, 2)), command_id="c", correlation_id="k", causation_id="b", metadata=metadata
    )  # fmt: skip
    await runtime.execute(ACCOUNT, "a", Deposit(1), command_id="d")
    first, second, plain = [event async for event in runtime.read()]
    for event in (first, second):
        assert (event.command_id, event.correlation_id, event.causation_id) == ("c", "k", "b")
        assert event.metadata == metadata
    assert (plain.correlation_id, plain.causation_id, plain.metadata) == ("d", None, {})


async def test_what_travels_with_a_command_is_read_whatever_the_payloads_are_written_in() -> None:
    class MessagePack:
        text = False
        encode = staticmethod(msgspec.msgpack.encode)

        def decoder(self, payload_type: type, /) -> Any:  # noqa: ANN401 - as in the port
            return msgspec.msgpack.Decoder(payload_type).decode

    async with Runtime.open(deciders=[ACCOUNT], codec=MessagePack()) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit(1), correlation_id="k", metadata={"user": "u"})
        (event,) = [event async for event in runtime.read()]
        assert (event.event, event.correlation_id, event.metadata) == (
            Deposited(1), "k", {"user": "u"},
        )  # fmt: skip


async def test_ids_are_text_of_any_kind_and_different_ids_are_different_aggregates(
    runtime: Runtime,
) -> None:
    ids = [
        "a",
        "A",
        " a",
        "a ",
        "a-b",
        "-",
        "a\0b",
        "a\0",
        "ä",
        "a\u0308",
        "日本",
        "🏦",
        "%",
        "'",
        "x" * 512,
    ]
    for id in ids:
        assert (await runtime.execute(ACCOUNT, id, Deposit(1))).version == 1
    assert [event.id async for event in runtime.read()] == ids
    await runtime.settle()
    for id in ids:
        assert (await runtime.query(BALANCES, id)).row == Balance(id, 1, 1)
        assert [event.version async for event in runtime.read(ACCOUNT, id)] == [1]


async def test_a_member_of_an_enum_is_the_text_that_it_is_equal_to(runtime: Runtime) -> None:
    class Plain(StrEnum):
        ALICE = "alice"

    class Mixed(str, Enum):  # noqa: UP042 - prints as Mixed.ALICE, and is equal to "alice"
        ALICE = "alice"

    for id in (Mixed.ALICE, Plain.ALICE, "alice"):
        await runtime.execute(ACCOUNT, id, Deposit(1))
    assert [(event.id, event.version) async for event in runtime.read()] == [
        ("alice", 1), ("alice", 2), ("alice", 3),
    ]  # fmt: skip


def decider(category: str, **events: type) -> Decider[Any, Any, Any]:
    """One that takes deposits and decides on nothing."""
    return Decider(
        category,
        0,
        lambda command, state: [],
        lambda state, event: state,
        commands=[Deposit],
        events=events or {"Deposited": Deposited},
    )


DEPOSIT = Deposit(1)

EXECUTE_MISTAKES: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
    (
        TypeError,
        r"decider 'account' takes no str \('x'\): it takes Deposit, Look, Split, Withdraw",
        (ACCOUNT, "a", "x"),
        {},
    ),
    (TypeError, r"takes no Deposited", (ACCOUNT, "a", Deposited(1)), {}),
    (TypeError, r"takes no NoneType", (ACCOUNT, "a", None), {}),
    (
        TypeError,
        r"the id of a 'account' aggregate is 5: it must be a string",
        (ACCOUNT, 5, DEPOSIT),
        {},
    ),
    (TypeError, r"aggregate is None: it must be a string", (ACCOUNT, None, DEPOSIT), {}),
    (TypeError, r"aggregate is \['a'\]: it must be a string", (ACCOUNT, ["a"], DEPOSIT), {}),
    (TypeError, r"aggregate is b'a': it must be a string", (ACCOUNT, b"a", DEPOSIT), {}),
    (ValueError, r"has 0 characters: allowed are 1 to 512", (ACCOUNT, "", DEPOSIT), {}),
    (ValueError, r"has 513 characters: allowed are 1 to 512", (ACCOUNT, "x" * 513, DEPOSIT), {}),
    (ValueError, r"holds a lone surrogate: use valid text", (ACCOUNT, "\ud800", DEPOSIT), {}),
    (
        ValueError,
        r"command_id is '': it must be a string that is not empty",
        (ACCOUNT, "a", DEPOSIT),
        {"command_id": ""},
    ),
    (ValueError, r"command_id is 5", (ACCOUNT, "a", DEPOSIT), {"command_id": 5}),
    (
        ValueError,
        r"command_id is '\\ud800': .* valid text",
        (ACCOUNT, "a", DEPOSIT),
        {"command_id": "\ud800"},
    ),
    (
        ValueError,
        r"correlation_id is '\\ud800'",
        (ACCOUNT, "a", DEPOSIT),
        {"correlation_id": "\ud800"},
    ),
    (ValueError, r"causation_id is b'x'", (ACCOUNT, "a", DEPOSIT), {"causation_id": b"x"}),
    (
        ValueError,
        r"expected_version is -1: it must be a whole number from 0",
        (ACCOUNT, "a", DEPOSIT),
        {"expected_version": -1},
    ),
    (ValueError, r"expected_version is '1'", (ACCOUNT, "a", DEPOSIT), {"expected_version": "1"}),
    (
        ValueError,
        r"timeout is -1: it must be a number of seconds from 0",
        (ACCOUNT, "a", DEPOSIT),
        {"timeout": -1},
    ),
    (ValueError, r"timeout is nan", (ACCOUNT, "a", DEPOSIT), {"timeout": float("nan")}),
    (
        TypeError,
        r"metadata is .*it must be what JSON can say",
        (ACCOUNT, "a", DEPOSIT),
        {"metadata": {"x": object()}},
    ),
    (
        TypeError,
        r"metadata is .*surrogates not allowed",
        (ACCOUNT, "a", DEPOSIT),
        {"metadata": {"x": "\ud800"}},
    ),
    (
        ValueError,
        r"has another decider of the category 'account'.*very object",
        (decider("account"), "a", DEPOSIT),
        {},
    ),
    (
        ValueError,
        r"<Decider other> is not one of this runtime's deciders \(account\)",
        (decider("other"), "a", DEPOSIT),
        {},
    ),
    (ValueError, r"is not one of this runtime's deciders", ("account", "a", DEPOSIT), {}),
]


@pytest.mark.parametrize(
    ("kind", "text", "arguments", "options"), EXECUTE_MISTAKES, ids=range(len(EXECUTE_MISTAKES))
)
async def test_a_mistake_in_a_command_is_said_and_nothing_moved(
    kind: type[Exception], text: str, arguments: tuple[Any, ...], options: dict[str, Any]
) -> None:
    async with Runtime.open(deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit(1))
        with pytest.raises(kind, match=text):
            await cast("Any", runtime.execute)(*arguments, **options)
        if not options:
            with pytest.raises(kind, match=text):
                await cast("Any", runtime.execute_many)(arguments[0], [arguments[1:]])
        statistics = runtime.statistics()
        assert (runtime.head, statistics.commands, statistics.events) == (1, 1, 1)
        assert (await runtime.execute(ACCOUNT, "a", Deposit(1))).version == 2


async def test_a_subclass_of_a_command_is_no_command(runtime: Runtime) -> None:
    """What `decide` would make of it, nobody can tell: match statements take it for its base."""

    class Gift(Deposit):
        pass

    with pytest.raises(TypeError, match="takes no Gift"):
        await runtime.execute(ACCOUNT, "a", Gift(1))


async def test_one_callers_mistake_is_not_the_other_callers_failure(tmp_path: Path) -> None:
    """All of them stand in one transaction: what no database takes must not get so far."""
    async with Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT]) as runtime:
        outcomes = await asyncio.gather(
            runtime.execute(ACCOUNT, "a", Deposit(1)),
            runtime.execute(ACCOUNT, "b", Deposit(1), command_id="\ud800"),
            runtime.execute(ACCOUNT, "c", Deposit(1, "\ud800")),
            runtime.execute(ACCOUNT, "d", Deposit(1), command_id="x" * 100_000),
            return_exceptions=True,
        )
    assert [type(outcome) for outcome in outcomes] == [Receipt, ValueError, DecisionFailed, Receipt]


# ---- execute_many


async def test_outcomes_come_in_the_order_of_the_commands_errors_in_their_places(
    runtime: Runtime,
) -> None:
    commands: list[tuple[str, Any]] = [
        ("a", Deposit(5)), ("b", Withdraw(1)), ("a", Withdraw(3)), ("a", Withdraw(3)),
        ("b", Deposit(cast("Any", "x"))), ("b", Deposit(1)), ("b", Look()),
    ]  # fmt: skip
    outcomes = await runtime.execute_many(ACCOUNT, commands)
    assert [type(outcome) for outcome in outcomes] == [
        Receipt, CommandRejected, Receipt, CommandRejected, DecisionFailed, Receipt, Receipt,
    ]  # fmt: skip
    assert [outcome.version for outcome in outcomes if isinstance(outcome, Receipt)] == [1, 2, 1, 1]
    assert await runtime.execute_many(ACCOUNT, []) == []


async def test_more_commands_than_are_under_way_at_once_come_from_any_iterable(
    runtime: Runtime,
) -> None:
    pulled = 0

    def commands() -> Iterator[tuple[str, Deposit]]:
        nonlocal pulled
        for number in range(2 * WINDOW + 10):
            pulled += 1
            yield f"a{number % 50}", Deposit(number)

    task = asyncio.create_task(runtime.execute_many(ACCOUNT, commands()))
    await asyncio.wait([asyncio.ensure_future(rest())])
    assert pulled >= WINDOW
    outcomes = await task
    assert len(outcomes) == 2 * WINDOW + 10
    assert all(isinstance(outcome, Receipt) for outcome in outcomes)
    assert runtime.head == 2 * WINDOW + 10


async def test_no_more_than_a_window_is_under_way_at_once() -> None:
    store = StagedEventStore()
    store.held = True
    pulled: list[int] = []

    def commands() -> Iterator[tuple[str, Deposit]]:
        for number in range(3 * WINDOW):
            pulled.append(number)
            yield "a", Deposit(1)

    async with open_on(
        store, deciders=[ACCOUNT], limits=Limits(mailbox_commands=10_000)
    ) as runtime:
        task = asyncio.create_task(runtime.execute_many(ACCOUNT, commands()))
        await rest()
        assert len(pulled) == WINDOW
        store.held = False
        store.end()
        assert len(await task) == 3 * WINDOW


@pytest.mark.parametrize("bad", [("a", "x"), ("", Deposit(1)), (5, Deposit(1))], ids=str)
async def test_after_a_mistake_in_a_list_those_before_it_are_executed_and_those_after_it_not(
    runtime: Runtime,
    bad: Any,  # noqa: ANN401 - the mistake
) -> None:
    with pytest.raises((TypeError, ValueError)):
        await runtime.execute_many(
            ACCOUNT, [("a", Deposit(1)), ("a", Withdraw(9)), ("b", Deposit(2)), bad, ("c", Deposit(3))]
        )  # fmt: skip
    assert [(e.id, e.event) async for e in runtime.read()] == [
        ("a", Deposited(1)), ("b", Deposited(2)),
    ]  # fmt: skip


async def test_a_full_mailbox_is_one_commands_outcome() -> None:
    limits = Limits(mailbox_commands=2, when_full="refuse")
    async with open_on(StagedEventStore(), deciders=[ACCOUNT], limits=limits) as runtime:
        ids = ["a", "a", "a", "b", "a", "b"]
        outcomes = await runtime.execute_many(ACCOUNT, [(id, Deposit(1)) for id in ids])
        assert [type(outcome) for outcome in outcomes] == [
            Receipt, Receipt, MailboxFull, Receipt, MailboxFull, Receipt,
        ]  # fmt: skip
        assert runtime.statistics().commands == 4


async def test_leaving_a_list_early_starts_nothing_more_and_loses_nothing_that_began(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = StagedEventStore()
    commands: list[tuple[str, Command]] = [("a", Deposit(1)), ("a", Withdraw(9)), ("b", Look())]
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        store.hold_loads = True
        not_begun = asyncio.create_task(runtime.execute_many(ACCOUNT, commands))
        await rest()
        not_begun.cancel()
        await rest()
        store.hold_loads = False
        store.end_load()
        await rest()
        assert runtime.head == 0
        store.held = True
        begun = asyncio.create_task(runtime.execute_many(ACCOUNT, commands))
        await rest()
        begun.cancel()
        await rest()
        store.held = False
        store.end()
        await rest()
        assert [event.version async for event in runtime.read()] == [1]
        assert not_begun.cancelled()
        assert begun.cancelled()
    del not_begun, begun
    gc.collect()
    assert caplog.records == []  # no future whose error nobody looked at


async def test_a_list_whose_making_fails_fails_with_that(runtime: Runtime) -> None:
    def commands() -> Iterator[tuple[str, Deposit]]:
        yield "a", Deposit(1)
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await runtime.execute_many(ACCOUNT, commands())


# ---- read


async def test_the_log_and_a_stream_are_read_from_where_one_likes(database: str | Path) -> None:
    limits = Limits(page_events=3)
    async with Runtime.open(database, deciders=[ACCOUNT], limits=limits) as runtime:
        for number in range(20):
            await runtime.execute(ACCOUNT, f"a{number % 2}", Deposit(number))
        for after in (0, 1, 2, 3, 17, 20, 21):
            log = [event.position async for event in runtime.read(after=after)]
            assert log == list(range(after + 1, 21))
            stream = [e.version async for e in runtime.read(ACCOUNT, "a1", after=after)]
            assert stream == list(range(after + 1, 11))
        assert [event async for event in runtime.read(ACCOUNT, "nobody")] == []


async def test_what_is_committed_while_the_log_is_read_is_read_too(runtime: Runtime) -> None:
    await runtime.execute(ACCOUNT, "a", Deposit(1))
    seen = []
    async for event in runtime.read():
        seen.append(event.position)
        if len(seen) < 5:
            await runtime.execute(ACCOUNT, "a", Deposit(1))
    assert seen == [1, 2, 3, 4, 5]


READ_MISTAKES: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
    (ValueError, r"after is -1: it must be a whole number from 0", (), {"after": -1}),
    (ValueError, r"after is True", (), {"after": True}),
    (ValueError, r"after is 1.5", (ACCOUNT, "a"), {"after": 1.5}),
    (
        TypeError,
        r"the id of a 'account' aggregate is None.*Without a decider, read\(\) gives the whole log",
        (ACCOUNT,),
        {},
    ),
    (TypeError, r"aggregate is 5: it must be a string", (ACCOUNT, 5), {}),
    (ValueError, r"is not one of this runtime's deciders \(account\)", ("account", "a"), {}),
]


@pytest.mark.parametrize(
    ("kind", "text", "arguments", "options"), READ_MISTAKES, ids=range(len(READ_MISTAKES))
)
async def test_a_mistake_in_reading_is_said(
    runtime: Runtime,
    kind: type[Exception],
    text: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    await runtime.execute(ACCOUNT, "a", Deposit(1))
    with pytest.raises(kind, match=text):
        await anext(cast("Any", runtime.read)(*arguments, **options))


async def test_an_event_that_can_not_be_read_is_named_with_its_place(tmp_path: Path) -> None:
    async with Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT]) as runtime:
        for id in "aba":
            await runtime.execute(ACCOUNT, id, Deposit(1))

    class Deposited2(msgspec.Struct):
        amount: str

    changed = decider("account", Deposited=Deposited2)
    async with Runtime.open(tmp_path / "bank.db", deciders=[changed]) as runtime:
        text = "'account-a' can't be read after version 0.*Expected `str`, got `int`"
        with pytest.raises(StreamUnreadable, match=text) as caught:
            await anext(runtime.read())
        assert (caught.value.position, caught.value.after_version) == (1, 0)
        with pytest.raises(StreamUnreadable) as caught:
            await anext(runtime.read(after=2))
        assert (caught.value.stream, caught.value.position) == ("account-a", 3)
    renamed = decider("account", Paid=Deposited)
    async with Runtime.open(tmp_path / "bank.db", deciders=[renamed]) as runtime:
        text = "position 2 of stream 'account-b'.*'Deposited'.*known: Paid"
        with pytest.raises(UnknownEventType, match=text):
            await anext(runtime.read(after=1))


# ---- statistics


async def test_statistics_count_what_happened() -> None:
    clock = FakeClock()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[BALANCES.replicas(2)], clock=clock
    ) as runtime:
        commands: list[tuple[str, Command]] = [("a", Split((1, 2))), ("b", Deposit(1))]
        await runtime.execute_many(ACCOUNT, commands)
        with pytest.raises(CommandRejected):
            await runtime.execute(ACCOUNT, "a", Withdraw(100))
        with pytest.raises(ConcurrencyConflict):
            await runtime.execute(ACCOUNT, "a", Deposit(1), expected_version=7)
        await runtime.settle()
        statistics = runtime.statistics()
        assert statistics.head == statistics.events == 3
        assert (statistics.commands, statistics.transactions, statistics.thread_hops) == (4, 1, 0)
        assert (statistics.activations, statistics.passivations) == (2, 0)
        account = statistics.aggregates["account"]
        assert (account.category, account.active, account.rejected) == ("account", 2, 2)
        assert list(statistics.projections) == ["balances/1", "balances/2"]
        balances = statistics.projections["balances/2"]
        assert (balances.view, balances.replica, balances.state) == ("balances", 2, "running")
        assert (balances.position, balances.behind_events, balances.behind_seconds) == (3, 0, 0.0)
        assert (balances.applied_events, balances.transactions, balances.restarts) == (3, 1, 0)
        with pytest.raises(AttributeError):
            statistics.commands = 5  # type: ignore[misc]


# ---- what does not fit together


class Strange:
    """No event type of anybody."""


STRANGE: View[Any, Any, Any] = View(
    "strange", row=Balance, key="account", apply=lambda r, e, k: r, events=[Strange]
)

OPENING_MISTAKES: list[tuple[type[Exception], str, dict[str, Any]]] = [
    (
        ValueError,
        r"two deciders have the category 'same'",
        {"deciders": [decider("same"), decider("same")]},
    ),
    (
        ValueError,
        r"view 'balances' is given twice: .*\.replicas\(n\)",
        {"deciders": [ACCOUNT], "projections": [BALANCES, BALANCES.replicas(2)]},
    ),
    (
        ValueError,
        r"view 'strange' takes events of type Strange, which no decider .* \(known: Deposited, Withdrawn\)",
        {"deciders": [ACCOUNT], "projections": [STRANGE]},
    ),
    (
        ValueError,
        r"view 'balances' takes events .* \(known: none\)",
        {"deciders": [], "projections": [BALANCES]},
    ),
    (
        ValueError,
        r"durability is 'FULL': allowed are 'full', 'normal' and 'off'",
        {"deciders": [ACCOUNT], "durability": "FULL"},
    ),
]


@pytest.mark.parametrize(
    ("kind", "text", "options"), OPENING_MISTAKES, ids=range(len(OPENING_MISTAKES))
)
def test_what_does_not_fit_together_is_refused_before_anything_is_opened(
    tmp_path: Path, kind: type[Exception], text: str, options: dict[str, Any]
) -> None:
    with pytest.raises(kind, match=text):
        Runtime.open(tmp_path / "bank.db", **options)
    assert list(tmp_path.iterdir()) == []


async def test_the_same_decider_may_be_given_twice() -> None:
    async with Runtime.open(deciders=[ACCOUNT, ACCOUNT]) as runtime:
        assert (await runtime.execute(ACCOUNT, "a", Deposit(1))).version == 1


async def test_time_comes_from_the_clock_that_was_given() -> None:
    clock = FakeClock()
    async with Runtime.open(deciders=[ACCOUNT], clock=clock) as runtime:
        assert runtime.clock is clock
        await clock.advance(7)
        await runtime.execute(ACCOUNT, "a", Deposit(1))
        assert [event.recorded_at async for event in runtime.read()] == [START + 7]


# ---- errors


ERRORS: list[AftertideError] = [
    CommandRejected("no"),
    ConcurrencyConflict("account-a", 1, 2, 3),
    DeadlineExceeded("account-a", 0.5),
    DecisionFailed("account-a", Deposit(1), "it broke"),
    MailboxFull("account-a", 10),
    NotFreshEnough("balances", 5, 3, 1.0),
    ProjectionStopped("balances/1", 3, "it broke"),
    RuntimeClosed(),
    StoreFull("bank.db", "full", "Free some."),
    StreamUnreadable("account-a", 3, ValueError("x"), 5),
    UnknownEventType("Paid", "account-a", 3, ["Deposited"]),
]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_passes_between_processes(error: AftertideError) -> None:
    other = pickle.loads(pickle.dumps(error))
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert vars(other) == vars(error)


def test_every_public_name_is_there() -> None:
    for name in aftertide.__all__:
        assert getattr(aftertide, name) is not None
