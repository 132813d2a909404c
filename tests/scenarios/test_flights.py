"""The replay of the record of flights, against a loop that knows nothing of it."""

import csv
import gzip
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aftertide.scenarios import Settings, WrongUsage
from aftertide.scenarios.flight_tally import Row, Tally
from aftertide.scenarios.flights import JANUARY
from tests.scenarios.conftest import Play
from tests.scenarios.flight_rows import CANCELLED, DIVERTED, row


async def replayed(
    played: Play, path: Path | None, tmp_path: Path
) -> tuple[dict[str, object], str]:
    """The JSON report and the text of a replay of this file."""
    report = tmp_path / "report.json"
    options = {} if path is None else {"csv": str(path)}
    _, told = await played("flights", Settings(json=report, options=options))
    loaded: dict[str, object] = json.loads(report.read_bytes())
    return loaded, told


SMALL = (
    row(flight="1", tailnum="N1", minute="0", dep_delay="0", air_time="100"),
    # N1 again, while it is in the air: by the record an aircraft in two places.
    row(flight="2", tailnum="N1", minute="30", dep_delay="0", air_time="60", arr_delay="-5"),
    "garbage",
    row(flight="3", minute="5", **CANCELLED),
    row(flight="4", tailnum="NA", carrier="DL", origin="JFK", dep_delay="-8"),
    row(flight="5", tailnum="N2", **DIVERTED),
    # N2 has come down somewhere, nobody knows when: it may fly.
    row(flight="6", tailnum="N2", minute="16", dep_delay="0", time_hour="2013-01-01T12:00:00Z"),
    row(flight="7", dep_delay="soon"),
    row(flight="1", tailnum="N3"),
    # N1 a day later, earlier in the file than a row of the day before: rows are in no order of time.
    row(flight="8", tailnum="N1", time_hour="2013-01-02T10:00:00Z"),
    row(flight="9", tailnum="N1", time_hour="2013-01-01T19:00:00Z"),
)


