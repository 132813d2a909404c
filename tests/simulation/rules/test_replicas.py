"""Replicas: every event once, in order, and all of them alike in the end."""

import pytest

from aftertide.domain.messages import Position
from aftertide.simulation import History, check
from aftertide.simulation.probe import PROBE
from aftertide.simulation.records import AnyRecord, Restarted, Settled
from aftertide.simulation.rules import Convergence, ExactlyOnce
from tests.simulation.histories import accepts, applied, log, not_judged, proofs, read

ONE, TWO = "balances/1", "balances/2"


def restarted(at: float, checkpoint: int | None, replica: str = ONE) -> Restarted:
    where = None if checkpoint is None else Position(checkpoint)
    return Restarted(at=at, checkpoints={replica: where})


def settled(at: float, head: int) -> Settled:
    return Settled(at=at, head=Position(head))


# --- exactly_once ---------------------------------------------------------------------------------


def test_batches_that_follow_each_other_hold() -> None:
    assert accepts(ExactlyOnce(), [applied(1, 1, 3), applied(2, 4, 4), applied(3, 1, 1, TWO)])


def test_a_position_that_was_passed_over_is_found() -> None:
    first, second = applied(1, 1, 3), applied(2, 5, 6)
    assert proofs(ExactlyOnce(), [first, second]) == [(first, second)]


def test_a_replica_that_begins_late_is_found_unless_it_stood_there() -> None:
    move = applied(1, 4, 5)
    assert proofs(ExactlyOnce(), [move]) == [(move,)]
    assert check(History([move], replicas={ONE: 3}), [ExactlyOnce()]).ok


@pytest.mark.parametrize("first", [2, 3])
def test_a_position_that_was_applied_again_is_found(first: int) -> None:
    before, again = applied(1, 1, 3), applied(2, first, 4)
    assert proofs(ExactlyOnce(), [before, again]) == [(before, again)]


def test_a_replica_that_goes_back_is_found() -> None:
    before, back = applied(1, 1, 3), applied(2, 2, 2)
    assert proofs(ExactlyOnce(), [before, back]) == [(before, back)]


def test_the_order_of_time_counts_not_that_of_the_file() -> None:
    assert accepts(ExactlyOnce(), [applied(2, 4, 4), applied(1, 1, 3)])


def test_after_a_restart_it_goes_on_from_its_checkpoint() -> None:
    """A checkpoint may be behind what was told (its rows are behind too), or ahead (the last batch was not told)."""
    for checkpoint in (1, 3, 5):
        records: list[AnyRecord] = [applied(1, 1, 3), restarted(2, checkpoint)]
        assert accepts(ExactlyOnce(), [*records, applied(3, checkpoint + 1, 8)])
        wrong = applied(3, checkpoint + 2, 8)
        assert proofs(ExactlyOnce(), [*records, wrong]) == [(records[1], wrong)]


def test_after_a_restart_from_an_unknown_checkpoint_it_may_go_on_anywhere() -> None:
    records: list[AnyRecord] = [applied(1, 1, 3), restarted(2, None), applied(3, 5, 6)]
    assert accepts(ExactlyOnce(), records)
    assert proofs(ExactlyOnce(), [*records, applied(4, 6, 7)])


def test_another_replicas_restart_changes_nothing() -> None:
    records = [applied(1, 1, 3), restarted(2, 0, TWO), applied(3, 1, 4)]
    assert proofs(ExactlyOnce(), records)


A, B = "account-a", "account-b"
PROBED = log((A, "1"), (B, "2"), (A, "3"), (A, "4"))


