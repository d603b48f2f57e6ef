"""Into the queue: one row per record and connection, and the SIEM event that goes with it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import insert
from sqlmodel import Session

from core.db import upsert
from core.models import Delivery, Kind, SiemEvent, State
from core.outbox import restore, tickets


@dataclass(frozen=True, slots=True)
class New:
    """One record for one connection. Without `payload` it is born dead, and `reason` says why.

    `made_at`: when there was the record first, here or where it comes from.
    """

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
) -> int:
    """Queue `rows`; a key that the connection already has is left alone. Returns how many were new.

    `held`, a sentence, keeps them for a person to release or discard. A case of before a restore may have its
    ticket: it is born in doubt.
    """
    if not rows:
        return 0
    is_case = any(row.kind == Kind.CASE for row in rows)
    restored = restore.restored_at(session) if is_case else None
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
            **_doubt(row, restored, held, now),
        }
        for row in rows
    ]
    statement = upsert(session, Delivery).on_conflict_do_nothing(index_elements=["webhook_id", "key"])
    put_ids = {
        key: delivery_id
        for delivery_id, key in session.execute(statement.returning(Delivery.id, Delivery.key), values)
    }
    if siem and put_ids:
        _put_siem_events(session, connection_id, user_id, rows, put_ids, now)
    return len(put_ids)


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
    rows: Sequence[New],
    put_ids: dict[str, int],
    now: datetime,
) -> None:
    session.execute(
        insert(SiemEvent),
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
            if row.key in put_ids
        ],
    )
