"""What a history is made of: one record for each thing that was done or seen. Values only; nothing here judges.

Times are seconds since the history's beginning, by one clock; `end` is None for what never came to an end.
Outcomes are Jepsen's: `ok` it happened, `fail` it certainly did not, `info` nobody knows.
Names and meanings as JSON are in docs/histories.md: a field that changes there changes the format's version.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec

from ..domain.messages import Position, Version

NOTHING = msgspec.Raw(b"null")
"""Stands where a record has no value: msgspec.Raw has no None beside it."""

At = Annotated[Position, msgspec.Meta(ge=0)]
Number = Annotated[Version, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(min_length=1)]

LONGEST_SHOWN = 160
"""Characters of a value in a line for a reader."""

Outcome = Literal["ok", "fail", "info"]
Asked = Literal["eventual", "session", "at_least", "bounded", "strong"]


class Record(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    # A word that we don't know is a misspelling more often than an extension, and would be a rule not applied.
    forbid_unknown_fields=True,
    tag_field="record",
    # Without cycles, and many: the garbage collector must not walk them all again and again.
    gc=False,
):
    """The base of all records. `str(record)` is a line of a timeline."""


class Operation(Record, frozen=True, kw_only=True):
    """Something that a client began and that ended, or never did."""

    start: float
    end: float | None = None
    outcome: Outcome = "ok"
    session: Name | None = None
    """Whose it was. Operations of one session are promised to each other what session guarantees say."""
    error: str | None = None

    def __post_init__(self) -> None:
        if self.end is None:
            if self.outcome != "info":
                raise ValueError(
                    f"outcome {self.outcome!r} without an `end`: what nobody saw end is 'info'"
                )
        elif self.end < self.start:
            raise ValueError(f"it ends at {self.end}, before its `start` at {self.start}")

    def _who(self) -> str:
        end = "…" if self.end is None else f"{self.end:.6f}"
        return f"{self.start:.6f}–{end}  {self.session or 'somebody'}"

    def _became(self, what: str) -> str:
        """How it ended, where `what` tells the good end."""
        reason = f" ({self.error})" if self.error else ""
        return {"ok": what, "fail": f"failed{reason}", "info": f"outcome unknown{reason}"}[
            self.outcome
        ]


class Executed(Operation, frozen=True, kw_only=True, tag="command"):
    """A command. An `ok` one has a receipt: version and position after it."""

    stream: Name
    command: str = ""
    """The command's type, for a reader."""
    id: Name | None = None
    """The command's id, which its events in the log carry."""
    version: Number | None = None
    position: At | None = None

    def __str__(self) -> str:
        receipt = f"ok, version {_or_unsaid(self.version)}, position {_or_unsaid(self.position)}"
        command = self.command or "a command"
        return f"{self._who()}  {command} to {self.stream}: {self._became(receipt)}"


