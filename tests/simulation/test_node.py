"""Nodes: a crash leaves nothing running and nothing half done; a power loss takes back what was not flushed."""

import asyncio
import gc
import sqlite3
import warnings
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import pytest

from aftertide.simulation.errors import NodeCrashed, NodeDown, NoProgress
from aftertide.simulation.incarnation import CURRENT
from aftertide.simulation.power import commit_ends
from aftertide.simulation.schedule import POLICIES, Policy
from aftertide.simulation.sqlite import Latency
from aftertide.simulation.tape import Address, Tape
from aftertide.simulation.world import Simulation

Main = Callable[[Simulation], Awaitable[Any]]


def run(main: Main, seed: int = 0, **options: Any) -> Any:
    async def body(simulation: Simulation) -> Any:
        return await main(simulation)

    return Simulation(seed, **options).run(body)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


# --- crash


@pytest.mark.parametrize("policy", POLICIES)
def test_a_crash_runs_no_finally_and_no_timer_and_no_callback_of_the_node(policy: Policy) -> None:
    after: list[str] = []
    at_the_end: list[str] = ["not reached"]

    async def main(simulation: Simulation) -> None:
        simulation.loop.on_close.append(lambda: at_the_end.__setitem__(slice(None), after))

        async def generate() -> AsyncIterator[int]:
            try:
                yield 1
                await forever()
            finally:
                after.append("generator")

        async def serve() -> None:
            loop = asyncio.get_running_loop()
            loop.call_later(2, after.append, "timer")

            async def child() -> None:
                try:
                    async for _ in generate():
                        await asyncio.sleep(5)
                finally:
                    after.append("child")

            async with anyio.create_task_group() as group:
                group.start_soon(child)
                try:
                    with anyio.move_on_after(3):
                        await forever()
                except BaseException:
                    after.append("except")
                    raise
                finally:
                    after.append("finally")

        node = simulation.node("a", serve)
        node.start()
        await simulation.sleep(1)
        node.crash()
        await simulation.sleep(10)
        gc.collect()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main, policy=policy)
    assert at_the_end == []


def test_the_dead_are_gone_after_the_world_has_ended() -> None:
    alive: list[weakref.ref[Any]] = []

    class Memory:
        pass

    async def main(simulation: Simulation) -> None:
        async def serve() -> None:
            memory = Memory()
            alive.append(weakref.ref(memory))
            alive.append(weakref.ref(asyncio.current_task()))
            with anyio.CancelScope():
                await forever()

        node = simulation.node("a", serve)
        for _ in range(3):
            node.start()
            await simulation.sleep(1)
            node.crash()

    run(main)
    gc.collect()
    assert [reference() for reference in alive] == [None] * 6


def test_a_dead_node_does_not_keep_the_clock_running_or_hide_a_deadlock() -> None:
    async def main(simulation: Simulation) -> None:
        async def serve() -> None:
            while True:
                await asyncio.sleep(1)

        node = simulation.node("a", serve)
        node.start()
        await simulation.sleep(5.5)
        node.crash()
        await forever()

    simulation = Simulation()

    async def body(simulation: Simulation) -> None:
        await main(simulation)

    with pytest.raises(NoProgress):
        simulation.run(body)
    assert simulation.loop.time() == 5.5


def test_a_signal_from_outside_wakes_nobody_in_a_dead_node() -> None:
    woken: list[str] = []

    async def main(simulation: Simulation) -> None:
        event = asyncio.Event()

        async def serve() -> None:
            await event.wait()
            woken.append("woken")

        node = simulation.node("a", serve)
        node.start()
        await simulation.sleep(1)
        node.crash()
        event.set()
        await simulation.sleep(1)

    run(main)
    assert woken == []


def test_a_node_that_crashes_itself_goes_no_further_than_its_next_await() -> None:
    log: list[str] = []

    async def main(simulation: Simulation) -> None:
        async def serve() -> None:
            try:
                log.append("before")
                simulation.nodes["a"].crash()
                log.append("the step ends")
                await asyncio.sleep(0)
                log.append("after")
            finally:
                log.append("finally")

        simulation.node("a", serve).start()
        await simulation.sleep(1)
        assert log == ["before", "the step ends"]

    run(main)


def test_a_restart_runs_main_again_with_nothing_of_before() -> None:
    async def main(simulation: Simulation) -> list[int]:
        seen: list[int] = []

        async def serve() -> None:
            incarnation = CURRENT.get()
            assert incarnation is not None
            seen.append(incarnation.number)
            await forever()

        node = simulation.node("a", serve)
        node.start()
        for _ in range(3):
            await simulation.sleep(1)
            node.crash()
            node.crash()
            node.restart()
        with pytest.raises(ValueError, match="is up already"):
            node.start()
        await simulation.sleep(1)
        assert node.is_up
        return seen

    assert run(main) == [1, 2, 3, 4]


