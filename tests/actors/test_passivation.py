"""What is idle leaves memory and its stream stays; what works is left alone."""

import asyncio

from aftertide import Limits, Receipt, Runtime
from aftertide.actors.passivation import SLICE
from tests.bank import ACCOUNT, Deposit, Look, Withdraw
from tests.fake_clock import FakeClock, rest
from tests.staged import StagedEventStore, open_on

IDLE = Limits(idle_seconds=100)


async def test_an_aggregate_stays_for_as_long_as_it_is_promised_whenever_it_worked_last() -> None:
    for worked_at in (0, 1, 49, 50, 51, 99):
        clock = FakeClock()
        async with open_on(
            StagedEventStore(), deciders=[ACCOUNT], limits=IDLE, clock=clock
        ) as runtime:
            await clock.advance(worked_at)
            await runtime.execute(ACCOUNT, "alice", Deposit(1))
            await clock.advance(99.9)
            assert runtime.statistics().aggregates["account"].active == 1, worked_at
            await clock.advance(50.2)
            assert runtime.statistics().aggregates["account"].active == 0, worked_at
            assert runtime.statistics().passivations == 1


async def test_every_command_begins_the_wait_anew() -> None:
    clock = FakeClock()
    async with open_on(StagedEventStore(), deciders=[ACCOUNT], limits=IDLE, clock=clock) as runtime:
        for _ in range(10):
            await runtime.execute(ACCOUNT, "alice", Look())
            await clock.advance(90)
        assert runtime.statistics().activations == 1


async def test_every_command_that_a_sender_decides_itself_begins_the_wait_anew() -> None:
    clock = FakeClock()
    async with Runtime.open(deciders=[ACCOUNT], limits=IDLE, clock=clock) as runtime:
        for _ in range(10):
            await runtime.execute(ACCOUNT, "alice", Deposit(1))
            await clock.advance(90)
        assert runtime.statistics().activations == 1


async def test_after_its_sleep_an_aggregate_is_what_it_was() -> None:
    clock = FakeClock()
    async with open_on(StagedEventStore(), deciders=[ACCOUNT], limits=IDLE, clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(5))
        await clock.advance(1_000)
        assert runtime.statistics().aggregates["account"].active == 0
        assert (await runtime.execute(ACCOUNT, "alice", Withdraw(5))).version == 2
        assert runtime.statistics().activations == 2


async def test_an_aggregate_that_waits_for_the_disk_is_not_put_to_sleep() -> None:
    clock, store = FakeClock(), StagedEventStore()
    store.held = True
    async with open_on(store, deciders=[ACCOUNT], limits=IDLE, clock=clock) as runtime:
        reply = asyncio.create_task(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        await clock.advance(1_000)
        assert runtime.statistics().aggregates["account"].active == 1
        store.end()
        assert (await reply).version == 1
        store.held = False


async def test_an_aggregate_that_waits_for_its_state_is_not_put_to_sleep() -> None:
    clock, store = FakeClock(), StagedEventStore()
    store.hold_loads = True
    async with open_on(store, deciders=[ACCOUNT], limits=IDLE, clock=clock) as runtime:
        reply = asyncio.create_task(runtime.execute(ACCOUNT, "alice", Deposit(1)))
        await clock.advance(1_000)
        store.end_load()
        assert (await reply).version == 1


async def test_beyond_the_capacity_the_ones_idle_longest_make_room() -> None:
    clock = FakeClock()
    limits = Limits(active_aggregates=80, idle_seconds=100)
    async with open_on(
        StagedEventStore(), deciders=[ACCOUNT], limits=limits, clock=clock
    ) as runtime:
        for number in range(80):
            await runtime.execute(ACCOUNT, f"a{number}", Deposit(1))
        await clock.advance(60)
        await runtime.execute(ACCOUNT, "a0", Deposit(1))
        await runtime.execute(ACCOUNT, "new", Deposit(1))
        await rest()
        active = runtime._kinds[ACCOUNT].active
        assert "new" in active
        assert "a0" in active  # the oldest activation, and the last to work
        assert "a1" not in active
        # An eighth more than needed, so that the next ones find room.
        assert len(active) == 80 - 80 // 8


async def test_the_capacity_holds_whatever_passes_through() -> None:
    store = StagedEventStore()
    async with open_on(store, deciders=[ACCOUNT], limits=Limits(active_aggregates=50)) as runtime:
        for start in range(0, 1_000, 50):
            ids = [f"a{number}" for number in range(start, start + 50)]
            outcomes = await runtime.execute_many(ACCOUNT, [(id, Deposit(1)) for id in ids])
            assert all(isinstance(outcome, Receipt) for outcome in outcomes)
            await rest()
            assert runtime.statistics().aggregates["account"].active <= 50
        assert runtime.statistics().passivations >= 950


async def test_a_hundred_thousand_aggregates_are_active_at_once() -> None:
    async with Runtime.open(deciders=[ACCOUNT]) as runtime:
        await runtime.execute_many(ACCOUNT, [("a0", Deposit(1)), ("a99999", Deposit(99_999))])
        outcomes = await runtime.execute_many(
            ACCOUNT, ((f"a{number}", Look()) for number in range(100_000))
        )
        statistics = runtime.statistics()
        assert len(outcomes) == statistics.activations == 100_000
        assert statistics.aggregates["account"].active == 100_000
        assert statistics.passivations == 0
        assert (await runtime.execute(ACCOUNT, "a0", Withdraw(1))).version == 2
        assert (await runtime.execute(ACCOUNT, "a99999", Withdraw(99_999))).version == 2


async def test_a_sweep_over_many_lets_others_in_between() -> None:
    clock = FakeClock()
    async with Runtime.open(deciders=[ACCOUNT], limits=IDLE, clock=clock) as runtime:
        count = 2 * SLICE + 10
        await runtime.execute_many(ACCOUNT, [(f"a{n}", Deposit(1)) for n in range(count)])
        await clock.advance(149.9)
        seen: list[int] = []
        # One timer for each slice: what is between two timers is everybody else's.
        while runtime.statistics().aggregates["account"].active and len(seen) < 5:
            await clock.step()
            seen.append(runtime.statistics().aggregates["account"].active)
        assert seen == [2 * SLICE + 10 - SLICE, 10, 0]


async def test_nothing_ticks_after_the_end() -> None:
    clock = FakeClock()
    async with open_on(StagedEventStore(), deciders=[ACCOUNT], limits=IDLE, clock=clock) as runtime:
        await runtime.execute(ACCOUNT, "alice", Deposit(1))
        assert clock.waiting == [50]
    assert clock.waiting == []
