"""What old rows lose: payloads and answers are emptied, attempts and run logs removed.

Keys and ticket links stay as long as the record or the connection does, so nothing is ever sent again
because a log was cleaned. Tables are walked by their ids, which grow with time: a sweep that finds nothing
old looks at one row per table, however long the log is.
"""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, null, select, update
from sqlmodel import Session, col

from core.models import (
    Attempt,
    AttemptOutcome,
    Counter,
    Delivery,
    RunLog,
    RunStatus,
    SiemEvent,
    SignIn,
    State,
)

CHUNK = 1000  # rows per transaction, so that no writer waits long
_FINISHED = (State.DELIVERED, State.DEAD, State.SKIPPED)
_CURSOR = "retention_deliveries"


def sweep(session: Session, now: datetime, days: int) -> int:
    """Take the next rows that are older than `days`; returns how many, 0 when nothing old is left."""
    cutoff = now - timedelta(days=days)
    expired = delete(SignIn).where(col(SignIn.expires_at) < now)
    session.execute(expired)
    return _empty(session, cutoff) + _remove_attempts(session, cutoff) + _remove_logs(session, cutoff)


def _empty(session: Session, cutoff: datetime) -> int:
    cursor = session.get(Counter, _CURSOR) or Counter(name=_CURSOR, value=0)
    old = session.execute(
        select(col(Delivery.id), col(Delivery.created_at))
        .where(col(Delivery.id) > cursor.value)
        .order_by(col(Delivery.id))
        .limit(CHUNK)
    ).all()
    ids = [id for id, created_at in old if created_at < cutoff and id is not None]
    if not ids:
        return 0
    session.execute(
        update(Delivery)
        .where(col(Delivery.id).in_(ids), col(Delivery.state).in_(_FINISHED))
        .values(payload=None, response_body=None)
    )
    session.execute(
        update(SiemEvent)
        .where(col(SiemEvent.delivery_id).in_(ids))
        .values(raw_data=null(), description="")
        .execution_options(synchronize_session=False)
    )
    cursor.value = ids[-1]
    session.add(cursor)
    return len(ids)


def _remove_attempts(session: Session, cutoff: datetime) -> int:
    """All but the newest: by its number a database that was put back from a backup is known."""
    oldest = (
        select(col(Attempt.id), col(Attempt.started_at), col(Attempt.outcome))
        .where(col(Attempt.id) < select(func.max(col(Attempt.id))).scalar_subquery())
        .order_by(col(Attempt.id))
        .limit(CHUNK)
    )
    ids = [
        id
        for id, started_at, outcome in session.execute(oldest)
        if started_at < cutoff and outcome != AttemptOutcome.OPEN
    ]
    session.execute(delete(Attempt).where(col(Attempt.id).in_(ids)))
    return len(ids)


def _remove_logs(session: Session, cutoff: datetime) -> int:
    oldest = (
        select(col(RunLog.id), col(RunLog.created_at), col(RunLog.status))
        .order_by(col(RunLog.id))
        .limit(CHUNK)
    )
    ids = [
        id
        for id, created_at, status in session.execute(oldest)
        if created_at < cutoff and status != RunStatus.RUNNING
    ]
    session.execute(delete(RunLog).where(col(RunLog.id).in_(ids)))
    return len(ids)
