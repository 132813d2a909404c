"""The write side: a log without gaps, receipts that hold, and an order that time can't contradict."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..records import Executed, Logged
from .case import Case, Seen, in_order, overtaken
from .rule import Violation

_NO_LOG = "it has no log"
_NO_COMMANDS = "it has no commands"


@dataclass(frozen=True, slots=True)
class DenseLog:
    """Positions are 1, 2, 3, …, and each stream's versions are, in the same order."""

    name: ClassVar[str] = "dense_log"
    promise: ClassVar[str] = "positions and versions are dense and in one order"

    def missing(self, case: Case) -> str | None:
        return None if case.log else _NO_LOG

    def violations(self, case: Case) -> Iterator[Violation]:
        before: Logged | None = None
        versions: dict[str, Logged] = {}
        for event in case.log:
            at = 0 if before is None else before.position
            if event.position != at + 1:
                proof = (event,) if before is None else (before, event)
                sentence = f"after position {at} the log goes on at {event.position}."
                yield Violation(self.name, sentence, proof)
            before = event
            last = versions.get(event.stream)
            version = 0 if last is None else last.version
            if event.version != version + 1:
                proof = (event,) if last is None else (last, event)
                sentence = (
                    f"{event.stream} has version {event.version} at position {event.position}, after "
                    f"version {version}."
                )
                yield Violation(self.name, sentence, proof)
            versions[event.stream] = event


@dataclass(frozen=True, slots=True)
class Durability:
    """What was acknowledged is in the log where the receipt says; what failed is not.

    A command may decide on no events: its receipt then says where the stream stood. With
    `silent_commands=False` every acknowledged command must have its events, which finds a lost one even
    where another has taken its place.
    """

    silent_commands: bool = True
    name: ClassVar[str] = "durability"
    promise: ClassVar[str] = "a receipt means durable, and an error means that nothing was written"

    def missing(self, case: Case) -> str | None:
        if not case.log and not case.history.settled:
            return _NO_LOG
        return None if case.history.commands else _NO_COMMANDS

    def violations(self, case: Case) -> Iterator[Violation]:
        events = case.events
        for command in case.history.commands:
            if command.outcome == "fail":
                yield from self._failed(case, command)
            elif command.outcome == "ok" and command.position is not None:
                event = events.get(command.position)
                if (
                    event is not None
                    and event.command_id == command.id
                    and event.stream == command.stream
                    and event.version == command.version
                ):
                    continue
                yield from self._receipt(case, command, event)

    def _failed(self, case: Case, command: Executed) -> Iterator[Violation]:
        if command.id is None or case.uses[command.id] > 1:
            return
        written = case.by_command.get(command.id)
        if written:
            sentence = (
                f"{command.command or 'a command'} failed, and its event stands at position "
                f"{written[0].position}."
            )
            yield Violation(self.name, sentence, (command, written[0]))

    def _receipt(self, case: Case, command: Executed, event: Logged | None) -> Iterator[Violation]:
        said = f"a receipt says position {command.position} and version {command.version}"
        position = command.position or 0
        own = case.by_command.get(command.id, ()) if command.id is not None else ()
        if own and (command.id is None or case.uses[command.id] == 1):
            last = own[-1]
            sentence = (
                f"{said} of {command.stream}, and the command's event stands at position "
                f"{last.position} as version {last.version} of {last.stream}."
            )
            yield Violation(self.name, sentence, (command, last))
        elif position > case.head:
            sentence = f"{said}, and the log ends at {case.head}."
            yield Violation(self.name, sentence, (command, *case.log[-1:]))
        elif not self.silent_commands and not own:
            sentence = f"{said}, and the log has no event of that command."
            yield Violation(self.name, sentence, (command, *([event] if event else [])))
        elif command.version:
            stream = case.streams.get(command.stream, ())
            if command.version > len(stream):
                sentence = f"{said}, and {command.stream} ends at version {len(stream)}."
                yield Violation(self.name, sentence, (command, *stream[-1:]))
            elif (reached := stream[command.version - 1]).position > position:
                sentence = (
                    f"{said}, and {command.stream} comes to that version at position "
                    f"{reached.position} only."
                )
                yield Violation(self.name, sentence, (command, reached))


