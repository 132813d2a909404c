"""What a rule is, and what it says when a history breaks it. No rule stands here."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ..records import AnyRecord

if TYPE_CHECKING:
    from .case import Case


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, and the few records that prove it, in the order of the sentence."""

    rule: str
    sentence: str
    records: tuple[AnyRecord, ...]

    def __str__(self) -> str:
        proof = "".join(f"\n      {record}" for record in self.records)
        return f"{self.rule}: {self.sentence}{proof}"


class Rule(Protocol):
    """A promise that a history may break. Rules are values: equal ones judge alike.

    A rule is sound: what it reports can't have come from a system that keeps the promise, whatever the
    history leaves unsaid. It says in `missing` when the history holds nothing that it could judge.
    """

    @property
    def name(self) -> str:
        """As the command line and reports have it: `read_your_writes`."""
        ...

    @property
    def promise(self) -> str:
        """What holds where it is not broken, as a sentence."""
        ...

    def missing(self, case: "Case", /) -> str | None:
        """What the rule would need and this case does not have; None when it can judge."""
        ...

    def violations(self, case: "Case", /) -> Iterator[Violation]:
        """One for each record that should not be, each with its proof."""
        ...
