"""Stop calling a vendor that is down: how long a connection waits after a failed call, and what ends the wait.

One probe at a time is made meanwhile, instead of the whole queue.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from random import random
from typing import Literal

from sqlmodel import Session

from core.delivery import auto_disable
from core.delivery.retry import spread
from core.http.errors import DeliveryError, Gone, InDoubt, Misconfigured, Rejected, Throttled, Unavailable
from core.integrations.base import Receipt
from core.platform.durations import DAY_S
from core.storage.models import Connection

MISCONFIGURED_S = 900  # a refused credential is probed every 15 minutes
THROTTLED_S = 60  # 429 without a usable Retry-After
#: by consecutive failures; the last one repeats
BACKOFF_S = (5, 30, 60, 120, 300)

Reason = Literal["throttled", "misconfigured", "backoff", "none"]


def fault_of(receipts: Sequence[Receipt]) -> DeliveryError | None:
    """Find the fault that concerns the whole connection, or None when the vendor took or judged something."""
    faults = [r.fault for r in receipts if r.fault is not None]
    for fault in faults:
        if isinstance(fault, Misconfigured | Throttled):
            return fault
    if took_something(receipts):
        return None
    return next((f for f in faults if isinstance(f, Unavailable | InDoubt)), None)


def took_something(receipts: Sequence[Receipt]) -> bool:
    """Tell whether the vendor took or judged at least one record: it is there, and knows us."""
    return any(r.fault is None or isinstance(r.fault, Rejected) for r in receipts)


def learn(
    session: Session,
    connection: Connection,
    fault: DeliveryError | None,
    now: datetime,
    *,
    succeeded: bool = False,
) -> None:
    """Note the result of a call in its connection: when it may be called next, and whether a person must act.

    `succeeded`: before the fault something was taken, so whatever failed before is over.
    """
    if fault is None or succeeded:
        forgive(connection)
        connection.last_success_at = now
    if fault is not None:
        if not isinstance(fault, Throttled):
            _count_failure(connection, now)
        wait_s, connection.wait_reason = call_wait_s(fault, connection.failures, random())
        connection.next_call_at = now + timedelta(seconds=wait_s)
    if isinstance(fault, Misconfigured):
        connection.problem = fault.message
    if isinstance(fault, Gone):
        connection.is_active = False
    connection.updated_at = now
    session.add(connection)


def _count_failure(connection: Connection, now: datetime) -> None:
    since = auto_disable.started(connection.failing_since, connection.last_failure_at, now)
    if since != connection.failing_since:
        connection.failing_since, connection.told_day = since, 0
    connection.last_failure_at = now
    connection.failures += 1


def forgive(connection: Connection) -> None:
    """Clear all waits and failures, after a success or when a person acted: the next call is made at once."""
    connection.problem = connection.next_call_at = connection.wait_reason = None
    connection.failing_since = connection.last_failure_at = None
    connection.failures = connection.told_day = 0


def call_wait_s(fault: DeliveryError, failures: int, random: float) -> tuple[float, Reason]:
    """Compute how many seconds the whole connection waits after a failed call, and why. `failures` in a row,
    this one too.

    Unavailable and in doubt, without jitter: 5 s, 30 s, 60 s, 120 s, 300 s, 300 s …
    429 with `Retry-After: 20`: 20–22 s; without: 60–66 s; never less than asked, never over a day.
    A rejected or untried record is not the connection's affair: 0, "none".
    """
    if isinstance(fault, Throttled):
        # later by up to a tenth, so that connections to one vendor do not come back in the same instant
        return min((_asked_s(fault) or THROTTLED_S) * (1 + 0.1 * random), DAY_S), "throttled"
    if isinstance(fault, Misconfigured):
        return MISCONFIGURED_S, "misconfigured"
    if isinstance(fault, Unavailable | InDoubt):
        wait_s = min(spread(_backoff_s(failures), random), BACKOFF_S[-1])
        return min(max(wait_s, _asked_s(fault)), DAY_S), "backoff"
    return 0, "none"


def _backoff_s(failures: int) -> float:
    return BACKOFF_S[min(max(failures, 1), len(BACKOFF_S)) - 1]


def _asked_s(fault: DeliveryError) -> float:
    """What the vendor asked for; 0 when it asked for nothing or for nonsense."""
    asked_s = fault.retry_after_s
    return asked_s if asked_s is not None and math.isfinite(asked_s) and asked_s > 0 else 0
