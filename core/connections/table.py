"""The list of connections as a page shows it: how each stands, what waits, what it delivered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlmodel import Session, col

from core import access, health
from core.access import Principal
from core.delivery import heartbeat, outbox
from core.health import ConnectionStatus
from core.health.status import every_s
from core.storage import db
from core.storage.models import WAITING, CatalogEntry, Connection, HourlyFigures, State, User


@dataclass(frozen=True)
class ConnectionRow:
    """One connection. `recent` is the strip: [epoch s, status, records], oldest first."""

    id: str
    name: str
    slug: str
    vendor: str
    category: str
    owner: str
    shared: bool
    is_changeable: bool  # by whoever asks
    is_active: bool
    standing: ConnectionStatus
    every_s: int
    last_sync: datetime | None
    next_sync: datetime | None
    waiting: int
    dead: int
    held: int  # wait for a person
    delivered_today: int  # in the last 24 hours
    recent: Sequence[Any]


@dataclass(frozen=True)
class Board:
    at: datetime
    lines: tuple[ConnectionRow, ...]  # who needs somebody first, then by name
    heartbeat_age_s: float | None  # of the scheduler; None: it never ran


def board(who: Principal) -> Board:
    """Every connection `who` may see, in one reading transaction."""
    with db.reading() as session:
        now = db.now(session)
        rows = session.execute(
            select(Connection, CatalogEntry, col(User.email))
            .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
            .join(User, col(User.id) == col(Connection.user_id))
            .where(access.visible(who), col(Connection.deleted_at).is_(None))
        ).all()
        ids = [row[0].id for row in rows]
        queues, today = outbox.standing(session, ids), _delivered_today(session, ids, now)
        lines = [_line(who, row[0], row[1], row[2], queues, today, now) for row in rows]
        age_s = heartbeat.age(session, now)
    lines.sort(key=lambda line: (not line.standing.needs_attention, line.name.lower(), line.id))
    return Board(now, tuple(lines), age_s)


def count_by_slug(who: Principal) -> Counter[str]:
    """How many connections `who` sees of each entry of the catalog."""
    with db.reading() as session:
        slugs = session.execute(
            select(col(CatalogEntry.slug))
            .join(Connection, col(Connection.integration_id) == col(CatalogEntry.id))
            .where(access.visible(who), col(Connection.deleted_at).is_(None))
        )
        return Counter(slugs.scalars())


def _line(
    who: Principal,
    row: Connection,
    entry: CatalogEntry,
    owner: str,
    queues: dict[tuple[str, str], int],
    today: dict[str, int],
    now: datetime,
) -> ConnectionRow:
    waiting = sum(queues.get((row.id, state), 0) for state in WAITING)
    held = queues.get((row.id, State.HELD), 0)
    retrying = queues.get((row.id, State.RETRYING), 0) + queues.get((row.id, State.IN_DOUBT), 0)
    return ConnectionRow(
        id=row.id,
        name=row.name,
        slug=entry.slug,
        vendor=entry.name,
        category=entry.category,
        owner=owner,
        shared=row.shared,
        is_changeable=access.may_change(who, row.user_id),
        is_active=row.is_active,
        standing=health.standing(row, waiting=waiting, retrying=retrying, now=now, held=held),
        every_s=every_s(row),
        last_sync=row.last_sync,
        next_sync=row.next_sync_at if row.is_active else None,
        waiting=waiting,
        dead=queues.get((row.id, State.DEAD), 0),
        held=held,
        delivered_today=today.get(row.id, 0),
        recent=row.recent,
    )


def _delivered_today(session: Session, ids: list[str], now: datetime) -> dict[str, int]:
    found = session.execute(
        select(col(HourlyFigures.connection_id), func.sum(col(HourlyFigures.delivered)))
        .where(col(HourlyFigures.hour) > now - timedelta(hours=24), col(HourlyFigures.connection_id).in_(ids))
        .group_by(col(HourlyFigures.connection_id))
    )
    return {connection: int(number) for connection, number in found}
