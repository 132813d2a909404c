"""The views of the record of flights, as folds of events."""

from aftertide import Position, RecordedEvent, Version
from aftertide.scenarios.flight_deciders import (
    AircraftDiverted,
    AircraftEvent,
    AircraftLanded,
    AircraftTookOff,
    FlightCancelled,
    FlightDeparted,
    FlightDiverted,
    FlightEvent,
    FlightLanded,
    FlightScheduled,
)
from aftertide.scenarios.flight_views import (
    AIRCRAFT_LEGS,
    AIRPORT_HOURS,
    CARRIER_PUNCTUALITY,
    DEPARTURES,
    AircraftLegs,
    AirportHour,
    Departure,
    Punctuality,
)


def log(
    *events: tuple[str, FlightEvent | AircraftEvent],
) -> list[RecordedEvent[FlightEvent | AircraftEvent]]:
    return [
        RecordedEvent(Position(i), "flight", id, Version(1), event, 0.0, "c")
        for i, (id, event) in enumerate(events, 1)
    ]


SCHEDULED = FlightScheduled("UA", "EWR", "IAH", "h", "10:15")
LOG = log(
    ("a", SCHEDULED),
    ("b", SCHEDULED),
    ("c", SCHEDULED),
    ("d", SCHEDULED),
    ("a", FlightDeparted("UA", 2)),
    ("a", FlightLanded("UA", 11)),
    ("b", FlightCancelled("UA", "EWR", "h")),
    ("c", FlightDeparted("UA", 3)),
    ("c", FlightDiverted("UA")),
)


def test_departures_say_how_each_flight_stands() -> None:
    rows = DEPARTURES.fold(LOG)
    ordinary = ("UA", "EWR", "IAH", "10:15")
    assert rows == {
        "a": Departure("a", *ordinary, "landed", 2, 11),
        "b": Departure("b", *ordinary, "cancelled"),
        "c": Departure("c", *ordinary, "diverted", 3),
        "d": Departure("d", *ordinary, "scheduled"),
    }


def test_punctuality_counts_and_takes_exact_means() -> None:
    assert CARRIER_PUNCTUALITY.fold(LOG) == {
        "UA": Punctuality("UA", 4, 2, 1, 1, 1, 2.5, 11.0, 5, 11)
    }


def test_a_mean_of_nothing_is_unknown() -> None:
    (row,) = CARRIER_PUNCTUALITY.fold(LOG[:1]).values()
    assert (row.mean_departure_delay, row.mean_arrival_delay) == (None, None)


def test_airport_hours_have_a_row_for_each_airport_and_hour() -> None:
    other = FlightScheduled("UA", "JFK", "IAH", "h", "10:15")
    assert AIRPORT_HOURS.fold([*LOG, *log(("e", other))]) == {
        ("EWR", "h"): AirportHour("EWR", "h", 4, 1),
        ("JFK", "h"): AirportHour("JFK", "h", 1, 0),
    }


def test_aircraft_count_the_legs_that_landed() -> None:
    events = log(
        ("N1", AircraftTookOff("a")),
        ("N1", AircraftLanded("a", 90)),
        ("N1", AircraftLanded("b", 60)),
        ("N2", AircraftDiverted("c")),
    )
    assert AIRCRAFT_LEGS.fold(events) == {"N1": AircraftLegs("N1", 2, 150)}
