"""Hubs in different weather, for the pages and the health figures: normal, on fire, any number of tools."""

import random
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import Session, select

from core.delivery.histogram import BOUNDS_S
from core.storage import db
from core.storage.models import (
    CatalogEntry,
    Connection,
    Delivery,
    Heartbeat,
    HourlyFigures,
    RunLog,
    State,
    User,
)

TOOLS = (
    ("splunk", "Splunk", "siem"),
    ("jira", "Jira", "ticketing"),
    ("slack", "Slack", "communication"),
    ("elastic", "Elastic", "siem"),
    ("servicenow", "ServiceNow", "ticketing"),
    ("pagerduty", "PagerDuty", "communication"),
)
PLACES = ("SOC prod", "SOC staging", "EMEA", "Americas", "On-call", "Red team", "Compliance")
HOURS_BACK = 60 * 24


@pytest.fixture
def half_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's clock stands still in the middle of the hour: figures that are written "in this hour" are of
    the last one when the hour turns before they are read."""
    moment = datetime.now(UTC).replace(minute=30, second=0, microsecond=0)
    monkeypatch.setattr(db, "now", lambda session: moment)


def catalog(session: Session) -> dict[str, CatalogEntry]:
    known = {entry.slug: entry for entry in session.exec(select(CatalogEntry))}
    for slug, name, category in TOOLS:
        if slug not in known:
            known[slug] = CatalogEntry(
                id=str(uuid.uuid5(uuid.NAMESPACE_DNS, slug)),
                slug=slug,
                name=name,
                category=category,
                provider=name,
                description=name,
                created_at=datetime(2026, 11, 1, tzinfo=UTC),
            )
            session.add(known[slug])
    session.flush()
    return known


def connect(session: Session, owner_id: str, name: str, slug: str = "splunk", **fields: object) -> Connection:
    """One connection that synced a minute ago, unless `fields` say otherwise."""
    now = db.now(session)
    values: dict[str, object] = {
        "id": str(uuid.uuid4()),
        "user_id": owner_id,
        "integration_id": catalog(session)[slug].id,
        "name": name,
        "options": {"every": "5m", "batch_limit": 10},
        "last_sync": now - timedelta(minutes=1),
        "last_success_at": now - timedelta(minutes=1),
        "next_sync_at": now + timedelta(minutes=4),
        "created_at": now - timedelta(days=60),
        "updated_at": now,
    }
    connection = Connection(**(values | fields))
    session.add(connection)
    session.flush()
    return connection


def hour_of(session: Session, back: int = 0) -> datetime:
    return db.now(session).replace(minute=0, second=0, microsecond=0) - timedelta(hours=back)


def figures(session: Session, connection: Connection, back: int, **counts: object) -> None:
    hour = hour_of(session, back)
    session.add(HourlyFigures(connection_id=connection.id, hour=hour, **counts))


def delays(*seconds: float) -> list[int]:
    counts = [0] * (len(BOUNDS_S) + 1)
    for value in seconds:
        counts[next((i for i, bound in enumerate(BOUNDS_S) if value <= bound), len(BOUNDS_S))] += 1
    return counts


def run(
    session: Session, connection: Connection, ago: timedelta, status: str = "success", **fields: object
) -> None:
    began = db.now(session) - ago
    values = {
        "run_id": str(uuid.uuid4()),
        "user_integration_id": connection.id,
        "sync_type": "scheduled",
        "status": status,
        "created_at": began,
        "finished_at": began + timedelta(seconds=1.4),
    }
    session.add(RunLog(**(values | fields)))


def beat(session: Session, ago_s: float = 2) -> None:
    at = db.now(session) - timedelta(seconds=ago_s)
    session.merge(Heartbeat(name="scheduler", owner="test", beat_at=at, started_at=at))


def hub(owner: User | str, tools: int, *, on_fire: bool = False, beating: bool = True) -> None:
    """`tools` connections with sixty days of figures; on fire: some of them fail in each way there is."""
    dice = random.Random(7)
    owner_id = owner if isinstance(owner, str) else owner.id
    with db.session() as session:
        if beating:
            beat(session)
        for number in range(tools):
            slug, name, _ = TOOLS[number % len(TOOLS)]
            place = PLACES[(number // len(TOOLS)) % len(PLACES)]
            trouble = number % 5 if on_fire else -1
            connection = connect(session, owner_id, f"{name} {place}", slug, **_state(session, trouble, name))
            _history(session, connection, dice, trouble if number < 10 else -1)
            if trouble == 3:
                _backlog(session, connection, 140)


def _state(session: Session, trouble: int, vendor: str) -> dict[str, object]:
    now = db.now(session)
    if trouble == 0:
        text = f"{vendor} answered 403 (Token disabled). Enable the token in {vendor}, then press Test."
        return {"problem": text, "wait_reason": "misconfigured"}
    if trouble == 1:
        return {
            "failures": 7,
            "wait_reason": "backoff",
            "next_call_at": now + timedelta(minutes=12),
            "last_success_at": now - timedelta(hours=3, minutes=4),
        }
    if trouble == 2:
        return {"last_sync": now - timedelta(minutes=47), "last_success_at": now - timedelta(minutes=47)}
    return {}


def _history(session: Session, connection: Connection, dice: random.Random, trouble: int) -> None:
    for back in range(HOURS_BACK):
        is_bad = (trouble in (0, 1) and back < 3) or dice.random() < 0.006
        failed = dice.randint(4, 12) if is_bad else 0
        sent = 0 if trouble in (0, 1) and back < 3 else dice.randint(5, 60)
        figures(
            session,
            connection,
            back,
            runs_ok=12 - failed,
            runs_failed=failed,
            delivered=sent,
            dead=dice.randint(1, 3) if dice.random() < 0.01 else 0,
            retried=failed * 2,
            delay_s=delays(*(dice.lognormvariate(0.4, 1.1) for _ in range(sent))),
        )
    blocks, now = [], db.now(session)
    for back in range(60, 0, -1):
        at, status = now - timedelta(minutes=5 * back - 4), "success"
        if (trouble in (0, 1) and back < 20) or dice.random() < 0.012:
            status = "failed"
        elif dice.random() < 0.02:
            status = "partial"
        records = 0 if status == "failed" else dice.randint(1, 10)
        blocks.append([int(at.timestamp()), status, records])
        if back < 8:
            error = _ERROR if status == "failed" else None
            run(session, connection, now - at, status, records_synced=records, error_message=error)
    connection.recent = blocks
    session.add(connection)


def _backlog(session: Session, connection: Connection, count: int) -> None:
    now = db.now(session)
    for number in range(count):
        session.add(
            Delivery(
                user_id=connection.user_id,
                webhook_id=connection.id,
                record_kind="scan",
                record_id=number,
                key=f"fiq-scan-{number}",
                event_type="footprintiq.scan.high_risk",
                state=State.PENDING,
                wanted_at=now,
                created_at=now,
            )
        )


_ERROR = "The vendor answered 503 (Service Unavailable). Nothing was lost; the hub tries again by itself."
