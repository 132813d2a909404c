"""Read stores in memory beside a log on disk."""

from pathlib import Path

from aftertide import Runtime, Strong
from benchmarks.accounts import ACCOUNT, AMOUNT, BALANCES, Deposit


async def test_rows_in_memory_are_built_from_the_log_at_each_opening_and_leave_no_file(
    tmp_path: Path,
) -> None:
    database = tmp_path / "bank.db"
    for opened in (1, 2):
        async with Runtime.open(
            database, deciders=[ACCOUNT], projections=[BALANCES], read_stores=":memory:"
        ) as runtime:
            await runtime.execute(ACCOUNT, "alice", Deposit(AMOUNT))
            answer = await runtime.query(BALANCES, "alice", consistency=Strong())
            assert answer.row is not None
            assert answer.row.balance == opened * AMOUNT
    assert [path.name for path in tmp_path.iterdir()] == ["bank.db"]
    assert not Path(":memory:").exists()
