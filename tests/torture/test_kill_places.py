"""kill -9 at named places: on both sides of every commit, inside it, and between the stations.

The moments nobody chooses come to these places now and then; here each is met by design.
"""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from tests.torture.audit import Book, audit
from tests.torture.lives import KILLED, Life
from tests.torture.nursery import Nursery
from tests.torture.torment import Torment, long_only, quick_and_long
from tests.torture.traps import MAKINGS, OPENING, PLACES, Trap
from tests.torture.writer import Spec


@pytest.mark.parametrize("place", PLACES)
@long_only(5)
def test_nothing_is_lost_or_doubled_by_a_kill(
    place: str, nursery: Nursery, torment: Torment, tmp_path: Path
) -> None:
    _die_at([place], nursery, torment, tmp_path)


@quick_and_long(5, 15)
def test_nothing_is_lost_or_doubled_by_a_kill_at_some_of_the_places(
    nursery: Nursery, torment: Torment, tmp_path: Path
) -> None:
    _die_at(PLACES, nursery, torment, tmp_path)


def _die_at(places: Sequence[str], nursery: Nursery, torment: Torment, tmp_path: Path) -> None:
    database, views = tmp_path / "market.db", tmp_path / "market.views"
    book = Book()
    for number in range(1, torment.rounds + 1):
        with torment.round(number) as random:
            # Now at the first time that somebody comes there, now when all is warm.
            trap = Trap(random.choice(places), random.choice((1, 2, random.randint(3, 25))))
            spec = Spec(
                str(database),
                str(views),
                f"life{number}",
                random.getrandbits(32),
                clients=random.choice((1, 8, 40)),
                trap=trap,
            )
            assert Life(nursery, spec, book).end() == KILLED, f"nobody came to {trap}"
            torment.count(kills=1)
            audit(database, book, views)
            if number < torment.rounds:
                continue
            settling = Spec(str(database), str(views), "last", spec.seed, answers=50, settle=True)
            assert Life(nursery, settling, book).end() == 0
            found = audit(database, book, views, settled=True)
            assert not book.failed
            torment.count(events=found.events, acknowledged=len(book.acknowledged))


@quick_and_long(3, MAKINGS)
def test_files_that_a_kill_left_half_made_are_opened_and_finished(
    nursery: Nursery, torment: Torment, tmp_path: Path
) -> None:
    """The first opening of all files is killed at each of its statements; a few of them, in a quick run."""
    statements = list(range(1, MAKINGS + 1))
    Random(torment.seed).shuffle(statements)
    for number in range(1, torment.rounds + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        database, views = folder / "market.db", folder / "market.views"
        book = Book()
        with torment.round(number) as random:
            nth = statements[(number - 1) % MAKINGS]
            seed = random.getrandbits(32)
            spec = Spec(str(database), str(views), "first", seed, trap=Trap(OPENING, nth))
            torment.count(kills=Life(nursery, spec, book).end() == KILLED)
            audit(database, book, views)
            settling = Spec(str(database), str(views), "next", seed, answers=20, settle=True)
            assert Life(nursery, settling, book).end() == 0
            found = audit(database, book, views, settled=True)
            torment.count(events=found.events, acknowledged=len(book.acknowledged))
