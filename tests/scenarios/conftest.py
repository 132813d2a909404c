"""Playing a scenario in a test: what it measured, what it told."""

import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aftertide.scenarios import Narrator, Outcome, Scenario, Settings, play
from aftertide.scenarios.registry import find
from tests.scenarios.flight_rows import HEADER

Play = Callable[[Scenario | str, Settings], Awaitable[tuple[Outcome, str]]]


@pytest.fixture
def played() -> Play:
    """Plays a scenario, by itself or by its name, and gives the outcome and the text that was told."""

    async def run(scenario: Scenario | str, settings: Settings) -> tuple[Outcome, str]:
        told = io.StringIO()
        found = find(scenario) if isinstance(scenario, str) else scenario
        outcome = await play(found, settings, Narrator(told))
        return outcome, told.getvalue()

    return run


@pytest.fixture
def csv_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a record of flights: the header and these lines."""

    def write(*lines: str, header: str = HEADER, name: str = "flights.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *lines, ""]), "utf-8")
        return path

    return write
