"""The production runtime in the simulation: SQLite files, projections and lag, in virtual time from a seed."""

import asyncio
import sqlite3
from pathlib import Path

from aftertide import AtLeast, Runtime
from aftertide.simulation.errors import NodeCrashed
from aftertide.simulation.tape import Tape
from aftertide.simulation.world import Simulation

from . import worlds
from .worlds import ACCOUNT, BALANCES, Deposit, open_bank


def test_lags_of_minutes_pass_in_virtual_time() -> None:
    simulation = worlds.bank(1)
    assert 20 < simulation.loop.time() < 600


def test_a_recorded_run_of_the_runtime_is_replayed_from_its_file(tmp_path: Path) -> None:
    simulation = worlds.bank(4)
    simulation.save(tmp_path / "run.json")
    again = worlds.bank(4, tape=Tape.load(tmp_path / "run.json"))
    assert again.trace.difference(simulation.trace) is None


def test_a_receipt_is_durable_whenever_the_node_crashes() -> None:
    """Commands on a node that is killed again and again; what was acknowledged is there at the end."""

    async def main(simulation: Simulation) -> tuple[int, int, int]:
        opened: list[Runtime] = []

        async def serve() -> None:
            async with open_bank(simulation) as runtime:
                opened.append(runtime)
                await asyncio.get_running_loop().create_future()

        async def deposit() -> None:
            await opened[-1].execute(ACCOUNT, "ann", Deposit(1))

        node = simulation.node("bank", serve)
        node.start()
        acknowledged = unknown = 0
        for number in range(6):
            while not opened:
                await simulation.sleep(0.001)
            asyncio.get_running_loop().call_later(
                simulation.tape.draw("crash", 0.0, 0.006, actor=str(number)), node.crash
            )
            try:
                await node.call(deposit)
                acknowledged += 1
            except NodeCrashed:
                unknown += 1
            await simulation.sleep(0.01)
            opened.clear()
            node.restart()
        while not opened:
            await simulation.sleep(0.001)

        async def balance() -> int:
            runtime = opened[-1]
            answer = await runtime.query(
                BALANCES, "ann", consistency=AtLeast(runtime.head), timeout=3_600
            )
            return 0 if answer.row is None else answer.row.balance

        return acknowledged, unknown, await node.call(balance)

    seen = set()
    for seed in range(20):
        acknowledged, unknown, balance = Simulation(seed, guard="raise").run(main)
        assert acknowledged <= balance <= acknowledged + unknown
        seen.add((balance > acknowledged, unknown > balance - acknowledged))
    assert (True, True) in seen, (
        "no run with commits that nobody heard of and commands that were lost"
    )


def test_after_a_power_loss_read_stores_catch_up_from_the_log() -> None:
    """Read stores are flushed now and then only: they come back older than the log, and are folded on."""
    lost_commits = set()

    async def main(simulation: Simulation) -> list[tuple[str, int]]:
        opened: list[Runtime] = []

        async def serve() -> None:
            async with open_bank(simulation) as runtime:
                opened.append(runtime)
                await asyncio.get_running_loop().create_future()

        async def work() -> None:
            for _ in range(4):
                await opened[-1].execute(ACCOUNT, "ann", Deposit(1))
                await opened[-1].settle()

        node = simulation.node("bank", serve)
        node.start()
        while not opened:
            await simulation.sleep(0.001)
        await node.call(work)
        lost = node.power_loss()
        opened.clear()
        node.restart()
        while not opened:
            await simulation.sleep(0.001)
        await node.call(opened[-1].settle)
        node.crash()
        found = []
        for path in sorted((simulation.folder / "bank.views").glob("*.db")):
            with sqlite3.connect(path) as rows:
                found.append(
                    (path.name, rows.execute("SELECT balance FROM balances").fetchone()[0])
                )
            rows.close()
        assert lost[str(simulation.folder / "bank.db")] == 0
        lost_commits.add(sum(lost.values()))
        return found

    for seed in range(10):
        found = Simulation(seed, guard="raise").run(main)
        assert found == [("balances-2.db", 4), ("balances.db", 4)]
    assert len(lost_commits) > 3, lost_commits


def test_the_runtime_in_memory_runs_too_and_fast() -> None:
    async def main(simulation: Simulation) -> list[int]:
        async with Runtime.open(
            deciders=[ACCOUNT],
            projections=[BALANCES],
            clock=simulation.clock,
            seed=simulation.seed_for("runtime"),
        ) as runtime:
            return await worlds.use_bank(simulation, runtime)

    for seed in range(20):
        assert Simulation(seed, guard="raise").run(main) == [6, 6, 6]
