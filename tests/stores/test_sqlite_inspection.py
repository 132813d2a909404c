"""Looking at databases from outside changes nothing, disturbs nobody, and says what is there."""

import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from aftertide import (
    AtLeast,
    Decider,
    Lag,
    NotADatabase,
    Position,
    RecordedEvent,
    Runtime,
    SchemaMismatch,
    View,
)
from aftertide.stores import sqlite_inspection
from aftertide.stores.sqlite_inspection import PAGE_EVENTS, Category, Checkpoint, WriteDatabase
from tests.stores.unprivileged import unprivileged_folder


@dataclass(frozen=True)
class Count:
    by: int


@dataclass(frozen=True)
class Counted:
    by: int


@dataclass(frozen=True)
class Total:
    counter: str
    total: int


def decide(command: Count, total: int) -> Sequence[Counted]:
    return [Counted(command.by)]


def evolve(total: int, event: Counted) -> int:
    return total + event.by


def apply(row: Total | None, event: RecordedEvent[Counted], counter: str) -> Total:
    return Total(counter, (row.total if row else 0) + event.event.by)


COUNTER = Decider("counter", 0, decide, evolve)
OTHER = Decider("other", 0, decide, evolve)
TOTALS = View("totals", row=Total, key="counter", apply=apply)


@asynccontextmanager
async def runtime(path: Path, lag: Lag = Lag.none()) -> AsyncIterator[Runtime]:  # noqa: B008 - frozen
    projections = [TOTALS.replicas(2, lag=[Lag.none(), lag])]
    async with Runtime.open(path, deciders=[COUNTER, OTHER], projections=projections) as opened:
        yield opened


async def written(path: Path) -> None:
    async with runtime(path) as opened:
        for id in ("a", "b", "a"):
            await opened.execute(COUNTER, id, Count(1), metadata={"by": "test"})
        await opened.execute(OTHER, "a-b", Count(2))
        await opened.settle()


async def test_streams_categories_and_head_are_what_was_written(tmp_path: Path) -> None:
    await written(tmp_path / "c.db")
    with WriteDatabase(tmp_path / "c.db") as database:
        assert database.head == 4
        assert database.categories() == [Category("counter", 2, 3), Category("other", 1, 1)]
        assert database.streams(-1) == [("counter-a", 2), ("counter-b", 1), ("other-a-b", 1)]
        assert database.streams(1) == [("counter-a", 2)]


async def test_events_come_in_order_from_a_position_and_of_a_stream(tmp_path: Path) -> None:
    await written(tmp_path / "c.db")
    with WriteDatabase(tmp_path / "c.db") as database:
        events = list(database.events())
        assert [(each.position, each.stream, each.version, each.type) for each in events] == [
            (1, "counter-a", 1, "Counted"),
            (2, "counter-b", 1, "Counted"),
            (3, "counter-a", 2, "Counted"),
            (4, "other-a-b", 1, "Counted"),
        ]
        assert events[0].data == '{"by":1}'
        assert events[0].context == '{"metadata":{"by":"test"}}'
        assert events[0].recorded_at == database.recorded_at(1)
        assert [each.position for each in database.events(after=2)] == [3, 4]
        assert [each.position for each in database.events(stream="counter-a")] == [1, 3]
        assert [each.position for each in database.events(stream="counter-a", after=1)] == [3]
        assert list(database.events(stream="nobody")) == []


async def test_more_events_than_a_page_come_without_a_gap(tmp_path: Path) -> None:
    many = PAGE_EVENTS * 2 + 7
    async with runtime(tmp_path / "c.db") as opened:
        await opened.execute_many(COUNTER, [(str(i % 5), Count(i)) for i in range(many)])
    with WriteDatabase(tmp_path / "c.db") as database:
        assert [each.position for each in database.events()] == list(range(1, many + 1))
        assert len(list(database.events(stream="counter-3"))) == len(range(3, many, 5))


