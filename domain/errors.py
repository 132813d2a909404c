"""Every error Aftertide raises on purpose, classed by who must act.

    Exception
    ├── TypeError, ValueError              the caller's mistake: mend the call
    └── AftertideError
        ├── CommandRejected                the domain's no: an answer, not a fault
        ├── Condition                      the world is not as the call needs it: wait, retry, or look
        │   ├── ConcurrencyConflict        another writer was first, more often than we may retry
        │   ├── DeadlineExceeded           the command's deadline passed before it was decided
        │   ├── MailboxFull                the aggregate has as many commands waiting as it may
        │   ├── NotFreshEnough             no replica reached the asked position in time
        │   ├── ProjectionStopped          the projection gave up; its cause is chained
        │   ├── RuntimeClosed              the runtime takes no more work
        │   └── StoreUnavailable           the disk or the file does not let us
        │       ├── NotADatabase           the file is something else
        │       ├── SchemaMismatch         written by a newer Aftertide, or for another database
        │       ├── StoreFull              no space left
        │       ├── StoreLocked            another process holds the file
        │       └── StoreReadOnly          no permission to write
        ├── DecisionFailed                 the decider raised what it should not: mend the decider
        ├── StreamUnreadable               an event can't be decoded or evolved: mend type or evolve
        ├── UnknownEventType               the log holds a type nobody registered: register it
        └── InvariantViolation             our bug: report it

Each text holds the actual value, the allowed one and the next step.
"""

from collections.abc import Iterable
from typing import Any


def described(error: BaseException) -> str:
    """The class of an error and what it says. Never raises."""
    kind, text = type(error).__name__, text_of(error)
    return f"{kind}: {text}" if text else kind


def text_of(error: BaseException) -> str:
    """What an error says. Never raises: somebody else's error may, when it is asked."""
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001 - what the error stands for is passed on all the same
        return f"(its own text failed with {type(broken).__name__})"


class AftertideError(Exception):
    """The root: catch it to catch all that Aftertide raises on purpose, except the caller's mistakes."""

    def __reduce__(self) -> tuple[Any, ...]:
        # By its text and its fields, not through __init__, so that it passes between processes.
        return _restored, (type(self), self.args, self.__dict__)


def _restored(
    kind: type[AftertideError], args: tuple[Any, ...], fields: dict[str, Any]
) -> AftertideError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(fields)
    return error


class CommandRejected(AftertideError):
    """Raised by `decide` to say no. Nothing was appended; the caller receives this very error.

    It is answered only once the state it was decided on is durable.
    """


class Condition(AftertideError):
    """A condition of the world. The same call may succeed later, or elsewhere."""


class ConcurrencyConflict(Condition):
    """The stream is at another version than the append expected. Nothing was appended."""

    def __init__(self, stream: str, expected: int, actual: int, attempts: int = 1) -> None:
        self.stream = stream
        self.expected = expected
        self.actual = actual
        self.attempts = attempts
        if actual > expected:
            why = f"another writer appended {actual - expected} event(s) first"
        else:
            why = f"the stream has {expected - actual} event(s) fewer than that"
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        super().__init__(
            f"{stream!r} is at version {actual}, not {expected}: {why}{tries}. "
            "Reload the aggregate and decide again."
        )


class DeadlineExceeded(Condition):
    """The command waited past its deadline and was not decided. Nothing was appended."""

    def __init__(self, stream: str, late_seconds: float) -> None:
        self.stream = stream
        self.late_seconds = late_seconds
        super().__init__(
            f"a command for {stream!r} was {late_seconds:.3f} s past its deadline when its turn came; "
            "it was not decided. Give it a longer timeout, or send fewer commands at once."
        )


class MailboxFull(Condition):
    """The aggregate's mailbox holds as many commands as it may. The command was not accepted."""

    def __init__(self, stream: str, capacity_commands: int) -> None:
        self.stream = stream
        self.capacity_commands = capacity_commands
        super().__init__(
            f"the mailbox of {stream!r} holds {capacity_commands} commands, which is its capacity. "
            'Send again later, raise Limits.mailbox_commands, or let senders wait (when_full="wait").'
        )


