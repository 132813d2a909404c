"""What every read store keeps, as one class: a store's test is its subclass with a `factory`.

class TestMemoryReadStore(ReadStoreContract):
    @pytest.fixture
    def factory(self) -> ReadStoreFactory: ...
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, TypeVar

import anyio
import pytest

from aftertide.domain.errors import InvariantViolation
from aftertide.domain.messages import Position, RecordedEvent
from aftertide.domain.ports import ReadStore, ReadStoreFactory
from aftertide.domain.select import MOST_VALUES, Select
from aftertide.domain.view import View

Row = TypeVar("Row")


class Happened:
    """Views need an event type; stores never see one."""


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    bank: str
    balance: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    owner: str
    share: int
    amount: float


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Order:
    id: str
    price: Decimal
    colour: Colour
    placed: datetime
    paid: bool
    tags: list[str]
    weight: float | None = None


def kept(row: Row, event: RecordedEvent[Happened], key: object) -> Row:
    return row


ACCOUNTS: View[Any, Any, Any] = View(
    "accounts", row=Account, key="id", apply=kept, events=[Happened], indexes=["bank", ("bank", "balance")]
)  # fmt: skip
HOLDINGS: View[Any, Any, Any] = View(
    "holdings", row=Holding, key=("owner", "share"), apply=kept, events=[Happened]
)
ORDERS: View[Any, Any, Any] = View("orders", row=Order, key="id", apply=kept, events=[Happened])

ALL = Select()

OPENED = datetime(2026, 3, 1, 12, tzinfo=UTC)

Open = Callable[..., Awaitable[ReadStore]]


def account(id: str, bank: str = "north", balance: int = 0, note: str | None = None) -> Account:
    return Account(id, bank, balance, note)


def accounts(*rows: Account) -> dict[str, Account]:
    return {row.id: row for row in rows}


def order(id: str, **fields: object) -> Order:
    given: dict[str, Any] = {
        "price": Decimal(1),
        "colour": Colour.RED,
        "placed": OPENED,
        "paid": False,
        "tags": [],
        **fields,
    }
    return Order(id, **given)


REFUSED: dict[str, tuple[View[Any, Any, Any], Any, str]] = {
    "a whole number beyond 64 bits": (ACCOUNTS, account("a", balance=2**63), "balance"),
    "None where the field has no None": (ACCOUNTS, account("a", bank=None), "bank"),  # type: ignore[arg-type]
    "a text for a number": (ACCOUNTS, account("a", balance="12"), "balance"),  # type: ignore[arg-type]
    "a fraction for a whole number": (ACCOUNTS, account("a", balance=1.5), "balance"),  # type: ignore[arg-type]
    "a lone surrogate": (ACCOUNTS, account("a", note="\ud800"), "note"),
    "NaN": (ORDERS, order("a", weight=float("nan")), "weight"),
    "a whole number beyond 64 bits for a float": (ORDERS, order("a", weight=2**64), "weight"),
    "a Decimal that is not finite": (ORDERS, order("a", price=Decimal("NaN")), "price"),
    "another Enum": (ORDERS, order("a", colour="red"), "colour"),
    "a number for a truth": (ORDERS, order("a", paid=2), "paid"),
    "a surrogate inside JSON": (ORDERS, order("a", tags=["\ud800"]), "tags"),
    "NaN inside JSON": (ORDERS, order("a", tags=[float("nan")]), "tags"),
    "a day for an instant": (ORDERS, order("a", placed=OPENED.date()), "placed"),
}


async def ids(store: ReadStore, query: Select = ALL) -> list[str]:
    _, rows = await store.select(query)
    return [row.id for row in rows]


class ReadStoreContract:
    """Subclass it and give it a fixture `factory`."""

    @pytest.fixture
    async def open_store(self, factory: ReadStoreFactory) -> AsyncIterator[Open]:
        opened: list[ReadStore] = []

        async def open_one(
            view: View[Any, Any, Any] = ACCOUNTS, replica: int = 1, database_id: str = "the-log"
        ) -> ReadStore:
            store = await factory(view, replica, database_id)
            opened.append(store)
            return store

        yield open_one
        for store in opened:
            await store.aclose()

    @pytest.fixture
    async def store(self, open_store: Open) -> ReadStore:
        return await open_store()

    # ---- put

    async def test_a_new_store_is_empty_and_at_zero(self, store: ReadStore) -> None:
        assert store.checkpoint == 0
        assert await store.select(Select()) == (0, [])
        assert await store.get(["a"]) == {}

    async def test_a_put_moves_rows_and_checkpoint(self, store: ReadStore) -> None:
        rows = accounts(account("a", balance=1), account("b", note="ü\0\N{SNOWMAN}"))
        await store.put(rows, Position(7))

        assert store.checkpoint == 7
        assert await store.get(["a", "b"]) == rows
        assert await store.select(Select()) == (7, list(rows.values()))

    async def test_a_put_replaces_whole_rows(self, store: ReadStore) -> None:
        await store.put(accounts(account("a", balance=1, note="old")), Position(1))
        await store.put(accounts(account("a", balance=2)), Position(2))
        assert await store.get(["a"]) == {"a": account("a", balance=2)}

    async def test_none_deletes_a_row_and_does_nothing_where_there_is_none(
        self, store: ReadStore
    ) -> None:
        await store.put(accounts(account("a"), account("b")), Position(1))
        await store.put({"a": None, "never there": None, "c": account("c")}, Position(2))
        assert await ids(store) == ["b", "c"]

    async def test_a_put_without_rows_moves_the_checkpoint(self, store: ReadStore) -> None:
        await store.put({}, Position(3))
        assert store.checkpoint == 3
        assert await store.select(Select()) == (3, [])

    @pytest.mark.parametrize("position", [5, 4, 0, -1])
    async def test_a_position_that_is_not_ahead_is_refused_and_nothing_moves(
        self, store: ReadStore, position: int
    ) -> None:
        before = accounts(account("a", balance=1))
        await store.put(before, Position(5))
        with pytest.raises(InvariantViolation, match=r"at position 5 and was given"):
            await store.put({"a": None, "b": account("b")}, Position(position))

        assert store.checkpoint == 5
        assert await store.select(Select()) == (5, list(before.values()))

    @pytest.mark.parametrize("case", REFUSED)
    async def test_a_value_that_can_not_be_kept_is_refused_by_name_and_nothing_moves(
        self, open_store: Open, case: str
    ) -> None:
        view, row, column = REFUSED[case]
        store = await open_store(view)
        good = order("good") if view is ORDERS else account("good")
        with pytest.raises(ValueError, match=rf"'{view.name}'.*'{column}'"):
            await store.put({"good": good, row.id: row}, Position(1))

        assert store.checkpoint == 0
        assert await store.select(Select()) == (0, [])
        await store.put({"good": good}, Position(1))  # and it works on

    async def test_a_row_under_another_key_than_its_own_is_refused(self, store: ReadStore) -> None:
        with pytest.raises(ValueError, match=r"row for key 'a' has the key 'b'"):
            await store.put({"a": account("b")}, Position(1))
        assert await store.select(Select()) == (0, [])

    async def test_a_thousand_rows_go_in_and_come_out(self, store: ReadStore) -> None:
        rows = accounts(*(account(f"{number:04}", balance=number) for number in range(1_111)))
        await store.put(rows, Position(1))
        assert await store.get(list(rows)) == rows

        await store.put(dict.fromkeys(list(rows)[::2]), Position(2))
        assert await ids(store) == list(rows)[1::2]

    # ---- get

    async def test_get_gives_each_row_that_exists_once(self, store: ReadStore) -> None:
        await store.put(accounts(account("a"), account("b")), Position(1))
        assert await store.get(["b", "nobody", "b"]) == {"b": account("b")}
        assert await store.get([]) == {}

    @pytest.mark.parametrize("key", [1, None, ("a",), ["a"], "\ud800"])
    async def test_what_can_not_be_a_key_is_refused(self, store: ReadStore, key: object) -> None:
        with pytest.raises(ValueError, match="'accounts'"):
            await store.get([key])
        with pytest.raises(ValueError, match="'accounts'"):
            await store.select(Select(keys=[key]))

    # ---- select

    @pytest.fixture
    async def filled(self, store: ReadStore) -> ReadStore:
        rows = accounts(
            account("a", "north", 3, "x"),
            account("b", "south", 1),
            account("c", "north", 2, "y"),
            account("d", "west", 2),
            account("e", "south", 3, "x"),
        )
        await store.put(rows, Position(1))
        return store

    @pytest.mark.parametrize(
        ("where", "found"),
        [
            ({}, "abcde"),
            ({"bank": "north"}, "ac"),
            ({"bank": "north", "balance": 3}, "a"),
            ({"bank": ["north", "west"]}, "acd"),
            ({"bank": ("south",)}, "be"),
            ({"bank": {"south", "west"}}, "bde"),
            ({"bank": frozenset({"west"})}, "d"),
            ({"bank": []}, ""),
            ({"bank": "nowhere"}, ""),
            ({"note": None}, "bd"),
            ({"note": [None, "y"]}, "bcd"),
            ({"note": [None]}, "bd"),
            ({"balance": [2, 3], "note": "x"}, "ae"),
            ({"balance": True}, "b"),
        ],
    )
    async def test_where_finds_exactly_the_rows_that_have_the_values(
        self, filled: ReadStore, where: dict[str, Any], found: str
    ) -> None:
        assert await ids(filled, Select(where=where)) == list(found)

    @pytest.mark.parametrize(
        ("order_by", "found"),
        [
            ((), "abcde"),
            (("balance",), "bcdae"),
            (("-balance",), "aecdb"),
            (("-id",), "edcba"),
            (("bank", "-balance"), "acebd"),
            (("-bank", "balance"), "dbeca"),
            (("note",), "bdaec"),
            (("-note",), "caebd"),
            (("balance", "balance"), "bcdae"),
        ],
    )
    async def test_order_by_orders_and_equal_rows_come_in_key_order(
        self, filled: ReadStore, order_by: tuple[str, ...], found: str
    ) -> None:
        assert await ids(filled, Select(order_by=order_by)) == list(found)

    async def test_keys_and_where_hold_together(self, filled: ReadStore) -> None:
        keys = ["e", "a", "nobody", "c", "a"]
        assert await ids(filled, Select(keys=keys)) == ["a", "c", "e"]
        assert await ids(filled, Select(keys=keys, where={"balance": 3})) == ["a", "e"]
        assert await ids(filled, Select(keys=keys, order_by=["-id"], limit=2)) == ["e", "c"]
        assert await ids(filled, Select(keys=[])) == []

    async def test_pages_by_limit_and_offset_hold_every_row_once(self, filled: ReadStore) -> None:
        for order_by in ((), ("balance",), ("-bank",)):
            pages = [
                row
                for offset in range(0, 6, 2)
                for row in await ids(filled, Select(order_by=order_by, limit=2, offset=offset))
            ]
            assert pages == await ids(filled, Select(order_by=order_by))
        assert await ids(filled, Select(limit=0)) == []
        assert await ids(filled, Select(offset=9)) == []
        assert await ids(filled, Select(limit=2**70, offset=3)) == ["d", "e"]
        assert await ids(filled, Select(offset=2**70)) == []

    @pytest.mark.parametrize(
        "query",
        [
            Select(where={"colour": "red"}),
            Select(order_by=["-colour"]),
            Select(limit=-1),
            Select(offset=True),
            Select(where={"balance": "3"}),
            Select(where={"balance": [1, 2**63]}),
            Select(where={"bank": b"north"}),
        ],
    )
    async def test_a_query_that_makes_no_sense_is_the_callers_mistake(
        self, filled: ReadStore, query: Select
    ) -> None:
        with pytest.raises(ValueError, match=r"'accounts'|must be a whole number"):
            await filled.select(query)
        assert await ids(filled, Select(limit=1)) == ["a"]

    async def test_a_query_names_thousands_of_values_and_not_without_bound(
        self, filled: ReadStore
    ) -> None:
        many = [str(number) for number in range(MOST_VALUES - 1)]
        assert await ids(filled, Select(where={"bank": [*many, "west"]})) == ["d"]
        assert await ids(filled, Select(keys=[*many, "b"])) == ["b"]
        with pytest.raises(ValueError, match="Ask in several queries"):
            await filled.select(Select(where={"bank": [*many, "west", "north"]}))

    async def test_keys_come_in_the_order_of_their_bytes(self, store: ReadStore) -> None:
        texts = ["", "\0", "A", "Z", "a", "a\0", "aa", "é", "\ue000", "\N{GRINNING FACE}"]
        await store.put(accounts(*map(account, reversed(texts))), Position(1))
        assert await ids(store) == texts

    # ---- keys of several columns, and columns that are not plain

    async def test_several_key_columns_make_a_tuple(self, open_store: Open) -> None:
        store = await open_store(HOLDINGS)
        rows = {
            (owner, share): Holding(owner, share, share / 2) for owner in "ba" for share in (10, 9)
        }
        await store.put(rows, Position(1))
        _, found = await store.select(Select())

        assert [(row.owner, row.share) for row in found] == [
            ("a", 9),
            ("a", 10),
            ("b", 9),
            ("b", 10),
        ]
        assert await store.get([("a", 9), ("b", 8), ("a", 9)]) == {("a", 9): rows["a", 9]}
        _, found = await store.select(
            Select(keys=[("b", 9), ("a", 10), ("b", 9)], order_by=["-owner"])
        )
        assert found == [rows["b", 9], rows["a", 10]]

        await store.put({("a", 9): None}, Position(2))
        assert await store.get(list(rows)) == {
            key: row for key, row in rows.items() if key != ("a", 9)
        }
        for wrong in ("a", ("a",), ("a", 1, 2), ("a", "9")):
            with pytest.raises(ValueError, match="'holdings'"):
                await store.get([wrong])

    async def test_decimals_are_kept_exactly_and_compared_as_numbers(
        self, open_store: Open
    ) -> None:
        store = await open_store(ORDERS)
        prices = {"a": "10.00", "b": "9.5", "c": "-1", "d": "1E+1", "e": "100000000000000000000.01"}
        rows = {id: order(id, price=Decimal(price)) for id, price in prices.items()}
        await store.put(rows, Position(1))

        assert [str(row.price) for row in (await store.get(list(rows))).values()] == [
            *prices.values()
        ]
        assert await ids(store, Select(order_by=["price"])) == ["c", "b", "a", "d", "e"]
        assert await ids(store, Select(order_by=["-price"])) == ["e", "a", "d", "b", "c"]
        assert await ids(store, Select(where={"price": Decimal(10)})) == ["a", "d"]
        assert await ids(store, Select(where={"price": [Decimal("9.50"), Decimal(-1)]})) == [
            "b",
            "c",
        ]

    async def test_instants_are_compared_as_instants_in_whatever_zone(
        self, open_store: Open
    ) -> None:
        store = await open_store(ORDERS)
        east = timezone(timedelta(hours=9))
        rows = {
            "a": order("a", placed=OPENED + timedelta(seconds=1)),
            "b": order("b", placed=OPENED.astimezone(east)),
            "c": order("c", placed=OPENED - timedelta(microseconds=1)),
        }
        await store.put(rows, Position(1))
        assert await store.get(["a", "b", "c"]) == rows
        assert await ids(store, Select(order_by=["placed"])) == ["c", "b", "a"]
        assert await ids(store, Select(where={"placed": OPENED})) == ["b"]

    async def test_columns_that_are_not_plain_are_found_by_their_values(
        self, open_store: Open
    ) -> None:
        store = await open_store(ORDERS)
        rows = {
            "a": order("a", colour=Colour.BLUE, paid=True, tags=["new", "big"]),
            "b": order("b", tags=["old"], weight=float("inf")),
        }
        await store.put(rows, Position(1))
        assert await store.get(["a", "b"]) == rows
        assert await ids(store, Select(where={"colour": Colour.BLUE})) == ["a"]
        assert await ids(
            store, Select(where={"colour": {Colour.BLUE, Colour.RED}, "paid": False})
        ) == ["b"]
        # A list matches any of its members, so a column of lists is asked with a list of lists.
        assert await ids(store, Select(where={"tags": [["new", "big"]]})) == ["a"]
        assert await ids(store, Select(where={"weight": [float("inf"), None]})) == ["a", "b"]
        with pytest.raises(ValueError, match=r"'colour'.*a Colour"):
            await store.select(Select(where={"colour": "blue"}))

    # ---- one moment, and cancellation

    async def test_a_query_sees_rows_and_position_of_one_moment(self, store: ReadStore) -> None:
        names = [f"{number:02}" for number in range(20)]

        async def write() -> None:
            for position in range(1, 60):
                rows = accounts(*(account(name, balance=position) for name in names))
                await store.put(rows, Position(position))

        seen: list[int] = []
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(write())
            while not writing.done():
                position, rows = await store.select(Select())
                assert {row.balance for row in rows} <= {position}
                assert len(rows) == (20 if position else 0)
                seen.append(position)
                await anyio.lowlevel.checkpoint()
        assert seen == sorted(seen)

    async def test_what_was_put_is_seen_by_the_next_query(self, store: ReadStore) -> None:
        for number in range(1, 20):
            await store.put(accounts(account("a", balance=number)), Position(number))
            assert await store.select(Select()) == (number, [account("a", balance=number)])

    @pytest.mark.parametrize("how", ["natively", "by a scope"])
    async def test_a_put_whose_caller_is_cancelled_happens_whole_or_not_at_all(
        self, store: ReadStore, how: str
    ) -> None:
        await store.put(accounts(account("a", balance=1)), Position(1))
        rows = accounts(*(account(f"{number:03}", balance=2) for number in range(500)))

        async def putting() -> None:
            await store.put(rows, Position(2))

        if how == "natively":
            task = asyncio.create_task(putting())
            await anyio.lowlevel.checkpoint()
            task.cancel()
            await asyncio.wait([task])
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(putting)
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        await store.get(["a"])  # stands behind the put, if that goes on

        position, found = await store.select(Select())
        assert (position, len(found)) in ((1, 1), (2, 501))
        assert store.checkpoint == position
        await store.put({"a": None}, Position(3))
        assert store.checkpoint == 3

    async def test_closing_twice_is_closing_once(self, store: ReadStore) -> None:
        await store.aclose()
        await store.aclose()
