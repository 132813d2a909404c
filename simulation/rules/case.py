"""A history made ready for rules: who wrote what, who saw what, and who knew it when.

Everything is computed once, when the first rule asks, in one pass or a sort. Nothing here judges.

An operation comes before another one when it ended before that one began, and in no other case: equal times
say nothing. So a coarse clock costs rules their sight, never their soundness.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from ...domain.codec import EventTypes
from ...domain.messages import Position, RecordedEvent, split_stream
from ...domain.view import View
from ..history import History
from ..records import NOTHING, AnyRecord, Applied, Executed, Logged, Queried

Seen = tuple[float, int, AnyRecord]
"""At this time this number was reached, as the record shows. A plain tuple: there are two per operation."""


class Write(msgspec.Struct, frozen=True, gc=False):
    """A command that is known to have written, and which events."""

    record: Executed
    first: int
    last: int
    """Positions."""
    low: int
    high: int
    """Versions."""


@dataclass(frozen=True, slots=True)
class SessionOperations:
    """What one session did. Reads are all its answers, whatever they asked for."""

    reads: list[Queried] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)


class Case:
    """A history, and what is known of the system beside it."""

    def __init__(
        self,
        history: History,
        views: Iterable[View[Any, Any, Any]] = (),
        types: EventTypes | None = None,
    ) -> None:
        self.history = history
        self.views: Mapping[str, View[Any, Any, Any]] = {view.name: view for view in views}
        self.types = types
        self.remarks: dict[str, list[str]] = {}
        """Rule -> what it passed over, and why."""

    def remark(self, rule: str, passed_over: str) -> None:
        """Say what a rule could not judge while it judged the rest."""
        self.remarks.setdefault(rule, []).append(passed_over)

    # ---- the log

    @cached_property
    def log(self) -> Sequence[Logged]:
        """In position order."""
        return sorted(self.history.log, key=attrgetter("position"))

    @cached_property
    def whole(self) -> bool:
        """The log has each position from 1 on, once."""
        return all(event.position == at for at, event in enumerate(self.log, 1))

    @property
    def head(self) -> int:
        return self.log[-1].position if self.log else 0

    @cached_property
    def events(self) -> Mapping[int, Logged]:
        """By position."""
        return {event.position: event for event in self.log}

    @cached_property
    def streams(self) -> Mapping[str, Sequence[Logged]]:
        """By stream, in position order."""
        streams: dict[str, list[Logged]] = {}
        for event in self.log:
            streams.setdefault(event.stream, []).append(event)
        return streams

    @cached_property
    def by_command(self) -> Mapping[str, Sequence[Logged]]:
        """Events by the id of their command, in position order."""
        found: dict[str, list[Logged]] = {}
        for event in self.log:
            if event.command_id is not None:
                found.setdefault(event.command_id, []).append(event)
        return found

    @cached_property
    def uses(self) -> Mapping[str, int]:
        """How many commands of the history have an id. One that was retried under its id has several."""
        return Counter(each.id for each in self.history.commands if each.id is not None)

    # ---- who wrote, who saw

    @cached_property
    def writes(self) -> Sequence[Write]:
        """The commands that are known to have written, in the history's order.

        Without a log, every `ok` one is taken to have written one event.
        """
        find = self._in_log if self.log else _as_said
        writes: list[Write] = []
        for command in self.history.commands:
            write = find(command)
            if write is not None:
                writes.append(write)
        return writes

    @cached_property
    def silent(self) -> Sequence[Executed]:
        """Commands that were answered `ok` and have no event in the log: they decided on none, or it is lost."""
        wrote = {id(write.record) for write in self.writes}
        return [
            each for each in self.history.commands if each.outcome == "ok" and id(each) not in wrote
        ]

    def _in_log(self, command: Executed) -> Write | None:
        if command.outcome != "ok" or command.position is None:
            return self._by_id(command)
        last = self.events.get(command.position)
        if last is None or last.command_id != command.id or last.stream != command.stream:
            return None
        if command.id is None and last.version != command.version:
            return None
        first = self.events.get(last.position - 1)
        if first is None or first.command_id != command.id or command.id is None:
            return Write(command, last.position, last.position, last.version, last.version)
        if self.uses[command.id] > 1:  # which of its events are of which attempt?
            return Write(command, last.position, last.position, last.version, last.version)
        first = self.by_command[command.id][0]
        return Write(command, first.position, last.position, first.version, last.version)

    def _by_id(self, command: Executed) -> Write | None:
        if command.id is None or self.uses[command.id] > 1:
            return None
        events = self.by_command.get(command.id)
        if events is None:
            return None
        first, last = events[0], events[-1]
        return Write(command, first.position, last.position, first.version, last.version)

    @cached_property
    def answers(self) -> Sequence[Queried]:
        """Queries that were answered and say what the answer reflects."""
        return [
            each
            for each in self.history.queries
            if each.outcome == "ok" and each.position is not None
        ]

    @cached_property
    def told(self) -> Mapping[str, Sequence[Queried]]:
        """Answers that tell their rows, and what was asked for, by view."""
        by_view: dict[str, list[Queried]] = {}
        for answer in self.answers:
            if answer.rows != NOTHING and answer.select != NOTHING:
                by_view.setdefault(answer.view, []).append(answer)
        return by_view

    @cached_property
    def sessions(self) -> Mapping[str, SessionOperations]:
        sessions: dict[str, SessionOperations] = {}
        for write in self.writes:
            if (name := write.record.session) is not None:
                (
                    sessions.get(name) or sessions.setdefault(name, SessionOperations())
                ).writes.append(write)
        for answer in self.answers:
            if (name := answer.session) is not None:
                (sessions.get(name) or sessions.setdefault(name, SessionOperations())).reads.append(
                    answer
                )
        return sessions

    @cached_property
    def known(self) -> Sequence[Seen]:
        """When it was certain that the log had come to a position: by a receipt, an answer or a replica.

        In the order of time. The log's own times don't count: they are of the transaction's beginning.
        """
        seen: list[Seen] = []
        for operations in (self.history.commands, self.history.queries):
            seen += [
                (each.end, each.position, each)
                for each in operations
                if each.position is not None and each.end is not None and each.outcome == "ok"
            ]
        seen += [
            (move.at, move.position, move)
            for move in self.history.moves
            if isinstance(move, Applied)
        ]
        seen.sort(key=itemgetter(0))
        return seen

    # ---- what the log means, where views and event types are known

    @cached_property
    def recorded(self) -> Sequence[RecordedEvent[Any]]:
        """The events that any of the views takes, decoded, in position order.

        Raises UnknownEventType, or msgspec.ValidationError for data that is not what its type says.
        """
        if self.types is None:
            return []
        names = self.types.names
        wanted = {names[event] for view in self.views.values() for event in view.events}
        decoders = {
            name: self.types.decoder(name, "the history", Position(0)) for name in sorted(wanted)
        }
        names_of: dict[str, tuple[str, str]] = {}
        events: list[RecordedEvent[Any]] = []
        for event in self.log:
            decode = decoders.get(event.type)
            if decode is None:
                continue
            stream = event.stream
            split = names_of.get(stream)
            if split is None:
                split = names_of[stream] = split_stream(stream)
            category, id = split
            events.append(
                RecordedEvent(
                    event.position,
                    category,
                    id,
                    event.version,
                    decode(event.data),
                    event.recorded_at or 0.0,
                    event.command_id or "",
                    event.context,
                )
            )
        return events


def _as_said(command: Executed) -> Write | None:
    if command.outcome != "ok" or not (command.position or command.version):
        return None
    position, version = command.position or 0, command.version or 0
    return Write(command, position, position, version, version)


def overtaken(before: Iterable[Seen], after: Iterable[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Each of `after` whose number is below one of `before` with an earlier time, with the highest such.

    Both in the order of time. It is the one question that most rules ask: who stood lower than what was
    reached before?
    """
    earlier = iter(before)
    following = next(earlier, None)
    highest = _NOBODY
    for seen in after:
        time, number, _ = seen
        while following is not None and following[0] < time:
            if following[1] > highest[1]:
                highest = following
            following = next(earlier, None)
        if number < highest[1]:
            yield highest, seen


def in_order(seen: Iterable[Seen]) -> list[Seen]:
    """By time."""
    return sorted(seen, key=itemgetter(0))


_NOBODY: Any = (0.0, -1, None)
