"""Many buyers race for few items; who decides on the lagging view oversells.

Twice the same sale, with the same buyers at the same moments. In the first, the shop looks at its view of the stock,
as a web page would, and records the sale when the view says that something is left. Between a sale and the view
lies the lag, and whoever comes in between is sold what is gone. In the second, the shop hands each wish to the
aggregate, which decides on its own state, one command after the other: it sells what there is and refuses the rest.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

import anyio

from aftertide import CommandRejected, Decider, Lag, RecordedEvent, Runtime, View
from aftertide.scenarios import Option, World, scenario

BUYERS = Option("buyers", 200, "who want one item each", least=1)
ITEMS = Option("items", 10, "that there are", least=1)

LAG = Lag.exponential(0.15)
RUSH_SECONDS = 1.0
"""All buyers come within this time, each at a moment of chance."""

ITEM = "lamp"


@dataclass(frozen=True, slots=True)
class PutOnSale:
    items: int


@dataclass(frozen=True, slots=True)
class RecordSale:
    """It was sold, somebody else decided: nothing is checked."""

    buyer: int


@dataclass(frozen=True, slots=True)
class Buy:
    """Sell it if there is one left."""

    buyer: int


@dataclass(frozen=True, slots=True)
class WasPutOnSale:
    items: int


@dataclass(frozen=True, slots=True)
class WasSold:
    buyer: int


Event = WasPutOnSale | WasSold


@dataclass(frozen=True, slots=True)
class Shelf:
    left: int = 0


def decide(command: PutOnSale | RecordSale | Buy, shelf: Shelf) -> Sequence[Event]:
    match command:
        case PutOnSale(items):
            return [WasPutOnSale(items)]
        case RecordSale(buyer):
            return [WasSold(buyer)]
        case Buy(buyer) if shelf.left > 0:
            return [WasSold(buyer)]
        case Buy():
            raise CommandRejected("it is sold out")


def evolve(shelf: Shelf, event: Event) -> Shelf:
    match event:
        case WasPutOnSale(items):
            return Shelf(shelf.left + items)
        case WasSold():
            return Shelf(shelf.left - 1)
        case _:
            assert_never(event)


SALE = Decider("sale", Shelf(), decide, evolve)


@dataclass(frozen=True, slots=True)
class Stock:
    item: str
    left: int
    sold: int = 0


def apply(row: Stock | None, event: RecordedEvent[Event], item: str) -> Stock:
    row = row or Stock(item, 0)
    match event.event:
        case WasPutOnSale(items):
            return Stock(item, row.left + items, row.sold)
        case WasSold():
            return Stock(item, row.left - 1, row.sold + 1)


STOCK = View("stock", row=Stock, key="item", apply=apply)

Shop = Callable[[Runtime, int], Awaitable[bool]]
"""Serves one buyer; whether the buyer was told "it is yours"."""


async def decide_on_the_view(runtime: Runtime, buyer: int) -> bool:
    answer = await runtime.query(STOCK, ITEM)
    if answer.row is None or answer.row.left <= 0:
        return False
    # Between this check and this write lies the lag.
    await runtime.execute(SALE, ITEM, RecordSale(buyer))
    return True


async def decide_in_the_aggregate(runtime: Runtime, buyer: int) -> bool:
    try:
        await runtime.execute(SALE, ITEM, Buy(buyer))
    except CommandRejected:
        return False
    return True


@scenario(options=[BUYERS, ITEMS])
async def main(world: World) -> None:
    buyers, items = world.option(BUYERS), world.option(ITEMS)
    moments = [world.chance.uniform(0, RUSH_SECONDS) for _ in range(buyers)]
    world.say(
        f"{buyers} buyers want one lamp each, {items} lamps are there. All come within {RUSH_SECONDS:g} s; the "
        f"view of the stock is kept with a lag ({world.lag or LAG})."
    )
    told_by_view, left_by_view = await sell(
        world, "on_the_view", decide_on_the_view, items, moments
    )
    told_by_aggregate, left_by_aggregate = await sell(
        world, "in_the_aggregate", decide_in_the_aggregate, items, moments
    )
    oversold = max(0, told_by_view - items)
    world.table(
        ["decided", "lamps", 'told "it is yours"', "left, says the view at last", "oversold"],
        [
            ("on the lagging view", items, told_by_view, left_by_view, oversold),
            (
                "in the aggregate",
                items,
                told_by_aggregate,
                left_by_aggregate,
                max(0, told_by_aggregate - items),
            ),
        ],
    )
    world.measure("buyers", buyers)
    world.measure("items", items)
    world.measure("sold_on_the_view", told_by_view)
    world.measure("oversold_on_the_view", oversold)
    world.measure("sold_in_the_aggregate", told_by_aggregate)
    world.measure("oversold_in_the_aggregate", max(0, told_by_aggregate - items))
    world.promise(
        f"decided in the aggregate, {min(buyers, items)} are sold and none twice",
        told_by_aggregate == min(buyers, items) and left_by_aggregate == items - told_by_aggregate,
    )
    world.promise(
        "both times the view came to show every sale",
        left_by_view == items - told_by_view and left_by_aggregate == items - told_by_aggregate,
    )
    if world.lag is None and buyers > items:
        world.promise(
            "decided on the lagging view, some lamps are sold that do not exist", oversold > 0
        )
    elif not oversold:
        world.say(
            "  This time the view was fast enough. It would not be so always: try --lag constant:0.5"
        )


async def sell(
    world: World, name: str, serve: Shop, items: int, moments: Sequence[float]
) -> tuple[int, int]:
    """One sale. How many buyers were told that it is theirs, and how many are left once the view has caught up."""
    told: list[bool] = []
    async with world.open(
        deciders=[SALE], projections=[STOCK.with_lag(LAG)], name=f"flash_sale-{name}"
    ) as runtime:
        await runtime.execute(SALE, ITEM, PutOnSale(items))
        await runtime.settle()

        async def come(buyer: int, moment: float) -> None:
            await world.clock.sleep(moment)
            told.append(await serve(runtime, buyer))

        async with anyio.create_task_group() as rush:
            for buyer, moment in enumerate(moments, 1):
                rush.start_soon(come, buyer, moment, name=f"scenario:buyer-{buyer}")
        await runtime.settle()
        row = (await runtime.query(STOCK, ITEM)).row
        return sum(told), row.left if row else items
