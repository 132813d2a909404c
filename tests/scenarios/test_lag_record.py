"""What was sampled of the lag, and its plot."""

from hypothesis import given
from hypothesis import strategies as st

from aftertide.scenarios.lag_record import MOST_SAMPLES, LagRecord, plot_lines


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=5 * MOST_SAMPLES))
def test_a_long_run_costs_no_more_memory_and_keeps_its_peak(samples: list[float]) -> None:
    record = LagRecord(0.01)
    for number, seconds in enumerate(samples):
        record.add([("view/1", seconds, number)])
    assert len(record.seconds["view/1"]) < MOST_SAMPLES
    assert record.peak_seconds == max(samples)
    (behind,) = record.summary()
    assert (behind.peak_seconds, behind.peak_events) == (max(samples), len(samples) - 1)


def test_the_interval_grows_as_neighbours_are_merged() -> None:
    record = LagRecord(0.01)
    for number in range(MOST_SAMPLES):
        record.add([("view/1", float(number), number)])
    assert record.every_seconds == 0.02
    assert record.seconds["view/1"] == [float(number) for number in range(1, MOST_SAMPLES, 2)]


def test_a_plot_has_its_peak_at_the_top_and_the_duration_below() -> None:
    lines = plot_lines([0.0, 0.5, 1.0], 30.0, width=60, height=2)
    assert lines == [
        "    1.00 s │  █",
        "         0 │ ██",
        "           └───",
        "            0 30.0 s",
    ]


def test_more_samples_than_columns_are_shown_by_their_peaks() -> None:
    lines = plot_lines([0.001, 0.004] * 100, 2.0, width=10, height=1)
    assert lines[0] == "      4 ms │" + "█" * 10


def test_a_run_without_lag_or_without_samples_is_plotted_too() -> None:
    assert plot_lines([0.0] * 5, 1.0, width=10, height=3)[0].strip() == "0 ms │"
    assert plot_lines([], 1.0, width=10, height=3) == ["  (nothing was sampled)"]
    assert LagRecord(0.01).peak_seconds == 0.0
