"""Files that somebody damaged: what can't be read is said, and what is read is true. Never a shorter story.

A byte that changes inside a payload is beyond what a log without checksums can tell. So the damage here is
what disks and copies do: pages of rubbish, and ends that are missing.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from aftertide import (
    AftertideError,
    CommandRejected,
    InvariantViolation,
    Limits,
    RecordedEvent,
    Runtime,
    View,
)
from tests.torture.audit import Found, audit
from tests.torture.clients import ACCOUNTS, MORE_THAN_ANYBODY_HAS
from tests.torture.market import ACCOUNT, ORDER, AnyEvent, Withdraw
from tests.torture.reckoning import Reckoning
from tests.torture.shop import VIEWS, open_shop
from tests.torture.torment import Torment, quick_and_long

PAGE = 4_096
AnyView = View[Any, Any, Any]


@dataclass
class Masters:
    """The same market twice: as a crash left it, all in the write-ahead logs, and as closing left it."""

    crashed: Path
    closed: Path
    events: list[RecordedEvent[AnyEvent]]
    found: Found


async def make_masters(tmp_path: Path, random: Random) -> Masters:
    folder, crashed = tmp_path / "closed", tmp_path / "crashed"
    folder.mkdir()
    async with open_shop(folder / "market.db", folder / "market.views", random) as shop:
        await shop.clients.work(8, 600)
        await shop.runtime.settle()
        events = [event async for event in shop.runtime.read()]
        shutil.copytree(folder, crashed, ignore=shutil.ignore_patterns("*-shm"))
    found = audit(shop.database, shop.book, shop.views, settled=True)
    return Masters(crashed, folder, events, found)


# ---- damages: each takes the folder and says what it did


def rubbish_in_a_page(folder: Path, random: Random) -> str:
    path = random.choice([folder / "market.db", *sorted((folder / "market.views").glob("*.db"))])
    content = bytearray(path.read_bytes())
    pages = [random.randrange(len(content) // PAGE) for _ in range(random.randint(1, 3))]
    for page in pages:
        content[page * PAGE : (page + 1) * PAGE] = random.randbytes(PAGE)
    path.write_bytes(content)
    return f"rubbish in pages {[page + 1 for page in pages]} of {path.name}"


def rubbish_in_the_log(folder: Path, random: Random) -> str:
    path = folder / "market.db"
    content = bytearray(path.read_bytes())
    at, length = random.randrange(len(content)), random.randint(64, 512)
    content[at : at + length] = random.randbytes(len(content[at : at + length]))
    path.write_bytes(content)
    return f"{length} bytes of rubbish at {at} of {path.name}"


def a_missing_end(folder: Path, random: Random) -> str:
    path = random.choice([folder / "market.db", *sorted((folder / "market.views").glob("*.db"))])
    size = path.stat().st_size
    left = random.choice((0, PAGE, random.randrange(size), random.randrange(size) // PAGE * PAGE))
    with open(path, "r+b") as file:
        file.truncate(left)
    return f"{path.name} of {size} bytes was cut to {left}"


def wal_of(folder: Path, random: Random) -> Path:
    return random.choice(
        [folder / "market.db-wal", *sorted((folder / "market.views").glob("*.db-wal"))]
    )


def a_shorter_wal(folder: Path, random: Random) -> str:
    path = wal_of(folder, random)
    size = path.stat().st_size
    left = random.choice((0, random.randrange(size), size - random.randint(1, 5_000)))
    with open(path, "r+b") as file:
        file.truncate(max(left, 0))
    return f"{path.name} of {size} bytes was cut to {left}"


def rubbish_in_a_wal(folder: Path, random: Random) -> str:
    path = wal_of(folder, random)
    content = bytearray(path.read_bytes())
    at, length = random.randrange(len(content)), random.randint(1, 10_000)
    content[at : at + length] = random.randbytes(len(content[at : at + length]))
    path.write_bytes(content)
    return f"{length} bytes of rubbish at {at} of {path.name}"


DAMAGES: dict[Callable[[Path, Random], str], str] = {
    rubbish_in_a_page: "closed",
    rubbish_in_the_log: "closed",
    a_missing_end: "closed",
    a_shorter_wal: "crashed",
    rubbish_in_a_wal: "crashed",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@quick_and_long(2, 60)
async def test_a_damaged_file_is_refused_or_read_truly(
    damage: Callable[[Path, Random], str], torment: Torment, tmp_path: Path
) -> None:
    masters = await make_masters(tmp_path, Random(torment.seed))
    for number in range(1, torment.rounds + 1):
        folder = tmp_path / str(number)
        with torment.round(number) as random:
            shutil.copytree(getattr(masters, DAMAGES[damage]), folder)
            what = damage(folder, random)
            try:
                refused = await read_all(folder, masters, damage is not rubbish_in_the_log)
            except BaseException as error:
                error.add_note(what)
                raise
            torment.count(events=masters.found.events, refused=refused)
        shutil.rmtree(folder)


class Refusals:
    """Counts what was answered with a condition. Anything else that is raised is a failure."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def allowed(self) -> Iterator[None]:
        try:
            yield
        except AftertideError as error:
            if isinstance(error, InvariantViolation):
                raise
            self.count += 1


async def read_all(folder: Path, masters: Masters, states: bool) -> int:
    """Open the market and ask for everything; how often that was refused. What is answered must be true.

    Without `states`, not for the states of aggregates: a damage to part of an index page is none that SQLite
    notices, and a stream whose last events it hides looks like a shorter one.
    """
    refusals = Refusals()
    with refusals.allowed():
        async with Runtime.open(
            folder / "market.db",
            deciders=[ACCOUNT, ORDER],
            projections=[view.replicas(2) for view in VIEWS],
            limits=Limits(restarts=0, page_events=100),
        ) as runtime:
            await _read_log(runtime, masters, refusals)
            if states:
                await _quote_states(runtime, masters, refusals)
            with refusals.allowed():
                await runtime.settle(timeout=20)
            for view in VIEWS:
                for replica in (1, 2):
                    with refusals.allowed():
                        await _read_rows(runtime, masters, view, replica)
    return refusals.count


async def _read_log(runtime: Runtime, masters: Masters, refusals: Refusals) -> None:
    read: list[RecordedEvent[AnyEvent]] = []
    with refusals.allowed():
        async for event in runtime.read():
            read.append(event)  # noqa: PERF401 - what came before it broke off counts
        assert len(read) == masters.found.events, "the story is shorter, and nobody said so"
    assert read == masters.events[: len(read)]


async def _quote_states(runtime: Runtime, masters: Masters, refusals: Refusals) -> None:
    for number in range(ACCOUNTS):
        stream = f"account-a{number}"
        versions = [event.version for event in masters.found.log if event.stream == stream]
        state = f"{masters.found.reckoning.final_state(stream)}@{max(versions, default=0)}"
        with refusals.allowed():
            with pytest.raises(CommandRejected, match=f"^{state}$"):
                await runtime.execute(ACCOUNT, f"a{number}", Withdraw("", MORE_THAN_ANYBODY_HAS))


async def _read_rows(runtime: Runtime, masters: Masters, view: AnyView, replica: int) -> None:
    answers = await runtime.query(view, replica=replica)
    reckoning = Reckoning()
    for event in masters.found.log[: answers.freshness.position]:
        reckoning.add(event)
    rows = [list(astuple(row)) for row in answers.rows]
    assert rows == [row for _, row in sorted(reckoning.rows(view.name).items())]
