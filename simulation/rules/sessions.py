"""The four session guarantees: what one client may rely on, however many replicas answer it.

Terry, Demers, Petersen, Spreitzer, Theimer, Welch: Session Guarantees for Weakly Consistent Replicated Data,
PDIS 1994. Here a position stands for everything up to it, so each guarantee compares two numbers.

An answer is held to them where it asked for its session's consistency, or the history does not say what it
asked for. One that asked for less on purpose, or says itself that it is stale, was promised less: with
`every=True` it is held to them all the same.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..records import Queried
from .case import Case, Seen, SessionOperations, Write, in_order, overtaken
from .rule import Violation

_NO_SESSIONS = "it has no sessions: no operation says whose it is"


@dataclass(frozen=True, slots=True)
class ReadYourWrites:
    """A session's answers hold all that the session wrote before."""

    every: bool = False
    name: ClassVar[str] = "read_your_writes"
    promise: ClassVar[str] = "a session sees what it wrote"

    def missing(self, case: Case) -> str | None:
        missing = _promised_something(case, self.every)
        if missing is None and not any(did.writes for did in case.sessions.values()):
            return "no session wrote anything"
        return missing

    def violations(self, case: Case) -> Iterator[Violation]:
        for session, did in case.sessions.items():
            for written, read in overtaken(_written(did), _promised(did.reads, self.every)):
                sentence = (
                    f"{session} wrote position {written[1]}, and afterwards got an answer of "
                    f"position {read[1]}."
                )
                yield Violation(self.name, sentence, (written[2], read[2]))


@dataclass(frozen=True, slots=True)
class MonotonicReads:
    """A session's answers never go back. Over all views, or with `per_view` in each by itself."""

    every: bool = False
    per_view: bool = False
    name: ClassVar[str] = "monotonic_reads"
    promise: ClassVar[str] = "a session never sees time go back"

    def missing(self, case: Case) -> str | None:
        return _promised_something(case, self.every)

    def violations(self, case: Case) -> Iterator[Violation]:
        for session, did in case.sessions.items():
            for reads in _by_view(did.reads) if self.per_view else (did.reads,):
                for before, read in overtaken(_read(reads), _promised(reads, self.every)):
                    sentence = (
                        f"{session} got an answer of position {before[1]}, and afterwards one of "
                        f"position {read[1]}."
                    )
                    yield Violation(self.name, sentence, (before[2], read[2]))


@dataclass(frozen=True, slots=True)
class MonotonicWrites:
    """A session's writes stand in the log in the order in which it made them."""

    name: ClassVar[str] = "monotonic_writes"
    promise: ClassVar[str] = "a session's writes stand in the order in which it made them"

    def missing(self, case: Case) -> str | None:
        if not case.sessions:
            return _NO_SESSIONS
        if not any(did.writes for did in case.sessions.values()):
            return "no session wrote anything"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        for session, did in case.sessions.items():
            for before, write in overtaken(_written(did), _begun(did.writes)):
                sentence = (
                    f"{session} wrote position {before[1]}, and what it wrote afterwards stands at "
                    f"position {write[1] + 1}."
                )
                yield Violation(self.name, sentence, (before[2], write[2]))


@dataclass(frozen=True, slots=True)
class WritesFollowReads:
    """What a session writes stands in the log after all that it had read."""

    name: ClassVar[str] = "writes_follow_reads"
    promise: ClassVar[str] = "a session's writes stand after all that it had seen"

    def missing(self, case: Case) -> str | None:
        if not case.sessions:
            return _NO_SESSIONS
        if not any(did.writes and did.reads for did in case.sessions.values()):
            return "no session both read and wrote"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        for session, did in case.sessions.items():
            for read, write in overtaken(_read(did.reads), _begun(did.writes)):
                sentence = (
                    f"{session} got an answer of position {read[1]}, and what it wrote afterwards "
                    f"stands at position {write[1] + 1}."
                )
                yield Violation(self.name, sentence, (read[2], write[2]))


def _written(did: SessionOperations) -> list[Seen]:
    """Acknowledged writes by their end. One whose outcome the session never learned promises it nothing."""
    return in_order(
        (write.record.end, write.last, write.record)
        for write in did.writes
        if write.record.end is not None and write.record.outcome == "ok"
    )


def _begun(writes: Iterable[Write]) -> list[Seen]:
    """Writes by their start, each with the last position that may have been reached before it."""
    return in_order((write.record.start, write.first - 1, write.record) for write in writes)


def _read(reads: Iterable[Queried]) -> list[Seen]:
    return in_order(
        (read.end, read.position, read)
        for read in reads
        if read.end is not None and read.position is not None
    )


def _promised(reads: Iterable[Queried], every: bool) -> list[Seen]:
    return in_order(
        (read.start, read.position, read)
        for read in reads
        if read.position is not None and (every or _is_promised(read))
    )


def _is_promised(read: Queried) -> bool:
    return read.asked in (None, "session") and not read.stale


def _by_view(reads: Iterable[Queried]) -> list[list[Queried]]:
    views: dict[str, list[Queried]] = {}
    for read in reads:
        views.setdefault(read.view, []).append(read)
    return list(views.values())


def _promised_something(case: Case, every: bool) -> str | None:
    if not case.sessions:
        return _NO_SESSIONS
    if not any(every or _is_promised(read) for did in case.sessions.values() for read in did.reads):
        return "no answer was promised what its session saw: all asked for something else"
    return None
