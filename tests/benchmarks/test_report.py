"""What is printed and written."""

import msgspec
import pytest

from benchmarks.figures import Rounds, Samples, Target
from benchmarks.report import Answer, Table, markdown, render, spread, targets_table, to_json


def test_names_stand_left_and_numbers_right_under_their_headings() -> None:
    table = Table("T", ("", "rate"), [("a long name", "1"), ("b", "1,000")], ["A note."])
    assert render(table).splitlines() == [
        "T",
        "              rate",
        "------------------",
        "a long name      1",
        "b            1,000",
        "A note.",
    ]


def test_a_row_with_a_cell_too_few_is_refused() -> None:
    with pytest.raises(ValueError, match="1 cells under 2 headings"):
        Table("T", ("", "rate"), [("a",)])


def test_a_table_without_rows_still_renders() -> None:
    assert render(Table("T", ("", "rate"), [])).splitlines()[0] == "T"


def test_a_spread_shows_the_median_between_its_ends_and_one_round_shows_none() -> None:
    assert spread(Samples((3_000.0, 1_000.0, 2_000.0))) == "2,000 (1,000 - 3,000)"
    assert spread(Samples((0.5,)), "{:.0%}") == "50%"


def test_a_missed_target_stands_out() -> None:
    table = targets_table(
        [Target("fast", Samples((3.0,)), 2.0), Target("small", Samples((3.0,)), most=2.0)]
    )
    assert [row[-1] for row in table.rows] == ["yes", "NO"]


def test_the_json_holds_every_round_of_every_side_and_every_verdict() -> None:
    answer = Answer(
        targets=[Target("fast", Samples((1.0, 3.0)), 2.5)],
        measured={"disk": Rounds({"a": [{"rate": 1.0}, {"rate": 3.0}]})},
        skipped=["no compiler"],
    )
    document = msgspec.json.decode(to_json({"cores": "2"}, {"rounds": 2}, {"question": answer}))
    question = document["questions"]["question"]
    assert document["machine"] == {"cores": "2"}
    assert question["measured"]["disk"]["a"] == [{"rate": 1.0}, {"rate": 3.0}]
    assert question["targets"][0]["rounds"] == [1.0, 3.0]
    assert question["targets"][0]["reached"] is False
    assert question["skipped"] == ["no compiler"]


def test_markdown_holds_the_same_cells_and_escapes_what_would_end_one() -> None:
    table = Table("T", ("", "rate"), [("a|b", "1")], ["A note."])
    assert markdown(table).splitlines() == [
        "**T**",
        "",
        "|  | rate |",
        "| --- | ---: |",
        "| a\\|b | 1 |",
        "",
        "A note.",
    ]


def test_a_verdict_that_rounds_disagree_on_carries_a_question_mark_and_its_meaning() -> None:
    table = targets_table([Target("fast", Samples((1.0, 3.0, 3.0)), 2.0)])
    assert table.rows[0][-1] == "yes ?"
    assert table.notes == ["?: not every round says so."]
