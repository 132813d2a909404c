"""The record of flights: the rows of a CSV, checked one by one.

A line is a row, and a row is a flight or is reported with what is wrong in it. No runtime here, and no file
is held: memory keeps the keys of as many hours as the rows are out of order.
"""

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path

import msgspec

NEEDED = (
    "time_hour", "minute", "carrier", "flight", "tailnum", "origin", "dest",
    "dep_time", "dep_delay", "arr_delay", "air_time",
)  # fmt: skip
"""Columns without which a flight can't be told; any order, and others may stand between."""
NUMBERS = ("year", "month", "day", "hour", "distance")
TIMES = ("sched_dep_time", "arr_time", "sched_arr_time")
"""Columns that are not needed, and are checked where they are."""

UNKNOWN = ("NA", "")
HHMM = frozenset(
    text
    for hour in range(25)
    for minute in range(60 if hour < 24 else 1)
    for text in (f"{hour * 100 + minute}", f"{hour:02}{minute:02}")
)
EARLIEST_MINUTES = -24 * 60
LATEST_MINUTES = 366 * 24 * 60
LONGEST_MINUTES = 48 * 60
"""A delay outside these, or a longer time in the air, is taken for a mistake."""

LONG_AGO = -(1 << 62)


class FlightRecord(msgspec.Struct, frozen=True, gc=False):
    """A row of the CSV. Times are minutes since 1970 in UTC; delays and the time in the air are minutes."""

    line: int
    flight: str
    """`time_hour`, carrier and number, which are unique together."""
    carrier: str
    origin: str
    destination: str
    hour: str
    """`time_hour`, as it stands in the file."""
    scheduled: int
    tail_number: str | None
    departure_delay: int | None
    """None: it was cancelled."""
    arrival_delay: int | None
    air_time: int | None
    """None although it departed: it was diverted, or its record is incomplete."""


class MalformedRow(msgspec.Struct, frozen=True, gc=False):
    """A row that can't be replayed, and why."""

    line: int
    problem: str


class Survey(msgspec.Struct, frozen=True, gc=False):
    """What a first reading of the file found."""

    rows: int
    """All that are not blank, malformed ones too."""
    out_of_order_minutes: int
    """No row is scheduled earlier than one that stands above it by more than this."""


class UnreadableRecord(ValueError):
    """The file is no record of flights, or can't be read to its end."""


def survey(path: Path) -> Survey:
    """Read the file once, quickly. Raises UnreadableRecord."""
    count, latest, out_of_order = 0, LONG_AGO, 0
    with open_rows(path) as (header, rows):
        parser = RowParser(header)
        for _, row in rows:
            count += 1
            hour = parser.hour_of(row)
            if hour is not None:
                latest = max(latest, hour)
                out_of_order = max(out_of_order, latest - hour)
    # Within an hour, rows may stand in any order of their minutes.
    return Survey(count, out_of_order + 60)


def records(
    path: Path, surveyed: Survey, malformed: Callable[[MalformedRow], None]
) -> Iterator[FlightRecord]:
    """The flights, in the order of the file. A malformed row, or a second one of a flight, is reported instead.

    Raises UnreadableRecord.
    """
    # Two rows of one flight are of one hour, and an hour that can't come again is let go.
    seen: dict[str, dict[str, int]] = {}
    latest = LONG_AGO
    with open_rows(path) as (header, rows):
        parser = RowParser(header)
        for line, row in rows:
            record = parser.parse(line, row)
            if isinstance(record, MalformedRow):
                malformed(record)
                continue
            flights = seen.get(record.hour)
            if flights is None:
                latest = max(latest, record.scheduled)
                for hour in [*seen]:
                    if parser.hours[hour] < latest - 60 - surveyed.out_of_order_minutes:
                        del seen[hour]
                flights = seen[record.hour] = {}
            first = flights.setdefault(record.flight, line)
            if first == line:
                yield record
            else:
                malformed(
                    MalformedRow(line, f"flight {record.flight} stands in line {first} already")
                )


Rows = Iterator[tuple[int, Sequence[str]]]


@contextmanager
def open_rows(path: Path) -> Iterator[tuple[Sequence[str], Rows]]:
    """The header and the rows with their line numbers, from a plain file or a gzip; blank lines are none.

    Raises UnreadableRecord.
    """
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            binary = gzip.GzipFile(fileobj=file) if compressed else file
            # What is no UTF-8 becomes surrogates, and is found when its row is checked.
            lines = io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape")
            header = [name.strip() for name in _fields(lines.readline())]
            missing = [name for name in NEEDED if name not in header]
            if missing:
                raise UnreadableRecord(
                    f"{path} is no record of flights: its first line names no {', '.join(missing)}."
                )
            yield header, ((i, _fields(line)) for i, line in enumerate(lines, 2) if line.strip())
    except (OSError, EOFError, zlib.error) as error:
        why = getattr(error, "strerror", None) or error
        raise UnreadableRecord(f"{path} can't be read: {why}.") from error


