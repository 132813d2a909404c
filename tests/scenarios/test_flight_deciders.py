"""What may follow what in a flight, and the one rule of an aircraft."""

import pytest

from aftertide import CommandRejected
from aftertide.scenarios.flight_deciders import (
    AIRCRAFT,
    FLIGHT,
    Aircraft,
    AircraftDiverted,
    AircraftLanded,
    AircraftTookOff,
    Cancel,
    Depart,
    Divert,
    EndLeg,
    Flight,
    FlightCancelled,
    FlightDeparted,
    FlightDiverted,
    FlightEvent,
    FlightLanded,
    FlightScheduled,
    Land,
    Schedule,
    TakeOff,
)

SCHEDULED = FlightScheduled("UA", "EWR", "IAH", "h", "10:15")
DEPARTED = FlightDeparted("UA", 2)
PAST: dict[str, list[FlightEvent]] = {
    "unknown": [],
    "scheduled": [SCHEDULED],
    "departed": [SCHEDULED, DEPARTED],
    "landed": [SCHEDULED, DEPARTED, FlightLanded("UA", 11)],
    "diverted": [SCHEDULED, DEPARTED, FlightDiverted("UA")],
    "cancelled": [SCHEDULED, FlightCancelled("UA", "EWR", "h")],
}
FOLLOWS: dict[str, set[type]] = {
    "unknown": {Schedule},
    "scheduled": {Depart, Cancel},
    "departed": {Land, Divert},
    "landed": set(),
    "diverted": set(),
    "cancelled": set(),
}
COMMANDS = (Schedule("UA", "EWR", "IAH", "h", "10:15"), Depart(2), Land(11), Cancel(), Divert())


@pytest.mark.parametrize("status", PAST)
def test_a_flight_takes_what_may_follow_and_rejects_the_rest(status: str) -> None:
    flight = FLIGHT.state(PAST[status])
    for command in COMMANDS:
        if type(command) in FOLLOWS[status]:
            assert len(FLIGHT.decide(command, flight)) == 1
        else:
            with pytest.raises(CommandRejected, match="it can't"):
                FLIGHT.decide(command, flight)


@pytest.mark.parametrize("status", [status for status in PAST if status != "unknown"])
def test_a_flight_is_what_last_happened_to_it(status: str) -> None:
    assert FLIGHT.state(PAST[status]) == Flight(status, "UA", "EWR", "h")  # type: ignore[arg-type]


def test_events_say_what_the_views_look_for() -> None:
    flight = FLIGHT.state(PAST["scheduled"])
    assert FLIGHT.decide(Cancel(), flight) == (FlightCancelled("UA", "EWR", "h"),)
    assert FLIGHT.decide(Depart(-3), flight) == (FlightDeparted("UA", -3),)


def test_an_aircraft_in_the_air_does_not_take_off() -> None:
    in_the_air = AIRCRAFT.state([AircraftTookOff("one")])
    with pytest.raises(CommandRejected, match="can't take off as two: it is in the air as one"):
        AIRCRAFT.decide(TakeOff("two"), in_the_air)


@pytest.mark.parametrize("ended", [AircraftLanded("one", 90), AircraftDiverted("one")])
def test_an_aircraft_that_came_down_takes_off_again(
    ended: AircraftLanded | AircraftDiverted,
) -> None:
    on_the_ground = AIRCRAFT.state([AircraftTookOff("one"), ended])
    assert on_the_ground == Aircraft()
    assert AIRCRAFT.decide(TakeOff("two"), on_the_ground) == (AircraftTookOff("two"),)


def test_a_leg_whose_take_off_was_refused_is_flown_and_does_not_end_another() -> None:
    in_the_air = AIRCRAFT.state([AircraftTookOff("one")])
    assert AIRCRAFT.decide(EndLeg("two", 80), in_the_air) == (AircraftLanded("two", 80),)
    assert AIRCRAFT.evolve(in_the_air, AircraftLanded("two", 80)) == in_the_air


def test_a_leg_of_unknown_length_was_diverted_and_one_of_no_minutes_landed() -> None:
    assert AIRCRAFT.decide(EndLeg("one", None), Aircraft("one")) == (AircraftDiverted("one"),)
    assert AIRCRAFT.decide(EndLeg("one", 0), Aircraft("one")) == (AircraftLanded("one", 0),)
