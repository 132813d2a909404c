"""`aftertide inspect`: what a reader is told of a database."""

import json
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from aftertide import Position, Version
from aftertide.cli.inspect import event_line
from aftertide.cli.main import main
from aftertide.stores.sqlite_inspection import LoggedEvent

Told = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that the bank has written."""
    path = tmp_path_factory.mktemp("bank") / "bank.db"
    words = ["run", "bank", "--accounts", "30", "--clients", "2", "--transfers", "10"]
    assert main([*words, "--replicas", "2", "--store", str(path)]) == 0
    return path


def test_streams_head_and_replicas_are_shown(bank: Path, capsys: Told) -> None:
    assert main(["inspect", str(bank)]) == 0
    out = capsys.readouterr().out
    assert " events in 30 streams. Head: position " in out
    assert "  account        30" in out
    assert "… and 10 shorter ones (--streams 0 shows all)" in out
    lines = {
        line.split()[0]: line.split()[1:]
        for line in out.splitlines()
        if line.startswith("  balances/")
    }
    assert list(lines) == ["balances/1", "balances/2"]
    for _, behind_events, behind_seconds, rows in lines.values():
        assert (behind_events, behind_seconds, rows) == ("0", "0.000", "31")


def test_all_streams_are_shown_when_asked(bank: Path, capsys: Told) -> None:
    assert main(["inspect", str(bank), "--streams", "0"]) == 0
    out = capsys.readouterr().out
    assert sum(line.startswith("  account-") for line in out.splitlines()) == 30
    assert "shorter ones" not in out


def test_events_are_lines_of_json(bank: Path, capsys: Told) -> None:
    assert main(["inspect", str(bank), "--events"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["position"] for event in events] == list(range(1, len(events) + 1))
    assert events[0]["stream"] == "account-001"
    assert events[0]["version"] == 1
    assert events[0]["type"] == "Opened"
    assert events[0]["data"] == {"amount": 1_000}
    assert events[0]["command_id"]
    assert events[0]["recorded_at"].endswith("Z")


def test_events_of_one_stream_after_a_position(bank: Path, capsys: Told) -> None:
    assert main(["inspect", str(bank), "--events", "--stream", "account-002", "--after", "2"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {event["stream"] for event in events} <= {"account-002"}
    assert all(event["position"] > 2 for event in events)


def test_read_stores_elsewhere_are_found_by_their_folder(
    bank: Path, capsys: Told, tmp_path: Path
) -> None:
    assert main(["inspect", str(bank), "--read-stores", str(tmp_path)]) == 0
    assert f"No views: there are no read stores in {tmp_path}" in capsys.readouterr().out
    assert main(["inspect", str(bank), "--read-stores", str(bank.with_suffix(".views"))]) == 0
    assert "balances/1" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["text.txt", "bank.views/balances.db", "."])
def test_what_is_no_write_database_is_wrong_usage(bank: Path, capsys: Told, name: str) -> None:
    (bank.parent / "text.txt").write_text("hello")
    assert main(["inspect", str(bank.parent / name)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("aftertide: ")


def test_a_payload_that_is_no_json_stands_in_base64() -> None:
    event = LoggedEvent(Position(1), "a-b", Version(1), "T", 0.5, "c", "", b"\xff\x00")
    assert json.loads(event_line(event)) == {
        "position": 1,
        "stream": "a-b",
        "version": 1,
        "type": "T",
        "recorded_at": "1970-01-01T00:00:00.500000Z",
        "command_id": "c",
        "data": "/wA=",
    }


def test_the_context_is_shown_where_there_is_one() -> None:
    event = LoggedEvent(
        Position(1), "a-b", Version(1), "T", 0.0, "c", '{"metadata":{"by":"me"}}', "{}"
    )
    line = msgspec.json.decode(event_line(event))
    assert line["context"] == {"metadata": {"by": "me"}}


@pytest.mark.parametrize("words", [["--events"], ["--streams", "1"]])
def test_a_reader_that_left_is_told_as_shells_do_and_without_a_traceback(
    bank: Path, words: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run = subprocess.run(
            [sys.executable, "-m", "aftertide.cli", "inspect", str(bank), *words],
            env={name: each for name, each in os.environ.items() if name != "PYTHONUNBUFFERED"},
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (run.returncode, run.stderr) == (141, "")
