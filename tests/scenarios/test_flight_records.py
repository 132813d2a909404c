"""Rows of a record of flights: taken as they stand, or reported with their line and what is wrong."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertide.scenarios.flight_records import (
    FlightRecord,
    MalformedRow,
    UnreadableRecord,
    records,
    survey,
)
from tests.scenarios.flight_rows import CANCELLED, DIVERTED, FIELDS, HEADER, row

CsvFile = Callable[..., Path]


def read(path: Path) -> tuple[list[FlightRecord], list[MalformedRow]]:
    malformed: list[MalformedRow] = []
    return list(records(path, survey(path), malformed.append)), malformed


def test_a_row_is_a_flight_with_its_times_in_utc_minutes(csv_file: CsvFile) -> None:
    (flight,), malformed = read(csv_file(row()))
    assert malformed == []
    assert flight == FlightRecord(
        line=2,
        flight="2013-01-01T10:00:00Z-UA-1545",
        carrier="UA",
        origin="EWR",
        destination="IAH",
        hour="2013-01-01T10:00:00Z",
        scheduled=1357034400 // 60 + 15,
        tail_number="N14228",
        departure_delay=2,
        arrival_delay=11,
        air_time=227,
    )


def test_what_is_not_known_tells_cancelled_from_diverted(csv_file: CsvFile) -> None:
    (cancelled, diverted, nameless), _ = read(
        csv_file(
            row(flight="1", **CANCELLED), row(flight="2", **DIVERTED), row(flight="3", tailnum="NA")
        )
    )
    assert (cancelled.departure_delay, cancelled.air_time) == (None, None)
    assert (diverted.departure_delay, diverted.air_time) == (2, None)
    assert nameless.tail_number is None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("garbage", "has 1 field(s), and the first line names 19"),
        (row() + ",more", "has 20 field(s)"),
        (row(time_hour="yesterday"), "time_hour is 'yesterday'"),
        (row(minute="60"), "minute is '60': it must be a whole number from 0 to 59"),
        (row(minute="NA"), "minute is 'NA'"),
        (row(dep_time="2575"), "dep_time is '2575'"),
        (row(dep_time="517.0"), "dep_time is '517.0'"),
        (row(dep_delay="NA"), "dep_delay is 'NA'"),
        (row(dep_delay="soon"), "dep_delay is 'soon'"),
        (row(dep_delay="-1441"), "dep_delay is '-1441': it must be a whole number from -1440"),
        (row(dep_delay="9" * 30), "dep_delay is '999"),
        (row(arr_delay="NA"), "arr_delay is 'NA'"),
        (row(air_time="-1"), "air_time is '-1'"),
        (row(carrier=""), "carrier ''"),
        (row(carrier="NA"), "carrier 'NA'"),
        (row(flight="U2"), "flight a whole number"),
        (row(origin=""), "origin ''"),
        (row(dest="NA"), "dest 'NA'"),
        (row(month="January"), "month is 'January': it must be a whole number, or NA"),
        (row(distance="far"), "distance is 'far'"),
        (row(sched_dep_time="5 o'clock"), 'sched_dep_time is "5 o\'clock"'),
        (row(arr_time="1260"), "arr_time is '1260': it must be a time of day as HHMM, or NA"),
        (row(carrier="U\0"), "is no plain UTF-8 text"),
        (row(tailnum="N\x07"), "is no plain UTF-8 text"),
        ('"' + row(), "field(s)"),
        ('"' + "x" * 200_000, "has 1 field(s)"),
    ],
)
def test_a_malformed_row_is_reported_with_its_line_and_the_rest_goes_on(
    csv_file: CsvFile, line: str, problem: str
) -> None:
    flights, malformed = read(csv_file(row(flight="1"), line, row(flight="2")))
    assert [flight.line for flight in flights] == [2, 4]
    assert [each.line for each in malformed] == [3]
    assert problem in malformed[0].problem


def test_bytes_that_are_no_text_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "flights.csv"
    lines = [HEADER, row(flight="1"), row(carrier="@@"), row(flight="2")]
    path.write_bytes("\n".join(lines).encode().replace(b"@@", b"\xff\xfe"))
    flights, malformed = read(path)
    assert ([flight.line for flight in flights], [each.line for each in malformed]) == ([2, 4], [3])


def test_a_second_row_of_a_flight_is_reported_with_the_line_of_the_first(csv_file: CsvFile) -> None:
    flights, malformed = read(csv_file(row(), row(flight="2"), row(dep_delay="5")))
    assert [flight.line for flight in flights] == [2, 3]
    assert malformed == [
        MalformedRow(4, "flight 2013-01-01T10:00:00Z-UA-1545 stands in line 2 already")
    ]


def test_a_second_row_is_found_however_far_apart_the_two_stand(csv_file: CsvFile) -> None:
    later = [row(time_hour=f"2013-{month:02}-01T10:00:00Z") for month in range(2, 13)]
    flights, malformed = read(csv_file(row(), *later, row()))
    assert len(flights) == 12
    assert [each.line for each in malformed] == [14]


def test_columns_may_stand_in_any_order_among_others(csv_file: CsvFile) -> None:
    names = [*reversed(FIELDS), "remark"]
    line = ",".join([*reversed(FIELDS.values()), "none"])
    (flight,), malformed = read(csv_file(line, header=",".join(names)))
    assert (flight.carrier, flight.air_time, malformed) == ("UA", 227, [])


def test_quoted_fields_and_blank_lines_and_windows_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "flights.csv"
    quoted = ",".join(f'"{value}"' for value in FIELDS.values())
    path.write_bytes(f"\ufeff{HEADER}\r\n{quoted}\r\n\r\n{row(flight='2')}\r\n".encode())
    flights, malformed = read(path)
    assert [(flight.line, flight.carrier) for flight in flights] == [(2, "UA"), (4, "UA")]
    assert malformed == []
    assert survey(path).rows == 2


def test_a_compressed_file_is_known_by_its_content(csv_file: CsvFile) -> None:
    path = csv_file(row(), name="flights.dat")
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert len(read(path)[0]) == 1


def test_a_file_that_is_no_record_of_flights_is_refused_with_the_reason(
    csv_file: CsvFile, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.csv"
    empty.touch()
    half = tmp_path / "half.csv.gz"
    half.write_bytes(gzip.compress("\n".join([HEADER, *[row()] * 5_000]).encode())[:-400])
    for path, reason in (
        (tmp_path / "nowhere.csv", "No such file"),
        (tmp_path, "Is a directory"),
        (empty, "its first line names no time_hour, minute, carrier"),
        (csv_file("1,2", header="a,time_hour"), "names no minute, carrier, flight"),
        (half, "can't be read: Compressed file ended"),
    ):
        with pytest.raises(UnreadableRecord, match=reason):
            survey(path)


def test_a_survey_counts_all_rows_and_how_far_they_are_out_of_order(csv_file: CsvFile) -> None:
    path = csv_file(
        row(time_hour="2013-01-01T12:00:00Z"),
        row(time_hour="2013-01-01T15:00:00Z"),
        "garbage",
        row(time_hour="2013-01-01T13:00:00Z"),
    )
    surveyed = survey(path)
    assert surveyed.rows == 4
    assert surveyed.out_of_order_minutes == 2 * 60 + 60


@given(st.lists(st.text(st.characters(exclude_characters="\n\r")), min_size=1, max_size=20))
def test_no_text_in_a_field_breaks_the_reading(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.mktemp("any") / "flights.csv"
    fields = list(FIELDS)
    lines = [row(**{fields[i % len(fields)]: text}) for i, text in enumerate(texts)]
    # A lone surrogate makes bytes that are no UTF-8: a file may hold those, too.
    text = "\n".join([HEADER, *lines, row(flight="9")])
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    surveyed = survey(path)
    malformed: list[MalformedRow] = []
    flights = list(records(path, surveyed, malformed.append))
    assert len(flights) + len(malformed) == surveyed.rows
    assert flights
