"""The plain loop over the file that the views of `flights` are held against.

It shares no line with the replay: no commands, no events, no order of time, no parser of ours. Only the rules
that the data's own description gives: no dep_time is cancelled, dep_time without air_time is diverted.
"""

import csv
import gzip
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

K = TypeVar("K")

Row = dict[str, object]


class Tally:
    """What the four views must hold, by key. `departures` is one pass over the file, and fills the rest."""

    def __init__(self, path: Path, reported_lines: Collection[int] = ()) -> None:
        """Lines that were reported as malformed are passed over."""
        self._path = path
        self._reported = reported_lines
        self.rows = 0
        self.carriers: dict[str, Row] = {}
        self.airport_hours: dict[tuple[str, str], Row] = {}
        self.aircraft: dict[str, Row] = {}

    def departures(self) -> Iterator[Row]:
        """The expected row of each flight, in the order of the file."""
        delays: dict[str, tuple[list[int], list[int]]] = {}
        for row in self._read():
            self.rows += 1
            departed, landed = row["dep_time"] not in ("NA", ""), row["air_time"] not in ("NA", "")
            status = "landed" if departed and landed else "diverted" if departed else "cancelled"
            scheduled = datetime.fromisoformat(row["time_hour"]) + timedelta(
                minutes=int(row["minute"])
            )
            expected: Row = {
                "flight": f"{row['time_hour']}-{row['carrier']}-{row['flight']}",
                "carrier": row["carrier"],
                "origin": row["origin"],
                "destination": row["dest"],
                "scheduled": scheduled.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "status": status,
                "departure_delay": int(row["dep_delay"]) if departed else None,
                "arrival_delay": int(row["arr_delay"]) if status == "landed" else None,
            }
            departures, arrivals = delays.setdefault(row["carrier"], ([], []))
            if departed:
                departures.append(int(row["dep_delay"]))
            if status == "landed":
                arrivals.append(int(row["arr_delay"]))
            self._count(row, status)
            yield expected
        for carrier, (departures, arrivals) in delays.items():
            counts = self.carriers[carrier]
            counts["departed"] = len(departures)
            counts["departure_delay_minutes"] = sum(departures)
            counts["arrival_delay_minutes"] = sum(arrivals)
            counts["mean_departure_delay"] = (
                sum(departures) / len(departures) if departures else None
            )
            counts["mean_arrival_delay"] = sum(arrivals) / len(arrivals) if arrivals else None

    def _read(self) -> Iterator[dict[str, str]]:
        with self._path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
        opener = gzip.open if compressed else open
        with opener(self._path, "rt", encoding="utf-8-sig", errors="surrogateescape") as lines:
            header = next(csv.reader([next(lines)]))
            for number, line in enumerate(lines, 2):
                if line.strip() and number not in self._reported:
                    yield dict(zip(header, next(csv.reader([line])), strict=True))

    def _count(self, row: dict[str, str], status: str) -> None:
        carrier = self.carriers.setdefault(
            row["carrier"],
            {"carrier": row["carrier"], "scheduled": 0, "landed": 0, "cancelled": 0, "diverted": 0},
        )
        _add(carrier, "scheduled")
        _add(carrier, status)
        hour = self.airport_hours.setdefault(
            (row["origin"], row["time_hour"]),
            {
                "origin": row["origin"],
                "hour": row["time_hour"],
                "scheduled_departures": 0,
                "cancellations": 0,
            },
        )
        _add(hour, "scheduled_departures")
        _add(hour, "cancellations", status == "cancelled")
        if status == "landed" and row["tailnum"] not in ("NA", ""):
            aircraft = self.aircraft.setdefault(
                row["tailnum"],
                {"tail_number": row["tailnum"], "legs_landed": 0, "minutes_in_the_air": 0},
            )
            _add(aircraft, "legs_landed")
            _add(aircraft, "minutes_in_the_air", int(row["air_time"]))


def _add(row: Row, name: str, number: int = 1) -> None:
    row[name] = row[name] + number  # type: ignore[operator]


def differing(expected: Mapping[K, Row], found: Mapping[K, Row]) -> list[K]:
    """The keys at which the two are not the same, to the digit."""
    return [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
