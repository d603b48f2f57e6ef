"""What stands in the queue. Reads only, through the partial indexes."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, select
from sqlmodel import Session, col

from core.models import STUCK, UNDELIVERED, WAITING, Attempt, Delivery, Kind, State
from core.verdicts import Row


def waiting(connection_id: str) -> ColumnElement[bool]:
    return and_(col(Delivery.webhook_id) == connection_id, in_states(WAITING))


def in_states(states: Sequence[State]) -> ColumnElement[bool]:
    """As literals, so that both databases see that a partial index fits.

    Without a type: a Boolean is rendered as "… = 1" on SQLite, and then no index fits.
    """
    if len(states) == 1:
        return literal_column(f"state = '{states[0]}'")
    words = ", ".join(f"'{state}'" for state in states)
    return literal_column(f"state IN ({words})")


def indexed(states: Sequence[State]) -> list[ColumnElement[bool]]:
    """Clauses that find rows in `states` through the partial indexes, one for each of those; they do not overlap.

    A delivered row is in none of them.
    """
    groups = ((kept, [state for state in kept if state in states]) for kept in UNDELIVERED)
    return [and_(in_states(kept), in_states(found)) for kept, found in groups if found]


def in_state(state: State) -> ColumnElement[bool]:
    """The same for one state, delivered too: that one fits nearly every row."""
    return next(iter(indexed((state,))), in_states((state,)))


def sent_by(attempt_id: int) -> ColumnElement[bool]:
    """Rows of the attempt's connection: the partial indexes know those, and none knows the attempts."""
    sender = select(col(Attempt.connection_id)).where(col(Attempt.id) == attempt_id)
    return col(Delivery.webhook_id) == sender.scalar_subquery()


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
        col(Delivery.record_kind).in_([str(kind) for kind in Kind]),
        col(Delivery.digest_id).is_(None),
    )
    if reason is not None:
        wanted = wanted.where(col(Delivery.reason) == reason)
    found = [row for clause in indexed(states) for row in session.execute(wanted.where(clause))]
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


def first_since(session: Session, moment: datetime) -> int:
    """The first id of this time, by halving: rows are numbered as time goes on, and no index knows the time."""
    # one at a time: of two in one statement SQLite finds neither by the key
    low, high = (session.execute(select(end(col(Delivery.id)))).scalar() for end in (func.min, func.max))
    if low is None or high is None:
        return 0
    high += 1
    while low < high:
        middle = (low + high) // 2
        at = session.execute(
            select(col(Delivery.created_at))
            .where(col(Delivery.id) >= middle)
            .order_by(col(Delivery.id))
            .limit(1)
        ).scalar_one_or_none()
        low, high = (low, middle) if at is None or at >= moment else (middle + 1, high)
    return int(low)


def next_due_at(session: Session, connection_id: str) -> datetime | None:
    """When the earliest waiting row is due."""
    return session.execute(
        select(func.min(col(Delivery.next_attempt_at))).where(waiting(connection_id))
    ).scalar_one_or_none()


def count_waiting(session: Session, connection_id: str, most: int | None = None) -> int:
    """How many wait; not counted further than `most`."""
    rows = select(col(Delivery.id)).where(waiting(connection_id)).limit(most).subquery()
    return int(session.execute(select(func.count()).select_from(rows)).scalar_one())


def has_held(session: Session, connection_id: str, since: datetime | None) -> bool:
    """Whether rows are held that were put in after `since`."""
    held = (col(Delivery.webhook_id) == connection_id, in_state(State.HELD))
    wanted = select(col(Delivery.id)).where(*held).limit(1)
    if since is not None:
        wanted = wanted.where(col(Delivery.created_at) > since)
    return session.execute(wanted).first() is not None


def standing(
    session: Session,
    connection_ids: Sequence[str] | Select[str],
    states: Sequence[State] = (*WAITING, *STUCK),
) -> dict[tuple[str, str], int]:
    """(connection, state) → rows that wait, or wait for a person; by the partial indexes alone.

    What is being sent is not among them: no index knows whose it is, and it is over in a moment.
    """
    counts: dict[tuple[str, str], int] = {}
    for clause in indexed(states):
        found = session.execute(
            select(col(Delivery.webhook_id), col(Delivery.state), func.count())
            .where(col(Delivery.webhook_id).in_(connection_ids), clause)
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
