"""Worlds that several tests run: by name, so that another process can run them, too."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import aiosqlite
import anyio

from aftertide import AtLeast, Decider, Lag, RecordedEvent, Runtime, View
from aftertide.simulation.errors import NodeCrashed, NodeDown
from aftertide.simulation.guards import Guard
from aftertide.simulation.node import Node
from aftertide.simulation.tape import Tape
from aftertide.simulation.world import Simulation

World = Callable[[int], Simulation]

# --- a small bank


@dataclass(frozen=True, slots=True)
class Deposit:
    amount: int


@dataclass(frozen=True, slots=True)
class Deposited:
    amount: int


@dataclass(frozen=True, slots=True)
class Balance:
    account: str
    balance: int


def decide(command: Deposit, balance: int) -> list[Deposited]:
    return [Deposited(command.amount)]


def evolve(balance: int, event: Deposited) -> int:
    return balance + event.amount


def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
    return Balance(account, (0 if row is None else row.balance) + event.event.amount)


ACCOUNT = Decider("account", 0, decide, evolve)
BALANCES = View("balances", row=Balance, key="account", apply=apply)


def open_bank(simulation: Simulation, *, replicas: int = 2) -> Runtime:
    return Runtime.open(
        simulation.folder / "bank.db",
        deciders=[ACCOUNT],
        projections=[BALANCES.replicas(replicas, lag=Lag.exponential(20.0))],
        clock=simulation.clock,
        seed=simulation.seed_for("runtime"),
    )


async def use_bank(simulation: Simulation, runtime: Runtime) -> list[int]:
    """Three clients who write, read what they find, and at the end what they wrote."""

    async def client(name: str) -> int:
        receipt = await runtime.execute(ACCOUNT, name, Deposit(1))
        for amount in (2, 3):
            receipt = await runtime.execute(ACCOUNT, name, Deposit(amount))
            await runtime.query(BALANCES, name)
            await simulation.sleep(simulation.tape.draw("think", 0.0, 30.0, actor=name))
        answer = await runtime.query(
            BALANCES, name, consistency=AtLeast(receipt.position), timeout=3_600
        )
        return 0 if answer.row is None else answer.row.balance

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client(name), name=name) for name in ("ann", "bob", "eve")]
    await runtime.settle()
    return [task.result() for task in tasks]


def bank(
    seed: int, *, lockstep: bool = False, tape: Tape | None = None, guard: Guard = "raise"
) -> Simulation:
    """The production runtime on SQLite files, with lags of tens of seconds."""
    simulation = Simulation(seed, tape=tape, lockstep=lockstep, guard=guard)

    async def main(simulation: Simulation) -> list[int]:
        async with open_bank(simulation) as runtime:
            return await use_bank(simulation, runtime)

    assert simulation.run(main) == [6, 6, 6]
    return simulation


def crashing_bank(seed: int) -> Simulation:
    """The same on a node that crashes at a drawn moment, and is started again."""
    simulation = Simulation(seed, guard="raise")
    opened: list[Runtime] = []

    async def serve() -> None:
        async with open_bank(simulation) as runtime:
            opened.append(runtime)
            await asyncio.get_running_loop().create_future()

    async def settled(node: Node) -> int:
        while not opened or not node.is_up:
            await simulation.sleep(0.001)
        return await node.call(lambda: use(opened[-1]))

    async def use(runtime: Runtime) -> int:
        receipt = await runtime.execute(ACCOUNT, "ann", Deposit(1))
        answer = await runtime.query(
            BALANCES, "ann", consistency=AtLeast(receipt.position), timeout=3_600
        )
        return 0 if answer.row is None else answer.row.balance

    async def main(simulation: Simulation) -> int:
        node = simulation.node("bank", serve)
        node.start()
        asyncio.get_running_loop().call_later(
            simulation.tape.draw("crash", 0.001, 0.05), crash, node
        )
        acknowledged = 0
        for _ in range(4):
            try:
                acknowledged = await settled(node)
            except (
                NodeDown,
                NodeCrashed,
            ):  # the node was down, or crashed meanwhile: the outcome is unknown
                await simulation.sleep(0.01)
        return acknowledged

    def crash(node: Node) -> None:
        opened.clear()
        node.crash()
        node.restart()

    assert 2 <= simulation.run(main) <= 4
    return simulation


# --- what is ordered by addresses and hashes elsewhere


def cancelled_group(seed: int) -> Simulation:
    """Twelve tasks with scopes of their own, cancelled together: anyio keeps them in sets."""
    simulation = Simulation(seed)

    async def main(simulation: Simulation) -> None:
        async def child(number: int) -> None:
            with anyio.CancelScope():
                try:
                    await anyio.sleep_forever()
                finally:
                    simulation.trace.note(f"cancelled {number}")

        async with anyio.create_task_group() as group:
            for number in range(12):
                group.start_soon(child, number)
            await simulation.sleep(1)
            group.cancel_scope.cancel()

    simulation.run(main)
    return simulation


def strings_in_a_set(seed: int) -> Simulation:
    """Not deterministic: wakes tasks in the order of a set of strings."""
    simulation = Simulation(seed)

    async def main(simulation: Simulation) -> None:
        for name in {f"name {number}" for number in range(20)}:
            simulation.trace.note(name)

    simulation.run(main)
    return simulation


def addresses(seed: int) -> Simulation:
    """Not deterministic: steers by an address."""
    simulation = Simulation(seed)

    async def main(simulation: Simulation) -> None:
        kept = [object() for _ in range(100)]
        simulation.trace.note(str(id(kept[50])))
        Simulation.kept = kept  # type: ignore[attr-defined]

    simulation.run(main)
    return simulation


def writers(seed: int, *, lockstep: bool = False) -> Simulation:
    """Two connections of plain aiosqlite that write one file, and wait for each other's locks."""
    simulation = Simulation(seed, lockstep=lockstep)

    async def main(simulation: Simulation) -> int:
        path = simulation.folder / "plain.db"
        async with aiosqlite.connect(path) as first, aiosqlite.connect(path) as second:
            await first.execute("PRAGMA journal_mode = WAL")
            await first.execute("CREATE TABLE t (x)")
            await first.commit()

            async def write(connection: aiosqlite.Connection, name: str) -> None:
                for number in range(3):
                    await connection.execute("INSERT INTO t VALUES (?)", (f"{name} {number}",))
                    await simulation.sleep(0.01)
                    await connection.commit()

            async with anyio.create_task_group() as group:
                group.start_soon(write, first, "first")
                group.start_soon(write, second, "second")
            rows = await first.execute_fetchall("SELECT x FROM t")
            return len(list(rows))

    assert simulation.run(main) == 6
    return simulation
