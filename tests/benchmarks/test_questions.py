"""From figures to verdicts, and from the command line to questions."""

from pathlib import Path

import pytest

from benchmarks import __main__ as main
from benchmarks.catalogue import ALL
from benchmarks.disks import real_disk
from benchmarks.figures import Figures, Rounds
from benchmarks.laboratory import Laboratory
from benchmarks.questions import throughput
from benchmarks.questions.linear import ONCE, TEN_TIMES, per_command


def rate(value: float, **more: float) -> list[Figures]:
    return [{"commands_per_second": value, "cpu_us_per_command": 1.0} | more]


def measured(**peer: list[Figures]) -> Rounds:
    counted = {"transactions_per_1000": 5.0, "hops_per_transaction": 1.0}
    return Rounds(
        {
            throughput.LIMIT_WAYS[0]: rate(150_000),
            throughput.LIMIT_WAYS[1]: rate(200_000),
            throughput.COMMIT_EACH: rate(5_000),
            throughput.aftertide(1): rate(2_000, end_to_end_per_second=1_900, **counted),
            throughput.aftertide(100): rate(60_000, end_to_end_per_second=59_000, **counted),
            throughput.aftertide(1_000): rate(90_000, end_to_end_per_second=81_000, **counted),
        }
        | peer
    )


def test_the_better_way_of_raw_inserts_is_the_limit() -> None:
    found = {one.promise: one for one in throughput.targets(measured())}
    assert found["1,000 clients: of the limit"].samples.median == pytest.approx(0.45)
    assert found["1,000 clients: of the limit"].reached
    assert found["100 clients: of the limit"].samples.median == pytest.approx(0.30)


def test_a_view_that_trails_by_more_than_a_twentieth_misses_its_target() -> None:
    found = {one.promise: one for one in throughput.targets(measured())}
    assert not found["1,000 clients: end to end, of the command rate"].reached


def test_one_client_is_compared_with_the_peer_end_to_end_and_with_its_projection() -> None:
    peer = {
        throughput.PEER: rate(3_000),
        throughput.PEER_PROJECTION: rate(2_500, end_to_end_per_second=1_000),
    }
    found = {one.promise: one.samples.median for one in throughput.targets(measured(**peer))}
    assert found["1 client, end to end: the peer's with its projection"] == pytest.approx(1.9)
    assert found["1,000 clients: the peer's rate"] == pytest.approx(30)


def test_without_the_peer_the_other_targets_stand() -> None:
    promises = [one.promise for one in throughput.targets(measured())]
    assert not any("peer" in promise for promise in promises)
    assert "1,000 clients: commits per 1,000 commands" in promises


def test_ten_times_the_time_for_ten_times_the_commands_is_one() -> None:
    once = [{"end_to_end_per_second": 50_000.0}]
    slower = [{"end_to_end_per_second": 40_000.0}]
    rounds = Rounds({ONCE: once, TEN_TIMES: slower})
    assert per_command(rounds, TEN_TIMES, ONCE).median == pytest.approx(1.25)


def test_what_needs_an_option_is_asked_with_it_only(tmp_path: Path) -> None:
    plain = Laboratory(1, quick=True, disks=[real_disk(tmp_path)])
    full = Laboratory(1, quick=True, disks=[real_disk(tmp_path)], huge=True, pythons=["python"])
    assert {name for name, one in ALL.items() if not one.only_if(plain)} == {"huge", "interpreters"}
    assert all(one.only_if(full) for one in ALL.values())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rounds", "0"], "must be a whole number from 1"),
        (["--only", "nothing"], "invalid choice"),
        (["--flights", "/nowhere.csv"], "there is no such file"),
    ],
)
def test_a_wrong_argument_is_named(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main.main(arguments)
    assert complaint in capsys.readouterr().err


def test_one_question_runs_from_the_command_line_to_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "out" / "bench.json"
    arguments = ["--only", "linear", "--quick", "--rounds", "1", "--no-fixed"]
    code = main.main([*arguments, "--json", str(written), "--folder", str(tmp_path / "files")])
    assert code == 0
    assert "10 x the commands" in capsys.readouterr().out
    assert b'"linear"' in written.read_bytes()
    assert list((tmp_path / "files").iterdir()) == []


def test_a_side_that_fails_leaves_the_other_questions_and_ends_with_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.questions.linear.workload", lambda *_: _broken())
    arguments = ["--only", "linear", "--only", "idle", "--quick", "--rounds", "1", "--no-fixed"]
    assert main.main([*arguments, "--folder", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert "linear FAILED" in out
    assert "aggregates active at once" in out


def _broken() -> object:
    from benchmarks.laboratory import Side

    return Side("missing.side")
