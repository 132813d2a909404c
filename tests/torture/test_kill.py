"""kill -9, again and again, at moments nobody chose: what was acknowledged is there, once, and in its place."""

import shutil
from pathlib import Path

from tests.torture.audit import Book, audit
from tests.torture.lives import KILLED, Life, Moment
from tests.torture.nursery import Nursery
from tests.torture.torment import Torment, quick_and_long
from tests.torture.writer import Spec

ROUNDS_PER_LOG = 10
"""Lives on the same files, before they begin anew: a log that is too long takes long to read."""


@quick_and_long(4, 120)
def test_what_was_acknowledged_survives_being_killed_at_any_moment(
    nursery: Nursery, torment: Torment, tmp_path: Path
) -> None:
    book, version = Book(), 1
    for number in range(1, torment.rounds + 1):
        folder = tmp_path / f"log-{(number - 1) // ROUNDS_PER_LOG}"
        folder.mkdir(exist_ok=True)
        database, views = folder / "market.db", folder / "market.views"
        with torment.round(number) as random:
            moment = Moment.draw(random)
            if (
                random.random() < 0.1
            ):  # rows are built anew: what was seen of the old ones is history
                version += 1
                book.least.clear()
            spec = Spec(
                str(database),
                str(views),
                f"life{number}",
                random.getrandbits(32),
                clients=random.choice((1, 4, 16, 60)),
                answers=moment.answers,
                views_version=version,
            )
            torment.count(kills=Life(nursery, spec, book, moment).end() == KILLED)
            audit(database, book, views)
            assert not book.failed
            if number % ROUNDS_PER_LOG and number < torment.rounds:
                continue
            settling = Spec(
                str(database),
                str(views),
                f"last{number}",
                spec.seed,
                answers=100,
                views_version=version,
                settle=True,
            )
            assert Life(nursery, settling, book).end() == 0
            found = audit(database, book, views, settled=True)
            torment.count(events=found.events, acknowledged=len(book.acknowledged))
            shutil.rmtree(folder)
            book = Book()