async def test_checkpoints_say_how_far_each_replica_has_come(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    async with runtime(path, Lag.constant(3_600.0)) as opened:
        await opened.execute(COUNTER, "a", Count(1))
        await opened.execute(COUNTER, "b", Count(1))
        await opened.query(TOTALS, replica=1, consistency=AtLeast(Position(2)))
    with WriteDatabase(path) as database:
        oldest = database.recorded_at(1)
        assert oldest is not None
        assert database.checkpoints(tmp_path / "c.views", now=oldest + 60.0) == [
            Checkpoint("totals/1", Position(2), 0, 0.0, 2),
            Checkpoint("totals/2", Position(0), 2, 60.0, 0),
        ]
        assert database.checkpoints(tmp_path / "nowhere", 0.0) == []


async def test_a_database_in_use_is_read_up_to_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_inspection, "PAGE_EVENTS", 1)
    path = tmp_path / "c.db"
    async with runtime(path) as opened:
        await opened.execute(COUNTER, "a", Count(1))
        with WriteDatabase(path) as database:
            assert database.head == 1
            events = database.events()
            assert next(events).position == 1
            await opened.execute(COUNTER, "a", Count(1))  # nobody is locked out
            assert database.head == 2
            assert list(events) == []  # up to the head at the beginning


async def test_read_stores_that_say_nothing_are_named_with_the_reason(tmp_path: Path) -> None:
    await written(tmp_path / "c.db")
    await written(tmp_path / "d.db")
    folder = tmp_path / "c.views"
    (folder / "junk.db").write_text("no database, but long enough to be one" * 100)
    (tmp_path / "d.views" / "totals.db").rename(folder / "theirs.db")
    with WriteDatabase(tmp_path / "c.db") as database:
        problems = {each.replica: each.problem for each in database.checkpoints(folder, 0.0)}
    assert problems["totals/1"] is None
    assert "not an SQLite database" in (problems["junk/1"] or "")
    assert "another write database" in (problems["theirs/1"] or "")


async def test_what_is_no_write_database_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    await written(tmp_path / "c.db")
    text, empty, foreign = tmp_path / "t.txt", tmp_path / "empty.db", tmp_path / "foreign.db"
    text.write_text("hello")
    empty.touch()
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE t (x)")
    connection.close()
    for path, error, reason in (
        (tmp_path / "nowhere.db", NotADatabase, "there is no such file"),
        (tmp_path, NotADatabase, r"it is a folder\. Name a database in it: .*c\.db"),
        (text, NotADatabase, "not an SQLite database"),
        (empty, NotADatabase, "nobody has written into it"),
        (foreign, NotADatabase, "of another application"),
        (tmp_path / "c.views" / "totals.db", SchemaMismatch, "it is a read store"),
    ):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(error, match=reason):
            WriteDatabase(path)
        assert (path.read_bytes() if path.is_file() else None) == before


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    await written(tmp_path / "c.db")
    connection = sqlite3.connect(tmp_path / "c.db")
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(SchemaMismatch, match="newer Aftertide"):
        WriteDatabase(tmp_path / "c.db")


async def test_a_database_in_a_folder_that_may_not_be_written_is_read() -> None:
    with unprivileged_folder() as folder:
        await written(folder / "c.db")
        for each in (folder / "c.views", folder):
            each.chmod(0o555)
        try:
            with WriteDatabase(folder / "c.db") as database:
                assert database.head == 4
                assert [
                    each.position for each in database.checkpoints(folder / "c.views", 0.0)
                ] == [4, 4]
            assert sorted(os.listdir(folder)) == ["c.db", "c.views"]
        finally:
            for each in (folder, folder / "c.views"):
                each.chmod(0o755)


@pytest.mark.parametrize("name", ["with space.db", "per%cent.db", "hash#mark?.db", "ünïcode.db"])
async def test_any_name_of_a_file_will_do(tmp_path: Path, name: str) -> None:
    await written(tmp_path / name)
    with WriteDatabase(tmp_path / name) as database:
        assert database.head == 4