async def test_each_row_ends_in_one_status_or_is_reported(
    played: Play, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    report, told = await replayed(played, csv_file(*SMALL), tmp_path)
    assert report["held"] is True
    assert report["rows"] == 11
    assert report["statuses"] == {"landed": 6, "cancelled": 1, "diverted": 1}
    assert report["malformed"] == 3
    malformed = report["malformed_rows"]
    assert isinstance(malformed, list)
    assert [each["line"] for each in malformed] == [4, 9, 10]
    assert "line 4: it has 1 field(s)" in told
    assert "line 10: flight 2013-01-01T10:00:00Z-UA-1 stands in line 2 already" in told


async def test_a_take_off_in_the_air_is_rejected_counted_and_told_and_its_flight_stands(
    played: Play, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    report, told = await replayed(played, csv_file(*SMALL), tmp_path)
    assert report["rejected"] == 1
    assert report["rejections"] == [
        {
            "line": 3,
            "aggregate": "aircraft N1",
            "command": "TakeOff",
            "reason": "it can't take off as 2013-01-01T10:00:00Z-UA-2: "
            "it is in the air as 2013-01-01T10:00:00Z-UA-1",
        }
    ]
    assert "line 3: aircraft N1: it can't take off" in told
    assert report["events"] == int(str(report["commands"])) - 1
    views = report["views"]
    assert isinstance(views, dict)
    landed = {each["flight"]: each["status"] for each in views["departures"]}
    assert landed["2013-01-01T10:00:00Z-UA-2"] == "landed"


async def test_the_views_are_what_was_recorded(
    played: Play, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    report, _ = await replayed(played, csv_file(*SMALL), tmp_path)
    views = report["views"]
    assert isinstance(views, dict)
    assert views["aircraft"] == [
        {"tail_number": "N1", "legs_landed": 4, "minutes_in_the_air": 100 + 60 + 227 + 227},
        {"tail_number": "N2", "legs_landed": 1, "minutes_in_the_air": 227},
    ]
    assert views["airport_hours"] == [
        {
            "origin": "EWR",
            "hour": "2013-01-01T10:00:00Z",
            "scheduled_departures": 4,
            "cancellations": 1,
        },
        {
            "origin": "EWR",
            "hour": "2013-01-01T12:00:00Z",
            "scheduled_departures": 1,
            "cancellations": 0,
        },
        {
            "origin": "EWR",
            "hour": "2013-01-01T19:00:00Z",
            "scheduled_departures": 1,
            "cancellations": 0,
        },
        {
            "origin": "EWR",
            "hour": "2013-01-02T10:00:00Z",
            "scheduled_departures": 1,
            "cancellations": 0,
        },
        {
            "origin": "JFK",
            "hour": "2013-01-01T10:00:00Z",
            "scheduled_departures": 1,
            "cancellations": 0,
        },
    ]
    delta, united = views["carrier_punctuality"]
    assert delta["mean_departure_delay"] == -8.0
    assert (united["scheduled"], united["departed"], united["landed"]) == (7, 6, 5)
    assert (united["cancelled"], united["diverted"]) == (1, 1)
    assert united["mean_departure_delay"] == (0 + 0 + 2 + 0 + 2 + 2) / 6
    assert united["mean_arrival_delay"] == (11 - 5 + 11 + 11 + 11) / 5


async def test_a_compressed_file_says_the_same(
    played: Play, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    plain = csv_file(*SMALL)
    compressed = tmp_path / "flights.csv.gz"
    compressed.write_bytes(gzip.compress(plain.read_bytes()))
    one, _ = await replayed(played, plain, tmp_path)
    other, _ = await replayed(played, compressed, tmp_path)
    assert one["views"] == other["views"]


async def test_a_file_without_rows_is_replayed_too(
    played: Play, csv_file: Callable[..., Path], tmp_path: Path
) -> None:
    report, _ = await replayed(played, csv_file(), tmp_path)
    assert (report["held"], report["commands"], report["views"]) == (
        True,
        0,
        {"departures": [], "carrier_punctuality": [], "airport_hours": [], "aircraft": []},
    )


async def test_a_file_that_is_no_record_is_wrong_usage(
    played: Play, csv_file: Callable[..., Path]
) -> None:
    settings = Settings(options={"csv": str(csv_file(header="a,b"))})
    with pytest.raises(WrongUsage, match=r"--csv: .* is no record of flights"):
        await played("flights", settings)


async def test_views_that_differ_from_the_file_break_the_promise(
    played: Play, csv_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = Tally.departures

    def wrong(self: Tally) -> Iterator[Row]:
        for number, expected in enumerate(right(self)):
            yield {**expected, "departure_delay": -1} if number == 2 else expected

    monkeypatch.setattr(Tally, "departures", wrong)
    outcome, told = await played("flights", Settings(options={"csv": str(csv_file(*SMALL))}))
    assert outcome.held is False
    assert "✗ BROKEN: departures (8 rows)" in told
    assert "1 differ: 2013-01-01T10:00:00Z-UA-3" in told


async def test_january_is_what_a_loop_over_its_rows_computes(played: Play, tmp_path: Path) -> None:
    report, _ = await replayed(played, None, tmp_path)
    assert report["held"] is True
    views = report["views"]
    assert isinstance(views, dict)

    # The loop knows the data's description and nothing of the program.
    status: dict[str, str] = {}
    hours: Counter[tuple[str, str]] = Counter()
    cancellations: Counter[tuple[str, str]] = Counter()
    legs: Counter[str] = Counter()
    minutes: Counter[str] = Counter()
    departure: dict[str, list[int]] = defaultdict(list)
    arrival: dict[str, list[int]] = defaultdict(list)
    with gzip.open(JANUARY, "rt") as lines:
        for flight in csv.DictReader(lines):
            cancelled, diverted = flight["dep_time"] == "NA", flight["air_time"] == "NA"
            key = f"{flight['time_hour']}-{flight['carrier']}-{flight['flight']}"
            status[key] = "cancelled" if cancelled else "diverted" if diverted else "landed"
            hours[flight["origin"], flight["time_hour"]] += 1
            cancellations[flight["origin"], flight["time_hour"]] += cancelled
            if not cancelled:
                departure[flight["carrier"]].append(int(flight["dep_delay"]))
            if not diverted:
                arrival[flight["carrier"]].append(int(flight["arr_delay"]))
                legs[flight["tailnum"]] += 1
                minutes[flight["tailnum"]] += int(flight["air_time"])

    assert {each["flight"]: each["status"] for each in views["departures"]} == status
    assert len(status) == len(views["departures"]) == 27_004
    assert {
        (each["origin"], each["hour"]): (each["scheduled_departures"], each["cancellations"])
        for each in views["airport_hours"]
    } == {key: (count, cancellations[key]) for key, count in hours.items()}
    assert {
        each["tail_number"]: (each["legs_landed"], each["minutes_in_the_air"])
        for each in views["aircraft"]
    } == {tail_number: (legs[tail_number], minutes[tail_number]) for tail_number in legs}
    assert {
        each["carrier"]: (
            each["departed"],
            each["landed"],
            each["mean_departure_delay"],
            each["mean_arrival_delay"],
        )
        for each in views["carrier_punctuality"]
    } == {
        carrier: (
            len(delays),
            len(arrival[carrier]),
            sum(delays) / len(delays),
            sum(arrival[carrier]) / len(arrival[carrier]),
        )
        for carrier, delays in departure.items()
    }
