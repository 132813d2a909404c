"""A view's row type as table columns: which SQL type each field has, and how rows become tuples and back."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from operator import attrgetter
from types import UnionType
from typing import Any, Generic, Literal, TypeVar, get_args, get_origin

import msgspec

R = TypeVar("R")
Convert = Callable[[Any], Any]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLAIN = {int: "INTEGER", float: "REAL", str: "TEXT", bytes: "BLOB"}


@dataclass(frozen=True, slots=True)
class Column:
    """One field. `to_sql` and `from_sql` are None where the value is stored as it is."""

    name: str
    sql_type: str
    nullable: bool
    to_sql: Convert | None = None
    from_sql: Convert | None = None


@dataclass(frozen=True, slots=True)
class RowSchema(Generic[R]):
    """Columns in the order of the row's fields, and the two conversions between rows and tuples."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    to_tuple: Callable[[R], tuple[Any, ...]]
    from_tuple: Callable[[Sequence[Any]], R]
    key_of: Callable[[R], Any]
    """The row's key: a scalar, or a tuple where there are several key columns."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        return self.columns[self.names.index(name)]

    def key_tuple(self, key: Any) -> tuple[Any, ...]:
        """A key as column values, in the order of the key columns, converted for SQL.

        Raises ValueError for a key with the wrong number of parts.
        """
        parts = (key,) if len(self.key) == 1 else key
        if not isinstance(parts, tuple) or len(parts) != len(self.key):
            raise ValueError(
                f"{key!r} is no key of view {self.table!r}: it needs {len(self.key)} value(s), ({', '.join(self.key)})."
            )
        return tuple(self.value(name, part) for name, part in zip(self.key, parts, strict=True))

    def value(self, name: str, value: Any) -> Any:
        """One column's value as SQL stores it."""
        convert = self.column(name).to_sql
        return value if convert is None or value is None else convert(value)

    @classmethod
    def of(
        cls, table: str, row: type[R], key: tuple[str, ...], indexes: tuple[tuple[str, ...], ...]
    ) -> "RowSchema[R]":
        if not isinstance(table, str) or not _NAME.fullmatch(table) or table.lower().startswith(("sqlite_", "aftertide_")):
            raise ValueError(
                f"{table!r} can't name a view: it becomes a table, so it needs letters, digits or '_', "
                "beginning with a letter, and neither 'sqlite_' nor 'aftertide_' in front."
            )
        columns = tuple(_column(table, name, annotation) for name, annotation in _fields(table, row))
        names = tuple(column.name for column in columns)
        for field in (*key, *(name for index in indexes for name in index)):
            if field not in names:
                raise ValueError(f"view {table!r} has no field {field!r} in {row.__name__}: it has {', '.join(names)}.")
        if not key:
            raise ValueError(f"view {table!r} needs at least one key field.")
        return cls(
            table,
            columns,
            key,
            indexes,
            _to_tuple(columns),
            _from_tuple(row, columns),
            attrgetter(*key),
        )


def _fields(table: str, row: type) -> list[tuple[str, Any]]:
    if not isinstance(row, type) or not (dataclasses.is_dataclass(row) or issubclass(row, msgspec.Struct)):
        raise TypeError(f"the row of view {table!r} is {row!r}: it must be a dataclass or a msgspec Struct.")
    hints = typing.get_type_hints(row)
    if issubclass(row, msgspec.Struct):
        return [(name, hints[name]) for name in row.__struct_fields__]
    return [(field.name, hints[field.name]) for field in dataclasses.fields(row) if field.init]


def _column(table: str, name: str, annotation: Any) -> Column:
    if not _NAME.fullmatch(name):
        raise ValueError(f"field {name!r} of view {table!r} can't be a column name: use ASCII letters, digits, '_'.")
    members = get_args(annotation) if get_origin(annotation) in (typing.Union, UnionType) else (annotation,)
    nullable = type(None) in members
    kinds = [member for member in members if member is not type(None)]
    kind = kinds[0] if len(kinds) == 1 else Any
    if get_origin(kind) is Literal and len({type(value) for value in get_args(kind)}) == 1:
        kind = type(get_args(kind)[0])
    kind = getattr(kind, "__supertype__", kind)  # a NewType
    if kind in _PLAIN:
        # float() because a whole number in a REAL column comes back as one of another type.
        return Column(name, _PLAIN[kind], nullable, float if kind is float else None)
    if kind is bool:
        return Column(name, "INTEGER", nullable, int, bool)
    if kind in (datetime, date):
        return Column(name, "TEXT", nullable, kind.isoformat, kind.fromisoformat)
    if kind is Decimal:
        return Column(name, "TEXT", nullable, str, Decimal)
    if isinstance(kind, type) and issubclass(kind, Enum):
        values = {type(member.value) for member in kind}
        if len(values) == 1 and (plain := values.pop()) in _PLAIN:
            return Column(name, _PLAIN[plain], nullable, attrgetter("value"), kind)
    decode = msgspec.json.Decoder(annotation).decode
    return Column(name, "TEXT", nullable, lambda value: msgspec.json.encode(value).decode(), decode)


def _to_tuple(columns: tuple[Column, ...]) -> Callable[[Any], tuple[Any, ...]]:
    getters = [attrgetter(column.name) for column in columns]
    converts = [None if column.to_sql is float else column.to_sql for column in columns]
    if not any(converts) and len(columns) > 1:
        return typing.cast("Callable[[Any], tuple[Any, ...]]", attrgetter(*(column.name for column in columns)))

    def to_tuple(row: Any) -> tuple[Any, ...]:
        values = [get(row) for get in getters]
        return tuple(
            value if convert is None or value is None else convert(value)
            for convert, value in zip(converts, values, strict=True)
        )

    return to_tuple


def _from_tuple(row: type[R], columns: tuple[Column, ...]) -> Callable[[Sequence[Any]], R]:
    converts = [column.from_sql for column in columns]
    parameters = inspect.signature(row).parameters.values()
    if any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters):
        names = [column.name for column in columns]
        make = lambda *values: row(**dict(zip(names, values, strict=True)))  # noqa: E731
    else:
        make = row
    if not any(converts):
        return lambda values: make(*values)

    def from_tuple(values: Sequence[Any]) -> R:
        return make(
            *(
                value if convert is None or value is None else convert(value)
                for convert, value in zip(converts, values, strict=True)
            )
        )

    return from_tuple
