"""The values themselves: an answer is the view's fold over the log up to the position that it claims.

A position is a claim. A projection that moves its checkpoint before its rows claims what it does not hold, and
every rule that compares positions believes it. These compare rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from ...domain.errors import UnknownEventType
from ...domain.view import View
from ..records import AnyRecord, Queried
from .case import Case
from .fold import Broken, Fold, told_at
from .rule import Violation

NEEDS_VIEWS = "it needs the views and deciders, which a file does not hold: check(history, views=[…], deciders=[…])"


@dataclass(frozen=True, slots=True)
class ValueOracle:
    """Every answer's rows are `fold(log[:position])`, nothing more and nothing less."""

    name: ClassVar[str] = "value_oracle"
    promise: ClassVar[str] = "an answer is the fold of the log up to its position"

    def missing(self, case: Case) -> str | None:
        return cannot_fold(case)

    def violations(self, case: Case) -> Iterator[Violation]:
        for name, answers in case.told.items():
            view = case.views.get(name)
            if view is None:
                case.remark(
                    self.name, f"{len(answers)} answer(s) of view {name!r}, which was not given"
                )
                continue
            yield from self._of_view(case, view, answers)

    def _of_view(
        self, case: Case, view: View[Any, Any, Any], answers: Sequence[Queried]
    ) -> Iterator[Violation]:
        unjudged, why, head = 0, "", case.head
        for answer, fold in told_at(case, view, answers):
            position = answer.position or 0
            if position > head:
                sentence = f"an answer is of position {position}, and the log ends at {head}."
                yield Violation(self.name, sentence, (answer,))
            elif isinstance(fold, Broken):
                sentence = (
                    f"an answer is of position {position}, which view {view.name} can't reach: at "
                    f"{fold.position} {fold.why}."
                )
                yield Violation(self.name, sentence, (case.events[fold.position], answer))
            else:
                try:
                    expected = fold.expected(answer)
                except (ValueError, TypeError) as error:
                    unjudged, why = unjudged + 1, str(error)
                    continue
                if bytes(answer.rows) != expected and not fold.agrees(answer, expected):
                    yield self._wrong(case, view, answer, expected)
        if unjudged:
            case.remark(self.name, f"{unjudged} answer(s) of view {view.name!r}: {why}")

    def _wrong(
        self, case: Case, view: View[Any, Any, Any], answer: Queried, expected: bytes
    ) -> Violation:
        text = expected.decode()
        shown = text if len(text) <= 160 else f"{text[:160]}… ({len(text)} characters)"
        sentence = f"view {view.name} is {shown} at position {answer.position}, and was answered otherwise."
        wanted = {case.types.names[event] for event in view.events} if case.types else set()
        last = next(
            (event for event in reversed(case.log[: answer.position]) if event.type in wanted),
            None,
        )
        proof: tuple[AnyRecord, ...] = (answer,) if last is None else (last, answer)
        return Violation(self.name, sentence, proof)


@dataclass(frozen=True, slots=True)
class TornAnswers:
    """All rows of an answer stood together at some position, whichever the answer claims.

    Weaker than ValueOracle and more telling: an answer that breaks this mixes moments.
    """

    name: ClassVar[str] = "torn_answers"
    promise: ClassVar[str] = "the rows of one answer stood together at one moment"

    def missing(self, case: Case) -> str | None:
        return cannot_fold(case)

    def violations(self, case: Case) -> Iterator[Violation]:
        for name, answers in case.told.items():
            view = case.views.get(name)
            several = [each for each in answers if not bytes(each.select).startswith(b'{"key"')]
            if view is None or not several:
                continue
            suspects = [
                answer
                for answer, fold in told_at(case, view, several)
                if isinstance(fold, Broken) or not _stood(fold, answer)
            ]
            if suspects:
                yield from self._torn(case, view, suspects)

    def _torn(
        self, case: Case, view: View[Any, Any, Any], answers: Sequence[Queried]
    ) -> Iterator[Violation]:
        fold = Fold(view, case.recorded)
        times = _row_times(fold, case)
        for answer in answers:
            try:
                rows = fold.told(answer)
            except msgspec.ValidationError:
                continue
            common: list[tuple[int, int]] = [(0, case.head)]
            for row in rows:
                key = view.schema.key_of(row)
                stood = _stretches(times.get(key, []), row, case.head)
                if not stood:
                    break  # it never stood: that is not torn but wrong, and the oracle's
                both = _intersection(common, stood)
                if not both:
                    sentence = (
                        f"an answer of view {view.name} mixes moments: its row {key!r} stood at "
                        f"{_shown(stood)}, and the rows before it together at {_shown(common)}."
                    )
                    yield Violation(self.name, sentence, (answer,))
                    break
                common = both


def cannot_fold(case: Case) -> str | None:
    """Why rows can't be compared with the log, if that is so."""
    told = case.told
    if not told:
        return "no answer tells its rows and what was asked for"
    if case.types is None or not any(name in case.views for name in told):
        return NEEDS_VIEWS
    for view in case.views.values():
        for event in view.events:
            if event not in case.types:
                return (
                    f"view {view.name!r} takes {event.__qualname__}, which none of the given deciders "
                    "declares"
                )
    if not case.whole:
        return "its log has gaps or begins late: rows are a fold over all of it"
    try:
        _ = case.recorded
    except (msgspec.MsgspecError, UnknownEventType) as error:
        return f"an event of the log can't be read as its type: {error}"
    return None


def _stood(fold: Fold, answer: Queried) -> bool:
    try:
        return all(fold.rows.get(fold.view.schema.key_of(row)) == row for row in fold.told(answer))
    except msgspec.ValidationError:
        return True


Times = Mapping[Any, Sequence[tuple[int, Any]]]


def _row_times(fold: Fold, case: Case) -> Times:
    """What each key held, from which position on."""
    times: dict[Any, list[tuple[int, Any]]] = {}
    for event in case.recorded:
        if type(event.event) in fold.view.events:
            try:
                fold.advance(event.position)
            except Broken:
                break
            for key in fold.view.keys_of(event):
                times.setdefault(key, []).append((event.position, fold.rows.get(key)))
    return times


def _stretches(held: Sequence[tuple[int, Any]], row: object, head: int) -> list[tuple[int, int]]:
    """From where to where the key held this row."""
    ends = [position - 1 for position, _ in held[1:]] + [head]
    return [
        (position, end) for (position, value), end in zip(held, ends, strict=False) if value == row
    ]


def _intersection(
    ours: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    both: list[tuple[int, int]] = []
    i = j = 0
    while i < len(ours) and j < len(theirs):
        low, high = max(ours[i][0], theirs[j][0]), min(ours[i][1], theirs[j][1])
        if low <= high:
            both.append((low, high))
        if ours[i][1] < theirs[j][1]:
            i += 1
        else:
            j += 1
    return both


def _shown(stretches: Sequence[tuple[int, int]]) -> str:
    shown = [f"{low}" if low == high else f"{low} to {high}" for low, high in stretches[:3]]
    return " and ".join(shown) + (" and later" if len(stretches) > 3 else "")
