"""The smaller plots keep their promises, on files and in memory, with other lags than their own, and fast."""

import json
from pathlib import Path

import pytest

from aftertide import Lag
from aftertide.scenarios import Settings
from aftertide.scenarios import bank as bank_plot
from aftertide.scenarios import flash_sale as sale_plot
from tests.scenarios.conftest import Play

QUICK: dict[str, dict[str, object]] = {
    "stale_read": {"deposits": 4},
    "flash_sale": {"buyers": 60},
    "bank": {"accounts": 10, "clients": 5, "transfers": 20},
}


@pytest.mark.parametrize("name", QUICK)
async def test_a_plot_keeps_its_promises(played: Play, name: str) -> None:
    outcome, told = await played(name, Settings(options=QUICK[name]))
    assert outcome.held, told


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("lag", [Lag.none(), Lag.uniform(0.0, 2.0)], ids=str)
async def test_a_plot_keeps_its_promises_under_other_lags_and_replicas(
    played: Play, name: str, lag: Lag
) -> None:
    settings = Settings(lag=lag, replicas=2, time_scale=20.0, seed=7, options=QUICK[name])
    outcome, told = await played(name, settings)
    assert outcome.held, told


async def test_a_stale_answer_is_shown_with_its_age_and_cured(played: Play) -> None:
    outcome, told = await played("stale_read", Settings(options=QUICK["stale_read"]))
    measured = outcome.measured
    assert measured["stale_behind_events"] == 1
    age = measured["stale_age_seconds"]
    assert isinstance(age, float)
    assert age > 0
    assert (measured["stale_at_once"], measured["stale_at_least"]) == (4, 0)
    assert "AtLeast(1)" in told


async def test_the_view_oversells_and_the_aggregate_does_not(played: Play) -> None:
    outcome, _ = await played("flash_sale", Settings(options={"buyers": 100, "items": 5}))
    measured = outcome.measured
    oversold = measured["oversold_on_the_view"]
    assert isinstance(oversold, int)
    assert oversold > 0
    assert measured["sold_on_the_view"] == 5 + oversold
    assert (measured["sold_in_the_aggregate"], measured["oversold_in_the_aggregate"]) == (5, 0)


async def test_more_items_than_buyers_leaves_the_rest_on_the_shelf(played: Play) -> None:
    outcome, told = await played("flash_sale", Settings(options={"buyers": 5, "items": 50}))
    assert outcome.held, told
    assert outcome.measured["sold_in_the_aggregate"] == 5


async def test_an_aggregate_that_does_not_check_breaks_the_sales_promise(
    played: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sale_plot, "decide_in_the_aggregate", sale_plot.decide_on_the_view)
    outcome, _ = await played("flash_sale", Settings(options={"buyers": 100}))
    assert outcome.held is False


async def test_the_bank_reports_what_the_auditors_saw(played: Play, tmp_path: Path) -> None:
    path = tmp_path / "bank.json"
    await played("bank", Settings(json=path, options=QUICK["bank"]))
    report = json.loads(path.read_bytes())
    assert report["wrong_sums"] == 0
    assert report["answers"] > 0
    assert report["transferred"] + report["rejected"] == 100
    assert report["events"] == 10 + 2 * report["transferred"]
    balances = {row["account"]: row["balance"] for row in report["views"]["balances"]}
    assert sum(balances.values()) == 10_000
    assert balances["in transit"] == 0


async def test_a_view_that_forgets_money_in_transit_breaks_the_banks_promise(
    played: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bank_plot.BALANCES, "keys", None)
    outcome, told = await played("bank", Settings(options=QUICK["bank"], lag=Lag.none()))
    assert outcome.held is False
    assert "✗ BROKEN: the sum was 10,000" in told