@pytest.mark.parametrize(
    ("positions", "versions", "problem"),
    [
        ([1, 3], [1, 2], None),
        ([1, 3, 3], [1, 2, 2], "was given versions 1, 2, 2"),
        ([3], [2], "was given versions 2"),
        ([3, 1], [2, 1], "was given versions 2, 1"),
        ([1], [1], "made from positions 1, where the log has 1, 3"),
        ([1, 3, 4], [1, 2, 3], "made from positions 1, 3, 4, where the log has 1, 3"),
        ([1, 2], [1, 2], "made from positions 1, 2, where the log has 1, 3"),
    ],
)
def test_a_probe_tells_what_really_happened_to_a_replica(
    positions: list[int], versions: list[int], problem: str | None
) -> None:
    rows = [{"stream": A, "positions": positions, "versions": versions}]
    history = History([*PROBED, read(0, 1, 3, view=PROBE, rows=rows)])
    violations = check(history, [ExactlyOnce()]).violations
    assert [problem in each.sentence for each in violations if problem] == [True] * len(violations)
    assert len(violations) == (problem is not None)


def test_a_probe_is_judged_by_its_versions_where_there_is_no_log() -> None:
    rows = [{"stream": A, "positions": [1, 3], "versions": [1, 3]}]
    answer = read(0, 1, 3, view=PROBE, rows=rows)
    assert proofs(ExactlyOnce(), [answer]) == [(answer,)]


def test_another_view_that_is_named_like_the_probe_is_passed_over_and_said() -> None:
    report = check(History([read(0, 1, 3, view=PROBE, rows=[{"x": 1}])]), [ExactlyOnce()])
    assert report.ok
    assert "is no probe's" in report.remarks["exactly_once"][0]


def test_without_replicas_or_a_probe_there_is_nothing_to_judge() -> None:
    assert "what replicas applied" in not_judged(ExactlyOnce(), [read(0, 1, 3)])


# --- convergence ----------------------------------------------------------------------------------


def test_a_replica_that_is_not_at_the_head_when_all_has_settled_is_found() -> None:
    behind, end = applied(1, 1, 3), settled(2, 4)
    assert proofs(Convergence(), [behind, applied(1, 1, 4, TWO), end]) == [(behind, end)]
    assert accepts(Convergence(), [behind, applied(1.5, 4, 4), end])


def test_what_is_applied_after_it_settled_does_not_count() -> None:
    behind, end = applied(1, 1, 3), settled(2, 4)
    assert proofs(Convergence(), [behind, end, applied(3, 4, 4)]) == [(behind, end)]


def test_a_replica_that_never_moved_is_found_by_where_it_stood() -> None:
    report = check(History([settled(2, 4)], replicas={ONE: 3, TWO: 4}), [Convergence()])
    assert [each.sentence for each in report.violations] == [
        f"{ONE} stands at 3 when all has settled at 4."
    ]


def test_a_restart_puts_a_replica_where_its_checkpoint_is() -> None:
    back, end = restarted(2, 2), settled(3, 4)
    assert proofs(Convergence(), [applied(1, 1, 4), back, end]) == [(back, end)]
    assert accepts(Convergence(), [applied(1, 1, 4), restarted(2, None), end])


def test_two_answers_to_one_question_at_one_position_are_found() -> None:
    one = read(0, 1, 3, key="a", rows=[{"a": 1}], replica=ONE)
    other = read(5, 6, 3, key="a", rows=[{"a": 2}], replica=TWO)
    assert proofs(Convergence(), [one, other]) == [(one, other)]


def test_other_positions_questions_and_views_may_be_answered_otherwise() -> None:
    one = read(0, 1, 3, key="a", rows=[{"a": 1}])
    for other in (
        read(5, 6, 4, key="a", rows=[{"a": 2}]),
        read(5, 6, 3, key="b", rows=[{"a": 2}]),
        read(5, 6, 3, key="a", rows=[{"a": 2}], view="other"),
    ):
        assert accepts(Convergence(), [one, other])


def test_answers_are_compared_as_values_not_as_text() -> None:
    one = read(0, 1, 3, key="a", rows=[{"a": 1, "b": 1.0}])
    assert accepts(Convergence(), [one, read(5, 6, 3, key="a", rows=[{"b": 1, "a": 1}])])


def test_without_rows_or_an_end_there_is_nothing_to_judge() -> None:
    assert "say that it settled" in not_judged(Convergence(), [applied(1, 1, 3)])
