"""A scenario's world: what the user asked for wins, what was promised is kept count of."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from aftertide import AtLeast, Decider, Lag, RecordedEvent, View
from aftertide.scenarios import Narrator, Option, Settings, World, WrongUsage, play, scenario
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
PROJECTION = TOTALS.replicas(2, lag=[Lag.none(), Lag.constant(0.001)])
MANY = Option("many", 3, "help")


@scenario("count", options=[MANY])
async def count(world: World) -> None:
    """Count a little."""
    async with world.open(deciders=[COUNTER], projections=[PROJECTION]) as runtime:
        receipt = await runtime.execute(COUNTER, "a", Count(0))
        for _ in range(world.option(MANY)):
            receipt = await runtime.execute(COUNTER, "a", Count(world.chance.randint(1, 1_000)))
        answer = await runtime.query(TOTALS, "a", consistency=AtLeast(receipt.position))
        total = answer.row.total if answer.row else 0
        world.measure("total", total)
        world.measure(
            "replicas", {name: each.lag for name, each in runtime.statistics().projections.items()}
        )
        await runtime.settle()
        await world.measure_view(runtime, TOTALS)
        world.promise("something was counted", total > 0)


async def test_equal_seeds_give_equal_chance_and_others_another(played: Play) -> None:
    totals = [(await played(count, Settings(seed=seed)))[0].measured["total"] for seed in (1, 1, 2)]
    assert totals[0] == totals[1] != totals[2]


async def test_the_runtime_has_the_worlds_seed_and_clock(played: Play) -> None:
    ids: list[str] = []

    @scenario("seeded")
    async def seeded(world: World) -> None:
        async with world.open(deciders=[COUNTER]) as runtime:
            assert runtime.clock is world.clock
            ids.append((await runtime.execute(COUNTER, "a", Count(1))).command_id)

    for seed in (1, 1, 2):
        await played(seeded, Settings(seed=seed))
    assert ids[0] == ids[1] != ids[2]


async def test_the_scenarios_replicas_and_lags_are_defaults(played: Play) -> None:
    outcome, _ = await played(count, Settings())
    assert outcome.measured["replicas"] == {"totals/1": "none", "totals/2": "constant:0.001"}


async def test_the_users_replicas_and_lag_win(played: Play) -> None:
    outcome, _ = await played(count, Settings(replicas=3))
    assert outcome.measured["replicas"] == {
        "totals/1": "none",
        "totals/2": "constant:0.001",
        "totals/3": "none",
    }
    outcome, _ = await played(count, Settings(replicas=1, lag=Lag.uniform(0.0, 0.002)))
    assert outcome.measured["replicas"] == {"totals/1": "uniform:0.0,0.002"}


async def test_an_options_default_gives_way_to_the_users_value(played: Play) -> None:
    one, _ = await played(count, Settings(options={"many": 1}))
    three, _ = await played(count, Settings())
    assert one.measured["total"] != three.measured["total"]


async def test_all_that_was_measured_is_in_the_json_file(played: Play, tmp_path: Path) -> None:
    path = tmp_path / "count.json"
    outcome, told = await played(count, Settings(json=path, seed=5, time_scale=3.0))
    report = json.loads(path.read_bytes())
    total = outcome.measured["total"]
    assert report["views"] == {"totals": [{"counter": "a", "total": total}]}
    assert report["total"] == total
    assert report["promises"] == [{"text": "something was counted", "held": True}]
    assert (report["scenario"], report["seed"], report["time_scale"]) == ("count", 5, 3.0)
    assert f"All that was measured: {path}" in told


async def test_without_a_store_nothing_is_left_and_the_user_is_told(
    played: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _, told = await played(count, Settings())
    assert list(tmp_path.iterdir()) == []
    assert "temporary folder and are deleted: --store PATH keeps them" in told


@pytest.mark.parametrize(
    ("store", "database"),
    [
        ("kept.db", "kept.db"),
        ("new/kept.sqlite", "new/kept.sqlite"),
        ("folder", "folder/count.db"),
        ("here", "here/count.db"),
    ],
)
async def test_a_store_is_a_file_or_a_folder_and_is_kept(
    played: Play, tmp_path: Path, store: str, database: str
) -> None:
    (tmp_path / "here").mkdir()
    await played(count, Settings(store=str(tmp_path / store)))
    path = tmp_path / database
    assert path.is_file()
    assert sorted(each.name for each in path.with_suffix(".views").iterdir()) == [
        "totals-2.db",
        "totals.db",
    ]


async def test_a_second_runtime_stands_beside_the_first(played: Play, tmp_path: Path) -> None:
    @scenario("two")
    async def two(world: World) -> None:
        for name in (None, "other"):
            async with world.open(deciders=[COUNTER], name=name) as runtime:
                await runtime.execute(COUNTER, "a", Count(1))

    await played(two, Settings(store=str(tmp_path / "kept.db")))
    await played(two, Settings(store=str(tmp_path / "folder")))
    assert sorted(str(each.relative_to(tmp_path)) for each in tmp_path.glob("**/*.db")) == [
        "folder/other.db",
        "folder/two.db",
        "kept-other.db",
        "kept.db",
    ]


async def test_an_earlier_runs_database_is_not_written_into(played: Play, tmp_path: Path) -> None:
    settings = Settings(store=str(tmp_path / "kept.db"))
    await played(count, settings)
    before = (tmp_path / "kept.db").read_bytes()
    with pytest.raises(WrongUsage, match="holds an earlier run already"):
        await played(count, settings)
    assert (tmp_path / "kept.db").read_bytes() == before


async def test_a_scenario_that_continues_finds_what_it_left(played: Play, tmp_path: Path) -> None:
    heads: list[int] = []

    @scenario("on")
    async def on(world: World) -> None:
        async with world.open(deciders=[COUNTER], continues=True) as runtime:
            heads.append(runtime.head)
            await runtime.execute(COUNTER, "a", Count(1))

    for _ in range(2):
        await played(on, Settings(store=str(tmp_path / "kept.db")))
    assert heads == [0, 1]


async def test_in_memory_nothing_is_written_at_all(
    played: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome, told = await played(count, Settings(store=":memory:"))
    assert outcome.held
    assert "The databases were in memory." in told
    assert list(tmp_path.iterdir()) == []


async def test_a_broken_promise_is_told_and_decides_the_outcome(played: Play) -> None:
    @scenario("breaks")
    async def breaks(world: World) -> None:
        assert world.promise("it holds", True) is True
        assert world.promise("it does not", False) is False

    outcome, told = await played(breaks, Settings())
    assert outcome.held is False
    assert "✓ it holds" in told
    assert "✗ BROKEN: it does not" in told


async def test_an_error_inside_task_groups_comes_out_as_itself(played: Play) -> None:
    @scenario("fails")
    async def fails(world: World) -> None:
        async def fail() -> None:
            raise ZeroDivisionError("by hand")

        async with anyio.create_task_group() as outer:
            async with anyio.create_task_group() as inner:
                inner.start_soon(fail)
            outer.start_soon(world.clock.sleep, 3600)

    with pytest.raises(ZeroDivisionError, match="by hand"):
        await played(fails, Settings())


async def test_the_lag_of_a_run_is_watched_by_the_scenarios_clock(played: Play) -> None:
    @scenario("watched")
    async def watched(world: World) -> None:
        projections = [TOTALS.with_lag(Lag.constant(1.0))]
        async with world.open(deciders=[COUNTER], projections=projections) as runtime:
            async with world.watch_lag(runtime, every_seconds=0.05) as lag:
                await runtime.execute(COUNTER, "a", Count(1))
                await runtime.settle()
            world.measure("peak", lag.peak_seconds)
            world.measure("replicas", [*lag.seconds])

    outcome, _ = await played(watched, Settings(time_scale=20.0))
    assert outcome.measured["replicas"] == ["totals/1"]
    peak = outcome.measured["peak"]
    assert isinstance(peak, float)
    assert peak > 0.5


async def test_an_option_that_was_not_declared_is_refused(played: Play) -> None:
    @scenario("undeclared")
    async def undeclared(world: World) -> None:
        world.option(MANY)

    with pytest.raises(ValueError, match="--many is no option of undeclared"):
        await played(undeclared, Settings())


@pytest.mark.parametrize(
    ("path", "reason"), [("nowhere/x.json", "has no folder"), (".", "is a folder")]
)
async def test_a_report_that_can_not_be_written_is_refused_before_the_run(
    tmp_path: Path, path: str, reason: str
) -> None:
    @scenario("never")
    async def never(world: World) -> None:
        raise AssertionError("it ran")

    with pytest.raises(WrongUsage, match=reason):
        await play(never, Settings(json=tmp_path / path), Narrator(io.StringIO()))


async def test_a_store_whose_folder_can_not_be_made_is_refused(
    played: Play, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WrongUsage, match="can't make the folder"):
        await played(count, Settings(store=str(tmp_path / "file" / "kept.db")))
