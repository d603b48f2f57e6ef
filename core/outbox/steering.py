"""A person, or a changed filter, decides what becomes of rows that wait."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import update
from sqlmodel import Session, col

from core import db
from core.models import Delivery, State
from core.outbox.looking import waiting


def hasten(session: Session, connection_id: str, now: datetime) -> None:
    """A person asked: waiting retries and look-ups are due now."""
    session.execute(
        update(Delivery)
        .where(waiting(connection_id), col(Delivery.next_attempt_at) > now)
        .values(next_attempt_at=now)
    )


def skip(session: Session, connection_id: str, reason: str) -> int:
    """Nothing that still waits is wanted any more. What is being sent right now is left alone."""
    waiting = (State.PENDING, State.RETRYING, State.HELD)
    skipped = session.execute(
        update(Delivery)
        .where(col(Delivery.webhook_id) == connection_id, col(Delivery.state).in_(waiting))
        .values(state=State.SKIPPED, reason=reason, next_attempt_at=None)
    )
    return db.affected(skipped)


def skip_rows(session: Session, ids: Sequence[int], reason: str) -> None:
    _set_state(session, ids, (State.PENDING, State.RETRYING, State.HELD), State.SKIPPED, reason, None)


def unskip_rows(session: Session, ids: Sequence[int], now: datetime) -> None:
    _set_state(session, ids, (State.SKIPPED,), State.PENDING, None, now)


def _set_state(
    session: Session,
    ids: Sequence[int],
    before: Sequence[State],
    after: State,
    reason: str | None,
    due: datetime | None,
) -> None:
    for start in range(0, len(ids), 500):
        session.execute(
            update(Delivery)
            .where(col(Delivery.id).in_(ids[start : start + 500]), col(Delivery.state).in_(before))
            .values(state=after, reason=reason, next_attempt_at=due)
        )
