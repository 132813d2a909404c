"""`aftertide demo` ends in a summary that a newcomer understands."""

from pathlib import Path

import pytest

from aftertide.cli import demo
from aftertide.cli.main import main
from aftertide.scenarios import Outcome, flights
from tests.scenarios.flight_rows import CANCELLED, HEADER, row

Told = pytest.CaptureFixture[str]


def test_the_demo_shows_both_scenarios_and_ends_in_a_summary(
    capsys: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = tmp_path / "few.csv"
    lines = [
        HEADER,
        *(row(flight=str(i), tailnum=f"N{i}") for i in range(1, 21)),
        row(flight="21", **CANCELLED),
    ]
    few.write_text("\n".join(lines))
    monkeypatch.setattr(flights, "JANUARY", few)
    assert main(["demo"]) == 0
    out = capsys.readouterr().out
    assert out.index("stale_read: ") < out.index("flights: ") < out.index("In short")
    summary = out[out.index("In short") :]
    for said in ("Written: 102 commands about 21 real flights", "Behind: ", "Converged: "):
        assert said in summary
    assert "│" in out  # the plot
    assert "✗" not in out


@pytest.mark.parametrize(("stale", "replayed"), [(False, True), (True, False)])
def test_a_broken_promise_in_either_is_told_and_is_exit_code_one(
    stale: bool, replayed: bool, capsys: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = {"stale_read": stale, "flights": replayed}
    measured: dict[str, dict[str, int | float]] = {
        "stale_read": {"deposits": 1, "stale_at_once": 1, "stale_at_least": 0},
        "flights": dict.fromkeys(("commands", "rows", "events", "rejected"), 1)
        | {"commands_per_second": 1.0, "peak_lag_seconds": 0.1, "catch_up_seconds": 0.1},
    }

    async def play(scenario: object, *_: object) -> Outcome:
        name = str(getattr(scenario, "name", ""))
        return Outcome(name, held[name], measured[name], 0.0)

    monkeypatch.setattr(demo, "play", play)
    assert main(["demo"]) == 1
    out = capsys.readouterr().out
    assert "A promise was broken" in out
    assert "Converged" not in out
