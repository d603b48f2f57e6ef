"""The deliveries that a page lists: by state, connection, record and time, newest first, with their titles."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, select
from sqlmodel import Session, col

from core import records
from core.access import Principal
from core.delivery import outbox
from core.delivery.history import page
from core.delivery.history.lists import owned, row_and_name, theirs
from core.delivery.history.serialize import reason
from core.delivery.outbox.queries import in_state, waiting
from core.integrations import mapping
from core.storage import db
from core.storage.models import RECORD_TABLES, Connection, Delivery, HubMessage, HubMessageKind, Kind, State

LIST_ROWS = 50
Query = Select[*tuple[Any, ...]]
KEY_PREFIX = "fiq-"  # of core.integrations.mapping.delivery_key


@dataclass(frozen=True)
class DeliveryFilter:
    state: str | None = None
    connection: str | None = None  # its id
    record: str | None = None  # FootprintIQ's id of a scan, case or alert, or the delivery's key
    hours: int | None = None  # queued in the last hours, this many


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
    next_attempt_at: datetime | None  # not before its connection may be called
    vendor_id: str | None


@dataclass(frozen=True)
class DeliveryPage:
    at: datetime
    rows: tuple[Found, ...]
    older: int | None  # what to give as `before` for the next page; None at the end


def search(
    who: Principal, wanted: DeliveryFilter, *, before: int | None = None, limit: int = LIST_ROWS
) -> DeliveryPage:
    """`before` is the id of the last one seen."""
    with db.reading() as session:
        now = db.now(session)
        since = None if wanted.hours is None else now - timedelta(hours=wanted.hours)
        ids = _ids(session, who, wanted, since, before, limit + 1)
        rows = session.execute(_rows(ids[:limit])).all()
        return DeliveryPage(now, _found(session, rows), ids[limit - 1] if len(ids) > limit else None)


def upcoming(who: Principal, connection_id: str, limit: int = 4) -> tuple[Found, ...]:
    """List what a connection tries next, the earliest first."""
    with db.reading() as session:
        mine = select(col(Connection.id)).where(owned(who), col(Connection.id) == connection_id)
        due = col(Delivery.next_attempt_at)
        query = (
            select(col(Delivery.id))
            .where(waiting(connection_id), col(Delivery.webhook_id).in_(mine), theirs(who))
            .where(due.is_not(None))  # not what is in a digest
            .order_by(due, col(Delivery.id))
            .limit(limit)
        )
        rows = session.execute(_rows(list(session.execute(query).scalars()))).all()
        return _found(session, sorted(rows, key=lambda row: (row.next_attempt_at, row.id)))


def title(who: Principal, delivery_id: int) -> str:
    """Return what the record of a delivery is about. Raises NotFound, also for someone else's."""
    with db.reading() as session:
        row, _ = row_and_name(session, who, delivery_id)
        if row.record_kind in set(HubMessageKind):
            return _messages(session, {row.record_id}).get(row.record_id, "A message of the hub")
        record = records.by_local_id(session, Kind(row.record_kind), [row.record_id]).get(row.record_id)
        return _title(row.record_kind, record)


def _ids(
    session: Session,
    who: Principal,
    wanted: DeliveryFilter,
    since: datetime | None,
    before: int | None,
    limit: int,
) -> list[int]:
    """The ids of a page, the highest first."""
    where = [] if since is None else [col(Delivery.id) >= outbox.first_since(session, since)]
    where += [in_state(State(wanted.state))] if wanted.state else []
    where += [] if who.is_admin else [theirs(who)]
    mine = page.chosen(session, who, None, owned(who))
    if wanted.connection:
        mine = [wanted.connection] if mine is None or wanted.connection in mine else []
    if not wanted.record:
        find = page.newest if wanted.state in (None, "", State.DELIVERED) else page.newest_of_few
        return find(session, Delivery, mine, *where, limit=limit, before=before)
    where += [] if before is None else [col(Delivery.id) < before]
    where += [] if mine is None else [col(Delivery.webhook_id).in_(mine)]
    return _of_record(session, wanted.record.strip(), where)[:limit]


def _rows(ids: Sequence[int]) -> Query:
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
    names: tuple[Any, ...] = (col(Connection.name).label("connection"), col(Connection.next_call_at))
    query: Query = (
        select(*map(col, fields), *names)
        .join(Connection, col(Connection.id) == col(Delivery.webhook_id))
        .where(col(Delivery.id).in_(ids))
        .order_by(col(Delivery.id).desc())
    )
    return query


def _of_record(session: Session, id: str, where: list[ColumnElement[bool]]) -> list[int]:
    """Ids of the deliveries of one record, or of one key with what is in its digest; the highest first.

    Each by an index of its own: as one statement with OR, both databases read every row.
    """
    if id.startswith(KEY_PREFIX):
        # a key alone is in no index, with its connection it is
        keyed = (col(Delivery.webhook_id).in_(select(col(Connection.id))), col(Delivery.key) == id)
        listed = col(Delivery.digest_id).in_(select(col(Delivery.id)).where(*keyed))
        parts = [keyed, (listed,)]
    else:
        parts = [
            (col(Delivery.record_kind) == kind, col(Delivery.record_id).in_(local_ids))
            for kind in RECORD_TABLES
            if (local_ids := records.local_ids(session, kind, id))
        ]
    found = [session.execute(select(col(Delivery.id)).where(*part, *where)).scalars() for part in parts]
    return sorted({id for ids in found for id in ids if id is not None}, reverse=True)


def _found(session: Session, rows: Any) -> tuple[Found, ...]:
    wanted: dict[str, set[int]] = defaultdict(set)
    for row in rows:
        wanted[row.record_kind].add(row.record_id)
    said = _messages(session, {id for kind in HubMessageKind for id in wanted.pop(kind, ())})
    stored = {kind: records.by_local_id(session, Kind(kind), sorted(ids)) for kind, ids in wanted.items()}
    return tuple(
        _one(row, stored.get(row.record_kind, {}).get(row.record_id), said.get(row.record_id)) for row in rows
    )


def _messages(session: Session, ids: Collection[int]) -> dict[int, str]:
    """What the hub itself said: id → title."""
    found = select(col(HubMessage.id), col(HubMessage.title)).where(col(HubMessage.id).in_(ids))
    return {id: title for id, title in session.execute(found) if id is not None} if ids else {}


def _one(row: Any, record: dict[str, Any] | None, said: str | None) -> Found:
    own = row.record_kind in set(HubMessageKind)
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
        next_attempt_at=_due(row),
        vendor_id=row.vendor_id,
    )


def _due(row: Any) -> datetime | None:
    due: datetime | None = row.next_attempt_at
    return due if due is None or row.next_call_at is None else max(due, row.next_call_at)


def _title(kind: str, record: dict[str, Any] | None) -> str:
    if record is None:
        return f"A {kind} that is not kept any more"
    facts = mapping.facts(kind, record, key="", hub_url="", include_raw=False)
    return str(facts["title"])