@dataclass(frozen=True, slots=True)
class LinearizableAggregates:
    """Each stream's commands took effect one after the other, each at a moment between its start and its end.

    Versions say in which order, so that no search is needed: a command that began when another had ended
    must stand after it. One that wrote nothing reads a version and must not read an older one, nor one
    whose writer had not begun.
    """

    name: ClassVar[str] = "linearizable_aggregates"
    promise: ClassVar[str] = (
        "each aggregate takes one command at a time, in an order that time agrees with"
    )

    def missing(self, case: Case) -> str | None:
        if not any(command.version is not None for command in case.history.commands):
            return "no command says which version it led to"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        ended: dict[str, list[Seen]] = {}
        begun: dict[str, list[Seen]] = {}
        for write in case.writes:
            command = write.record
            if not case.log and command.version is None:
                continue
            if command.outcome == "ok" and command.end is not None:
                ended.setdefault(command.stream, []).append((command.end, write.high, command))
            begun.setdefault(command.stream, []).append((command.start, write.low - 1, command))
        for command in case.silent:
            if command.version is not None and command.end is not None:
                ended.setdefault(command.stream, []).append((command.end, command.version, command))
                begun.setdefault(command.stream, []).append(
                    (command.start, command.version, command)
                )
        for stream, operations in begun.items():
            for before, after in overtaken(in_order(ended.get(stream, ())), in_order(operations)):
                sentence = (
                    f"{stream} had come to version {before[1]}, and a command that began afterwards "
                    f"found it at version {after[1]}."
                )
                yield Violation(self.name, sentence, (before[2], after[2]))
        if case.log:
            yield from self._inside(case)
        else:
            yield from self._twice(case)

    def _inside(self, case: Case) -> Iterator[Violation]:
        """A command's events are appended together: nobody finds the stream between them."""
        for command in case.silent:
            stream = case.streams.get(command.stream, ())
            version = command.version or 0
            if not 0 < version < len(stream):
                continue
            before, after = stream[version - 1], stream[version]
            id = before.command_id
            if id is not None and id == after.command_id and case.uses.get(id) == 1:
                sentence = (
                    f"a command found {command.stream} at version {version}, between two events that "
                    "were appended together."
                )
                yield Violation(self.name, sentence, (before, after, command))

    def _twice(self, case: Case) -> Iterator[Violation]:
        """Without a log, nothing else tells that two commands both made the same version."""
        made: dict[tuple[str, int], Executed] = {}
        for write in case.writes:
            command = write.record
            if command.version is not None:
                other = made.setdefault((command.stream, command.version), command)
                if other is not command:
                    sentence = f"two commands made version {command.version} of {command.stream}."
                    yield Violation(self.name, sentence, (other, command))


@dataclass(frozen=True, slots=True)
class CommitOrder:
    """Positions are in the order of commits: what anybody knew of when a command began stands before it.

    Over all streams: so no answer, receipt or replica was ahead of a command that had not begun.
    """

    name: ClassVar[str] = "commit_order"
    promise: ClassVar[str] = (
        "the log's order is the order of time, and nobody sees what has not begun"
    )

    def missing(self, case: Case) -> str | None:
        if not any(write.last for write in case.writes):
            return "no command says at which position it wrote"
        return None

    def violations(self, case: Case) -> Iterator[Violation]:
        begun = in_order(
            (write.record.start, write.first - 1, write.record)
            for write in case.writes
            if write.last
        )
        for before, after in overtaken(case.known, begun):
            sentence = (
                f"position {before[1]} was known, and a command that began afterwards stands at "
                f"position {after[1] + 1}."
            )
            yield Violation(self.name, sentence, (before[2], after[2]))
