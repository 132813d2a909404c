"""A bank, as small as the promises allow: what the tests of both sides decide, evolve and view."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from aftertide import CommandRejected, Decider, RecordedEvent, View


@dataclass(frozen=True, slots=True)
class Deposit:
    amount: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Withdraw:
    amount: int


@dataclass(frozen=True, slots=True)
class Split:
    """Deposits in several events, all of one command."""

    amounts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """Decides on nothing."""


@dataclass(frozen=True, slots=True)
class Deposited:
    amount: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    amount: int


@dataclass(frozen=True, slots=True)
class Account:
    balance: int = 0
    events: int = 0


Command = Deposit | Withdraw | Split | Look
Event = Deposited | Withdrawn


def decide(command: Command, account: Account) -> Sequence[Event]:
    match command:
        case Deposit(amount, note):
            return [Deposited(amount, note)]
        case Withdraw(amount) if amount > account.balance:
            raise CommandRejected(f"cannot withdraw {amount}: the balance is {account.balance}")
        case Withdraw(amount):
            return [Withdrawn(amount)]
        case Split(amounts):
            return [Deposited(amount) for amount in amounts]
        case Look():
            return []
        case _:
            assert_never(command)


def evolve(account: Account, event: Event) -> Account:
    match event:
        case Deposited(amount):
            return Account(account.balance + amount, account.events + 1)
        case Withdrawn(amount):
            return Account(account.balance - amount, account.events + 1)
        case _:
            assert_never(event)


ACCOUNT = Decider("account", Account(), decide, evolve)


@dataclass(frozen=True, slots=True)
class Balance:
    account: str
    balance: int
    events: int


def apply(row: Balance | None, event: RecordedEvent[Event], account: str) -> Balance:
    before = row or Balance(account, 0, 0)
    match event.event:
        case Deposited(amount):
            balance = before.balance + amount
        case Withdrawn(amount):
            balance = before.balance - amount
        case _:
            assert_never(event.event)
    return Balance(account, balance, before.events + 1)


BALANCES = View("balances", row=Balance, key="account", apply=apply)
