"""What an operator is told: structlog events, silent by default when embedded.

Aftertide never configures structlog: the host does, or the command line. Without a logger it speaks to the
standard logger "aftertide", which has no handler of its own that writes.
"""

import logging
from typing import cast

import structlog

from ..domain.messages import CommittedBatch, Position

Logger = structlog.typing.FilteringBoundLogger

_SILENT = logging.getLogger("aftertide")
_SILENT.addHandler(logging.NullHandler())


def listens(log: Logger, level: int) -> bool:
    """Whether the logger does anything with that level. Asked once: what nobody hears costs nothing after."""
    for name in (
        "isEnabledFor",
        "is_enabled_for",
    ):  # of the standard library's loggers, of structlog's
        ask = getattr(log, name, None)
        if ask is not None:
            return bool(ask(level))
    return True


class CommitLog:
    """Tells the log of every event that is committed: a listener on the bus while somebody reads debug lines."""

    def __init__(self, log: Logger) -> None:
        self._log = log

    def offer(self, batch: CommittedBatch) -> None:
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
        self._log.debug("log.moved_elsewhere", head=head)


def bind_log(logger: Logger | None = None) -> Logger:
    """The given structlog logger, or one over the standard logger "aftertide" that renders key=value."""
    if logger is not None:
        return logger
    silent = structlog.wrap_logger(
        _SILENT,
        wrapper_class=structlog.stdlib.BoundLogger,
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
    )
    return cast("Logger", silent)
