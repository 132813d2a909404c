"""Several processes on one database are kept right by the expected version, and see each other's commits."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import pytest

from aftertide import (
    AtLeast,
    CommandRejected,
    ConcurrencyConflict,
    Limits,
    ProjectionStopped,
    Receipt,
    Runtime,
    StoreLocked,
    Strong,
)
from tests.bank import ACCOUNT, BALANCES, Balance, Deposit, Look, Withdraw


@asynccontextmanager
async def two(folder: Path, **options: object) -> AsyncIterator[tuple[Runtime, Runtime]]:
    """Two runtimes on one write database; each has read stores of its own."""
    runtimes = [
        Runtime.open(
            folder / "bank.db",
            deciders=[ACCOUNT],
            projections=[BALANCES],
            read_stores=folder / name,
            **options,  # type: ignore[arg-type]
        )
        for name in ("one", "other")
    ]
    async with runtimes[0] as one, runtimes[1] as other:
        yield one, other


async def balance(runtime: Runtime, id: str = "a") -> int:
    answer = await runtime.query(BALANCES, id, consistency=Strong())
    return answer.row.balance if answer.row else 0


async def test_each_decides_on_what_the_other_wrote(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        assert (await one.execute(ACCOUNT, "a", Deposit(5))).version == 1
        assert (await other.execute(ACCOUNT, "a", Withdraw(3))).version == 2
        # It still holds a balance of 5, and learns at the append that this is not so.
        with pytest.raises(CommandRejected, match="cannot withdraw 4: the balance is 2"):
            await one.execute(ACCOUNT, "a", Withdraw(4), command_id="late")
        assert (await one.execute(ACCOUNT, "a", Withdraw(2))).version == 3


async def test_a_refusal_rests_on_a_state_that_another_may_have_changed_since(
    tmp_path: Path,
) -> None:
    """What a process holds in memory is checked by its next append; a refusal appends nothing."""
    async with two(tmp_path) as (one, other):
        await one.execute(ACCOUNT, "a", Deposit(1))
        await other.execute(ACCOUNT, "a", Deposit(9))
        with pytest.raises(CommandRejected, match="the balance is 1"):
            await one.execute(ACCOUNT, "a", Withdraw(10))
        await one.execute(ACCOUNT, "a", Deposit(1))
        assert (await one.execute(ACCOUNT, "a", Withdraw(11))).version == 4


async def test_nothing_is_lost_or_doubled_when_both_write_the_same_streams(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        receipts: list[Receipt] = []
        ids = map(str, count(1))

        async def deposit(runtime: Runtime, account: str) -> None:
            while True:
                try:
                    reply = runtime.execute(ACCOUNT, account, Deposit(1), command_id=next(ids))
                    receipts.append(await reply)
                except ConcurrencyConflict:  # more often than it may try by itself
                    continue
                return

        async def client(runtime: Runtime, number: int) -> None:
            for _ in range(5):
                await deposit(runtime, f"a{number % 3}")

        await asyncio.gather(*(client(runtime, n) for n in range(12) for runtime in (one, other)))
        log = [event async for event in one.read()]
        assert [event.position for event in log] == list(range(1, 121))
        assert [e async for e in other.read()] == log
        stored = {event.command_id: (event.position, event.version) for event in log}
        assert len(receipts) == len(stored) == 120
        assert stored == {r.command_id: (r.position, r.version) for r in receipts}
        for runtime in (one, other):
            total = [await balance(runtime, f"a{n}") for n in range(3)]
            assert total == [40, 40, 40]


async def test_a_conflict_is_told_only_to_whom_it_concerns(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        for id in ("a", "b", "c"):
            await one.execute(ACCOUNT, id, Deposit(5))
        await other.execute(ACCOUNT, "b", Withdraw(5))
        commands: Sequence[tuple[str, Withdraw]] = [(id, Withdraw(5)) for id in ("a", "b", "c")]
        outcomes = await one.execute_many(ACCOUNT, commands)
        assert [type(outcome) for outcome in outcomes] == [Receipt, CommandRejected, Receipt]


async def test_an_expected_version_holds_across_processes(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        await one.execute(ACCOUNT, "a", Deposit(5))
        await other.execute(ACCOUNT, "a", Deposit(5), expected_version=1)
        with pytest.raises(ConcurrencyConflict) as caught:
            await one.execute(ACCOUNT, "a", Deposit(5), expected_version=1)
        assert (caught.value.expected, caught.value.actual) == (1, 2)
        assert await balance(one) == 10


async def test_a_token_of_one_process_is_good_in_the_other(tmp_path: Path) -> None:
    async with two(tmp_path) as (one, other):
        receipt = await one.execute(ACCOUNT, "a", Deposit(5))
        answer = await other.query(BALANCES, "a", consistency=AtLeast(receipt.position))
        assert answer.row == Balance("a", 5, 1)
        look = await other.execute(ACCOUNT, "a", Look())
        assert (look.position, look.version) == (1, 1)
        assert await one.settle() == await other.settle() == 1


async def test_two_processes_that_write_one_read_store_are_told_to_keep_their_own(
    tmp_path: Path,
) -> None:
    limits = Limits(restarts=0)
    opening = [
        Runtime.open(
            tmp_path / "bank.db", deciders=[ACCOUNT], projections=[BALANCES], limits=limits
        )
        for _ in range(2)
    ]
    async with opening[0] as one, opening[1] as other:
        await one.execute(ACCOUNT, "a", Deposit(5))
        await one.settle()
        with pytest.raises(ProjectionStopped, match=r"another process.*read_stores=") as caught:
            await other.settle()
        assert isinstance(caught.value.__cause__, StoreLocked)
        assert (await other.execute(ACCOUNT, "a", Deposit(5))).version == 2
        assert await balance(one) == 10


CHILD = """
import asyncio, sys
from tests.bank import *
from aftertide import *

async def main(name: str) -> None:
    async with Runtime.open("bank.db", deciders=[ACCOUNT]) as runtime:
        async def client(number: int) -> None:
            for round in range(10):
                while True:
                    id = f"{name}-{number}-{round}"
                    try:
                        await runtime.execute(ACCOUNT, f"a{number % 3}", Deposit(1), command_id=id)
                    except ConcurrencyConflict:
                        continue
                    break
        await asyncio.gather(*map(client, range(10)))

asyncio.run(main(sys.argv[1]))
"""


async def test_processes_that_write_at_once_leave_one_dense_log(tmp_path: Path) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, name],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": ""},
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "other")
    ]
    for child in children:
        _, said = child.communicate(timeout=50)
        assert (child.returncode, said) == (0, "")
    async with Runtime.open(
        tmp_path / "bank.db", deciders=[ACCOUNT], projections=[BALANCES]
    ) as runtime:
        log = [event async for event in runtime.read()]
        assert [event.position for event in log] == list(range(1, 201))
        assert len({event.command_id for event in log}) == 200
        for id in ("a0", "a1", "a2"):
            versions = [event.version for event in log if event.id == id]
            assert versions == list(range(1, len(versions) + 1))
        assert sum([await balance(runtime, id) for id in ("a0", "a1", "a2")]) == 200
