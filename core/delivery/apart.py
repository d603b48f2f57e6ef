"""What fails for one connection fails for it alone."""

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from core.platform.errors import Unusable

log = structlog.get_logger("hub.apart")


@contextmanager
def apart(event: str, **ids: object) -> Iterator[None]:
    """Log what goes wrong inside, and go on with the next connection. The hub's own trouble passes through."""
    try:
        yield
    except Unusable:
        raise
    except Exception:
        log.exception(event, **ids)
