"""What a flight and an aircraft know: their commands, their events, and what may follow what.

An event repeats what the views look for: a view sees one event, not the stream before it. All are structs
without the garbage collector's overhead (gc=False): they hold texts and numbers only, and there are many.
"""

from collections.abc import Sequence
from typing import Literal, assert_never

import msgspec

from aftertide import CommandRejected, Decider

# --- a flight -------------------------------------------------------------------------------------------


class Schedule(msgspec.Struct, frozen=True, gc=False):
    carrier: str
    origin: str
    destination: str
    hour: str
    scheduled: str


class Depart(msgspec.Struct, frozen=True, gc=False):
    delay_minutes: int


class Land(msgspec.Struct, frozen=True, gc=False):
    delay_minutes: int


class Cancel(msgspec.Struct, frozen=True, gc=False):
    pass


class Divert(msgspec.Struct, frozen=True, gc=False):
    pass


class FlightScheduled(msgspec.Struct, frozen=True, gc=False):
    carrier: str
    origin: str
    destination: str
    hour: str
    scheduled: str


class FlightDeparted(msgspec.Struct, frozen=True, gc=False):
    carrier: str
    delay_minutes: int


class FlightLanded(msgspec.Struct, frozen=True, gc=False):
    carrier: str
    delay_minutes: int


class FlightCancelled(msgspec.Struct, frozen=True, gc=False):
    carrier: str
    origin: str
    hour: str


class FlightDiverted(msgspec.Struct, frozen=True, gc=False):
    carrier: str


Status = Literal["scheduled", "departed", "landed", "cancelled", "diverted"]


class Flight(msgspec.Struct, frozen=True, gc=False):
    status: Status | None = None
    carrier: str = ""
    origin: str = ""
    hour: str = ""


FlightCommand = Schedule | Depart | Land | Cancel | Divert
FlightEvent = FlightScheduled | FlightDeparted | FlightLanded | FlightCancelled | FlightDiverted


def decide_flight(command: FlightCommand, flight: Flight) -> Sequence[FlightEvent]:
    match command:
        case Schedule(carrier, origin, destination, hour, scheduled):
            _must_be(flight, None, "be scheduled")
            return (FlightScheduled(carrier, origin, destination, hour, scheduled),)
        case Depart(delay):
            _must_be(flight, "scheduled", "depart")
            return (FlightDeparted(flight.carrier, delay),)
        case Land(delay):
            _must_be(flight, "departed", "land")
            return (FlightLanded(flight.carrier, delay),)
        case Cancel():
            _must_be(flight, "scheduled", "be cancelled")
            return (FlightCancelled(flight.carrier, flight.origin, flight.hour),)
        case Divert():
            _must_be(flight, "departed", "be diverted")
            return (FlightDiverted(flight.carrier),)


def _must_be(flight: Flight, status: Status | None, to: str) -> None:
    if flight.status != status:
        raise CommandRejected(
            f"it can't {to}: it is {flight.status or 'not scheduled'}, not {status or 'unknown yet'}"
        )


def evolve_flight(flight: Flight, event: FlightEvent) -> Flight:
    match event:
        case FlightScheduled(carrier, origin, _, hour):
            return Flight("scheduled", carrier, origin, hour)
        case FlightDeparted():
            return Flight("departed", flight.carrier, flight.origin, flight.hour)
        case FlightLanded():
            return Flight("landed", flight.carrier, flight.origin, flight.hour)
        case FlightCancelled():
            return Flight("cancelled", flight.carrier, flight.origin, flight.hour)
        case FlightDiverted():
            return Flight("diverted", flight.carrier, flight.origin, flight.hour)
        case _:
            assert_never(event)


FLIGHT = Decider("flight", Flight(), decide_flight, evolve_flight)

# --- an aircraft ----------------------------------------------------------------------------------------


class TakeOff(msgspec.Struct, frozen=True, gc=False):
    flight: str


class EndLeg(msgspec.Struct, frozen=True, gc=False):
    """The leg is over: landed after `minutes` in the air, or diverted, and then nobody knows after how many."""

    flight: str
    minutes: int | None


class AircraftTookOff(msgspec.Struct, frozen=True, gc=False):
    flight: str


class AircraftLanded(msgspec.Struct, frozen=True, gc=False):
    flight: str
    minutes: int


class AircraftDiverted(msgspec.Struct, frozen=True, gc=False):
    flight: str


class Aircraft(msgspec.Struct, frozen=True, gc=False):
    in_the_air_as: str | None = None


AircraftEvent = AircraftTookOff | AircraftLanded | AircraftDiverted


def decide_aircraft(command: TakeOff | EndLeg, aircraft: Aircraft) -> Sequence[AircraftEvent]:
    match command:
        case TakeOff(flight):
            if aircraft.in_the_air_as is not None:
                raise CommandRejected(
                    f"it can't take off as {flight}: it is in the air as {aircraft.in_the_air_as}"
                )
            return (AircraftTookOff(flight),)
        # A leg that was flown was flown, also where its take-off was refused: the record has its landing.
        case EndLeg(flight, int(minutes)):
            return (AircraftLanded(flight, minutes),)
        case EndLeg(flight):
            return (AircraftDiverted(flight),)


def evolve_aircraft(aircraft: Aircraft, event: AircraftEvent) -> Aircraft:
    match event:
        case AircraftTookOff(flight):
            return Aircraft(flight)
        case AircraftLanded(flight) | AircraftDiverted(flight):
            return Aircraft() if aircraft.in_the_air_as == flight else aircraft
        case _:
            assert_never(event)


AIRCRAFT = Decider("aircraft", Aircraft(), decide_aircraft, evolve_aircraft)
