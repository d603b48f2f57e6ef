"""Rows that go out together: gathered into one digest, and closed with it.

A row in a digest stays pending without a time of its own, so nobody claims it; `digest_id` is the delivery
that carries it. When that one ends, its rows end in the same transaction, behind the same fence.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlmodel import Session, col

from core.delivery.outbox.claims import Claim
from core.delivery.outbox.queries import first_of, in_state, in_states, sent_by, waiting
from core.delivery.outcome import Outcome
from core.storage.models import Delivery, HubMessageKind, Kind, State

CHUNK = 500
#: what may go into a digest: certainly not delivered yet
_LOOSE = (State.PENDING, State.RETRYING)


def loose(
    session: Session, connection_id: str, limit: int, now: datetime, *, by_severity: bool = False
) -> dict[int, int]:
    """delivery id → record's local id, of records that are due now and would each be a message; the first ones."""
    query = (
        select(col(Delivery.id), col(Delivery.record_id))
        .where(_loose(connection_id, now))
        .order_by(col(Delivery.id))
    )
    found = first_of(session, query, limit, by_severity=by_severity)
    return {delivery: record for delivery, record in found if delivery is not None}


def gather(session: Session, ids: Sequence[int], digest_id: int, reason: str) -> None:
    """Put rows into a digest: they wait for its end."""
    for start in range(0, len(ids), CHUNK):
        session.execute(
            update(Delivery)
            .where(col(Delivery.id).in_(ids[start : start + CHUNK]))
            .values(state=State.PENDING, digest_id=digest_id, next_attempt_at=None, reason=reason)
        )


def put_off(session: Session, connection_id: str, until: datetime, reason: str, now: datetime) -> None:
    """Put off what is due now until then, to be gathered with what comes meanwhile."""
    session.execute(
        update(Delivery).where(_loose(connection_id, now)).values(next_attempt_at=until, reason=reason)
    )


def members(session: Session, digest_ids: Sequence[int]) -> dict[int, int]:
    """digest's delivery id → how many rows wait for it."""
    if not digest_ids:
        return {}
    found = session.execute(
        select(col(Delivery.digest_id), func.count())
        .where(col(Delivery.digest_id).in_(digest_ids), col(Delivery.state) != State.DELIVERED)
        .group_by(col(Delivery.digest_id))
    )
    return {digest: number for digest, number in found if digest is not None}


def ended(claim: Claim, verdicts: Sequence[Outcome]) -> list[Outcome]:
    """End a digest that cannot be delivered; its rows are dead one by one, and are replayed one by one."""
    digests = {row.id for row in claim.rows if row.record_kind == HubMessageKind.DIGEST}
    return [
        replace(v, state=State.SKIPPED) if v.id in digests and v.state is State.DEAD else v for v in verdicts
    ]


def close_members(session: Session, claim: Claim, verdicts: Sequence[Outcome], now: datetime) -> None:
    """Close the rows of each digest that ended, if it was still this attempt's to end."""
    digests = {row.id for row in claim.rows if row.record_kind == HubMessageKind.DIGEST}
    for verdict in verdicts:
        if verdict.id not in digests or not _ended_here(session, claim, verdict):
            continue
        delivered = verdict.state is State.DELIVERED
        _end_members(
            session,
            verdict.id,
            claim.attempt_id,
            state=State.DELIVERED if delivered else State.DEAD,
            reason=None if delivered else _not_arrived(verdict.reason),
            vendor_id=verdict.vendor_id,
            response_status=verdict.status,
            response_body=verdict.body,
            delivered_at=now if delivered else None,
        )


def give_up(session: Session, attempt_id: int) -> None:
    """After an attempt was reaped: a digest that is dead by that is over, and its rows are dead one by one."""
    dead = select(col(Delivery.id), col(Delivery.reason)).where(
        sent_by(attempt_id),
        in_state(State.DEAD),
        col(Delivery.attempt_id) == attempt_id,
        col(Delivery.record_kind) == HubMessageKind.DIGEST,
    )
    for digest_id, reason in session.execute(dead).all():
        session.execute(update(Delivery).where(col(Delivery.id) == digest_id).values(state=State.SKIPPED))
        _end_members(session, digest_id, attempt_id, state=State.DEAD, reason=_not_arrived(reason))


def _not_arrived(reason: str | None) -> str:
    return f"The digest it was part of did not arrive. {reason or ''}".rstrip()


def _end_members(session: Session, digest_id: int, attempt_id: int, **values: Any) -> None:
    session.execute(
        update(Delivery)
        .where(col(Delivery.digest_id) == digest_id, col(Delivery.state) != State.DELIVERED)
        .values(
            attempt_id=attempt_id,
            attempt_count=col(Delivery.attempt_count) + 1,
            next_attempt_at=None,
            **values,
        )
        .execution_options(synchronize_session=False)
    )


def _ended_here(session: Session, claim: Claim, verdict: Outcome) -> bool:
    if verdict.state not in (State.DELIVERED, State.SKIPPED):
        return False
    mine = (col(Delivery.id) == verdict.id, col(Delivery.attempt_id) == claim.attempt_id)
    found = select(col(Delivery.id)).where(*mine, col(Delivery.state) == verdict.state)
    return session.execute(found).first() is not None


def _loose(connection_id: str, now: datetime) -> ColumnElement[bool]:
    """With the words of the partial index of what is due."""
    return and_(
        waiting(connection_id),
        in_states(_LOOSE),
        col(Delivery.next_attempt_at) <= now,
        col(Delivery.record_kind).in_([str(kind) for kind in Kind]),
    )
