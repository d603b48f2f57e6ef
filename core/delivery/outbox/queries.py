"""What stands in the queue. Reads only, through the partial indexes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Select,
    SQLColumnExpression,
    and_,
    case,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlmodel import Session, col

from core.storage.models import (
    RECORD_TABLES,
    STUCK,
    UNDELIVERED,
    WAITING,
    Attempt,
    Delivery,
    Kind,
    SkippedBy,
    State,
)
from core.storage.models.words import SEVERITIES


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery in the queue, and the record it is made of."""

    id: int
    key: str
    record_id: int
    has_body: bool


@dataclass(frozen=True, slots=True)
class Known:
    """The delivery of a record that a connection has already."""

    id: int
    comes_back: bool  # its filter took it out: it is sent after all once the record is wanted
    severity: str | None  # by which it waits its turn; None: it does not wait


_WAITING = (
    *(col(Delivery.id), col(Delivery.key), col(Delivery.record_id)),
    col(Delivery.payload).is_not(None),
)


def waiting(connection_id: str | SQLColumnExpression[str]) -> ColumnElement[bool]:
    return and_(col(Delivery.webhook_id) == connection_id, in_states(WAITING))


def in_states(states: Sequence[State]) -> ColumnElement[bool]:
    """Where clause on states, as literals, so that both databases see that a partial index fits.

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


def first_of(session: Session, query: Any, most: int, *, by_severity: bool) -> list[Any]:
    """Execute a query of waiting deliveries, part by part, until there are `most` of them: the most severe first,
    where that is wanted, else by its own order alone.

    Each part is a range of an index, so what is behind the first ones is not read, however many wait.
    """
    found: list[Any] = []
    for part in _parts() if by_severity else (true(),):
        found += session.execute(query.where(part).limit(most - len(found))).all()
        if len(found) >= most:
            break
    return found


def _parts() -> Iterator[ColumnElement[bool]]:
    yield from (col(Delivery.severity) == severity for severity in reversed(SEVERITIES))
    yield col(Delivery.severity).is_(None)  # written by a hub that did not keep it


def peek(
    session: Session, connection_id: str, kind: Kind, limit: int, *, by_severity: bool = False
) -> list[tuple[Waiting, str | None]]:
    """List the rows that would be sent next; without their body where it is to be mapped again first."""
    query = (
        select(*_WAITING, case((_is_stale(kind), None), else_=col(Delivery.payload)))
        .outerjoin(RECORD_TABLES[kind], _its_record(kind))
        .where(waiting(connection_id))
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
    )
    found = first_of(session, query, limit, by_severity=by_severity)
    return [(Waiting(*row[:-1]), row[-1]) for row in found]


def stale(
    session: Session,
    connection_id: str,
    kind: Kind,
    most: int,
    now: datetime,
    *,
    by_severity: bool = False,
) -> list[Waiting]:
    """Find, of the `most` rows that are due first, those that must be mapped again before they are sent.

    Their record has changed since, or they have no body. What may have arrived keeps the body it was sent with.
    """
    due = (
        select(col(Delivery.id))
        .where(waiting(connection_id), col(Delivery.next_attempt_at) <= now)
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
    )
    first: Any = due.limit(most)
    if by_severity:
        first = [row.id for row in first_of(session, due, most, by_severity=True)]
    found = session.execute(
        select(*_WAITING)
        .outerjoin(RECORD_TABLES[kind], _its_record(kind))
        .where(col(Delivery.id).in_(first), _is_stale(kind))
        .order_by(col(Delivery.id))
    )
    return [Waiting(*row) for row in found]


def _its_record(kind: Kind) -> ColumnElement[bool]:
    return col(RECORD_TABLES[kind].local_id) == col(Delivery.record_id)


def _is_stale(kind: Kind) -> ColumnElement[bool]:
    changed = col(Delivery.record_seq).is_distinct_from(col(RECORD_TABLES[kind].change_seq))
    is_nowhere = and_(col(Delivery.in_doubt_since).is_(None), col(Delivery.place).is_(None))
    return and_(
        col(Delivery.record_kind) == kind,
        or_(col(Delivery.payload).is_(None), and_(is_nowhere, changed)),
    )


def records(session: Session, connection_id: str, states: Sequence[State]) -> dict[int, int]:
    """delivery id → record's local id, of rows in `states`.

    Without what the hub itself says, and without records that are in a digest: that is written already.
    """
    wanted = select(col(Delivery.id), col(Delivery.record_id)).where(
        col(Delivery.webhook_id) == connection_id,
        col(Delivery.record_kind).in_([str(kind) for kind in Kind]),
        col(Delivery.digest_id).is_(None),
    )
    found = [row for clause in indexed(states) for row in session.execute(wanted.where(clause))]
    return {delivery: record for delivery, record in found if delivery is not None}


def first_since(session: Session, moment: datetime) -> int:
    """Find the first id of this time, by halving: rows are numbered as time goes on, and no index knows the time."""
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


def earliest(connection_id: SQLColumnExpression[str]) -> ScalarSelect[datetime | None]:
    """The same for the connections of a larger statement. By the partial index, past what waits for a digest."""
    has_time = col(Delivery.next_attempt_at).is_not(None)
    return (
        select(func.min(col(Delivery.next_attempt_at)))
        .where(waiting(connection_id), has_time)
        .scalar_subquery()
    )


def count_waiting(session: Session, connection_id: str, most: int | None = None) -> int:
    """Count the rows that wait; not counted further than `most`."""
    rows = select(col(Delivery.id)).where(waiting(connection_id)).limit(most).subquery()
    return int(session.execute(select(func.count()).select_from(rows)).scalar_one())


def has_held(session: Session, connection_id: str, since: datetime | None) -> bool:
    """Tell whether rows are held that were put in after `since`."""
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


def is_new(connection_id: str, kind: str, record_id: SQLColumnExpression[int]) -> ColumnElement[bool]:
    """Where clause: a record that `known` would not have for the connection, or as one that comes back."""
    has_it = (
        col(Delivery.webhook_id) == connection_id,
        col(Delivery.record_kind) == kind,
        col(Delivery.record_id) == record_id,
    )
    comes_back = and_(col(Delivery.state) == State.SKIPPED, col(Delivery.skipped_by) == SkippedBy.FILTER)
    return ~exists().where(*has_it, ~func.coalesce(comes_back, False))


def known(session: Session, connection_id: str, kind: str, record_ids: Sequence[int]) -> dict[int, Known]:
    """Local id → the delivery, of those records that the connection has; the local id outlives a change of owner."""
    found = session.execute(
        select(
            *(col(Delivery.record_id), col(Delivery.id), col(Delivery.state)),
            *(col(Delivery.skipped_by), col(Delivery.severity)),
        ).where(
            col(Delivery.webhook_id) == connection_id,
            col(Delivery.record_kind) == kind,
            col(Delivery.record_id).in_(record_ids),
        )
    )
    return {
        record: Known(
            id,
            state == State.SKIPPED and by == SkippedBy.FILTER,
            severity if state in (*WAITING, State.HELD, State.SKIPPED) else None,
        )
        for record, id, state, by, severity in found
        if id is not None
    }
