"""What a torture gets: a nursery of processes, and a run whose counts are reported at the end."""

from collections.abc import Callable, Iterator

import pytest

from tests.torture.nursery import Nursery
from tests.torture.torment import Torment


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    with Nursery() as nursery:
        yield nursery


@pytest.fixture
def torment(
    request: pytest.FixtureRequest, rounds: int, record_property: Callable[[str, object], None]
) -> Iterator[Torment]:
    # Played again by its long name: that one takes its rounds from the environment.
    torment = Torment(request.node.nodeid.replace("[quick", "[long"), rounds)
    yield torment
    if "[long" in request.node.nodeid:
        record_property("torture", dict(torment.counts))
