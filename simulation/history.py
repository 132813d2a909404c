"""A history: what was done to a system and what it answered, in memory and as JSON lines.

The format is documented in docs/histories.md and has a version. Nothing here judges what it holds: a system
that breaks every promise has a history too. What can't be a history at all is refused with its line.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import msgspec

from ..domain.decider import Decider
from ..domain.view import View
from .jepsen import Line, Pairing
from .records import (
    AnyRecord,
    Applied,
    Count,
    Crashed,
    Executed,
    Logged,
    Queried,
    Record,
    Registered,
    Restarted,
    Settled,
)

FORMAT = 1


class HistoryUnreadable(ValueError):
    """A line is no part of a history. Says which one, what is there and what may be."""

    def __init__(self, name: str, line: int, problem: str) -> None:
        self.line = line
        self.problem = problem
        super().__init__(f"{name}, line {line}: {problem}. The format is in docs/histories.md.")


class Header(Record, frozen=True, kw_only=True, tag="history"):
    """The first line."""

    format: int
    epoch: float | None = None
    """Unix time of second 0, where there is one."""
    replicas: Mapping[str, Count] = {}
    """Replicas that stood further than at the log's beginning when the history began, and where."""
    about: Mapping[str, Any] = {}
    """Whatever the writer wants kept: a scenario, a seed."""

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(
                f"the history has format {self.format}, and this Aftertide reads format {FORMAT}"
            )


