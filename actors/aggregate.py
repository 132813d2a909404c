"""The write side: one aggregate, one reader of its mailbox, one command at a time.

    runtime > mailbox > [aggregate] > journal > event store > bus > projection > read store > query

Inside the brackets: decide and evolve, one command after the other, on a state that may run ahead of the
disk. Replies wait for the commit; if the append fails, the state is dropped and read again, and what was
decided on it is decided anew. A turn never awaits, so there are no locks here.
"""

from asyncio import CancelledError, Future
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..domain.codec import EventTypes
from ..domain.decider import Decider
from ..domain.errors import (
    AftertideError,
    CommandRejected,
    ConcurrencyConflict,
    DeadlineExceeded,
    DecisionFailed,
    InvariantViolation,
    described,
)
from ..domain.limits import Limits
from ..domain.messages import (
    Append,
    Envelope,
    NewEvent,
    Position,
    Receipt,
    StreamKey,
    Version,
    stream_name,
)
from .dispatcher import Dispatcher
from .mailbox import Door, Mailbox, Message

Outcome = Version | Exception
"""What a decided command will be answered with once its append is durable: its version, or its error."""


class Decided(Append, kw_only=True, eq=False, gc=False):
    """What one or more turns of one aggregate decided, on its way to the disk.

    Its cycle with the aggregate (`tail`) is undone when it arrives, so the garbage collector need not know it.
    """

    aggregate: "Aggregate"
    messages: list[Message] = []  # noqa: RUF012 - msgspec makes a new one each time
    outcomes: list[Outcome] = []  # noqa: RUF012
    """One for each message."""
    submitted: bool = False


AppendAtOnce = Callable[
    [str, str, Version, list[NewEvent], StreamKey, float], tuple[Position, StreamKey]
]
"""See ImmediateEventStore.append_at_once."""


class Appender(Protocol):
    """What an aggregate needs of the journal."""

    head: Position

    def submit(self, decided: Decided) -> None: ...

    def added(self, events: int) -> None: ...

    def withdraw(self, decided: Decided) -> None: ...

    append_at_once: AppendAtOnce


class OnTrouble(Protocol):
    """Told of what an operator wants to know: what happened, to which aggregate, why, and for which command."""

    def __call__(
        self,
        what: str,
        aggregate: "Aggregate",
        error: Exception,
        envelope: Envelope[Any] | None = None,
        /,
    ) -> None: ...


class Kind:
    """What all aggregates of one decider share, and which of them are active."""

    __slots__ = (
        "activate",
        "active",
        "append_at_once",
        "attempts",
        "category",
        "commands",
        "decide",
        "decider",
        "dispatcher",
        "door",
        "epoch",
        "journal",
        "limits",
        "now",
        "on_rejected",
        "on_trouble",
        "rejected",
        "types",
        "ways",
    )

    def __init__(
        self,
        decider: Decider[Any, Any, Any],
        types: EventTypes,
        journal: Appender,
        dispatcher: Dispatcher,
        activate: "Callable[[Aggregate], None]",
        limits: Limits,
        now: Callable[[], float],
        on_trouble: OnTrouble,
        on_rejected: "Callable[[Aggregate, Envelope[Any], Exception], None] | None" = None,
    ) -> None:
        self.decider = decider
        self.category = decider.category
        self.commands = decider.commands
        self.decide = _deciding(decider, types)
        self.types = types
        self.ways = types.ways(decider)
        self.journal = journal
        self.append_at_once = journal.append_at_once
        self.dispatcher = dispatcher
        self.activate = activate
        self.limits = limits
        self.now = now
        self.on_trouble = on_trouble
        self.on_rejected = on_rejected
        self.door = Door(limits.mailbox_commands, limits.when_full)
        self.active: dict[str, Aggregate] = {}
        self.attempts: dict[Aggregate, int] = {}
        """Only of those that lost a conflict and have not committed since."""
        self.epoch = 0
        self.rejected = 0

    def find(self, id: str) -> "Aggregate":
        """The active aggregate of that id, or a new one that reads its state when the first command comes.

        Raises TypeError or ValueError for an id that can't name a stream.
        """
        try:
            aggregate = self.active.get(id)
        except TypeError:  # a list, say: below it is told what an id is
            aggregate = None
        if aggregate is None:
            _check_id(self.category, id)
            # A str of its own class (an Enum's member) may print as something else than it is equal to.
            id = str.__str__(id)
            aggregate = self.active[id] = Aggregate(self, id)
        return aggregate


