"""The journal commits all that waits in one transaction, and says afterwards what became of each."""

import asyncio
from asyncio import Task
from pathlib import Path

import pytest

from aftertide import (
    CommandRejected,
    Limits,
    Receipt,
    RecordedEvent,
    Runtime,
    StoreFull,
    StoreUnavailable,
)
from aftertide.actors.bus import Bus
from aftertide.actors.journal import Journal
from aftertide.domain.messages import CommittedBatch, Position
from tests.bank import ACCOUNT, BALANCES, Deposit, Split, Withdraw
from tests.fake_clock import FakeClock, rest
from tests.staged import StagedEventStore, open_on


@pytest.fixture
def store() -> StagedEventStore:
    return StagedEventStore()


def send(runtime: Runtime, *ids: str, amount: int = 1) -> list[Task[Receipt]]:
    return [asyncio.create_task(runtime.execute(ACCOUNT, id, Deposit(amount))) for id in ids]


async def test_all_that_waits_goes_into_one_transaction(store: StagedEventStore) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        replies = send(runtime, "a")
        await rest()
        replies += send(runtime, "b", "c", "d", "b")
        await rest()
        replies += send(runtime, "e")
        await rest()
        assert store.batches == [["account-a"]]
        store.end()
        await rest()
        assert store.batches[1:] == [["account-b", "account-c", "account-d", "account-e"]]
        store.held = False
        store.end()
        assert [(await reply).position for reply in replies] == [1, 2, 4, 5, 3, 6]
        assert runtime.statistics().transactions == 2


async def test_positions_are_dense_and_in_the_order_of_the_commits(store: StagedEventStore) -> None:
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        replies = [
            asyncio.create_task(runtime.execute(ACCOUNT, f"a{n % 7}", Split((1,) * (n % 4))))
            for n in range(100)
        ]
        receipts = await asyncio.gather(*replies)
        log = [event async for event in runtime.read()]
    assert [event.position for event in log] == list(range(1, 151))
    by_command = {event.command_id: event for event in log}
    for receipt, number in zip(receipts, range(100), strict=True):
        if number % 4:  # the last event of the command stands at the receipt's position
            last = by_command[receipt.command_id]
            assert (last.position, last.version, last.id) == (
                receipt.position, receipt.version, receipt.id,
            )  # fmt: skip
    for id in range(7):
        versions = [event.version for event in log if event.id == f"a{id}"]
        assert versions == list(range(1, len(versions) + 1))


async def test_the_next_transaction_begins_before_time_is_spent_on_replies(
    store: StagedEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    begin, settle = Journal._begin, Journal._settle

    def begun(self: Journal) -> None:
        order.append("begin")
        begin(self)

    def settled(self: Journal, *arguments: object) -> None:
        order.append("settle")
        settle(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Journal, "_begin", begun)
    monkeypatch.setattr(Journal, "_settle", settled)
    store.held = True
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        replies = send(runtime, "a")
        await rest()
        replies += send(runtime, "b")
        await rest()
        store.held = False
        store.end()
        await asyncio.gather(*replies)
    assert order == ["begin", "begin", "settle", "settle"]


async def test_a_subscriber_never_sees_what_is_not_committed(store: StagedEventStore) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT], projections=[BALANCES]) as runtime:
        seen: list[CommittedBatch] = []
        runtime._bus.subscriptions.append(_Listener(seen))
        runtime._at_once = runtime._journal.unheard  # as if it had listened from the start
        replies = send(runtime, "a", "b")
        await rest()
        assert seen == []
        store.end(StoreFull("bank.db", "no space left", "Free some."))
        await asyncio.gather(*replies, return_exceptions=True)
        assert seen == []
        replies = send(runtime, "a", "b")
        await rest()
        store.end()
        await asyncio.gather(*replies)
        assert [(batch.first, batch.last) for batch in seen] == [(1, 2)]
        store.held = False


class _Listener:
    def __init__(self, seen: list[CommittedBatch]) -> None:
        self.offer = seen.append
        self.observe = lambda head: None


@pytest.mark.parametrize("immediate", [True, False], ids=["memory", "staged"])
async def test_what_is_published_is_what_will_be_read(
    store: StagedEventStore, immediate: bool
) -> None:
    clock = FakeClock()
    runtime = (
        Runtime.open(deciders=[ACCOUNT], clock=clock)
        if immediate
        else open_on(store, deciders=[ACCOUNT], clock=clock)
    )
    async with runtime:
        seen: list[CommittedBatch] = []
        runtime._bus.subscriptions.append(_Listener(seen))
        runtime._at_once = runtime._journal.unheard  # as if it had listened from the start
        await asyncio.gather(*send(runtime, "a", "b", "a"))
        await clock.advance(1)
        await runtime.execute(ACCOUNT, "b", Split((1, 2)), correlation_id="k")
        await clock.advance(1)
        await runtime.execute(ACCOUNT, "b", Deposit(4))
        published = [event for batch in seen for event in batch.events]
        read = [event async for event in runtime.read()]
    assert published == read
    assert all(isinstance(event, RecordedEvent) for event in published)
    assert [batch.first for batch in seen] == [1, *[batch.last + 1 for batch in seen[:-1]]]


