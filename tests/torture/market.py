"""What the torture writes: accounts and orders, in which every event can be traced to its command.

Each event carries the `ref` of its command, unique over all lives of all processes, and which `part` of
how many (`of`) it is. So a reader of the bare table sees a command that is there twice, or in half.
A rejection quotes the state it was decided on; what it quotes must be in the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from aftertide import CommandRejected, Decider, RecordedEvent, View

# ---- accounts: few, hot, and with a state that a lost event would change


@dataclass(frozen=True, slots=True)
class Deposit:
    ref: str
    amount: int
    parts: int = 1


@dataclass(frozen=True, slots=True)
class Withdraw:
    ref: str
    amount: int


@dataclass(frozen=True, slots=True)
class Close:
    ref: str


@dataclass(frozen=True, slots=True)
class Look:
    """Decides on nothing: its receipt stands for the state it saw."""

    ref: str


@dataclass(frozen=True, slots=True)
class Deposited:
    ref: str
    part: int
    of: int
    amount: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    ref: str
    part: int
    of: int
    amount: int


@dataclass(frozen=True, slots=True)
class Closed:
    ref: str
    part: int
    of: int
    amount: int


@dataclass(frozen=True, slots=True)
class Account:
    balance: int = 0
    version: int = 0


def decide_account(
    command: Deposit | Withdraw | Close | Look, account: Account
) -> Sequence[Deposited | Withdrawn | Closed]:
    match command:
        case Deposit(ref, amount, parts):
            return [Deposited(ref, part, parts, amount) for part in range(1, parts + 1)]
        case Withdraw(ref, amount) if amount <= account.balance:
            return [Withdrawn(ref, 1, 1, amount)]
        case Close(ref) if account.balance:
            return [Closed(ref, 1, 1, account.balance)]
        case Withdraw() | Close():
            raise CommandRejected(f"{account.balance}@{account.version}")
        case Look():
            return []
    assert_never(command)


def evolve_account(account: Account, event: Deposited | Withdrawn | Closed) -> Account:
    signed = event.amount if isinstance(event, Deposited) else -event.amount
    return Account(account.balance + signed, account.version + 1)


ACCOUNT = Decider("account", Account(), decide_account, evolve_account)


# ---- orders: many short streams, so that new streams come all the time


@dataclass(frozen=True, slots=True)
class Place:
    ref: str
    lines: int


@dataclass(frozen=True, slots=True)
class Ship:
    ref: str


@dataclass(frozen=True, slots=True)
class Placed:
    ref: str
    part: int
    of: int


@dataclass(frozen=True, slots=True)
class LineAdded:
    ref: str
    part: int
    of: int
    amount: int


@dataclass(frozen=True, slots=True)
class Shipped:
    ref: str
    part: int
    of: int


@dataclass(frozen=True, slots=True)
class Order:
    amount: int = 0
    version: int = 0
    placed: bool = False
    shipped: bool = False


def decide_order(command: Place | Ship, order: Order) -> Sequence[Placed | LineAdded | Shipped]:
    match command:
        case Place(ref, lines) if not order.placed:
            of = lines + 1
            added = [LineAdded(ref, part, of, part) for part in range(2, of + 1)]
            return [Placed(ref, 1, of), *added]
        case Ship(ref) if order.placed and not order.shipped:
            return [Shipped(ref, 1, 1)]
        case Place() | Ship():
            raise CommandRejected(f"{order.amount}@{order.version}")
    assert_never(command)


def evolve_order(order: Order, event: Placed | LineAdded | Shipped) -> Order:
    match event:
        case Placed():
            return Order(0, order.version + 1, placed=True)
        case LineAdded():
            return Order(order.amount + event.amount, order.version + 1, placed=True)
        case Shipped():
            return Order(order.amount, order.version + 1, placed=True, shipped=True)
    assert_never(event)


ORDER = Decider("order", Order(), decide_order, evolve_order)

AnyEvent = Deposited | Withdrawn | Closed | Placed | LineAdded | Shipped


# ---- views: one row per stream, with rows that go; and a few rows that every event moves


@dataclass(frozen=True, slots=True)
class Balance:
    account: str
    balance: int
    changes: int
    last_ref: str


def keep_balance(
    row: Balance | None, event: RecordedEvent[Deposited | Withdrawn | Closed], account: str
) -> Balance | None:
    change = event.event
    if isinstance(change, Closed):
        return None
    signed = change.amount if isinstance(change, Deposited) else -change.amount
    before = row or Balance(account, 0, 0, "")
    return Balance(account, before.balance + signed, before.changes + 1, change.ref)


BALANCES = View(
    "balances", row=Balance, key="account", apply=keep_balance, indexes=["balance", "last_ref"]
)


@dataclass(frozen=True, slots=True)
class Tally:
    name: str
    events: int
    amount: int
    last_position: int


def tally_keys(event: RecordedEvent[AnyEvent]) -> list[str]:
    return [type(event.event).__name__, event.category, "all"]


def keep_tally(row: Tally | None, event: RecordedEvent[AnyEvent], name: str) -> Tally:
    before = row or Tally(name, 0, 0, 0)
    amount: int = getattr(event.event, "amount", 0)
    return Tally(name, before.events + 1, before.amount + amount, event.position)


TALLIES = View("tallies", row=Tally, key="name", apply=keep_tally, keys=tally_keys)