Decide = Callable[[Envelope[Any], object], tuple[list[NewEvent], object]]


def _deciding(decider: Decider[Any, Any, Any], types: EventTypes) -> Decide:
    """A function from a command and a state to its events, encoded, and the state after them.

    Raises whatever says no or goes wrong. A closure, since it runs for every command: what it needs is bound
    once.
    """
    plain: Callable[..., Sequence[object]] = decider.decide
    takes_envelope, evolve = decider.takes_envelope, decider.evolve
    ways, encode = types.ways(decider), types.codec.encode

    def decide(envelope: Envelope[Any], state: object) -> tuple[list[NewEvent], object]:
        command_id = envelope.command_id
        context = "" if envelope.context is None else envelope.context.encoded()
        new: list[NewEvent] = []
        for event in (
            plain(envelope.command, state, envelope)
            if takes_envelope
            else plain(envelope.command, state)
        ):
            name, decode = ways[type(event)]
            data = encode(event)
            # What can't be read again must not be written: a text in a field of numbers, NaN. And what is
            # read again is what the state is made of and what projections see, now as after a restart.
            try:
                stored = decode(data)
            except Exception as error:
                raise ValueError(
                    f"{type(event).__name__} can't be read again once it is stored: {described(error)}"
                ) from error
            new.append(NewEvent(name, data, stored, command_id, context))
            state = evolve(state, stored)
        return new, state

    return decide


