"""Registers without versions: the two ways of judging against every possible order."""

from itertools import chain, combinations, permutations
from typing import Literal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aftertide.simulation import History, check
from aftertide.simulation.records import Outcome, Registered
from aftertide.simulation.rules import LinearizableRegisters
from aftertide.simulation.rules.registers import canonical, search
from tests.simulation.histories import accepts, not_judged, proofs, raw, register

RULE = LinearizableRegisters()


# --- the least that breaks it, by each of the two ways --------------------------------------------


def repeated() -> list[Registered]:
    """Two writes of one value long ago: no zones then, the search has to judge."""
    return [register("write", "old", -9, -8), register("write", "old", -7, -6)]


@pytest.fixture(params=["zones", "search"])
def past(request: pytest.FixtureRequest) -> list[Registered]:
    return repeated() if request.param == "search" else [register("write", "old", -9, -8)]


def test_a_read_of_what_was_overwritten_before_it_began_is_found(past: list[Registered]) -> None:
    records = [*past, register("write", 1, 0, 1), register("read", "old", 2, 3)]
    (proof,) = proofs(RULE, records)
    assert {id(each) for each in proof} >= {id(each) for each in records[-2:]}
    assert accepts(RULE, [*past, register("write", 1, 0, 2), register("read", "old", 2, 3)])
    assert accepts(RULE, [*past, register("write", 1, 0, 1), register("read", 1, 2, 3)])


def test_a_read_of_what_was_never_written_is_found(past: list[Registered]) -> None:
    wrong = register("read", 7, 0, 1)
    (proof,) = proofs(RULE, [*past, wrong])
    assert proof[-1] is wrong


def test_a_read_of_what_only_a_failed_write_wrote_is_found(past: list[Registered]) -> None:
    failed = register("write", 7, 0, 1, outcome="fail")
    assert proofs(RULE, [*past, failed, register("read", 7, 2, 3)])
    assert accepts(RULE, [*past, failed, register("read", "old", 2, 3)])


def test_a_read_before_its_write_began_is_found(past: list[Registered]) -> None:
    assert proofs(RULE, [*past, register("read", 7, 0, 1), register("write", 7, 2, 3)])
    assert accepts(RULE, [*past, register("read", 7, 0, 2), register("write", 7, 2, 3)])


def test_values_that_go_back_and_forth_are_found(past: list[Registered]) -> None:
    writes = [register("write", 1, 0, 9), register("write", 2, 0, 9)]
    forth = [register("read", 1, 10, 11), register("read", 2, 12, 13)]
    assert proofs(RULE, [*past, *writes, *forth])
    early = [register("read", 1, 1, 2), register("read", 2, 3, 4)]
    assert accepts(RULE, [*past, *writes, *early])
    assert proofs(RULE, [*past, *writes, *early, register("read", 1, 5, 6)])


def test_what_ends_and_begins_at_one_moment_overlaps(past: list[Registered]) -> None:
    one = [register("write", 1, 0, 1), register("read", 1, 5, 9)]
    other = [register("write", 2, 2, 5), register("read", 2, 10, 11)]
    assert accepts(RULE, [*past, *one, *other])
    early = [register("write", 2, 2, 4.9), register("read", 2, 10, 11)]
    assert proofs(RULE, [*past, *one, *early])


def test_a_write_of_unknown_outcome_may_take_effect_whenever_and_once(
    past: list[Registered],
) -> None:
    lost = register("write", 1, 0, None)
    assert accepts(RULE, [*past, lost])
    assert accepts(RULE, [*past, lost, register("read", "old", 5, 6), register("read", 1, 7, 8)])
    records = [*past, lost, register("read", 1, 5, 6), register("read", "old", 7, 8)]
    assert proofs(RULE, records)
    assert proofs(RULE, [*past, register("read", 1, -2, -1), lost]), "not before it began"


def test_the_time_at_which_an_unknown_outcome_was_noticed_means_nothing(
    past: list[Registered],
) -> None:
    lost = register("write", 1, 0, 1, outcome="info")
    records = [*past, lost, register("read", "old", 2, 3), register("read", 1, 4, 5)]
    assert accepts(RULE, records)


def test_a_read_without_an_answer_asks_for_nothing(past: list[Registered]) -> None:
    assert accepts(RULE, [*past, register("read", None, 0, None), register("read", "old", 2, 3)])


def test_registers_begin_as_null() -> None:
    assert accepts(RULE, [register("read", None, 0, 1), register("write", 1, 2, 3)])
    assert proofs(RULE, [register("write", 1, 0, 1), register("read", None, 2, 3)])


def test_compare_and_set_needs_its_value() -> None:
    write = register("write", 1, 0, 1)
    wrong = register("cas", 3, 2, 3, expected=2)
    (proof,) = proofs(RULE, [write, wrong])
    assert proof == (write, wrong)
    assert accepts(RULE, [write, register("cas", 3, 2, 3, expected=1), register("read", 3, 4, 5)])
    both = [register("cas", 2, 2, 5, expected=1), register("cas", 3, 2, 5, expected=1)]
    assert proofs(RULE, [write, *both]), "only one of the two can have found it"


def test_a_failed_compare_and_set_had_no_effect() -> None:
    failed = register("cas", 3, 2, 3, expected=1, outcome="fail")
    assert accepts(RULE, [register("write", 1, 0, 1), failed, register("read", 1, 4, 5)])


