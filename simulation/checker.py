"""Holding a history against rules: what was broken and by which records, what held, what could not be judged.

    report = check(history)
    report.raise_for_violations()

Reads a history and judges; it runs nothing and knows no system.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from ..domain.codec import EventTypes
from ..domain.decider import Decider
from ..domain.errors import AftertideError
from ..domain.view import View
from .history import History
from .rules import ALL, BY_NAME, Case, Rule, Violation

MOST_VIOLATIONS = 100
"""Of one rule: a rule that is broken everywhere is proved by fewer."""
SHOWN_VIOLATIONS = 5


class PromiseBroken(AftertideError):
    """A history breaks rules. `report` says which and proves it."""

    def __init__(self, report: "Report") -> None:
        self.report = report
        super().__init__(str(report))


@dataclass(frozen=True, slots=True)
class Report:
    """What came of a check."""

    history: History
    violations: tuple[Violation, ...]
    """By rule, in the order in which the rules were asked; at most MOST_VIOLATIONS of each."""
    held: Mapping[str, str]
    """Rule -> its promise, for those that found nothing."""
    not_judged: Mapping[str, str]
    """Rule -> what it would have needed."""
    remarks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Rule -> what it passed over while it judged the rest."""

    @property
    def ok(self) -> bool:
        """No rule was broken. Those that could not be judged don't count against it."""
        return not self.violations

    @property
    def broken(self) -> Mapping[str, Sequence[Violation]]:
        """Rule -> how it was broken."""
        broken: dict[str, list[Violation]] = {}
        for violation in self.violations:
            broken.setdefault(violation.rule, []).append(violation)
        return broken

    def raise_for_violations(self) -> None:
        """Raises PromiseBroken, with all of this as its text, where a rule was broken."""
        if self.violations:
            raise PromiseBroken(self)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterable[str]:
        broken = self.broken
        many = f"{self.history!r}"[1:-1]
        if broken:
            yield f"{many}: {len(broken)} rule(s) broken, {len(self.held)} held."
        else:
            yield f"{many}: all {len(self.held)} rule(s) that could be judged held."
        for violations in broken.values():
            for violation in violations[:SHOWN_VIOLATIONS]:
                yield f"✗ {violation}"
            if len(violations) > SHOWN_VIOLATIONS:
                more = len(violations) - SHOWN_VIOLATIONS
                least = "at least " if len(violations) == MOST_VIOLATIONS else ""
                yield f"  … and {least}{more} more of {violations[0].rule}"
        for name, promise in self.held.items():
            yield f"✓ {name}: {promise}"
        for name, remarks in self.remarks.items():
            for remark in remarks:
                yield f"? {name} passed over {remark}"
        for name, reason in self.not_judged.items():
            yield f"– {name} was not judged: {reason}"


def check(
    history: History,
    rules: Iterable[Rule | str] = ALL,
    *,
    views: Sequence[View[Any, Any, Any]] | None = None,
    deciders: Sequence[Decider[Any, Any, Any]] | None = None,
) -> Report:
    """Hold the history against the rules, which are given as values or by their names.

    `views` and `deciders` tell what rows and events mean, for the rules that compare them; without them, what
    the history knows itself is used. Raises ValueError for a name that no rule has.
    """
    chosen = [_rule(rule) if isinstance(rule, str) else rule for rule in rules]
    deciders = history.deciders if deciders is None else deciders
    case = Case(
        history,
        history.views if views is None else views,
        EventTypes(deciders) if deciders else None,
    )
    violations: list[Violation] = []
    held: dict[str, str] = {}
    not_judged: dict[str, str] = {}
    for rule in chosen:
        missing = rule.missing(case)
        if missing is not None:
            not_judged[rule.name] = missing
            continue
        found = list(islice(rule.violations(case), MOST_VIOLATIONS))
        if found:
            violations += found
        else:
            held[rule.name] = rule.promise
    return Report(history, tuple(violations), held, not_judged, case.remarks)


def _rule(name: str) -> Rule:
    rule = BY_NAME.get(name)
    if rule is None:
        raise ValueError(
            f"no rule is named {name!r}: there are {', '.join(BY_NAME)}, and BoundedStaleness(…) as a value."
        )
    return rule
