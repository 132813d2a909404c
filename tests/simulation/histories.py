"""Histories told in few words: what the tests of the rules are written with.

A `log` of (stream, command id) pairs gives each event its position and version, as a store would.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from aftertide.domain.messages import Position, Version
from aftertide.simulation import History, check
from aftertide.simulation.records import (
    AnyRecord,
    Applied,
    Asked,
    Executed,
    Logged,
    Outcome,
    Queried,
    Record,
    Registered,
)
from aftertide.simulation.rules import Rule

NULL = msgspec.Raw(b"null")


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def wrote(
    start: float,
    end: float | None,
    position: int | None = None,
    *,
    version: int | None = None,
    session: str | None = "ann",
    stream: str = "account-a",
    id: str | None = None,
    outcome: Outcome = "ok",
) -> Executed:
    return Executed(
        start=start,
        end=end,
        outcome=outcome,
        session=session,
        stream=stream,
        id=id,
        position=None if position is None else Position(position),
        version=None if version is None else Version(version),
    )


def read(
    start: float,
    end: float,
    position: int,
    *,
    session: str | None = "ann",
    view: str = "balances",
    replica: str | None = None,
    key: object = None,
    rows: object = None,
    asked: Asked | None = None,
    asked_position: int | None = None,
    asked_events: int | None = None,
    asked_seconds: float | None = None,
    behind_events: int | None = None,
    stale: bool = False,
    cut: str | None = None,
    positions: Sequence[int] = (),
) -> Queried:
    return Queried(
        start=start,
        end=end,
        session=session,
        view=view,
        replica=replica,
        select=NULL if key is None else raw({"key": key}),
        rows=NULL if rows is None else raw(rows),
        asked=asked,
        asked_position=None if asked_position is None else Position(asked_position),
        asked_events=asked_events,
        asked_seconds=asked_seconds,
        position=Position(position),
        behind_events=behind_events,
        stale=stale,
        cut=cut,
        positions=tuple(map(Position, positions)),
    )


def log(*events: tuple[str, str | None]) -> list[Logged]:
    versions: dict[str, int] = {}
    found = []
    for position, (stream, command_id) in enumerate(events, 1):
        version = versions[stream] = versions.get(stream, 0) + 1
        found.append(
            Logged(
                position=Position(position),
                stream=stream,
                version=Version(version),
                command_id=command_id,
            )
        )
    return found


def applied(at: float, first: int, last: int, replica: str = "balances/1") -> Applied:
    return Applied(replica=replica, first=Position(first), position=Position(last), at=at)


def register(
    do: Literal["read", "write", "cas"],
    value: object,
    start: float,
    end: float | None,
    *,
    expected: object = None,
    key: object = None,
    outcome: Outcome | None = None,
) -> Registered:
    return Registered(
        start=start,
        end=end,
        do=do,
        value=raw(value),
        expected=raw(expected),
        key=raw(key),
        outcome=outcome or ("info" if end is None else "ok"),
    )


def proofs(rule: Rule | str, records: Iterable[Record]) -> list[tuple[AnyRecord, ...]]:
    """What the rule found wrong, each as the records that prove it. The rule must be able to judge."""
    report = check(History(records), [rule])
    assert not report.not_judged
    return [violation.records for violation in report.violations]


def accepts(rule: Rule | str, records: Iterable[Record]) -> bool:
    """Whether the rule can judge this, and finds nothing wrong."""
    report = check(History(records), [rule])
    return report.ok and not report.not_judged and not report.remarks


def not_judged(rule: Rule | str, records: Iterable[Record]) -> str:
    """Why the rule can't judge this."""
    report = check(History(records), [rule])
    assert not report.violations
    (reason,) = report.not_judged.values()
    return reason
