"""A query on a view's rows as a value: which rows, in which order, how many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .view import View


@dataclass(frozen=True, slots=True)
class Select:
    """Rows with `keys` (or all), where columns have these values, ordered, limited.

    A value in `where` that is a list, tuple or set matches any of its members; None matches rows without a
    value. `order_by` names columns; a leading hyphen turns the order round. Rows that are equal in it come
    in key order, so that paging by `limit` and `offset` is stable.
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
            if number is not None and (isinstance(number, bool) or not isinstance(number, int) or number < 0):
                raise ValueError(f"{what} is {number!r}: it must be a whole number from 0.")
