"""A disk that is full, a file that is locked: those who wrote get the condition, and then work goes on."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest

from aftertide import (
    AtLeast,
    CommandRejected,
    ProjectionStopped,
    Runtime,
    StoreFull,
)
from aftertide.stores.sqlite_events import SqliteEventStore
from aftertide.stores.sqlite_rows import SqliteReadStore, SqliteReadStores
from tests.torture.audit import Book, audit
from tests.torture.lives import KILLED, Life, Moment
from tests.torture.market import ACCOUNT, BALANCES, Deposit, Withdraw
from tests.torture.nursery import Nursery
from tests.torture.said import Failed
from tests.torture.shop import Shop, open_shop
from tests.torture.small_disk import small_disk
from tests.torture.torment import Torment, quick_and_long
from tests.torture.writer import Spec


def finish(shop: Shop, torment: Torment) -> None:
    """After closing: everything is there, views included."""
    found = audit(shop.database, shop.book, shop.views, settled=True)
    book = shop.book
    torment.count(
        events=found.events, acknowledged=len(book.acknowledged), refused=len(book.failed)
    )


@quick_and_long(1, 12)
async def test_a_full_disk_refuses_and_loses_nothing_and_once_it_is_freed_work_goes_on(
    torment: Torment, tmp_path: Path
) -> None:
    for number in range(1, torment.rounds + 1):
        with (
            torment.round(number) as random,
            small_disk(tmp_path / f"disk{number}", random) as disk,
        ):
            # Rows beside the log, or on a disk that has room: only one of them is full then.
            views = random.choice((disk.path, tmp_path / str(number))) / "market.views"
            views.parent.mkdir(exist_ok=True)
            clients = random.choice((1, 8, 40))
            async with open_shop(disk.path / "market.db", views, random) as shop:
                await shop.clients.work(clients, random.randint(1, 300))
                for _ in range(random.randint(1, 3)):
                    disk.fill(but_for_bytes=random.randint(0, 300_000))
                    await shop.work_until("StoreFull", clients)
                    await shop.clients.work(clients, 60)
                    disk.free()
                    await shop.recover(clients)
                assert set(shop.refused()) <= {"StoreFull", "ProjectionStopped"}
            finish(shop, torment)


@quick_and_long(1, 8)
def test_being_killed_on_a_full_disk_loses_nothing_either(
    nursery: Nursery, torment: Torment, tmp_path: Path
) -> None:
    for number in range(1, torment.rounds + 1):
        with (
            torment.round(number) as random,
            small_disk(tmp_path / f"disk{number}", random) as disk,
        ):
            database, views = disk.path / "market.db", disk.path / "market.views"
            book, seed = Book(), random.getrandbits(32)
            for life in range(1, 6):
                # So little that it can't even open, or enough to come some way.
                disk.fill(but_for_bytes=int(10 ** random.uniform(3, 5.6)))
                spec = Spec(str(database), str(views), f"life{life}", seed, answers=600)
                moment = Moment(Failed, random.randint(1, 40), 0.0)
                torment.count(kills=Life(nursery, spec, book, moment).end() == KILLED)
                audit(database, book, views, scratch=tmp_path)
            disk.free()
            settling = Spec(str(database), str(views), "last", seed, answers=50, settle=True)
            assert Life(nursery, settling, book).end() == 0
            found = audit(database, book, views, settled=True, scratch=tmp_path)
            torment.count(
                events=found.events, acknowledged=len(book.acknowledged), refused=len(book.failed)
            )


async def test_a_log_that_may_not_grow_refuses_and_loses_nothing_and_goes_on_once_it_may(
    tmp_path: Path,
) -> None:
    """For whoever may not mount a disk: SQLite's own limit fails the same statements in the same way."""
    random = Random(1)
    torment = Torment("", 1)
    async with open_shop(tmp_path / "market.db", tmp_path / "market.views", random) as shop:
        for _ in range(5):
            await shop.clients.work(8, random.randint(10, 200))
            await limit_pages(shop.runtime, 1)  # SQLite makes of it what the file has now
            await shop.work_until("StoreFull", 8)
            await limit_pages(shop.runtime, 1_000_000)
            await shop.recover(8)
        assert set(shop.refused()) == {"StoreFull"}
    finish(shop, torment)


