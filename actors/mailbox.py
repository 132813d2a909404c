"""Where commands wait for their aggregate: bounded, first in first out, one reader.

    runtime > [mailbox] > aggregate > journal > event store > bus > projection > read store > query

Inside the brackets: a plain list, made when the first command comes and gone when the turn takes it, so
that an idle aggregate pays for none. No stream, no lock, no await: a mailbox that is full answers at once,
and a sender that may wait stands in line with its command, before any that comes later.
"""

from asyncio import Future
from collections import deque
from dataclasses import dataclass
from typing import Any

from ..domain.errors import MailboxFull
from ..domain.limits import WhenFull
from ..domain.messages import Envelope, Receipt

Message = tuple[Envelope[Any], "Future[Receipt]"]
"""A command and where its answer goes. A sender that left has cancelled the future."""


SWEPT_EVERY = 1_024
"""Commands that come to a full mailbox between two sweeps of the lines."""


@dataclass(frozen=True, slots=True)
class MailboxStatistics:
    """Counted over all mailboxes of one decider since the runtime opened."""

    capacity_commands: int
    refused: int
    waited: int
    """Commands that came to a full mailbox and stood in line."""
    standing_in_line: int


class Door:
    """What the mailboxes of one decider share: the capacity, and the lines before those that are full."""

    __slots__ = ("capacity", "lines", "refused", "waited", "when_full")

    def __init__(self, capacity: int, when_full: WhenFull) -> None:
        self.capacity = capacity
        self.when_full = when_full
        self.lines: dict[Mailbox, deque[Message]] = {}
        self.refused = 0
        self.waited = 0

    def queue(self, mailbox: "Mailbox", message: Message) -> None:
        """Let the message stand in line before a mailbox."""
        self.waited += 1
        if self.waited % SWEPT_EVERY == 0:
            # A host that tries again with a timeout leaves a message each time, and while a mailbox gets
            # no turn (a disk that stands still) nobody passes over them.
            for waiting, line in self.lines.items():
                self.lines[waiting] = deque(message for message in line if not message[1].done())
        self.lines.setdefault(mailbox, deque()).append(message)

    def statistics(self) -> MailboxStatistics:
        standing = sum(len(line) for line in self.lines.values())
        return MailboxStatistics(self.capacity, self.refused, self.waited, standing)


class Mailbox:
    """What an aggregate inherits to be sent to. `messages` is None while nothing waits."""

    __slots__ = ("messages",)

    messages: list[Message] | None

    @property
    def door(self) -> Door:
        raise NotImplementedError

    @property
    def stream(self) -> str:
        raise NotImplementedError

    def wake(self) -> None:
        """Called when a first message came: ask for a turn, now or when there is a state to decide on."""
        raise NotImplementedError

    def send(self, message: Message) -> None:
        """Accept the message, or let it stand in line where the door allows it; else raise MailboxFull.

        Whoever sent it waits for the reply in any case, so standing in line is no further wait of its own:
        a sender that leaves the line cancels its reply and is passed over.
        """
        messages = self.messages
        if messages is None:
            self.messages = [message]
            self.wake()
        elif len(messages) < self.door.capacity:
            messages.append(message)
        elif self.door.when_full == "refuse":
            self.door.refused += 1
            raise MailboxFull(self.stream, self.door.capacity)
        else:
            self.door.queue(self, message)

    def send_nowait(self, message: Message) -> None:
        """Accept the message, or raise MailboxFull whatever the door allows."""
        if self.messages is not None and len(self.messages) >= self.door.capacity:
            self.door.refused += 1
            raise MailboxFull(self.stream, self.door.capacity)
        self.send(message)

    def take(self) -> list[Message]:
        """All that waits, in order; the mailbox is empty after it, and those in line move up."""
        messages = self.messages or []
        self.messages = None
        if self.door.lines:
            self.move_up()
        return messages

    def put_back(self, messages: list[Message]) -> None:
        """Put messages before all others, whatever the capacity: they were accepted once already."""
        self.messages = messages + (self.messages or []) or None

    def move_up(self) -> None:
        """After the mailbox was emptied: let those in before it who stand in line."""
        line = self.door.lines.get(self)
        if line is None:
            return
        self.messages = [line.popleft() for _ in range(min(len(line), self.door.capacity))]
        if not line:
            del self.door.lines[self]
        self.wake()
