"""A query on a view's rows as a value: which rows, in which order, how many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .columns import Column

if TYPE_CHECKING:
    from .rows import RowSchema
    from .view import View

MOST_VALUES = 30_000
"""Values and keys that one query may name. SQLite takes 32,766 parameters in a statement."""


class Match(NamedTuple):
    """Rows whose column has one of these stored values, or none where `or_none`."""

    column: Column
    values: tuple[Any, ...]
    or_none: bool


@dataclass(frozen=True, slots=True)
class Select:
    """Rows with `keys` (or all), where columns have these values, ordered, limited.

    A value in `where` that is a list, tuple or set matches any of its members; None matches rows
    without a value. `order_by` names columns; a leading hyphen turns the order round. Rows without
    a value come first, or last where it is turned round. Rows that are equal in it come in key
    order, so that paging by `limit` and `offset` is stable. JSON columns are compared and ordered
    by their text.
    """

    keys: Sequence[Any] | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    order_by: Sequence[str] = ()
    limit: int | None = None
    offset: int = 0

    def check(self, view: "View[Any, Any, Any]") -> None:
        """Raises ValueError for an unknown column or a bad number, naming what is allowed."""
        columns = view.schema.names
        for name in (*self.where, *(column.removeprefix("-") for column in self.order_by)):
            if name not in columns:
                raise ValueError(
                    f"view {view.name!r} has no column {name!r}: it has {', '.join(columns)}."
                )
        for what, number in (("limit", self.limit), ("offset", self.offset)):
            if number is not None and (
                isinstance(number, bool) or not isinstance(number, int) or number < 0
            ):
                raise ValueError(f"{what} is {number!r}: it must be a whole number from 0.")
        parts = len(view.schema.key) * len(self.keys or ())
        named = parts + sum(len(value) for value in self.where.values() if _is_several(value))
        if named > MOST_VALUES:
            raise ValueError(
                f"the query on view {view.name!r} names {named} values: allowed are {MOST_VALUES}. "
                "Ask in several queries."
            )

    def matches(self, schema: "RowSchema[Any]") -> list[Match]:
        """`where` with its values as they are stored. Raises ValueError for one its column can't
        hold.
        """
        matches: list[Match] = []
        for name, wanted in self.where.items():
            members = tuple(wanted) if _is_several(wanted) else (wanted,)
            values = tuple(schema.stored(name, value) for value in members if value is not None)
            matches.append(Match(schema.column(name), values, None in members))
        return matches

    def ordering(self) -> list[tuple[str, bool]]:
        """The columns of `order_by`, and whether each is turned round."""
        return [(name.removeprefix("-"), name.startswith("-")) for name in self.order_by]


def _is_several(value: object) -> bool:
    return isinstance(value, (list, tuple, set, frozenset))
