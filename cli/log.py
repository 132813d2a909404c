"""What an operator reads beside the story: structlog, to standard error, warnings only unless asked for more."""

import argparse
import logging
import os
import sys

import structlog

LEVELS = ("debug", "info", "warning", "error")


def add_log_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--log",
        choices=("console", "json"),
        default="console",
        help="how log lines look; default: console",
    )
    parser.add_argument(
        "--log-level", choices=LEVELS, default="warning", help="what is logged; default: warning"
    )


def configured_log(arguments: argparse.Namespace) -> structlog.typing.FilteringBoundLogger:
    """Configure structlog as the arguments say, and return a logger for the runtime."""
    as_json = arguments.log == "json"
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.getLevelNamesMapping()[arguments.log_level.upper()]
        ),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info
            if as_json
            else structlog.processors.UnicodeDecoder(),
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty() and "NO_COLOR" not in os.environ
            ),
        ],
        # Looked up at each line, so that whoever replaces sys.stderr is obeyed.
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
