"""`aftertide run`: scenarios by name and scripts of one's own, with the same options and exit codes."""

import json
import sqlite3
from pathlib import Path

import pytest

from aftertide.cli.main import main

Told = pytest.CaptureFixture[str]

SCRIPT = '''"""Count as often as asked.

A plot of somebody's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aftertide import Decider, Lag, RecordedEvent, View
from aftertide.scenarios import Option, World, scenario

TIMES = Option("times", 3, "how often", least=1)


@dataclass(frozen=True)
class Count:
    pass


@dataclass(frozen=True)
class Counted:
    number: int


@dataclass(frozen=True)
class Total:
    counter: str
    total: int


def decide(command: Count, total: int) -> Sequence[Counted]:
    return [Counted(total + 1)]


def evolve(total: int, event: Counted) -> int:
    return event.number


def apply(row: Total | None, event: RecordedEvent[Counted], counter: str) -> Total:
    return Total(counter, event.event.number)


COUNTER = Decider("counter", 0, decide, evolve)
TOTALS = View("totals", row=Total, key="counter", apply=apply)


@scenario(options=[TIMES])
async def main(world: World) -> None:
    times = world.option(TIMES)
    async with world.open(
        deciders=[COUNTER], projections=[TOTALS.with_lag(Lag.constant(0.001))]
    ) as runtime:
        for _ in range(times):
            await runtime.execute(COUNTER, "a", Count())
        await runtime.settle()
        row = (await runtime.query(TOTALS, "a")).row
        world.measure("chance", world.chance.random())
        world.measure("total", row.total if row else 0)
        world.promise("every command counted", row == Total("a", times))
        world.promise("there are at most ten", times <= 10)
'''


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "counting.py"
    path.write_text(SCRIPT)
    return str(path)


def test_a_script_of_ones_own_runs_like_the_others(
    script: str, capsys: Told, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    words = ["run", script, "--times", "5", "--seed", "9", "--json", str(report)]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "counting: Count as often as asked." in out
    assert "✓ every command counted" in out
    measured = json.loads(report.read_bytes())
    assert (measured["scenario"], measured["seed"], measured["total"]) == ("counting", 9, 5)


def test_a_broken_promise_is_exit_code_one(script: str, capsys: Told) -> None:
    assert main(["run", script, "--times", "11", "--store", ":memory:"]) == 1
    assert "✗ BROKEN: there are at most ten" in capsys.readouterr().out


def test_equal_seeds_play_alike(script: str, tmp_path: Path, capsys: Told) -> None:
    chances = []
    for seed in ("1", "1", "2"):
        main(
            [
                "run",
                script,
                "--seed",
                seed,
                "--store",
                ":memory:",
                "--json",
                str(tmp_path / "r.json"),
            ]
        )
        chances.append(json.loads((tmp_path / "r.json").read_bytes())["chance"])
    assert chances[0] == chances[1] != chances[2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--times", "none"], "--times: 'none' is not a whole number from 1"),
        (["--time", "3"], "Did you mean --times?"),
        (["--sead", "3"], "Did you mean --seed?"),
    ],
)
def test_wrong_usage_of_a_scripts_own_options(
    script: str, words: list[str], sentence: str, capsys: Told
) -> None:
    assert main(["run", script, *words]) == 2
    assert sentence in capsys.readouterr().err


def test_help_on_a_script_tells_its_plot_and_options(script: str, capsys: Told) -> None:
    assert main(["run", script, "--help"]) == 0
    out = capsys.readouterr().out
    assert "A plot of somebody's own." in out
    assert "--times INT" in out


def test_a_script_that_fails_shows_where(script: str) -> None:
    path = Path(script)
    path.write_text(SCRIPT.replace("times = world.option(TIMES)", "times = 1 // 0"))
    with pytest.raises(ZeroDivisionError):  # a traceback, and Python's exit code 1
        main(["run", script])


def test_stores_replicas_and_lag_are_the_users(script: str, tmp_path: Path, capsys: Told) -> None:
    store = tmp_path / "kept.db"
    words = ["run", script, "--store", str(store), "--replicas", "2", "--lag", "uniform:0,0.01"]
    assert main(words) == 0
    for name in ("totals", "totals-2"):
        connection = sqlite3.connect(tmp_path / "kept.views" / f"{name}.db")
        assert connection.execute("select counter, total from totals").fetchall() == [("a", 3)]
        connection.close()
    assert f"The databases are kept: {store}" in capsys.readouterr().out
    assert main(words) == 2
    assert "holds an earlier run already" in capsys.readouterr().err


def test_a_database_that_can_not_be_used_is_said_in_a_sentence(
    tmp_path: Path, capsys: Told
) -> None:
    path = tmp_path / "continued.py"
    path.write_text(SCRIPT.replace("deciders=[COUNTER],", "deciders=[COUNTER], continues=True,"))
    (tmp_path / "other.db").write_text("something else, long enough to be looked at" * 10)
    assert main(["run", str(path), "--store", str(tmp_path / "other.db")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("aftertide: ")
    assert "other.db" in error
    assert "Traceback" not in error


def test_time_runs_faster_when_asked(capsys: Told, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    words = ["run", "stale_read", "--deposits", "1", "--lag", "constant:60", "--time-scale", "100"]
    assert main([*words, "--json", str(report)]) == 0
    measured = json.loads(report.read_bytes())
    assert measured["cured_after_seconds"] > 30
    assert measured["seconds"] < measured["cured_after_seconds"]


def test_logs_go_to_standard_error_as_json_when_asked(script: str, capsys: Told) -> None:
    assert main(["run", script, "--log", "json", "--log-level", "info"]) == 0
    told = capsys.readouterr()
    lines = [json.loads(line) for line in told.err.splitlines()]
    assert "runtime.opened" in [line["event"] for line in lines]
    assert {"event", "level", "timestamp"} <= lines[0].keys()
    assert "runtime.opened" not in told.out


def test_a_quiet_run_logs_nothing(script: str, capsys: Told) -> None:
    assert main(["run", script]) == 0
    assert capsys.readouterr().err == ""
