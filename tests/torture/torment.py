"""A run of many rounds: its seed, its count, its one-line report, and how to play a failure again."""

import os
import shlex
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest

SEED = "AFTERTIDE_TORTURE_SEED"
ROUNDS = "AFTERTIDE_TORTURE_ROUNDS"


def quick_and_long(quick: int, long: int) -> pytest.MarkDecorator:
    """A few rounds with every test run, and many with `make torture`."""
    return pytest.mark.parametrize(
        "rounds", [pytest.param(quick, id="quick"), _long(int(os.environ.get(ROUNDS, long)))]
    )


def long_only(long: int) -> pytest.MarkDecorator:
    """Many rounds with `make torture`."""
    return pytest.mark.parametrize("rounds", [_long(int(os.environ.get(ROUNDS, long)))])


def _long(rounds: int) -> object:
    patience = pytest.mark.timeout(60 + 10 * rounds)
    return pytest.param(rounds, id="long", marks=[pytest.mark.torture, patience])


class Torment:
    """Counts what happened and names each round's chance. `seed` is fresh unless the environment has one."""

    def __init__(self, test: str, rounds: int) -> None:
        self.test = test
        self.seed = int(os.environ.get(SEED, Random().getrandbits(32)))
        self.rounds = rounds
        self.counts: Counter[str] = Counter()

    @contextmanager
    def round(self, number: int) -> Iterator[Random]:
        """One round and its chance. A failure says how it is played again, up to the round that failed."""
        self.counts["rounds"] += 1
        try:
            yield Random(f"{self.seed}/{number}")
        except BaseException as error:
            error.add_note(
                f"seed {self.seed}, round {number} of {self.test}; again:\n"
                f"  {SEED}={self.seed} {ROUNDS}={number} python -m pytest -m '' {shlex.quote(self.test)}"
            )
            raise

    def count(self, **happened: int) -> None:
        """What is reported: kills, cancelled, events, acknowledged, refused."""
        self.counts.update(happened)


def report(counts: Counter[str]) -> str:
    """One line. What is lost fails its test, so it is nothing wherever this is written."""
    shown = ("rounds", "kills", "cancelled", "events", "acknowledged", "refused")
    happened = [f"{counts[name]:,} {name}" for name in shown if counts[name]]
    return ", ".join([*happened, "0 lost"])
