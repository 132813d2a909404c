"""A column keeps what it can give back, says no to the rest, and is plain SQL wherever a type is."""

import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from typing import Any, Literal, NewType, Optional
from uuid import UUID

import pytest

from aftertide.domain.columns import Column, Stored, column_of

Cents = NewType("Cents", int)
Price = NewType("Price", Cents)
MaybeText = NewType("MaybeText", Optional[str])  # type: ignore[valid-newtype]  # noqa: UP045
EAST = timezone(timedelta(hours=9))


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


class Rights(Flag):
    READ = 1
    WRITE = 2


def column(annotation: object) -> Column:
    return column_of("field", annotation)


@pytest.mark.parametrize(
    ("annotation", "sql_type", "nullable"),
    [
        (int, "INTEGER", False),
        (float, "REAL", False),
        (str, "TEXT", False),
        (bytes, "BLOB", False),
        (bool, "INTEGER", False),
        (int | None, "INTEGER", True),
        (Optional[str], "TEXT", True),  # noqa: UP045
        (None | bytes, "BLOB", True),
        (Cents, "INTEGER", False),
        (Price | None, "INTEGER", True),
        (MaybeText, "TEXT", True),
        (datetime, "TEXT", False),
        (date | None, "TEXT", True),
        (time, "TEXT", False),
        (Decimal, "TEXT", False),
        (UUID, "TEXT", False),
        (Colour, "TEXT", False),
        (Level | None, "INTEGER", True),
        (Rights, "INTEGER", False),
        (Literal["a", "b"], "TEXT", False),
        (Literal[1, 2] | None, "INTEGER", True),
        (Literal["a", None], "TEXT", True),
        (Literal[Colour.RED], "TEXT", False),
    ],
)
def test_plain_types_are_plain_columns(annotation: object, sql_type: str, nullable: bool) -> None:
    made = column(annotation)
    assert (made.sql_type, made.nullable) == (sql_type, nullable)
    assert made.kind == ("decimal" if annotation is Decimal else "plain")


@pytest.mark.parametrize(
    "annotation",
    [list[int], dict[str, int], int | str, Literal[1, "a"], tuple[int, ...], Any],
)
def test_everything_else_is_json(annotation: object) -> None:
    made = column(annotation)
    assert (made.sql_type, made.kind) == ("TEXT", "json")


@pytest.mark.skipif(sys.version_info < (3, 12), reason="`type X = …` came with Python 3.12")
def test_an_alias_is_what_it_stands_for() -> None:
    names: dict[str, Any] = {}
    exec("type Name = str | None", names)
    made = column(names["Name"])
    assert (made.sql_type, made.nullable, made.kind) == ("TEXT", True, "plain")


@pytest.mark.parametrize(
    ("annotation", "value", "stored"),
    [
        (int, -(2**63), -(2**63)),
        (int, True, True),
        (float, 3, 3),
        (float, float("-inf"), float("-inf")),
        (str, "\0ü\N{GRINNING FACE}", "\0ü\N{GRINNING FACE}"),
        (bool, True, True),
        (int | None, None, None),
        (datetime, datetime(2026, 3, 1, 12, tzinfo=UTC), "2026-03-01T12:00:00+00:00"),
        (datetime, datetime(2026, 3, 1, 12, tzinfo=EAST), "2026-03-01T03:00:00+00:00"),
        (datetime, datetime(2026, 3, 1, 12, 0, 0, 5), "2026-03-01T12:00:00.000005"),  # noqa: DTZ001
        (date, date(2026, 3, 1), "2026-03-01"),
        (time, time(1, 2, 3), "01:02:03"),
        (Decimal, Decimal("1.10"), "1.10"),
        (UUID, UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Colour, Colour.RED, "red"),
        (Level, Level.LOW, 1),
        (Word, Word.YES, "yes"),
        (Rights, Rights.READ | Rights.WRITE, 3),
        (str, Word.YES, "yes"),
        (list[int], [1, 2], "[1,2]"),
        (list[int] | None, None, None),
        (set[str], {"b", "a"}, '["a","b"]'),
        (dict[str, int], {"b": 1, "a": 2}, '{"a":2,"b":1}'),
        (int | str, "1", '"1"'),
        (list[int | None], [None], "[null]"),
    ],
)
def test_a_value_is_stored_plainly_and_comes_back_equal(
    annotation: object, value: object, stored: Stored
) -> None:
    made = column(annotation)
    assert made.stored(value) == stored
    back = stored if made.from_sql is None or stored is None else made.from_sql(stored)
    assert back == value


@pytest.mark.parametrize(
    ("annotation", "value"),
    [
        (int, 2**63),
        (int, -(2**63) - 1),
        (int, 1.0),
        (int, "1"),
        (int, None),
        (float, float("nan")),
        (float, 2**63),
        (float, "1"),
        (float | None, float("nan")),
        (str, "\udfff"),
        (str, b"a"),
        (bytes, "a"),
        (bytes, bytearray(b"a")),
        (bool, 1),
        (bool, None),
        (datetime, date(2026, 1, 1)),
        (datetime, "2026-01-01"),
        (date, datetime(2026, 1, 1, tzinfo=UTC)),
        (time, "01:00"),
        (Decimal, Decimal("NaN")),
        (Decimal, Decimal("-Infinity")),
        (Decimal, 1.5),
        (UUID, "00000000-0000-0000-0000-000000000001"),
        (Colour, "red"),
        (Colour, Level.LOW),
        (list[float], [float("nan")]),
        (list[float | None], [float("inf")]),
        (list[str], ["\ud800"]),
        (Any, object()),
    ],
)
def test_what_would_not_come_back_is_refused_with_what_is_allowed(
    annotation: object, value: object
) -> None:
    with pytest.raises(ValueError, match=r"^column 'field' can't hold .*: it needs "):
        column(annotation).stored(value)


def test_a_refusal_is_short_even_where_the_value_is_not() -> None:
    with pytest.raises(ValueError, match=r"… \(100002 characters\)") as caught:
        column(int).stored("x" * 100_000)
    assert len(str(caught.value)) < 300


def test_a_value_whose_repr_fails_is_refused_all_the_same() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

    with pytest.raises(ValueError, match="a Odd"):
        column(int).stored(Odd())


@pytest.mark.parametrize(
    ("annotation", "values", "held"),
    [
        (int, [], True),
        (int, [1, 2**63 - 1], True),
        (int, [1, 2**63, 2], False),
        (int, [1, None], False),
        (int | None, [None, None], True),
        (int | None, [None, 5, None], True),
        (float | None, [None, float("nan")], False),
        (float, [0.5, 2**64], False),
        (str, ["a", "\ud83d", "\ude00", "b"], False),  # two halves of one character are not one
        (bytes, [b"", "a"], False),
    ],
)
def test_many_values_are_judged_as_each_of_them(
    annotation: object, values: list[Any], held: bool
) -> None:
    assert column(annotation).holds(values) is held


def test_the_type_is_kept_as_it_was_written() -> None:
    assert column(Colour).annotation == "Colour"
    assert column(list[int]).annotation == "list[int]"
    assert column(int | None).annotation == "int | None"
