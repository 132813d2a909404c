"""A view's rows as an SQLite table: every statement that touches them, and nothing that begins or
commits.

Statements over many rows come in powers of two, so that a handful of prepared ones serve every
batch. Functions in this file run on a connection's thread.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

from ..domain.columns import LARGEST_INTEGER, Column
from ..domain.rows import RowSchema
from ..domain.select import Match, Select

MOST_PARAMETERS = 32_766
"""SQLite's default limit for one statement."""

MOST_ROWS = 128
"""Rows per statement; more gained nothing."""

_DECIMAL = "aftertide_decimal"


class Table:
    """The table of a view, named after it, with its fields as typed columns."""

    def __init__(self, schema: RowSchema[Any]) -> None:
        self.name = schema.table
        self._schema = schema
        self._quoted = _quoted(schema.table)
        self._keys = _listed(schema.key)
        self._rows_at_once = _power_of_two(min(MOST_ROWS, MOST_PARAMETERS // len(schema.columns)))
        self._upserts: dict[int, str] = {}
        self._gets: dict[int, str] = {}
        at_key = " AND ".join(f"{_quoted(name)} = ?" for name in schema.key)
        self._delete = f"DELETE FROM {self._quoted} WHERE {at_key}"
        # Names are qualified: a subquery of keys may stand beside the table.
        self._select = f"SELECT {', '.join(map(self._qualified, schema.names))} FROM "
        self._key_order = ", ".join(map(self._qualified, schema.key))

    def prepare(self, connection: sqlite3.Connection) -> None:
        """What a connection needs before its first `select`."""
        # Not part of the table, so that clients without this collation can read it.
        connection.create_collation(_DECIMAL, _compare_decimals)

    # ---- the table itself

    def exists(self, connection: sqlite3.Connection) -> bool:
        found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        return connection.execute(found, (self.name,)).fetchone() is not None

    def create(self, connection: sqlite3.Connection) -> None:
        """Make the table anew and empty, in the caller's transaction."""
        connection.execute(f"DROP TABLE IF EXISTS {self._quoted}")
        columns = [
            f"{_quoted(column.name)} {column.sql_type}{'' if column.nullable else ' NOT NULL'}"
            for column in self._schema.columns
        ]
        options = "STRICT, WITHOUT ROWID" if self._clustered() else "STRICT"
        connection.execute(
            f"CREATE TABLE {self._quoted} ({', '.join(columns)}, PRIMARY KEY ({self._keys})) "
            f"{options}"
        )

    def index(self, connection: sqlite3.Connection) -> None:
        """Bring the indexes to what the view declares, in the caller's transaction."""
        wanted = {}
        for number, fields in enumerate(self._schema.indexes, 1):
            name = f"{self.name}_index_{number}"
            wanted[name] = f"CREATE INDEX {_quoted(name)} ON {self._quoted} ({_listed(fields)})"
        found = (
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND sql > ''"
        )
        there: dict[str, str] = dict(connection.execute(found, (self.name,)).fetchall())
        for name, sql in there.items():
            if name.startswith(f"{self.name}_index_") and wanted.get(name) != sql:
                connection.execute(f"DROP INDEX {_quoted(name)}")
        for name, sql in wanted.items():
            if there.get(name) != sql:
                connection.execute(sql)

    def _clustered(self) -> bool:
        """Whether rows live in the key's own tree: one search instead of two, if they are short.

        One whole-number key is the rowid, which is that tree already.
        """
        key = self._schema.key_columns
        if len(key) == 1 and key[0].sql_type == "INTEGER":
            return False
        return not any(
            column.sql_type == "BLOB" or column.kind == "json" for column in self._schema.columns
        )

    # ---- rows

    def upsert(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        for start, count in _chunks(len(rows), self._rows_at_once):
            sql = self._upserts.get(count) or self._upserts.setdefault(count, self._upsert(count))
            connection.execute(sql, list(chain.from_iterable(rows[start : start + count])))

    def delete(self, connection: sqlite3.Connection, keys: Sequence[tuple[Any, ...]]) -> None:
        connection.executemany(self._delete, keys)

    def get(
        self, connection: sqlite3.Connection, keys: Sequence[tuple[Any, ...]]
    ) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for start, count in _chunks(len(keys), self._rows_at_once):
            sql = self._gets.get(count) or self._gets.setdefault(count, self._get(count))
            values = list(chain.from_iterable(keys[start : start + count]))
            rows += connection.execute(sql, values).fetchall()
        return rows

    def select(self, connection: sqlite3.Connection, query: Select) -> list[tuple[Any, ...]]:
        source, conditions = self._quoted, []
        values: list[Any] = []
        if query.keys is not None:
            keys = list(dict.fromkeys(self._schema.key_tuples(query.keys)))
            if not keys:
                return []
            source, condition = self._among(len(keys))
            conditions.append(condition)
            values += chain.from_iterable(keys)
        for match in query.matches(self._schema):
            conditions.append(self._matching(match))
            values += match.values
        order = [
            self._compared(self._schema.column(name)) + (" DESC" if turned else "")
            for name, turned in query.ordering()
        ]
        # NULLs are first in SQLite, and last where the order is turned round.
        order.append(self._key_order)
        values.append(-1 if query.limit is None else min(query.limit, LARGEST_INTEGER))
        values.append(min(query.offset, LARGEST_INTEGER))
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return connection.execute(
            f"{self._select}{source}{where} ORDER BY {', '.join(order)} LIMIT ? OFFSET ?", values
        ).fetchall()

    # ---- SQL

    def _upsert(self, count: int) -> str:
        names = self._schema.names
        others = [_quoted(name) for name in names if name not in self._schema.key]
        update = ", ".join(f"{name} = excluded.{name}" for name in others)
        return (
            f"INSERT INTO {self._quoted} ({_listed(names)}) VALUES {_tuples(count, len(names))} "
            f"ON CONFLICT ({self._keys}) DO {f'UPDATE SET {update}' if others else 'NOTHING'}"
        )

    def _get(self, count: int) -> str:
        source, condition = self._among(count)
        return f"{self._select}{source} WHERE {condition}"

    def _among(self, count: int) -> tuple[str, str]:
        """What to select from, and under which condition, to find these keys by the primary key."""
        columns = list(map(self._qualified, self._schema.key))
        if len(columns) == 1:
            return self._quoted, f"{columns[0]} IN ({', '.join('?' * count)})"
        # `(a, b) IN (VALUES …)` would scan the table. A join in this order searches it.
        keys = f"(VALUES {_tuples(count, len(columns))}) AS aftertide_keys"
        same = (f"{name} = aftertide_keys.column{at}" for at, name in enumerate(columns, 1))
        return f"{keys} CROSS JOIN {self._quoted}", " AND ".join(same)

    def _matching(self, match: Match) -> str:
        column = self._compared(match.column)
        conditions = []
        if match.values:
            conditions.append(f"{column} IN ({', '.join('?' * len(match.values))})")
        if match.or_none:
            conditions.append(f"{column} IS NULL")
        return f"({' OR '.join(conditions)})" if conditions else "0"

    def _compared(self, column: Column) -> str:
        name = self._qualified(column.name)
        return f"{name} COLLATE {_DECIMAL}" if column.kind == "decimal" else name

    def _qualified(self, name: str) -> str:
        return f"{self._quoted}.{_quoted(name)}"


def _quoted(name: str) -> str:
    # Names are ASCII letters, digits and '_' (domain/rows.py): the quotes are for SQL's own words.
    return f'"{name}"'


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_quoted, names))


def _tuples(count: int, width: int) -> str:
    return ", ".join([f"({', '.join('?' * width)})"] * count)


def _power_of_two(most: int) -> int:
    return 1 << (most.bit_length() - 1)


def _chunks(total: int, most: int) -> Iterator[tuple[int, int]]:
    """Where each chunk starts and how many it has: powers of two, the largest `most`."""
    start, count = 0, most
    while start < total:
        while count > total - start:
            count //= 2
        yield start, count
        start += count


def _compare_decimals(left: str, right: str) -> int:
    one, other = Decimal(left), Decimal(right)
    return (one > other) - (one < other)
