"""The read side's answers: as fresh as asked for, no staler than allowed, and each of one moment."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..records import Queried
from .case import Case, Seen, in_order, overtaken
from .rule import Violation


@dataclass(frozen=True, slots=True)
class AskedFreshness:
    """Each answer is as fresh as it was asked to be, or says that it is stale; and it misses no more than it says.

    What was committed when a query began is taken from what somebody knew by then: a receipt, another
    answer, a replica. So a commit that nobody had heard of yet is not held against an answer.
    """

    name: ClassVar[str] = "asked_freshness"
    promise: ClassVar[str] = "an answer is as fresh as it was asked to be, and as it says"

    def missing(self, case: Case) -> str | None:
        if not any(
            each.asked in ("at_least", "bounded", "strong") or each.behind_events is not None
            for each in case.answers
        ):
            return "no answer was asked to be fresh, or says how fresh it is"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        asked = [each for each in case.answers if not each.stale]
        for each in asked:
            least = each.asked_position
            if each.asked == "at_least" and least is not None and (each.position or 0) < least:
                sentence = f"at least position {least} was asked for, and the answer is of {each.position}."
                yield Violation(self.name, sentence, (each,))
        strong = [_as_of_start(each) for each in asked if each.asked == "strong"]
        for known, answer in overtaken(case.known, in_order(strong)):
            sentence = (
                f"position {known[1]} was known when a strong query began, and its answer is of "
                f"{answer[1]}."
            )
            yield Violation(self.name, sentence, (known[2], answer[2]))
        bounded: dict[tuple[int | None, float | None], list[Queried]] = {}
        for each in asked:
            if each.asked == "bounded":
                bounded.setdefault((each.asked_events, each.asked_seconds), []).append(each)
        for (events, seconds), answers in bounded.items():
            bound = BoundedStaleness(events=events, seconds=seconds)
            yield from bound.judge(case, answers, self.name)
        honest = [
            (each.start, (each.position or 0) + each.behind_events, each)
            for each in case.answers
            if each.behind_events is not None
        ]
        for known, answer in overtaken(case.known, in_order(honest)):
            sentence = (
                f"position {known[1]} was known when a query began, and its answer says that it "
                f"misses nothing after {answer[1]}."
            )
            yield Violation(self.name, sentence, (known[2], answer[2]))


@dataclass(frozen=True, slots=True)
class BoundedStaleness:
    """No answer misses more than `events` events, or one that was known for more than `seconds`.

    Holds every answer to the bound, whatever it asked for; with `view`, those of one view. One that says
    itself that it is stale is held to it too.
    """

    events: int | None = None
    seconds: float | None = None
    view: str | None = None
    name: ClassVar[str] = "bounded_staleness"

    def __post_init__(self) -> None:
        if self.events is None and self.seconds is None:
            raise ValueError("BoundedStaleness needs a bound: give events=, seconds= or both.")
        for what, bound in (("events", self.events), ("seconds", self.seconds)):
            if bound is not None and not bound >= 0:
                raise ValueError(f"BoundedStaleness({what}={bound!r}): it must be from 0.")

    @property
    def promise(self) -> str:
        bounds = [] if self.events is None else [f"{self.events} event(s)"]
        bounds += [] if self.seconds is None else [f"{self.seconds:g} s"]
        return f"no answer is more than {' or '.join(bounds)} behind"

    def missing(self, case: Case) -> str | None:
        if not self._bound(case):
            return "it has no answers" + (f" of view {self.view!r}" if self.view else "")
        return None

    def _bound(self, case: Case) -> Sequence[Queried]:
        return [each for each in case.answers if self.view in (None, each.view)]

    def violations(self, case: Case) -> Iterator[Violation]:
        yield from self.judge(case, self._bound(case), self.name)

    def judge(self, case: Case, answers: Sequence[Queried], rule: str) -> Iterator[Violation]:
        """Hold these answers to the bound, in the name of this rule."""
        if self.events is not None:
            allowed = [(each.start, (each.position or 0) + self.events, each) for each in answers]
            for known, answer in overtaken(case.known, in_order(allowed)):
                behind = known[1] - answer[1] + self.events
                sentence = (
                    f"an answer misses {behind} event(s) that were known when it was asked for: "
                    f"allowed are {self.events}."
                )
                yield Violation(rule, sentence, (known[2], answer[2]))
        if self.seconds is not None:
            earlier = [(each.start - self.seconds, each.position or 0, each) for each in answers]
            for known, answer in overtaken(case.known, in_order(earlier)):
                age = answer[0] + self.seconds - known[0]
                sentence = (
                    f"an answer is of position {answer[1]}, and {known[1]} had been known for {age:.6f} s "
                    f"when it was asked for: allowed are {self.seconds:g} s."
                )
                yield Violation(rule, sentence, (known[2], answer[2]))


@dataclass(frozen=True, slots=True)
class ConsistentCuts:
    """All rows of an answer are of one moment, and so are all answers of a cut.

    Where rows say what they reflect (`positions`), they must agree. Where a view is known, there must be a
    position at which all rows of an answer stood as they are: whatever position the answer claims.
    """

    name: ClassVar[str] = "consistent_cuts"
    promise: ClassVar[str] = "what is answered together is of one moment"

    def missing(self, case: Case) -> str | None:
        if not any(each.cut or each.positions for each in case.answers):
            return "no query belongs to a cut, and no row says what it reflects"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        cuts: dict[str, Queried] = {}
        for each in case.answers:
            if each.positions and min(each.positions) != max(each.positions):
                sentence = f"one answer has rows of positions {min(each.positions)} and {max(each.positions)}."
                yield Violation(self.name, sentence, (each,))
            if each.cut is not None:
                first = cuts.setdefault(each.cut, each)
                if first.position != each.position:
                    sentence = f"cut {each.cut} holds answers of positions {first.position} and {each.position}."
                    yield Violation(self.name, sentence, (first, each))


def _as_of_start(answer: Queried) -> Seen:
    return answer.start, answer.position or 0, answer
