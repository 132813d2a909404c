"""Aftertide: an embeddable CQRS and event-sourcing runtime for asyncio.

The names exported here are the front door; everything else may move between versions.
"""

from .domain.codec import Codec, JsonCodec
from .domain.consistency import (
    Answer,
    Answers,
    AtLeast,
    Consistency,
    Eventual,
    Freshness,
    Strong,
)
from .domain.decider import Decider
from .domain.errors import (
    AftertideError,
    CommandRejected,
    ConcurrencyConflict,
    Condition,
    DeadlineExceeded,
    DecisionFailed,
    InvariantViolation,
    MailboxFull,
    NotADatabase,
    NotFreshEnough,
    ProjectionStopped,
    RuntimeClosed,
    SchemaMismatch,
    StoreFull,
    StoreLocked,
    StoreReadOnly,
    StoreUnavailable,
    StreamUnreadable,
    UnknownEventType,
)
from .domain.lag import Lag
from .domain.limits import Limits
from .domain.messages import Envelope, Position, Receipt, RecordedEvent, Version
from .domain.ports import Clock
from .domain.view import Replicas, View
from .runtime import AggregateStatistics, CommandOptions, Runtime, Statistics

__version__ = "0.1.0"

__all__ = [
    "AftertideError",
    "AggregateStatistics",
    "Answer",
    "Answers",
    "AtLeast",
    "Clock",
    "Codec",
    "CommandOptions",
    "CommandRejected",
    "ConcurrencyConflict",
    "Condition",
    "Consistency",
    "DeadlineExceeded",
    "Decider",
    "DecisionFailed",
    "Envelope",
    "Eventual",
    "Freshness",
    "InvariantViolation",
    "JsonCodec",
    "Lag",
    "Limits",
    "MailboxFull",
    "NotADatabase",
    "NotFreshEnough",
    "Position",
    "ProjectionStopped",
    "Receipt",
    "RecordedEvent",
    "Replicas",
    "Runtime",
    "RuntimeClosed",
    "SchemaMismatch",
    "Statistics",
    "StoreFull",
    "StoreLocked",
    "StoreReadOnly",
    "StoreUnavailable",
    "StreamUnreadable",
    "Strong",
    "UnknownEventType",
    "Version",
    "View",
]
