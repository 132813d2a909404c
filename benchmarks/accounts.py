"""The domain of all measurements: accounts that take deposits, and a view of their balances.

Every side gets the same: msgspec Structs, frozen, gc=False, for commands, events, state and rows.
"""

from collections.abc import Iterator, Sequence

import msgspec

from aftertide import Decider, RecordedEvent, View

AMOUNT = 7


class Deposit(msgspec.Struct, frozen=True, gc=False):
    amount: int


class Look(msgspec.Struct, frozen=True, gc=False):
    """Decides on nothing: what is left is the way to the aggregate and back, and its activation."""


class Deposited(msgspec.Struct, frozen=True, gc=False):
    amount: int


class Account(msgspec.Struct, frozen=True, gc=False):
    balance: int = 0


class Balance(msgspec.Struct, frozen=True, gc=False):
    account: str
    balance: int


def decide(command: Deposit | Look, account: Account) -> Sequence[Deposited]:
    if type(command) is Deposit:
        return (Deposited(command.amount),)
    return ()


def evolve(account: Account, event: Deposited) -> Account:
    return Account(account.balance + event.amount)


def apply(row: Balance | None, event: RecordedEvent[Deposited], key: str) -> Balance:
    return Balance(key, (0 if row is None else row.balance) + event.event.amount)


ACCOUNT = Decider("account", Account(), decide, evolve)
BALANCES = View("balances", row=Balance, key="account", apply=apply)


def names(count: int, prefix: str = "a") -> list[str]:
    """Ids of that many accounts."""
    return [f"{prefix}{number:06d}" for number in range(count)]


def shares(commands: int, clients: int, accounts: Sequence[str]) -> list[list[str]]:
    """For each client the accounts it deposits to, in its order.

    Command number i concerns account i modulo the accounts and is sent by client i modulo the
    clients, so accounts and clients get equal shares, to within one.
    """
    dealt: list[list[str]] = [[] for _ in range(clients)]
    for number, account in zip(range(commands), _round_and_round(accounts), strict=False):
        dealt[number % clients].append(account)
    return dealt


def _round_and_round(accounts: Sequence[str]) -> Iterator[str]:
    while True:
        yield from accounts
