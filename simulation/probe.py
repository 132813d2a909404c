"""A view that shows what was applied to it: its rows list the positions and versions they were made from.

A checkpoint is what a replica says of itself; the probe's rows are what happened to it. Duplicates, gaps and
reorderings stand in its values, and the rule `exactly_once` reads them without knowing any other view. After
Jepsen's list-append: a value that tells its whole past. https://github.com/jepsen-io/elle

Its rows grow with their streams: for tests, not for production.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from ..domain.decider import Decider
from ..domain.messages import RecordedEvent
from ..domain.view import View

PROBE = "probe"


class ProbeRow(msgspec.Struct, frozen=True):
    """One stream, as a replica was told of it."""

    stream: str
    positions: list[int]
    versions: list[int]


def probe(*deciders: Decider[Any, Any, Any]) -> View[ProbeRow, Any, str]:
    """A probe of all events of these deciders: `Runtime.open(…, projections=[probe(ACCOUNT).replicas(2)])`."""
    return View(
        PROBE,
        row=ProbeRow,
        key="stream",
        apply=_apply,
        keys=_stream,
        events=[event for decider in deciders for event in decider.events.values()],
    )


def _stream(event: RecordedEvent[Any]) -> Iterable[str]:
    return (event.stream,)


def _apply(row: ProbeRow | None, event: RecordedEvent[Any], stream: str) -> ProbeRow:
    before = row or ProbeRow(stream, [], [])
    return ProbeRow(stream, [*before.positions, event.position], [*before.versions, event.version])
