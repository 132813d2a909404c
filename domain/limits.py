"""Every bound of a runtime, by name. What is reached waits, refuses or sheds, as its line says."""

from dataclasses import dataclass, fields
from typing import Literal

WhenFull = Literal["wait", "refuse"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one runtime. Raises ValueError for a number that is not positive."""

    mailbox_commands: int = 4_096
    """Commands that may wait for one aggregate. When full: see `when_full`."""
    when_full: WhenFull = "wait"
    """`wait`: senders queue, first come first served. `refuse`: `execute` raises MailboxFull."""
    journal_events: int = 20_000
    """Decided events that may wait for the disk. When reached, aggregates take no turns until it moved on."""
    transaction_events: int = 5_000
    """Events in one transaction. The rest goes into the next one."""
    bus_events: int = 10_000
    """Events buffered for one projection. One that falls behind reads on from the event store."""
    page_events: int = 1_000
    """Events per page when a projection reads from the event store, and rows per page of `read`."""
    load_events: int = 2_000
    """Events per page when aggregates are activated."""
    active_aggregates: int = 100_000
    """Aggregates kept in memory per decider. Beyond it, idle ones are passivated."""
    idle_seconds: float = 300.0
    """An aggregate that had no command for this long is passivated, at the latest after half of it again."""
    coalesce_seconds: float = 0.002
    """A projection without lag that has just written lets this much time pass before it writes again, unless
    somebody waits for it: one transaction for all that came meanwhile. 0 writes at once."""
    cached_rows: int = 20_000
    """Rows a projection keeps in memory beside its read store."""
    conflict_attempts: int = 10
    """Times a command is decided when other writers are first; then it raises ConcurrencyConflict."""
    restarts: int = 5
    """Restarts of a projection within `restart_window_seconds`; then it stops with its cause."""
    restart_window_seconds: float = 60.0
    """The time in which `restarts` are counted."""
    query_timeout_seconds: float = 10.0
    """How long a query waits for its consistency unless it says otherwise."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "when_full":
                if value not in ("wait", "refuse"):
                    raise ValueError(
                        f"Limits.when_full is {value!r}: allowed are 'wait' and 'refuse'."
                    )
            elif isinstance(value, bool) or not isinstance(value, (int, float)):
                raise TypeError(f"Limits.{field.name} is {value!r}: it must be a number.")
            elif value < (0 if field.name in ("restarts", "coalesce_seconds") else 1e-9):
                raise ValueError(f"Limits.{field.name} is {value!r}: it must be more than 0.")