async def limit_pages(runtime: Runtime, pages: int) -> None:
    store = cast("SqliteEventStore", runtime._events)
    await store._writer.run(
        lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}")
    )


async def test_a_rejection_that_rested_on_what_the_disk_refused_is_decided_again(
    tmp_path: Path,
) -> None:
    """A deposit is on its way to the disk while a withdrawal is refused because of its size. The disk refuses
    the deposit. The answer to the withdrawal must not speak of the deposit."""
    async with Runtime.open(tmp_path / "market.db", deciders=[ACCOUNT]) as runtime:
        await runtime.execute(ACCOUNT, "a", Deposit("first", 5))
        await limit_pages(runtime, 1)
        commands: list[tuple[str, Deposit | Withdraw]] = [
            ("a", Deposit("x" * 3_000, 10, parts=20)),
            ("a", Withdraw("big", 1_000)),
        ]
        full, rejected = await runtime.execute_many(ACCOUNT, commands)
        assert isinstance(full, StoreFull)
        assert isinstance(rejected, CommandRejected)
        assert str(rejected) == "5@1"

        await limit_pages(runtime, 1_000_000)
        _, rejected = await runtime.execute_many(ACCOUNT, commands)
        assert str(rejected) == "205@21"


# ---- locked by somebody else

HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Another process keeps a write transaction open on the file."""
    command = [sys.executable, "-S", "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield
        process.stdin.close()


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    functions: list[Any] = [
        SqliteEventStore.open.__func__,  # type: ignore[attr-defined]
        SqliteReadStore.open.__func__,  # type: ignore[attr-defined]
        SqliteReadStores.__init__,
    ]
    for function in functions:
        monkeypatch.setitem(function.__kwdefaults__, "busy_timeout_ms", 20)


@pytest.mark.usefixtures("short_patience")
@quick_and_long(1, 5)
async def test_a_log_locked_for_longer_than_patience_lasts_refuses_and_then_goes_on(
    torment: Torment, tmp_path: Path
) -> None:
    for number in range(1, torment.rounds + 1):
        with torment.round(number) as random:
            folder = tmp_path / str(number)
            folder.mkdir()
            database = folder / "market.db"
            async with open_shop(database, folder / "market.views", random) as shop:
                for _ in range(2):
                    await shop.clients.work(8, random.randint(1, 100))
                    with held(database):
                        await shop.work_until("StoreLocked", 8)
                    await shop.recover(8)
                assert set(shop.refused()) == {"StoreLocked"}
            finish(shop, torment)


@pytest.mark.usefixtures("short_patience")
async def test_a_read_store_that_is_locked_stops_its_replica_and_nothing_else(
    tmp_path: Path,
) -> None:
    views = tmp_path / "market.views"
    torment = Torment("", 1)
    async with open_shop(tmp_path / "market.db", views, Random(1)) as shop:
        await shop.clients.work(8, 100)
        await shop.runtime.settle()
        with held(views / "balances.db"):
            receipt = await shop.runtime.execute(ACCOUNT, "b", Deposit("held", 7))
            with pytest.raises(ProjectionStopped, match=r"balances/1.*holds its lock"):
                await shop.runtime.query(
                    BALANCES, "b", consistency=AtLeast(receipt.position), replica=1
                )
            answer = await shop.runtime.query(BALANCES, "b", consistency=AtLeast(receipt.position))
            assert answer.row is not None
            assert (answer.row.balance, answer.freshness.replica) == (7, "balances/2")
            await shop.clients.work(8, 100)
            assert shop.refused() == []
        await shop.recover(8)
    finish(shop, torment)
