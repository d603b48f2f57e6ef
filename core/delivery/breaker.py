"""What a call taught its connection: when it may be called next, whether a person must act, since when it fails."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import random

from sqlmodel import Session

from core.delivery import auto_disable
from core.delivery.retry import call_wait_s
from core.http.errors import DeliveryError, Gone, InDoubt, Misconfigured, Rejected, Throttled, Unavailable
from core.integrations.base import Receipt
from core.storage.models import Connection


def fault_of(receipts: Sequence[Receipt]) -> DeliveryError | None:
    """The fault that concerns the whole connection, or None when the vendor took or judged something."""
    faults = [r.fault for r in receipts if r.fault is not None]
    for fault in faults:
        if isinstance(fault, Misconfigured | Throttled):
            return fault
    if took_something(receipts):
        return None
    return next((f for f in faults if isinstance(f, Unavailable | InDoubt)), None)


def took_something(receipts: Sequence[Receipt]) -> bool:
    """Whether the vendor took or judged at least one record: it is there, and knows us."""
    return any(r.fault is None or isinstance(r.fault, Rejected) for r in receipts)


def learn(
    session: Session,
    connection: Connection,
    fault: DeliveryError | None,
    now: datetime,
    *,
    succeeded: bool = False,
) -> None:
    """What a call says of its connection: when it may be called next, and whether a person must act.

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
    """A success, or a person who acted: the next call is made at once, and the clock of failing is stopped."""
    connection.problem = connection.next_call_at = connection.wait_reason = None
    connection.failing_since = connection.last_failure_at = None
    connection.failures = connection.told_day = 0
