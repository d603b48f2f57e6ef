"""Deliveries as they are after a while: delivered, tried again, refused, in doubt; each with its attempts."""

import uuid
from datetime import timedelta
from typing import Any

from sqlmodel import Session

from core import records
from core.storage import db
from core.storage.models import Attempt, AttemptOutcome, Connection, Delivery, Kind, State

SPLUNK_SAYS = {
    200: '{"text":"Success","code":0}',
    400: '{"text":"Invalid data format","code":6,"invalid-event-number":0}',
    503: '{"text":"Server is busy","code":9}',
}
REASON = {
    State.RETRYING: "Splunk answered 503 (Server is busy).",
    State.DEAD: "Splunk answered 400: the event could not be read. Correct the mapping, then replay.",
    State.IN_DOUBT: "Splunk did not answer within 20 s.",
    State.SKIPPED: "Skipped when the connection was enabled again.",
    State.HELD: "Held by the storm guard.",
}
ANSWERED = {State.DELIVERED: (200,), State.RETRYING: (503,), State.DEAD: (503, 400), State.IN_DOUBT: (None,)}


def scan(session: Session, owner_id: str, email: str, high: int = 7) -> int:
    """The local id of a stored scan."""
    row = {
        "id": str(uuid.uuid4()),
        "user_id": owner_id,
        "scan_type": "email",
        "email": email,
        "high_risk_count": high,
        "status": "completed",
        "created_at": "2026-11-20T10:00:00Z",
    }
    records.store(session, Kind.SCAN, [row])
    return max(record["local_id"] for record in records.latest(session, Kind.SCAN, owner_id=None, limit=1))


def delivery(
    session: Session,
    connection: Connection,
    record: int,
    state: State = State.DELIVERED,
    ago: timedelta = timedelta(minutes=3),
    **fields: Any,
) -> int:
    """The id of a delivery in this state, with the attempts that led to it."""
    at = db.now(session) - ago
    answers = ANSWERED.get(state, ())
    row = Delivery(
        user_id=connection.user_id,
        webhook_id=connection.id,
        record_kind=Kind.SCAN,
        record_id=record,
        key=f"fiq-scan-{uuid.uuid4()}",
        event_type="footprintiq.scan.high_risk",
        payload='{"event":{"title":"Seven high-risk findings","severity":"high"}}',
        state=state,
        wanted_at=at,
        created_at=at,
        attempt_count=len(answers),
    )
    row.reason = REASON.get(state)
    if state is State.DELIVERED:
        row.delivered_at = at + timedelta(seconds=2)
    if state in (State.PENDING, State.RETRYING, State.IN_DOUBT):
        row.next_attempt_at = db.now(session) + timedelta(minutes=12)
    for name, value in fields.items():
        setattr(row, name, value)
    session.add(row)
    session.flush()
    assert row.id is not None
    for number, status in enumerate(answers):
        _attempt(session, connection, row.id, status, at=at + timedelta(seconds=30 * number))
    return row.id


def _attempt(session: Session, connection: Connection, delivery_id: int, status: int | None, at: Any) -> None:
    exchange = {
        "method": "POST",
        "host": "splunk.example:8088",
        "status": status,
        "ms": 20_000 if status is None else 143,
        "bytes_out": 1_240,
        "bytes_in": 27,
        "request": '{"event":{"title":"Seven high-risk findings","severity":"high"},"token":"••••"}',
        "answer": SPLUNK_SAYS.get(status or 0, ""),
    }
    session.add(
        Attempt(
            connection_id=connection.id,
            run_id=str(uuid.uuid4()),
            worker="here:1",
            started_at=at,
            closed_at=at + timedelta(seconds=1),
            lease_until=at + timedelta(seconds=60),
            outcome=AttemptOutcome.CLOSED if status else AttemptOutcome.UNKNOWN,
            items=1,
            delivery_id=delivery_id,
            exchanges=[exchange],
        )
    )
