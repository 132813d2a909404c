"""The rules that a history is held to. One promise each; see rule.py for what they have in common.

`ALL` are those that hold for every history of Aftertide; `BoundedStaleness` needs a bound, so it is not in it.
"""

from collections.abc import Mapping, Sequence

from .answers import AskedFreshness, BoundedStaleness, ConsistentCuts
from .case import Case
from .log import CommitOrder, DenseLog, Durability, LinearizableAggregates
from .registers import LinearizableRegisters
from .replicas import Convergence, ExactlyOnce
from .rule import Rule, Violation
from .sessions import MonotonicReads, MonotonicWrites, ReadYourWrites, WritesFollowReads
from .values import TornAnswers, ValueOracle

SESSION: Sequence[Rule] = (
    ReadYourWrites(),
    MonotonicReads(),
    MonotonicWrites(),
    WritesFollowReads(),
)
"""The four session guarantees."""

WRITING: Sequence[Rule] = (DenseLog(), Durability(), LinearizableAggregates(), CommitOrder())
"""What the write side promises."""

READING: Sequence[Rule] = (
    AskedFreshness(),
    ConsistentCuts(),
    TornAnswers(),
    ExactlyOnce(),
    Convergence(),
    ValueOracle(),
)
"""What the read side promises to everybody."""

ALL: Sequence[Rule] = (*WRITING, *SESSION, *READING, LinearizableRegisters())

BY_NAME: Mapping[str, Rule] = {rule.name: rule for rule in ALL}

__all__ = [
    "ALL",
    "BY_NAME",
    "READING",
    "SESSION",
    "WRITING",
    "AskedFreshness",
    "BoundedStaleness",
    "Case",
    "CommitOrder",
    "ConsistentCuts",
    "Convergence",
    "DenseLog",
    "Durability",
    "ExactlyOnce",
    "LinearizableAggregates",
    "LinearizableRegisters",
    "MonotonicReads",
    "MonotonicWrites",
    "ReadYourWrites",
    "Rule",
    "TornAnswers",
    "ValueOracle",
    "Violation",
    "WritesFollowReads",
]
