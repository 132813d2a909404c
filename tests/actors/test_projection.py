"""A projection applies position p+1 after p and never otherwise, and moves rows and checkpoint together."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from anyio import CancelScope
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertide import (
    AtLeast,
    Decider,
    Eventual,
    Lag,
    Limits,
    NotFreshEnough,
    Position,
    ProjectionStopped,
    RecordedEvent,
    Runtime,
    Strong,
    View,
)
from aftertide.actors.bus import Subscription
from aftertide.domain.messages import Append, CommittedBatch, NewEvent, StreamKey, Version
from tests.bank import ACCOUNT, BALANCES, Balance, Deposit, Deposited, Event, Split
from tests.fake_clock import START, FakeClock, rest
from tests.staged import StagedEventStore, StagedReadStores, open_on


async def rows(runtime: Runtime, view: View[Any, Any, Any] = BALANCES) -> dict[str, int]:
    """As they are now, without waiting."""
    answers = await runtime.query(view, consistency=Eventual())
    return {row.account: row.balance for row in answers.rows}


async def deposit(runtime: Runtime, *amounts: int, id: str = "alice") -> Position:
    for amount in amounts:
        await runtime.execute(ACCOUNT, id, Deposit(amount))
    return runtime.head


# ---- p+1 after p


class Interception:
    """Keeps what the bus brings to a subscription; the test hands it on, or not."""

    def __init__(self, subscription: Subscription, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[CommittedBatch] = []
        self.offer = subscription.offer
        monkeypatch.setattr(subscription, "offer", self.batches.append)


def watched() -> tuple[View[Balance, Event, str], list[int]]:
    """A view, and the positions that it folded."""
    seen: list[int] = []

    def apply(row: Balance | None, event: RecordedEvent[Event], account: str) -> Balance:
        seen.append(event.position)
        return BALANCES.apply(row, event, account)  # type: ignore[return-value]

    return View("balances", row=Balance, key="account", apply=apply), seen


deliveries = st.lists(
    st.lists(st.integers(0, 7), max_size=12),  # which of the batches, in this order, together
    min_size=1,
    max_size=6,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=8, max_size=8), deliveries, st.integers(1, 12))
def test_dropped_doubled_and_reordered_batches_change_nothing_in_the_end(
    sizes: list[int], rounds: list[list[int]], buffer: int
) -> None:
    async def body() -> None:
        view, seen = watched()
        limits = Limits(bus_events=buffer, page_events=3)
        async with open_on(
            StagedEventStore(), deciders=[ACCOUNT], projections=[view], limits=limits
        ) as runtime:
            await rest()
            with pytest.MonkeyPatch.context() as monkeypatch:
                intercepted = Interception(runtime.projection(view)._subscription, monkeypatch)
                for size in sizes:
                    await runtime.execute(ACCOUNT, "alice", Split((1,) * size))
                for indexes in rounds:
                    for index in indexes:
                        intercepted.offer(intercepted.batches[index])
                    await rest()
                    # Whatever has come: a prefix, each position once and in order.
                    assert seen == list(range(1, len(seen) + 1))
                    assert await rows(runtime, view) == ({"alice": len(seen)} if seen else {})
            # Nobody tells it any more; whoever asks for the head gets it all the same.
            await runtime.settle()
            assert seen == list(range(1, sum(sizes) + 1))
            assert await rows(runtime, view) == {"alice": sum(sizes)}

    asyncio.run(body())


async def test_a_gap_on_the_bus_is_read_from_the_store_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with open_on(StagedEventStore(), deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
        await rest()
        intercepted = Interception(runtime.projection(BALANCES)._subscription, monkeypatch)
        await deposit(runtime, 1, 2, 4)
        intercepted.offer(intercepted.batches[2])
        await rest()
        assert await rows(runtime) == {"alice": 7}
        assert runtime.statistics().projections["balances/1"].pages_read == 1


async def test_what_a_full_buffer_did_not_take_is_read_from_the_store() -> None:
    clock = FakeClock()
    limits = Limits(bus_events=5, page_events=3)
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[BALANCES], limits=limits, clock=clock
    ) as runtime:
        await clock.advance(1)
        projection = runtime.projection(BALANCES)
        projection.pause()
        await deposit(runtime, *[1] * 20)
        assert await rows(runtime) == {}
        projection.resume()
        await clock.advance(1)
        assert await rows(runtime) == {"alice": 20}
        statistics = runtime.statistics().projections["balances/1"]
        assert statistics.overflows == 1
        assert statistics.pages_read >= 5
        # From now on the bus has it again.
        await deposit(runtime, 1)
        await rest()
        assert await rows(runtime) == {"alice": 21}
        assert runtime.statistics().projections["balances/1"].pages_read == statistics.pages_read


async def test_events_come_together_while_nobody_waits_and_not_while_somebody_does() -> None:
    clock = FakeClock()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    ) as runtime:
        projection = runtime.projection(BALANCES)
        await deposit(runtime, 1)
        await rest()
        assert projection.position == 1, "the first one does not wait for company"
        await deposit(runtime, 2, 3)
        await rest()
        assert projection.position == 1
        await clock.advance(0.002)
        assert projection.position == 3
        await deposit(runtime, 4)
        await rest()
        assert projection.position == 3
        await runtime.settle()
        assert projection.position == 4
        await deposit(runtime, 5)
        answer = await runtime.query(BALANCES, "alice", consistency=AtLeast(runtime.head))
        assert answer.row is not None
        assert answer.freshness.position == 5


async def test_in_a_quiet_run_the_store_is_never_read() -> None:
    async with open_on(
        StagedEventStore(),
        deciders=[ACCOUNT],
        projections=[BALANCES],
        limits=Limits(coalesce_seconds=0),
    ) as runtime:
        await rest()
        for amount in range(50):
            await deposit(runtime, amount)
            await rest()
        statistics = runtime.statistics().projections["balances/1"]
        assert (statistics.pages_read, statistics.applied_events) == (0, 50)


async def test_events_that_a_view_does_not_take_move_its_checkpoint_on() -> None:
    @dataclass(frozen=True, slots=True)
    class Other:
        x: int = 0

    other: Decider[Deposit, int, Other] = Decider(
        "other", 0, lambda c, s: [Other()], lambda s, e: s, commands=[Deposit], events=[Other]
    )
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT, other], projections=[BALANCES]
    ) as runtime:
        await runtime.execute(other, "alice", Deposit(1))
        await deposit(runtime, 5)
        await runtime.execute(other, "alice", Deposit(1))
        await runtime.settle()
        assert runtime.projection(BALANCES).position == 3
        assert await rows(runtime) == {"alice": 5}


async def test_a_replica_that_opens_late_catches_up_from_the_log() -> None:
    store = StagedEventStore()
    limits = Limits(page_events=7)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        await deposit(runtime, *[1] * 30)
    async with open_on(
        store, deciders=[ACCOUNT], projections=[BALANCES.replicas(2)], limits=limits
    ) as runtime:
        await runtime.settle()
        for replica in (1, 2):
            answer = await runtime.query(BALANCES, "alice", replica=replica)
            assert answer.row == Balance("alice", 30, 30)


# ---- rows and checkpoint


async def test_after_a_crash_before_the_put_the_batch_is_applied_once() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    ) as runtime:
        await clock.advance(1)
        stores.stores["balances/1"].fail_before = [OSError("torn")]
        await deposit(runtime, 5)
        await rest()
        assert runtime.projection(BALANCES).state == "restarting"
        assert await rows(runtime) == {}
        await clock.advance(1)
        assert await rows(runtime) == {"alice": 5}
        assert runtime.statistics().projections["balances/1"].restarts == 1


async def test_after_a_crash_behind_the_put_the_batch_is_not_applied_again() -> None:
    """The put moved rows and checkpoint, and nobody heard of it."""
    clock, stores = FakeClock(), StagedReadStores()
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    ) as runtime:
        await clock.advance(1)
        stores.stores["balances/1"].fail_after = [OSError("torn")]
        await deposit(runtime, 5)
        await clock.advance(1)
        await deposit(runtime, 1)
        await clock.advance(1)
        assert await rows(runtime) == {"alice": 6}
        assert [position for _, position in stores.stores["balances/1"].puts] == [1, 2]


async def test_a_new_runtime_goes_on_from_the_checkpoint_and_not_from_the_start() -> None:
    store, stores = StagedEventStore(), StagedReadStores()
    view, seen = watched()
    async with open_on(store, stores, deciders=[ACCOUNT], projections=[view]) as runtime:
        await deposit(runtime, 1, 2)
        await runtime.settle()
    async with open_on(store, stores, deciders=[ACCOUNT], projections=[view]) as runtime:
        await deposit(runtime, 4)
        await runtime.settle()
        assert await rows(runtime, view) == {"alice": 7}
    assert seen == [1, 2, 3]


async def test_waiters_see_committed_checkpoints_only() -> None:
    """Woken after the put, and never where it failed."""
    clock, stores = FakeClock(), StagedReadStores()
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    ) as runtime:
        await clock.advance(1)
        stores.stores["balances/1"].fail_before = [OSError("torn")]
        position = await deposit(runtime, 5)
        query = asyncio.create_task(
            runtime.query(BALANCES, "alice", consistency=AtLeast(position), timeout=60)
        )
        await rest()
        assert not query.done()
        await clock.advance(1)
        assert (await query).row == Balance("alice", 5, 1)


async def test_a_batch_of_many_events_is_one_transaction() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    ) as runtime:
        runtime.projection(BALANCES).pause()
        await deposit(runtime, *[1] * 50)
        runtime.projection(BALANCES).resume()
        await clock.advance(1)
        assert stores.stores["balances/1"].puts == [({"alice": Balance("alice", 50, 50)}, 50)]


async def test_transactions_of_the_read_side_are_bounded_too() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    limits = Limits(transaction_events=20, page_events=10)
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[BALANCES], limits=limits, clock=clock
    ) as runtime:  # fmt: skip
        await clock.advance(1)
        runtime.projection(BALANCES).pause()
        await rest()
        for _ in range(12):
            await runtime.execute(ACCOUNT, "alice", Split((1,) * 5))
        runtime.projection(BALANCES).resume()
        await clock.advance(1)
        positions = [0, *[position for _, position in stores.stores["balances/1"].puts]]
        assert positions[-1] == 60
        assert max(after - before for before, after in pairwise(positions)) <= 20


async def test_rows_that_are_remembered_are_bounded_and_forgotten_ones_are_read_again() -> None:
    limits = Limits(cached_rows=10)
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[BALANCES], limits=limits
    ) as runtime:
        for round in range(3):
            for number in range(30):
                await deposit(runtime, 10**round, id=f"a{number}")
            await runtime.settle()
        assert len(runtime.projection(BALANCES)._cache) <= 10
        assert await rows(runtime) == {f"a{number}": 111 for number in range(30)}


# ---- views of several keys


@dataclass(frozen=True, slots=True)
class Size:
    account: str
    balance: int


def sizes(row: Size | None, event: RecordedEvent[Deposited], key: str) -> Size | None:
    if event.event.note == "forget":
        return None
    if event.event.note == f"break {key}":
        raise ValueError(f"no {key}")
    return Size(key, (row.balance if row else 0) + event.event.amount)


def size_keys(event: RecordedEvent[Deposited]) -> Iterable[str]:
    if event.event.note == "no keys":
        raise LookupError("which?")
    return ("all", "small" if event.event.amount < 10 else "large")


SIZES = View("sizes", row=Size, key="account", apply=sizes, keys=size_keys)


async def test_an_event_concerns_any_number_of_rows_and_deletes_them_too() -> None:
    async with open_on(StagedEventStore(), deciders=[ACCOUNT], projections=[SIZES]) as runtime:
        for amount in (1, 20, 2):
            await runtime.execute(ACCOUNT, "alice", Deposit(amount))
        await runtime.settle()
        assert await rows(runtime, SIZES) == {"all": 23, "large": 20, "small": 3}
        await runtime.execute(ACCOUNT, "alice", Deposit(1, "forget"))
        await runtime.settle()
        assert await rows(runtime, SIZES) == {"large": 20}
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        await runtime.settle()
        assert await rows(runtime, SIZES) == {"all": 1, "large": 20, "small": 1}
        log = [event async for event in runtime.read()]
        assert SIZES.fold(log) == {row.account: row for row in (await runtime.query(SIZES)).rows}


@pytest.mark.parametrize("note", ["break large", "break all", "no keys"])
async def test_of_an_event_that_fails_at_one_key_no_row_is_changed(note: str) -> None:
    clock = FakeClock()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[SIZES], limits=Limits(restarts=0), clock=clock
    ) as runtime:  # fmt: skip
        await runtime.execute(ACCOUNT, "alice", Deposit(10))
        await runtime.execute(ACCOUNT, "alice", Deposit(20, note))
        await clock.advance(1)
        projection = runtime.projection(SIZES)
        assert (projection.state, projection.position) == ("stopped", 1)
        assert await rows(runtime, SIZES) == {"all": 10, "large": 10}


# ---- lag


LAGS: list[tuple[Lag, Callable[[float], bool]]] = [
    (Lag.constant(2), lambda lag: lag == 2),
    (Lag.uniform(1, 3), lambda lag: 1 <= lag <= 3),
    (Lag.exponential(0.5), lambda lag: lag >= 0),
    (Lag.lognormal(median=0.5, sigma=0.5), lambda lag: lag > 0),
    (Lag.trace([0.5]), lambda lag: lag == 0.5),
]


@pytest.mark.parametrize(("lag", "allowed"), LAGS, ids=lambda lag: getattr(lag, "kind", ""))
async def test_an_event_becomes_visible_its_lag_after_its_commit(
    lag: Lag, allowed: Callable[[float], bool]
) -> None:
    delays = []
    clock = FakeClock()
    async with Runtime.open(
        deciders=[ACCOUNT], projections=[BALANCES.with_lag(lag)], clock=clock, seed=7
    ) as runtime:
        await clock.advance(1)
        for amount in range(20):
            position = await deposit(runtime, amount)
            committed = clock.now
            while runtime.projection(BALANCES).position < position:
                await clock.step()
            delays.append(clock.now - committed)
    assert all(allowed(round(delay, 9)) for delay in delays)
    if lag.kind in ("uniform", "exponential", "lognormal"):
        assert len(set(delays)) == 20  # each is drawn


async def test_one_seed_gives_one_run() -> None:
    async def run(seed: int) -> list[float]:
        delays, clock = [], FakeClock()
        view = BALANCES.replicas(2, lag=Lag.exponential(1))
        async with Runtime.open(
            deciders=[ACCOUNT], projections=[view], clock=clock, seed=seed
        ) as runtime:
            await clock.advance(1)
            for replica in (1, 2):
                position = await deposit(runtime, 1)
                while runtime.projection(BALANCES, replica).position < position:
                    await clock.step()
                delays.append(clock.now)
        return delays

    assert await run(1) == await run(1)
    assert await run(1) != await run(2)


async def test_nothing_is_visible_before_its_lag_is_over() -> None:
    clock = FakeClock()
    view = BALANCES.with_lag(Lag.constant(10))
    async with Runtime.open(deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        await deposit(runtime, 1)
        await clock.advance(5)
        await deposit(runtime, 2)
        await clock.advance(4.999)
        assert await rows(runtime) == {}
        await clock.advance(0.002)
        assert await rows(runtime) == {"alice": 1}
        await clock.advance(4.997)
        assert await rows(runtime) == {"alice": 1}
        await clock.advance(0.002)
        assert await rows(runtime) == {"alice": 3}


async def test_a_short_lag_does_not_overtake_a_long_one() -> None:
    """What was committed first becomes visible first, whatever is drawn."""
    clock = FakeClock()
    view = BALANCES.with_lag(Lag.trace([5, 0.1, 0.1]))
    async with Runtime.open(deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        await clock.advance(1)
        for amount in (1, 2, 4):
            await deposit(runtime, amount)
            await clock.advance(1)
        assert await rows(runtime) == {}
        await clock.advance(1.9)
        assert await rows(runtime) == {}
        await clock.advance(0.2)
        assert await rows(runtime) == {"alice": 7}


async def test_a_lag_holds_for_what_is_read_from_the_store_too() -> None:
    """And counts from the commit: what is old enough already is visible at once."""
    clock, store = FakeClock(), StagedEventStore()
    async with open_on(store, deciders=[ACCOUNT], clock=clock) as runtime:
        await deposit(runtime, 1)
        await clock.advance(8)
        await deposit(runtime, 2)
    view = BALANCES.with_lag(Lag.constant(10))
    async with open_on(store, deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        await clock.advance(1)
        assert await rows(runtime) == {}
        await clock.advance(1.1)
        assert await rows(runtime) == {"alice": 1}
        await clock.advance(8)
        assert await rows(runtime) == {"alice": 3}


async def test_a_machine_whose_clock_is_set_does_not_make_a_lag_longer() -> None:
    clock = FakeClock()
    view = BALANCES.with_lag(Lag.constant(2))
    async with Runtime.open(deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        await clock.advance(1)
        clock.wall_offset -= 3_600
        await deposit(runtime, 1)
        clock.wall_offset += 7_200
        await clock.advance(2)
        assert await rows(runtime) == {"alice": 1}
        clock.wall_offset -= 3_600
        await deposit(runtime, 2)
        clock.wall_offset -= 3_600
        await clock.advance(2)
        assert await rows(runtime) == {"alice": 3}


async def test_each_replica_has_its_own_lag_and_it_can_be_changed_while_it_runs() -> None:
    clock = FakeClock()
    view = BALANCES.replicas(2, lag=[Lag.none(), Lag.constant(10)])
    async with Runtime.open(deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        first, second = (runtime.projection(BALANCES, replica) for replica in (1, 2))
        await clock.advance(1)
        await deposit(runtime, 1)
        await rest()
        assert (first.position, second.position) == (1, 0)
        second.lag = Lag.constant(1)
        await deposit(runtime, 1)
        await clock.advance(9.9)
        assert second.position == 0  # what waits, waits out the lag that it was given
        await clock.advance(0.2)
        assert second.position == 2
        await deposit(runtime, 1)
        await clock.advance(1.1)
        assert second.position == 3
        second.lag = Lag.none()
        await deposit(runtime, 1)
        await rest()
        assert second.position == 4
        assert runtime.statistics().projections["balances/2"].lag == "none"


# ---- steering


async def test_a_paused_replica_applies_nothing_and_loses_nothing() -> None:
    clock = FakeClock()
    async with Runtime.open(deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        projection = runtime.projection(BALANCES)
        await deposit(runtime, 1)
        await rest()
        projection.pause()
        projection.pause()
        await deposit(runtime, 2)
        await clock.advance(100)
        assert (projection.state, await rows(runtime)) == ("paused", {"alice": 1})
        projection.resume()
        projection.resume()
        await rest()
        assert (projection.state, await rows(runtime)) == ("running", {"alice": 3})


async def test_a_replica_that_is_paused_while_it_waits_out_a_lag_stays_where_it_is() -> None:
    clock = FakeClock()
    view = BALANCES.with_lag(Lag.constant(2))
    async with Runtime.open(deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        await deposit(runtime, 1)
        await clock.advance(1)
        runtime.projection(BALANCES).pause()
        await clock.advance(10)
        assert await rows(runtime) == {}
        runtime.projection(BALANCES).resume()
        await rest()
        assert await rows(runtime) == {"alice": 1}


async def test_a_replica_that_is_paused_while_it_restarts_stays_paused() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    ) as runtime:
        await clock.advance(1)
        stores.stores["balances/1"].fail_before = [OSError("torn")]
        await deposit(runtime, 5)
        await rest()
        projection = runtime.projection(BALANCES)
        assert projection.state == "restarting"
        projection.pause()
        await clock.advance(100)
        assert (projection.state, await rows(runtime)) == ("paused", {})
        projection.resume()
        await rest()
        assert await rows(runtime) == {"alice": 5}


# ---- events that can't be applied


class Poison:
    """A view that fails at amounts of 13 and more, until it is mended."""

    def __init__(self) -> None:
        self.broken = True
        self.tried: list[int] = []

        def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
            if event.event.amount >= 13:
                self.tried.append(event.position)
                if self.broken:
                    raise LookupError(f"no place for {event.event.amount}")
            before = row or Balance(account, 0, 0)
            return Balance(account, before.balance + event.event.amount, before.events + 1)

        self.view = View("balances", row=Balance, key="account", apply=apply, events=[Deposited])


STOPPED = (
    "projection 'balances/1' stopped at position 2: applying Deposited at position 3: LookupError: no "
    "place for 13. Mend the cause, then restart it with runtime.projection(view, replica).restart() or "
    "open the runtime again."
)


async def test_what_comes_before_an_event_that_fails_is_applied_and_nothing_after_it() -> None:
    clock, poison = FakeClock(), Poison()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[poison.view], clock=clock
    ) as runtime:
        runtime.projection(poison.view).pause()
        await deposit(runtime, 1, 2, 13, 4)
        runtime.projection(poison.view).resume()
        await clock.advance(600)
        assert await rows(runtime, poison.view) == {"alice": 3}
        assert runtime.projection(poison.view).position == 2


async def test_an_event_that_fails_is_tried_again_with_growing_pauses_within_a_budget() -> None:
    clock, poison = FakeClock(), Poison()
    limits = Limits(restarts=8, restart_window_seconds=60, coalesce_seconds=0)
    async with open_on(
        StagedEventStore(),
        deciders=[ACCOUNT],
        projections=[poison.view],
        clock=clock,
        limits=limits,
    ) as runtime:
        projection = runtime.projection(poison.view)
        await deposit(runtime, 1, 2, 13)
        pauses = []
        await rest()
        while projection.state == "restarting":
            begun = clock.now
            tried = len(poison.tried)
            while len(poison.tried) == tried:
                await clock.step()
            pauses.append(round(clock.now - begun, 3))
        assert pauses == [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
        assert projection.state == "stopped"
        assert projection.restarts == 8
        assert poison.tried == [3] * 9
        await clock.advance(3_600)
        assert poison.tried == [3] * 9


async def test_failures_long_ago_do_not_count() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    limits = Limits(restarts=1, restart_window_seconds=10)
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[BALANCES], limits=limits, clock=clock
    ) as runtime:  # fmt: skip
        await clock.advance(1)
        for amount in range(5):
            stores.stores["balances/1"].fail_before = [OSError("torn")]
            await deposit(runtime, amount)
            await clock.advance(11)
            assert runtime.projection(BALANCES).state == "running"
        stores.stores["balances/1"].fail_before = [OSError("torn"), OSError("again")]
        await deposit(runtime, 1)
        await clock.advance(1)
        assert runtime.projection(BALANCES).state == "stopped"


async def test_waiters_of_a_projection_that_stops_fail_at_once_with_the_cause() -> None:
    clock, poison = FakeClock(), Poison()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[poison.view], clock=clock, limits=Limits(restarts=1)
    ) as runtime:  # fmt: skip
        position = await deposit(runtime, 1, 2, 13)
        waiting = [
            asyncio.create_task(waiter)
            for waiter in (
                runtime.query(poison.view, "alice", consistency=AtLeast(position), timeout=3_600),
                runtime.query(poison.view, consistency=Strong(), timeout=3_600),
                runtime.query(poison.view, consistency=Strong(), timeout=3_600, replica=1),
                runtime.settle(timeout=3_600),
            )
        ]
        await clock.advance(1)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        for outcome in outcomes:
            assert isinstance(outcome, ProjectionStopped)
            assert str(outcome) == STOPPED
            assert isinstance(outcome.__cause__, LookupError)
        # And whoever asks from now on.
        for _ in range(3):
            with pytest.raises(ProjectionStopped) as caught:
                await runtime.query(poison.view, "alice", consistency=AtLeast(position))
            assert isinstance(caught.value.__cause__, LookupError)
        with pytest.raises(ProjectionStopped):
            await runtime.settle()


async def test_asking_a_stopped_projection_again_and_again_leaves_no_trace_behind() -> None:
    """An error object that is raised a thousand times would hold a thousand frames."""
    clock, poison = FakeClock(), Poison()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[poison.view], clock=clock, limits=Limits(restarts=0)
    ) as runtime:  # fmt: skip
        position = await deposit(runtime, 13)
        await clock.advance(1)

        async def frames(**options: Any) -> int:  # noqa: ANN401 - what query takes
            with pytest.raises(ProjectionStopped) as caught:
                await runtime.query(poison.view, "alice", consistency=AtLeast(position), **options)
            return len(caught.traceback)

        assert {await frames() for _ in range(20)} == {await frames()}
        assert {await frames(replica=1) for _ in range(20)} == {await frames(replica=1)}


async def test_while_one_view_is_stopped_commands_and_other_views_go_on() -> None:
    clock, poison = FakeClock(), Poison()
    other = View("others", row=Balance, key="account", apply=BALANCES.apply, events=[Deposited])
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[poison.view, other], clock=clock
    ) as runtime:
        await deposit(runtime, 1, 13)
        await clock.advance(600)
        assert runtime.projection(poison.view).state == "stopped"
        position = await deposit(runtime, 4)
        answer = await runtime.query(other, "alice", consistency=AtLeast(position))
        assert answer.row == Balance("alice", 18, 3)
        # What the stopped one has, it still gives to those who ask for no more.
        stale = await runtime.query(poison.view, "alice")
        assert stale.row == Balance("alice", 1, 1)
        assert stale.freshness.behind_events == 2
        stale = await runtime.query(poison.view, "alice", consistency=Strong(), on_timeout="stale")
        assert stale.freshness.stale


async def test_of_several_replicas_one_that_stops_leaves_its_waiters_to_the_others() -> None:
    clock, stores = FakeClock(), StagedReadStores()
    view = BALANCES.replicas(2, lag=[Lag.none(), Lag.constant(5)])
    async with open_on(
        StagedEventStore(), stores, deciders=[ACCOUNT], projections=[view], clock=clock, limits=Limits(restarts=0)
    ) as runtime:  # fmt: skip
        await clock.advance(1)
        stores.stores["balances/1"].fail_before = [OSError("torn")]
        position = await deposit(runtime, 1)
        query = asyncio.create_task(
            runtime.query(BALANCES, "alice", consistency=AtLeast(position), timeout=60)
        )
        await clock.advance(1)
        assert runtime.projection(BALANCES, 1).state == "stopped"
        assert not query.done()
        await clock.advance(5)
        assert (await query).freshness.replica == "balances/2"


async def test_a_stopped_projection_goes_on_after_it_was_mended_and_restarted() -> None:
    clock, poison = FakeClock(), Poison()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[poison.view], clock=clock, limits=Limits(restarts=1)
    ) as runtime:  # fmt: skip
        projection = runtime.projection(poison.view)
        await deposit(runtime, 1, 13, 2)
        await clock.advance(10)
        projection.restart()  # nothing was mended: the whole budget again, and then it stops again
        await clock.advance(10)
        assert projection.state == "stopped"
        assert poison.tried == [2, 2, 2, 2]
        poison.broken = False
        projection.restart()
        await runtime.settle()
        assert await rows(runtime, poison.view) == {"alice": 16}
        assert projection.stopped_by is None


async def test_a_view_whose_error_can_not_even_be_printed_stops_like_any_other() -> None:
    class Unprintable(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        __repr__ = __str__

    def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
        raise Unprintable

    view = View("balances", row=Balance, key="account", apply=apply)
    clock = FakeClock()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[view], clock=clock, limits=Limits(restarts=1)
    ) as runtime:  # fmt: skip
        await deposit(runtime, 1)
        await clock.advance(10)
        assert runtime.projection(view).state == "stopped"
        with pytest.raises(ProjectionStopped, match="Unprintable"):
            await runtime.settle()


@pytest.mark.parametrize("value", [2**63, "text", None, float("nan")], ids=str)
async def test_a_row_that_can_not_be_stored_stops_at_its_event_and_not_before(
    value: object,
) -> None:
    bad: Any = value

    def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
        amount = event.event.amount
        return Balance(account, bad if amount == 13 else amount, 0)

    view = View("balances", row=Balance, key="account", apply=apply)
    clock = FakeClock()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[view], clock=clock, limits=Limits(restarts=1)
    ) as runtime:  # fmt: skip
        runtime.projection(view).pause()
        await deposit(runtime, 1, 2, 13)
        await deposit(runtime, 4, id="bob")
        runtime.projection(view).resume()
        await clock.advance(10)
        projection = runtime.projection(view)
        assert (projection.state, projection.position) == ("stopped", 2)
        assert await rows(runtime, view) == {"alice": 2}
        with pytest.raises(ProjectionStopped, match="applying Deposited at position 3: ValueError"):
            await runtime.settle()


@pytest.mark.parametrize(
    "key", [None, 5, ["list"], "\ud800"], ids=["None", "int", "list", "surrogate"]
)
async def test_a_key_that_can_not_be_stored_stops_at_its_event_and_not_before(
    key: object,
) -> None:
    bad: Any = key

    def keys(event: RecordedEvent[Deposited]) -> Iterable[str]:
        return [bad] if event.event.amount == 13 else ["good"]

    def apply(row: Size | None, event: RecordedEvent[Deposited], key: str) -> Size:
        return Size(key, event.event.amount)

    view = View("sizes", row=Size, key="account", apply=apply, keys=keys)
    clock = FakeClock()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[view], clock=clock, limits=Limits(restarts=1)
    ) as runtime:  # fmt: skip
        runtime.projection(view).pause()
        await deposit(runtime, 1, 2, 13, 4)
        runtime.projection(view).resume()
        await clock.advance(10)
        projection = runtime.projection(view)
        assert (projection.state, projection.position) == ("stopped", 2)
        with pytest.raises(ProjectionStopped, match="applying Deposited at position 3"):
            await runtime.settle()


async def test_an_event_that_can_not_be_read_stops_at_its_place_and_says_so() -> None:
    """Somebody changed an event type, and the log holds what is older."""
    store, clock = StagedEventStore(), FakeClock()
    data = [b'{"amount":1}', b'{"amount":2}', b'{"amount":"x"}', b'{"amount":4}']
    new = [NewEvent("Deposited", each, None, "c", "") for each in data]
    await store.log.append([Append("account", "alice", Version(0), new, StreamKey(0))], START)
    async with open_on(
        store, deciders=[ACCOUNT], projections=[BALANCES], clock=clock, limits=Limits(restarts=1)
    ) as runtime:
        await clock.advance(10)
        projection = runtime.projection(BALANCES)
        assert (projection.state, projection.position) == ("stopped", 2)
        assert await rows(runtime) == {"alice": 3}
        with pytest.raises(
            ProjectionStopped,
            match="'account-alice' can't be read after version 2: ValidationError: Expected `int`",
        ):
            await runtime.settle()


async def test_a_store_that_can_not_be_read_for_a_while_is_read_again() -> None:
    store, clock = StagedEventStore(), FakeClock()
    async with open_on(store, deciders=[ACCOUNT], clock=clock) as runtime:
        await deposit(runtime, 5)
    store.read_failures = [OSError("flaky")] * 3
    async with open_on(store, deciders=[ACCOUNT], projections=[BALANCES], clock=clock) as runtime:
        await clock.advance(10)
        assert await rows(runtime) == {"alice": 5}
        assert runtime.projection(BALANCES).restarts == 3


async def test_closing_ends_a_projection_in_whatever_state_it_is() -> None:
    clock, poison = FakeClock(), Poison()
    for limits in (Limits(restarts=0), Limits(restarts=10)):
        async with open_on(
            StagedEventStore(), deciders=[ACCOUNT], projections=[poison.view], clock=clock, limits=limits
        ) as runtime:  # fmt: skip
            await deposit(runtime, 13)
            await rest()
            expected = "stopped" if limits.restarts == 0 else "restarting"
            assert runtime.projection(poison.view).state == expected
        assert runtime.projection(poison.view).state == "closed"
    view = BALANCES.with_lag(Lag.constant(100))
    async with Runtime.open(deciders=[ACCOUNT], projections=[view], clock=clock) as runtime:
        await deposit(runtime, 1)
        await rest()
    assert clock.waiting == []


async def test_whoever_stops_waiting_leaves_no_waiter_behind() -> None:
    clock = FakeClock()
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    ) as runtime:
        runtime.projection(BALANCES).pause()
        position = await deposit(runtime, 1)
        for _ in range(1_000):
            with CancelScope() as scope:
                scope.cancel()
                await runtime.query(BALANCES, consistency=AtLeast(position))
            with pytest.raises(NotFreshEnough):
                await asyncio.gather(
                    runtime.query(BALANCES, consistency=AtLeast(position), timeout=1, replica=1),
                    clock.advance(1),
                )
        waiters = runtime.projection(BALANCES).waiters
        assert len(waiters._heap) < 200
        assert clock.waiting == [150.0 - clock.now % 150.0] or len(clock.waiting) == 1


def test_a_projection_says_who_and_where_it_is() -> None:
    async def body() -> None:
        async with Runtime.open(deciders=[ACCOUNT], projections=[BALANCES.replicas(2)]) as runtime:
            await deposit(runtime, 1)
            await runtime.settle()
            assert repr(runtime.projection(BALANCES, 2)) == "<Projection balances/2@1>"

    asyncio.run(body())
