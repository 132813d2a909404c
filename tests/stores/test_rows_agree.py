"""Memory and SQLite give the same answers, whatever is put and whatever is asked."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aftertide.domain.messages import Position
from aftertide.domain.ports import ReadStore
from aftertide.domain.select import Select
from aftertide.domain.view import View
from aftertide.stores.memory_rows import open_memory_rows
from aftertide.stores.sqlite_rows import SqliteReadStores
from tests.contracts.read_store import ACCOUNTS, Account, Happened, kept


class Colour(Enum):
    RED = "red"
    BLUE = "Blue"
    GREEN = "grün"


class Level(IntEnum):
    LOW = -1
    HIGH = 300


@dataclass(frozen=True)
class Point:
    x: int
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Everything:
    key: str
    part: int
    whole: int | None
    real: float | None
    text: str | None
    flag: bool | None
    raw: bytes | None
    at: datetime | None
    day: date | None
    clock: time | None
    amount: Decimal | None
    colour: Colour | None
    level: Level | None
    side: Literal["buy", "sell"] | None
    ident: UUID | None
    tags: list[str] | None
    nested: Point | None
    mixed: int | str
    table: dict[str, int]


class Keyword(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    value: float = 0.5
    id: UUID


EVERYTHING: View[Any, Any, Any] = View(
    "everything",
    row=Everything,
    key=("key", "part"),
    apply=kept,
    events=[Happened],
    indexes=["whole", ("text", "real")],
)

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=8)
ZONES: st.SearchStrategy[Any] = st.none() | st.integers(-14, 14).map(
    lambda hours: timezone(timedelta(hours=hours))
)
# Far from the first and last year, which other zones don't have; the bounds of a strategy have no zone.
INSTANTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=ZONES)  # noqa: DTZ001
KINDS: dict[str, st.SearchStrategy[Any]] = {
    "key": st.sampled_from(["", "a", "A", "é", "\0", "\N{GRINNING FACE}"]) | TEXTS,
    "part": st.integers(-2, 2) | INTEGERS,
    "whole": st.integers(-3, 3) | INTEGERS,
    "real": st.sampled_from([0.0, -0.0, 1.5, math.inf, -math.inf]) | st.floats(allow_nan=False),
    "text": TEXTS,
    "flag": st.booleans(),
    "raw": st.binary(max_size=8),
    "at": INSTANTS,
    "day": st.dates(),
    "clock": st.times(),
    "amount": st.decimals(allow_nan=False, allow_infinity=False) | st.decimals(-2, 2, places=1),
    "colour": st.sampled_from(Colour),
    "level": st.sampled_from(Level),
    "side": st.sampled_from(["buy", "sell"]),
    "ident": st.uuids(),
    "tags": st.lists(TEXTS, max_size=3),
    "nested": st.builds(Point, INTEGERS, st.none() | TEXTS),
    "mixed": INTEGERS | TEXTS,
    "table": st.dictionaries(TEXTS, INTEGERS, max_size=3),
}
NEVER_NONE = {"key", "part", "mixed", "table"}
ROWS = st.builds(
    Everything,
    **{
        name: values if name in NEVER_NONE else st.none() | values for name, values in KINDS.items()
    },
)

SETTINGS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@asynccontextmanager
async def both(view: View[Any, Any, Any]) -> AsyncIterator[tuple[ReadStore, ReadStore]]:
    with TemporaryDirectory() as folder:
        memory = await open_memory_rows(view, 1, "the-log")
        sqlite = await SqliteReadStores(folder)(view, 1, "the-log")
        try:
            yield memory, sqlite
        finally:
            await sqlite.aclose()


async def agreed(stores: Sequence[ReadStore], query: Select) -> list[Any]:
    memory, sqlite = stores
    position, rows = await memory.select(query)
    assert await sqlite.select(query) == (position, rows)
    return list(rows)


def test_every_kind_of_column_has_values() -> None:
    assert [field.name for field in fields(Everything)] == list(KINDS)


@given(rows=st.lists(ROWS, max_size=12))
@SETTINGS
async def test_rows_of_every_kind_come_back_equal(rows: list[Everything]) -> None:
    by_key = {(row.key, row.part): row for row in rows}
    async with both(EVERYTHING) as stores:
        for store in stores:
            await store.put(by_key, Position(1))
            assert await store.get(list(by_key)) == by_key
        assert len(await agreed(stores, Select())) == len(by_key)


@given(rows=st.lists(ROWS, max_size=12), data=st.data())
@SETTINGS
async def test_every_kind_of_column_is_searched_and_ordered_alike(
    rows: list[Everything], data: st.DataObject
) -> None:
    names = st.sampled_from(list(KINDS))
    async with both(EVERYTHING) as stores:
        for store in stores:
            await store.put({(row.key, row.part): row for row in rows}, Position(1))
        for _ in range(5):
            where: dict[str, Any] = {}
            for name in data.draw(st.lists(names, max_size=2)):
                seen = [getattr(row, name) for row in rows]
                values = KINDS[name] | st.none() | (st.sampled_from(seen) if seen else st.none())
                # One value alone would be taken for several, where it is a list.
                where[name] = data.draw(
                    st.lists(values, max_size=4) if name == "tags" else values | st.lists(values)
                )
            query = Select(
                where=where,
                order_by=[
                    sign + name
                    for name, sign in data.draw(
                        st.lists(st.tuples(names, st.sampled_from(["", "-"])), max_size=3)
                    )
                ],
                limit=data.draw(st.none() | st.integers(0, 12)),
                offset=data.draw(st.integers(0, 4)),
                keys=data.draw(st.none() | st.just([(row.key, row.part) for row in rows[::2]])),
            )
            await agreed(stores, query)


ACCOUNT_ROWS = st.builds(
    Account,
    id=st.sampled_from("abcdef"),
    bank=st.sampled_from(["x", "y"]),
    balance=st.integers(0, 3),
    note=st.none() | st.sampled_from(["", "n"]),
)
CHANGES = st.lists(ACCOUNT_ROWS | st.sampled_from("abcdef"), max_size=8).map(
    lambda items: {
        item if isinstance(item, str) else item.id: None if isinstance(item, str) else item
        for item in items
    }
)


@given(puts=st.lists(st.tuples(CHANGES, st.integers(1, 3)), max_size=8), data=st.data())
@SETTINGS
async def test_any_puts_leave_what_a_dict_would_hold(
    puts: list[tuple[dict[str, Account | None], int]], data: st.DataObject
) -> None:
    model: dict[str, Account] = {}
    position = 0
    async with both(ACCOUNTS) as stores:
        for changes, step in puts:
            position += step
            for store in stores:
                await store.put(changes, Position(position))
                assert store.checkpoint == position
            model.update({key: row for key, row in changes.items() if row is not None})
            for key in [key for key, row in changes.items() if row is None]:
                model.pop(key, None)

            assert await agreed(stores, Select()) == [model[key] for key in sorted(model)]
            keys = data.draw(st.lists(st.sampled_from("abcdefg")))
            for store in stores:
                assert await store.get(keys) == {key: model[key] for key in keys if key in model}
            bank, balance = data.draw(st.sampled_from("xy")), data.draw(st.integers(0, 3))
            query = Select(where={"bank": bank, "balance": [balance, 0]}, order_by=["-balance"])
            wanted = [
                row for row in model.values() if row.bank == bank and row.balance in (balance, 0)
            ]
            wanted.sort(key=lambda row: (-row.balance, row.id))
            assert await agreed(stores, query) == wanted
        assert (await stores[1].select(Select(limit=0)))[0] == position


async def test_a_struct_with_keywords_only_is_a_row_too(tmp_path: Path) -> None:
    view: View[Any, Any, Any] = View("kw", row=Keyword, key="id", apply=kept, events=[Happened])
    row = Keyword(id=UUID(int=7), day=date(2026, 1, 2), value=3)
    async with both(view) as stores:
        for store in stores:
            await store.put({row.id: row}, Position(1))
            assert await store.get([UUID(int=7)]) == {row.id: row}


@pytest.mark.parametrize("instant", [datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))])
async def test_an_instant_outside_of_utcs_years_is_refused_by_both(instant: datetime) -> None:
    @dataclass
    class At:
        at: datetime

    view: View[Any, Any, Any] = View("at", row=At, key="at", apply=kept, events=[Happened])
    good = datetime.max.replace(tzinfo=UTC)
    async with both(view) as stores:
        for store in stores:
            with pytest.raises(ValueError, match="'at' can't hold"):
                await store.put({instant: At(instant)}, Position(1))
            await store.put({good: At(good)}, Position(1))
