"""What is said of measured numbers: medians, ratios, percentiles, verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Rounds, Samples, Target, latency_figures, percentile

numbers = st.floats(min_value=0.001, max_value=1e9)


def test_a_ratio_is_taken_within_a_round_and_not_between_medians() -> None:
    slow_third_round = Samples((100.0, 300.0, 50.0))
    other = Samples((10.0, 30.0, 1.0))
    assert slow_third_round.per(other).values == (10.0, 10.0, 50.0)
    assert slow_third_round.per(other).median == 10.0


def test_the_better_of_two_ways_is_chosen_in_each_round() -> None:
    assert Samples((1.0, 5.0)).best(Samples((2.0, 3.0))).values == (2.0, 5.0)


def test_sides_of_different_rounds_are_not_compared() -> None:
    with pytest.raises(ValueError, match="2 rounds can't be compared with 1"):
        Samples((1.0, 2.0)).per(Samples((1.0,)))


def test_no_rounds_are_an_error_and_not_a_zero() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        Samples(())


@given(st.lists(numbers, min_size=1))
def test_the_median_lies_within_the_spread(values: list[float]) -> None:
    samples = Samples(tuple(values))
    assert samples.low <= samples.median <= samples.high


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [(0.5, 50.0), (0.99, 99.0), (0.991, 100.0), (1.0, 100.0), (0.001, 1.0)],
)
def test_a_percentile_is_the_smallest_value_that_the_fraction_does_not_exceed(
    fraction: float, expected: float
) -> None:
    assert percentile([float(value) for value in range(1, 101)], fraction) == expected


@given(st.lists(numbers, min_size=1), st.floats(min_value=1e-6, max_value=1.0))
def test_at_least_the_fraction_of_all_values_is_at_or_below_a_percentile(
    values: list[float], fraction: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, fraction)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= len(ordered) * round(fraction, 6)


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1])
def test_a_fraction_that_is_none_is_refused(fraction: float) -> None:
    with pytest.raises(ValueError, match="no fraction"):
        percentile([1.0], fraction)


def test_latencies_are_told_in_microseconds_whatever_their_order() -> None:
    figures = latency_figures([0.003, 0.001, 0.002])
    assert figures == pytest.approx({"p50_us": 2_000, "p99_us": 3_000, "longest_us": 3_000})


@pytest.mark.parametrize(
    ("least", "most", "reached"),
    [
        (2.0, None, True),
        (2.1, None, False),
        (None, 2.0, True),
        (None, 1.9, False),
        (1.9, 2.1, True),
    ],
)
def test_a_target_is_reached_when_the_median_lies_within_its_bounds(
    least: float | None, most: float | None, reached: bool
) -> None:
    assert Target("x", Samples((1.0, 2.0, 9.0)), least, most).reached is reached


def test_a_target_tells_its_bounds_and_its_aim() -> None:
    target = Target("x", Samples((1.0,)), 0.4, aim=0.45, form="{:.0%}")
    assert target.wanted == ">= 40% (aim 45%)"
    assert Target("x", Samples((1.0,)), 0.85, 1.15).wanted == ">= 0.85 x and <= 1.15 x"


def test_an_unknown_figure_is_named_with_those_there_are() -> None:
    rounds = Rounds({"a": [{"p50_us": 1.0}]})
    with pytest.raises(KeyError, match=r"no figure 'p99_us'.*p50_us"):
        rounds.samples("a", "p99_us")


@pytest.mark.parametrize(
    ("values", "reached", "sure"),
    [
        ((3.0, 4.0, 5.0), True, True),
        ((1.0, 4.0, 5.0), True, False),
        ((1.0, 1.5, 5.0), False, False),
        ((1.0, 1.5, 1.9), False, True),
    ],
)
def test_a_verdict_is_sure_when_every_round_says_what_the_median_says(
    values: tuple[float, ...], reached: bool, sure: bool
) -> None:
    target = Target("x", Samples(values), 2.0)
    assert (target.reached, target.sure) == (reached, sure)
