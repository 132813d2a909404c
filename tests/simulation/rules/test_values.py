"""The value oracle: an answer is the fold of the log, whatever positions say; and answers that mix moments."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from aftertide import Decider, Position, RecordedEvent, Version, View
from aftertide.simulation import History, Report, check
from aftertide.simulation.records import AnyRecord, Logged, Queried
from aftertide.simulation.rules import TornAnswers, ValueOracle
from tests.bank import ACCOUNT, BALANCES, Deposited, Withdrawn
from tests.simulation.histories import NULL, raw, read


def told(*events: tuple[str, object]) -> list[Logged]:
    """The log of these events of accounts."""
    versions: dict[str, int] = {}
    log = []
    for position, (id, event) in enumerate(events, 1):
        versions[id] = versions.get(id, 0) + 1
        log.append(
            Logged(
                position=Position(position),
                stream=f"account-{id}",
                version=Version(versions[id]),
                type=type(event).__name__,
                recorded_at=1_800_000_000.0 + position,
                data=raw(event),
            )
        )
    return log


LOG = told(
    ("a", Deposited(10)), ("b", Deposited(5)), ("a", Withdrawn(4)), ("b", Deposited(1))
)  # fmt: skip


def row(account: str, balance: int, events: int) -> dict[str, object]:
    return {"account": account, "balance": balance, "events": events}


A1, A3, B2, B4 = row("a", 10, 1), row("a", 6, 2), row("b", 5, 1), row("b", 6, 2)


def answer(position: int, select: object, rows: Sequence[object]) -> Queried:
    plain = read(0, 1, position, rows=rows)
    return msgspec.structs.replace(plain, select=NULL if select is None else raw(select))


def judged(
    *answers: Queried,
    log: Iterable[AnyRecord] = LOG,
    view: View[Any, Any, Any] = BALANCES,
    decider: Decider[Any, Any, Any] = ACCOUNT,
    rule: ValueOracle | TornAnswers | None = None,
) -> Report:
    records = [*log, *answers]
    return check(History(records), [rule or ValueOracle()], views=[view], deciders=[decider])


# --- value_oracle ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("position", "select", "rows"),
    [
        (0, {"key": "a"}, []),
        (1, {"key": "a"}, [A1]),
        (2, {"key": "a"}, [A1]),
        (3, {"key": "a"}, [A3]),
        (1, {"key": "b"}, []),
        (0, {}, []),
        (2, {}, [A1, B2]),
        (4, {}, [A3, B4]),
        (4, {"order_by": ["-account"]}, [B4, A3]),
        (4, {"limit": 1}, [A3]),
        (4, {"limit": 1, "offset": 1}, [B4]),
        (4, {"where": {"events": 2}, "order_by": ["-account"]}, [B4, A3]),
        (2, {"where": {"balance": [5, 6]}}, [B2]),
        (2, {"where": {"balance": None}}, []),
    ],
)
def test_an_answer_is_the_fold_up_to_its_position_and_nothing_else(
    position: int, select: object, rows: Sequence[object]
) -> None:
    right = answer(position, select, rows)
    report = judged(right)
    assert report.ok
    assert list(report.held) == ["value_oracle"]
    assert not report.remarks
    for wrong in ([*rows, row("c", 1, 1)], rows[1:] if rows else [A1]):
        (violation,) = judged(answer(position, select, wrong)).violations
        assert isinstance(violation.records[-1], Queried)


def test_the_proof_is_the_answer_and_the_last_event_that_it_should_hold() -> None:
    wrong = answer(3, {"key": "a"}, [A1])
    (violation,) = judged(wrong).violations
    assert violation.records == (LOG[2], wrong)
    assert 'is [{"account":"a","balance":6,"events":2}] at position 3' in violation.sentence


def test_answers_are_judged_in_any_order_and_each_view_by_itself() -> None:
    assert judged(answer(4, {}, [A3, B4]), answer(1, {}, [A1]), answer(3, {"key": "a"}, [A3])).ok


def test_an_answer_beyond_the_logs_end_is_found() -> None:
    beyond = answer(5, {"key": "a"}, [A3])
    (violation,) = judged(beyond).violations
    assert violation.sentence == "an answer is of position 5, and the log ends at 4."


def test_the_order_of_rows_counts() -> None:
    assert not judged(answer(4, {}, [B4, A3])).ok


def failing(row: object, event: RecordedEvent[Deposited], account: str) -> None:
    if event.position == 2:
        raise ValueError("no b")


def test_an_answer_that_the_view_can_not_come_to_is_found() -> None:
    view: View[Any, Any, Any] = View("balances", row=BALANCES.row, key="account", apply=failing)
    assert judged(answer(1, {"key": "a"}, []), view=view).ok
    late = answer(2, {"key": "a"}, [])
    (violation,) = judged(late, view=view).violations
    assert violation.records == (LOG[1], late)
    assert "at 2 apply raised ValueError('no b')" in violation.sentence


# --- rows of other kinds --------------------------------------------------------------------------


@dataclass(frozen=True)
class Happened:
    number: float
    at: datetime
    price: Decimal
    tags: list[str]


@dataclass(frozen=True)
class Last:
    day: datetime
    number: float
    price: Decimal
    tags: list[str]


def nothing(command: Happened, state: None) -> Sequence[Happened]:
    return [command]


THING: Decider[Any, Any, Any] = Decider(
    "thing", None, nothing, lambda state, event: state, events=[Happened]
)


def day(event: RecordedEvent[Happened]) -> Iterable[datetime]:
    yield event.event.at


def last(row: Last | None, event: RecordedEvent[Happened], at: datetime) -> Last | None:
    it = event.event
    return None if it.number == 0 else Last(at, it.number, it.price, it.tags)


LASTS: View[Any, Any, Any] = View("balances", row=Last, key="day", apply=last, keys=day)
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def things(*events: Happened) -> list[Logged]:
    return [
        msgspec.structs.replace(event, stream=event.stream.replace("account", "thing"))
        for event in told(*(("x", each) for each in events))
    ]


def test_rows_are_compared_as_their_types_compare() -> None:
    """A store gives times back in UTC, decimals as they were, whole floats as floats."""
    log = things(Happened(1, NOON, Decimal("1.0"), ["a"]))
    elsewhere = NOON.astimezone(timezone(timedelta(hours=2))).isoformat()
    row = {"day": elsewhere, "number": 1.0, "price": "1.00", "tags": ["a"]}
    select = {"key": "2026-01-01T12:00:00Z"}
    assert judged(answer(1, select, [row]), log=log, view=LASTS, decider=THING).ok
    wrong = {**row, "tags": ["b"]}
    assert not judged(answer(1, select, [wrong]), log=log, view=LASTS, decider=THING).ok


def test_a_deleted_row_is_gone() -> None:
    log = things(
        Happened(1, NOON, Decimal(1), []), Happened(0, NOON, Decimal(1), [])
    )  # fmt: skip
    select = {"key": NOON.isoformat()}
    assert judged(answer(2, select, []), answer(2, {}, []), log=log, view=LASTS, decider=THING).ok


def test_where_takes_values_as_json_has_them() -> None:
    log = things(Happened(1, NOON, Decimal("1.5"), ["a"]))
    row: dict[str, object] = {"day": NOON.isoformat(), "number": 1, "price": "1.5", "tags": ["a"]}
    for where in ({"price": "1.50"}, {"day": NOON.isoformat()}, {"price": ["1.5", None]}):
        right = answer(1, {"where": where}, [row])
        assert judged(right, log=log, view=LASTS, decider=THING).ok


def infinite(row: Last | None, event: RecordedEvent[Happened], at: datetime) -> Last | None:
    return Last(at, math.inf, Decimal(1), [])


def test_infinity_is_null_in_json_on_both_sides() -> None:
    view: View[Any, Any, Any] = View("balances", row=Last, key="day", apply=infinite, keys=day)
    log = things(Happened(1, NOON, Decimal(1), []))
    row: dict[str, object] = {
        "day": "2026-01-01T12:00:00Z",
        "number": None,
        "price": "1",
        "tags": [],
    }
    select = {"key": NOON.isoformat()}
    assert judged(answer(1, select, [row]), log=log, view=view, decider=THING).ok
    wrong = {**row, "tags": ["b"]}
    assert not judged(answer(1, select, [wrong]), log=log, view=view, decider=THING).ok


# --- torn_answers ---------------------------------------------------------------------------------


def torn(*answers: Queried) -> Report:
    return judged(*answers, rule=TornAnswers())


def test_rows_of_two_moments_in_one_answer_are_found() -> None:
    mixed = answer(4, {}, [A1, B4])
    (violation,) = torn(mixed).violations
    assert violation.records == (mixed,)
    assert violation.sentence == (
        "an answer of view balances mixes moments: its row 'b' stood at 4, and the rows before it "
        "together at 1 to 2."
    )


def test_rows_of_one_moment_are_not_torn_whatever_position_they_claim() -> None:
    lying = answer(4, {}, [A1, B2])
    assert torn(lying).ok
    assert not judged(lying).ok


def test_a_row_that_never_stood_is_not_torn_but_wrong() -> None:
    wrong = answer(4, {}, [A1, row("b", 99, 1)])
    assert torn(wrong).ok
    assert not judged(wrong).ok


# --- what it can't judge, it says -----------------------------------------------------------------


def test_from_a_file_alone_the_rules_say_that_they_need_the_views() -> None:
    history = History([*LOG, answer(1, {"key": "a"}, [A1])])
    for rule in (ValueOracle(), TornAnswers()):
        report = check(history, [rule])
        assert report.ok
        assert "needs the views and deciders" in report.not_judged[rule.name]
        assert "needs the views" in check(history, [rule], views=[BALANCES]).not_judged[rule.name]
        assert "needs the views" in check(history, [rule], deciders=[ACCOUNT]).not_judged[rule.name]


def test_a_history_that_knows_its_views_needs_nothing() -> None:
    history = History([*LOG, answer(1, {"key": "a"}, [A3])], views=[BALANCES], deciders=[ACCOUNT])
    assert not check(history, [ValueOracle()]).ok


def test_answers_without_rows_or_without_a_question_are_no_evidence() -> None:
    assert "tells its rows" in judged(read(0, 1, 1)).not_judged["value_oracle"]
    assert "tells its rows" in judged(answer(1, None, [A1])).not_judged["value_oracle"]


def test_a_view_that_was_not_given_is_passed_over_and_said() -> None:
    other = msgspec.structs.replace(answer(1, {"key": "a"}, []), view="other")
    report = judged(answer(1, {"key": "a"}, [A1]), other)
    assert report.ok
    assert report.remarks["value_oracle"] == ["1 answer(s) of view 'other', which was not given"]


@pytest.mark.parametrize(
    "select",
    [{"key": [1]}, {"where": {"colour": 1}}, {"where": {"balance": "x"}}, {"keys": [1]}, 7],
)
def test_a_question_that_can_not_be_understood_is_passed_over_and_said(select: object) -> None:
    report = judged(answer(1, select, []), answer(1, {"key": "a"}, [A1]))
    assert report.ok
    (remark,) = report.remarks["value_oracle"]
    assert remark.startswith("1 answer(s) of view 'balances': ")


def test_a_log_with_gaps_can_not_be_folded() -> None:
    report = judged(answer(3, {"key": "a"}, [A3]), log=LOG[1:])
    assert "gaps or begins late" in report.not_judged["value_oracle"]


def test_an_event_that_can_not_be_read_is_said() -> None:
    broken = [msgspec.structs.replace(LOG[0], data=raw({"amount": "ten"})), *LOG[1:]]
    report = judged(answer(3, {"key": "a"}, [A3]), log=broken)
    assert "can't be read as its type" in report.not_judged["value_oracle"]


def test_a_view_of_events_that_no_decider_declares_is_said() -> None:
    report = judged(answer(1, {"key": "a"}, [A1]), decider=THING)
    assert (
        "takes Deposited, which none of the given deciders declares"
        in (report.not_judged["value_oracle"])
    )
