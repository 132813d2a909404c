"""What a type checker must accept, and what it must know without being told. Never run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_type

from aftertide import (
    AftertideError,
    Answer,
    Answers,
    AtLeast,
    Decider,
    Envelope,
    Freshness,
    Lag,
    Position,
    Receipt,
    RecordedEvent,
    Replicas,
    Runtime,
    Strong,
    Version,
    View,
)


@dataclass(frozen=True, slots=True)
class Deposit:
    amount: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    amount: int


@dataclass(frozen=True, slots=True)
class Deposited:
    amount: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    amount: int


@dataclass(frozen=True, slots=True)
class Account:
    balance: int = 0


Command = Deposit | Withdraw
Event = Deposited | Withdrawn


def decide(command: Command, account: Account) -> Sequence[Event]:
    return [Deposited(1)]


def evolve(account: Account, event: Event) -> Account:
    return account


def decide_with(command: Deposit, account: Account, envelope: Envelope[Deposit]) -> list[Deposited]:
    return [Deposited(int(envelope.issued_at))]


def evolve_with(account: Account, event: Deposited) -> Account:
    return account


ACCOUNT = Decider("account", Account(), decide, evolve)
TIMED = Decider.with_envelope("timed", Account(), decide_with, evolve_with)


@dataclass(frozen=True, slots=True)
class Balance:
    account: str
    balance: int


@dataclass(frozen=True, slots=True)
class Holding:
    owner: str
    number: int


def apply(row: Balance | None, event: RecordedEvent[Event], account: str) -> Balance:
    return Balance(account, event.event.amount)


def forget(row: Balance | None, event: RecordedEvent[Event], account: str) -> Balance | None:
    return None


def hold(
    row: Holding | None, event: RecordedEvent[Deposited], key: tuple[str, int]
) -> Holding | None:
    return row


def holders(event: RecordedEvent[Deposited]) -> list[tuple[str, int]]:
    return [(event.id, event.event.amount)]


BALANCES = View("balances", row=Balance, key="account", apply=apply)
FORGETTING = View("forgetting", row=Balance, key="account", apply=forget)
HOLDINGS = View("holdings", row=Holding, key=("owner", "number"), apply=hold, keys=holders)


def values() -> None:
    assert_type(ACCOUNT, Decider[Command, Account, Event])
    assert_type(TIMED, Decider[Deposit, Account, Deposited])
    assert_type(BALANCES, View[Balance, Event, str])
    assert_type(FORGETTING, View[Balance, Event, str])
    assert_type(HOLDINGS, View[Holding, Deposited, tuple[str, int]])
    assert_type(ACCOUNT.state([Deposited(1), Withdrawn(1)]), Account)
    assert_type(BALANCES.replicas(3, lag=Lag.exponential(0.04)), Replicas)
    assert_type(BALANCES.with_lag(Lag.constant(1)), Replicas)


async def commands() -> None:
    async with Runtime.open(
        "bank.db",
        deciders=[ACCOUNT, TIMED],
        projections=[BALANCES, HOLDINGS.replicas(2), FORGETTING.with_lag(Lag.none())],
    ) as runtime:
        assert_type(runtime, Runtime)
        receipt = await runtime.execute(ACCOUNT, "alice", Deposit(1))
        assert_type(receipt, Receipt)
        assert_type(receipt.position, Position)
        assert_type(receipt.version, Version)
        await runtime.execute(ACCOUNT, "alice", Withdraw(1), expected_version=receipt.version)
        either: Command = Deposit(1)
        await runtime.execute(ACCOUNT, "alice", either, metadata={"user": "u"}, timeout=1)
        await runtime.execute(TIMED, "alice", Deposit(1))
        outcomes = await runtime.execute_many(ACCOUNT, [("a", Deposit(1)), ("b", Deposit(2))])
        assert_type(outcomes, list[Receipt | AftertideError])
        mixed: list[tuple[str, Command]] = [("a", Deposit(1)), ("b", Withdraw(2))]
        await runtime.execute_many(ACCOUNT, mixed)
        await runtime.execute_many(ACCOUNT, ((f"a{n}", Deposit(n)) for n in range(3)))
        assert_type(await runtime.settle(timeout=1), Position)
        assert_type(runtime.head, Position)


async def queries(runtime: Runtime, receipt: Receipt) -> None:
    answer = await runtime.query(BALANCES, "alice", consistency=AtLeast(receipt.position))
    assert_type(answer, Answer[Balance])
    assert_type(answer.row, Balance | None)
    assert_type(answer.freshness, Freshness)
    answers = await runtime.query(BALANCES, where={"balance": 1}, order_by="-balance", limit=5)
    assert_type(answers, Answers[Balance])
    assert_type(answers.rows, tuple[Balance, ...])
    assert_type(await runtime.query(HOLDINGS, ("alice", 1)), Answer[Holding])
    assert_type(await runtime.query(HOLDINGS, consistency=Strong(), replica=2), Answers[Holding])
    assert_type(await runtime.query(FORGETTING, "a", on_timeout="stale"), Answer[Balance])


async def reading(runtime: Runtime) -> None:
    async for event in runtime.read(ACCOUNT, "alice"):
        assert_type(event, RecordedEvent[Event])
        assert_type(event.event, Event)
        assert_type(event.position, Position)
    async for event in runtime.read(ACCOUNT, "alice", after=3):
        assert_type(event.version, Version)
    async for anything in runtime.read(after=Position(5)):
        assert_type(anything.stream, str)
