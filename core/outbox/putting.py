"""Into the queue: one row per record and connection, and the SIEM event that goes with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import and_
from sqlmodel import Session, col

from core.db import upsert
from core.models import Delivery, SiemEvent, State

#: why a filter left out what waited; a row with this reason is taken up again when its record is wanted
FILTERED = "Skipped because the connection's filter was changed."
_OF_RECORD = (
    "record_id",
    "revision",
    "event_type",
    "payload",
    "state",
    "reason",
    "next_attempt_at",
    "wanted_at",
)


@dataclass(frozen=True, slots=True)
class New:
    """One record for one connection. Without `payload` it is born dead, and `reason` says why."""

    kind: str
    record_id: int
    revision: int
    key: str
    event_type: str
    payload: str | None
    reason: str | None
    wanted_at: datetime
    severity: str
    title: str


def put(
    session: Session,
    *,
    connection_id: str,
    user_id: str,
    siem: bool,
    rows: Sequence[New],
    now: datetime,
    held: str | None = None,
) -> list[New]:
    """Queue `rows`, and return those that were queued: a key that the connection already has is left alone.

    Another row with a key is the same record by another door: it goes out once, under the first that came. Where
    a filter left that one out, the other takes its place. `held`, a sentence, keeps them for a person.
    """
    first = {row.key: row for row in reversed(rows)}
    rows = [row for row in rows if first[row.key] is row]
    if not rows:
        return []
    shared = {"user_id": user_id, "webhook_id": connection_id, "created_at": now}
    values = [
        shared
        | {
            "record_kind": row.kind,
            "record_id": row.record_id,
            "revision": row.revision,
            "key": row.key,
            "event_type": row.event_type,
            "payload": row.payload,
            "state": State.DEAD if row.payload is None else State.HELD if held else State.PENDING,
            "reason": row.reason or held,
            "next_attempt_at": None if row.payload is None or held else now,
            "wanted_at": row.wanted_at,
        }
        for row in rows
    ]
    statement = upsert(session, Delivery)
    statement = statement.on_conflict_do_update(
        index_elements=["webhook_id", "key"],
        set_={name: statement.excluded[name] for name in _OF_RECORD},
        where=and_(col(Delivery.state) == State.SKIPPED, col(Delivery.reason) == FILTERED),
    )
    put_ids = {
        key: delivery_id
        for delivery_id, key in session.execute(statement.returning(Delivery.id, Delivery.key), values)
    }
    queued = [row for row in rows if row.key in put_ids]
    if siem and queued:
        _put_siem_events(session, connection_id, user_id, queued, put_ids, now)
    return queued


def _put_siem_events(
    session: Session,
    connection_id: str,
    user_id: str,
    rows: Sequence[New],
    put_ids: dict[str, int],
    now: datetime,
) -> None:
    statement = upsert(session, SiemEvent)
    told = ("event_type", "severity", "title", "description", "raw_data")
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["delivery_id"], set_={name: statement.excluded[name] for name in told}
        ),
        [
            {
                "user_id": user_id,
                "integration_id": connection_id,
                "delivery_id": put_ids[row.key],
                "event_type": row.event_type,
                "severity": row.severity,
                "source": "footprintiq",
                "title": row.title,
                "description": row.reason or "",
                "raw_data": orjson.loads(row.payload) if row.payload else None,
                "is_exported": False,
                "created_at": now,
            }
            for row in rows
        ],
    )
