"""What travels: commands in envelopes, recorded events, receipts.

Structs without cyclic references are built with gc=False: at 100,000 commands a second the garbage
collector must not walk them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NewType, TypeVar

import msgspec

if TYPE_CHECKING:
    Position = NewType("Position", int)
    Version = NewType("Version", int)
    StreamKey = NewType("StreamKey", int)
else:
    # Until Python 3.13 calling a NewType is a call of a Python function, several times per command.
    Position = Version = StreamKey = int

"""Position: place in the whole log; global, dense, 1-based, in commit order. 0 stands before the first event.

Version: place in one stream; dense, 1-based. 0 means that the stream has no events.

StreamKey: a store's own short name for a stream; 0 until the store has given one.
"""

C = TypeVar("C")
E = TypeVar("E")


class Context(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What travels with a command beside its id, and is stored beside its events when there is any of it."""

    correlation_id: str | None = None
    """Names the whole conversation; None stands for the command's own id."""
    causation_id: str | None = None
    """Names the message that led to the command."""
    metadata: Mapping[str, Any] | None = None
    """What the host wants kept: a user, a tenant, a trace. JSON-like."""

    def encoded(self) -> str:
        """JSON whatever the payloads are: a recorded event reads its context without knowing a codec."""
        return msgspec.json.encode(self).decode()


NO_CONTEXT = Context()


class Envelope(msgspec.Struct, Generic[C], frozen=True, gc=False):
    """A command and what travels with it. Times are Unix seconds."""

    command: C
    command_id: str
    """Unique per command; the runtime makes one where the caller gives none."""
    issued_at: float
    """When `execute` was called, by the runtime's clock. The time a decision may use."""
    expected_version: Version | None = None
    """Refuse unless the stream stands at this version when the command's turn comes."""
    deadline: float | None = None
    """Refuse if the command's turn comes later than this."""
    context: Context | None = None

    @property
    def correlation_id(self) -> str:
        return (self.context or NO_CONTEXT).correlation_id or self.command_id

    @property
    def causation_id(self) -> str | None:
        return (self.context or NO_CONTEXT).causation_id

    @property
    def metadata(self) -> Mapping[str, Any]:
        return (self.context or NO_CONTEXT).metadata or {}


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An event that was decided and is not yet durable."""

    type: str
    data: bytes
    event: Any
    command_id: str
    context: str
    """Encoded `Context`; empty where there is none."""


class Append(msgspec.Struct):
    """New events of one stream that are committed together or not at all."""

    category: str
    id: str
    expected_version: Version
    """What the stream must be at."""
    events: list[NewEvent]
    stream_key: StreamKey = StreamKey(0)
    """0 for a stream that the store has not named yet."""

    @property
    def stream(self) -> str:
        return stream_name(self.category, self.id)


class Commit(msgspec.Struct, frozen=True):
    """What became of a batch of appends. Those without a conflict are durable, in the batch's order."""

    head_before: Position
    """The head of the log when the transaction began; the first new event stands right after it."""
    head: Position
    recorded_at: float
    conflicts: Mapping[int, Version]
    """Index in the batch -> the version at which that stream really stands. Nothing of these was written."""
    stream_keys: Mapping[int, StreamKey]
    """Index in the batch -> the key that a new stream got."""


class RecordedEvent(msgspec.Struct, Generic[E], frozen=True, gc=False):
    """An event in the log, as projections and readers see it."""

    position: Position
    category: str
    id: str
    """The aggregate's id: `alice` of the stream `account-alice`."""
    version: Version
    event: E
    recorded_at: float
    """When it was committed, in Unix seconds."""
    command_id: str
    context: str = ""
    """Encoded `Context`; read it through the properties below."""

    @property
    def stream(self) -> str:
        return stream_name(self.category, self.id)

    @property
    def correlation_id(self) -> str:
        return self._context().correlation_id or self.command_id

    @property
    def causation_id(self) -> str | None:
        return self._context().causation_id

    @property
    def metadata(self) -> Mapping[str, Any]:
        return self._context().metadata or {}

    def _context(self) -> Context:
        return _decode_context(self.context) if self.context else NO_CONTEXT


_decode_context = msgspec.json.Decoder(Context).decode


class CommittedBatch(msgspec.Struct, frozen=True, gc=False):
    """What one transaction added to the log, in position order and without a gap inside."""

    events: Sequence[RecordedEvent[Any]]
    first: Position
    last: Position
    recorded_at: float


class Receipt(msgspec.Struct, frozen=True, gc=False):
    """The command is durable. `position` is what to ask a view for in order to see its effect.

    A command that decided on no events has the head of the log as its position: a view there has
    seen everything the decision was made on.
    """

    category: str
    id: str
    position: Position
    version: Version
    """Version of the stream after the command."""
    command_id: str

    @property
    def stream(self) -> str:
        return stream_name(self.category, self.id)


def stream_name(category: str, id: str) -> str:
    """The stream of an aggregate: category, a hyphen, the aggregate's id. Categories hold no hyphen."""
    return f"{category}-{id}"


def split_stream(name: str) -> tuple[str, str]:
    """The inverse of `stream_name`."""
    category, _, id = name.partition("-")
    return category, id
