"""The deliveries that a page lists: by state, connection, record and time, newest first, with their titles."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlmodel import Session, col

from core import db, mapping, sources
from core.access import Principal
from core.deliveries.listing import _owned, row_and_name
from core.deliveries.told import reason
from core.models import RECORD_TABLES, STUCK, WAITING, Connection, Delivery, HubMessage, Kind, Said, State
from core.outbox.looking import in_states

LIST_ROWS = 50
Query = Select[*tuple[Any, ...]]
KEY_PREFIX = "fiq-"  # of core.mapping.delivery_key


@dataclass(frozen=True)
class Filter:
    state: str | None = None
    connection: str | None = None  # its id
    record: str | None = None  # FootprintIQ's id of a scan, case or alert, or the delivery's key
    hours: int | None = None  # queued in the last so many


@dataclass(frozen=True)
class Found:
    id: int
    connection_id: str
    connection: str
    kind: str
    record_id: str | None  # None when the record is not kept any more
    title: str
    state: str
    reason: str | None
    attempts: int
    created_at: datetime
    delivered_at: datetime | None
    next_attempt_at: datetime | None
    vendor_id: str | None


@dataclass(frozen=True)
class Page:
    at: datetime
    rows: tuple[Found, ...]
    older: int | None  # what to give as `before` for the next page; None at the end


def search(who: Principal, wanted: Filter, *, before: int | None = None, limit: int = LIST_ROWS) -> Page:
    """`before` is the id of the last one seen."""
    with db.reading() as session:
        now = db.now(session)
        query = _rows(who, wanted).where(*_when(session, wanted, before, now))
        rows = session.execute(query.order_by(col(Delivery.id).desc()).limit(limit + 1)).all()
        return Page(now, _found(session, rows[:limit]), rows[limit - 1].id if len(rows) > limit else None)


def upcoming(who: Principal, connection_id: str, limit: int = 4) -> tuple[Found, ...]:
    """What a connection tries next, the earliest first."""
    with db.reading() as session:
        waits = (in_states(WAITING), col(Delivery.next_attempt_at).is_not(None))  # not what is in a digest
        query = _rows(who, Filter(connection=connection_id)).where(*waits)
        due = (col(Delivery.next_attempt_at), col(Delivery.id))
        return _found(session, session.execute(query.order_by(*due).limit(limit)).all())


def title(who: Principal, delivery_id: int) -> str:
    """What its record is about. Raises NotFound, also for another's."""
    with db.reading() as session:
        row, _ = row_and_name(session, who, delivery_id)
        if row.record_kind in set(Said):
            return _messages(session, {row.record_id}).get(row.record_id, "A message of the hub")
        record = sources.by_local_id(session, Kind(row.record_kind), [row.record_id]).get(row.record_id)
        return _title(row.record_kind, record)


def _rows(who: Principal, wanted: Filter) -> Query:
    fields = (
        Delivery.id,
        Delivery.webhook_id,
        Delivery.record_kind,
        Delivery.record_id,
        Delivery.state,
        Delivery.reason,
        Delivery.attempt_count,
        Delivery.created_at,
        Delivery.delivered_at,
        Delivery.next_attempt_at,
        Delivery.vendor_id,
    )
    query: Query = (
        select(*map(col, fields), col(Connection.name).label("connection"))
        .join(Connection, col(Connection.id) == col(Delivery.webhook_id))
        .where(_owned(who))
    )
    if wanted.state:
        query = query.where(_in_state(State(wanted.state)))
    if wanted.connection:
        query = query.where(col(Delivery.webhook_id) == wanted.connection)
    if wanted.record:
        query = query.where(_of_record(wanted.record.strip()))
    return query


def _in_state(state: State) -> ColumnElement[bool]:
    """With the words of the partial index that has it, so that few are found among millions."""
    is_it = in_states((state,))
    kept = next((states for states in (WAITING, STUCK) if state in states), None)
    return and_(in_states(kept), is_it) if kept else is_it


def _of_record(id: str) -> ColumnElement[bool]:
    if id.startswith(KEY_PREFIX):
        digest = select(col(Delivery.id)).where(col(Delivery.key) == id)
        return or_(col(Delivery.key) == id, col(Delivery.digest_id).in_(digest))
    by_kind = (
        and_(
            col(Delivery.record_kind) == kind,
            col(Delivery.record_id).in_(select(col(table.local_id)).where(col(table.id) == id)),
        )
        for kind, table in RECORD_TABLES.items()
    )
    return or_(*by_kind)


def _when(session: Session, wanted: Filter, before: int | None, now: datetime) -> list[ColumnElement[bool]]:
    limits = [] if before is None else [col(Delivery.id) < before]
    if wanted.hours:
        limits.append(col(Delivery.id) >= _first_since(session, now - timedelta(hours=wanted.hours)))
    return limits


def _first_since(session: Session, moment: datetime) -> int:
    """The first id of this time, by halving: rows are numbered as time goes on, and no index knows the time."""
    low, high = session.execute(select(func.min(col(Delivery.id)), func.max(col(Delivery.id)))).one()
    if low is None:
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


def _found(session: Session, rows: Any) -> tuple[Found, ...]:
    wanted: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        wanted[row.record_kind].add(row.record_id)
    said = _messages(session, {id for kind in Said for id in wanted.pop(kind, ())})
    records = {kind: sources.by_local_id(session, Kind(kind), sorted(ids)) for kind, ids in wanted.items()}
    return tuple(
        _one(row, records.get(row.record_kind, {}).get(row.record_id), said.get(row.record_id))
        for row in rows
    )


def _messages(session: Session, ids: Collection[int]) -> dict[int, str]:
    """What the hub itself said: id → title."""
    found = select(col(HubMessage.id), col(HubMessage.title)).where(col(HubMessage.id).in_(ids))
    return {id: title for id, title in session.execute(found) if id is not None} if ids else {}


def _one(row: Any, record: dict[str, Any] | None, said: str | None) -> Found:
    own = row.record_kind in set(Said)
    return Found(
        id=row.id,
        connection_id=row.webhook_id,
        connection=row.connection,
        kind=row.record_kind,
        record_id=record["id"] if record else None,
        title=said or "A message of the hub" if own else _title(row.record_kind, record),
        state=row.state,
        reason=reason(row.state, row.reason),
        attempts=row.attempt_count,
        created_at=row.created_at,
        delivered_at=row.delivered_at,
        next_attempt_at=row.next_attempt_at,
        vendor_id=row.vendor_id,
    )


def _title(kind: str, record: dict[str, Any] | None) -> str:
    if record is None:
        return f"A {kind} that is not kept any more"
    facts = mapping.facts(kind, record, key="", hub_url="", include_raw=False)
    return str(facts["title"])
