"""Lives from outside: begin one, hear what it says, kill it at a moment, write all of it in the book."""

import os
import signal
from pathlib import Path
from random import Random
from threading import Thread, Timer
from typing import NamedTuple

from tests.torture.audit import Book
from tests.torture.nursery import Nursery
from tests.torture.said import Acknowledged, Opened, Reached, Said, listen
from tests.torture.writer import Spec

KILLED = -signal.SIGKILL
PATIENCE_SECONDS = 50
"""A life lasts a second. One that takes this long waits for something that does not come."""


class Moment(NamedTuple):
    """When to kill: some time after something was said for the how-manieth time."""

    after: type[Said] | None
    """None: after the process began."""
    times: int
    seconds: float

    @classmethod
    def draw(cls, random: Random) -> "Moment":
        """While it opens or recovers, under load, just after an answer, while it closes."""
        chance = random.random()
        if chance < 0.15:
            return cls(None, 1, random.uniform(0.0, 0.06))
        if chance < 0.25:
            return cls(Opened, 1, random.uniform(0.0, 0.02))
        if chance < 0.8:
            # At once: what an acknowledgement promises must be true by now.
            return cls(Acknowledged, int(10 ** random.uniform(0, 2.6)), 0.0)
        if chance < 0.9:
            return cls(Acknowledged, 50, random.uniform(0.0, 0.03))
        return cls(Reached, 1, random.uniform(0.0, 0.01))

    @property
    def answers(self) -> int:
        """After how many answers the life shall end by itself, so that the moment comes."""
        return 60 if self.after is Reached else 1_000_000


class Life:
    """A process that writes. Heard on a thread of its own, so that several may live at once."""

    def __init__(
        self, nursery: Nursery, spec: Spec, book: Book, moment: Moment | None = None
    ) -> None:
        self._nursery = nursery
        self._spec = spec
        self._book = book
        self._moment = moment
        self._timer: Timer | None = None
        self._deaf: Exception | None = None
        self.pid, self._pipe = nursery.fork(spec)
        self._ear = Thread(target=self._listen, name=f"life {spec.name}")
        self._ear.start()

    @property
    def lives(self) -> bool:
        return self._ear.is_alive()

    def end(self) -> int:
        """Hear it to its end; its exit code, `KILLED` where it was killed."""
        self._ear.join(PATIENCE_SECONDS)
        if self._ear.is_alive():
            self._deaf = AssertionError(
                f"{self._spec} hangs: it neither ends nor comes to its moment"
            )
        if self._deaf is not None:
            self.kill()
            self._ear.join()
        if self._timer is not None:
            self._timer.cancel()
            self._timer.join()  # its process id is nobody else's until we asked for its end
        code = self._nursery.end_of(self.pid)
        if self._deaf is not None:
            raise self._deaf
        return code

    def kill(self) -> None:
        """At once. Harmless where it ended by itself."""
        os.kill(self.pid, signal.SIGKILL)

    def _listen(self) -> None:
        try:
            self._hear()
        except Exception as error:  # noqa: BLE001 - raised to whoever waits for the end
            self._deaf = error
        finally:
            os.close(self._pipe)

    def _hear(self) -> None:
        views = Path(self._spec.views)
        left = self._meet(None, self._moment.times if self._moment else 0)
        for said in listen(self._pipe):
            left = self._meet(type(said), left)
            self._book.record(said, views)

    def _meet(self, said: type[Said] | None, left: int) -> int:
        moment = self._moment
        if moment is None or said is not moment.after:
            return left
        if left == 1 and moment.seconds:
            self._timer = Timer(moment.seconds, self.kill)
            self._timer.start()
        elif left == 1:
            self.kill()
        return left - 1
