"""The JSON report holds all that was measured, however long."""

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from aftertide.scenarios.report import Promise, Report


@dataclass(frozen=True)
class Row:
    name: str
    number: int | None


def written(report: Report, path: Path) -> dict[str, object]:
    report.write(path, {"scenario": "ebb"})
    report.close()
    loaded: dict[str, object] = json.loads(path.read_bytes())
    return loaded


def test_values_rows_and_promises_are_all_in_the_file(tmp_path: Path) -> None:
    report = Report()
    report.measure("rate", 1.5)
    report.add_rows("balances", [Row("á", 1), Row("b", None)], under="views")
    report.add_rows("problems", [{"line": 3}])
    report.add_rows("balances", [Row("c", 3)], under="views")
    report.add_rows("stock", [], under="views")
    report.promises.append(Promise("it holds", True))
    assert written(report, tmp_path / "report.json") == {
        "scenario": "ebb",
        "held": True,
        "promises": [{"text": "it holds", "held": True}],
        "rate": 1.5,
        "views": {
            "balances": [
                {"name": "á", "number": 1},
                {"name": "b", "number": None},
                {"name": "c", "number": 3},
            ],
            "stock": [],
        },
        "problems": [{"line": 3}],
    }


def test_a_report_without_rows_is_a_whole_object_too(tmp_path: Path) -> None:
    assert written(Report(), tmp_path / "r.json") == {
        "scenario": "ebb",
        "held": True,
        "promises": [],
    }


def test_more_rows_than_memory_may_hold_come_back_in_their_order(tmp_path: Path) -> None:
    report = Report()
    text = "x" * 1_000
    for number in range(3_000):
        report.add_rows("rows", [Row(text, number)])
    rows = written(report, tmp_path / "report.json")["rows"]
    assert isinstance(rows, list)
    assert [row["number"] for row in rows] == list(range(3_000))


def test_one_broken_promise_is_enough(tmp_path: Path) -> None:
    report = Report()
    report.promises += [Promise("a", True), Promise("b", False), Promise("c", True)]
    assert report.held is False


def test_rows_nobody_asked_for_are_let_go() -> None:
    report = Report(keeps_rows=False)
    report.add_rows("rows", [object()])  # which could not be written


def test_a_name_is_used_once() -> None:
    with closing(Report()) as report:
        check_that_names_are_used_once(report)


def check_that_names_are_used_once(report: Report) -> None:
    report.measure("rate", 1)
    report.add_rows("rows", [1])
    report.add_rows("a", [1], under="views")
    for name in ("rate", "rows", "views"):
        with pytest.raises(ValueError, match="measured already"):
            report.measure(name, 2)
    with pytest.raises(ValueError, match="measured already"):
        report.add_rows("rate", [1])
    with pytest.raises(ValueError, match="measured already"):
        report.add_rows("x", [1], under="rows")


def test_names_of_the_report_itself_are_refused() -> None:
    with pytest.raises(ValueError, match="choose another"):
        Report().measure("seed", 1)