class Queried(Operation, frozen=True, kw_only=True, tag="query"):
    """A query of a view, what it asked for, and its answer."""

    view: Name
    replica: Name | None = None
    """Who answered: `balances/2`."""
    select: msgspec.Raw = NOTHING
    """Which rows were asked for; see Question."""
    asked: Asked | None = None
    """The consistency it asked for; None where the history does not say."""
    asked_position: At | None = None
    asked_events: Count | None = None
    asked_seconds: Seconds | None = None
    position: At | None = None
    """What the answer says that it reflects."""
    behind_events: Count | None = None
    """How many events the answer says that it misses."""
    stale: bool = False
    """The answer says itself that it is less fresh than was asked for."""
    rows: msgspec.Raw = NOTHING
    """The answer: a list of rows as objects."""
    positions: tuple[At, ...] = ()
    """What each row reflects, where a system says that for each."""
    cut: Name | None = None
    """Names a set of queries that must all be answered at one position."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.asked == "at_least" and self.asked_position is None:
            raise ValueError("asked 'at_least' without an `asked_position`")
        if self.asked == "bounded" and self.asked_events is None and self.asked_seconds is None:
            raise ValueError("asked 'bounded' without `asked_events` or `asked_seconds`")

    def __str__(self) -> str:
        wanted = "" if self.asked is None else f", {self.asked}"
        if self.asked_position is not None:
            wanted += f" {self.asked_position}"
        select = "" if self.select == NOTHING else f" {_text(self.select)}"
        where = "" if self.replica is None else f" by {self.replica}"
        stale = ", said to be stale" if self.stale else ""
        rows = "" if self.rows == NOTHING else f": {_text(self.rows)}"
        answer = f"answered{where} at position {_or_unsaid(self.position)}{stale}{rows}"
        return f"{self._who()}  {self.view}{select}{wanted}: {self._became(answer)}"


class Registered(Operation, frozen=True, kw_only=True, tag="register"):
    """An operation on a register without versions: read, write, or compare and set."""

    key: msgspec.Raw = NOTHING
    """Any JSON value: each key is a register of its own."""
    do: Literal["read", "write", "cas"]
    value: msgspec.Raw = NOTHING
    """What was written, or read. Registers begin as null."""
    expected: msgspec.Raw = NOTHING
    """What `cas` compares with."""

    def __str__(self) -> str:
        key = "" if self.key == NOTHING else f" {_text(self.key)}"
        value = _text(self.value)
        match self.do:
            case "read":
                return f"{self._who()}  read{key}: {self._became(value)}"
            case "write":
                return f"{self._who()}  write{key} := {value}: {self._became('ok')}"
            case _:
                was = _text(self.expected)
                return f"{self._who()}  cas{key} {was} → {value}: {self._became('ok')}"


class Logged(Record, frozen=True, kw_only=True, tag="event"):
    """An event as the log has it at the end of the history."""

    position: At
    stream: Name
    version: Number
    type: str = ""
    recorded_at: float | None = None
    """When the log says that it was committed, in Unix seconds: the very number that views are given."""
    command_id: Name | None = None
    context: str = ""
    """Encoded correlation, causation and metadata; empty where there are none."""
    data: msgspec.Raw = NOTHING

    def __str__(self) -> str:
        data = "" if self.data == NOTHING else f" {_text(self.data)}"
        return (
            f"position {self.position} of the log: {self.stream} version {self.version}, "
            f"{self.type or 'event'}{data}"
        )


class Applied(Record, frozen=True, kw_only=True, tag="applied"):
    """A replica moved its checkpoint over the events from `first` to `position`."""

    replica: Name
    position: At
    first: At | None = None
    """None: it applied the one event at `position`."""
    at: float

    def __post_init__(self) -> None:
        if self.first is not None and not 1 <= self.first <= self.position:
            raise ValueError(f"`first` is {self.first}: it must be from 1 to {self.position}")

    def __str__(self) -> str:
        first = "" if self.first in (None, self.position) else f"{self.first} to "
        return f"{self.at:.6f}  {self.replica} applied {first}{self.position}"


class Crashed(Record, frozen=True, kw_only=True, tag="crash"):
    """A node was killed: what it had under way has unknown outcomes."""

    at: float
    node: str = ""

    def __str__(self) -> str:
        return f"{self.at:.6f}  {self.node or 'the node'} crashed"


class Restarted(Record, frozen=True, kw_only=True, tag="restart"):
    """Replicas started again from their checkpoints, with their node or each by itself."""

    at: float
    node: str = ""
    checkpoints: Mapping[str, At | None]
    """Replica -> where it starts from; None where that is not known."""

    def __str__(self) -> str:
        each = ", ".join(f"{name} at {_or_unsaid(at)}" for name, at in self.checkpoints.items())
        return f"{self.at:.6f}  {self.node or 'a restart'}: {each or 'no replicas'}"


class Settled(Record, frozen=True, kw_only=True, tag="settled"):
    """Nothing more is written, and every replica was given the time to apply all up to `head`."""

    at: float
    head: At

    def __str__(self) -> str:
        return f"{self.at:.6f}  settled at position {self.head}"


AnyRecord = Executed | Queried | Registered | Logged | Applied | Crashed | Restarted | Settled


def _text(raw: msgspec.Raw) -> str:
    text = bytes(raw).decode()
    return (
        text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}… ({len(text)} characters)"
    )


def _or_unsaid(value: object) -> object:
    return "?" if value is None else value
