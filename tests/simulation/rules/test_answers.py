"""Answers: as fresh as asked, no staler than allowed, of one moment."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertide.simulation.records import AnyRecord, Executed, Queried
from aftertide.simulation.rules import AskedFreshness, BoundedStaleness, ConsistentCuts
from tests.simulation.histories import accepts, applied, not_judged, proofs, read, wrote

# --- asked_freshness ------------------------------------------------------------------------------


def test_an_answer_below_the_position_it_was_asked_for_is_found() -> None:
    answer = read(0, 1, 4, asked="at_least", asked_position=5)
    assert proofs(AskedFreshness(), [answer]) == [(answer,)]
    assert accepts(AskedFreshness(), [read(0, 1, 5, asked="at_least", asked_position=5)])


def test_an_answer_that_says_it_is_stale_promised_nothing() -> None:
    assert accepts(
        AskedFreshness(),
        [read(0, 1, 4, asked="at_least", asked_position=5, stale=True), wrote(-2, -1, 9)],
    )


@pytest.mark.parametrize(
    "knower",
    [wrote(0, 1, 7), read(0, 1, 7, session="bob"), applied(1, 1, 7)],
    ids=["receipt", "answer", "replica"],
)
def test_a_strong_answer_without_what_somebody_knew_before_it_was_asked_is_found(
    knower: AnyRecord,
) -> None:
    answer = read(2, 3, 6, asked="strong", session="carl")
    assert proofs(AskedFreshness(), [knower, answer]) == [(knower, answer)]
    assert accepts(AskedFreshness(), [knower, read(1, 3, 6, asked="strong", session="carl")])
    assert accepts(AskedFreshness(), [knower, read(2, 3, 7, asked="strong", session="carl")])


def test_a_commit_that_nobody_had_heard_of_is_not_held_against_an_answer() -> None:
    unheard = wrote(0, 5, 7)
    assert accepts(AskedFreshness(), [unheard, read(2, 3, 6, asked="strong")])


def test_a_bounded_answer_is_held_to_its_own_bound() -> None:
    write = wrote(0, 1, 7)
    within: dict[str, Any] = {"asked": "bounded", "asked_events": 2}
    stale = read(2, 3, 4, **within)
    assert proofs(AskedFreshness(), [write, read(2, 3, 5, **within), stale]) == [(write, stale)]
    late: dict[str, Any] = {"asked": "bounded", "asked_seconds": 1.5}
    stale = read(2.6, 3, 4, **late)
    assert proofs(AskedFreshness(), [write, read(2.5, 3, 4, **late), stale]) == [(write, stale)]


def test_an_answer_that_misses_more_than_it_says_is_found() -> None:
    write, answer = wrote(0, 1, 7), read(2, 3, 5, asked="eventual", behind_events=1)
    assert proofs(AskedFreshness(), [write, answer]) == [(write, answer)]
    assert accepts(AskedFreshness(), [write, read(2, 3, 5, asked="eventual", behind_events=2)])


def test_answers_that_say_and_asked_nothing_are_not_judged() -> None:
    assert "asked to be fresh" in not_judged(AskedFreshness(), [read(0, 1, 1)])


# --- bounded_staleness ----------------------------------------------------------------------------


def test_an_answer_that_misses_one_event_too_many_is_found() -> None:
    write, answer = wrote(0, 1, 7), read(2, 3, 4, asked="eventual")
    assert proofs(BoundedStaleness(events=2), [write, answer]) == [(write, answer)]
    assert accepts(BoundedStaleness(events=3), [write, answer])


def test_an_answer_that_misses_something_known_for_too_long_is_found() -> None:
    write, answer = wrote(0, 1, 7), read(2, 3, 6, asked="eventual", stale=True)
    assert proofs(BoundedStaleness(seconds=0.9), [write, answer]) == [(write, answer)]
    assert accepts(BoundedStaleness(seconds=1), [write, answer])


def test_the_bound_may_be_of_one_view() -> None:
    records = [wrote(0, 1, 7), read(2, 3, 0, view="slow"), read(2, 3, 7, view="fast")]
    assert accepts(BoundedStaleness(events=0, view="fast"), records)
    assert proofs(BoundedStaleness(events=0, view="slow"), records)
    assert "of view 'none'" in not_judged(BoundedStaleness(events=0, view="none"), records)


@pytest.mark.parametrize(
    "bound", [{}, {"events": -1}, {"seconds": -0.1}, {"seconds": float("nan")}]
)
def test_a_bound_must_be_a_bound(bound: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="BoundedStaleness"):
        BoundedStaleness(**bound)


def test_the_promise_tells_the_bound() -> None:
    assert BoundedStaleness(events=3, seconds=0.5).promise == (
        "no answer is more than 3 event(s) or 0.5 s behind"
    )


@st.composite
def answers(draw: st.DrawFn) -> list[Executed | Queried]:
    moments, positions = st.integers(0, 8), st.integers(0, 5)
    records: list[Executed | Queried] = []
    for _ in range(draw(st.integers(0, 4))):
        start = draw(moments)
        records.append(wrote(start, start + draw(st.integers(0, 3)), draw(positions)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(moments)
        end = start + draw(st.integers(0, 3))
        records.append(
            read(start, end, draw(positions), asked=draw(st.sampled_from(["strong", None])))
        )
    return records


@given(answers(), st.integers(0, 4), st.integers(0, 4))
def test_staleness_is_found_exactly_as_it_is_defined(
    records: list[Executed | Queried], events: int, seconds: int
) -> None:
    def wrong(allowed_events: int, allowed_seconds: int) -> set[int]:
        return {
            id(answer)
            for answer in records
            if isinstance(answer, Queried)
            and any(
                known.end is not None
                and known.end < answer.start - allowed_seconds
                and (known.position or 0) > (answer.position or 0) + allowed_events
                for known in records
            )
        }

    def found(rule: BoundedStaleness | AskedFreshness) -> set[int]:
        return {id(proof[-1]) for proof in proofs(rule, records)}

    assert found(BoundedStaleness(events=events)) == wrong(events, 0)
    assert found(BoundedStaleness(seconds=seconds)) == wrong(0, seconds)
    assert found(BoundedStaleness(events=events, seconds=seconds)) == wrong(events, 0) | wrong(
        0, seconds
    )
    strong = {id(each) for each in records if isinstance(each, Queried) and each.asked}
    if strong:
        assert found(AskedFreshness()) == wrong(0, 0) & strong


# --- consistent_cuts ------------------------------------------------------------------------------


def test_answers_of_one_cut_at_two_positions_are_found() -> None:
    one, other = read(0, 1, 4, view="a", cut="x"), read(0, 1, 5, view="b", cut="x")
    assert proofs(ConsistentCuts(), [one, other]) == [(one, other)]
    assert accepts(ConsistentCuts(), [one, read(0, 1, 4, view="b", cut="x")])
    assert accepts(ConsistentCuts(), [one, read(0, 1, 5, view="b", cut="y")])


def test_rows_of_one_answer_at_two_positions_are_found() -> None:
    torn = read(0, 1, 5, rows=[1, 2], positions=(4, 5))
    assert proofs(ConsistentCuts(), [torn]) == [(torn,)]
    assert accepts(ConsistentCuts(), [read(0, 1, 5, rows=[1, 2], positions=(5, 5))])


def test_without_cuts_there_is_nothing_to_judge() -> None:
    assert "no query belongs to a cut" in not_judged(ConsistentCuts(), [read(0, 1, 4)])
