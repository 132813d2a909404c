"""A row type becomes a table, or is refused with the reason, and rows become tuples and back."""

from dataclasses import dataclass, field, make_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, ClassVar

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertide.domain.rows import RowSchema

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    balance: int
    opened: datetime | None = None
    made: ClassVar[int] = 0
    cached: int = field(default=7, init=False)


class Struct(msgspec.Struct, kw_only=True, frozen=True):
    b: int
    a: str = "x"


def schema(row: type = Account, key: tuple[str, ...] = ("id",), name: str = "t") -> RowSchema[Any]:
    return RowSchema.of(name, row, key, ())


def made(**fields: Any) -> Any:  # noqa: ANN401 - any type expressions, and a class to call with anything
    return make_dataclass("Made", list(fields.items()))


def test_the_fields_that_make_a_row_are_its_columns() -> None:
    assert schema().names == ("id", "balance", "opened")
    assert schema(Struct, ("b",)).names == ("b", "a")


def test_rows_become_tuples_and_come_back() -> None:
    rows = [Account("a", 1), Account("b", 2, NOON)]
    tuples = schema().tuples(rows)
    assert tuples == [("a", 1, None), ("b", 2, "2026-03-01T12:00:00+00:00")]
    assert schema().rows(tuples) == rows
    assert schema().tuples([]) == schema().rows([]) == []


def test_rows_with_keywords_only_come_back_by_name() -> None:
    struct = schema(Struct, ("b",))
    rows = [Struct(a="q", b=1), Struct(b=2)]
    assert struct.tuples(rows) == [(1, "q"), (2, "x")]
    assert struct.rows(struct.tuples(rows)) == rows


def test_a_row_of_one_column_is_a_tuple_of_one() -> None:
    one = made(id=str)
    single = schema(one)
    assert single.tuples([one("a"), one("b")]) == [("a",), ("b",)]
    assert single.rows([("a",)]) == [one("a")]


def test_changes_are_the_rows_to_write_and_the_keys_to_delete() -> None:
    changes = schema().changes({"a": Account("a", 1), "b": None, "c": Account("c", 2)})
    assert changes.written == [("a", 1, None), ("c", 2, None)]
    assert changes.deleted == [("b",)]


@given(bad=st.integers(0, 4), size=st.integers(1, 5))
def test_one_bad_value_is_found_among_the_good_and_named(bad: int, size: int) -> None:
    rows = {f"{number}": Account(f"{number}", number) for number in range(size)}
    place = f"{bad % size}"
    rows[place] = Account(place, 2**80)
    expected = (
        rf"view 't': column 'balance' can't hold {2**80}: .* The row is Account\(id='{place}'"
    )
    for refuse in (schema().check, schema().changes):
        with pytest.raises(ValueError, match=expected):
            refuse(rows)


def test_something_that_is_no_row_is_refused() -> None:
    with pytest.raises(ValueError, match="no attribute 'balance'"):
        schema().tuples([made(id=str)("a")])


def test_a_row_at_a_key_that_is_not_its_own_is_refused() -> None:
    with pytest.raises(ValueError, match=r"row for key 'b' has the key 'a' in its field\(s\) id"):
        schema().check({"a": Account("a", 1), "b": Account("a", 1)})


def test_a_key_that_can_be_no_key_is_refused_for_deleting_too() -> None:
    with pytest.raises(ValueError, match="column 'id' can't hold 5"):
        schema().check({5: None})


def test_keys_are_scalars_or_tuples_as_the_view_has_key_columns() -> None:
    pair = schema(made(a=str, at=datetime), ("at", "a"))
    assert schema().key_tuples(["a", "b"]) == [("a",), ("b",)]
    assert pair.key_tuples([(NOON, "x")]) == [("2026-03-01T12:00:00+00:00", "x")]
    for wrong in ("x", (NOON,), (NOON, "x", 1), [NOON, "x"]):
        with pytest.raises(
            ValueError, match=r"no key of view 't': it needs a tuple of 2 values, \(at, a\)"
        ):
            pair.key_tuples([wrong])
    with pytest.raises(ValueError, match="column 'id' can't hold"):
        schema().key_tuples([("a",)])


def test_a_signature_changes_with_columns_types_and_key() -> None:
    signatures = [
        schema(made(id=str, n=int)).signature,
        schema(made(id=str, n=int | None)).signature,
        schema(made(id=str, n=float)).signature,
        schema(made(id=str, n=list[int])).signature,
        schema(made(id=str, n=list[str])).signature,
        schema(made(id=str, m=int)).signature,
        schema(made(n=int, id=str)).signature,
        schema(made(id=str, n=int), ("n",)).signature,
        schema(made(id=str, n=int), ("n", "id")).signature,
    ]
    assert len(set(signatures)) == len(signatures)
    assert schema(made(id=str, n=int)).signature == signatures[0]


@pytest.mark.parametrize(
    "name", ["", "1st", "a-b", "a b", "ü", 'x"y', "sqlite_x", "Aftertide_x", None]
)
def test_a_name_that_is_no_table_is_refused(name: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(ValueError, match="can't name a view"):
        schema(name=name)


@pytest.mark.parametrize("row", [int, dict, Account("a", 1), "Account", list[int]])
def test_a_row_type_without_typed_fields_is_refused(row: Any) -> None:  # noqa: ANN401 - wrong on purpose
    with pytest.raises(TypeError, match="must be a dataclass or a msgspec Struct"):
        schema(row)


def test_types_that_can_not_be_read_are_told_by_name() -> None:
    row = make_dataclass("Row", [("id", str), ("other", "Unknown")])
    with pytest.raises(TypeError, match=r"row Row of view 't' can't be read: name 'Unknown'"):
        schema(row)


class Mixed(Enum):
    ONE = 1
    TWO = "two"


@pytest.mark.parametrize("annotation", [Mixed, list[Mixed], int | bytes | str])
def test_a_type_that_can_not_be_stored_is_told_by_field(annotation: object) -> None:
    with pytest.raises(TypeError, match=r"field 'odd' of view 't' can't be stored: .*"):
        schema(made(id=str, odd=annotation))


def test_what_annotated_adds_is_passed_over() -> None:
    [_, column] = schema(made(id=str, n=Annotated[int, "cents"])).columns
    assert (column.sql_type, column.kind) == ("INTEGER", "plain")


@pytest.mark.parametrize(
    ("row", "key", "text"),
    [
        (made(id=str), ("nope",), "has no field 'nope' in Made: it has id"),
        (made(id=str), (), "needs at least one field"),
        (made(id=str), ("id", "id"), "each named once"),
        (made(id=str, Id=str), ("id",), "differ in case only"),
        (made(ñ=str), ("ñ",), "can't be a column name"),
        (made(id=str | None), ("id",), r"can't be a key: it is str \| None"),
        (made(id=Decimal), ("id",), "can't be a key: it is Decimal"),
        (made(id=tuple[int, int]), ("id",), r"can't be a key: it is tuple\[int, int\]"),
    ],
)
def test_fields_that_make_no_table_are_refused(row: type, key: tuple[str, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        schema(row, key)


@pytest.mark.parametrize(("index", "text"), [(("no",), "has no field 'no'"), ((), "over nothing")])
def test_an_index_names_fields(index: tuple[str, ...], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RowSchema.of("t", Account, ("id",), (index,))
