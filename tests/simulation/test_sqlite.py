"""aiosqlite in virtual time: user code unchanged, one order, locks that are waited for, nothing left behind."""

import asyncio
import gc
import sqlite3
import threading
import warnings
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import pytest

from aftertide.simulation.sqlite import Latency
from aftertide.simulation.tape import Address, Tape
from aftertide.simulation.world import Simulation

from . import worlds

Main = Callable[[Simulation], Awaitable[Any]]


def run(main: Main, seed: int = 0, **options: Any) -> Any:
    async def body(simulation: Simulation) -> Any:
        return await main(simulation)

    return Simulation(seed, **options).run(body)


@pytest.fixture(params=[False, True], ids=["inline", "lockstep"])
def lockstep(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_the_usual_aiosqlite_code_runs_as_it_is(tmp_path: Path, lockstep: bool) -> None:
    async def main(simulation: Simulation) -> list[tuple[int, str]]:
        async with aiosqlite.connect(tmp_path / "plain.db") as connection:
            connection.row_factory = None
            await connection.execute("CREATE TABLE t (n INTEGER, s TEXT)")
            await connection.executemany("INSERT INTO t VALUES (?, ?)", [(1, "a"), (2, "b")])
            await connection.commit()
            async with connection.execute("SELECT n, s FROM t ORDER BY n DESC") as cursor:
                return [(row[0], row[1]) async for row in cursor]

    assert run(main, lockstep=lockstep) == [(2, "b"), (1, "a")]


def test_no_thread_is_started_and_time_passes_for_each_call(tmp_path: Path) -> None:
    before = threading.active_count()

    async def main(simulation: Simulation) -> float:
        async with aiosqlite.connect(tmp_path / "plain.db") as connection:
            assert threading.active_count() == before
            await connection.execute("SELECT 1")
        return simulation.loop.time()

    latency = Latency(before=(0.5, 0.5), after=(0.25, 0.25))
    assert run(main, latency=latency) == pytest.approx(4 * 0.75)  # open, execute, close, stop


def test_errors_come_back_as_the_ones_of_sqlite(tmp_path: Path, lockstep: bool) -> None:
    async def main(simulation: Simulation) -> None:
        async with aiosqlite.connect(tmp_path / "plain.db") as connection:
            with pytest.raises(sqlite3.OperationalError, match="no such table"):
                await connection.execute("SELECT * FROM missing")
        with pytest.raises(ValueError, match=r"no active connection|Connection closed"):
            await connection.execute("SELECT 1")

    run(main, lockstep=lockstep)


def test_calls_of_one_connection_keep_their_order_and_of_two_do_not(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> tuple[list[str], list[str]]:
        paths = (tmp_path / "one.db", tmp_path / "two.db")
        async with aiosqlite.connect(paths[0]) as one, aiosqlite.connect(paths[1]) as two:
            log: list[str] = []

            for number in range(10):
                for name, connection in (("one", one), ("two", two)):
                    connection._tx.put_nowait((None, partial(log.append, f"{name} {number}")))
            await simulation.sleep(1)
            return [e for e in log if e.startswith("one")], log

    logs = []
    for seed in range(10):
        of_one, log = run(main, seed)
        assert of_one == [f"one {number}" for number in range(10)]
        logs.append(tuple(log))
    assert len(set(logs)) > 5


def test_no_call_is_made_before_its_moment_nor_before_the_moment_of_the_one_ahead(
    tmp_path: Path,
) -> None:
    async def main(simulation: Simulation) -> list[float]:
        async with aiosqlite.connect(tmp_path / "plain.db") as connection:
            began = simulation.loop.time()
            made: list[float] = []
            for _ in range(2):
                request = (None, lambda: made.append(simulation.loop.time() - began))
                connection._tx.put_nowait(request)
            await simulation.sleep(10)
            return made

    moments = {
        Address("sqlite.before", "plain.db", 0): 2.0,
        Address("sqlite.before", "plain.db", 1): 1.0,
    }
    assert run(main, tape=Tape(0, moments)) == [2.0, 2.0]


def test_the_answer_comes_after_the_effect_and_others_see_it_meanwhile(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> int:
        async with aiosqlite.connect(tmp_path / "plain.db") as writer:
            await writer.execute("PRAGMA journal_mode = WAL")
            await writer.execute("CREATE TABLE t (n)")
            await writer.execute("INSERT INTO t VALUES (1)")
            commit = asyncio.create_task(writer.commit())
            await simulation.sleep(0.5)
            with sqlite3.connect(tmp_path / "plain.db") as other:
                seen: int = other.execute("SELECT count(*) FROM t").fetchone()[0]
            other.close()
            assert not commit.done(), "committed, and nobody knows it yet"
            await commit
            return seen

    assert run(main, latency=Latency(before=(0.0, 0.0), after=(1.0, 1.0))) == 1


def test_a_request_with_a_function_straight_to_the_queue_is_served(
    tmp_path: Path, lockstep: bool
) -> None:
    async def main(simulation: Simulation) -> Any:
        async with aiosqlite.connect(tmp_path / "plain.db") as connection:
            future = asyncio.get_running_loop().create_future()
            raw = connection._connection
            assert raw is not None
            connection._tx.put_nowait((future, lambda: raw.execute("SELECT 42").fetchone()[0]))
            return await future

    assert run(main, lockstep=lockstep) == 42


# --- locks


def test_a_writer_waits_in_virtual_time_for_the_lock_of_another(
    tmp_path: Path, lockstep: bool
) -> None:
    async def main(simulation: Simulation) -> float:
        path = tmp_path / "plain.db"
        async with aiosqlite.connect(path) as first, aiosqlite.connect(path) as second:
            await first.execute("PRAGMA journal_mode = WAL")
            await first.execute("CREATE TABLE t (n)")
            await first.commit()
            await first.execute("BEGIN IMMEDIATE")
            began = simulation.loop.time()
            async with anyio.create_task_group() as group:
                group.start_soon(second.execute, "INSERT INTO t VALUES (2)")
                await simulation.sleep(2.0)
                await first.execute("INSERT INTO t VALUES (1)")
                await first.commit()
            await second.commit()
            rows = list(await first.execute_fetchall("SELECT n FROM t ORDER BY rowid"))
            assert [row[0] for row in rows] == [1, 2]
            return simulation.loop.time() - began

    assert 2.0 < run(main, lockstep=lockstep) < 2.3


@pytest.mark.parametrize("how", ["argument", "pragma"])
def test_a_lock_that_is_kept_too_long_ends_the_wait_after_the_busy_timeout(
    tmp_path: Path, how: str
) -> None:
    async def main(simulation: Simulation) -> float:
        path = tmp_path / "plain.db"
        timeout = 3.0 if how == "argument" else 60.0
        async with (
            aiosqlite.connect(path) as first,
            aiosqlite.connect(path, timeout=timeout) as second,
        ):
            if how == "pragma":
                await second.execute("PRAGMA busy_timeout = 3000")
            await first.execute("CREATE TABLE t (n)")
            await first.execute("BEGIN EXCLUSIVE")
            began = simulation.loop.time()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                await second.execute("INSERT INTO t VALUES (2)")
            waited = simulation.loop.time() - began
            await first.rollback()
            return waited

    assert run(main) == pytest.approx(3.0, abs=0.1)


def test_a_snapshot_that_is_too_old_fails_at_once_as_in_sqlite(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> float:
        path = tmp_path / "plain.db"
        async with (
            aiosqlite.connect(path, isolation_level=None) as first,
            aiosqlite.connect(path, isolation_level=None) as second,
        ):
            await first.execute("PRAGMA journal_mode = WAL")
            await first.execute("CREATE TABLE t (n)")
            await second.execute("BEGIN")
            await second.execute_fetchall("SELECT * FROM t")
            await first.execute("INSERT INTO t VALUES (1)")
            began = simulation.loop.time()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                await second.execute("INSERT INTO t VALUES (2)")
            await second.execute("ROLLBACK")
            return simulation.loop.time() - began

    assert run(main) < 0.1


def test_a_call_that_left_its_mark_before_it_met_the_lock_is_not_made_twice(tmp_path: Path) -> None:
    async def main(simulation: Simulation) -> list[int]:
        one, two = tmp_path / "one.db", tmp_path / "two.db"
        async with aiosqlite.connect(one, isolation_level=None) as a, aiosqlite.connect(two) as b:
            await b.execute("CREATE TABLE u (n)")
            await b.commit()
            await a.execute("CREATE TABLE t (n)")
            await a.execute("ATTACH ? AS other", (str(two),))
            await b.execute("BEGIN EXCLUSIVE")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                await a.executescript("INSERT INTO t VALUES (1); INSERT INTO other.u VALUES (1);")
            await b.rollback()
            return [row[0] for row in await a.execute_fetchall("SELECT count(*) FROM t")]

    assert run(main) == [1]


# --- the two ways check each other


@pytest.mark.parametrize("world", [worlds.writers, worlds.bank])
def test_a_real_thread_in_lock_step_takes_the_same_way(
    world: Callable[..., Simulation],
) -> None:
    for seed in range(3):
        inline, real = world(seed), world(seed, lockstep=True)
        assert inline.trace.difference(real.trace) is None
        assert inline.trace.digest() == real.trace.digest()


# --- ends


def test_a_connection_left_open_hangs_nothing_and_warns_as_ever(
    tmp_path: Path, lockstep: bool
) -> None:
    threads = threading.active_count()

    async def main(simulation: Simulation) -> aiosqlite.Connection:
        return await aiosqlite.connect(tmp_path / "plain.db")

    connection = run(main, lockstep=lockstep)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del connection
        gc.collect()
    if not lockstep:
        assert any("was deleted before being closed" in str(w.message) for w in caught)
    assert threading.active_count() == threads


def test_outside_a_simulation_aiosqlite_is_its_own_again(tmp_path: Path) -> None:
    run(lambda simulation: simulation.sleep(1))

    async def main() -> bool:
        async with aiosqlite.connect(tmp_path / "plain.db") as connection:
            await connection.execute("SELECT 1")
            return isinstance(connection._thread, threading.Thread)

    assert asyncio.run(main())
