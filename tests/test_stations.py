"""Whoever opens a file on the way of a command is told where on the way they stand."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WAY = (
    "runtime > mailbox > aggregate > journal > event store > bus > projection > read store > query"
)
STATIONS = {
    "runtime.py": "runtime",
    "actors/mailbox.py": "mailbox",
    "actors/aggregate.py": "aggregate",
    "actors/journal.py": "journal",
    "stores/memory_events.py": "event store",
    "stores/sqlite_events.py": "event store",
    "actors/bus.py": "bus",
    "actors/projection.py": "projection",
    "stores/memory_rows.py": "read store",
    "stores/sqlite_rows.py": "read store",
    "actors/query.py": "query",
}


@pytest.mark.parametrize("path", STATIONS)
def test_a_station_shows_the_way_with_itself_in_brackets(path: str) -> None:
    assert (ROOT / path).exists(), f"the station {STATIONS[path]!r} has no {path}"
    docstring = ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8"))) or ""
    stops = WAY.split(" > ")
    line = " > ".join(f"[{stop}]" if stop == STATIONS[path] else stop for stop in stops)
    assert line in [text.strip() for text in docstring.splitlines()], f"{path} lacks: {line}"


def test_every_stop_of_the_way_has_a_station() -> None:
    assert list(dict.fromkeys(STATIONS.values())) == WAY.split(" > ")