# --- what comes in from outside


def test_a_call_is_answered_by_the_node_or_by_its_crash() -> None:
    async def main(simulation: Simulation) -> None:
        node = simulation.node("a", forever)

        async def serve(seconds: float) -> float:
            await asyncio.sleep(seconds)
            if seconds == 2:
                raise KeyError("from inside")
            return seconds

        with pytest.raises(NodeDown, match="'a' is down"):
            await node.call(serve, 1)
        node.start()
        assert await node.call(serve, 1) == 1
        with pytest.raises(KeyError, match="from inside"):
            await node.call(serve, 2)
        asyncio.get_running_loop().call_later(5, node.crash)
        with pytest.raises(NodeCrashed, match="unknown"):
            await node.call(serve, 60)
        assert simulation.loop.time() == 8

    run(main)


def test_a_caller_that_leaves_cancels_what_it_called() -> None:
    log: list[str] = []

    async def main(simulation: Simulation) -> None:
        node = simulation.node("a", forever)
        node.start()

        async def serve() -> None:
            try:
                await forever()
            except asyncio.CancelledError:
                log.append("cancelled")
                raise

        with anyio.move_on_after(1):
            await node.call(serve)
        await simulation.sleep(1)
        assert log == ["cancelled"]

    run(main)


def test_what_main_raises_is_not_lost() -> None:
    async def fail() -> None:
        raise KeyError("main")

    async def main(simulation: Simulation) -> None:
        node = simulation.node("a", fail)
        node.start()
        await simulation.sleep(1)
        assert not node.is_up

    with pytest.raises(KeyError, match="main") as caught:
        run(main)
    assert "node 'a'" in caught.value.__notes__[0]

    async def looks(simulation: Simulation) -> None:
        node = simulation.node("a", fail)
        node.start()
        with pytest.raises(KeyError):
            await node.wait_stopped()

    run(looks)


def test_each_node_reads_its_own_clock() -> None:
    async def main(simulation: Simulation) -> tuple[float, float]:
        times: list[float] = []

        async def serve() -> None:
            times.append(simulation.clock.time())
            await forever()

        late, early = simulation.node("late", serve), simulation.node("early", serve)
        late.skew_clock(-3600)
        late.start()
        await simulation.sleep(1)
        early.start()
        await simulation.sleep(1)
        return times[1] - times[0], simulation.clock.time() - times[1]

    assert run(main) == (3601.0, 1.0)


# --- files


def test_a_crash_rolls_back_and_lets_go_of_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def main(simulation: Simulation) -> list[int]:
        async def serve() -> None:
            async with aiosqlite.connect(path, timeout=0) as connection:
                await connection.execute("PRAGMA journal_mode = WAL")
                await connection.execute("CREATE TABLE IF NOT EXISTS t (n)")
                await connection.commit()
                await connection.execute("INSERT INTO t VALUES (1)")
                await connection.commit()
                cursor = await connection.execute("SELECT * FROM t")
                await cursor.fetchone()  # a statement that is not finished
                await connection.execute("INSERT INTO t VALUES (2)")
                await forever()

        node = simulation.node("a", serve)
        for _ in range(3):
            node.start()
            await simulation.sleep(1)
            node.crash()
        async with aiosqlite.connect(path, timeout=0) as connection:
            await connection.execute("BEGIN IMMEDIATE")
            return [row[0] for row in await connection.execute_fetchall("SELECT n FROM t")]

    for lockstep in (False, True):
        path.unlink(missing_ok=True)
        assert run(main, lockstep=lockstep) == [1, 1, 1]


