"""A view's rows in memory: gone with the process, otherwise the same promises and the same answers.

    runtime > mailbox > aggregate > journal > event store > bus > projection > [read store] > query

Inside the brackets: a dict. What a file could not hold is refused here too, and rows come in the
order in which SQLite would give them, so that a test in memory says something about the disk.
Nothing here awaits: that is what makes a put one step.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

from ..domain.columns import Column
from ..domain.errors import InvariantViolation
from ..domain.messages import Position
from ..domain.select import Match, Select
from ..domain.view import View


async def open_memory_rows(
    view: View[Any, Any, Any], replica: int, database_id: str
) -> "MemoryReadStore":
    """A ReadStoreFactory: empty rows, whichever replica and write database they are for."""
    return MemoryReadStore(view)


class MemoryReadStore:
    """A ReadStore in a dict. It hands out the very rows that it was given."""

    def __init__(self, view: View[Any, Any, Any]) -> None:
        self.view = view
        self.rebuilt = False
        self._checkpoint = Position(0)
        self._rows: dict[Any, Any] = {}
        self._in_order: list[Any] | None = []
        """The keys in their order; None until somebody asks for it."""

    @property
    def checkpoint(self) -> Position:
        return self._checkpoint

    async def put(self, changes: Mapping[Any, Any], position: Position) -> None:
        if position <= self._checkpoint:
            raise InvariantViolation(
                f"view {self.view.name!r} is at position {self._checkpoint} and was given "
                f"{position}: a put must move it ahead."
            )
        self.view.schema.check(changes)
        rows = self._rows
        if not changes.keys() <= rows.keys():
            self._in_order = None
        rows.update(changes)
        for key in [key for key, row in changes.items() if row is None]:
            del rows[key]
            self._in_order = None
        self._checkpoint = position

    async def get(self, keys: Sequence[Any]) -> dict[Any, Any]:
        self.view.schema.key_tuples(keys)
        rows = self._rows
        return {key: rows[key] for key in keys if key in rows}

    async def select(self, query: Select) -> tuple[Position, list[Any]]:
        query.check(self.view)
        matches = query.matches(self.view.schema)
        keys = self._all_keys() if query.keys is None else self._present(query.keys)
        end = None if query.limit is None else query.offset + query.limit
        if (
            not matches and not query.order_by
        ):  # the first page of many rows need not touch them all
            return self._checkpoint, [self._rows[key] for key in keys[query.offset : end]]
        rows = [self._rows[key] for key in keys]
        for match in matches:
            rows = _matching(match, rows)
        # From the last column to the first: sorting is stable, and turned round it still is.
        for name, turned in reversed(query.ordering()):
            value_of = _comparable(self.view.schema.column(name))
            rows.sort(key=lambda row: _nulls_first(value_of(row)), reverse=turned)
        return self._checkpoint, rows[query.offset : end]

    async def aclose(self) -> None:
        """Nothing is held."""

    def _all_keys(self) -> list[Any]:
        if self._in_order is None:
            self._in_order = self._sorted(list(self._rows))
        return self._in_order

    def _present(self, keys: Sequence[Any]) -> list[Any]:
        self.view.schema.key_tuples(keys)
        return self._sorted(list(dict.fromkeys(key for key in keys if key in self._rows)))

    def _sorted(self, keys: list[Any]) -> list[Any]:
        pairs = sorted(zip(self.view.schema.key_tuples(keys), range(len(keys)), strict=True))
        return [keys[index] for _, index in pairs]


def _matching(match: Match, rows: list[Any]) -> list[Any]:
    value_of = _comparable(match.column)
    decimal = match.column.kind == "decimal"
    wanted = set(map(Decimal, match.values)) if decimal else set(match.values)
    if match.or_none:
        wanted.add(None)
    return [row for row in rows if value_of(row) in wanted]


def _comparable(column: Column) -> Callable[[Any], Any]:
    """What stands for the row's value in comparisons: what SQL stores, but decimals as numbers."""
    get = attrgetter(column.name)
    convert = column.to_sql
    if convert is None or column.kind == "decimal":
        return get

    def stored(row: object) -> object:
        value = get(row)
        return None if value is None else convert(value)

    return stored


def _nulls_first(value: object) -> tuple[bool, Any]:
    return value is not None, value
