"""The four session guarantees, each broken by the least that breaks it, and against their plain definitions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftertide.simulation import History, check
from aftertide.simulation.records import AnyRecord, Asked, Executed, Outcome, Queried
from aftertide.simulation.rules import (
    MonotonicReads,
    MonotonicWrites,
    ReadYourWrites,
    Rule,
    WritesFollowReads,
)
from tests.simulation.histories import accepts, log, not_judged, proofs, read, wrote

# --- the least that breaks each, and its legal neighbour -----------------------------------------


def test_an_answer_without_the_sessions_own_write_is_found() -> None:
    write, answer = wrote(0, 1, 7), read(2, 3, 6)
    assert proofs(ReadYourWrites(), [write, answer]) == [(write, answer)]
    assert accepts(ReadYourWrites(), [write, read(2, 3, 7)])


def test_another_sessions_write_need_not_be_seen() -> None:
    assert accepts(ReadYourWrites(), [wrote(0, 1, 7), read(2, 3, 7), read(2, 3, 6, session="bob")])


def test_a_write_that_had_not_been_answered_when_the_query_began_need_not_be_seen() -> None:
    assert accepts(ReadYourWrites(), [wrote(0, 2, 7), read(2, 3, 6)])
    assert proofs(ReadYourWrites(), [wrote(0, 1.999, 7), read(2, 3, 6)])


def test_a_write_of_unknown_outcome_need_not_be_seen_by_its_session() -> None:
    lost = wrote(0, None, outcome="info", id="c1")
    assert accepts(ReadYourWrites(), [lost, wrote(1, 2, 1, id="c0"), read(3, 4, 1)])


def test_when_an_unknown_outcome_was_noticed_means_nothing() -> None:
    """Its event came into the log later than that."""
    events = log(("account-a", "c1"), ("account-a", "slow"))
    slow, next = wrote(0, 1, id="slow", outcome="info"), wrote(2, 3, 1, version=1, id="c1")
    assert accepts(MonotonicWrites(), [*events, slow, next])
    assert accepts(ReadYourWrites(), [*events, slow, next, read(4, 5, 1)])


def test_two_attempts_under_one_id_are_two_commands() -> None:
    """The session saw the event of the first, whose answer was lost, before it tried again."""
    events = log(("account-a", "c1"), ("account-a", "c1"))
    lost, again = wrote(0, None, id="c1", outcome="info"), wrote(4, 5, 2, version=2, id="c1")
    assert accepts(WritesFollowReads(), [*events, lost, read(2, 3, 1), again])
    assert proofs(WritesFollowReads(), [*events, lost, read(2, 3, 2), again])


def test_a_command_that_wrote_nothing_asks_for_nothing() -> None:
    """Its receipt says where the log stood, which no replica is bound to have."""
    records = [*log(("account-a", "c1"), ("account-b", "other")), wrote(0, 1, 1, id="c1")]
    assert accepts(ReadYourWrites(), [*records, wrote(2, 3, 2, id="look"), read(4, 5, 1)])


def test_the_last_event_of_a_command_must_be_seen_too() -> None:
    events = log(("account-a", "c1"), ("account-a", "c1"))
    write = wrote(0, 1, 2, version=2, id="c1")
    assert proofs(ReadYourWrites(), [*events, write, read(2, 3, 1)])
    assert accepts(ReadYourWrites(), [*events, write, read(2, 3, 2)])


def test_an_answer_before_what_the_session_saw_is_found() -> None:
    first, second = read(0, 1, 9, replica="balances/1"), read(2, 3, 8, replica="balances/2")
    assert proofs(MonotonicReads(), [first, second]) == [(first, second)]
    assert accepts(MonotonicReads(), [first, read(2, 3, 9)])
    assert accepts(MonotonicReads(), [first, read(0.5, 3, 8)]), "they overlap: no order is promised"


def test_the_highest_that_was_seen_counts_not_the_last() -> None:
    assert len(proofs(MonotonicReads(), [read(0, 1, 9), read(2, 3, 8), read(4, 5, 8)])) == 2


def test_monotonic_reads_hold_over_views_unless_each_is_asked_by_itself() -> None:
    records = [read(0, 1, 9, view="a"), read(2, 3, 8, view="b")]
    assert proofs(MonotonicReads(), records)
    assert accepts(MonotonicReads(per_view=True), records)
    assert proofs(MonotonicReads(per_view=True), [*records, read(4, 5, 8, view="a")])


def test_what_was_asked_to_be_less_fresh_may_go_back_unless_everything_is_held_to_it() -> None:
    judged = read(0, 1, 9, asked="session", asked_position=0)
    for less in (
        read(2, 3, 8, asked="eventual"),
        read(2, 3, 8, asked="at_least", asked_position=1),
        read(2, 3, 8, stale=True),
    ):
        assert accepts(MonotonicReads(), [judged, less])
        assert proofs(MonotonicReads(every=True), [judged, less]) == [(judged, less)]


def test_what_was_seen_by_the_way_counts_for_what_follows() -> None:
    seen = read(0, 1, 9, asked="eventual")
    assert proofs(MonotonicReads(), [seen, read(2, 3, 8, asked="session", asked_position=0)])


def test_writes_of_a_session_in_the_wrong_order_are_found() -> None:
    first, second = wrote(0, 1, 2, stream="account-a"), wrote(2, 3, 1, stream="account-b")
    assert proofs(MonotonicWrites(), [first, second]) == [(first, second)]
    assert accepts(MonotonicWrites(), [wrote(0, 1, 1), wrote(2, 3, 2)])


def test_a_later_write_of_unknown_outcome_must_stand_after_the_one_before() -> None:
    events = log(("account-a", "late"), ("account-a", "c1"))
    first, second = wrote(0, 1, 2, version=2, id="c1"), wrote(2, None, id="late", outcome="info")
    assert proofs(MonotonicWrites(), [*events, first, second]) == [(first, second)]


def test_an_earlier_write_of_unknown_outcome_may_take_effect_later() -> None:
    events = log(("account-a", "c1"), ("account-a", "slow"))
    first, second = wrote(0, None, id="slow", outcome="info"), wrote(2, 3, 1, version=1, id="c1")
    assert accepts(MonotonicWrites(), [*events, first, second])


def test_a_write_before_what_its_session_had_seen_is_found() -> None:
    seen, write = read(0, 1, 5), wrote(2, 3, 5)
    assert proofs(WritesFollowReads(), [seen, write]) == [(seen, write)]
    assert accepts(WritesFollowReads(), [seen, wrote(2, 3, 6)])


def test_the_first_event_of_a_command_must_follow_too() -> None:
    events = log(("account-a", "c1"), ("account-a", "c1"))
    write = wrote(2, 3, 2, version=2, id="c1")
    assert proofs(WritesFollowReads(), [*events, read(0, 1, 1), write])
    assert accepts(WritesFollowReads(), [*events, read(0, 1, 0), write])


RULES: Sequence[Rule] = [
    ReadYourWrites(),
    MonotonicReads(),
    MonotonicWrites(),
    WritesFollowReads(),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_without_sessions_the_rule_says_so(rule: Rule) -> None:
    records = [wrote(0, 1, 7, session=None), read(2, 3, 6, session=None)]
    assert "no sessions" in not_judged(rule, records)


@pytest.mark.parametrize(
    ("rule", "records", "reason"),
    [
        (ReadYourWrites(), [read(0, 1, 1)], "no session wrote anything"),
        (
            ReadYourWrites(),
            [wrote(0, 1, 1), read(2, 3, 0, asked="eventual")],
            "asked for something",
        ),
        (MonotonicReads(), [wrote(0, 1, 1)], "asked for something else"),
        (MonotonicWrites(), [read(0, 1, 1)], "no session wrote anything"),
        (WritesFollowReads(), [wrote(0, 1, 1)], "no session both read and wrote"),
    ],
)
def test_a_rule_with_nothing_to_judge_says_what_it_lacks(
    rule: Rule, records: list[AnyRecord], reason: str
) -> None:
    assert reason in not_judged(rule, records)


# --- against the definitions, written down as they are read --------------------------------------


class Told(NamedTuple):
    """A history, and what is true of its commands: the positions each wrote, by its id."""

    records: list[AnyRecord]
    wrote: dict[str, tuple[int, int]]


@st.composite
def told(draw: st.DrawFn) -> Told:
    """A few sessions, coarse times that often tie, commands of up to two events in any order."""
    moments = st.integers(0, 6)
    sessions = st.sampled_from(["ann", "bob"])
    count = draw(st.integers(0, 5))
    sizes = [draw(st.integers(0, 2)) for _ in range(count)]
    order = draw(st.permutations(range(count)))
    events: list[tuple[str, str | None]] = []
    where: dict[str, tuple[int, int]] = {}
    for each in order:
        if sizes[each]:
            where[f"c{each}"] = (len(events) + 1, len(events) + sizes[each])
            events += [(f"account-{each % 2}", f"c{each}")] * sizes[each]
    records: list[AnyRecord] = [*log(*events)]
    for each in range(count):
        start = draw(moments)
        outcome: Outcome = draw(st.sampled_from(["ok", "ok", "info"]))
        last = where.get(f"c{each}", (0, draw(st.integers(0, len(events)))))[1]
        versions = [e.version for e in log(*events)[:last] if e.stream == f"account-{each % 2}"]
        ok = outcome == "ok"
        records.append(
            wrote(
                start,
                start + draw(st.integers(0, 3)) if ok else None,
                last if ok else None,
                version=max(versions, default=0) if ok else None,
                session=draw(sessions),
                stream=f"account-{each % 2}",
                id=f"c{each}",
                outcome=outcome,
            )
        )
    for _ in range(draw(st.integers(0, 5))):
        start = draw(moments)
        asked: Asked | None = draw(st.sampled_from([None, "session", "eventual"]))
        records.append(
            read(
                start,
                start + draw(st.integers(0, 3)),
                draw(st.integers(0, len(events))),
                session=draw(sessions),
                view=draw(st.sampled_from(["a", "b"])),
                asked=asked,
                stale=draw(st.booleans()),
            )
        )
    return Told(records, where)


def before(first: Executed | Queried, second: Executed | Queried) -> bool:
    return first.session == second.session and first.end is not None and first.end < second.start


def promised(answer: Queried) -> bool:
    return answer.asked != "eventual" and not answer.stale


Wrong = Callable[[Executed | Queried, Executed | Queried, dict[str, tuple[int, int]]], bool]


def misses_own_write(
    first: Executed | Queried, second: Executed | Queried, where: dict[str, tuple[int, int]]
) -> bool:
    return (
        isinstance(first, Executed)
        and isinstance(second, Queried)
        and first.outcome == "ok"
        and str(first.id) in where
        and promised(second)
        and (second.position or 0) < where[str(first.id)][1]
    )


def goes_back(
    first: Executed | Queried, second: Executed | Queried, where: dict[str, tuple[int, int]]
) -> bool:
    return (
        isinstance(first, Queried)
        and isinstance(second, Queried)
        and promised(second)
        and (second.position or 0) < (first.position or 0)
    )


def written_out_of_order(
    first: Executed | Queried, second: Executed | Queried, where: dict[str, tuple[int, int]]
) -> bool:
    return (
        isinstance(first, Executed)
        and isinstance(second, Executed)
        and first.outcome == "ok"
        and str(first.id) in where
        and str(second.id) in where
        and where[str(second.id)][0] <= where[str(first.id)][1]
    )


def written_before_what_was_read(
    first: Executed | Queried, second: Executed | Queried, where: dict[str, tuple[int, int]]
) -> bool:
    return (
        isinstance(first, Queried)
        and isinstance(second, Executed)
        and str(second.id) in where
        and where[str(second.id)][0] <= (first.position or 0)
    )


@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        (ReadYourWrites(), misses_own_write),
        (MonotonicReads(), goes_back),
        (MonotonicWrites(), written_out_of_order),
        (WritesFollowReads(), written_before_what_was_read),
    ],
    ids=lambda value: getattr(value, "name", None),
)
@given(told=told())
def test_a_rule_finds_exactly_what_its_definition_names(
    rule: Rule, wrong: Wrong, told: Told
) -> None:
    operations = [each for each in told.records if isinstance(each, (Executed, Queried))]
    expected = [
        second
        for second in operations
        if any(before(first, second) and wrong(first, second, told.wrote) for first in operations)
    ]
    found = check(History(told.records), [rule]).violations
    assert sorted(id(violation.records[1]) for violation in found) == sorted(map(id, expected))
    for violation in found:
        first, second = violation.records
        assert isinstance(first, (Executed, Queried))
        assert isinstance(second, (Executed, Queried))
        assert before(first, second)
        assert wrong(first, second, told.wrote), "the proof proves it"
