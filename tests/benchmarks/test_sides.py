"""The sides do what they say, at a small size: counts and sums, no times."""

import itertools
import sys
from pathlib import Path

import pytest

from benchmarks.sides import ask, flights, future, idle, log, replay, runtime
from benchmarks.sides.log import Log


@pytest.mark.parametrize("clients", [1, 7, 100])
def test_w_counts_its_commands_and_hops_once_per_commit(tmp_path: Path, clients: int) -> None:
    figures = runtime.workload(str(tmp_path), clients=clients, commands=200, accounts=10)
    assert figures["commands"] == 200
    assert figures["hops_per_transaction"] == 1
    assert figures["transactions_per_1000"] <= 1_000
    with Log(tmp_path / "bank.db") as written:
        assert written.head == 210  # the warm-up is one deposit per account


def test_one_client_needs_a_commit_per_command(tmp_path: Path) -> None:
    figures = runtime.workload(str(tmp_path), clients=1, commands=20, accounts=2)
    assert figures["transactions_per_1000"] == 1_000


def test_w_on_a_file_that_has_a_past_adds_to_it(tmp_path: Path) -> None:
    database = str(tmp_path / "bank.db")
    log.build(database, events=300, accounts=5, prefix="h")
    runtime.workload(str(tmp_path), clients=5, commands=50, accounts=5, database=database)
    with Log(database) as written:
        assert written.head == 300 + 5 + 50


@pytest.mark.parametrize("side", [log.executemany, log.multi_row_values, log.commit_each])
def test_the_limit_writes_rows_that_the_runtime_reads(tmp_path: Path, side: object) -> None:
    assert callable(side)
    side(str(tmp_path), commands=2_000, accounts=3)
    figures = replay.replay(str(tmp_path), str(tmp_path / "bank.db"), memory=True)
    assert figures["commands"] == 2_003


def test_a_built_log_is_dense_and_spread_evenly(tmp_path: Path) -> None:
    database = tmp_path / "long.db"
    log.build(str(database), events=30_007, accounts=10, prefix="a")
    with Log(database) as built:
        assert built.head == 30_007
        (events,) = built.connection.execute("SELECT count(*) FROM events").fetchone()
        counts = [
            count
            for (count,) in built.connection.execute("SELECT count(*) FROM events GROUP BY stream")
        ]
    assert events == 30_007
    assert (min(counts), max(counts)) == (3_000, 3_001)


def test_rows_follow_what_the_runtime_wrote(tmp_path: Path) -> None:
    database = tmp_path / "log.db"
    log.build(str(database), events=4, accounts=2, prefix="a")
    with Log(database) as built:
        written = built.connection.execute(
            f"SELECT {log.COLUMNS} FROM events ORDER BY position"
        ).fetchall()
        following = list(itertools.islice(built.rows(), 4))
    assert [row[0] for row in following] == [5, 6, 7, 8]
    assert [row[1:3] for row in following] == [(1, 3), (2, 3), (1, 4), (2, 4)]
    assert {row[3:5] + row[6:8] for row in following} == {written[-1][3:5] + written[-1][6:8]}
    ids = [row[5] for row in (*written, *following)]
    assert len({len(id) for id in ids}) == 1
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("memory", [True, False])
def test_a_replay_reads_the_whole_log(tmp_path: Path, memory: bool) -> None:
    database = str(tmp_path / "long.db")
    log.build(database, events=2_500, accounts=10, prefix="a")
    assert log.fetchmany(database)["commands"] == 2_500
    folder = tmp_path / "views"
    folder.mkdir()
    assert replay.replay(str(folder), database, memory)["commands"] == 2_500


def test_a_sum_that_is_wrong_is_no_measurement(tmp_path: Path) -> None:
    database = str(tmp_path / "long.db")
    log.build(database, events=20, accounts=10, prefix="a")
    replay.replay(str(tmp_path), database, memory=False)
    with Log(database) as changed:
        changed.connection.execute(
            "UPDATE events SET data = ? WHERE position = 1", (b'{"amount":8}',)
        )
    with pytest.raises(RuntimeError, match="do not sum up"):
        replay.replay(str(tmp_path), database, memory=False)


def test_commands_beside_a_replay_are_as_many_as_in_the_quiet(tmp_path: Path) -> None:
    database = str(tmp_path / "long.db")
    log.build(database, events=1_000, accounts=10, prefix="a")
    figures = replay.beside(str(tmp_path), database, clients=5, commands=50)
    assert figures["beside_commands"] == figures["quiet_commands"] == 50
    assert figures["history"] == 1_000


def test_an_activation_and_its_baseline_fold_the_same_streams(tmp_path: Path) -> None:
    database = str(tmp_path / "past.db")
    log.build(database, events=200, accounts=20, prefix="a")
    assert set(replay.activations(database, accounts=20)) == {"bare_us", "activation_us"}


def test_every_idle_aggregate_is_active_when_it_is_weighed(tmp_path: Path) -> None:
    figures = idle.actors(str(tmp_path), count=6_000)
    assert figures["active"] == 6_000
    assert figures["bytes_per_actor"] > 0


@pytest.mark.parametrize("clients", [1, 10])
def test_asks_and_futures_are_counted_alike(clients: int) -> None:
    assert ask.asks(clients, actors=clients, count=100)["commands"] == 100
    assert future.round_trips(clients, count=100)["commands"] == 100


def test_the_peer_deposits_and_projects_all(tmp_path: Path) -> None:
    pytest.importorskip("eventsourcing", reason="the bench extra is not installed")
    from benchmarks.sides import peer

    # It checks the sum of its balances itself.
    assert peer.with_projection(str(tmp_path), commands=30, accounts=5)["commands"] == 30
    (tmp_path / "alone").mkdir()
    assert peer.commands(str(tmp_path / "alone"), commands=30, accounts=5)["commands"] == 30


def test_actors_of_other_libraries_answer_every_ask() -> None:
    pytest.importorskip("pykka", reason="the bench extra is not installed")
    pytest.importorskip("thespian", reason="the bench extra is not installed")
    from benchmarks.sides import threads

    assert threads.pykka(10)["commands"] == 10
    assert threads.thespian(10)["commands"] == 10


def test_memory_of_a_replay_is_compared_after_caches_are_full_and_before_the_check() -> None:
    # One second until the interpreter stands, eight of replay, two of the scenario's own check.
    samples = [(float(second), memory) for second, memory in enumerate(MEMORY)] + [(11.0, 0)]
    measured = flights.Measured(
        commands_per_second=1.0,
        replay_seconds=8.0,
        seconds=10.0,
        events=100,
        rejected=0,
        malformed=0,
    )
    figures = flights.memory_figures(samples, measured)
    assert figures["replay_memory_bytes"] == 1_730
    assert figures["bytes_per_event"] == pytest.approx((1_730 - 1_100) / 48)


MEMORY = [10, 500, 900, 1_000, 1_010, 1_100, 1_200, 1_300, 1_730, 5_000, 9_000]


def test_where_no_memory_is_seen_there_is_no_figure_of_it() -> None:
    measured = flights.Measured(1.0, 8.0, 10.0, 100, 0, 0)
    assert flights.memory_figures([(11.0, 0)], measured) == {}


def test_a_watched_process_brings_its_output_and_its_exit_code() -> None:
    code = "import sys; print('said'); sys.exit(3)"
    samples, output, ended = flights.watched([sys.executable, "-c", code])
    assert (output, ended) == ("said\n", 3)
    assert samples[-1][1] == 0
