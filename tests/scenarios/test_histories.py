"""A run's history: a file for each database, whatever becomes of the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from aftertide import AtLeast, Decider, RecordedEvent, View
from aftertide.scenarios import Settings, World, WrongUsage, scenario
from aftertide.simulation import History, check
from tests.scenarios.conftest import Play


@dataclass(frozen=True)
class Count:
    by: int


@dataclass(frozen=True)
class Counted:
    by: int


@dataclass(frozen=True)
class Total:
    counter: str
    total: int


def decide(command: Count, total: int) -> Sequence[Counted]:
    return [Counted(command.by)]


def evolve(total: int, event: Counted) -> int:
    return total + event.by


def apply(row: Total | None, event: RecordedEvent[Counted], counter: str) -> Total:
    return Total(counter, (row.total if row else 0) + event.event.by)


COUNTER = Decider("counter", 0, decide, evolve)
TOTALS = View("totals", row=Total, key="counter", apply=apply)


@scenario("count")
async def count(world: World) -> None:
    """Count a little, in two databases, and go on in the first."""
    for name, continues in (("one", False), ("two", False), ("one", True)):
        async with world.open(
            deciders=[COUNTER], projections=[TOTALS], name=name, continues=continues
        ) as runtime:
            receipt = await runtime.execute(COUNTER, "a", Count(1))
            await runtime.query(TOTALS, "a", consistency=AtLeast(receipt.position))
            await runtime.settle()


@scenario("fall")
async def fall(world: World) -> None:
    """Count, and fall over."""
    async with world.open(deciders=[COUNTER], projections=[TOTALS]) as runtime:
        await runtime.execute(COUNTER, "a", Count(1))
        raise RuntimeError("fallen")


def judged(path: Path) -> History:
    history = History.read(path, views=[TOTALS], deciders=[COUNTER])
    report = check(history)
    report.raise_for_violations()
    assert {"value_oracle", "exactly_once", "convergence"} <= report.held.keys()
    return history


@pytest.mark.parametrize("store", [None, "runs", ":memory:"])
async def test_each_database_has_a_history_and_one_that_is_opened_again_goes_on(
    played: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    _, told = await played(count, Settings(store=store, history=Path("run.jsonl"), seed=7))
    sizes = [2, 1] if store != ":memory:" else [1, 1, 1]
    paths = [Path("run.jsonl"), *(Path(f"run-{n}.jsonl") for n in range(2, len(sizes) + 1))]
    for path, size in zip(paths, sizes, strict=True):
        history = judged(path)
        assert [len(history.commands), len(history.log)] == [size, size]
        assert history.about == {"scenario": "count", "seed": 7}
        assert f"aftertide check {path}\n" in told


async def test_without_a_file_nothing_is_recorded(played: Play, tmp_path: Path) -> None:
    _, told = await played(count, Settings(store=str(tmp_path / "runs")))
    assert "aftertide check" not in told
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


async def test_what_a_run_did_before_it_failed_is_written(played: Play, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="fallen"):
        await played(fall, Settings(history=tmp_path / "run.jsonl"))
    assert len(History.read(tmp_path / "run.jsonl").commands) == 1


async def test_a_history_that_can_not_be_written_is_refused_before_the_run(
    played: Play, tmp_path: Path
) -> None:
    with pytest.raises(WrongUsage, match=r"--history .*: it is a folder"):
        await played(count, Settings(store=str(tmp_path / "runs"), history=tmp_path))
    assert list(tmp_path.iterdir()) == []
