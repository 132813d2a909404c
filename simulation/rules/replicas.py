"""Replicas: each event has its effect once, and in the end all of them agree."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import msgspec

from ..probe import PROBE, ProbeRow
from ..records import NOTHING, Applied, Queried, Restarted
from .case import Case
from .rule import Violation


@dataclass(frozen=True, slots=True)
class ExactlyOnce:
    """Each replica applies position 1, 2, 3, …, each once; after a restart it goes on from its checkpoint.

    That is what a replica says of itself. What its rows say is judged where there is a probe: a view whose
    rows list the positions they were made from.
    """

    name: ClassVar[str] = "exactly_once"
    promise: ClassVar[str] = "each event has its effect on each replica once, in order"

    def missing(self, case: Case) -> str | None:
        if not case.history.moves and not any(each.view == PROBE for each in case.answers):
            return "it does not say what replicas applied, and no probe was asked"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        following: dict[str, int | None] = {
            replica: position + 1 for replica, position in case.history.replicas.items()
        }
        last: dict[str, Applied | Restarted] = {}
        for move in sorted(case.history.moves, key=lambda move: move.at):
            if isinstance(move, Restarted):
                for replica, checkpoint in move.checkpoints.items():
                    following[replica] = None if checkpoint is None else checkpoint + 1
                    last[replica] = move
                continue
            replica = move.replica
            first = move.position if move.first is None else move.first
            expected = following.get(replica, 1)
            if expected is not None and first != expected:
                yield self._wrong(replica, expected, first, move, last.get(replica))
            following[replica] = move.position + 1
            last[replica] = move
        yield from self._probed(case)

    def _wrong(
        self,
        replica: str,
        expected: int,
        first: int,
        move: Applied,
        last: Applied | Restarted | None,
    ) -> Violation:
        if first > expected:
            sentence = f"{replica} passed over {_span(expected, first - 1)}."
        else:
            twice = _span(first, min(move.position, expected - 1))
            sentence = f"{replica} applied {twice} again."
        return Violation(self.name, sentence, (move,) if last is None else (last, move))

    def _probed(self, case: Case) -> Iterator[Violation]:
        positions = {
            stream: [event.position for event in events] for stream, events in case.streams.items()
        }
        for answer in case.answers:
            if answer.view != PROBE or answer.rows == NOTHING:
                continue
            try:
                rows = _decode_probe(answer.rows)
            except msgspec.ValidationError as error:
                case.remark(self.name, f"an answer of view {PROBE!r} that is no probe's: {error}")
                continue
            for row in rows:
                problem = _odd(row, positions, answer)
                if problem is not None:
                    yield Violation(self.name, problem, (answer,))


@dataclass(frozen=True, slots=True)
class Convergence:
    """When all has settled, every replica stands at the head; and equal positions give equal answers.

    The second holds at any time: replicas that have applied the same events answer the same question alike.
    """

    name: ClassVar[str] = "convergence"
    promise: ClassVar[str] = "replicas come to the head, and those at one position answer alike"

    def missing(self, case: Case) -> str | None:
        if not case.history.settled and not case.told:
            return "it does not say that it settled, and no answer tells its rows"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        yield from self._settled(case)
        answered: dict[tuple[str, bytes, int], Queried] = {}
        for answer in chain.from_iterable(case.told.values()):
            question = (answer.view, bytes(answer.select), answer.position or 0)
            first = answered.setdefault(question, answer)
            if first is not answer and first.rows != answer.rows and not _alike(first, answer):
                sentence = f"view {answer.view} gave two answers to one question at position {answer.position}."
                yield Violation(self.name, sentence, (first, answer))

    def _settled(self, case: Case) -> Iterator[Violation]:
        moves = sorted(case.history.moves, key=lambda move: move.at)
        for settled in case.history.settled:
            positions: dict[str, int] = dict(case.history.replicas)
            last: dict[str, Applied | Restarted] = {}
            for move in moves:
                if move.at > settled.at:
                    break
                if isinstance(move, Applied):
                    positions[move.replica] = move.position
                    last[move.replica] = move
                else:
                    for replica, checkpoint in move.checkpoints.items():
                        positions[replica] = checkpoint or positions.get(replica, 0)
                        last[replica] = move
            for replica, position in positions.items():
                if position < settled.head:
                    proof = (last[replica],) if replica in last else ()
                    sentence = (
                        f"{replica} stands at {position} when all has settled at {settled.head}."
                    )
                    yield Violation(self.name, sentence, (*proof, settled))


def _odd(row: ProbeRow, log: Mapping[str, Sequence[int]], answer: Queried) -> str | None:
    """What is wrong with a probe's row, as a sentence."""
    versions = list(range(1, len(row.positions) + 1))
    if row.versions != versions:
        return f"the probe of {row.stream} was given versions {_few(row.versions)}."
    if row.stream in log:
        positions = log[row.stream]
        wanted = list(positions[: bisect_right(positions, answer.position or 0)])
        if row.positions != wanted:
            return (
                f"the probe of {row.stream} was made from positions {_few(row.positions)}, where the log "
                f"has {_few(wanted)}."
            )
    return None


def _few(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers)) if len(numbers) <= 12 else f"… {_few(numbers[-8:])}"


def _span(first: int, last: int) -> str:
    return f"position {first}" if first >= last else f"positions {first} to {last}"


def _alike(first: Queried, second: Queried) -> bool:
    """Whether the rows are the same JSON, however it is written."""
    return bool(msgspec.json.decode(bytes(first.rows)) == msgspec.json.decode(bytes(second.rows)))


_decode_probe = msgspec.json.Decoder(list[ProbeRow]).decode
