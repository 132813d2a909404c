"""Steps come in the order of real time, out of files in any order, and a flight's own in theirs."""

from collections.abc import Iterator
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aftertide.scenarios.flight_order import ON_THE_BOARD_MINUTES, Step, StepKind, steps
from aftertide.scenarios.flight_records import FlightRecord


def record(
    line: int,
    scheduled: int,
    departure_delay: int | None = 0,
    air_time: int | None = 100,
) -> FlightRecord:
    if departure_delay is None:
        air_time = None
    arrival_delay = None if air_time is None else 0
    return FlightRecord(
        line,
        f"f{line}",
        "UA",
        "EWR",
        "IAH",
        "h",
        scheduled,
        "N1",
        departure_delay,
        arrival_delay,
        air_time,
    )


def told(ordered: list[Step]) -> list[tuple[int, str, int]]:
    return [(step.minute, step.kind.name, step.line) for step in ordered]


def test_a_flight_is_announced_a_day_ahead_then_departs_and_lands() -> None:
    day = ON_THE_BOARD_MINUTES
    ordered = list(steps([record(2, 10_000, departure_delay=-7, air_time=90)], 0))
    assert told(ordered) == [
        (10_000 - day, "SCHEDULE", 2),
        (9_993, "DEPART", 2),
        (10_083, "LAND", 2),
    ]


def test_a_cancelled_flight_is_so_when_it_should_have_departed() -> None:
    ordered = list(steps([record(2, 10_000, departure_delay=None)], 0))
    assert told(ordered)[1:] == [(10_000, "CANCEL", 2)]


def test_a_diverted_flight_is_so_in_the_minute_of_its_departure() -> None:
    ordered = list(steps([record(2, 10_000, departure_delay=5, air_time=None)], 0))
    assert told(ordered)[1:] == [(10_005, "DEPART", 2), (10_005, "DIVERT", 2)]


def test_who_lands_in_a_minute_does_so_before_who_departs_in_it() -> None:
    ordered = steps([record(2, 10_100), record(3, 10_000, air_time=100)], 100)
    at_once = [step for step in ordered if step.minute == 10_100]
    assert told(at_once) == [(10_100, "LAND", 3), (10_100, "DEPART", 2)]


def test_a_flight_of_no_minutes_departs_before_it_lands() -> None:
    ordered = list(steps([record(2, 10_000, air_time=0)], 0))
    assert [step.kind for step in ordered] == [StepKind.SCHEDULE, StepKind.DEPART, StepKind.LAND]


flights = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.none() | st.integers(-ON_THE_BOARD_MINUTES, 3_000),
        st.none() | st.integers(0, 900),
    ),
    max_size=60,
)


@given(flights)
def test_the_order_is_exact_whatever_the_order_of_the_file(
    file: list[tuple[int, int | None, int | None]],
) -> None:
    records = [record(line, *fields) for line, fields in enumerate(file, 2)]
    latest, out_of_order = 0, 0
    for each in records:
        latest = max(latest, each.scheduled)
        out_of_order = max(out_of_order, latest - each.scheduled)
    ordered = list(steps(records, out_of_order))
    assert all(before.minute <= after.minute for before, after in pairwise(ordered))
    for each in records:
        own = [step.kind for step in ordered if step.line == each.line]
        if each.departure_delay is None:
            assert own == [StepKind.SCHEDULE, StepKind.CANCEL]
        else:
            last = StepKind.DIVERT if each.air_time is None else StepKind.LAND
            assert own == [StepKind.SCHEDULE, StepKind.DEPART, last]


def test_a_file_in_order_is_never_read_further_ahead_than_a_day() -> None:
    taken = 0

    def lines() -> Iterator[FlightRecord]:
        nonlocal taken
        for line in range(2, 5_000):
            taken += 1
            yield record(line, line * 10)

    most_ahead = 0
    done = 0
    for step in steps(lines(), 60):
        done += step.kind in (StepKind.LAND, StepKind.CANCEL, StepKind.DIVERT)
        most_ahead = max(most_ahead, taken - done)
    assert done == 4_998
    assert (
        most_ahead < 300
    )  # a day of one flight each ten minutes is 144, announced a day ahead: twice
