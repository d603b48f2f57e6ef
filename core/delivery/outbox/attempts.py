"""The attempts of a message that went in a claim with others: each has a row of its own once it failed.

A claim has one row for all of its messages, and a delivery points at its last one. What was tried before and did not
arrive would be forgotten with the next claim.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import insert, literal, select, true
from sqlmodel import Session, col

from core.delivery.outbox.queries import in_states, sent_by
from core.http import Exchange
from core.storage.models import Attempt, AttemptOutcome, Delivery, State

_SHARED = ("connection_id", "run_id", "worker", "started_at", "lease_until")


def keep_failed(
    session: Session, attempt_id: int, calls: Mapping[int, Exchange | None], now: datetime
) -> None:
    """Write down what failed in a claim, by delivery: its call, None where there was none."""
    if not calls:
        return
    columns = [col(getattr(Attempt, name)) for name in _SHARED]
    shared = session.execute(select(*columns).where(col(Attempt.id) == attempt_id)).one()._asdict()
    closed = {"closed_at": now, "outcome": AttemptOutcome.CLOSED, "items": 1}
    session.execute(
        insert(Attempt),
        [
            {**shared, **closed, "delivery_id": id, "exchanges": [call.stored()] if call else []}
            for id, call in calls.items()
        ],
    )


def keep_unknown(session: Session, attempt_id: int, now: datetime) -> None:
    """Write down for each message of a claim that its worker stopped; before they become in doubt."""
    columns = [col(getattr(Attempt, name)) for name in _SHARED]
    each = (
        select(*columns, literal(now), literal(AttemptOutcome.UNKNOWN.value), literal(1), col(Delivery.id))
        .add_columns(col(Attempt.exchanges))
        .join(Delivery, true())
        .where(col(Attempt.id) == attempt_id, col(Attempt.items) > 1)
        .where(sent_by(attempt_id), col(Delivery.attempt_id) == attempt_id, in_states((State.SENDING,)))
    )
    names = [*_SHARED, "closed_at", "outcome", "items", "delivery_id", "exchanges"]
    session.execute(insert(Attempt).from_select(names, each))
