"""The steps of all flights in the order of real time, out of a file that is in another one.

A heap holds the flights between their first step and their last, and those read ahead: a day, plus as much as
the file's rows are out of order. That makes the order exact for any file, and for one that is sorted by day,
as the real record is, the heap stays as small as two days' flights.
"""

from collections.abc import Iterable, Iterator
from enum import IntEnum
from heapq import heappop, heappush
from typing import NamedTuple

from .flight_records import LONG_AGO, FlightRecord

ON_THE_BOARD_MINUTES = 24 * 60
"""A flight is announced a day ahead, and so before it departs: none leaves more than a day early."""


class StepKind(IntEnum):
    """What happens next to a flight; of one minute, in this order."""

    LAND = 0  # first: an aircraft that lands may take off again in the same minute
    DIVERT = 1
    SCHEDULE = 2
    CANCEL = 3
    DEPART = 4


class Step(NamedTuple):
    minute: int
    """Minutes since 1970, UTC."""
    kind: StepKind
    line: int
    """The row's; of two steps that are equal up to here, the upper row's comes first."""
    record: FlightRecord


def steps(records: Iterable[FlightRecord], out_of_order_minutes: int) -> Iterator[Step]:
    """Every step of every flight, by minute. A flight's own are in their order.

    `out_of_order_minutes` is by how much a record may be scheduled before one that came earlier.
    """
    heap: list[Step] = []
    latest = LONG_AGO
    for record in records:
        scheduled = record.scheduled
        heappush(
            heap, Step(scheduled - ON_THE_BOARD_MINUTES, StepKind.SCHEDULE, record.line, record)
        )
        if scheduled > latest:
            latest = scheduled
            # No record to come has a step before this.
            safe = latest - out_of_order_minutes - ON_THE_BOARD_MINUTES
            while heap[0].minute < safe:
                yield _next(heap)
    while heap:
        yield _next(heap)


def _next(heap: list[Step]) -> Step:
    step = heappop(heap)
    follower = _follower(step)
    if follower is not None:
        heappush(heap, follower)
    return step


def _follower(step: Step) -> Step | None:
    minute, kind, line, record = step
    if kind is StepKind.SCHEDULE:
        if record.departure_delay is None:
            return Step(record.scheduled, StepKind.CANCEL, line, record)
        return Step(record.scheduled + record.departure_delay, StepKind.DEPART, line, record)
    if kind is StepKind.DEPART:
        if record.air_time is None:
            # Where and when it came down is not in the record. In the same minute, then: an aircraft must not
            # be kept in the air by what nobody wrote down.
            return Step(minute, StepKind.DIVERT, line, record)
        return Step(minute + record.air_time, StepKind.LAND, line, record)
    return None
