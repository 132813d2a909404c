"""The command as a user meets it: exit codes and the sentence that helps."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import aftertide
from aftertide.cli.main import main

Told = pytest.CaptureFixture[str]


def test_the_version_is_the_packages(capsys: Told) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"aftertide {aftertide.__version__}\n"


def test_without_a_command_the_help_is_shown_and_it_is_wrong_usage(capsys: Told) -> None:
    assert main([]) == 2
    out = capsys.readouterr().out
    for command in ("list", "run", "inspect", "demo"):
        assert f"\n    {command} " in out


def test_list_names_each_scenario_with_its_first_sentence(capsys: Told) -> None:
    assert main(["list"]) == 0
    out = capsys.readouterr().out
    for name in ("stale_read", "flash_sale", "bank", "flights"):
        assert f"\n  {name} " in out
    assert "A month of real flights" in out


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["ebb"], "invalid choice: 'ebb'"),
        (["run"], "name a scenario (stale_read, flash_sale, bank, flights) or the path"),
        (["run", "bnak"], "Did you mean bank?"),
        (["run", "bank", "--lags", "none"], "'--lags' is not understood here. Did you mean --lag?"),
        (["run", "bank", "--client", "3"], "Did you mean --clients?"),
        (["run", "bank", "stale_read"], "'stale_read' is not understood here"),
        (["run", "bank", "--clients", "0"], "--clients: '0' is not a whole number from 1"),
        (["run", "bank", "--clients"], "expected one argument"),
        (["run", "bank", "--seed", "x"], "--seed: 'x' is not a whole number from 0"),
        (["run", "bank", "--replicas", "65"], "'65' is not a whole number from 1 to 64"),
        (["run", "bank", "--lag", "ebb:1"], "Write none, constant:SECONDS"),
        (["run", "bank", "--lag", "constant"], "'constant' is no lag. Write none, constant"),
        (["run", "bank", "--time-scale", "0"], "'0' is not a number from 0.001 to 1000000"),
        (["run", "bank", "--json", "nowhere/x.json"], "has no folder"),
        (["run", "bank", "--log", "xml"], "invalid choice: 'xml'"),
        (["run", "nowhere.py"], "nowhere.py does not exist"),
        (["run", "flights", "--csv", "nowhere.csv"], "nowhere.csv can't be read: No such file"),
        (["inspect"], "DATABASE"),
        (["inspect", "nowhere.db"], "there is no such file"),
        (["inspect", ".", "--event"], "Did you mean --events?"),
        (["list", "all"], "'all' is not understood here"),
        (["demo", "--fast"], "'--fast' is not understood here"),
    ],
)
def test_wrong_usage_is_answered_with_a_sentence_that_helps(
    words: list[str], sentence: str, capsys: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert sentence in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_help_on_a_scenario_tells_its_plot_and_its_own_options(capsys: Told) -> None:
    assert main(["run", "bank", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("bank: Many clients move money")
    assert "in transit" in out
    assert "--transfers INT" in out
    assert "--time-scale X" in out


def test_help_on_run_does_without_a_scenario(capsys: Told) -> None:
    assert main(["run", "--help"]) == 0
    assert "--lag SPEC" in capsys.readouterr().out


def test_the_installed_command_runs() -> None:
    command = [str(Path(sys.executable).with_name("aftertide")), "list"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "stale_read" in run.stdout
    assert run.stderr == ""


def test_python_runs_the_command_as_a_module() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "aftertide.cli", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.startswith("aftertide ")


def test_an_interrupted_run_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    command = [sys.executable, "-u", "-m", "aftertide.cli", "run", "flights"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "10 %" in line:
                break
        run.send_signal(signal.SIGINT)
        _, error = run.communicate()
    assert (run.returncode, error) == (130, "aftertide: interrupted\n")
    assert list(tmp_path.iterdir()) == []
