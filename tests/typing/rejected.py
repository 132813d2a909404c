"""What a type checker must reject. Never run.

Each mistake is ignored on its line, by the error that it must be. A line that is accepted one day has an ignore that
nothing needs, which is an error too.
"""

from collections.abc import Sequence

from aftertide import (
    AtLeast,
    Decider,
    Lag,
    Position,
    Receipt,
    RecordedEvent,
    Runtime,
    Version,
    View,
)
from tests.typing.accepted import (
    ACCOUNT,
    BALANCES,
    HOLDINGS,
    TIMED,
    Account,
    Balance,
    Command,
    Deposit,
    Deposited,
    Event,
    Withdraw,
    decide,
    decide_with,
    evolve,
)


async def commands(runtime: Runtime) -> None:
    await runtime.execute(ACCOUNT, "alice", Deposited(1))  # type: ignore[misc]
    await runtime.execute(ACCOUNT, "alice", "deposit 1")  # type: ignore[misc]
    await runtime.execute(ACCOUNT, "alice", None)  # type: ignore[misc]
    await runtime.execute(TIMED, "alice", Withdraw(1))  # type: ignore[misc]
    await runtime.execute("account", "alice", Deposit(1))  # type: ignore[arg-type]
    await runtime.execute(ACCOUNT, 5, Deposit(1))  # type: ignore[arg-type]
    await runtime.execute(ACCOUNT, Deposit(1))  # type: ignore[call-arg, arg-type]
    await runtime.execute(ACCOUNT, "alice", Deposit(1), expected=1)  # type: ignore[call-arg]
    await runtime.execute(ACCOUNT, "alice", Deposit(1), expected_version="1")  # type: ignore[arg-type]
    await runtime.execute(ACCOUNT, "alice", Deposit(1), "c1")  # type: ignore[call-arg]
    await runtime.execute_many(ACCOUNT, [("a", Deposited(1))])  # type: ignore[misc]
    await runtime.execute_many(ACCOUNT, [Deposit(1)])  # type: ignore[list-item]
    await runtime.execute_many(TIMED, [("a", Withdraw(1))])  # type: ignore[misc]
    runtime.execute(ACCOUNT, "alice", Deposit(1))  # type: ignore[unused-coroutine]


async def queries(runtime: Runtime, receipt: Receipt) -> None:
    await runtime.query(BALANCES, 5)  # type: ignore[misc]
    await runtime.query(HOLDINGS, "alice")  # type: ignore[misc]
    await runtime.query(HOLDINGS, ("alice", "one"))  # type: ignore[misc]
    await runtime.query(BALANCES, "alice", where={"balance": 1})  # type: ignore[call-overload]
    await runtime.query(BALANCES, "alice", limit=1)  # type: ignore[call-overload]
    await runtime.query("balances", "alice")  # type: ignore[call-overload]
    await runtime.query(ACCOUNT, "alice")  # type: ignore[call-overload]
    await runtime.query(BALANCES, on_timeout="ignore")  # type: ignore[call-overload]
    await runtime.query(BALANCES, consistency="strong")  # type: ignore[call-overload]
    await runtime.query(BALANCES, consistency=AtLeast(receipt.version))  # type: ignore[arg-type]
    answer = await runtime.query(BALANCES, "alice")
    answer.row.balance  # type: ignore[union-attr]  # noqa: B018 - the row may not be there
    answers = await runtime.query(BALANCES)
    answers.rows[0].owner  # type: ignore[attr-defined]  # noqa: B018
    answers.rows.append(Balance("a", 1))  # type: ignore[attr-defined]


async def reading(runtime: Runtime) -> None:
    runtime.read(ACCOUNT)  # type: ignore[call-overload]
    runtime.read("alice")  # type: ignore[call-overload]
    async for event in runtime.read(ACCOUNT, "alice"):
        event.event.note  # type: ignore[union-attr]  # noqa: B018
        event.position = Position(5)  # type: ignore[misc]


def places(receipt: Receipt) -> None:
    """Positions and versions can't be swapped by mistake, nor made of any number."""
    position: Position = receipt.version  # type: ignore[assignment]
    version: Version = receipt.position  # type: ignore[assignment]
    position = 5  # type: ignore[assignment]
    AtLeast(5)  # type: ignore[arg-type]
    print(position, version)  # noqa: T201


def evolve_other(account: Account, event: str) -> Account:
    return account


def evolve_state(account: int, event: Event) -> int:
    return account


async def decide_later(command: Command, account: Account) -> Sequence[Event]:
    return []


def decide_other(command: Deposit, account: Account) -> list[str]:
    return []


def apply_other(row: str | None, event: RecordedEvent[Event], account: str) -> str:
    return account


def apply_without_key(row: Balance | None, event: RecordedEvent[Event]) -> Balance:
    return Balance("", 0)


def apply_number(row: Balance | None, event: RecordedEvent[Event], key: int) -> Balance:
    return Balance("", key)


def keys_of_text(event: RecordedEvent[Event]) -> list[str]:
    return [event.id]


def definitions() -> None:
    Decider("account", Account(), decide, evolve_other)  # type: ignore[misc]
    Decider("account", Account(), decide, evolve_state)  # type: ignore[arg-type]
    Decider("account", 0, decide, evolve)  # type: ignore[arg-type]
    Decider("account", Account(), decide_later, evolve)  # type: ignore[arg-type]
    Decider("account", Account(), decide_other, evolve)  # type: ignore[misc]
    Decider("account", Account(), decide_with, evolve)  # type: ignore[arg-type]
    Decider.with_envelope("account", Account(), decide, evolve)  # type: ignore[arg-type]
    View("balances", row=Balance, key="account", apply=apply_other)  # type: ignore[arg-type]
    View("balances", row=Balance, key="account", apply=apply_without_key)  # type: ignore[arg-type]
    View("b", row=Balance, key="account", apply=apply_number, keys=keys_of_text)  # type: ignore[misc]
    BALANCES.replicas("3")  # type: ignore[arg-type]
    BALANCES.with_lag(0.5)  # type: ignore[arg-type]
    BALANCES.replicas(2, lag=[Lag.none(), 0.5])  # type: ignore[list-item]
    Runtime.open("bank.db")  # type: ignore[call-arg]
    Runtime.open("bank.db", deciders=ACCOUNT)  # type: ignore[arg-type]
    Runtime.open("bank.db", deciders=[BALANCES])  # type: ignore[list-item]
    Runtime.open("bank.db", deciders=[ACCOUNT], projections=[ACCOUNT])  # type: ignore[list-item]
    Runtime.open("bank.db", deciders=[ACCOUNT], durability="FULL")  # type: ignore[arg-type]
