"""`aftertide check`: what broke with its proof, what held, what it lacks, and the exit code."""

from pathlib import Path

import pytest

from aftertide.cli.main import main
from aftertide.simulation import History
from tests.simulation.histories import read, wrote

Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The history of a run of stale_read."""
    path = tmp_path_factory.mktemp("recorded") / "history.jsonl"
    words = ["run", "stale_read", "--deposits", "2", "--time-scale", "20", "--store", ":memory:"]
    assert main([*words, "--history", str(path)]) == 0
    return path


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.jsonl"
    History([wrote(0, 1, 7), read(2, 3, 6), read(4, 5, 6, asked="eventual")]).write(path)
    return str(path)


def test_a_history_that_keeps_its_promises_is_exit_code_zero(recorded: Path, capsys: Told) -> None:
    assert main(["check", str(recorded)]) == 0
    out = capsys.readouterr().out
    assert "rule(s) that could be judged held." in out
    assert "✓ durability: " in out
    assert "– value_oracle was not judged: it needs the views" in out
    assert "--scenario NAME|SCRIPT.py" in out


def test_a_scenario_lends_its_views(recorded: Path, capsys: Told) -> None:
    assert main(["check", str(recorded), "--scenario", "stale_read"]) == 0
    out = capsys.readouterr().out
    assert "✓ value_oracle: " in out
    assert "--scenario" not in out


def test_a_broken_promise_is_exit_code_one_and_shows_its_proof(broken: str, capsys: Told) -> None:
    assert main(["check", broken]) == 1
    out = capsys.readouterr().out
    assert "✗ read_your_writes: ann wrote position 7" in out
    assert "      0.000000–1.000000  ann  a command to account-a: ok" in out


def test_rules_are_chosen_by_their_names(broken: str, capsys: Told) -> None:
    assert main(["check", broken, "--rule", "monotonic_reads", "--rule", "monotonic_writes"]) == 0
    out = capsys.readouterr().out
    assert [line[2:17] for line in out.splitlines()[1:]] == ["monotonic_reads", "monotonic_write"]


def test_every_read_is_held_to_the_session_guarantees_when_asked(broken: str, capsys: Told) -> None:
    assert main(["check", broken, "--rule", "read_your_writes", "--every-read"]) == 1
    assert capsys.readouterr().out.count("✗ read_your_writes") == 2


def test_a_bound_on_staleness_may_be_given(broken: str, capsys: Told) -> None:
    only = ["check", broken, "--rule", "monotonic_writes"]
    assert main([*only, "--max-behind-events", "1", "--max-behind-seconds", "4"]) == 0
    assert "✓ bounded_staleness: no answer is more than 1 event(s) or 4 s behind" in (
        capsys.readouterr().out
    )
    assert main([*only, "--max-behind-events", "0"]) == 1
    assert main([*only, "--max-behind-seconds", "0.5"]) == 1


def test_registers_of_other_systems_are_judged(tmp_path: Path, capsys: Told) -> None:
    path = tmp_path / "registers.jsonl"
    path.write_text(
        '{"type":"invoke","process":0,"f":"write","key":"x","value":1,"time":0}\n'
        '{"type":"ok","process":0,"f":"write","key":"x","value":1,"time":1}\n'
        '{"type":"invoke","process":1,"f":"read","key":"x","value":null,"time":2}\n'
        '{"type":"ok","process":1,"f":"read","key":"x","value":null,"time":3}\n'
    )
    assert main(["check", str(path)]) == 1
    assert '✗ linearizable_registers: register "x": ' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "HISTORY"),
        (["nowhere.jsonl"], "No such file or directory: 'nowhere.jsonl'"),
        (["."], "Is a directory"),
        (["bad.jsonl"], "bad.jsonl, line 1: JSON is malformed"),
        (["good.jsonl", "--rule", "read_my_writes"], "invalid choice: 'read_my_writes'"),
        (["good.jsonl", "--rules", "x"], "Did you mean --rule?"),
        (["good.jsonl", "--scenario", "bnak"], "--scenario bnak: no scenario is named 'bnak'. Did"),
        (["good.jsonl", "--max-behind-events", "-1"], "'-1' is not a whole number from 0"),
        (["good.jsonl", "--max-behind-seconds", "x"], "'x' is not a number of seconds from 0"),
        (["good.jsonl", "--max-behind-seconds", "inf"], "'inf' is not a number of seconds from 0"),
    ],
)
def test_wrong_usage_is_answered_with_a_sentence_that_helps(
    words: list[str], sentence: str, capsys: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bad.jsonl").write_text("nonsense")
    History([]).write("good.jsonl")
    assert main(["check", *words]) == 2
    assert sentence in capsys.readouterr().err
