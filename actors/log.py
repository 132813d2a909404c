"""What an operator is told: structlog events, silent by default when embedded.

Aftertide never configures structlog: the host does, or the command line. Without a logger it speaks to the
standard logger "aftertide", which has no handler of its own that writes.

A host's logger may raise: a processor meets a value that it can't render, a disk is full. That ends here.
Otherwise the line that tells of one aggregate's trouble would strand all others of its slice.
"""

import logging
from typing import Self, cast

import structlog

from ..domain.errors import described
from ..domain.messages import CommittedBatch, Position

Logger = structlog.typing.FilteringBoundLogger

_SILENT = logging.getLogger("aftertide")
_SILENT.addHandler(logging.NullHandler())


class Log:
    """A structlog logger that never raises: a line that can't be written is named on "aftertide" instead."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger

    def bind(self, **bound: object) -> Self:
        return type(self)(self._logger.bind(**bound))

    def listens(self, level: int) -> bool:
        """Whether anything is done with that level. Asked once: what nobody hears costs nothing after."""
        # The first is the standard library's name for it, the second structlog's.
        for name in ("isEnabledFor", "is_enabled_for"):
            ask = getattr(self._logger, name, None)
            if ask is not None:
                return bool(ask(level))
        return True

    def debug(self, event: str, **bound: object) -> None:
        self._say("debug", event, bound)

    def info(self, event: str, **bound: object) -> None:
        self._say("info", event, bound)

    def warning(self, event: str, **bound: object) -> None:
        self._say("warning", event, bound)

    def error(self, event: str, **bound: object) -> None:
        self._say("error", event, bound)

    def _say(self, level: str, event: str, bound: dict[str, object]) -> None:
        try:
            getattr(self._logger, level)(event, **bound)
        except Exception as error:  # noqa: BLE001 - whatever the host's logger raises
            _SILENT.warning("the line %r could not be logged: %s", event, described(error))


class CommitLog:
    """Tells the log of every event that is committed: a listener on the bus while somebody reads debug lines."""

    def __init__(self, log: Log, head: Position) -> None:
        self._log = log
        self._head = head

    def offer(self, batch: CommittedBatch) -> None:
        self._head = batch.last
        for event in batch.events:
            self._log.debug(
                "event.committed",
                type=type(event.event).__name__,
                stream=event.stream,
                version=event.version,
                position=event.position,
                command_id=event.command_id,
                correlation_id=event.correlation_id,
            )

    def observe(self, head: Position) -> None:
        if head > self._head:
            self._head = head
            self._log.debug("log.moved_elsewhere", head=head)


def bind_log(logger: Logger | None = None) -> Log:
    """The given structlog logger, or one over the standard logger "aftertide" that renders key=value."""
    if logger is not None:
        return Log(logger)
    silent = structlog.wrap_logger(
        _SILENT,
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
    )
    return Log(cast("Logger", silent))
