"""Rows in SQLite keep what every read store keeps, and survive what files go through."""

import asyncio
import signal
import sqlite3
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import make_dataclass
from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from aftertide.domain.errors import (
    NotADatabase,
    SchemaMismatch,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
)
from aftertide.domain.messages import Position
from aftertide.domain.ports import ReadStore, ReadStoreFactory
from aftertide.domain.select import Select
from aftertide.domain.view import View
from aftertide.stores.sqlite_header import WRITE_DATABASE
from aftertide.stores.sqlite_rows import SqliteReadStore, SqliteReadStores
from aftertide.stores.sqlite_table import Table
from tests.contracts.read_store import (
    ACCOUNTS,
    HOLDINGS,
    ORDERS,
    Account,
    Happened,
    Holding,
    Open,
    ReadStoreContract,
    account,
    accounts,
    kept,
    order,
)
from tests.stores.unprivileged import unprivileged_folder

Function = Callable[[sqlite3.Connection], Any]


async def on_writer(store: ReadStore, function: Function) -> object:
    return await cast("SqliteReadStore", store)._writer.run(function)


@contextmanager
def client(path: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else, with nothing but Python's sqlite3."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


class TestSqliteReadStore(ReadStoreContract):
    @pytest.fixture
    def factory(self, folder: Path) -> ReadStoreFactory:
        return SqliteReadStores(folder, busy_timeout_ms=0)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        return tmp_path / "views"

    @pytest.fixture
    def path(self, folder: Path) -> Path:
        return folder / "accounts.db"

    # ---- the file

    async def test_what_was_put_survives_closing_and_opening(self, open_store: Open) -> None:
        store = await open_store()
        rows = accounts(account("a", balance=1), account("b"))
        await store.put(rows, Position(5))
        await store.aclose()

        store = await open_store()
        assert store.checkpoint == 5
        assert await store.select(Select()) == (5, list(rows.values()))
        assert not cast("SqliteReadStore", store).rebuilt

    async def test_each_replica_has_a_file_of_its_own(self, open_store: Open, folder: Path) -> None:
        first, second = await open_store(), await open_store(replica=2)
        await first.put(accounts(account("a")), Position(1))
        assert second.checkpoint == 0
        for store in (first, second):
            await store.aclose()
        assert sorted(file.name for file in folder.iterdir()) == ["accounts-2.db", "accounts.db"]

    async def test_any_client_reads_plain_typed_columns(
        self, open_store: Open, folder: Path
    ) -> None:
        store = await open_store(ORDERS)
        await store.put({"a": order("a", tags=["x"], weight=1.5)}, Position(1))
        with client(folder / "orders.db") as connection:
            assert connection.execute("SELECT * FROM orders ORDER BY price DESC").fetchall() == [
                ("a", "1", "red", "2026-03-01T12:00:00+00:00", 0, '["x"]', 1.5)
            ]
            columns = connection.execute("SELECT name, type, pk FROM pragma_table_info('orders')")
            assert columns.fetchall() == [
                ("id", "TEXT", 1),
                ("price", "TEXT", 0),
                ("colour", "TEXT", 0),
                ("placed", "TEXT", 0),
                ("paid", "INTEGER", 0),
                ("tags", "TEXT", 0),
                ("weight", "REAL", 0),
            ]

    async def test_lookups_search_an_index_and_never_scan(self, open_store: Open) -> None:
        def plan(store: ReadStore, query: Select) -> list[str]:
            run: list[str] = []

            def ask(connection: sqlite3.Connection) -> None:
                statements: list[str] = []
                connection.set_trace_callback(statements.append)
                cast("SqliteReadStore", store)._table.select(connection, query)
                connection.set_trace_callback(None)
                found = connection.execute(f"EXPLAIN QUERY PLAN {statements[-1]}").fetchall()
                run.extend(row[3] for row in found)

            reader = sqlite3.connect(cast("SqliteReadStore", store).path, isolation_level=None)
            with closing(reader):
                ask(reader)
            return run

        store = await open_store()
        assert plan(store, Select(keys=["a"])) == ["SEARCH accounts USING PRIMARY KEY (id=?)"]
        [search, *_] = plan(store, Select(where={"bank": "x", "balance": 1}))
        assert search == "SEARCH accounts USING INDEX accounts_index_2 (bank=? AND balance=?)"
        assert plan(store, Select(limit=3)) == ["SCAN accounts"]  # in key order, so no sorting
        pairs = await open_store(HOLDINGS)
        steps = plan(pairs, Select(keys=[("a", 1), ("b", 2)]))
        assert "SEARCH holdings USING PRIMARY KEY (owner=? AND share=?)" in steps

    async def test_a_put_is_one_hop_and_so_is_a_query(self, open_store: Open) -> None:
        store = cast("SqliteReadStore", await open_store())
        rows = accounts(*(account(f"{number:04}") for number in range(1_000)))
        before = store._writer.hops, store._reader.hops
        await store.put({**rows, "a": None}, Position(1))
        await store.select(Select(where={"balance": [0, 1]}))
        await store.get(list(rows))
        assert (store._writer.hops, store._reader.hops) == (before[0] + 2, before[1] + 1)

    async def test_a_commit_between_position_and_rows_is_in_neither(
        self, open_store: Open, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = await open_store()
        await store.put(accounts(account("a", balance=1)), Position(1))
        select = Table.select

        def late(
            table: Table, connection: sqlite3.Connection, query: Select
        ) -> list[tuple[Any, ...]]:
            with client(path) as other:
                other.execute("BEGIN IMMEDIATE")
                other.execute("UPDATE accounts SET balance = 2")
                other.execute("UPDATE aftertide_checkpoint SET position = 2")
                other.execute("COMMIT")
            return select(table, connection, query)

        monkeypatch.setattr(Table, "select", late)
        assert await store.select(Select()) == (1, [account("a", balance=1)])
        monkeypatch.undo()
        assert await store.select(Select()) == (2, [account("a", balance=2)])

    # ---- another view, another version, another log

    @pytest.mark.parametrize(
        "changed",
        [
            View("accounts", row=Account, key="id", apply=kept, events=[Happened], version=2),
            View("accounts", row=Account, key="bank", apply=kept, events=[Happened]),
            View("accounts", row=Holding, key="owner", apply=kept, events=[Happened]),
        ],
        ids=["version", "key", "row"],
    )
    async def test_rows_of_a_changed_view_are_dropped_and_the_checkpoint_goes_back(
        self, open_store: Open, changed: View[Any, Any, Any]
    ) -> None:
        store = await open_store()
        await store.put(accounts(account("a")), Position(5))
        await store.aclose()

        store = await open_store(changed)
        assert cast("SqliteReadStore", store).rebuilt
        assert store.checkpoint == 0
        assert await store.select(Select()) == (0, [])
        await store.aclose()
        assert not cast("SqliteReadStore", await open_store(changed)).rebuilt

    async def test_changed_indexes_keep_the_rows(self, open_store: Open, path: Path) -> None:
        store = await open_store()
        await store.put(accounts(account("a")), Position(5))
        await store.aclose()

        changed: View[Any, Any, Any] = View(
            "accounts", row=Account, key="id", apply=kept, events=[Happened], indexes=["note"]
        )
        store = await open_store(changed)
        assert store.checkpoint == 5
        assert await store.get(["a"]) == {"a": account("a")}
        with client(path) as connection:
            found = connection.execute(
                "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql > ''"
            )
            assert found.fetchall() == [('CREATE INDEX "accounts_index_1" ON "accounts" ("note")',)]

    async def test_rows_of_a_table_that_somebody_dropped_are_built_anew(
        self, open_store: Open, path: Path
    ) -> None:
        store = await open_store()
        await store.put(accounts(account("a")), Position(5))
        await store.aclose()
        with client(path) as connection:
            connection.execute("DROP TABLE accounts")
        store = await open_store()
        assert (store.checkpoint, cast("SqliteReadStore", store).rebuilt) == (0, True)

    async def test_rows_of_another_log_are_refused_and_stay(self, open_store: Open) -> None:
        store = await open_store(database_id="one")
        await store.put(accounts(account("a")), Position(5))
        await store.aclose()

        with pytest.raises(
            SchemaMismatch, match=r"write database one, and this one is two.*Delete it"
        ):
            await open_store(database_id="two")
        store = await open_store(database_id="one")
        assert (store.checkpoint, await store.get(["a"])) == (5, {"a": account("a")})

    # ---- files that are something else

    @pytest.mark.parametrize(
        "content", [b"a note", b"\0" * 4096, b"SQLite format 4\0" + b"x" * 9000]
    )
    async def test_a_file_that_is_no_database_is_refused_and_stays(
        self, open_store: Open, path: Path, content: bytes
    ) -> None:
        path.parent.mkdir()
        path.write_bytes(content)
        with pytest.raises(NotADatabase, match=r"accounts\.db: it is not an SQLite database"):
            await open_store()
        assert path.read_bytes() == content
        assert [file.name for file in path.parent.iterdir()] == ["accounts.db"]

    @pytest.mark.parametrize(
        ("change", "error", "text"),
        [
            ("CREATE TABLE theirs (a)", NotADatabase, "another application"),
            ("PRAGMA user_version = 3", NotADatabase, "another application"),
            ("PRAGMA application_id = 77", NotADatabase, "application id 0x4d"),
            (f"PRAGMA application_id = {WRITE_DATABASE}", SchemaMismatch, "a write database of"),
        ],
    )
    async def test_a_database_of_somebody_else_is_refused_and_stays(
        self, open_store: Open, path: Path, change: str, error: type[Exception], text: str
    ) -> None:
        path.parent.mkdir()
        with client(path) as connection:
            connection.execute(change)
        before = path.read_bytes()
        with pytest.raises(error, match=text):
            await open_store()
        assert path.read_bytes() == before

    async def test_a_newer_schema_is_refused_and_stays(self, open_store: Open, path: Path) -> None:
        await (await open_store()).aclose()
        with client(path) as connection:
            connection.execute("PRAGMA user_version = 2")
        before = path.read_bytes()
        with pytest.raises(SchemaMismatch, match="schema version 2, of a newer Aftertide"):
            await open_store()
        assert path.read_bytes() == before

    # ---- what the world does

    async def test_a_transaction_that_a_crash_cut_off_leaves_no_trace(
        self, open_store: Open, path: Path
    ) -> None:
        store = await open_store()
        await store.put(accounts(account("a")), Position(1))
        await store.aclose()
        with client(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("DELETE FROM accounts")
            connection.execute("UPDATE aftertide_checkpoint SET position = 2")
        store = await open_store()
        assert await store.select(Select()) == (1, [account("a")])

    async def test_a_killed_writer_leaves_rows_and_checkpoint_of_one_put(
        self, open_store: Open, folder: Path
    ) -> None:
        writer = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED, str(folder), stdout=PIPE, cwd=Path(__file__).parents[2]
        )
        assert writer.stdout is not None
        for _ in range(20):
            assert await writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        said = (await writer.stdout.read()).split()
        await writer.wait()

        store = await open_store()
        position, rows = await store.select(Select())
        assert position >= (int(said[-1]) if said else 20)
        assert [row.balance for row in rows] == [position] * 50

    @pytest.mark.parametrize("how", ["natively", "by a scope"])
    async def test_a_cancelled_put_leaves_no_transaction_open(
        self, open_store: Open, path: Path, how: str
    ) -> None:
        store = await open_store()
        rows = accounts(*(account(f"{number:04}") for number in range(2_000)))

        async def putting() -> None:
            await store.put(rows, Position(2))

        if how == "natively":
            task = asyncio.create_task(putting())
            await anyio.lowlevel.checkpoint()
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        else:
            async with anyio.create_task_group() as group:
                group.start_soon(putting)
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
        await store.get([])
        with client(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            assert connection.execute("SELECT position FROM aftertide_checkpoint").fetchone() == (
                2,
            )
        # Its caller has left, and the put has happened: the store knows it.
        assert store.checkpoint == 2

    async def test_a_full_disk_fails_the_put_and_nothing_moves(self, open_store: Open) -> None:
        store = await open_store()
        await store.put(accounts(account("a")), Position(1))
        await on_writer(store, lambda connection: connection.execute("PRAGMA max_page_count = 1"))
        rows = accounts(*(account(f"{number}", note="x" * 500) for number in range(500)))
        with pytest.raises(StoreFull, match="no space left"):
            await store.put(rows, Position(2))

        assert store.checkpoint == 1
        assert await store.select(Select()) == (1, [account("a")])
        await on_writer(
            store, lambda connection: connection.execute("PRAGMA max_page_count = 99999")
        )
        await store.put(rows, Position(2))
        assert len((await store.select(Select()))[1]) == 501

    async def test_a_lock_held_by_another_process_fails_the_put_and_nothing_moves(
        self, open_store: Open, path: Path
    ) -> None:
        store = await open_store()
        with client(path) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreLocked, match="another connection holds its lock"):
                await store.put(accounts(account("a")), Position(1))
            assert (store.checkpoint, await store.select(Select())) == (0, (0, []))
        await store.put(accounts(account("a")), Position(1))
        assert await store.select(Select()) == (1, [account("a")])

    async def test_two_writers_of_one_file_never_mix_their_rows(self, open_store: Open) -> None:
        one, other = await open_store(), await open_store()
        await one.put(accounts(account("a", balance=1)), Position(3))
        with pytest.raises(
            StoreLocked, match=r"not at 0, where this runtime left it.*read_stores="
        ):
            await other.put(accounts(account("a", balance=2)), Position(9))
        assert await one.select(Select()) == (3, [account("a", balance=1)])

    async def test_a_file_without_permission_is_refused_by_name(self) -> None:
        with unprivileged_folder() as folder:
            stores = SqliteReadStores(folder)
            path = stores.path(ACCOUNTS, 1)
            await (await stores(ACCOUNTS, 1, "the-log")).aclose()
            path.chmod(0o444)
            with pytest.raises(
                StoreReadOnly, match=r"accounts\.db: this process may not .* the file"
            ):
                await stores(ACCOUNTS, 1, "the-log")
            path.chmod(0o644)
            folder.chmod(0o555)
            with pytest.raises(StoreReadOnly, match=r"may not write in the folder"):
                await stores(ACCOUNTS, 1, "the-log")
            folder.chmod(0o755)
            await (await stores(ACCOUNTS, 1, "the-log")).aclose()

    async def test_a_folder_that_can_not_be_made_is_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(StoreReadOnly, match="it is a file, and read stores need a folder"):
            await SqliteReadStores(tmp_path / "file")(ACCOUNTS, 1, "the-log")
        with pytest.raises(StoreReadOnly, match=r"its folder .*/no does not exist"):
            await SqliteReadStores(tmp_path / "no" / "views")(ACCOUNTS, 1, "the-log")


KILLED = """
import sys
import anyio
from aftertide.stores.sqlite_rows import SqliteReadStores
from tests.contracts.read_store import ACCOUNTS, account

async def main():
    store = await SqliteReadStores(sys.argv[1])(ACCOUNTS, 1, "the-log")
    for position in range(1, 1_000_000):
        rows = {f"{number:02}": account(f"{number:02}", balance=position) for number in range(50)}
        await store.put(rows, position)
        print(position, flush=True)

anyio.run(main)
"""


async def test_a_row_of_many_columns_is_stored_in_shorter_statements(tmp_path: Path) -> None:
    names = [f"c{number}" for number in range(1_000)]
    row: Any = make_dataclass("Many", [(name, int) for name in names])
    view: View[Any, Any, Any] = View("wide", row=row, key="c0", apply=kept, events=[Happened])
    store = await SqliteReadStores(tmp_path)(view, 1, "the-log")
    rows = {number: row(number, *range(1, 1_000)) for number in range(100)}
    try:
        # Some systems build SQLite with a higher limit.
        limit = sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER
        await on_writer(store, lambda writer: writer.setlimit(limit, 32_766))
        await store.put(rows, Position(1))
        assert await store.get(list(rows)) == rows
    finally:
        await store.aclose()
