"""The log in a file keeps what every event store keeps, and what only a file can."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from anyio.lowlevel import checkpoint

from aftertide.domain.errors import (
    NotADatabase,
    SchemaMismatch,
    StoreFull,
    StoreReadOnly,
    StoreUnavailable,
)
from aftertide.domain.messages import Append, NewEvent, Position, Version
from aftertide.domain.ports import EventStore
from aftertide.stores.sqlite_events import SqliteEventStore
from tests.contracts.event_store import EventStoreContract, append, commit, everything, texts


class TestSqliteEventStore(EventStoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[EventStore]:
        store = await SqliteEventStore.open(tmp_path / "log.db", synchronous="OFF")
        yield store
        await store.aclose()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


async def filled(path: Path) -> None:
    store = await SqliteEventStore.open(path)
    await commit(store, append("alice", 0, "1", "2"))
    await store.aclose()


async def test_what_was_committed_is_there_after_opening_again(path: Path) -> None:
    store = await SqliteEventStore.open(path)
    name = store.database_id
    await commit(store, append("alice", 0, "1", "2"))
    await store.aclose()

    again = await SqliteEventStore.open(path)
    try:
        assert again.database_id == name
        assert texts(await everything(again)) == [("alice", 1, "1"), ("alice", 2, "2")]
    finally:
        await again.aclose()


@pytest.mark.parametrize("turns", range(1, 6))
async def test_a_close_that_is_cancelled_leaves_no_connection_open(path: Path, turns: int) -> None:
    store = await SqliteEventStore.open(path)
    threads = [thread._connection._thread for thread in (store._writer, *store._readers)]
    leaving = asyncio.create_task(store.aclose())
    for _ in range(turns):
        await checkpoint()
    leaving.cancel()
    await asyncio.wait([leaving])
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


async def test_another_writer_of_the_file_is_seen_as_a_conflict(path: Path) -> None:
    ours, theirs = await SqliteEventStore.open(path), await SqliteEventStore.open(path)
    try:
        first = await commit(ours, append("alice", 0, "1"))
        key = first.stream_keys[0]
        await commit(theirs, append("alice", 1, "2"))

        # Ours believes version 1 still: what it remembers is too low, and the index says so.
        lost = await commit(ours, append("alice", 1, "late", key=key), append("bob", 0, "b"))

        assert lost.conflicts == {0: 2}
        assert (lost.head_before, lost.head) == (2, 3)
        assert (await commit(ours, append("alice", 2, "3", key=key))).head == 4
        assert texts(await everything(theirs)) == [
            ("alice", 1, "1"),
            ("alice", 2, "2"),
            ("bob", 1, "b"),
            ("alice", 3, "3"),
        ]
    finally:
        await ours.aclose()
        await theirs.aclose()


async def test_a_failed_transaction_is_forgotten_whole(path: Path) -> None:
    store = await SqliteEventStore.open(path)
    try:
        first = await commit(store, append("alice", 0, "1"))
        key = first.stream_keys[0]
        await store._writer.run(lambda c: c.execute("PRAGMA max_page_count = 1"))
        with pytest.raises(StoreFull):
            await commit(store, append("alice", 1, "x" * 100_000, key=key))
        await store._writer.run(lambda c: c.execute("PRAGMA max_page_count = 1000000"))

        # Had it believed its own writing, this would leave a gap.
        assert (await commit(store, append("alice", 2, "3", key=key))).conflicts == {0: 1}
        assert (await commit(store, append("alice", 1, "2", key=key))).conflicts == {}
        assert texts(await everything(store)) == [("alice", 1, "1"), ("alice", 2, "2")]
    finally:
        await store.aclose()


async def test_a_usual_batch_is_one_statement(path: Path) -> None:
    store = await SqliteEventStore.open(path)
    try:
        first = await commit(store, *(append(f"a{n}", 0, "1") for n in range(300)))
        statements: list[str] = []
        await store._writer.run(lambda c: c.set_trace_callback(statements.append))
        await commit(
            store, *(append(f"a{n}", 1, "2", key=key) for n, key in first.stream_keys.items())
        )
        await store._writer.run(lambda c: c.set_trace_callback(None))
        # What its trigger does is told under the same text; BEGIN and COMMIT would be others.
        assert len(set(statements)) == 1
        assert statements[0].startswith("INSERT INTO events")
    finally:
        await store.aclose()


async def test_any_sql_client_reads_the_log(path: Path) -> None:
    await filled(path)
    with sqlite3.connect(path) as connection:
        rows = connection.execute(
            "SELECT position, stream, version, type, data ->> '$' FROM log"
        ).fetchall()
    connection.close()
    assert rows == [
        (1, "account-alice", 1, "Deposited", 1),
        (2, "account-alice", 2, "Deposited", 2),
    ]


async def test_a_store_of_payloads_that_are_no_text_keeps_their_bytes(path: Path) -> None:
    store = await SqliteEventStore.open(path, text=False)
    try:
        data = b"\xff\x00\xfe"
        await store.append(
            [Append("account", "a", Version(0), [NewEvent("T", data, None, "c", "")])], 1.0
        )
        assert (await store.read(Position(0), 9)).rows[0][7] == data
    finally:
        await store.aclose()


async def test_a_file_that_is_no_database_is_refused_unchanged(path: Path) -> None:
    path.write_bytes(b"this is a letter, not a database" * 100)
    with pytest.raises(NotADatabase, match=r"log\.db"):
        await SqliteEventStore.open(path)
    assert path.read_bytes() == b"this is a letter, not a database" * 100


async def test_a_newer_schema_is_refused_unchanged(path: Path) -> None:
    await filled(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaMismatch, match="99"):
        await SqliteEventStore.open(path)


async def test_a_folder_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreReadOnly, match="Create the folder"):
        await SqliteEventStore.open(tmp_path / "nowhere" / "log.db")


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("DELETE FROM events WHERE position = 2", "3 was read where position 2 should be"),
        ("UPDATE events SET position = 9 WHERE position = 3", "9 was read where position 3"),
        ("DELETE FROM streams", "an event is of stream 1, which has no name"),
        ("DELETE FROM types", "an event is of type 1, which has no name"),
        ("UPDATE events SET command = CAST(x'ff' AS TEXT)", "Could not decode to UTF-8"),
    ],
)
async def test_a_log_that_can_not_be_what_was_written_is_not_read(
    path: Path, damage: str, problem: str
) -> None:
    store = await SqliteEventStore.open(path)
    await commit(store, append("alice", 0, "1", "2", "3"))
    await store.aclose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(damage)
    store = await SqliteEventStore.open(path)
    try:
        with pytest.raises(StoreUnavailable, match=f"the file is damaged; .*{problem}"):
            await everything(store)
        # A page that ends before it is still good.
        if "position" in problem:
            assert texts(await store.read(Position(0), 1)) == [("alice", 1, "1")]
    finally:
        await store.aclose()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (
            "UPDATE events SET version = 4 WHERE version = 3",
            "0 was read where version 3 of stream 1 should be",
        ),
        ("DELETE FROM types", "an event is of type 1, which has no name"),
    ],
)
async def test_a_stream_that_can_not_be_what_was_written_is_no_state(
    path: Path, damage: str, problem: str
) -> None:
    store = await SqliteEventStore.open(path)
    await commit(store, append("alice", 0, "1", "2", "3"))
    await store.aclose()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(damage)
    store = await SqliteEventStore.open(path)
    try:
        with pytest.raises(StoreUnavailable, match=f"the file is damaged; {problem}"):
            await store.load([("account", "alice", Version(0))], 100)
        with pytest.raises(StoreUnavailable, match=f"the file is damaged; {problem}"):
            await store.read_stream("account", "alice", Version(0), 100)
    finally:
        await store.aclose()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE streams SET name = x'00'", "an event is of stream 1, which has no name"),
        ("UPDATE types SET name = x'00'", "an event is of type 1, which has no name"),
        ("DELETE FROM aftertide_meta", "the name that it was given when it was made is gone"),
    ],
)
async def test_a_name_that_became_something_else_is_told_as_damage(
    path: Path, damage: str, problem: str
) -> None:
    await filled(path)
    for statement in (
        "UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '')",  # which would refuse the damage
        damage,
    ):
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute(statement)

    async def read() -> None:
        store = await SqliteEventStore.open(path)
        try:
            await everything(store)
        finally:
            await store.aclose()

    with pytest.raises(StoreUnavailable, match=f"the file is damaged; {problem}"):
        await read()


async def test_a_file_whose_last_page_is_cut_is_refused_and_stays(path: Path) -> None:
    """SQLite would fill it up with zeros, and rows in it would be NULLs."""
    await filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(StoreUnavailable, match=r"its end is missing: \d+ bytes are no whole pages"):
        await SqliteEventStore.open(path)
    assert path.read_bytes() == whole[:-100]
