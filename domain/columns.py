"""One field of a row as one column: its SQL type, what it can hold, and the way there and back.

What is plain in SQL stays plain, so that any client reads it: numbers, text, bytes, ISO times, the
value of an Enum. Everything else becomes JSON text. Nothing here knows a database; what SQLite
would bend or refuse (NaN, integers beyond 64 bits, lone surrogates) is refused for every store
alike.
"""

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import Enum
from operator import ne
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin
from uuid import UUID

import msgspec

Convert = Callable[[Any], Any]

Stored = str | int | float | bytes | None
"""What a database keeps of a value."""

Annotation = Any
"""Any type expression: a class, a union, an alias."""

LARGEST_INTEGER = 2**63 - 1
SMALLEST_INTEGER = -(2**63)

_SQL_TYPES: dict[type, tuple[str, tuple[type, ...], str]] = {
    int: ("INTEGER", (int, bool), "a whole number of 64 bits"),
    bool: ("INTEGER", (bool,), "True or False"),
    float: ("REAL", (float, int), "a number that is not NaN"),
    str: ("TEXT", (str,), "text without lone surrogates"),
    bytes: ("BLOB", (bytes,), "bytes"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One field. `to_sql` and `from_sql` are None where the value is stored as it is."""

    name: str
    annotation: str
    """The type as it was written: part of what a stored table is recognised by."""
    sql_type: str
    nullable: bool
    types: tuple[type, ...]
    """What its stored values may be, besides None."""
    needs: str
    """The same in words."""
    to_sql: Convert | None = None
    from_sql: Convert | None = None
    kind: Literal["plain", "decimal", "json"] = "plain"
    """Decimals are stored as text, exactly, and compared as the numbers they are."""

    def holds(self, values: Sequence[Any]) -> bool:
        """Whether all these converted values can be stored and come back as they are."""
        # The hot path of every write: a few calls per column, none per value.
        types = set(map(type, values))
        if NoneType in types:
            if not self.nullable:
                return False
            types.discard(NoneType)
            values = [value for value in values if value is not None]
        if not types.issubset(self.types) and not all(
            isinstance(value, self.types) for value in values
        ):
            return False
        if not values:
            return True
        match self.sql_type:
            case "INTEGER":
                return bool(min(values) >= SMALLEST_INTEGER and max(values) <= LARGEST_INTEGER)
            case "REAL":
                return not any(map(ne, values, values)) and (types == {float} or _fit(values))
            case "TEXT":
                return _encodable("".join(values))
        return True

    def stored(self, value: object) -> Stored:
        """The value as SQL stores it. Raises ValueError with what the column can hold."""
        converted: Any = value
        try:
            if self.to_sql is not None and value is not None:
                converted = self.to_sql(value)
            held = self.holds((converted,))
        except Exception as error:
            raise ValueError(f"{self._refusal(value)} ({error})") from error
        if not held:
            raise ValueError(self._refusal(value))
        stored: Stored = converted
        return stored

    def _refusal(self, value: object) -> str:
        none = " or None" if self.nullable else ""
        return f"column {self.name!r} can't hold {shortened(value)}: it needs {self.needs}{none}"


def column_of(name: str, annotation: Annotation) -> Column:
    """The column for a field of this annotation."""
    written = _written(annotation)
    kind, nullable = _without_none(annotation)
    if _origin(kind) is Literal:
        types = {type(value) for value in get_args(kind)}
        if len(types) == 1:
            kind = types.pop()
    if kind in _SQL_TYPES:
        back: Convert | None = bool if kind is bool else None
        return Column(name, written, *_parts(nullable, kind), from_sql=back)
    if kind in _TEXTS:
        to_sql, from_sql, needs = _TEXTS[kind]
        stored_as: Literal["plain", "decimal"] = "decimal" if kind is Decimal else "plain"
        return Column(name, written, "TEXT", nullable, (str,), needs, to_sql, from_sql, stored_as)
    if isinstance(kind, type) and issubclass(kind, Enum):
        types = {type(member.value) for member in kind}
        if len(types) == 1 and (plain := types.pop()) in _SQL_TYPES:
            sql_type, nullable, allowed, _ = _parts(nullable, plain)
            needs = f"a {kind.__name__}"
            return Column(
                name, written, sql_type, nullable, allowed, needs, _enum_value(kind), kind
            )
    to_sql, from_sql = _json(annotation)
    needs = f"what is JSON as {written}"
    return Column(name, written, "TEXT", nullable, (str,), needs, to_sql, from_sql, "json")


def _parts(nullable: bool, kind: type) -> tuple[str, bool, tuple[type, ...], str]:
    sql_type, types, needs = _SQL_TYPES[kind]
    return sql_type, nullable, types, needs


def _without_none(annotation: Annotation) -> tuple[Annotation, bool]:
    """The annotation behind its aliases and NewTypes, without None, and whether None was in it.

    What is left of a union of several is the union itself.
    """
    nullable = False
    while True:
        if hasattr(annotation, "__supertype__"):  # a NewType
            annotation = annotation.__supertype__
        elif hasattr(annotation, "__value__"):  # `type X = …` of Python 3.12
            annotation = annotation.__value__
        elif _origin(annotation) in (typing.Union, UnionType):
            kinds = [member for member in get_args(annotation) if member is not NoneType]
            nullable = nullable or len(kinds) < len(get_args(annotation))
            if len(kinds) != 1:
                return annotation, nullable
            annotation = kinds[0]
        elif _origin(annotation) is Literal and None in get_args(annotation):
            values = tuple(value for value in get_args(annotation) if value is not None)
            if not values:
                return annotation, True
            annotation, nullable = Literal[values], True
        else:
            return annotation, nullable


def _origin(annotation: Annotation) -> object:
    return get_origin(annotation)


def _written(annotation: Annotation) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__
    return str(annotation)


def _fit(values: Sequence[Any]) -> bool:
    """Whole numbers in a column of floats: SQLite takes them as 64-bit integers first."""
    return all(
        SMALLEST_INTEGER <= value <= LARGEST_INTEGER for value in values if isinstance(value, int)
    )


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def shortened(value: object) -> str:
    """The value's repr, for a message."""
    try:
        text = repr(value)
    except Exception as error:  # noqa: BLE001 - the repr is the user's
        return f"a {type(value).__name__} (its repr failed: {error})"
    return text if len(text) <= 200 else f"{text[:150]}… ({len(text)} characters)"


def _instant(value: datetime) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"it is a {type(value).__name__}")
    # In UTC, so that the order of the texts is the order of the instants, and equal ones are equal.
    return datetime.isoformat(value if value.tzinfo is None else value.astimezone(UTC))


def _day(value: date) -> str:
    if isinstance(value, datetime):
        raise TypeError("it has a time of day, which would be lost")
    return date.isoformat(value)


def _number(value: Decimal) -> str:
    if not Decimal.is_finite(value):
        raise ValueError("it is not finite")
    return str(value)


_TEXTS: dict[Any, tuple[Convert, Convert, str]] = {
    datetime: (_instant, datetime.fromisoformat, "a datetime"),
    date: (_day, date.fromisoformat, "a date"),
    time: (time.isoformat, time.fromisoformat, "a time"),
    UUID: (UUID.__str__, UUID, "a UUID"),
    Decimal: (_number, Decimal, "a finite Decimal"),
}


def _enum_value(kind: type[Enum]) -> Convert:
    def value_of(member: object) -> Stored:
        if not isinstance(member, kind):
            raise TypeError(f"it is a {type(member).__name__}")
        value: Stored = member.value
        return value

    return value_of


def _json(annotation: Annotation) -> tuple[Convert, Convert]:
    # Deterministic, so that equal sets and dicts are equal texts.
    encode = msgspec.json.Encoder(order="deterministic").encode
    decode = msgspec.json.Decoder(annotation).decode

    def to_text(value: object) -> str:
        data = encode(value)
        # JSON has no NaN: msgspec writes null, and what was written must come back.
        if b"null" in data and (decoded := decode(data)) != value:
            raise ValueError(f"it would come back as {shortened(decoded)}")
        return data.decode()

    return to_text, decode