class History:
    """Records by their kind, each in the order in which they were added.

    `views` and `deciders` are what the rows and events were made with, where that is known: a file does not
    hold them, so `check` takes them too.
    """

    def __init__(
        self,
        records: Iterable[Record] = (),
        *,
        replicas: Mapping[str, int] | None = None,
        epoch: float | None = None,
        about: Mapping[str, Any] | None = None,
        views: Sequence[View[Any, Any, Any]] = (),
        deciders: Sequence[Decider[Any, Any, Any]] = (),
    ) -> None:
        self.replicas = dict(replicas or {})
        """Where each replica stood at the beginning; 0 for one that is not named."""
        self.epoch = epoch
        self.about = dict(about or {})
        self.views = tuple(views)
        self.deciders = tuple(deciders)
        self.commands: list[Executed] = []
        self.queries: list[Queried] = []
        self.registers: list[Registered] = []
        self.log: list[Logged] = []
        self.moves: list[Applied | Restarted] = []
        self.crashes: list[Crashed] = []
        self.settled: list[Settled] = []
        self._add: dict[type[Record], Callable[[Any], None]] = {
            Executed: self.commands.append,
            Queried: self.queries.append,
            Registered: self.registers.append,
            Logged: self.log.append,
            Applied: self.moves.append,
            Restarted: self.moves.append,
            Crashed: self.crashes.append,
            Settled: self.settled.append,
        }
        for record in records:
            self.add(record)

    def __repr__(self) -> str:
        return (
            f"<History of {len(self.commands)} commands, {len(self.queries)} queries, "
            f"{len(self.registers)} register operations, {len(self.log)} events>"
        )

    def __len__(self) -> int:
        return sum(map(len, self._kinds()))

    def add(self, record: Record) -> None:
        """Raises TypeError for what is no record of an operation or an observation."""
        add = self._add.get(type(record))
        if add is None:
            kinds = ", ".join(kind.__name__ for kind in self._add)
            raise TypeError(f"{record!r} is no part of a history: it holds {kinds}.")
        add(record)

    def records(self) -> list[AnyRecord]:
        """All of them in the order of time, as a timeline tells them."""
        together: list[AnyRecord] = [record for kind in self._kinds() for record in kind]
        return sorted(together, key=self._moment)

    def timeline(self) -> str:
        """One line for each record."""
        return "\n".join(map(str, self.records()))

    def _moment(self, record: AnyRecord) -> float:
        """When it was over, or seen."""
        match record:
            case Logged(recorded_at=at):
                return 0.0 if at is None else at - (self.epoch or 0.0)
            case Executed() | Queried() | Registered():
                return record.start if record.end is None else record.end
            case _:
                return record.at

    def _kinds(self) -> tuple[Sequence[AnyRecord], ...]:
        return (
            self.log,
            self.moves,
            self.commands,
            self.queries,
            self.registers,
            self.crashes,
            self.settled,
        )

    # ---- as JSON lines

    def lines(self) -> Iterator[bytes]:
        """The history as it stands in a file, line by line, each with its end."""
        encode = msgspec.json.Encoder().encode
        yield (
            encode(
                Header(format=FORMAT, epoch=self.epoch, replicas=self.replicas, about=self.about)
            )
            + b"\n"
        )
        for record in self.records():
            yield encode(record) + b"\n"

    def write(self, path: str | PathLike[str]) -> None:
        """Write the file. Raises OSError where that can't be done."""
        with Path(path).open("wb") as file:
            file.writelines(self.lines())

    @classmethod
    def read(
        cls,
        path: str | PathLike[str],
        *,
        views: Sequence[View[Any, Any, Any]] = (),
        deciders: Sequence[Decider[Any, Any, Any]] = (),
    ) -> "History":
        """The history in a file. Raises HistoryUnreadable with the line, or OSError."""
        with Path(path).open("rb") as file:
            return cls.parse(file, name=str(path), views=views, deciders=deciders)

    @classmethod
    def parse(
        cls,
        lines: Iterable[bytes | str],
        *,
        name: str = "history",
        views: Sequence[View[Any, Any, Any]] = (),
        deciders: Sequence[Decider[Any, Any, Any]] = (),
    ) -> "History":
        """The history in these lines. Raises HistoryUnreadable with the line's number."""
        history = cls(views=views, deciders=deciders)
        pairing = Pairing()
        number, headed = 0, False
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                match _decoded(line):
                    case Header() as header:
                        history._begin(header, again=headed)
                        headed = True
                    case Line() as operation:
                        registered = pairing.add(operation)
                        if registered is not None:
                            history.add(registered)
                    case _ if not headed:
                        raise ValueError(f"before any record there must be {_HEADER}")
                    case record:
                        history.add(record)
            except (ValueError, msgspec.MsgspecError) as error:
                raise HistoryUnreadable(name, number, _plainly(error, line)) from None
        for left in pairing.rest():
            history.add(left)
        if not len(history) and not headed:
            raise HistoryUnreadable(name, max(number, 1), f"it is empty: there must be {_HEADER}")
        return history

    def _begin(self, header: Header, *, again: bool) -> None:
        if again:
            raise ValueError("a second header: a file holds one history")
        self.replicas = dict(header.replicas)
        self.epoch = header.epoch
        self.about = dict(header.about)


_HEADER = f'a first line {{"record":"history","format":{FORMAT}}}'
_decode_record: Callable[[bytes | str], AnyRecord | Header] = msgspec.json.Decoder(
    AnyRecord | Header
).decode
_decode_jepsen = msgspec.json.Decoder(Line).decode


def _decoded(line: bytes | str) -> AnyRecord | Header | Line:
    try:
        return _decode_record(line)
    except msgspec.ValidationError:
        try:
            return _decode_jepsen(line)
        except msgspec.ValidationError:
            pass
        raise


def _plainly(error: Exception, line: bytes | str) -> str:
    text = line.decode(errors="replace") if isinstance(line, bytes) else line
    text = text.strip()
    shown = text if len(text) <= 120 else f"{text[:120]}…"
    what = str(error).rstrip(".")
    if "missing required field `record`" in what or what.startswith("Invalid value"):
        kinds = ", ".join(_KINDS)
        what += f"; `record` is one of {kinds}"
    return f"{what}: {shown}"


_KINDS = [str(kind.__struct_config__.tag) for kind in (Header, *get_args(AnyRecord))]