def test_each_key_is_a_register_of_its_own() -> None:
    records = [register("write", 1, 0, 1, key="x"), register("read", None, 2, 3, key="y")]
    assert accepts(RULE, records)
    wrong = register("read", None, 2, 3, key="x")
    report = check(History([*records, wrong]), [RULE])
    assert [each.sentence[:13] for each in report.violations] == ['register "x":']


def test_values_are_equal_however_they_are_written() -> None:
    spaced = msgspec.Raw(b'{"a": [1], "b": "\\u0061"}')
    plain = raw({"b": "a", "a": [1]})
    assert canonical(spaced) == canonical(plain)
    assert canonical(raw(1)) != canonical(raw(2))
    write = msgspec.structs.replace(register("write", 0, 0, 1), value=spaced)
    read_back = msgspec.structs.replace(register("read", 0, 2, 3), value=plain)
    assert accepts(RULE, [write, read_back])


def test_the_sentence_says_what_could_have_been_found() -> None:
    records = [
        register("write", 1, 0, 1),
        register("cas", 2, 2, 6, expected=1),
        register("read", 3, 4, 5),
    ]
    (violation,) = check(History(records), [RULE]).violations
    assert violation.sentence == "the register: the read of 3 could only have found 1 or 2."


def test_a_search_that_grows_too_large_is_said_and_judges_the_other_keys() -> None:
    wild = [
        register("write", 0, -2, -1, key="wild"),
        *[register("cas", (n + 1) % 3, 0, 99, expected=n % 3, key="wild") for n in range(12)],
    ]
    wrong = [register("write", 1, 0, 1, key="x"), register("read", None, 2, 3, key="x")]
    report = check(History([*wild, *wrong]), [LinearizableRegisters(configurations=50)])
    assert len(report.violations) == 1
    assert "too many of its operations overlap" in report.remarks["linearizable_registers"][0]


def test_many_lost_writes_that_nobody_saw_cost_nothing() -> None:
    lost = [register("write", each, 0, None) for each in range(100)]
    records = [*repeated(), *lost, register("read", "old", 5, 6)]
    assert search(records, 1_000) is None


def test_a_long_history_of_few_at_a_time_stays_within_the_limit() -> None:
    """An operation that has ended costs nothing any more."""
    records = repeated()
    for at in range(0, 4_000, 4):
        records += [
            register("write", at % 3, at, at + 2),
            register("write", at % 5, at + 1, at + 3),
            register("read", at % 5, at + 3.5, at + 3.6),
        ]
        records[-3:-1] = sorted(records[-3:-1], key=lambda each: each.start)
    found = search(records, 1_000_000)
    assert found is None


def test_without_registers_there_is_nothing_to_judge() -> None:
    assert "no operations on registers" in not_judged(RULE, [])


# --- against every possible order -----------------------------------------------------------------

Do = Literal["read", "write", "cas"]


@st.composite
def operations(draw: st.DrawFn, *, distinct: bool = False) -> list[Registered]:
    found: list[Registered] = []
    values = st.sampled_from([None, 1, 2])
    for number in range(draw(st.integers(1, 6))):
        do: Do = draw(st.sampled_from(["read", "write"] if distinct else ["read", "write", "cas"]))
        outcome: Outcome = draw(st.sampled_from(["ok", "ok", "ok", "info", "fail"]))
        start = draw(st.integers(0, 8))
        value = draw(values)
        if distinct:
            value = number + 1 if do == "write" else draw(st.sampled_from([None, 1, 2, 3, 4, 5, 6]))
        found.append(
            register(
                do,
                value,
                start,
                None if outcome == "info" else start + draw(st.integers(0, 6)),
                expected=draw(values),
                outcome=outcome,
            )
        )
    return found


def fits(order: tuple[Registered, ...]) -> bool:
    value = raw(None)
    for each in order:
        wanted = {"read": each.value, "cas": each.expected}.get(each.do, value)
        if wanted != value:
            return False
        if each.do != "read":
            value = each.value
    return True


def timely(order: tuple[Registered, ...]) -> bool:
    return not any(
        later.outcome == "ok" and later.end is not None and later.end < earlier.start
        for place, earlier in enumerate(order)
        for later in order[place + 1 :]
    )


def linearizable(records: list[Registered]) -> bool:
    """As it is defined: all that is known to have happened, any of what may have, in an order that fits."""
    happened = [each for each in records if each.outcome == "ok"]
    perhaps = [each for each in records if each.outcome == "info" and each.do != "read"]
    some = chain.from_iterable(combinations(perhaps, n) for n in range(len(perhaps) + 1))
    return any(
        fits(order) and timely(order)
        for chosen in some
        for order in permutations([*happened, *chosen])
    )


@settings(max_examples=400, deadline=None)
@given(operations())
def test_any_history_is_judged_as_every_possible_order_would_be(records: list[Registered]) -> None:
    assert check(History(records), [RULE]).ok == linearizable(records)


@settings(max_examples=400, deadline=None)
@given(operations(distinct=True))
def test_zones_judge_as_every_possible_order_and_as_the_search(records: list[Registered]) -> None:
    legal = linearizable(records)
    assert check(History(records), [RULE]).ok == legal
    happened = [each for each in records if each.outcome == "ok"]
    perhaps = [each for each in records if each.outcome == "info" and each.do != "read"]
    assert (search([*happened, *perhaps], 1_000_000) is None) == legal


@settings(max_examples=200, deadline=None)
@given(operations())
def test_a_proof_holds_records_of_the_history_and_is_short(records: list[Registered]) -> None:
    for violation in check(History(records), [RULE]).violations:
        assert 1 <= len(violation.records) <= 6
        assert {id(each) for each in violation.records} <= {id(each) for each in records}
