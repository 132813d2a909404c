"""A query gets the consistency that it asks for or a clear error, and every answer says how fresh it is."""

import asyncio
from asyncio import Task
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast

import pytest
from anyio.lowlevel import checkpoint

from aftertide import (
    Answers,
    AtLeast,
    Consistency,
    Decider,
    Eventual,
    Freshness,
    Lag,
    Limits,
    NotFreshEnough,
    Position,
    ProjectionStopped,
    RecordedEvent,
    Runtime,
    RuntimeClosed,
    Strong,
    View,
)
from aftertide.actors.bus import REMEMBERED_COMMITS
from aftertide.domain.messages import Append, NewEvent, StreamKey, Version
from tests.bank import ACCOUNT, BALANCES, Balance, Deposit, Deposited, Look
from tests.fake_clock import FakeClock, rest
from tests.staged import StagedEventStore, StagedReadStores, open_on


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


THREE = BALANCES.replicas(3, lag=[Lag.constant(1), Lag.constant(5), Lag.constant(20)])


@pytest.fixture
async def runtime(clock: FakeClock) -> AsyncIterator[Runtime]:
    """One view in three replicas; alice's 5 are everywhere, her 2 are on their way."""
    async with Runtime.open(deciders=[ACCOUNT], projections=[THREE], clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        await clock.advance(100)
        await runtime.execute(ACCOUNT, "alice", Deposit(2))
        yield runtime


def ask(runtime: Runtime, consistency: Consistency, **options: Any) -> Task[Any]:  # noqa: ANN401 - what query takes
    return asyncio.create_task(runtime.query(BALANCES, "alice", consistency=consistency, **options))


# ---- levels


async def test_eventual_answers_at_once_from_any_replica_in_turn(runtime: Runtime) -> None:
    answers = [await runtime.query(BALANCES, "alice") for _ in range(6)]
    assert [answer.row for answer in answers] == [Balance("alice", 5, 1)] * 6
    names = [answer.freshness.replica for answer in answers]
    assert sorted(names[:3]) == sorted(names[3:]) == ["balances/1", "balances/2", "balances/3"]
    assert {answer.freshness.behind_events for answer in answers} == {1}


async def test_a_position_that_is_reached_is_answered_at_once_by_one_that_has_it(
    runtime: Runtime, clock: FakeClock
) -> None:
    await clock.advance(2)
    for _ in range(4):
        answer = await runtime.query(BALANCES, "alice", consistency=AtLeast(Position(2)))
        assert answer.row == Balance("alice", 7, 2)
        assert answer.freshness.replica == "balances/1"
    await clock.advance(5)
    names = {
        (await runtime.query(BALANCES, "alice", consistency=AtLeast(Position(2)))).freshness.replica
        for _ in range(4)
    }
    assert names == {"balances/1", "balances/2"}


@pytest.mark.parametrize("consistency", [AtLeast(Position(2)), Strong()], ids=str)
async def test_a_position_that_is_not_reached_is_waited_for_and_the_first_to_reach_it_answers(
    runtime: Runtime, clock: FakeClock, consistency: Consistency
) -> None:
    query = ask(runtime, consistency)
    await clock.advance(0.999)
    assert not query.done()
    await clock.advance(0.002)
    assert query.done()
    answer = await query
    assert answer.row == Balance("alice", 7, 2)
    assert answer.freshness == Freshness(Position(2), 0, 0.0, "balances/1")


async def test_strong_is_all_that_was_committed_when_the_query_began_and_no_more(
    runtime: Runtime, clock: FakeClock
) -> None:
    await clock.advance(0.5)
    query = ask(runtime, Strong())
    await rest()
    await runtime.execute(ACCOUNT, "alice", Deposit(1))
    await clock.advance(0.6)
    answer = await query
    assert answer.row == Balance("alice", 7, 2)
    assert answer.freshness.behind_events == 1


async def test_strong_sees_what_another_process_committed() -> None:
    store, clock = StagedEventStore(), FakeClock()
    async with open_on(store, deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        await clock.advance(1)
        _foreign(store, 3)
        assert (await runtime.query(BALANCES, "alice", consistency=Strong())).row == Balance(
            "alice", 3, 1
        )
        _foreign(store, 4, at=1)
        assert await runtime.settle() == 2
        assert runtime.head == 2
        assert (await runtime.query(BALANCES, "alice")).row == Balance("alice", 7, 2)


async def test_a_position_that_another_process_handed_on_is_looked_for_in_the_log() -> None:
    """A token from a header: the process that wrote it told nobody here."""
    store, clock = StagedEventStore(), FakeClock()
    async with open_on(store, deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        await clock.advance(1)
        _foreign(store, 3)
        answer = await runtime.query(BALANCES, "alice", consistency=AtLeast(Position(1)))
        assert answer.row == Balance("alice", 3, 1)


async def test_a_receipt_without_events_names_a_position_that_can_be_waited_for() -> None:
    store, clock = StagedEventStore(), FakeClock()
    async with open_on(store, deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        await clock.advance(1)
        _foreign(store, 3)
        receipt = await runtime.execute(ACCOUNT, "alice", Look())
        answer = await runtime.query(BALANCES, "alice", consistency=AtLeast(receipt.position))
        assert answer.row == Balance("alice", 3, 1)


async def test_after_a_conflict_views_follow_what_the_other_process_wrote() -> None:
    store, clock = StagedEventStore(), FakeClock()
    store.held = True
    async with open_on(store, deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        await clock.advance(1)
        reply = asyncio.create_task(
            runtime.execute(ACCOUNT, "alice", Deposit(1), expected_version=0)
        )
        await rest()
        _foreign(store, 3)
        store.end()
        await asyncio.gather(reply, return_exceptions=True)
        await clock.advance(1)
        assert (await runtime.query(BALANCES, "alice")).row == Balance("alice", 3, 1)
        store.held = False


def _foreign(store: StagedEventStore, amount: int, *, at: int = 0) -> None:
    new = [NewEvent("Deposited", b'{"amount":%d}' % amount, None, "foreign", "")]
    commit = store.log.append([Append("account", "alice", Version(at), new, StreamKey(0))], 0.0)
    assert commit.result().head == at + 1


async def test_a_position_of_the_future_is_waited_for(runtime: Runtime, clock: FakeClock) -> None:
    query = ask(runtime, AtLeast(Position(3)), timeout=100)
    await clock.advance(50)
    assert not query.done()
    await runtime.execute(ACCOUNT, "alice", Deposit(1))
    await clock.advance(1)
    assert (await query).row == Balance("alice", 8, 3)


# ---- one replica


async def test_a_replica_that_is_asked_by_number_answers_and_no_other(
    runtime: Runtime, clock: FakeClock
) -> None:
    await clock.advance(6)
    for number, balance in ((1, 7), (2, 7), (3, 5)):
        answer = await runtime.query(BALANCES, "alice", replica=number)
        assert answer.row == Balance("alice", balance, 2 if balance == 7 else 1)
        assert answer.freshness.replica == f"balances/{number}"
    query = ask(runtime, AtLeast(Position(2)), replica=3, timeout=60)
    await clock.advance(13.9)
    assert not query.done()
    await clock.advance(0.2)
    assert (await query).freshness.replica == "balances/3"


@pytest.mark.parametrize("number", [0, 4, -1])
async def test_a_replica_that_is_not_there_is_said_with_those_that_are(
    runtime: Runtime, number: int
) -> None:
    with pytest.raises(ValueError, match=r"view 'balances' has no replica .*: it has 1 to 3\."):
        await runtime.query(BALANCES, "alice", replica=number)
    with pytest.raises(ValueError, match="it has 1 to 3"):
        runtime.projection(BALANCES, number)


# ---- timeouts


async def test_a_wait_ends_with_its_timeout_and_says_how_far_it_got(
    runtime: Runtime, clock: FakeClock
) -> None:
    query = ask(runtime, Strong(), timeout=0.5)
    await clock.advance(0.499)
    assert not query.done()
    await clock.advance(0.002)
    with pytest.raises(
        NotFreshEnough,
        match=r"is at position 1 and position 2 was asked for; 0.5 s were not enough",
    ) as caught:
        await query
    error = caught.value
    assert (error.view, error.wanted, error.reached, error.timeout_seconds) == (
        "balances", 2, 1, 0.5,
    )  # fmt: skip


async def test_without_a_timeout_the_limit_of_the_runtime_holds() -> None:
    clock = FakeClock()
    limits = Limits(query_timeout_seconds=3)
    view = BALANCES.with_lag(Lag.constant(10))
    async with Runtime.open(
        deciders=[ACCOUNT], projections=[view], clock=clock, limits=limits
    ) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        query = ask(runtime, Strong())
        await clock.advance(2.9)
        assert not query.done()
        await clock.advance(0.2)
        with pytest.raises(NotFreshEnough, match="3 s were not enough"):
            await query


async def test_no_time_at_all_is_a_timeout_too(runtime: Runtime, clock: FakeClock) -> None:
    query = ask(runtime, Strong(), timeout=0)
    await clock.advance(0)
    with pytest.raises(NotFreshEnough):
        await query
    await clock.advance(2)  # where it is there, no time is enough
    assert (await runtime.query(BALANCES, consistency=Strong(), timeout=0)).rows


async def test_a_stale_answer_says_that_it_is_one(runtime: Runtime, clock: FakeClock) -> None:
    query = ask(runtime, Strong(), timeout=0.5, on_timeout="stale")
    await clock.advance(0.6)
    answer = await query
    assert answer.row == Balance("alice", 5, 1)
    assert answer.freshness.stale
    assert (answer.freshness.position, answer.freshness.behind_events) == (1, 1)
    assert answer.freshness.behind_seconds == pytest.approx(0.5)
    query = ask(runtime, Strong(), timeout=60, on_timeout="stale")
    await clock.advance(1)
    assert not (await query).freshness.stale


async def test_a_stale_answer_comes_from_the_freshest_or_from_the_one_that_was_asked(
    clock: FakeClock,
) -> None:
    async with Runtime.open(deciders=[ACCOUNT], projections=[THREE], clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        await clock.advance(6)
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        runtime.projection(BALANCES, 1).pause()
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        for replica, name in ((None, ("balances/1", "balances/2")), (3, ("balances/3",))):
            query = ask(runtime, Strong(), timeout=0.1, on_timeout="stale", replica=replica)
            await clock.advance(0.2)
            assert (await query).freshness.replica in name


# ---- freshness


async def test_freshness_is_exact_in_events_and_seconds(clock: FakeClock) -> None:
    view = BALANCES.with_lag(Lag.constant(10))
    async with Runtime.open(deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        freshness = (await runtime.query(BALANCES)).freshness
        assert freshness == Freshness(Position(0), 0, 0.0, "balances/1", stale=False)
        for amount in (1, 2, 3):
            await runtime.execute(ACCOUNT, "alice", Deposit(amount))
            await clock.advance(2)
        expected = {
            0: (0, 3, 6),
            3: (0, 3, 9),
            4: (1, 2, 8),
            5: (1, 2, 9),
            6: (2, 1, 8),
            8: (3, 0, 0),
        }
        for second in range(10):
            freshness = (await runtime.query(BALANCES)).freshness
            behind = (freshness.position, freshness.behind_events, freshness.behind_seconds)
            statistics = runtime.statistics().projections["balances/1"]
            assert behind == (
                statistics.position, statistics.behind_events, statistics.behind_seconds,
            )  # fmt: skip
            if second in expected:
                assert behind == pytest.approx(expected[second])
            await clock.advance(1)


async def test_the_age_of_an_answer_is_exact_for_what_was_there_before_the_runtime_opened() -> None:
    store, clock = StagedEventStore(), FakeClock()
    async with open_on(store, deciders=[ACCOUNT], clock=clock) as runtime:
        for amount in (1, 2):
            await runtime.execute(ACCOUNT, "alice", Deposit(amount))
            await clock.advance(30)
    async with open_on(store, deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        runtime.projection(BALANCES).pause()
        await clock.advance(5)
        freshness = (await runtime.query(BALANCES)).freshness
        assert freshness.behind_events == 2
        assert freshness.behind_seconds == pytest.approx(65)
        # Without asking the log: at least since it opened.
        assert runtime.statistics().projections["balances/1"].behind_seconds == pytest.approx(5)


async def test_the_age_of_an_answer_is_exact_after_more_commits_than_are_remembered(
    clock: FakeClock,
) -> None:
    async with Runtime.open(deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        runtime.projection(BALANCES).pause()
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await clock.advance(7)
        for _ in range(2 * REMEMBERED_COMMITS + 10):
            await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await clock.advance(3)
        freshness = (await runtime.query(BALANCES)).freshness
        assert freshness.behind_seconds == pytest.approx(10)
        assert runtime.statistics().projections["balances/1"].behind_seconds >= 3


async def test_the_age_of_an_answer_is_that_of_its_oldest_missing_event_while_a_page_waits() -> (
    None
):
    """Many commits come in one page, each with its own time."""
    store, clock = StagedEventStore(), FakeClock()
    async with open_on(store, deciders=[ACCOUNT], clock=clock) as runtime:
        for amount in range(5):
            await runtime.execute(ACCOUNT, "alice", Deposit(amount))
            await clock.advance(1)
    view = BALANCES.with_lag(Lag.constant(100))
    async with open_on(store, deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        await clock.advance(1)
        for behind in (
            (await runtime.query(BALANCES)).freshness,
            runtime.statistics().projections["balances/1"],
        ):
            assert behind.behind_events == 5
            assert behind.behind_seconds == pytest.approx(6)


async def test_rows_and_position_of_an_answer_are_of_one_moment(clock: FakeClock) -> None:
    async with Runtime.open(deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:

        async def write() -> None:
            for number in range(300):
                await runtime.execute(ACCOUNT, f"a{number % 5}", Deposit(1))

        async def read() -> None:
            for _ in range(300):
                answers = await runtime.query(BALANCES)
                assert sum(row.balance for row in answers.rows) == answers.freshness.position
                await checkpoint()

        await asyncio.gather(write(), read(), read())


# ---- which replica


async def test_one_that_runs_is_asked_before_one_that_stopped() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    async with open_on(
        StagedEventStore(),
        stores,
        deciders=[ACCOUNT],
        projections=[BALANCES.replicas(2)],
        clock=clock,
        limits=Limits(restarts=0),
    ) as runtime:
        await clock.advance(1)
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await clock.advance(1)
        stores.stores["balances/1"].fail_before = [OSError("torn")]
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await clock.advance(1)
        assert runtime.projection(BALANCES, 1).state == "stopped"
        names = {(await runtime.query(BALANCES)).freshness.replica for _ in range(4)}
        assert names == {"balances/2"}
        stores.stores["balances/2"].fail_before = [OSError("torn")]
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await clock.advance(1)
        # None runs: what they have is still an answer to who asks for no more.
        assert (await runtime.query(BALANCES)).freshness.behind_events in (1, 2)
        with pytest.raises(ProjectionStopped):
            await runtime.query(BALANCES, consistency=Strong())


# ---- settle


async def test_settle_waits_for_every_replica_of_every_view(clock: FakeClock) -> None:
    other = View("others", row=Balance, key="account", apply=BALANCES.apply)
    projections = [THREE, other.with_lag(Lag.constant(30))]
    async with Runtime.open(deciders=[ACCOUNT], projections=projections, clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        settled = asyncio.create_task(runtime.settle())
        await clock.advance(29.9)
        assert not settled.done()
        await runtime.execute(ACCOUNT, "alice", Deposit(5))  # after it was asked
        await clock.advance(0.2)
        assert await settled == 1
        assert runtime.head == 2


async def test_settle_returns_at_once_where_there_is_nothing_to_wait_for(clock: FakeClock) -> None:
    async with Runtime.open(deciders=[ACCOUNT], projections=[THREE], clock=clock) as runtime:
        assert await runtime.settle(timeout=0) == 0
    async with Runtime.open(deciders=[ACCOUNT], clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        assert await runtime.settle(timeout=0) == 1


async def test_the_timeout_of_settle_is_one_for_all_replicas(clock: FakeClock) -> None:
    async with Runtime.open(deciders=[ACCOUNT], projections=[THREE], clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        settled = asyncio.create_task(runtime.settle(timeout=6))
        await clock.advance(5.9)
        assert not settled.done()
        await clock.advance(0.2)
        with pytest.raises(NotFreshEnough, match="position 0 and position 1 was asked for; 6 s"):
            await settled
        await clock.advance(20)
        assert await runtime.settle(timeout=0) == 1
        assert len(clock.waiting) == 1  # passivation's, and none of those who waited


async def test_settle_does_not_wait_for_the_slow_where_another_has_stopped() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    view = BALANCES.replicas(2, lag=[Lag.constant(1_000), Lag.none()])
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[view], clock=clock, limits=Limits(restarts=0)
    ) as runtime:  # fmt: skip
        await clock.advance(1)
        stores.stores["balances/2"].fail_before = [OSError("torn")]
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        settled = asyncio.create_task(runtime.settle())
        await clock.advance(1)
        with pytest.raises(ProjectionStopped, match="'balances/2' stopped"):
            await settled
        with pytest.raises(ProjectionStopped, match="'balances/2' stopped"):
            await runtime.settle()


# ---- when the runtime closes


async def test_whoever_waits_when_the_runtime_closes_is_told_so(clock: FakeClock) -> None:
    async with Runtime.open(deciders=[ACCOUNT], projections=[THREE], clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        waiting = [
            ask(runtime, Strong()),
            ask(runtime, Strong(), replica=2),
            asyncio.create_task(runtime.settle()),
        ]
        await rest()
    for waiter in waiting:
        with pytest.raises(RuntimeClosed, match="the runtime is closing: it takes no more work"):
            await waiter


async def test_whoever_is_about_to_wait_when_the_runtime_closes_is_told_so() -> None:
    """It asked the log for its head, and meanwhile all ended: nobody would wake it."""
    store, clock = StagedEventStore(), FakeClock()
    asked, go = asyncio.Event(), asyncio.Event()
    head = store.head

    async def slow() -> Position:
        asked.set()
        await go.wait()
        return await head()

    async with open_on(store, deciders=[ACCOUNT], projections=[THREE], clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        store.head = slow  # type: ignore[method-assign]
        waiting = [
            ask(runtime, Strong()),
            ask(runtime, Strong(), replica=2),
            asyncio.create_task(runtime.settle()),
        ]
        await asked.wait()
    go.set()
    for waiter in waiting:
        with pytest.raises(RuntimeClosed):
            await waiter


# ---- rows


@dataclass(frozen=True, slots=True)
class Tally:
    name: str
    bank: str
    size: int
    note: str | None


def tally(row: Tally | None, event: RecordedEvent[Deposited], name: str) -> Tally:
    bank, _, note = event.event.note.partition("/")
    return Tally(name, bank, event.event.amount, note or None)


TALLIES = View("tallies", row=Tally, key="name", apply=tally, indexes=["bank"])

SELECTED: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["a", "b", "c", "d"]),
    ({"where": {"bank": "x"}}, ["a", "c"]),
    ({"where": {"bank": ["x", "y"]}, "order_by": "-size"}, ["d", "c", "b", "a"]),
    ({"where": {"bank": "x", "size": 3}}, ["c"]),
    ({"where": {"note": None}}, ["b", "d"]),
    ({"where": {"note": [None, "n"]}}, ["a", "b", "d"]),
    ({"where": {"bank": "z"}}, []),
    ({"order_by": "-bank"}, ["b", "d", "a", "c"]),
    ({"order_by": ("-bank", "-size")}, ["d", "b", "c", "a"]),
    ({"order_by": "note"}, ["b", "d", "c", "a"]),
    ({"order_by": "-size", "limit": 2}, ["d", "c"]),
    ({"order_by": "-size", "limit": 2, "offset": 1}, ["c", "b"]),
    ({"limit": 0}, []),
    ({"offset": 3}, ["d"]),
]


@pytest.fixture
async def tallies(clock: FakeClock) -> AsyncIterator[Runtime]:
    async with Runtime.open(deciders=[ACCOUNT], projections=[TALLIES], clock=clock) as runtime:
        for name, note, size in (("a", "x/n", 1), ("b", "y", 2), ("c", "x/m", 3), ("d", "y", 4)):
            await runtime.execute(ACCOUNT, name, Deposit(size, note))
        await runtime.settle()
        yield runtime


@pytest.mark.parametrize(("options", "names"), SELECTED, ids=lambda value: str(value)[:40])
async def test_rows_are_filtered_ordered_and_cut_as_asked(
    tallies: Runtime, options: dict[str, Any], names: list[str]
) -> None:
    answers = await tallies.query(TALLIES, **options)
    assert isinstance(answers, Answers)
    assert [row.name for row in answers.rows] == names
    assert answers.freshness.position == 4


async def test_a_key_that_has_no_row_is_answered_with_none(tallies: Runtime) -> None:
    answer = await tallies.query(TALLIES, "nobody")
    assert answer.row is None
    assert answer.freshness.position == 4


OTHER = View("others", row=Tally, key="name", apply=tally)
SAME_NAME = View("tallies", row=Tally, key="name", apply=tally)

MISTAKES: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
    (ValueError, r"view 'others' is not kept by this runtime \(it keeps tallies\)", (OTHER,), {}),
    (ValueError, r"another view that is named 'tallies'.*very object", (SAME_NAME,), {}),
    (ValueError, r"has no column 'colour': it has name, bank, size, note", (TALLIES,), {"where": {"colour": 1}}),
    (ValueError, r"has no column 'colour'", (TALLIES,), {"order_by": "-colour"}),
    (ValueError, r"column 'size' can't hold 'x': it needs a whole number", (TALLIES,), {"where": {"size": "x"}}),
    (ValueError, r"limit is -1: it must be a whole number from 0", (TALLIES,), {"limit": -1}),
    (ValueError, r"offset is True", (TALLIES,), {"offset": True}),
    (ValueError, r"on_timeout is 'ignore': allowed are 'raise' and 'stale'", (TALLIES,), {"on_timeout": "ignore"}),
    (ValueError, r"timeout is -1: it must be a number of seconds from 0", (TALLIES,), {"timeout": -1}),
    (ValueError, r"timeout is nan", (TALLIES,), {"timeout": float("nan")}),
    (TypeError, r"'strong' is no consistency: use Eventual\(\), AtLeast\(", (TALLIES,), {"consistency": "strong"}),
    (TypeError, r"query takes one key", (TALLIES, "a", "b"), {}),
    (TypeError, r"a query for one key takes no where", (TALLIES, "a"), {"where": {"bank": "x"}}),
    (TypeError, r"a query for one key takes no where", (TALLIES, "a"), {"limit": 0}),
    (ValueError, r"column 'name' can't hold 5", (TALLIES, 5), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "text", "arguments", "options"), MISTAKES, ids=range(len(MISTAKES))
)
async def test_a_mistake_in_a_query_is_said_with_what_is_allowed(
    tallies: Runtime,
    kind: type[Exception],
    text: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
) -> None:
    query = cast("Any", tallies.query)
    with pytest.raises(kind, match=text):
        await query(*arguments, **options)


@pytest.mark.parametrize("position", [-1, 1.0, "1", True, None])
def test_a_position_is_a_whole_number_from_0(position: Position) -> None:
    with pytest.raises(
        ValueError, match=r"a position is a whole number from 0. Pass receipt.position"
    ):
        AtLeast(position)


@pytest.mark.parametrize("timeout", [-1, float("nan")])
async def test_a_mistake_in_settle_is_said(tallies: Runtime, timeout: float) -> None:
    with pytest.raises(ValueError, match="it must be a number of seconds from 0"):
        await tallies.settle(timeout=timeout)


async def test_a_view_without_a_key_takes_its_rows_from_keys() -> None:
    """Several key columns are one key: a tuple."""

    @dataclass(frozen=True, slots=True)
    class Pair:
        left: str
        right: int
        count: int

    def apply(row: Pair | None, event: RecordedEvent[Deposited], key: tuple[str, int]) -> Pair:
        return Pair(*key, (row.count if row else 0) + 1)

    def keys(event: RecordedEvent[Deposited]) -> list[tuple[str, int]]:
        return [(event.id, event.event.amount)]

    decider: Decider[Any, Any, Any] = ACCOUNT
    view = View("pairs", row=Pair, key=("left", "right"), apply=apply, keys=keys)
    async with Runtime.open(deciders=[decider], projections=[view]) as runtime:
        for amount in (1, 2, 1):
            await runtime.execute(decider, "a", Deposit(amount))
        await runtime.settle()
        assert (await runtime.query(view, ("a", 1), consistency=Eventual())).row == Pair("a", 1, 2)
        with pytest.raises(ValueError, match=r"needs a tuple of 2 values, \(left, right\)"):
            await runtime.query(view, cast("Any", "a"))