async def test_while_nobody_listens_nothing_is_made_for_the_bus(
    store: StagedEventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def publish(*_: object) -> None:
        raise AssertionError("published to nobody")

    monkeypatch.setattr(Bus, "publish", publish)
    async with open_on(store, deciders=[ACCOUNT]) as runtime:
        assert (await runtime.execute(ACCOUNT, "a", Deposit(1))).position == 1


async def test_a_transaction_is_bounded_and_the_rest_goes_into_the_next(
    store: StagedEventStore,
) -> None:
    store.held = True
    limits = Limits(transaction_events=10)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        replies = [
            asyncio.create_task(runtime.execute(ACCOUNT, id, Split((1,) * 4))) for id in "abcdefg"
        ]
        sizes: list[int] = []
        while len(sizes) < 3:
            await rest()
            sizes.append(len(store.batches[-1]))
            store.end()
        assert sizes == [3, 3, 1]
        assert [(await reply).position for reply in replies] == [4, 8, 12, 16, 20, 24, 28]
        store.held = False


async def test_one_command_may_be_larger_than_a_transaction(store: StagedEventStore) -> None:
    limits = Limits(transaction_events=10, journal_events=20)
    async with open_on(store, deciders=[ACCOUNT], limits=limits) as runtime:
        assert (await runtime.execute(ACCOUNT, "a", Split((1,) * 1_000))).position == 1_000
        assert runtime.statistics().transactions == 1


async def test_a_full_journal_holds_the_turns_until_it_moved_on(store: StagedEventStore) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT], limits=Limits(journal_events=5)) as runtime:
        replies = send(runtime, "a")
        await rest()
        replies += send(runtime, "b", "c", "d", "e", "f")
        await rest()
        assert runtime._dispatcher.held
        late = send(runtime, "late")
        turns = runtime._dispatcher.turns
        await rest()
        assert runtime._dispatcher.turns == turns
        store.end()
        await rest()
        assert runtime._dispatcher.turns == turns + 1
        store.held = False
        store.end()
        assert [(await reply).position for reply in replies + late] == list(range(1, 8))


async def test_a_full_journal_moves_on_after_a_failure_too(store: StagedEventStore) -> None:
    store.held = True
    async with open_on(store, deciders=[ACCOUNT], limits=Limits(journal_events=2)) as runtime:
        replies = send(runtime, "a")
        await rest()
        # On top of what fails: it is taken back, and with it what filled the journal.
        replies += send(runtime, "a", "a", "a")
        await rest()
        assert runtime._dispatcher.held
        store.end(StoreFull("bank.db", "no space left", "Free some."))
        store.held = False
        outcomes = await asyncio.gather(*replies, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreFull, Receipt, Receipt, Receipt]


async def test_a_transaction_costs_one_hop_to_the_thread(tmp_path: Path) -> None:
    async with Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT]) as runtime:
        await asyncio.gather(*send(runtime, *[f"a{n}" for n in range(100)]))
        before = runtime.statistics()
        await asyncio.gather(*send(runtime, *[f"a{n % 100}" for n in range(1_000)]))
        with pytest.raises(CommandRejected):
            await runtime.execute(ACCOUNT, "a1", Withdraw(10**6))
        after = runtime.statistics()
    assert after.events - before.events == 1_000
    assert after.transactions - before.transactions == after.thread_hops - before.thread_hops
    assert after.transactions - before.transactions <= 8
    assert after.commands - before.commands == 1_001


async def test_a_full_disk_is_said_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "bank.db"
    async with Runtime.open(path, deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit(5))
        await _limit_pages(runtime, extra=4)
        big = asyncio.create_task(runtime.execute(ACCOUNT, "a", Deposit(1, "x" * 1_048_576)))
        refused = asyncio.create_task(runtime.execute(ACCOUNT, "a", Withdraw(7)))
        with pytest.raises(StoreFull, match=r"no space left.*Free some space"):
            await big
        with pytest.raises(CommandRejected, match="the balance is 5"):
            await refused
        assert (await runtime.execute(ACCOUNT, "a", Withdraw(5))).version == 2
        await _limit_pages(runtime, extra=10_000)
        assert (await runtime.execute(ACCOUNT, "a", Deposit(1, "x" * 1_048_576))).version == 3


async def _limit_pages(runtime: Runtime, *, extra: int) -> None:
    writer = runtime._events._writer  # type: ignore[attr-defined]

    def limit(connection: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]  # type: ignore[attr-defined]
        connection.execute(f"PRAGMA max_page_count = {pages + extra}").fetchone()  # type: ignore[attr-defined]

    await writer.run(limit)


async def test_a_store_that_is_gone_is_said_to_each(tmp_path: Path) -> None:
    async with Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit(5))
        await runtime._events._writer.aclose()  # type: ignore[attr-defined]
        outcomes = await runtime.execute_many(ACCOUNT, [("a", Deposit(1)), ("a", Deposit(2))])
        assert [isinstance(outcome, StoreUnavailable) for outcome in outcomes] == [True, True]
        assert runtime.head == Position(1)
