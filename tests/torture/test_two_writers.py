"""Two processes write one file: conflicts are decided again, and the death of one is no matter to the other."""

from pathlib import Path
from random import Random

from tests.torture.audit import Book, audit
from tests.torture.lives import KILLED, Life, Moment
from tests.torture.nursery import Nursery
from tests.torture.said import Acknowledged
from tests.torture.torment import Torment, quick_and_long
from tests.torture.writer import Spec

MOST_VICTIMS = 50
"""A survivor that outlives so many hangs; a handful is usual."""


@quick_and_long(1, 15)
def test_two_writers_of_one_file_lose_and_double_nothing_when_one_of_them_is_killed(
    nursery: Nursery, torment: Torment, tmp_path: Path
) -> None:
    for number in range(1, torment.rounds + 1):
        folder = tmp_path / str(number)
        folder.mkdir()
        with torment.round(number) as random:
            _a_survivor_and_its_dying_neighbours(nursery, torment, folder, random)


def _a_survivor_and_its_dying_neighbours(
    nursery: Nursery, torment: Torment, folder: Path, random: Random
) -> None:
    book = Book()
    database = folder / "market.db"
    # Rows of one read store are one process's: each has a folder of its own.
    ours, theirs = folder / "survivor.views", folder / "victim.views"
    survivor = Life(
        nursery,
        Spec(
            str(database),
            str(ours),
            "survivor",
            random.getrandbits(32),
            8,
            random.randint(400, 1500),
        ),
        book,
    )
    number = 0
    while survivor.lives and number < MOST_VICTIMS:
        number += 1
        times = random.randint(1, 150)
        spec = Spec(str(database), str(theirs), f"victim{number}", random.getrandbits(32), 8)
        moment = Moment(Acknowledged, times, random.choice((0.0, random.uniform(0, 0.01))))
        assert Life(nursery, spec, book, moment).end() == KILLED
        torment.count(kills=1)
    assert survivor.end() == 0
    audit(database, book, ours, theirs)
    for name, views in (("survivor2", ours), ("victim0", theirs)):
        spec = Spec(str(database), str(views), name, torment.seed, answers=30, settle=True)
        assert Life(nursery, spec, book).end() == 0
    # Its views have not seen what the other wrote last; everything before that they have.
    audit(database, book, ours)
    found = audit(database, book, theirs, settled=True)
    assert {failed.error for failed in book.failed.values()} <= {"ConcurrencyConflict"}
    torment.count(events=found.events, acknowledged=len(book.acknowledged))
