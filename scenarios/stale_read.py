"""Write, then read at once: a stale answer, its age, and the cure.

A deposit is durable when its receipt comes back. The balance that people look at is another database: a view,
which shows the deposit after its lag. Who reads in between gets the balance of a moment ago, and is told how old it is.
Who passes the receipt's position along, AtLeast(receipt.position), waits for just that deposit and sees it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from aftertide import Answer, AtLeast, Decider, Lag, Receipt, RecordedEvent, Runtime, View
from aftertide.scenarios import Option, World, scenario

DEPOSITS = Option("deposits", 12, "deposits that are read back in the second part", least=1)
LAG = Lag.constant(0.25)


@dataclass(frozen=True, slots=True)
class Deposit:
    amount: int


@dataclass(frozen=True, slots=True)
class Deposited:
    amount: int


def decide(command: Deposit, balance: int) -> Sequence[Deposited]:
    return [Deposited(command.amount)]


def evolve(balance: int, event: Deposited) -> int:
    return balance + event.amount


ACCOUNT = Decider("account", 0, decide, evolve)


@dataclass(frozen=True, slots=True)
class Balance:
    account: str
    balance: int


def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
    return Balance(account, (row.balance if row else 0) + event.event.amount)


BALANCES = View("balances", row=Balance, key="account", apply=apply)


@scenario(options=[DEPOSITS])
async def main(world: World) -> None:
    async with world.open(deciders=[ACCOUNT], projections=[BALANCES.with_lag(LAG)]) as runtime:
        receipt = await runtime.execute(ACCOUNT, "alice", Deposit(100))
        world.say(
            f"Alice deposits 100. The receipt says: durable, at position {receipt.position} of the log.\n"
            f"Now her balance, asked of the view, which is kept with a lag ({world.lag or LAG}):"
        )
        await look_until_it_shows(world, runtime, receipt)
        await many(world, runtime, world.option(DEPOSITS))


async def look_until_it_shows(world: World, runtime: Runtime, receipt: Receipt) -> None:
    """One deposit: two looks that promise nothing, then one that asks for the receipt's position."""
    began = world.clock.monotonic()
    looks: list[tuple[str, float, Answer[Balance]]] = []

    def look(asked: str, answer: Answer[Balance]) -> None:
        looks.append((asked, world.clock.monotonic() - began, answer))

    look("Eventual()", await runtime.query(BALANCES, "alice"))
    await world.clock.sleep(0.1)
    look("Eventual()", await runtime.query(BALANCES, "alice"))
    cured = await runtime.query(
        BALANCES, "alice", consistency=AtLeast(receipt.position), timeout=3600.0
    )
    look(f"AtLeast({receipt.position})", cured)
    world.table(
        ["asked for", "answered after s", "balance", "events behind", "age of the oldest s"],
        [
            (
                asked,
                seconds,
                answer.row.balance if answer.row else None,
                answer.freshness.behind_events,
                answer.freshness.behind_seconds,
            )
            for asked, seconds, answer in looks
        ],
    )
    first = looks[0][2]
    world.say(
        "The first answers are true, of a moment ago: no deposit yet, and they say that they miss it. The last "
        "one waited until the view had applied the deposit."
    )
    world.measure("stale_behind_events", first.freshness.behind_events)
    world.measure("stale_age_seconds", looks[1][2].freshness.behind_seconds)
    world.measure("cured_after_seconds", looks[2][1])
    world.promise(
        "no answer is older than it says: one without the deposit counts it as missing",
        all(
            (answer.row is not None) == (answer.freshness.position >= receipt.position)
            and (answer.row is not None or answer.freshness.behind_events >= 1)
            for _, _, answer in looks
        ),
    )
    world.promise(
        "AtLeast(receipt.position) shows what was written",
        cured.row == Balance("alice", 100) and cured.freshness.position >= receipt.position,
    )


async def many(world: World, runtime: Runtime, deposits: int) -> None:
    """The same, many times: how often is the first look stale, and how often the second?"""
    world.title(f"{deposits} more, each read back at once")
    balance, stale_at_once, stale_at_least = 100, 0, 0
    waits: list[float] = []
    for _ in range(deposits):
        amount = world.chance.randint(1, 100)
        balance += amount
        receipt = await runtime.execute(ACCOUNT, "alice", Deposit(amount))
        began = world.clock.monotonic()
        at_once = await runtime.query(BALANCES, "alice")
        at_least = await runtime.query(
            BALANCES, "alice", consistency=AtLeast(receipt.position), timeout=3600.0
        )
        waits.append(world.clock.monotonic() - began)
        stale_at_once += at_once.row != Balance("alice", balance)
        stale_at_least += at_least.row != Balance("alice", balance)
    world.say(
        f"Asked with Eventual(): {stale_at_once} of {deposits} answers were stale. Asked with "
        f"AtLeast(receipt.position): {stale_at_least} of {deposits}, after a wait of {median(waits):.3f} s in "
        "the middle."
    )
    world.measure("deposits", deposits)
    world.measure("stale_at_once", stale_at_once)
    world.measure("stale_at_least", stale_at_least)
    world.measure("median_wait_seconds", median(waits))
    world.promise(
        f"read back with AtLeast, none of {deposits} answers was stale", stale_at_least == 0
    )
    if world.lag is None:
        world.promise("read back at once, some were: the lag is real", stale_at_once > 0)
