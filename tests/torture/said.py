"""What a writing process says while it lives: one JSON line per fact, written to a pipe in one go.

What was said is what the world was told: the audit holds the files to it after the process is gone.
"""

import os
from collections.abc import Callable, Iterable

import msgspec


class Opened(msgspec.Struct, frozen=True, tag=True):
    """The runtime is open; commands come from now on."""

    head: int


class Acknowledged(msgspec.Struct, frozen=True, tag=True):
    """A receipt, after `execute` returned it."""

    ref: str
    command_id: str
    stream: str
    version: int
    position: int
    events: int
    """How many events the command decides on: the last of them has that version and position."""


class Rejected(msgspec.Struct, frozen=True, tag=True):
    """The domain's no, with the state it quotes: `amount@version`."""

    ref: str
    stream: str
    state: str


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A condition of the world. Whatever it was, nothing of the command may be in the log."""

    ref: str
    error: str
    text: str


class Left(msgspec.Struct, frozen=True, tag=True):
    """Whoever asked was cancelled: the command may be in the log, whole, or not."""

    ref: str


class Saw(msgspec.Struct, frozen=True, tag=True):
    """An answer: the row at a key, as of a position that is committed in that replica."""

    replica: str
    position: int
    key: str
    row: list[str | int] | None


class Reached(msgspec.Struct, frozen=True, tag=True):
    """The process came to a place in its life: `closing`, `closed`, `settled`."""

    place: str
    position: int


class Broke(msgspec.Struct, frozen=True, tag=True):
    """The process ended by an error that is none of the above: never expected."""

    trace: str


Said = Opened | Acknowledged | Rejected | Failed | Left | Saw | Reached | Broke
Say = Callable[[Said], None]

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Said).decode


def speaker(descriptor: int) -> Say:
    """Says it to a pipe, at once and unbuffered: what returned is out of the process."""

    def say(said: Said) -> None:
        # One write below PIPE_BUF: the kernel takes it whole, or the process was dead before.
        os.write(descriptor, _encode(said) + b"\n")

    return say


def listen(descriptor: int) -> Iterable[Said]:
    """All that is said until the other end is gone, by its own will or not."""
    rest = b""
    while chunk := os.read(descriptor, 65_536):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from map(_decode, lines)
