"""The promises about speed, one file each: which sides alternate, and which ratio must come out.

A question is a function from a Laboratory to an Answer. `ALL` names them in the order in which they
are asked.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..laboratory import Laboratory
from ..report import Answer
from .activation import activation
from .ask import ask
from .beside import beside
from .flights import flights
from .hot import hot
from .huge import huge
from .idle import idle
from .interpreters import interpreters
from .linear import linear
from .replay import replay
from .throughput import throughput


@dataclass(frozen=True, slots=True)
class Question:
    ask: Callable[[Laboratory], Answer]
    about: str
    only_if: Callable[[Laboratory], bool] = lambda laboratory: True
    """False where it needs an option that was not given."""


ALL: Mapping[str, Question] = {
    "throughput": Question(throughput, "workload W beside raw sqlite3 and the peer, on each disk"),
    "hot": Question(hot, "one aggregate for 1,000 clients beside 1,000 aggregates"),
    "ask": Question(ask, "execute on memory stores beside a future, Thespian and Pykka"),
    "beside": Question(beside, "latency of commands while a view replays a long log"),
    "replay": Question(replay, "a view built from a long log beside a bare fetchmany"),
    "activation": Question(
        activation, "an aggregate of 1,000 events beside a bare fetch, decode and fold"
    ),
    "idle": Question(idle, "memory of an aggregate that does nothing"),
    "flights": Question(flights, "the record of real flights, end to end, and its memory"),
    "linear": Question(linear, "W with ten times the commands"),
    "huge": Question(huge, "W on a log of 10,000,000 events (--huge)", lambda lab: lab.huge),
    "interpreters": Question(
        interpreters, "W under other interpreters (--python PATH)", lambda lab: bool(lab.pythons)
    ),
}