class NotFreshEnough(Condition):
    """No replica could answer at the asked consistency before the timeout."""

    def __init__(self, view: str, wanted: int, reached: int, timeout_seconds: float) -> None:
        self.view = view
        self.wanted = wanted
        self.reached = reached
        self.timeout_seconds = timeout_seconds
        super().__init__(
            f"view {view!r} is at position {reached} and position {wanted} was asked for; "
            f"{timeout_seconds:g} s were not enough. Wait longer (timeout=), accept an older answer "
            '(on_timeout="stale"), or ask for less (Eventual()).'
        )


class ProjectionStopped(Condition):
    """The projection stopped and will not reach the position. `__cause__` says why."""

    def __init__(self, projection: str, position: int, reason: str) -> None:
        self.projection = projection
        self.position = position
        self.reason = reason
        super().__init__(
            f"projection {projection!r} stopped at position {position}: {reason.rstrip('.')}. Mend the cause, then "
            "restart it with runtime.projection(view, replica).restart() or open the runtime again."
        )

    def again(self) -> "ProjectionStopped":
        """The same for one more caller. An error that is raised twice keeps the trace of both."""
        other = ProjectionStopped(self.projection, self.position, self.reason)
        other.__cause__ = self.__cause__
        return other


class RuntimeClosed(Condition):
    """The runtime is closing or closed. The command was not accepted."""

    def __init__(self, what: str = "the runtime is closed") -> None:
        super().__init__(f"{what}: it takes no more work. Open a new one with Runtime.open(...).")


class StoreUnavailable(Condition):
    """A store could not do its work. What was committed before is untouched; this call wrote nothing."""

    def __init__(self, path: str, what: str, next_step: str) -> None:
        self.path = path
        super().__init__(f"{path}: {what}. {next_step}")


class NotADatabase(StoreUnavailable):
    """The file is not a database, or not one of ours. It was not changed."""


class SchemaMismatch(StoreUnavailable):
    """The database has a schema that this version can't use, or belongs elsewhere. It was not changed."""


class StoreFull(StoreUnavailable):
    """The disk or the quota is full. The transaction was rolled back."""


class StoreLocked(StoreUnavailable):
    """Another connection holds the lock for longer than the busy timeout. Nothing was written."""


class StoreReadOnly(StoreUnavailable):
    """The file or its folder can't be written."""


class DecisionFailed(AftertideError):
    """`decide` or `evolve` raised something other than CommandRejected, or returned what can't be stored.

    The command failed alone: nothing of it was appended. `__cause__` is what was raised.
    """

    def __init__(self, stream: str, command: object, problem: str) -> None:
        self.stream = stream
        self.command = command
        super().__init__(
            f"deciding {type(command).__name__} for {stream!r} failed: {problem}. "
            "Nothing was appended. Mend the decider; to say no, raise CommandRejected."
        )


class StreamUnreadable(AftertideError):
    """An event of the stream can't be decoded, or `evolve` raised on it. `__cause__` is what was raised."""

    def __init__(
        self, stream: str, after_version: int, error: BaseException, position: int | None = None
    ) -> None:
        self.stream = stream
        self.after_version = after_version
        self.position = position
        """Of the event, where it is known."""
        super().__init__(
            f"{stream!r} can't be read after version {after_version}: {described(error)}. Mend "
            "the event type or evolve; evolve must accept every event that was ever stored."
        )


class UnknownEventType(AftertideError):
    """The log holds an event of a type that no decider has registered."""

    def __init__(self, type_name: str, stream: str, position: int, known: Iterable[str]) -> None:
        self.type_name = type_name
        self.stream = stream
        self.position = position
        names = ", ".join(sorted(known)) or "none"
        super().__init__(
            f"position {position} of stream {stream!r} is an event of type {type_name!r}, which is not "
            f"registered (known: {names}). Add the type to its decider's events=, or open the runtime "
            "with the decider that writes it."
        )


class InvariantViolation(AftertideError):
    """A promise of Aftertide itself is broken. Please report it with the text."""
