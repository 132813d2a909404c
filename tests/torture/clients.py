"""Those who write and read while the process is tortured, and say what they were answered.

They know the front door only. What they send follows from a seed; what becomes of it does not.
"""

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import fields
from itertools import count
from random import Random
from typing import Any

import anyio

from aftertide import (
    AftertideError,
    AtLeast,
    CommandRejected,
    Condition,
    Consistency,
    Decider,
    Eventual,
    Receipt,
    Runtime,
    Strong,
)
from tests.torture.market import (
    ACCOUNT,
    BALANCES,
    ORDER,
    TALLIES,
    Balance,
    Close,
    Deposit,
    Look,
    Place,
    Ship,
    Tally,
    Withdraw,
)
from tests.torture.said import Acknowledged, Broke, Failed, Left, Rejected, Saw, Say

HOT_ACCOUNTS = 3
ACCOUNTS = 24
MORE_THAN_ANYBODY_HAS = 10**15

AnyDecider = Decider[Any, Any, Any]
AnyCommand = Deposit | Withdraw | Close | Look | Place | Ship


class Clients:
    """Clients of one runtime. `name` makes their refs unique among all lives on a database."""

    def __init__(self, runtime: Runtime, say: Say, name: str, seed: int, *, queries: bool) -> None:
        self._runtime = runtime
        self._say = say
        self._name = name
        self._seed = seed
        self._queries = queries
        self._numbers = count(1)
        self._orders: list[str] = []
        self.answers = 0
        self._enough = 0

    async def work(self, clients: int, answers: int) -> None:
        """Let that many clients send commands until they all together had that many more answers."""
        self._enough = self.answers + answers
        kinds = (self.one_by_one, self.many, self.one_by_one, self.reading)
        async with anyio.create_task_group() as group:
            for number in range(clients):
                random = Random(f"{self._seed}/{self._name}/{number}")
                group.start_soon(self._until_enough, kinds[number % len(kinds)], random)

    async def _until_enough(self, act: Callable[[Random], Awaitable[None]], random: Random) -> None:
        while self.answers < self._enough:
            await act(random)

    # ---- ways to use a runtime

    async def one_by_one(self, random: Random) -> None:
        decider, id, command, events = self.any_command(random)
        command_id = f"id-{command.ref}" if random.random() < 0.25 else None
        await self.ask(decider, id, command, events, command_id)

    async def many(self, random: Random) -> None:
        decider: AnyDecider = random.choice((ACCOUNT, ORDER))
        drawn = [self.command_for(decider, random) for _ in range(random.randint(2, 30))]
        try:
            outcomes = await self._runtime.execute_many(
                decider, [(id, command) for id, command, _ in drawn]
            )
        except BaseException:
            for _, command, _ in drawn:
                self._say(Left(command.ref))
            raise
        for (id, command, events), outcome in zip(drawn, outcomes, strict=True):
            self._tell(f"{decider.category}-{id}", command.ref, events, outcome)

    async def reading(self, random: Random) -> None:
        decider, id, command, events = self.any_command(random)
        receipt = await self.ask(decider, id, command, events)
        if self._queries:
            await self.look(random, Eventual() if receipt is None else AtLeast(receipt.position))

    async def ask(
        self,
        decider: AnyDecider,
        id: str,
        command: AnyCommand,
        events: int,
        command_id: str | None = None,
    ) -> Receipt | None:
        """Execute one command and say what was answered."""
        outcome: Receipt | AftertideError
        try:
            outcome = await self._runtime.execute(decider, id, command, command_id=command_id)
        except AftertideError as error:
            outcome = error
        except BaseException:
            self._say(Left(command.ref))
            raise
        self._tell(f"{decider.category}-{id}", command.ref, events, outcome)
        return outcome if isinstance(outcome, Receipt) else None

    async def look(self, random: Random, consistency: Consistency) -> None:
        """Ask any replica for a row and say what it had."""
        view = random.choice((BALANCES, TALLIES))
        key = "all" if view is TALLIES else f"a{random.randrange(ACCOUNTS)}"
        try:
            answer = await self._runtime.query(view, key, consistency=consistency)
        except Condition as condition:
            error = type(condition).__name__
            self._say(Failed(f"{self._name}.query{next(self._numbers)}", error, str(condition)))
            return
        if isinstance(consistency, AtLeast) and answer.freshness.position < consistency.position:
            self._say(Broke(f"{answer} is older than {consistency}"))
        self._say(
            Saw(answer.freshness.replica, answer.freshness.position, key, _values(answer.row))
        )

    async def look_at_everything(self) -> None:
        """Say every row of every replica, and which one of them answered at which position."""
        for view in (BALANCES, TALLIES):
            for replica in (1, 2):
                answers = await self._runtime.query(view, replica=replica, consistency=Strong())
                freshness = answers.freshness
                for row in answers.rows:
                    key = row.account if isinstance(row, Balance) else row.name
                    self._say(Saw(freshness.replica, freshness.position, key, _values(row)))

    async def quote_all_accounts(self) -> None:
        """Let every account refuse something, and so quote the state that it recovered."""
        for number in range(ACCOUNTS):
            command = Withdraw(self._ref(), MORE_THAN_ANYBODY_HAS)
            await self.ask(ACCOUNT, f"a{number}", command, 1)

    def _tell(self, stream: str, ref: str, events: int, outcome: Receipt | AftertideError) -> None:
        self.answers += 1
        match outcome:
            case Receipt(command_id=command_id, version=version, position=position):
                self._say(Acknowledged(ref, command_id, stream, version, position, events))
            case CommandRejected():
                self._say(Rejected(ref, stream, str(outcome)))
            case Condition():
                self._say(Failed(ref, type(outcome).__name__, str(outcome)))
            case _:
                self._say(Broke("".join(traceback.format_exception(outcome))))

    # ---- what they send

    def any_command(self, random: Random) -> tuple[AnyDecider, str, AnyCommand, int]:
        decider = ACCOUNT if random.random() < 0.7 else ORDER
        return decider, *self.command_for(decider, random)

    def command_for(self, decider: AnyDecider, random: Random) -> tuple[str, AnyCommand, int]:
        """An id, a command, and how many events it decides on unless it is refused."""
        ref = self._ref()
        chance = random.random()
        if decider is ORDER:
            if chance < 0.6 or not self._orders:
                id = f"{self._name}-{ref}"
                self._orders = [*self._orders[-20:], id]
                lines = random.randint(0, 4)
                return id, Place(ref, lines), lines + 1
            return random.choice(self._orders), Ship(ref), 1
        hot = random.random() < 0.4
        id = f"a{random.randrange(HOT_ACCOUNTS if hot else ACCOUNTS)}"
        if chance < 0.45:
            return id, Deposit(ref, random.randint(1, 99)), 1
        if chance < 0.55:
            parts = random.randint(2, 12)
            return id, Deposit(ref, random.randint(1, 9), parts), parts
        if chance < 0.85:
            return id, Withdraw(ref, random.randint(1, 150)), 1
        if chance < 0.92:
            return id, Close(ref), 1
        return id, Look(ref), 0

    def _ref(self) -> str:
        return f"{self._name}.{next(self._numbers)}"


def _values(row: Balance | Tally | None) -> list[str | int] | None:
    return None if row is None else [getattr(row, field.name) for field in fields(row)]
