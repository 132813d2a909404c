"""All questions by name, in the order in which they are asked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .laboratory import Laboratory
from .questions.activation import activation
from .questions.ask import ask
from .questions.beside import beside
from .questions.flights import flights
from .questions.hot import hot
from .questions.huge import huge
from .questions.idle import idle
from .questions.interpreters import interpreters
from .questions.linear import linear
from .questions.replay import replay
from .questions.throughput import throughput
from .report import Answer


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
