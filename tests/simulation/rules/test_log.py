"""The write side's rules: a dense log, receipts that hold, one command at a time, the order of time."""

from itertools import permutations, product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertide.domain.messages import Position, Version
from aftertide.simulation import History, check
from aftertide.simulation.records import AnyRecord, Executed, Logged, Settled
from aftertide.simulation.rules import (
    CommitOrder,
    DenseLog,
    Durability,
    LinearizableAggregates,
)
from tests.simulation.histories import accepts, applied, log, not_judged, proofs, read, wrote

A, B = "account-a", "account-b"


def moved(event: Logged, **to: Any) -> Logged:
    return msgspec.structs.replace(event, **to)


# --- dense_log ------------------------------------------------------------------------------------


def test_a_log_is_dense_whatever_order_it_is_told_in() -> None:
    assert accepts(DenseLog(), reversed(log((A, "1"), (B, "2"), (A, "3"))))


def test_a_missing_position_is_found_with_its_neighbours() -> None:
    first, _, third = log((A, "1"), (B, "2"), (A, "3"))
    assert proofs(DenseLog(), [first, third]) == [(first, third)]


def test_a_log_that_begins_late_is_found() -> None:
    late = moved(log((A, "1"))[0], position=Position(2))
    assert proofs(DenseLog(), [late]) == [(late,)]


def test_a_position_that_stands_twice_is_found() -> None:
    first, second = log((A, "1"), (B, "2"))
    again = moved(second, position=Position(1))
    assert proofs(DenseLog(), [first, again]) == [(first, again)]


@pytest.mark.parametrize("version", [1, 3])
def test_a_version_that_is_skipped_or_stands_twice_is_found(version: int) -> None:
    first, second = log((A, "1"), (A, "2"))
    wrong = moved(second, version=Version(version))
    assert proofs(DenseLog(), [first, wrong]) == [(first, wrong)]


def test_a_stream_that_begins_late_is_found() -> None:
    first, other = log((A, "1"), (B, "2"))
    late = moved(other, version=Version(2))
    assert proofs(DenseLog(), [first, late]) == [(late,)]


# --- durability -----------------------------------------------------------------------------------


def test_a_receipt_that_the_log_bears_out_holds() -> None:
    assert accepts(Durability(), [*log((A, "1")), wrote(0, 1, 1, version=1, id="1")])


def test_an_acknowledged_event_beyond_the_logs_end_is_lost() -> None:
    (event,) = log((A, "1"))
    lost = wrote(0, 1, 2, version=2, id="2")
    assert proofs(Durability(), [event, lost]) == [(lost, event)]


def test_everything_is_lost_where_a_settled_history_has_no_log() -> None:
    lost = wrote(0, 1, 1, version=1, id="1")
    assert proofs(Durability(), [lost, Settled(at=2, head=Position(0))]) == [(lost,)]


def test_an_acknowledged_version_beyond_the_streams_end_is_lost() -> None:
    """Another stream took the position."""
    events = log((B, "other"), (B, "more"))
    lost = wrote(0, 1, 1, version=1, id="1")
    assert proofs(Durability(), [*events, lost]) == [(lost,)]


def test_a_version_that_came_later_than_its_receipt_is_found() -> None:
    events = log((B, "other"), (A, "later"))
    lost = wrote(0, 1, 1, version=1, id="1")
    assert proofs(Durability(), [*events, lost]) == [(lost, events[1])]


def test_an_event_that_stands_elsewhere_than_its_receipt_says_is_found() -> None:
    events = log((B, "other"), (A, "1"))
    wrong = wrote(0, 1, 1, version=1, id="1")
    assert proofs(Durability(), [*events, wrong]) == [(wrong, events[1])]


@pytest.mark.parametrize("wrong", [{"stream": B}, {"version": 2}])
def test_a_receipt_for_another_stream_or_version_is_found(wrong: dict[str, Any]) -> None:
    events = log((A, "1"), (A, "2"))
    receipt = wrote(0, 1, 1, **{"version": 1, "id": "1", **wrong})
    assert proofs(Durability(), [*events, receipt]) == [(receipt, events[0])]


def test_a_command_that_decided_on_nothing_has_no_event() -> None:
    events = log((A, "1"), (B, "2"))
    look = wrote(0, 1, 2, version=1, id="look")
    assert accepts(Durability(), [*events, look])
    strict = Durability(silent_commands=False)
    assert proofs(strict, [*events, look]) == [(look, events[1])]


