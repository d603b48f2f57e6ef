"""What stands in the queue. Reads only, through the partial indexes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, ScalarSelect, SQLColumnExpression, and_, func, literal_column, select
from sqlmodel import Session, col

from core.models import STUCK, WAITING, Delivery, Kind, State
from core.verdicts import Row


def waiting(connection_id: str | SQLColumnExpression[str]) -> ColumnElement[bool]:
    return and_(col(Delivery.webhook_id) == connection_id, in_states(WAITING))


def in_states(states: Sequence[State]) -> ColumnElement[bool]:
    """As literals, so that both databases see that a partial index fits.

    Without a type: a Boolean is rendered as "… = 1" on SQLite, and then no index fits.
    """
    if len(states) == 1:
        return literal_column(f"state = '{states[0]}'")
    words = ", ".join(f"'{state}'" for state in states)
    return literal_column(f"state IN ({words})")


def peek(session: Session, connection_id: str, limit: int) -> list[tuple[str, str]]:
    """(key, payload) of the rows that would be sent next."""
    found = session.execute(
        select(col(Delivery.key), col(Delivery.payload))
        .where(waiting(connection_id), col(Delivery.payload).is_not(None))
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
        .limit(limit)
    )
    return [(key, payload) for key, payload in found if payload is not None]


def records(
    session: Session, connection_id: str, states: Sequence[State], reason: str | None = None
) -> dict[int, int]:
    """delivery id → record's local id, of rows in `states` (and with this reason).

    Without what the hub itself says, and without records that are in a digest: that is written already.
    """
    wanted = select(col(Delivery.id), col(Delivery.record_id)).where(
        col(Delivery.webhook_id) == connection_id,
        col(Delivery.state).in_(states),
        col(Delivery.record_kind).in_([str(kind) for kind in Kind]),
        col(Delivery.digest_id).is_(None),
    )
    if reason is not None:
        wanted = wanted.where(col(Delivery.reason) == reason)
    found = session.execute(wanted)
    return {delivery: record for delivery, record in found if delivery is not None}


def elsewhere(session: Session, connection_id: str, rows: Sequence[Row]) -> set[int]:
    """Ids of rows whose record another connection, also a deleted one, may already have sent."""
    if not rows:
        return set()
    kind = rows[0].record_kind
    others = select(col(Delivery.record_id)).where(
        col(Delivery.record_kind) == kind,
        col(Delivery.record_id).in_([row.record_id for row in rows]),
        col(Delivery.webhook_id) != connection_id,
        (col(Delivery.attempt_count) > 0) | (col(Delivery.state) == State.SENDING),
    )
    sent = set(session.execute(others).scalars())
    return {row.id for row in rows if row.record_id in sent}


def next_due_at(session: Session, connection_id: str) -> datetime | None:
    """When the earliest waiting row is due."""
    return session.execute(
        select(func.min(col(Delivery.next_attempt_at))).where(waiting(connection_id))
    ).scalar_one_or_none()


def earliest(connection_id: SQLColumnExpression[str]) -> ScalarSelect[datetime | None]:
    """The same for the connections of a larger statement. By the partial index, past what waits for a digest."""
    has_time = col(Delivery.next_attempt_at).is_not(None)
    return (
        select(func.min(col(Delivery.next_attempt_at)))
        .where(waiting(connection_id), has_time)
        .scalar_subquery()
    )


def count_waiting(session: Session, connection_id: str, most: int | None = None) -> int:
    """How many wait; not counted further than `most`."""
    rows = select(col(Delivery.id)).where(waiting(connection_id)).limit(most).subquery()
    return int(session.execute(select(func.count()).select_from(rows)).scalar_one())


def has_held(session: Session, connection_id: str, since: datetime | None) -> bool:
    """Whether rows are held that were put in after `since`."""
    held = (col(Delivery.webhook_id) == connection_id, in_states(STUCK), in_states((State.HELD,)))
    wanted = select(col(Delivery.id)).where(*held).limit(1)
    if since is not None:
        wanted = wanted.where(col(Delivery.created_at) > since)
    return session.execute(wanted).first() is not None


def standing(session: Session, connection_ids: Sequence[str]) -> dict[tuple[str, str], int]:
    """(connection, state) → rows, for every state but the finished ones; by the partial indexes alone."""
    counts: dict[tuple[str, str], int] = {}
    for states in (WAITING, (State.SENDING,), STUCK):
        found = session.execute(
            select(col(Delivery.webhook_id), col(Delivery.state), func.count())
            .where(col(Delivery.webhook_id).in_(connection_ids), in_states(states))
            .group_by(col(Delivery.webhook_id), col(Delivery.state))
        )
        counts |= {(connection, state): number for connection, state, number in found}
    return counts


def known(session: Session, connection_id: str, kind: str, record_ids: Sequence[int]) -> set[int]:
    """Which of these records the connection already has; by local id, which outlives a change of owner."""
    found = select(col(Delivery.record_id)).where(
        col(Delivery.webhook_id) == connection_id,
        col(Delivery.record_kind) == kind,
        col(Delivery.record_id).in_(record_ids),
    )
    return set(session.execute(found).scalars())
