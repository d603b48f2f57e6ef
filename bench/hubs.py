"""Hubs for measuring: a new one; and one of any age, with 50 connections, 60 days of hourly figures and a long log.

The old one is written with plain inserts: a million rows through the ORM would take longer than what is measured.
"""

import os
import random
import secrets
import uuid
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select
from sqlmodel import Session, col

from core import access, connections
from core.access import LOCAL
from core.delivery.histogram import BOUNDS_S
from core.delivery.journal import RECENT_RUNS
from core.integrations import credentials
from core.platform import vault
from core.platform.secret import Secret
from core.platform.settings import settings
from core.storage import db
from core.storage.models import CatalogEntry, Connection, Heartbeat, HourlyFigures, RunLog, User

EMAIL, PASSWORD = "bench@example.org", "a long enough one"
CONNECTIONS, DAYS = 50, 30
SPAN = timedelta(days=DAYS)
CHUNK_ROWS = 20_000
#: a run in so many fails
FAILS_ONE_IN = 60


def new(folder: Path, url: str | None = None) -> str:
    """A new hub in `folder`, or on the database at `url`, for this process and those it starts; its admin's e-mail."""
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        del os.environ[name]  # what is measured is a hub as it comes
    os.environ.update(
        HUB_DATABASE_URL=url or f"sqlite:///{folder}/hub.db",
        HUB_SECRET_KEY_FILE=f"{folder}/hub.key",
        HUB_EGRESS_ALLOW="127.0.0.1/32",
        HUB_BALLAST_MB="0",
    )
    settings.cache_clear()
    # the hub before this one in the process is left, and its key
    db.configure(settings().database_url)
    credentials.refresh()
    vault.create_key_file(settings().secret_key_file)
    db.migrate()
    connections.publish_catalog()
    made = access.first_admin(Secret(secrets.token_urlsafe(12)))
    assert made is not None
    return made[0]


def build(path: Path, log_rows: int) -> str:
    """A hub's database at `path`; its address. This process works on it from now on."""
    url = f"sqlite:///{path}"
    db.configure(url)
    db.migrate()
    connections.publish_catalog()
    owner = access.add_user(LOCAL, EMAIL, "admin", Secret(PASSWORD))
    dice = random.Random(11)
    with db.session() as session:
        now = db.now(session)
        session.merge(Heartbeat(name="scheduler", owner="bench", beat_at=now, started_at=now))
        ids = _connect(session, owner, dice, now)
    _fill(HourlyFigures, _figures(ids, dice, now))
    _fill(RunLog, _runs(ids, dice, now, log_rows))
    with db.engine().connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return url


def _connect(session: Session, owner: User, dice: random.Random, now: datetime) -> list[str]:
    entries = session.execute(select(col(CatalogEntry.id), col(CatalogEntry.name))).all()
    made = []
    for number in range(CONNECTIONS):
        entry_id, vendor = entries[number % len(entries)]
        connection = Connection(
            id=str(uuid.UUID(int=dice.getrandbits(128))),
            user_id=owner.id,
            integration_id=entry_id,
            name=f"{vendor} {number:02}",
            options={"every": "5m", "batch_limit": 10},
            problem="The token has expired. Enter a new one, then press Test." if number % 12 == 0 else None,
            recent=_recent(dice, now),
            last_sync=now - timedelta(minutes=1),
            last_success_at=now - timedelta(minutes=1),
            next_sync_at=now + timedelta(days=1),
            created_at=now - 2 * SPAN,
            updated_at=now,
        )
        session.add(connection)
        made.append(connection.id)
    return made


def _recent(dice: random.Random, now: datetime) -> list[list[Any]]:
    times = (now - timedelta(minutes=5 * back + 1) for back in range(RECENT_RUNS, 0, -1))
    return [[int(at.timestamp()), *_outcome(dice)] for at in times]


def _outcome(dice: random.Random) -> tuple[str, int]:
    return ("failed", 0) if dice.randrange(FAILS_ONE_IN) == 0 else ("success", dice.randint(1, 10))


def _figures(ids: Sequence[str], dice: random.Random, now: datetime) -> Iterator[dict[str, Any]]:
    """Sixty days, because the page compares with the time before."""
    newest = now.replace(minute=0, second=0, microsecond=0)
    for back in range(2 * DAYS * 24):
        for connection_id in ids:
            failed = sum(dice.randrange(FAILS_ONE_IN) == 0 for _ in range(12))
            sent = dice.randint(5, 60)
            yield {
                "connection_id": connection_id,
                "hour": newest - timedelta(hours=back),
                "runs_ok": 12 - failed,
                "runs_failed": failed,
                "delivered": sent,
                "retried": failed,
                "calls": 12,
                "call_ms": [0, 0, 3, 6, 2, 1, 0, 0, 0, 0, 0, 0, 0],
                "delay_s": _delays(dice, sent),
            }


def _delays(dice: random.Random, count: int) -> list[int]:
    histogram = [0] * (len(BOUNDS_S) + 1)
    for _ in range(count):
        histogram[bisect_left(BOUNDS_S, dice.lognormvariate(1.2, 1.4))] += 1
    return histogram


def _runs(ids: Sequence[str], dice: random.Random, now: datetime, count: int) -> Iterator[dict[str, Any]]:
    """Oldest first, evenly over the thirty days."""
    for number in range(count):
        status, records = _outcome(dice)
        began = now - SPAN + SPAN * (number / count)
        yield {
            "run_id": f"{number:036}",
            "user_integration_id": ids[number % len(ids)],
            "sync_type": "scheduled",
            "status": status,
            "records_synced": records,
            "error_message": None if records else "The vendor answered 503. The hub tries again by itself.",
            "meta": {},
            "created_at": began,
            "finished_at": began + timedelta(seconds=1.2),
        }


def _fill(table: Any, rows: Iterator[dict[str, Any]]) -> None:
    chunk: list[dict[str, Any]] = []
    with db.session() as session:
        for row in rows:
            chunk.append(row)
            if len(chunk) == CHUNK_ROWS:
                session.execute(insert(table), chunk)
                chunk = []
        if chunk:
            session.execute(insert(table), chunk)