class Aggregate(Mailbox):
    """One activation of one stream. Few fields: a hundred thousand of them must fit.

    `tail` is the last thing it decided that is not durable yet; without one, state and disk agree.
    """

    __slots__ = ("id", "kind", "loaded", "state", "stream_key", "tail", "touched", "version")

    def __init__(self, kind: Kind, id: str) -> None:
        self.messages = None
        self.kind = kind
        self.id = id
        self.state: Any = kind.decider.initial
        self.version = Version(0)
        self.stream_key = StreamKey(0)
        self.loaded = False
        self.tail: Decided | None = None
        self.touched = kind.epoch

    def __repr__(self) -> str:
        return f"<Aggregate {self.stream}@{self.version}>"

    @property
    def door(self) -> Door:
        return self.kind.door

    @property
    def stream(self) -> str:
        return stream_name(self.kind.category, self.id)

    @property
    def idle(self) -> bool:
        """Nothing waits, nothing is under way: it can be passivated without a trace."""
        return self.messages is None and self.tail is None and self.loaded

    def wake(self) -> None:
        if self.loaded:
            self.kind.dispatcher.wake(self)
        else:
            self.kind.activate(self)

    def turn(self) -> None:
        """Decide everything that waits, on the state that the commands before it left."""
        messages = self.messages
        if messages is None or not self.loaded:
            return
        kind = self.kind
        state, version = self.state, self.version
        tail = self.tail  # what the answers have to wait for
        waiting = None if tail is None or tail.submitted else tail  # what can still be added to
        outcomes: list[Outcome] = []
        outcome: Outcome
        for envelope, reply in messages:
            if reply.done():  # whoever asked has left before it began: it never starts
                outcomes.append(version)
                continue
            try:
                if envelope.expected_version is not None or envelope.deadline is not None:
                    self._check(envelope, version)
                new, next_state = kind.decide(envelope, state)
            except (Exception, CancelledError) as error:  # noqa: BLE001 - the user's code: it fails alone
                outcome = self._refused(envelope, error)
            else:
                if new:
                    if waiting is None:
                        # The very lists, not copies: the garbage collector has to walk each of them.
                        waiting = tail = self.tail = Decided(
                            kind.category, self.id, version, new, self.stream_key,
                            aggregate=self, messages=messages, outcomes=outcomes,
                        )  # fmt: skip
                        kind.journal.submit(waiting)
                    else:
                        waiting.events += new
                        kind.journal.added(len(new))
                    version = Version(version + len(new))
                    state = next_state
                outcome = version
            outcomes.append(outcome)
            if tail is None:
                # Nothing is under way: what this was decided on is on disk already.
                _answer(envelope, reply, outcome, kind.category, self.id, kind.journal.head)
        if tail is not None:
            # Those that have their answer already are passed over when it comes.
            if tail.messages is not messages:
                tail.messages += messages
                tail.outcomes += outcomes
        elif kind.attempts:
            # It lost a conflict, and what it decided anew needed no append.
            kind.attempts.pop(self, None)
        self.state, self.version = state, version
        self.touched = kind.epoch
        # Only now: had this raised, all of them would still be here to be told.
        self.messages = None
        if kind.door.lines:
            self.move_up()

    def at_once(self, envelope: Envelope[Any]) -> Receipt:
        """The turn of a single command, taken by its sender: only where the aggregate is idle, the store
        commits at once and nobody listens on the bus, so that there is nothing to wait for and nobody to tell.
        Raises what a reply would raise."""
        kind = self.kind
        version = self.version
        try:
            if envelope.expected_version is not None or envelope.deadline is not None:
                self._check(envelope, version)
            new, state = kind.decide(envelope, self.state)
        except (Exception, CancelledError) as error:  # noqa: BLE001 - as in a turn
            refused = self._refused(envelope, error)
            raise refused from refused.__cause__
        category, id, journal = kind.category, self.id, kind.journal
        if new:
            journal.head, self.stream_key = kind.append_at_once(
                category, id, version, new, self.stream_key, envelope.issued_at
            )
            self.state = state
            self.version = version = version + len(new)  # type: ignore[assignment]
        self.touched = kind.epoch
        return Receipt(category, id, journal.head, version, envelope.command_id)

    def committed(self, decided: Decided, first: Position, stream_key: StreamKey) -> None:
        """The append is durable, its first event at `first`: answer everybody who waited for it."""
        self.stream_key = stream_key
        if self.tail is decided:
            self.tail = None
        if self.kind.attempts:
            self.kind.attempts.pop(self, None)
        offset = first - decided.expected_version - 1
        category, id = decided.category, decided.id
        for (envelope, reply), outcome in zip(decided.messages, decided.outcomes, strict=True):
            if reply.done():
                continue  # it left while the commit was under way: durable all the same
            if isinstance(outcome, int):
                position = Position(offset + outcome)
                reply.set_result(Receipt(category, id, position, outcome, envelope.command_id))
            else:
                reply.set_exception(outcome)

    def conflicted(self, decided: Decided, actual: Version) -> None:
        """Another writer was first: nothing of it is on disk. Read again and decide anew, not for ever."""
        kind = self.kind
        attempts = kind.attempts.get(self, 0) + 1
        conflict = ConcurrencyConflict(self.stream, decided.expected_version, actual, attempts)
        kind.on_trouble("aggregate.conflict", self, conflict)
        again = self._take_back(decided)
        if attempts >= kind.limits.conflict_attempts:
            kind.attempts.pop(self, None)
            for message in decided.messages:
                _fail(message, conflict)
            again = again[len(decided.messages) :]
        else:
            kind.attempts[self] = attempts
        self._restart(again)

    def failed(self, decided: Decided, error: AftertideError) -> None:
        """The store could not write. Those who decided something get its error; a rejection that rests on
        a state which is taken back is decided again."""
        again = self._take_back(decided)
        rejections: list[Message] = []
        for message, outcome in zip(decided.messages, decided.outcomes, strict=True):
            if isinstance(outcome, int):
                _fail(message, error)
            else:
                rejections.append(message)
        self._restart(rejections + again[len(decided.messages) :])

    def crashed(self, error: BaseException) -> None:
        """A turn raised, which it must never do: our bug. Whoever waits learns of it; the state is dropped."""
        bug = InvariantViolation(
            f"a turn of {self!r} raised {described(error)}. Please report this."
        )
        bug.__cause__ = error
        self.kind.on_trouble("aggregate.crashed", self, bug)
        tail = self.tail
        if tail is not None and not tail.submitted:
            self.kind.journal.withdraw(tail)
            for message in tail.messages:
                _fail(message, bug)
        self.abandon(bug)

    def activated(self, state: object, version: Version, stream_key: StreamKey) -> None:
        """The state is read: turns may come."""
        self.state, self.version, self.stream_key = state, version, stream_key
        self.loaded = True
        if self.messages is not None:
            self.kind.dispatcher.wake(self)

    def abandon(self, error: Exception) -> None:
        """The state can't be read: everybody who waits gets the error, the next command tries anew."""
        self._leave()
        line = self.door.lines.pop(self, ())
        for message in (*self.take(), *line):
            _fail(message, error)

    def _take_back(self, decided: Decided) -> list[Message]:
        """Drop the state that ran ahead; all messages that were decided on it, in their order."""
        messages = list(decided.messages)
        tail = self.tail
        if tail is not None and tail is not decided:
            self.kind.journal.withdraw(tail)
            messages += tail.messages
        self.tail = None
        self.state = self.kind.decider.initial
        self.version = Version(0)
        self.loaded = False
        return messages

    def _restart(self, messages: list[Message]) -> None:
        self.put_back(messages)
        if self.messages is None:
            self._leave()
        else:
            self.kind.activate(self)

    def _leave(self) -> None:
        kind = self.kind
        kind.attempts.pop(self, None)
        if kind.active.get(self.id) is self:  # after a crash there may be another one by now
            del kind.active[self.id]

    def _check(self, envelope: Envelope[Any], version: Version) -> None:
        expected, deadline = envelope.expected_version, envelope.deadline
        if deadline is not None and (late := self.kind.now() - deadline) > 0:
            raise DeadlineExceeded(self.stream, late)
        if expected is not None and expected != version:
            raise ConcurrencyConflict(self.stream, expected, version)

    def _refused(self, envelope: Envelope[Any], error: BaseException) -> Exception:
        """What the sender gets: the domain's no as it is, anything else as a failed decision."""
        if isinstance(error, (CommandRejected, ConcurrencyConflict, DeadlineExceeded)):
            self.kind.rejected += 1
            if self.kind.on_rejected is not None:
                self.kind.on_rejected(self, envelope, error)
            return error
        failed = self._failed_decision(envelope, error)
        self.kind.on_trouble("command.failed", self, failed, envelope)
        return failed

    def _failed_decision(self, envelope: Envelope[Any], error: BaseException) -> DecisionFailed:
        if isinstance(error, KeyError) and error.args and isinstance(error.args[0], type):
            known = ", ".join(sorted(event.__name__ for event in self.kind.ways))
            problem = (
                f"it decided on an event of type {error.args[0].__name__}, which decider "
                f"{self.kind.category!r} does not declare (it declares {known})"
            )
        else:
            problem = described(error)
        failed = DecisionFailed(self.stream, envelope.command, problem)
        failed.__cause__ = error
        return failed


def _answer(
    envelope: Envelope[Any],
    reply: "Future[Receipt]",
    outcome: Outcome,
    category: str,
    id: str,
    position: Position,
) -> None:
    if isinstance(outcome, int):
        reply.set_result(Receipt(category, id, position, outcome, envelope.command_id))
    else:
        reply.set_exception(outcome)


def _fail(message: Message, error: Exception) -> None:
    reply: Future[Receipt] = message[1]
    if not reply.done():
        reply.set_exception(error)


LONGEST_ID = 512


def _check_id(category: str, id: object) -> None:
    if not isinstance(id, str):
        raise TypeError(f"the id of a {category!r} aggregate is {id!r}: it must be a string.")
    if not id or len(id) > LONGEST_ID:
        raise ValueError(
            f"the id of a {category!r} aggregate has {len(id)} characters: allowed are 1 to {LONGEST_ID}."
        )
    try:
        id.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"the id {id!r} of a {category!r} aggregate holds a lone surrogate: use valid text."
        ) from None
