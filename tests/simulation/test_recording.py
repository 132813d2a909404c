"""Recording a real runtime: all that clients, replicas and the log did is there, and it passes every rule.

The clock stands still until a test moves it, so that what happens at one moment must be told apart too.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aftertide import (
    AtLeast,
    CommandRejected,
    Eventual,
    Lag,
    NotFreshEnough,
    Position,
    Runtime,
    Strong,
    View,
)
from aftertide.domain.ports import ReadStore
from aftertide.simulation import (
    Client,
    History,
    Recording,
    Report,
    check,
    note_calls,
    probe,
    record,
    rules,
)
from aftertide.simulation.records import Applied, Queried, Restarted
from aftertide.simulation.rules import ALL, ReadYourWrites
from aftertide.stores.memory_events import MemoryEventStore
from aftertide.stores.memory_rows import MemoryReadStore
from tests.bank import ACCOUNT, BALANCES, Command, Deposit, Look, Split, Withdraw
from tests.fake_clock import FakeClock, rest
from tests.staged import StagedEventStore, StagedReadStores, open_on

PROBE = probe(ACCOUNT)


def opened(clock: FakeClock | None = None, **options: Any) -> Runtime:
    lags = [Lag.none(), Lag.exponential(0.4), Lag.constant(3)]
    return Runtime.open(
        deciders=[ACCOUNT],
        projections=[BALANCES.replicas(3, lag=lags), PROBE.replicas(2, lag=Lag.uniform(0, 1))],
        clock=clock or FakeClock(),
        seed=1,
        **options,
    )


async def work(recording: Recording, name: str, seed: int) -> None:
    """What a client does: writes and reads of every kind, on few accounts that all share."""
    client, chance = recording.client(name), Random(f"{name}{seed}")
    for _ in range(12):
        account = chance.choice("ab")
        match chance.randrange(7):
            case 0:
                await client.execute(ACCOUNT, account, Split((1, 2)))
            case 1:
                await client.execute(ACCOUNT, account, Look())
            case 2:
                with pytest.raises(CommandRejected):
                    await client.execute(ACCOUNT, account, Withdraw(10**6))
            case 3:
                await client.query(BALANCES, account, consistency=Strong(), timeout=60)
            case 4:
                await client.query(
                    BALANCES, where={"account": ["a", "b"]}, order_by="-balance", timeout=60
                )
            case 5:
                await client.query(PROBE, consistency=Eventual())
            case _:
                await client.execute(ACCOUNT, account, Deposit(chance.randrange(100)))
        if chance.random() < 0.5:
            await client.query(BALANCES, account, timeout=60)


async def played(runtime: Runtime, clock: FakeClock, seed: int) -> History:
    """Three clients at once, to the end of the last replica."""
    recording = record(runtime)
    tasks = [asyncio.create_task(work(recording, name, seed)) for name in ("ann", "bob", "carl")]
    tasks.append(asyncio.create_task(_settled(recording, tasks[:])))
    while not all(task.done() for task in tasks):
        await clock.step()
    for task in tasks:
        task.result()
    return await recording.finish()


async def _settled(recording: Recording, tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.wait(tasks)
    await recording.settle(timeout=60)


def failed(report: Report) -> list[str]:
    return list(report.broken)


# --- a real run is legal --------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
async def test_what_really_happened_passes_every_rule(seed: int) -> None:
    clock = FakeClock()
    async with opened(clock) as runtime:
        report = check(await played(runtime, clock, seed))
    report.raise_for_violations()
    assert set(report.not_judged) == {"consistent_cuts", "linearizable_registers"}
    assert not report.remarks


async def test_what_is_decided_ahead_of_the_disk_passes_every_rule() -> None:
    clock = FakeClock()
    runtime = open_on(
        StagedEventStore(),
        deciders=[ACCOUNT],
        projections=[BALANCES.replicas(2, lag=[Lag.none(), Lag.constant(2)]), PROBE],
        clock=clock,
        seed=1,
    )
    async with runtime:
        check(await played(runtime, clock, 1)).raise_for_violations()


async def test_a_run_on_files_passes_every_rule_also_when_read_from_its_own_file(
    tmp_path: Path,
) -> None:
    clock = FakeClock()
    runtime = Runtime.open(
        tmp_path / "bank.db",
        deciders=[ACCOUNT],
        projections=[BALANCES.replicas(2, lag=[Lag.none(), Lag.none()]), PROBE],
        seed=1,
    )
    async with runtime:
        recording = record(runtime)
        await asyncio.gather(*(work(recording, name, 1) for name in ("ann", "bob")))
        await recording.settle()
        history = await recording.finish()
    assert clock.now == 0
    history.write(tmp_path / "history.jsonl")
    back = History.read(tmp_path / "history.jsonl", views=[BALANCES, PROBE], deciders=[ACCOUNT])
    for each in (history, back):
        report = check(each)
        report.raise_for_violations()
        assert "value_oracle" in report.held


async def test_readers_who_ask_for_nothing_break_session_guarantees_when_held_to_them() -> None:
    """The lag is real: so the rule would have seen it."""
    clock = FakeClock()
    async with opened(clock) as runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        receipt = await ann.execute(ACCOUNT, "a", Deposit(1))
        answer = await ann.query(BALANCES, "a", replica=3, consistency=Eventual())
        assert answer.row is None
        history = await recording.finish()
    assert check(history, rules.SESSION).ok
    (violation,) = check(history, [ReadYourWrites(every=True)]).violations
    assert [getattr(each, "position", None) for each in violation.records] == [
        receipt.position,
        0,
    ]


# --- what is noted --------------------------------------------------------------------------------


async def test_a_client_asks_for_what_it_wrote_and_saw() -> None:
    clock = FakeClock()
    async with opened(clock) as runtime:
        recording = record(runtime)
        ann, bob = recording.client("ann"), recording.client("bob")
        await ann.execute(ACCOUNT, "a", Deposit(1))
        asked = asyncio.create_task(ann.query(BALANCES, "a", replica=3, timeout=60))
        assert (await bob.query(BALANCES, "a", replica=3)).row is None
        await clock.advance(4)
        row = (await asked).row
        assert row is not None
        assert row.balance == 1
        assert (ann.position, bob.position) == (1, 0)
        history = await recording.finish(final_rows=0)
    (his, hers) = history.queries
    assert (his.asked, his.asked_position, his.position) == ("session", 0, 0)
    assert (hers.asked, hers.asked_position, hers.position) == ("session", 1, 1)


async def test_each_consistency_is_noted_as_it_was_asked() -> None:
    async def ask(ann: Client) -> None:
        for consistency in (Eventual(), AtLeast(Position(1)), Strong()):
            await ann.query(
                BALANCES, "a", replica=3, consistency=consistency, timeout=0.1, on_timeout="stale"
            )
        with pytest.raises(NotFreshEnough):
            await ann.query(BALANCES, replica=3, consistency=Strong(), timeout=0.1, cut="x")

    clock = FakeClock()
    async with opened(clock) as runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        await ann.execute(ACCOUNT, "a", Deposit(1))
        asking = asyncio.create_task(ask(ann))
        await clock.advance(0.5)
        await asking
        history = await recording.finish(final_rows=0)
    told = [(each.asked, each.asked_position, each.stale) for each in history.queries]
    assert told == [
        ("eventual", None, False),
        ("at_least", 1, True),
        ("strong", None, True),
        ("strong", None, False),
    ]
    last = history.queries[-1]
    assert (last.outcome, last.cut) == ("fail", "x")
    assert str(last.error).startswith("NotFreshEnough: ")


async def test_a_refusal_is_a_failure_and_a_command_without_events_is_none() -> None:
    async with opened() as runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        with pytest.raises(CommandRejected):
            await ann.execute(ACCOUNT, "a", Withdraw(1))
        await ann.execute(ACCOUNT, "a", Look(), command_id="mine")
        with pytest.raises(TypeError):
            await ann.execute(ACCOUNT, "a", "nonsense")  # type: ignore[misc]
        history = await recording.finish()
    told = [(each.command, each.outcome, each.version) for each in history.commands]
    assert told == [("Withdraw", "fail", None), ("Look", "ok", 0), ("str", "fail", None)]
    assert history.commands[1].id == "mine"
    assert check(history).ok


async def test_a_cancelled_command_has_an_unknown_outcome_and_is_found_in_the_log_by_its_id() -> (
    None
):
    store = StagedEventStore()
    store.held = True
    runtime = open_on(store, deciders=[ACCOUNT], projections=[BALANCES], clock=FakeClock())
    async with runtime:
        recording = record(runtime)
        sending = asyncio.create_task(recording.client("ann").execute(ACCOUNT, "a", Deposit(1)))
        await rest()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        store.held = False
        store.end()
        await recording.settle()
        history = await recording.finish()
    (command,) = history.commands
    assert (command.outcome, command.error) == ("info", "CancelledError")
    assert [event.command_id for event in history.log] == [command.id]
    assert check(history).ok


async def test_what_is_under_way_at_the_end_is_there_with_an_unknown_outcome() -> None:
    async with opened() as runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        await ann.execute(ACCOUNT, "a", Deposit(1))
        waiting = asyncio.create_task(ann.query(BALANCES, "a", replica=3, timeout=60))
        await rest()
        history = await recording.finish(final_rows=0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert [(each.outcome, each.end) for each in history.queries] == [("info", None)]


async def test_times_never_stand_still() -> None:
    async with opened() as runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        for _ in range(3):
            await ann.execute(ACCOUNT, "a", Deposit(1))
            await ann.query(BALANCES, "a")
        history = await recording.finish()
    operations = [*history.commands, *history.queries]
    moments = [each.start for each in operations] + [each.end or 0 for each in operations]
    assert len(set(moments)) == len(moments)
    assert max(moments) < 1e-6


async def test_replicas_that_stood_further_are_told(tmp_path: Path) -> None:
    def again() -> Runtime:
        return Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT], projections=[BALANCES])

    async with again() as runtime:
        await runtime.execute(ACCOUNT, "a", Split((1, 2, 3)))
        await runtime.settle()
    async with again() as runtime:
        recording = record(runtime)
        await recording.client("ann").execute(ACCOUNT, "a", Deposit(1))
        await recording.settle()
        history = await recording.finish()
    assert history.replicas == {"balances/1": 3}
    assert len(history.log) == 4
    check(history).raise_for_violations()


async def test_after_a_restart_the_history_goes_on(tmp_path: Path) -> None:
    def again() -> Runtime:
        return Runtime.open(tmp_path / "bank.db", deciders=[ACCOUNT], projections=[BALANCES])

    async with again() as runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        await ann.execute(ACCOUNT, "a", Deposit(1))
        await recording.settle()
        await recording.finish()
    recording.crashed("one")
    async with again() as runtime:
        recording.watch(runtime, node="")
        await ann.execute(ACCOUNT, "a", Deposit(1))
        await ann.query(BALANCES, "a")
        await recording.settle()
        history = await recording.finish()
    assert len(history.log) == 2
    assert [type(each) for each in history.moves] == [Applied, Restarted, Applied]
    assert len(history.crashes) == 1
    check(history).raise_for_violations()


async def test_a_projection_that_restarts_is_told() -> None:
    rows, clock = StagedReadStores(), FakeClock()
    runtime = open_on(
        MemoryEventStore(Random(1)), rows, deciders=[ACCOUNT], projections=[BALANCES], clock=clock
    )
    async with runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        await ann.execute(ACCOUNT, "a", Deposit(1))
        await recording.settle()
        rows.stores["balances/1"].fail_after.append(OSError("the disk is gone"))
        await ann.execute(ACCOUNT, "a", Deposit(1))
        await clock.advance(10)
        await ann.execute(ACCOUNT, "a", Deposit(1))
        await recording.settle()
        history = await recording.finish()
    told = [
        each.position if isinstance(each, Applied) else each.checkpoints for each in history.moves
    ]
    # It had written position 2 when it failed, and nobody was told.
    assert told == [1, {"balances/1": None}, 3]
    check(history).raise_for_violations()


async def test_a_runtime_that_is_not_open_can_not_be_recorded() -> None:
    runtime = opened()
    with pytest.raises(ValueError, match="is not open"):
        record(runtime)
    async with runtime:
        pass
    with pytest.raises(ValueError, match="is not open"):
        record(runtime)


async def test_a_recording_leaves_nothing_behind_in_the_runtime() -> None:
    async with opened() as runtime:
        before = [len(runtime.projection(BALANCES, n).on_advance) for n in (1, 2, 3)]
        recording = record(runtime)
        with note_calls(recording, runtime):
            assert "execute" in vars(runtime)
        await recording.finish()
        assert [len(runtime.projection(BALANCES, n).on_advance) for n in (1, 2, 3)] == before
        assert not {"execute", "execute_many", "query", "settle"} & vars(runtime).keys()


# --- code that knows nothing of a recording -------------------------------------------------------


async def test_every_call_on_a_runtime_is_noted_and_each_task_is_a_session() -> None:
    async def somebody(runtime: Runtime) -> None:
        await runtime.execute(ACCOUNT, "a", Deposit(1), command_id="c1")
        await runtime.query(BALANCES, "a")
        await runtime.query(BALANCES, order_by="-balance", consistency=Strong())

    clock = FakeClock()
    async with opened(clock) as runtime:
        recording = record(runtime)
        with note_calls(recording, runtime):
            await asyncio.gather(
                asyncio.create_task(somebody(runtime), name="tests.somebody"),
                asyncio.create_task(runtime.execute(ACCOUNT, "a", Deposit(1)), name="somebody"),
            )
            commands: list[tuple[str, Command]] = [
                ("b", Deposit(1)),
                ("a", Withdraw(99)),
                ("b", Deposit(2)),
            ]
            outcomes = await runtime.execute_many(ACCOUNT, commands)
            settling = asyncio.create_task(runtime.settle())
            await clock.advance(10)
            assert await settling == 4
        history = await recording.finish(final_rows=0)
    assert isinstance(outcomes[1], CommandRejected)
    sessions = [each.session for each in history.commands]
    assert set(sessions[:2]) == {"somebody#1", "somebody#2"}
    assert len({*sessions[2:]}) == 1
    assert [each.asked for each in history.queries] == ["eventual", "strong"]
    told = [(each.command, each.outcome) for each in history.commands[-3:]]
    assert told == [("Deposit", "ok"), ("Withdraw", "fail"), ("Deposit", "ok")]
    assert [each.head for each in history.settled] == [4]
    check(history).raise_for_violations()


async def test_what_becomes_of_many_commands_is_unknown_where_their_caller_left() -> None:
    def commands() -> Iterator[tuple[str, Deposit]]:
        yield "a", Deposit(1)
        yield "", Deposit(2)

    async with opened() as runtime:
        recording = record(runtime)
        with note_calls(recording, runtime), pytest.raises(ValueError, match="id"):
            await runtime.execute_many(ACCOUNT, commands())
        history = await recording.finish()
    assert [each.outcome for each in history.commands] == ["info", "info"]


# --- a system that lies is caught -----------------------------------------------------------------


class Lying(MemoryReadStore):
    """Rows that are lost while the checkpoint moves on: what a crash leaves where it is written first."""

    async def put(self, changes: Mapping[Any, Any], position: Position) -> None:
        await super().put({} if position == 2 else changes, position)


class Twice(MemoryReadStore):
    """Rows that count the second event double: what applying a duplicate does."""

    async def put(self, changes: Mapping[Any, Any], position: Position) -> None:
        if position == 2 and self.view is PROBE:
            twice = {
                key: type(row)(row.stream, [*row.positions, 2], [*row.versions, 2])
                for key, row in changes.items()
            }
            changes = twice
        await super().put(changes, position)


class Early(MemoryReadStore):
    """A checkpoint that is told one position before its rows are there."""

    async def select(self, query: Any) -> tuple[Position, list[Any]]:
        position, rows = await super().select(query)
        return Position(position + 1), rows


@contextmanager
def lies(store: Callable[[View[Any, Any, Any]], ReadStore], replica: int) -> Iterator[Any]:
    async def factory(view: View[Any, Any, Any], number: int, database_id: str) -> ReadStore:
        return store(view) if number == replica else MemoryReadStore(view)

    yield factory


@pytest.mark.parametrize(
    ("store", "broken"),
    [
        (MemoryReadStore, []),
        (Lying, ["exactly_once", "convergence", "value_oracle"]),
        (Twice, ["exactly_once", "convergence", "value_oracle"]),
        (
            Early,
            ["commit_order", "writes_follow_reads", "exactly_once", "convergence", "value_oracle"],
        ),
    ],
)
async def test_a_tampered_read_store_is_caught_by_its_values(
    store: type[MemoryReadStore], broken: list[str]
) -> None:
    with lies(store, replica=2) as factory:
        runtime = open_on(
            MemoryEventStore(Random(1)),
            factory,
            deciders=[ACCOUNT],
            projections=[BALANCES.replicas(2), PROBE.replicas(2)],
            clock=FakeClock(),
        )
        async with runtime:
            recording = record(runtime)
            ann = recording.client("ann")
            for _ in range(3):
                await ann.execute(ACCOUNT, "a", Deposit(1))
                await recording.settle()
                for replica in (1, 2):
                    await ann.query(BALANCES, "a", replica=replica, consistency=Eventual())
                    await ann.query(PROBE, replica=replica, consistency=Eventual())
            history = await recording.finish(final_rows=0)
    report = check(history)
    assert failed(report) == broken
    for violation in report.violations:
        assert any(
            isinstance(each, Queried) and str(each.replica).endswith("/2")
            for each in violation.records
        )


def test_all_rules_have_names_of_their_own() -> None:
    assert len({rule.name for rule in ALL}) == len(ALL)
