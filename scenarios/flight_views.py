"""The four views of the record of flights.

Pure folds. Means are kept as totals and counts beside them, so that they are exact: whole numbers, and one division.
"""

from typing import Any

import msgspec
from msgspec.structs import replace

from aftertide import RecordedEvent, View
from aftertide.scenarios.flight_deciders import (
    AircraftLanded,
    FlightCancelled,
    FlightDeparted,
    FlightDiverted,
    FlightEvent,
    FlightLanded,
    FlightScheduled,
    Status,
)


class Departure(msgspec.Struct, frozen=True, gc=False):
    flight: str
    carrier: str
    origin: str
    destination: str
    scheduled: str
    status: Status
    departure_delay: int | None = None
    arrival_delay: int | None = None


def apply_departure(
    row: Departure | None, event: RecordedEvent[FlightEvent], flight: str
) -> Departure | None:
    happened = event.event
    if isinstance(happened, FlightScheduled):
        return Departure(
            flight,
            happened.carrier,
            happened.origin,
            happened.destination,
            happened.scheduled,
            "scheduled",
        )
    if row is None:
        return None  # a stream begins with FlightScheduled: the decider sees to that
    match happened:
        case FlightDeparted(_, delay):
            return replace(row, status="departed", departure_delay=delay)
        case FlightLanded(_, delay):
            return replace(row, status="landed", arrival_delay=delay)
        case FlightCancelled():
            return replace(row, status="cancelled")
        case FlightDiverted():
            return replace(row, status="diverted")


DEPARTURES = View("departures", row=Departure, key="flight", apply=apply_departure)


class Punctuality(msgspec.Struct, frozen=True, gc=False):
    carrier: str
    scheduled: int = 0
    departed: int = 0
    landed: int = 0
    cancelled: int = 0
    diverted: int = 0
    mean_departure_delay: float | None = None
    """Minutes, of those that departed."""
    mean_arrival_delay: float | None = None
    """Minutes, of those that landed."""
    departure_delay_minutes: int = 0
    arrival_delay_minutes: int = 0


def apply_punctuality(
    row: Punctuality | None, event: RecordedEvent[FlightEvent], carrier: str
) -> Punctuality:
    row = row or Punctuality(carrier)
    match event.event:
        case FlightScheduled():
            return replace(row, scheduled=row.scheduled + 1)
        case FlightDeparted(_, delay):
            departed, minutes = row.departed + 1, row.departure_delay_minutes + delay
            return replace(
                row,
                departed=departed,
                departure_delay_minutes=minutes,
                mean_departure_delay=minutes / departed,
            )
        case FlightLanded(_, delay):
            landed, minutes = row.landed + 1, row.arrival_delay_minutes + delay
            return replace(
                row,
                landed=landed,
                arrival_delay_minutes=minutes,
                mean_arrival_delay=minutes / landed,
            )
        case FlightCancelled():
            return replace(row, cancelled=row.cancelled + 1)
        case FlightDiverted():
            return replace(row, diverted=row.diverted + 1)


CARRIER_PUNCTUALITY = View(
    "carrier_punctuality",
    row=Punctuality,
    key="carrier",
    apply=apply_punctuality,
    keys=lambda event: (event.event.carrier,),
)


class AirportHour(msgspec.Struct, frozen=True, gc=False):
    origin: str
    hour: str
    """UTC, as `time_hour` stands in the record."""
    scheduled_departures: int = 0
    cancellations: int = 0


def apply_airport_hour(
    row: AirportHour | None,
    event: RecordedEvent[FlightScheduled | FlightCancelled],
    key: tuple[str, str],
) -> AirportHour:
    row = row or AirportHour(*key)
    match event.event:
        case FlightScheduled():
            return replace(row, scheduled_departures=row.scheduled_departures + 1)
        case FlightCancelled():
            return replace(row, cancellations=row.cancellations + 1)


AIRPORT_HOURS = View(
    "airport_hours",
    row=AirportHour,
    key=("origin", "hour"),
    apply=apply_airport_hour,
    keys=lambda event: ((event.event.origin, event.event.hour),),
)


class AircraftLegs(msgspec.Struct, frozen=True, gc=False):
    tail_number: str
    legs_landed: int
    minutes_in_the_air: int


def apply_aircraft(
    row: AircraftLegs | None, event: RecordedEvent[AircraftLanded], tail_number: str
) -> AircraftLegs:
    minutes = event.event.minutes
    if row is None:
        return AircraftLegs(tail_number, 1, minutes)
    return AircraftLegs(tail_number, row.legs_landed + 1, row.minutes_in_the_air + minutes)


AIRCRAFT_LEGS = View("aircraft", row=AircraftLegs, key="tail_number", apply=apply_aircraft)

VIEWS: tuple[View[Any, Any, Any], ...] = (
    DEPARTURES,
    CARRIER_PUNCTUALITY,
    AIRPORT_HOURS,
    AIRCRAFT_LEGS,
)
