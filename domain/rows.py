"""A view's row type as a table: its columns, its key, and how rows become tuples and back.

Conversion goes column by column, not row by row: a thousand rows cost a few calls per column.
"""

import dataclasses
import inspect
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import starmap
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from .columns import Annotation, Column, Stored, column_of, shortened

R = TypeVar("R")

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = ("sqlite_", "aftertide_")


class Changes(NamedTuple):
    """What one `put` does, ready to be stored."""

    written: list[tuple[Any, ...]]
    """Rows as tuples of stored values, in the order of the columns."""
    deleted: list[tuple[Any, ...]]
    """Keys as tuples of stored values."""


@dataclass(frozen=True, slots=True)
class RowSchema(Generic[R]):
    """Columns in the order of the row's fields, and the way between rows and stored tuples."""

    table: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[tuple[str, ...], ...]
    key_of: Callable[[R], Any]
    """The row's key: a scalar, or a tuple where there are several key columns."""
    _getters: tuple[Callable[[R], Any], ...]
    _make: Callable[..., R]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        return tuple(self.column(name) for name in self.key)

    @property
    def signature(self) -> str:
        """Equal for tables that hold the same rows in the same way. Indexes are not part of it."""
        columns = "; ".join(
            f"{column.name} {column.annotation} as {column.sql_type}" for column in self.columns
        )
        return f"{columns}; key {', '.join(self.key)}"

    def column(self, name: str) -> Column:
        return self.columns[self.names.index(name)]

    def check(self, changes: Mapping[Any, R | None]) -> None:
        """Raises ValueError where `changes` would."""
        rows, deleted = self._split(changes)
        self._stored_columns(rows)
        self.key_tuples(deleted)

    def changes(self, changes: Mapping[Any, R | None]) -> Changes:
        """What these rows (None deletes) are in the table.

        Raises ValueError for a value that can't be stored, naming view, column and value, and for a
        row whose key fields are not the key it is written at.
        """
        rows, deleted = self._split(changes)
        return Changes(self.tuples(rows), self.key_tuples(deleted))

    def _split(self, changes: Mapping[Any, R | None]) -> tuple[list[R], list[Any]]:
        keys, rows, deleted = [], [], []
        for key, row in changes.items():
            if row is None:
                deleted.append(key)
            else:
                keys.append(key)
                rows.append(row)
        if list(map(self.key_of, rows)) != keys:
            raise self._misplaced(keys, rows)
        return rows, deleted

    def tuples(self, rows: Sequence[R]) -> list[tuple[Any, ...]]:
        """The rows as tuples of stored values. Raises ValueError for one that can't be stored."""
        return list(zip(*self._stored_columns(rows), strict=True))

    def _stored_columns(self, rows: Sequence[R]) -> list[Sequence[Any]]:
        try:
            values = [
                _mapped(column.to_sql, list(map(get, rows)))
                for column, get in zip(self.columns, self._getters, strict=True)
            ]
            held = all(map(Column.holds, self.columns, values))
        except Exception as error:  # a value's own methods; the search below finds whose
            raise self._refused(rows) from error
        if not held:
            raise self._refused(rows)
        return values

    def rows(self, tuples: Sequence[tuple[Any, ...]]) -> list[R]:
        """The inverse of `tuples`."""
        if tuples and any(column.from_sql for column in self.columns):
            values = [
                _mapped(column.from_sql, stored)
                for column, stored in zip(self.columns, zip(*tuples, strict=True), strict=True)
            ]
            return list(map(self._make, *values))
        return list(starmap(self._make, tuples))

    def key_tuples(self, keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Keys as tuples of stored values. Raises ValueError for what can't be a key here."""
        columns = self.key_columns
        if len(columns) == 1 and columns[0].to_sql is None and columns[0].holds(keys):
            return [(key,) for key in keys]
        return [self._key_tuple(key, columns) for key in keys]

    def _key_tuple(self, key: object, columns: tuple[Column, ...]) -> tuple[Stored, ...]:
        parts = (key,) if len(columns) == 1 else key
        if not isinstance(parts, tuple) or len(parts) != len(columns):
            raise ValueError(
                f"{key!r} is no key of view {self.table!r}: it needs a tuple of "
                f"{len(columns)} values, ({', '.join(self.key)})."
            )
        return tuple(
            self._stored(column, part) for column, part in zip(columns, parts, strict=True)
        )

    def stored(self, name: str, value: object) -> Stored:
        """One column's value as SQL stores it. Raises ValueError for a value it can't hold."""
        return self._stored(self.column(name), value)

    def _stored(self, column: Column, value: object) -> Stored:
        try:
            return column.stored(value)
        except ValueError as error:
            raise ValueError(f"view {self.table!r}: {error}.") from error.__cause__

    def _refused(self, rows: Sequence[R]) -> ValueError:
        for row in rows:
            try:
                for column in self.columns:
                    self._stored(column, getattr(row, column.name))
            except (ValueError, AttributeError) as error:
                return ValueError(f"{error} The row is {shortened(row)}.")
        return ValueError(f"view {self.table!r} can't store {shortened(rows)}.")

    def _misplaced(self, keys: list[Any], rows: list[R]) -> ValueError:
        for key, row in zip(keys, rows, strict=True):
            if (own := self.key_of(row)) != key:
                return ValueError(
                    f"view {self.table!r}: the row for key {key!r} has the key {own!r} in its "
                    f"field(s) {', '.join(self.key)}: {shortened(row)}. Let apply return a row "
                    "with the key that it was given."
                )
        return ValueError(
            f"view {self.table!r}: a key that is not equal to itself: {shortened(keys)}."
        )

    @classmethod
    def of(
        cls, table: str, row: type[R], key: tuple[str, ...], indexes: tuple[tuple[str, ...], ...]
    ) -> "RowSchema[R]":
        """Raises TypeError for a row type without typed fields, ValueError for names that don't
        fit.
        """
        if (
            not isinstance(table, str)
            or not _NAME.fullmatch(table)
            or table.lower().startswith(_RESERVED)
        ):
            raise ValueError(
                f"{table!r} can't name a view: it becomes a table, so it needs letters, digits or "
                "'_', beginning with a letter, and neither 'sqlite_' nor 'aftertide_' in front."
            )
        columns = tuple(_column(table, name, type_) for name, type_ in _fields(table, row))
        _check_names(table, row, columns, key, indexes)
        names = [column.name for column in columns]
        return cls(
            table,
            columns,
            key,
            indexes,
            attrgetter(*key),
            tuple(map(attrgetter, names)),
            _maker(row, names),
        )


def _mapped(convert: Callable[[Any], Any] | None, values: Sequence[Any]) -> Sequence[Any]:
    if convert is None:
        return values
    return [None if value is None else convert(value) for value in values]


def _maker(row: type[R], names: list[str]) -> Callable[..., R]:
    parameters = inspect.signature(row).parameters.values()
    if any(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters):
        return lambda *values: row(**dict(zip(names, values, strict=True)))
    return row


def _fields(table: str, row: type) -> list[tuple[str, Annotation]]:
    if not isinstance(row, type) or not (
        dataclasses.is_dataclass(row) or issubclass(row, msgspec.Struct)
    ):
        raise TypeError(
            f"the row of view {table!r} is {row!r}: it must be a dataclass or a msgspec Struct."
        )
    try:
        hints = typing.get_type_hints(row)
    except NameError as error:
        raise TypeError(
            f"the field types of row {row.__qualname__} of view {table!r} can't be read: {error}. "
            "Define the row and its types at the top of a module."
        ) from error
    if issubclass(row, msgspec.Struct):
        return [(name, hints[name]) for name in row.__struct_fields__]
    return [(field.name, hints[field.name]) for field in dataclasses.fields(row) if field.init]


def _column(table: str, name: str, annotation: Annotation) -> Column:
    try:
        return column_of(name, annotation)
    except TypeError as error:
        raise TypeError(
            f"field {name!r} of view {table!r} can't be stored: {error}. Use a plain type, or one that "
            "msgspec can write as JSON and read back."
        ) from error


def _check_names(
    table: str,
    row: type,
    columns: tuple[Column, ...],
    key: tuple[str, ...],
    indexes: tuple[tuple[str, ...], ...],
) -> None:
    by_name = {column.name: column for column in columns}
    for name in by_name:
        if not _NAME.fullmatch(name):
            raise ValueError(
                f"field {name!r} of view {table!r} can't be a column name: use ASCII letters, "
                "digits, '_'."
            )
    if len({name.lower() for name in by_name}) < len(by_name):
        raise ValueError(
            f"view {table!r} has fields that differ in case only ({', '.join(by_name)}), which "
            "SQL takes for one name: rename one."
        )
    for field in (*key, *(name for index in indexes for name in index)):
        if field not in by_name:
            raise ValueError(
                f"view {table!r} has no field {field!r} in {row.__name__}: it has "
                f"{', '.join(by_name)}."
            )
    if () in indexes:
        raise ValueError(f"view {table!r} has an index over nothing: name at least one field.")
    if not key or len(set(key)) < len(key):
        raise ValueError(
            f"the key of view {table!r} is {key!r}: it needs at least one field, each named once."
        )
    for field in key:
        column = by_name[field]
        if column.nullable or column.kind != "plain":
            # NULL is not equal to itself. Decimals 1.0 and 1.00 are equal, and two texts.
            raise ValueError(
                f"field {field!r} of view {table!r} can't be a key: it is {column.annotation}. Use "
                "str, int, float, bool, bytes, datetime, date, UUID or an Enum, without None: "
                "equal keys must be stored alike."
            )