def _fields(line: str) -> Sequence[str]:
    line = line.rstrip("\r\n")
    if '"' in line:
        # Line by line: a quote that nobody closed must not swallow the rows below it.
        try:
            return next(csv.reader([line]), ())
        except csv.Error:  # a field of more than 128 KiB
            return (line,)
    return line.split(",")


class RowParser:
    """Checks rows under one header, whatever the order of its columns."""

    def __init__(self, header: Sequence[str]) -> None:
        self.hours: dict[str, int] = {}
        """Minutes since 1970 of each `time_hour` met so far."""
        self._header = header
        self._width = len(header)
        self._needed = itemgetter(*map(header.index, NEEDED))
        self._time_hour = header.index("time_hour")
        self._numbers = [header.index(name) for name in NUMBERS if name in header]
        self._times = [header.index(name) for name in TIMES if name in header]

    def hour_of(self, row: Sequence[str]) -> int | None:
        """The row's hour, in minutes since 1970; None where it has none that can be read."""
        try:
            return self._hour(row[self._time_hour])
        except (IndexError, ValueError):
            return None

    def parse(self, line: int, row: Sequence[str]) -> FlightRecord | MalformedRow:
        """The flight that the row records, or what is wrong with it."""
        try:
            return self._parse(line, row)
        except ValueError as error:
            return MalformedRow(line, str(error))

    def _parse(self, line: int, row: Sequence[str]) -> FlightRecord:
        if len(row) != self._width:
            raise ValueError(f"it has {len(row)} field(s), and the first line names {self._width}")
        (
            hour,
            minute,
            carrier,
            number,
            tail,
            origin,
            destination,
            departed,
            departure_delay,
            arrival_delay,
            air,
        ) = self._needed(row)
        for index in self._numbers:
            if not row[index].isdecimal():
                self._unknown(index, row[index])
        for index in self._times:
            if row[index] not in HHMM:
                self._unknown(index, row[index], "a time of day as HHMM")
        flight = f"{hour}-{carrier}-{number}"
        if not (number.isdecimal() and carrier and origin and destination) or "NA" in (
            carrier,
            origin,
            destination,
        ):
            raise ValueError(
                f"carrier {carrier!r}, flight {number!r}, origin {origin!r}, dest {destination!r}: "
                "each must be known, and flight a whole number"
            )
        if not (flight.isprintable() and f"{origin}{destination}{tail}".isprintable()):
            raise ValueError(
                f"flight {flight!r} from {origin!r} to {destination!r} is no plain UTF-8 text"
            )
        scheduled = self._hour(hour) + _whole("minute", minute, 0, 59)
        times = _times(departed, departure_delay, arrival_delay, air)
        tail_number = None if tail in UNKNOWN else tail
        return FlightRecord(
            line, flight, carrier, origin, destination, hour, scheduled, tail_number, *times
        )

    def _hour(self, text: str) -> int:
        hour = self.hours.get(text)
        if hour is None:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                raise ValueError(
                    f"time_hour is {text!r}: it must be a UTC time like 2013-01-01T10:00:00Z"
                ) from None
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            hour = self.hours[text] = int(moment.timestamp()) // 60
        return hour

    def _unknown(self, index: int, text: str, what: str = "a whole number") -> None:
        if text not in UNKNOWN:
            raise ValueError(f"{self._header[index]} is {text!r}: it must be {what}, or NA")


def _times(
    departed: str, departure_delay: str, arrival_delay: str, air: str
) -> tuple[int | None, int | None, int | None]:
    """Departure delay, arrival delay, time in the air: as many of them as the flight came to."""
    if departed in UNKNOWN:
        return None, None, None
    if departed not in HHMM:
        raise ValueError(f"dep_time is {departed!r}: it must be a time of day as HHMM, or NA")
    delay = _whole("dep_delay", departure_delay, EARLIEST_MINUTES, LATEST_MINUTES)
    if air in UNKNOWN:
        return delay, None, None
    return (
        delay,
        _whole("arr_delay", arrival_delay, 2 * EARLIEST_MINUTES, LATEST_MINUTES),
        _whole("air_time", air, 0, LONGEST_MINUTES),
    )


def _whole(name: str, text: str, least: int, most: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = most + 1
    if not least <= value <= most:
        raise ValueError(f"{name} is {text!r}: it must be a whole number from {least} to {most}")
    return value
