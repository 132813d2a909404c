"""A query says what it wants, or what is wrong with it."""

from dataclasses import dataclass
from typing import Any

import pytest

from aftertide.domain.messages import RecordedEvent
from aftertide.domain.select import MOST_VALUES, Select
from aftertide.domain.view import View


class Happened:
    """An event."""


@dataclass
class Row:
    id: str
    part: int
    note: str | None


def apply(row: Row | None, event: RecordedEvent[Happened], key: tuple[str, int]) -> Row | None:
    return row


ROWS: View[Any, Any, Any] = View("rows", row=Row, key=("id", "part"), apply=apply)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (Select(where={"nope": 1}), "view 'rows' has no column 'nope': it has id, part, note"),
        (Select(order_by=["id", "-nope"]), "no column 'nope'"),
        (Select(order_by=["--id"]), "no column '-id'"),
        (Select(limit=-1), "limit is -1: it must be a whole number from 0"),
        (Select(limit=True), "limit is True"),
        (Select(offset=1.5), "offset is 1.5"),  # type: ignore[arg-type]
        (Select(where={"id": ["x"] * (MOST_VALUES + 1)}), "names 30001 values"),
        (Select(keys=[("x", 1)] * (MOST_VALUES // 2 + 1)), "names 30002 values"),
        (
            Select(keys=[("x", 1)], where={"id": {*map(str, range(MOST_VALUES - 1))}}),
            "30001 values: allowed are 30000",
        ),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(query: Select, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        query.check(ROWS)


def test_a_query_up_to_the_limits_is_fine() -> None:
    Select(keys=[("x", 1)], where={"id": ["x"] * (MOST_VALUES - 2)}, limit=0, offset=0).check(ROWS)


@pytest.mark.parametrize(
    ("wanted", "values", "or_none"),
    [
        ("x", ("x",), False),
        (None, (), True),
        (["x", "y"], ("x", "y"), False),
        ([None, "x"], ("x",), True),
        ((), (), False),
        ({"x"}, ("x",), False),
        (frozenset({None}), (), True),
    ],
)
def test_where_is_values_and_perhaps_none(
    wanted: object, values: tuple[str, ...], or_none: bool
) -> None:
    [match] = Select(where={"note": wanted}).matches(ROWS.schema)
    assert (match.column.name, match.values, match.or_none) == ("note", values, or_none)


def test_a_value_that_its_column_can_not_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="view 'rows': column 'part' can't hold 'x'"):
        Select(where={"part": [1, "x"]}).matches(ROWS.schema)


def test_a_hyphen_turns_the_order_round() -> None:
    assert Select(order_by=("id", "-part")).ordering() == [("id", False), ("part", True)]
