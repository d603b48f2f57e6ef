"""Log lines of the hub's processes: one event a line, key=value on a terminal, JSON elsewhere."""

import logging
import sys

import structlog

from core.platform.settings import settings


def configure() -> None:
    """Set structlog up for this process; HUB_LOG_FORMAT or the terminal decides the form. Goes to stderr."""
    wanted = settings().log_format or ("console" if sys.stderr.isatty() else "json")
    last: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(pad_event_to=28)
        if wanted == "console"
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a look that came during a look is no news
    logging.getLogger("httpx").setLevel(logging.WARNING)  # at INFO it prints URLs, and some are credentials
