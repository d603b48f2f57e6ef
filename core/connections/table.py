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
from core.delivery import heartbeat
from core.delivery.heartbeat import Scheduler
from core.health import ConnectionStatus, Facts, facts
from core.health.status import by_need, every_s
from core.storage import db
from core.storage.models import CatalogEntry, Connection, HourlyFigures, User


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
    facts: Facts  # what its standing rests on
    delivered_today: int  # in the last 24 hours
    recent: Sequence[Any]


@dataclass(frozen=True)
class Board:
    at: datetime
    lines: tuple[ConnectionRow, ...]  # who needs somebody first, then by name
    scheduler: Scheduler


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
        found = facts.read(session, ids, [(row[0], row[1].slug) for row in rows], now, who)
        today = _delivered_today(session, ids, now)
        lines = [_line(who, row[0], row[1], row[2], found[row[0].id], today, now) for row in rows]
        scheduler = heartbeat.read(session, now)
    lines.sort(key=lambda line: (by_need(line.standing, line.name), line.id))
    return Board(now, tuple(lines), scheduler)


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
    known: Facts,
    today: dict[str, int],
    now: datetime,
) -> ConnectionRow:
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
        standing=health.standing(row, known, now),
        every_s=every_s(row),
        last_sync=row.last_sync,
        next_sync=row.next_sync_at if row.is_active else None,
        facts=known,
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
