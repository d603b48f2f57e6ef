"""Into the queue: one row per record and connection, and the SIEM event that goes with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, exists, select, update
from sqlmodel import Session, SQLModel, col

from core.delivery.outbox import restore, tickets
from core.storage import db
from core.storage.models import RECORD_TABLES, Case, Delivery, Kind, SiemEvent, SkippedBy, State, TicketLink

#: what a row takes over from the same record by another door
_OF_RECORD = (
    *("record_id", "revision", "record_seq", "event_type", "severity", "payload"),
    *("state", "reason", "skipped_by", "next_attempt_at", "wanted_at"),
)


@dataclass(frozen=True, slots=True)
class New:
    """One record for one connection. Without `payload` it is born dead, and `reason` says why.

    `made_at`: when there was the record first, here or where it comes from.
    """

    kind: str
    record_id: int
    revision: int
    record_seq: int | None  # the change that `payload` was mapped from
    key: str
    event_type: str
    payload: str | None
    reason: str | None
    wanted_at: datetime
    severity: str
    title: str
    description: str = ""
    made_at: datetime | None = None


def put(
    session: Session,
    *,
    connection_id: str,
    user_id: str,
    siem: bool,
    rows: Sequence[New],
    now: datetime,
    held: str | None = None,
) -> dict[int, New]:
    """Queue `rows`, and return those that were queued by delivery: a key that the connection already has is left alone.

    Another row with a key is the same record by another door: it goes out once, under the first that came. Where
    a filter left that one out, the other takes its place. `held`, a sentence, keeps them for a person. A case of
    before a restore may have its ticket: it is born in doubt.
    """
    first = {row.key: row for row in reversed(rows)}
    rows = [row for row in rows if first[row.key] is row]
    if not rows:
        return {}
    is_case = any(row.kind == Kind.CASE for row in rows)
    restored = restore.restored_at(session) if is_case else None
    shared = {"user_id": user_id, "webhook_id": connection_id, "created_at": now}
    values = [shared | _columns(row, held, now) | _doubt(row, restored, held, now) for row in rows]
    statement = db.upsert(session, Delivery.__table__)  # type: ignore[attr-defined]
    statement = statement.on_conflict_do_update(
        index_elements=["webhook_id", "key"],
        set_={name: statement.excluded[name] for name in _OF_RECORD},
        where=and_(col(Delivery.state) == State.SKIPPED, col(Delivery.skipped_by) == SkippedBy.FILTER),
    )
    ids = {
        key: delivery_id
        for delivery_id, key in session.connection().execute(
            statement.returning(col(Delivery.id), col(Delivery.key)), values
        )
    }
    queued = {ids[row.key]: row for row in rows if row.key in ids}
    if len(queued) < len(rows):
        known = [row for row in rows if row.key not in ids and row.kind in set(Kind)]
        _find_again(session, connection_id, known)
    if siem and queued:
        _put_siem_events(session, connection_id, user_id, queued, now)
    return queued


def remap(session: Session, rows: Mapping[int, New]) -> None:
    """Give deliveries, by id, the bodies of their records as they are now; the key stays."""
    if not rows:
        return
    deliveries, events = (
        SQLModel.metadata.tables["webhook_deliveries"],
        SQLModel.metadata.tables["siem_events"],
    )
    session.connection().execute(
        update(deliveries)
        .where(deliveries.c.id == bindparam("row_id"))
        .values(
            revision=bindparam("new_revision"),
            record_seq=bindparam("new_seq"),
            event_type=bindparam("new_type"),
            severity=bindparam("new_severity"),
            payload=bindparam("new_payload"),
        ),
        [
            {
                "row_id": id,
                "new_revision": row.revision,
                "new_seq": row.record_seq,
                "new_type": row.event_type,
                "new_severity": row.severity,
                "new_payload": row.payload,
            }
            for id, row in rows.items()
        ],
    )
    session.connection().execute(
        update(events)
        .where(events.c.delivery_id == bindparam("row_id"))
        .values(
            event_type=bindparam("new_type"),
            severity=bindparam("new_severity"),
            title=bindparam("new_title"),
            description=bindparam("new_description"),
            raw_data=bindparam("new_data"),
        ),
        [
            {
                "row_id": id,
                "new_type": row.event_type,
                "new_severity": row.severity,
                "new_title": row.title,
                "new_description": row.description,
                "new_data": db.Json(row.payload or "null"),
            }
            for id, row in rows.items()
        ],
    )


def _find_again(session: Session, connection_id: str, rows: Sequence[New]) -> None:
    """Rows whose record was removed by its age and came in again, under another local id: they are its rows."""
    for row in rows:
        table = RECORD_TABLES[Kind(row.kind)]
        found = session.execute(
            select(col(Delivery.id), col(Delivery.record_id)).where(
                col(Delivery.webhook_id) == connection_id,
                col(Delivery.key) == row.key,
                ~exists().where(col(table.local_id) == col(Delivery.record_id)),
            )
        ).first()
        if found is None:
            continue
        session.execute(update(Delivery).where(col(Delivery.id) == found.id).values(record_id=row.record_id))
        if row.kind == Kind.CASE:
            _link_again(session, connection_id, found.record_id, row.record_id)


def _link_again(session: Session, connection_id: str, before: int, local_id: int) -> None:
    """The ticket of a case that has another local id now; its own id is known again."""
    link = (col(TicketLink.integration_id) == connection_id, col(TicketLink.case_local_id) == before)
    own = select(col(Case.id)).where(col(Case.local_id) == local_id).scalar_subquery()
    session.execute(update(TicketLink).where(*link).values(case_local_id=local_id, case_id=own))


def _columns(row: New, held: str | None, now: datetime) -> dict[str, Any]:
    is_dead = row.payload is None
    return {
        "record_kind": row.kind,
        "record_id": row.record_id,
        "revision": row.revision,
        "record_seq": row.record_seq,
        "key": row.key,
        "event_type": row.event_type,
        "severity": row.severity,
        "payload": row.payload,
        "state": State.DEAD if is_dead else State.HELD if held else State.PENDING,
        "reason": row.reason or held,
        "next_attempt_at": None if is_dead or held else now,
        "wanted_at": row.wanted_at,
    }


def _doubt(row: New, restored: datetime | None, held: str | None, now: datetime) -> dict[str, Any]:
    is_older = restored is not None and row.made_at is not None and row.made_at < restored
    if not is_older or row.payload is None:
        return {"place": None, "in_doubt_since": None}
    doubt = {"place": tickets.UNKNOWN, "in_doubt_since": now}
    return doubt if held else doubt | {"state": State.IN_DOUBT, "reason": restore.REASON}


def _put_siem_events(
    session: Session,
    connection_id: str,
    user_id: str,
    queued: Mapping[int, New],
    now: datetime,
) -> None:
    statement = db.upsert(session, SiemEvent.__table__)  # type: ignore[attr-defined]
    told = ("event_type", "severity", "title", "description", "raw_data")
    session.connection().execute(
        statement.on_conflict_do_update(
            index_elements=["delivery_id"], set_={name: statement.excluded[name] for name in told}
        ),
        [
            {
                "user_id": user_id,
                "integration_id": connection_id,
                "delivery_id": delivery_id,
                "event_type": row.event_type,
                "severity": row.severity,
                "source": "footprintiq",
                "title": row.title,
                "description": row.description,
                "raw_data": db.Json(row.payload) if row.payload else None,
                "is_exported": False,
                "created_at": now,
            }
            for delivery_id, row in queued.items()
        ],
    )
