"""What may not be written says so when it is opened, stays as it was, and is all there once it may."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from aftertide import StoreReadOnly
from tests.stores.unprivileged import unprivileged_folder
from tests.torture.audit import audit
from tests.torture.shop import open_shop


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    ("what", "bits"),
    [
        ("market.db", 0o444),
        (".", 0o555),
        ("market.views", 0o555),
        ("market.views/balances.db", 0o444),
        ("market.views/tallies-2.db", 0o000),
    ],
)
async def test_what_may_not_be_written_is_refused_by_name_and_stays_as_it_was(
    what: str, bits: int
) -> None:
    random = Random(1)
    with unprivileged_folder() as folder:
        database, views = folder / "market.db", folder / "market.views"
        async with open_shop(database, views, random) as shop:
            await shop.clients.work(8, 100)
            await shop.runtime.settle()
        before = contents(folder)
        with mode(folder / what, bits), pytest.raises(StoreReadOnly) as refused:
            async with open_shop(database, views, random):
                pass
        assert str(folder / what).removesuffix("/.") in str(refused.value)
        assert contents(folder) == before
        async with open_shop(database, views, random, shop.book) as again:
            await again.clients.work(8, 100)
            await again.runtime.settle()
        audit(database, shop.book, views, settled=True)


async def test_a_folder_that_is_closed_meanwhile_is_no_matter_to_who_has_it_open() -> None:
    """All files are there and open. Closing can't take the write-ahead logs away; the next opening reads them."""
    random = Random(2)
    with unprivileged_folder() as folder:
        database, views = folder / "market.db", folder / "market.views"
        async with open_shop(database, views, random) as shop:
            await shop.clients.work(8, 100)
            os.chmod(folder, 0o555)
            os.chmod(views, 0o555)
            await shop.clients.work(8, 100)
            await shop.runtime.settle()
        assert shop.book.failed == {}
        os.chmod(folder, 0o755)
        os.chmod(views, 0o755)
        audit(database, shop.book, views, settled=True)
        async with open_shop(database, views, random, shop.book) as again:
            await again.clients.work(8, 100)
            await again.runtime.settle()
        audit(database, again.book, views, settled=True)
