"""Checking: what is reported, and that each rule sees what is planted in the history of a real run."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from aftertide import Position, Runtime, Version
from aftertide.simulation import History, PromiseBroken, check, probe, record
from aftertide.simulation.checker import MOST_VIOLATIONS
from aftertide.simulation.records import Applied, Executed, Logged, Queried, Record, Settled
from aftertide.simulation.rules import (
    ALL,
    SESSION,
    BoundedStaleness,
    MonotonicReads,
    ReadYourWrites,
)
from tests.bank import ACCOUNT, BALANCES, Deposit
from tests.simulation.histories import log, raw, read, register, wrote

PROBE = probe(ACCOUNT)


@pytest.fixture
async def ran() -> History:
    """Four deposits, each read back, by one client on two replicas; then all has settled."""
    async with Runtime.open(
        deciders=[ACCOUNT], projections=[BALANCES.replicas(2), PROBE.replicas(2)], seed=1
    ) as runtime:
        recording = record(runtime)
        ann = recording.client("ann")
        for number in range(4):
            account = "ab"[number % 2]
            await ann.execute(ACCOUNT, account, Deposit(number))
            await ann.query(BALANCES, account, replica=1 + number % 2)
            await ann.query(BALANCES, cut=f"cut {number}")
            await ann.query(PROBE)
        await recording.settle()
        return await recording.finish()


def again(history: History, records: Sequence[Record]) -> History:
    return History(records, views=history.views, deciders=history.deciders)


Change = Callable[[Any], dict[str, object]]


def changed(history: History, kind: type[Record], nth: int, change: Change) -> History:
    """The same history with the nth record of a kind changed."""
    records = history.records()
    which = [place for place, each in enumerate(records) if isinstance(each, kind)][nth]
    records[which] = msgspec.structs.replace(records[which], **change(records[which]))
    return again(history, records)


def without(history: History, kind: type[Record], nth: int) -> History:
    records = history.records()
    del records[[place for place, each in enumerate(records) if isinstance(each, kind)][nth]]
    return again(history, records)


def first_row(answer: Queried) -> msgspec.Raw:
    rows: list[dict[str, Any]] = msgspec.json.decode(answer.rows)
    rows[0]["balance"] = 99
    return raw(rows)


async def test_a_real_run_breaks_nothing(ran: History) -> None:
    report = check(ran)
    report.raise_for_violations()
    assert set(report.not_judged) == {"linearizable_registers"}
    assert len(report.held) == len(ALL) - 1


@pytest.mark.parametrize(
    ("rule", "planted"),
    [
        ("dense_log", lambda h: without(h, Logged, 1)),
        ("durability", lambda h: without(h, Logged, 3)),
        ("durability", lambda h: changed(h, Executed, 0, lambda c: {"outcome": "fail"})),
        ("durability", lambda h: changed(h, Executed, 0, lambda c: {"position": Position(9)})),
        (
            "linearizable_aggregates",
            lambda h: changed(h, Executed, 0, lambda c: {"id": "x", "version": Version(2)}),
        ),
        (
            "commit_order",
            lambda h: changed(h, Executed, 2, lambda c: {"start": 9.0, "end": 9.5}),
        ),
        ("read_your_writes", lambda h: changed(h, Queried, 9, lambda q: {"position": Position(3)})),
        ("monotonic_reads", lambda h: changed(h, Queried, 10, lambda q: {"position": Position(3)})),
        (
            "monotonic_writes",
            lambda h: changed(h, Executed, 3, lambda c: {"start": -2.0, "end": -1.0}),
        ),
        (
            "writes_follow_reads",
            lambda h: changed(h, Queried, 0, lambda q: {"position": Position(4)}),
        ),
        (
            "asked_freshness",
            lambda h: changed(
                h, Queried, 9, lambda q: {"asked": "strong", "position": Position(3)}
            ),
        ),
        ("consistent_cuts", lambda h: changed(h, Queried, 1, lambda q: {"cut": "cut 3"})),
        (
            "torn_answers",
            lambda h: changed(
                h,
                Queried,
                10,
                lambda q: {
                    "rows": raw(
                        [
                            {"account": "a", "balance": 0, "events": 1},
                            {"account": "b", "balance": 4, "events": 2},
                        ]
                    )
                },
            ),
        ),
        ("exactly_once", lambda h: without(h, Applied, 2)),
        (
            "exactly_once",
            lambda h: changed(h, Applied, 5, lambda a: {"first": Position(a.position - 1)}),
        ),
        ("convergence", lambda h: changed(h, Settled, 0, lambda s: {"head": Position(5)})),
        ("convergence", lambda h: changed(h, Queried, -1, lambda q: {"rows": raw([])})),
        ("value_oracle", lambda h: changed(h, Queried, 0, lambda q: {"rows": first_row(q)})),
        (
            "value_oracle",
            lambda h: changed(h, Logged, 0, lambda e: {"data": raw({"amount": 77})}),
        ),
    ],
)
async def test_a_rule_finds_what_is_planted_in_a_real_history(
    ran: History, rule: str, planted: Callable[[History], History]
) -> None:
    report = check(planted(ran))
    assert rule in report.broken
    for violation in report.broken[rule]:
        assert violation.records
        assert str(violation).startswith(f"{rule}: ")


# --- the report -----------------------------------------------------------------------------------


def test_a_report_tells_what_broke_with_its_proof_what_held_and_what_was_not_judged() -> None:
    history = History([wrote(0, 1, 7), read(2, 3, 6)])
    report = check(history, [*SESSION, "convergence"])
    lines = str(report).splitlines()
    assert lines[0] == (
        "History of 1 commands, 1 queries, 0 register operations, 0 events: 1 rule(s) broken, 3 held."
    )
    assert lines[1] == (
        "✗ read_your_writes: ann wrote position 7, and afterwards got an answer of position 6."
    )
    assert lines[2].startswith("      0.000000–1.000000  ann  a command to account-a: ok")
    assert lines[3].startswith("      2.000000–3.000000  ann  balances: answered at position 6")
    assert lines[4] == "✓ monotonic_reads: a session never sees time go back"
    assert lines[-1] == (
        "– convergence was not judged: it does not say that it settled, and no answer tells its rows"
    )
    assert not report.ok
    with pytest.raises(PromiseBroken) as raised:
        report.raise_for_violations()
    assert raised.value.report is report
    assert str(raised.value) == str(report)


def test_a_report_without_violations_raises_nothing() -> None:
    report = check(History([wrote(0, 1, 7), read(2, 3, 7)]), [ReadYourWrites()])
    report.raise_for_violations()
    first, second = str(report).splitlines()
    assert first.endswith("0 events: all 1 rule(s) that could be judged held.")
    assert second == "✓ read_your_writes: a session sees what it wrote"


def test_what_a_rule_passed_over_is_said() -> None:
    wild = [register("write", 1, 0, 9), register("write", 1, 0, 9), register("read", 2, 0, 9)]
    history = History([*wild, register("read", None, 1, 2, key="x")])
    few = check(history, [rule_of("linearizable_registers", configurations=1)])
    assert "? linearizable_registers passed over the register: not judged" in str(few)


def rule_of(name: str, **options: Any) -> Any:
    (rule,) = [each for each in ALL if each.name == name]
    return type(rule)(**options)


def test_a_rule_that_is_broken_everywhere_is_proved_by_some() -> None:
    reads = [read(n, n + 0.5, 1000 - n) for n in range(300)]
    report = check(History(reads), [MonotonicReads()])
    assert len(report.violations) == MOST_VIOLATIONS
    assert "… and at least 95 more of monotonic_reads" in str(report)
    fewer = check(History(reads[:8]), [MonotonicReads()])
    assert "… and 2 more of monotonic_reads" in str(fewer)


def test_rules_are_given_as_values_or_by_their_names() -> None:
    history = History([wrote(0, 1, 7), read(2, 3, 6)])
    assert list(check(history, ["read_your_writes"]).broken) == ["read_your_writes"]
    report = check(history, [BoundedStaleness(events=1), "monotonic_reads"])
    assert list(report.held) == ["bounded_staleness", "monotonic_reads"]
    with pytest.raises(
        ValueError, match="no rule is named 'read_my_writes': there are dense_log, "
    ):
        check(history, ["read_my_writes"])


def test_a_rule_that_can_not_judge_does_not_break_the_others() -> None:
    report = check(History(log(("account-a", "1"))))
    assert report.ok
    assert list(report.held) == ["dense_log"]
    assert len(report.not_judged) == len(ALL) - 1


def test_rules_are_values() -> None:
    assert BoundedStaleness(events=1) == BoundedStaleness(events=1)
    assert len({MonotonicReads(), MonotonicReads(), MonotonicReads(every=True)}) == 2
