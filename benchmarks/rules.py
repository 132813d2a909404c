"""What it costs to hold a history against each rule: `python -m benchmarks.rules [RECORDS]`.

A quarter of the records each are commands, their events, what a replica applied, and answers; as many operations on
registers beside them. Legal, so that every rule looks at all of it. Each rule begins with an unprepared history; the
fastest of five is shown, in processor time, since other work on the machine is not the rule's.
"""

import gc
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import msgspec

from aftertide import Decider, Position, RecordedEvent, Version, View
from aftertide.domain.codec import EventTypes
from aftertide.simulation import History
from aftertide.simulation.records import Applied, Executed, Logged, Queried, Registered, Settled
from aftertide.simulation.rules import ALL, BoundedStaleness, Case, Rule

ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Deposited:
    amount: int


@dataclass(frozen=True, slots=True)
class Balance:
    account: str
    balance: int


def decide(command: Deposited, balance: int) -> Sequence[Deposited]:
    return [command]


def evolve(balance: int, event: Deposited) -> int:
    return balance + event.amount


def apply(row: Balance | None, event: RecordedEvent[Deposited], account: str) -> Balance:
    return Balance(account, (row.balance if row else 0) + event.event.amount)


ACCOUNT = Decider("account", 0, decide, evolve)
BALANCES = View("balances", row=Balance, key="account", apply=apply)


def history(records: int) -> History:
    """A legal one of that many records, and as many register operations."""
    chance = Random(1)
    made = History(views=[BALANCES], deciders=[ACCOUNT])
    balances: dict[str, int] = {}
    versions: dict[str, int] = {}
    for number in range(1, records // 4 + 1):
        account, asked, session = (f"{chance.randrange(n)}" for n in (200, 200, 50))
        at, position, id = float(number), Position(number), f"c{number}"
        version = Version(versions.get(account, 0) + 1)
        versions[account] = version
        balances[account] = balances.get(account, 0) + number
        stream = f"account-{account}"
        rows = [Balance(asked, balances[asked])] if asked in balances else []
        made.add(
            Executed(
                start=at, end=at + 0.1, session=session, stream=stream, id=id,
                version=version, position=position,
            )
        )  # fmt: skip
        made.add(
            Logged(
                position=position, stream=stream, version=version, type="Deposited",
                command_id=id, data=_raw(Deposited(number)),
            )
        )  # fmt: skip
        made.add(Applied(replica="balances/1", position=position, at=at + 0.2))
        made.add(
            Queried(
                start=at + 0.3, end=at + 0.4, session=session, view="balances",
                select=_raw({"key": asked}), asked="session" if number % 2 else "strong",
                position=position, behind_events=0, rows=_raw(rows), cut=id,
            )
        )  # fmt: skip
        for turn in range(4):
            start = at + 0.1 * turn
            made.add(
                Registered(
                    start=start, end=start + 0.05, key=_raw(number % 20),
                    do="read" if turn else "write", value=_raw(number),
                )
            )  # fmt: skip
    made.add(Settled(at=records / 4 + 1, head=Position(records // 4)))
    return made


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def seconds(rule: Rule, made: History) -> float:
    """The fastest of some rounds. Raises ValueError where the rule finds something, or nothing to judge."""
    best = float("inf")
    for _ in range(ROUNDS):
        gc.collect()
        case = Case(made, made.views, EventTypes(made.deciders))
        began = time.process_time()
        found = rule.missing(case) or list(rule.violations(case))
        best = min(best, time.process_time() - began)
        if found:
            raise ValueError(f"{rule.name}: {found}")
    return best


def main(records: int) -> None:
    made = history(records)
    print(f"{len(made):,} records, {len(made.registers):,} of them of registers")
    for rule in (*ALL, BoundedStaleness(events=5, seconds=1.0)):
        print(f"{rule.name:<26}{seconds(rule, made) * 1000:8.1f} ms")
    began = time.process_time()
    lines = list(made.lines())
    written = time.process_time()
    History.parse(lines)
    read = time.process_time()
    print(f"{'to JSON lines':<26}{(written - began) * 1000:8.1f} ms")
    print(f"{'from JSON lines':<26}{(read - written) * 1000:8.1f} ms")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