def test_a_crash_between_commit_and_answer_keeps_the_commit(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def slow(simulation: Simulation) -> int:
        async def serve() -> None:
            async with aiosqlite.connect(path) as connection:
                await connection.execute("CREATE TABLE t (n)")
                await connection.execute("INSERT INTO t VALUES (1)")
                simulation.sqlite.latency = Latency(before=(0, 0), after=(1, 1))
                await connection.commit()
                raise AssertionError("the answer came")

        node = simulation.node("a", serve)
        node.start()
        await simulation.sleep(0.5)
        node.crash()
        await simulation.sleep(5)
        with sqlite3.connect(path) as after:
            count: int = after.execute("SELECT count(*) FROM t").fetchone()[0]
        after.close()
        return count

    assert run(slow) == 1


def test_a_connection_that_outlives_its_node_has_nothing_left_to_close(tmp_path: Path) -> None:
    kept: list[aiosqlite.Connection] = []

    async def main(simulation: Simulation) -> None:
        async def serve() -> None:
            kept.append(await aiosqlite.connect(tmp_path / "a.db"))
            await forever()

        node = simulation.node("a", serve)
        node.start()
        await simulation.sleep(1)
        node.crash()

    run(main)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        kept.clear()
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


# --- power


def _write_commits(path: Path, synchronous: str, simulation: Simulation) -> Callable[[], Any]:
    async def serve() -> None:
        async with aiosqlite.connect(path, isolation_level=None) as connection:
            await connection.execute("PRAGMA journal_mode = WAL")
            await connection.execute(f"PRAGMA synchronous = {synchronous}")
            await connection.execute("CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)")
            for _ in range(5):
                await connection.execute("INSERT INTO t DEFAULT VALUES")
            await connection.execute("BEGIN")
            await connection.execute("INSERT INTO t DEFAULT VALUES")
            await forever()

    return serve


def _rows_after_power_loss(
    path: Path, seed: int, synchronous: str, *, lying_disk: bool = False, tape: Tape | None = None
) -> list[int]:
    path.unlink(missing_ok=True)

    async def main(simulation: Simulation) -> list[int]:
        node = simulation.node("a", _write_commits(path, synchronous, simulation))
        node.start()
        await simulation.sleep(1)
        lost = node.power_loss(lying_disk=lying_disk)
        async with aiosqlite.connect(path) as connection:
            tables = await connection.execute_fetchall("SELECT name FROM sqlite_master")
            rows = list(tables) and await connection.execute_fetchall("SELECT n FROM t")
            found = [row[0] for row in rows]
        assert len(found) == max(0, 5 - lost[str(path)])
        return found

    found: list[int] = run(main, seed, tape=tape)
    return found


def test_with_full_durability_no_commit_is_lost(tmp_path: Path) -> None:
    for seed in range(10):
        assert _rows_after_power_loss(tmp_path / "a.db", seed, "FULL") == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("synchronous", "lying_disk"), [("NORMAL", False), ("OFF", False), ("FULL", True)]
)
def test_without_it_an_older_commit_comes_back_whole(
    tmp_path: Path, synchronous: str, lying_disk: bool
) -> None:
    states = {
        tuple(_rows_after_power_loss(tmp_path / "a.db", seed, synchronous, lying_disk=lying_disk))
        for seed in range(40)
    }
    assert states == {tuple(range(1, count + 1)) for count in range(6)}


def test_what_the_power_loss_takes_is_a_decision_like_any_other(tmp_path: Path) -> None:
    tape = Tape(0, {Address("power loss", "a/a.db", 0): 2}, otherwise="default")
    assert _rows_after_power_loss(tmp_path / "a.db", 0, "NORMAL", tape=tape) == [1, 2, 3]
    dull = Tape(0, otherwise="default")
    assert _rows_after_power_loss(tmp_path / "a.db", 0, "NORMAL", tape=dull) == [1, 2, 3, 4, 5]


def test_what_a_checkpoint_has_flushed_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def main(simulation: Simulation) -> int:
        async def serve() -> None:
            async with aiosqlite.connect(path, isolation_level=None) as connection:
                await connection.execute("PRAGMA journal_mode = WAL")
                await connection.execute("PRAGMA synchronous = NORMAL")
                await connection.execute("CREATE TABLE t (n)")
                await connection.execute("INSERT INTO t VALUES (1)")
                await connection.execute_fetchall("PRAGMA wal_checkpoint(RESTART)")
                await connection.execute("INSERT INTO t VALUES (2)")
                await forever()

        node = simulation.node("a", serve)
        node.start()
        await simulation.sleep(1)
        assert len(commit_ends((path.with_name("a.db-wal")).read_bytes())) == 1
        node.power_loss()
        async with aiosqlite.connect(path) as connection:
            rows = await connection.execute_fetchall("SELECT count(*) FROM t")
            return int(next(iter(rows))[0])

    counts = []
    for seed in range(10):
        for leftover in tmp_path.iterdir():
            leftover.unlink()
        counts.append(run(main, seed))
    assert set(counts) == {1, 2}


def test_a_power_loss_needs_the_file_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.db"

    async def main(simulation: Simulation) -> None:
        node = simulation.node("a", _write_commits(path, "NORMAL", simulation))
        node.start()
        await simulation.sleep(1)
        async with aiosqlite.connect(path):
            with pytest.raises(ValueError, match="same machine"):
                node.power_loss()
            assert node.is_up
        node.power_loss()

    run(main)
