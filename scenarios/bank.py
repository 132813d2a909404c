"""Many clients move money between accounts; in every answer, the sum is the same.

A transfer takes two aggregates, and no transaction spans them: the money leaves one account, and a moment later it
arrives at the other. In between it is nowhere, unless the view says where: every event books its amount twice, and
what has left and not arrived stands in a row of its own, "in transit". So the sum over all rows of one answer is
constant, at whatever position the answer stands and however far it lags. Who adds up rows of different answers has
no such luck: they are of different positions, and money appears or vanishes between them.

An account decides alone that it is not overdrawn. In the end all replicas hold what the log says.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

import anyio

from aftertide import AtLeast, CommandRejected, Decider, Lag, Position, RecordedEvent, Runtime, View
from aftertide.scenarios import Advance, Option, World, scenario

ACCOUNTS = Option("accounts", 50, "accounts, each opened with 1,000", least=2)
CLIENTS = Option("clients", 20, "clients that transfer at the same time", least=1)
TRANSFERS = Option("transfers", 100, "transfers of each client", least=1)

OPENED_WITH = 1_000
IN_TRANSIT = "in transit"
AUDITORS = 3
PATIENCE_SECONDS = 3600.0
"""How long an auditor waits for an answer: longer than any lag that one would try."""

# --- an account -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open:
    amount: int


@dataclass(frozen=True, slots=True)
class Send:
    """Let money go, if it is there."""

    amount: int
    to: str


@dataclass(frozen=True, slots=True)
class Receive:
    """Take money that another account has let go."""

    amount: int
    sender: str


@dataclass(frozen=True, slots=True)
class Opened:
    amount: int


@dataclass(frozen=True, slots=True)
class Sent:
    amount: int
    to: str


@dataclass(frozen=True, slots=True)
class Received:
    amount: int
    sender: str


Event = Opened | Sent | Received


@dataclass(frozen=True, slots=True)
class Account:
    is_open: bool = False
    balance: int = 0


def decide(command: Open | Send | Receive, account: Account) -> Sequence[Event]:
    match command:
        case Open(amount):
            if account.is_open:
                raise CommandRejected("the account is open already")
            return [Opened(amount)]
        case Send(amount, to):
            if amount > account.balance:
                raise CommandRejected(f"can't send {amount}: the balance is {account.balance}")
            return [Sent(amount, to)]
        case Receive(amount, sender):
            return [Received(amount, sender)]


def evolve(account: Account, event: Event) -> Account:
    match event:
        case Opened(amount):
            return Account(True, amount)
        case Sent(amount):
            return Account(True, account.balance - amount)
        case Received(amount):
            return Account(True, account.balance + amount)
        case _:
            assert_never(event)


ACCOUNT = Decider("account", Account(), decide, evolve)

# --- the view -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Balance:
    account: str
    balance: int


def rows_of(event: RecordedEvent[Event]) -> Iterable[str]:
    return (event.id,) if isinstance(event.event, Opened) else (event.id, IN_TRANSIT)


def apply(row: Balance | None, event: RecordedEvent[Event], account: str) -> Balance:
    before = row.balance if row else 0
    match event.event:
        case Opened(amount):
            return Balance(account, before + amount)
        case Sent(amount):
            return Balance(account, before + (amount if account == IN_TRANSIT else -amount))
        case Received(amount):
            return Balance(account, before + (-amount if account == IN_TRANSIT else amount))


BALANCES = View("balances", row=Balance, key="account", apply=apply, keys=rows_of)
REPLICAS = BALANCES.replicas(
    3, lag=[Lag.exponential(0.01), Lag.lognormal(0.05, 0.5), Lag.uniform(0.0, 0.2)]
)

# --- the plot -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Audit:
    """What the auditors saw."""

    answers: int = 0
    wrong_sums: int = 0
    overdrawn: int = 0
    most_in_transit: int = 0
    oldest_seconds: float = 0.0
    pieced_together: int = 0
    """Sums over answers of one row each."""
    pieced_wrong: int = 0
    furthest_off: int = 0


@scenario(options=[ACCOUNTS, CLIENTS, TRANSFERS])
async def main(world: World) -> None:
    clients, transfers = world.option(CLIENTS), world.option(TRANSFERS)
    names = [f"{number:03}" for number in range(1, world.option(ACCOUNTS) + 1)]
    total = OPENED_WITH * len(names)
    async with world.open(deciders=[ACCOUNT], projections=[REPLICAS]) as runtime:
        await runtime.execute_many(ACCOUNT, [(name, Open(OPENED_WITH)) for name in names])
        world.say(
            f"{len(names)} accounts are opened with {OPENED_WITH:,} each: {total:,} in all. {clients} clients make "
            f"{transfers} transfers each; {AUDITORS} auditors keep adding up what the view says."
        )
        audit, outcomes = Audit(), Counter[str]()
        auditor = Auditor(runtime, names, runtime.head, total, audit)
        began = world.elapsed()
        async with anyio.create_task_group() as auditors:
            for number in range(AUDITORS):
                auditors.start_soon(auditor.keep_auditing, world, name=f"scenario:auditor-{number}")
            with world.progress("transfers", clients * transfers) as advance:
                async with anyio.create_task_group() as tellers:
                    for number in range(clients):
                        plan = [plan_transfer(world, names) for _ in range(transfers)]
                        tellers.start_soon(
                            transfer_all,
                            runtime,
                            plan,
                            outcomes,
                            advance,
                            name=f"scenario:client-{number}",
                        )
            auditors.cancel_scope.cancel()
        seconds = world.elapsed() - began
        head = await runtime.settle()
        await auditor.add_up()  # also where the transfers were over before the first answer came
        tell(world, audit, outcomes, seconds)
        await check(world, runtime, audit, outcomes, total, head)
        await world.measure_view(runtime, BALANCES)


Transfer = tuple[str, str, int]
"""From, to, amount."""


def plan_transfer(world: World, names: Sequence[str]) -> Transfer:
    sender, receiver = world.chance.sample(names, 2)
    return sender, receiver, world.chance.randint(1, OPENED_WITH // 2)


async def transfer_all(
    runtime: Runtime, plan: Sequence[Transfer], outcomes: Counter[str], advance: Advance
) -> None:
    for sender, receiver, amount in plan:
        try:
            await runtime.execute(ACCOUNT, sender, Send(amount, receiver))
        except CommandRejected:
            outcomes["rejected"] += 1
        else:
            # Durable by now: if this process died here, the money would stand in transit, not be lost.
            await runtime.execute(ACCOUNT, receiver, Receive(amount, sender))
            outcomes["transferred"] += 1
            outcomes["moved"] += amount
        advance(1)


@dataclass(frozen=True, slots=True)
class Auditor:
    """Adds up what the view says, in two ways."""

    runtime: Runtime
    names: Sequence[str]
    opened: Position
    """Before the last account was opened, the sum was still growing."""
    total: int
    audit: Audit

    async def keep_auditing(self, world: World) -> None:
        while True:
            await self.add_up()
            await self.piece_together()
            await world.clock.sleep(0.005)

    async def add_up(self) -> None:
        """All rows of one answer, which are of one position."""
        answers = await self.runtime.query(
            BALANCES, consistency=AtLeast(self.opened), timeout=PATIENCE_SECONDS
        )
        audit = self.audit
        audit.answers += 1
        audit.wrong_sums += sum(row.balance for row in answers.rows) != self.total
        audit.overdrawn += any(row.balance < 0 for row in answers.rows)
        audit.oldest_seconds = max(audit.oldest_seconds, answers.freshness.behind_seconds)
        in_transit = [row.balance for row in answers.rows if row.account == IN_TRANSIT]
        audit.most_in_transit = max(audit.most_in_transit, *in_transit, 0)

    async def piece_together(self) -> None:
        """One answer per row, each from whatever replica comes: of as many positions."""
        off = -self.total
        for name in (*self.names, IN_TRANSIT):
            answer = await self.runtime.query(
                BALANCES, name, consistency=AtLeast(self.opened), timeout=PATIENCE_SECONDS
            )
            off += answer.row.balance if answer.row else 0
        self.audit.pieced_together += 1
        self.audit.pieced_wrong += off != 0
        self.audit.furthest_off = max(self.audit.furthest_off, abs(off))


def tell(world: World, audit: Audit, outcomes: Counter[str], seconds: float) -> None:
    world.say(
        f"{outcomes['transferred']:,} transfers moved {outcomes['moved']:,} in {seconds:.1f} s; "
        f"{outcomes['rejected']:,} were rejected, because the account did not have the money."
    )
    world.table(
        ["added up", "times", "wrong sums", "furthest off"],
        [
            (
                "all rows of one answer",
                audit.answers,
                audit.wrong_sums,
                0 if not audit.wrong_sums else None,
            ),
            ("one answer per row", audit.pieced_together, audit.pieced_wrong, audit.furthest_off),
        ],
    )
    world.say(
        f"Up to {audit.most_in_transit:,} was in transit, and answers were up to {audit.oldest_seconds:.2f} s old."
    )
    for name in ("transferred", "moved", "rejected"):
        world.measure(name, outcomes[name])
    world.measure("transfers_per_second", outcomes["transferred"] / seconds)
    for name in Audit.__slots__:
        world.measure(name, getattr(audit, name))


async def check(
    world: World, runtime: Runtime, audit: Audit, outcomes: Counter[str], total: int, head: Position
) -> None:
    says_the_log = BALANCES.fold([event async for event in runtime.read()])
    world.measure("events", head)
    world.promise(
        f"the sum was {total:,} in each of {audit.answers:,} answers, and no account was overdrawn",
        audit.answers > 0 and not audit.wrong_sums and not audit.overdrawn,
    )
    replicas = [
        name for name in runtime.statistics().projections if name.startswith(f"{BALANCES.name}/")
    ]
    same = 0
    for number in range(1, len(replicas) + 1):
        answers = await runtime.query(BALANCES, replica=number)
        same += {row.account: row for row in answers.rows} == says_the_log
    world.promise(
        f"all {len(replicas)} replicas came to hold what the {head:,} events of the log say",
        same == len(replicas),
    )
    in_transit = says_the_log.get(IN_TRANSIT)
    world.promise(
        f"every transfer arrived: nothing is in transit, and the accounts hold {total:,}",
        (in_transit is None or in_transit.balance == 0)
        and sum(row.balance for row in says_the_log.values()) == total,
    )
