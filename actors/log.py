"""What an operator is told: structlog events, silent by default when embedded.

Aftertide never configures structlog: the host does, or the command line. Without a logger it speaks to the
standard logger "aftertide", which has no handler of its own that writes.
"""

import logging
from typing import cast

import structlog

Logger = structlog.typing.FilteringBoundLogger

_SILENT = logging.getLogger("aftertide")
_SILENT.addHandler(logging.NullHandler())


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
