"""The peer: the library `eventsourcing` on SQLite, set up as its manual says for speed.

Aggregate cache on, no deep copy out of it and no fast-forward (one process, so both are safe to
leave out), WAL and synchronous=FULL as it sets them, msgspec Structs through a mapper of the kind
that its manual shows as the fastest. Its events carry no time stamp, which its own classes would.
One client: it is synchronous, and more threads make it slower (they wait for the write lock and the
interpreter).
"""

import sqlite3
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, cast
from uuid import UUID, uuid5

import msgspec
from eventsourcing.application import Application, ProcessingEvent
from eventsourcing.persistence import Mapper, StoredEvent, Transcoder
from eventsourcing.sqlite import SQLiteCursor, SQLiteProcessRecorder
from eventsourcing.system import MultiThreadedRunner, ProcessApplication, System
from eventsourcing.utils import get_topic, resolve_topic

from ..accounts import AMOUNT, names, shares
from ..figures import Figures
from ..meter import Meter

NAMESPACE = UUID("6ba7b811-9dad-11d1-80b4-00c04fd430c8")


class Deposited(msgspec.Struct, frozen=True, gc=False):
    originator_id: UUID
    originator_version: int
    amount: int


class Account(msgspec.Struct):
    """Mutable, because the cache of aggregates is only kept warm by `save(aggregate)`."""

    id: UUID
    version: int = 0
    balance: int = 0
    pending: list[Deposited] = []

    def deposit(self, amount: int) -> None:
        event = Deposited(self.id, self.version + 1, amount)
        self.evolve(event)
        self.pending.append(event)

    def evolve(self, event: Deposited) -> None:
        self.version = event.originator_version
        self.balance += event.amount

    def collect_events(self) -> Sequence[Deposited]:
        collected, self.pending = self.pending, []
        return collected


@lru_cache
def decoder(topic: str) -> msgspec.json.Decoder[Deposited]:
    return msgspec.json.Decoder(cast("type[Deposited]", resolve_topic(topic)))


class StructMapper(Mapper[UUID]):
    def to_stored_event(self, domain_event: Deposited) -> StoredEvent:  # type: ignore[override]
        return StoredEvent(
            originator_id=domain_event.originator_id,
            originator_version=domain_event.originator_version,
            topic=get_topic(type(domain_event)),
            state=msgspec.json.encode(domain_event),
        )

    def to_domain_event(self, stored_event: StoredEvent) -> Deposited:
        return decoder(stored_event.topic).decode(stored_event.state)


class Bank(Application[UUID]):
    def construct_mapper(self) -> Mapper[UUID]:
        return StructMapper(cast("Transcoder", None))

    def open(self, account_id: UUID) -> None:
        account = Account(account_id)
        account.deposit(AMOUNT)
        self.save(account)

    def deposit(self, account_id: UUID) -> None:
        account: Account = self.repository.get(account_id, projector_func=project)
        account.deposit(AMOUNT)
        self.save(account)


def project(account: Account | None, events: Iterable[Deposited]) -> Account | None:
    for event in events:
        if account is None:
            account = Account(event.originator_id)
        account.evolve(event)
    return account


class BalancesRecorder(SQLiteProcessRecorder):
    """Writes the balance in the transaction that tracks the position, as its manual does."""

    def construct_create_table_statements(self) -> list[str]:
        table = "CREATE TABLE IF NOT EXISTS balances (account TEXT PRIMARY KEY, balance INTEGER)"
        return [*super().construct_create_table_statements(), table]

    def _insert_events(
        self, c: SQLiteCursor, stored_events: Sequence[StoredEvent], **kwargs: object
    ) -> Sequence[int] | None:
        returning = super()._insert_events(c, stored_events, **kwargs)
        deposited = cast("Deposited | None", kwargs.get("deposited"))
        if deposited is not None:
            c.execute(
                "INSERT INTO balances VALUES (?, ?) "
                "ON CONFLICT (account) DO UPDATE SET balance = balance + excluded.balance",
                (deposited.originator_id.hex, deposited.amount),
            )
        return returning


class Balances(ProcessApplication[UUID]):
    env: ClassVar[dict[str, str]] = {
        "PROCESS_RECORDER_TOPIC": f"{BalancesRecorder.__module__}:{BalancesRecorder.__qualname__}"
    }

    def construct_mapper(self) -> Mapper[UUID]:
        return StructMapper(cast("Transcoder", None))

    def policy(self, domain_event: Deposited, processing_event: ProcessingEvent[UUID]) -> None:
        processing_event.collect_events(deposited=domain_event)


def commands(folder: str, commands: int, accounts: int) -> Figures:
    """Commands only: no projection."""
    bank = Bank(environment() | {"SQLITE_DBNAME": str(Path(folder, "peer.db"))})
    try:
        return _deposits(bank, commands, accounts)[0].figures(commands)
    finally:
        bank.close()


def with_projection(folder: str, commands: int, accounts: int) -> Figures:
    """Commands, and the balances in a SQLite file of their own, kept by its threaded runner."""
    files = {
        "BANK_SQLITE_DBNAME": str(Path(folder, "peer.db")),
        "BALANCES_SQLITE_DBNAME": str(Path(folder, "peer-balances.db")),
    }
    with MultiThreadedRunner[UUID](
        System(pipes=[[Bank, Balances]]), environment() | files
    ) as runner:
        bank, balances = runner.get(Bank), runner.get(Balances)
        meter, expected = _deposits(bank, commands, accounts)
        head = bank.recorder.max_notification_id() or 0
        # Its tracking has no signal to wait for; half a millisecond is far below what is measured.
        while (balances.recorder.max_tracking_id("Bank") or 0) < head:
            time.sleep(0.0005)
        end_to_end = meter.also()
    with sqlite3.connect(files["BALANCES_SQLITE_DBNAME"]) as connection:
        (total,) = connection.execute("SELECT sum(balance) FROM balances").fetchone()
    connection.close()
    if total != expected:
        raise RuntimeError(
            f"the peer's balances sum up to {total}, not {expected}: nothing was measured."
        )
    return meter.figures(commands) | {"end_to_end_per_second": commands / end_to_end}


def environment() -> dict[str, str]:
    return {
        "PERSISTENCE_MODULE": "eventsourcing.sqlite",
        "AGGREGATE_CACHE_MAXSIZE": "0",  # a plain dict without a limit: its fastest
        "AGGREGATE_CACHE_FASTFORWARD": "n",
        "DEEPCOPY_FROM_AGGREGATE_CACHE": "n",
    }


def _deposits(bank: Bank, commands: int, accounts: int) -> tuple[Meter, int]:
    """The meter of the timed deposits, and the sum that all balances must have."""
    ids = {name: uuid5(NAMESPACE, name) for name in names(accounts)}
    for account_id in ids.values():
        bank.open(account_id)
    (share,) = shares(commands, 1, list(ids))
    now = time.perf_counter
    meter = Meter()
    for name in share:
        started = now()
        bank.deposit(ids[name])
        meter.latencies.append(now() - started)
    meter.stop()
    return meter, AMOUNT * (accounts + commands)