def test_the_event_of_a_command_that_failed_is_found() -> None:
    (event,) = log((A, "1"))
    failed = wrote(0, 1, id="1", outcome="fail")
    assert proofs(Durability(), [event, failed]) == [(failed, event)]
    assert accepts(Durability(), [event, wrote(0, 1, id="2", outcome="fail")])


def test_a_command_that_was_retried_under_its_id_may_fail_once_and_be_written_once() -> None:
    records = [
        *log((A, "1")),
        wrote(0, 1, id="1", outcome="fail"),
        wrote(2, 3, 1, version=1, id="1"),
    ]
    assert accepts(Durability(), records)


def test_an_unknown_outcome_may_be_in_the_log_or_not() -> None:
    lost = wrote(0, None, id="2", outcome="info")
    assert accepts(Durability(), [*log((A, "1")), lost])
    assert accepts(Durability(), [*log((A, "2")), lost])


def test_durability_needs_a_log_and_commands() -> None:
    assert "no log" in not_judged(Durability(), [wrote(0, 1, 1)])
    assert "no commands" in not_judged(Durability(), log((A, "1")))


# --- linearizable_aggregates ----------------------------------------------------------------------


def test_a_command_that_began_later_and_stands_earlier_is_found() -> None:
    events = log((A, "late"), (A, "first"))
    first = wrote(0, 1, 2, version=2, id="first")
    late = wrote(2, 3, 1, version=1, id="late")
    assert proofs(LinearizableAggregates(), [*events, first, late]) == [(first, late)]
    assert accepts(
        LinearizableAggregates(), [*events, first, wrote(1, 3, 1, version=1, id="late")]
    ), "they overlap"


def test_commands_of_other_streams_are_no_concern() -> None:
    records = [
        *log((B, "late"), (A, "0"), (A, "first")),
        wrote(0, 1, 3, version=2, id="first"),
        wrote(2, 3, 1, version=1, id="late", stream=B),
    ]
    assert accepts(LinearizableAggregates(), records)


def test_a_command_that_finds_an_older_version_is_found() -> None:
    events = log((A, "1"), (A, "2"))
    second, look = wrote(0, 1, 2, version=2, id="2"), wrote(2, 3, 2, version=1, id="look")
    assert proofs(LinearizableAggregates(), [*events, second, look]) == [(second, look)]
    assert accepts(
        LinearizableAggregates(), [*events, second, wrote(2, 3, 2, version=2, id="look")]
    )


def test_a_command_that_finds_what_had_not_begun_is_found() -> None:
    events = log((A, "1"))
    look, later = wrote(0, 1, 1, version=1, id="look"), wrote(2, 3, 1, version=1, id="1")
    assert proofs(LinearizableAggregates(), [*events, look, later]) == [(look, later)]


def test_a_command_that_stands_between_events_of_one_append_is_found() -> None:
    events = log((A, "1"), (A, "1"))
    split, look = wrote(0, 3, 2, version=2, id="1"), wrote(1, 2, 2, version=1, id="look")
    assert proofs(LinearizableAggregates(), [*events, split, look]) == [(*events, look)]


def test_without_a_log_two_commands_cannot_have_made_one_version() -> None:
    one, other = wrote(0, 1, version=1), wrote(0, 1, version=1, session="bob")
    assert proofs(LinearizableAggregates(), [one, other]) == [(one, other)]
    assert accepts(LinearizableAggregates(), [one, wrote(0, 1, version=2), wrote(0, 1, version=0)])


def test_without_versions_there_is_nothing_to_judge() -> None:
    assert "which version" in not_judged(LinearizableAggregates(), [wrote(0, 1, 1)])


@st.composite
def one_stream(draw: st.DrawFn) -> list[AnyRecord]:
    """Up to five commands on one stream: writers of one or two events, lookers, and lost answers."""
    count = draw(st.integers(1, 5))
    sizes = [draw(st.integers(0, 2)) for _ in range(count)]
    order = [each for each in draw(st.permutations(range(count))) if sizes[each]]
    events = log(*[(A, f"c{each}") for each in order for _ in range(sizes[each])])
    records: list[AnyRecord] = [*events]
    for each in range(count):
        last = max((e.position for e in events if e.command_id == f"c{each}"), default=None)
        version = draw(st.integers(0, len(events))) if last is None else last
        start = draw(st.integers(0, 6))
        if draw(st.integers(0, 4)) == 0:
            records.append(wrote(start, None, id=f"c{each}", outcome="info"))
        else:
            end = start + draw(st.integers(0, 3))
            records.append(wrote(start, end, version, version=version, id=f"c{each}"))
    return records


