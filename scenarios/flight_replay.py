"""Steps of flights become commands, and commands go to the runtime: in order, many at once, in bounded memory."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from typing import Any

import anyio
import msgspec

from aftertide import CommandRejected, Decider, Runtime
from aftertide.scenarios import Advance
from aftertide.scenarios.flight_deciders import (
    AIRCRAFT,
    FLIGHT,
    Cancel,
    Depart,
    Divert,
    EndLeg,
    Land,
    Schedule,
    TakeOff,
)
from aftertide.scenarios.flight_order import Step, StepKind

BATCH_STEPS = 2_000

Batch = list[tuple[str, Any, int]]
"""Aggregate id, command, line of the row."""


class Rejection(msgspec.Struct, frozen=True, gc=False):
    line: int
    aggregate: str
    command: str
    reason: str


class Replayed(msgspec.Struct, frozen=True):
    """What became of the commands."""

    accepted: int
    rejected: list[Rejection]


async def replay(runtime: Runtime, steps: Iterator[Step], advance: Advance) -> Replayed:
    """Execute the commands of all steps. `advance` is told how many flights came to their end.

    Raises, in an exception group, the error of a command that failed other than by the domain's no.
    """
    flights, aircraft = Lane(runtime, FLIGHT), Lane(runtime, AIRCRAFT)
    async with anyio.create_task_group() as lanes:
        lanes.start_soon(flights.run, name="scenario:flights")
        lanes.start_soon(aircraft.run, name="scenario:aircraft")
        while batch := list(islice(steps, BATCH_STEPS)):
            for_flights, for_aircraft, ended = commands(batch)
            await flights.put(for_flights)
            await aircraft.put(for_aircraft)
            advance(ended)
        flights.end()
        aircraft.end()
    return Replayed(flights.accepted + aircraft.accepted, flights.rejected + aircraft.rejected)


class Lane:
    """One decider's commands, in their order and a batch at a time: the order of each aggregate is kept.

    Flights and aircraft have a lane each: while one's batch is on its way to the disk, the other's is decided.
    """

    def __init__(self, runtime: Runtime, decider: Decider[Any, Any, Any]) -> None:
        self._runtime = runtime
        self._decider = decider
        self._send, self._receive = anyio.create_memory_object_stream[Batch](1)
        self.accepted = 0
        self.rejected: list[Rejection] = []

    async def put(self, batch: "Batch") -> None:
        """Hand over a batch; waits while one is under way and another one is waiting."""
        if batch:
            await self._send.send(batch)

    def end(self) -> None:
        self._send.close()

    async def run(self) -> None:
        """Until `end`. Raises the error of a command that failed other than by the domain's no."""
        async with self._receive:
            async for batch in self._receive:
                outcomes = await self._runtime.execute_many(
                    self._decider, [(id, command) for id, command, _ in batch]
                )
                for (id, command, line), outcome in zip(batch, outcomes, strict=True):
                    if isinstance(outcome, CommandRejected):
                        name = type(command).__name__
                        self.rejected.append(
                            Rejection(line, f"{self._decider.category} {id}", name, str(outcome))
                        )
                    elif isinstance(outcome, Exception):
                        raise outcome
                    else:
                        self.accepted += 1


def commands(batch: Iterable[Step]) -> tuple[Batch, Batch, int]:
    """What the steps say to flights and to aircraft, and how many flights they bring to their end."""
    flights: Batch = []
    aircraft: Batch = []
    ended = 0
    for _, kind, line, record in batch:
        flight, tail_number = record.flight, record.tail_number
        if kind == StepKind.SCHEDULE:
            scheduled = Schedule(
                record.carrier,
                record.origin,
                record.destination,
                record.hour,
                instant(record.scheduled),
            )
            flights.append((flight, scheduled, line))
        elif kind == StepKind.DEPART:
            flights.append((flight, Depart(record.departure_delay or 0), line))
            if tail_number is not None:
                aircraft.append((tail_number, TakeOff(flight), line))
        else:
            ended += 1
            if kind == StepKind.CANCEL:
                flights.append((flight, CANCEL, line))
                continue
            landed = kind == StepKind.LAND
            flights.append((flight, Land(record.arrival_delay or 0) if landed else DIVERT, line))
            if tail_number is not None:
                aircraft.append((tail_number, EndLeg(flight, record.air_time), line))
    return flights, aircraft, ended


CANCEL, DIVERT = Cancel(), Divert()


@lru_cache(maxsize=4096)
def instant(minute: int) -> str:
    """A minute since 1970 as text, like `time_hour`."""
    return datetime.fromtimestamp(minute * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