def has_an_order(records: list[AnyRecord]) -> bool:
    """Linearizability as it is defined: an order that time allows and in which every version is right."""
    commands = [each for each in records if isinstance(each, Executed)]
    events = [each for each in records if isinstance(each, Logged)]
    sizes = {id: sum(e.command_id == id for e in events) for id in (c.id for c in commands)}
    last = {str(e.command_id): e.version for e in events}
    # What nobody heard of and is not in the log did not happen.
    happened = [c for c in commands if c.outcome == "ok" or sizes[c.id]]
    for order in permutations(happened):
        if any(
            later.end is not None and later.end < earlier.start
            for place, earlier in enumerate(order)
            for later in order[place + 1 :]
        ):
            continue
        version = 0
        for command in order:
            version += sizes[command.id]
            if version != (last[str(command.id)] if sizes[command.id] else command.version):
                break
        else:
            return True
    return False


@given(one_stream())
def test_versions_are_judged_as_every_possible_order_would_be(records: list[AnyRecord]) -> None:
    found = proofs(LinearizableAggregates(), records) if judged(records) else []
    assert (not found) == has_an_order(records)


def judged(records: list[AnyRecord]) -> bool:
    return any(isinstance(each, Executed) and each.version is not None for each in records)


def test_the_orders_themselves_are_right() -> None:
    """The definition above, held against cases that are plain to see."""
    events = log((A, "1"), (A, "2"))
    first, second = wrote(0, 1, 1, version=1, id="1"), wrote(2, 3, 2, version=2, id="2")
    assert has_an_order([*events, first, second])
    early = wrote(-2, -1, 2, version=2, id="2")
    assert not has_an_order([*events, first, early])
    for start, end in product((0, 1), (2, 3)):
        assert has_an_order([*events, first, wrote(start, end, 2, version=2, id="2")])


# --- commit_order ---------------------------------------------------------------------------------


def test_a_position_before_one_that_was_acknowledged_already_is_found() -> None:
    events = log((B, "late"), (A, "first"))
    first = wrote(0, 1, 2, version=1, id="first")
    late = wrote(2, 3, 1, version=1, id="late", stream=B)
    assert proofs(CommitOrder(), [*events, first, late]) == [(first, late)]
    assert accepts(CommitOrder(), [*events, first, wrote(1, 3, 1, version=1, id="late", stream=B)])


def test_an_answer_from_the_future_is_found() -> None:
    events = log((A, "1"))
    answer, later = read(0, 1, 1), wrote(2, 3, 1, version=1, id="1")
    assert proofs(CommitOrder(), [*events, answer, later]) == [(answer, later)]
    assert accepts(CommitOrder(), [*events, read(0, 2, 1), later])


def test_a_position_that_nobody_is_sure_of_is_not_known() -> None:
    events = log((A, "1"))
    unsure = wrote(0, 1, 1, version=1, id="x", outcome="info", stream=B)
    assert accepts(CommitOrder(), [*events, unsure, wrote(2, 3, 1, version=1, id="1")])


def test_a_replica_that_has_what_had_not_begun_is_found() -> None:
    events = log((A, "1"))
    move, later = applied(1, 1, 1), wrote(2, 3, 1, version=1, id="1")
    assert proofs(CommitOrder(), [*events, move, later]) == [(move, later)]


def test_a_command_of_unknown_outcome_must_not_stand_before_what_was_known_when_it_began() -> None:
    events = log((A, "lost"), (A, "first"))
    first, lost = wrote(0, 1, 2, version=2, id="first"), wrote(2, None, id="lost", outcome="info")
    assert proofs(CommitOrder(), [*events, first, lost]) == [(first, lost)]


def test_without_positions_there_is_nothing_to_order() -> None:
    assert "at which position" in not_judged(CommitOrder(), [wrote(0, 1, version=1)])


@given(one_stream())
def test_on_one_stream_positions_are_judged_as_versions_are(records: list[AnyRecord]) -> None:
    """Of those that wrote: with one stream, positions are versions."""
    ids = {each.command_id for each in records if isinstance(each, Logged)}
    writers = [
        each for each in records if isinstance(each, Logged) or getattr(each, "id", None) in ids
    ]
    history = History(writers)
    by_position = check(history, [CommitOrder()]).violations
    by_version = check(history, [LinearizableAggregates()]).violations
    assert [each.records[1] for each in by_position] == [each.records[1] for each in by_version]
