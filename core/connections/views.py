"""A connection as it is shown: everything but its secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from core import health, integrations
from core.access import Principal, scope
from core.access.scope import row_of
from core.delivery import outbox, selection
from core.integrations import credentials
from core.platform.secret import MASK
from core.storage import db
from core.storage.models import CatalogEntry, Category, Connection
from core.storage.models.words import KIND_OF


@dataclass(frozen=True)
class ConnectionView:
    """A connection. `config` holds a mask where a secret is set; `recent` is the strip: [epoch s, status, records].

    `held` records wait for a person, who releases or discards them; `disable_at` is when it is switched off, if it
    goes on failing; `told_day` the last day of failing on which its owner was notified.
    """

    id: str
    name: str
    slug: str
    vendor: str
    category: str
    owner: str
    scope: str
    shared: bool
    is_active: bool
    problem: str | None
    config: dict[str, Any]
    options: dict[str, Any]
    created_at: datetime
    last_sync: datetime | None
    next_sync: datetime | None
    next_call_at: datetime | None
    wait_reason: str | None
    last_success_at: datetime | None
    running: bool
    waiting: int
    in_doubt: int
    dead: int
    held: int
    failing_since: datetime | None
    disable_at: datetime | None
    told_day: int
    recent: list[Any]


def find(who: Principal, ref: str) -> ConnectionView:
    """One connection by id or name. Raises NotFound, also for someone else's."""
    with db.reading() as session:
        row = row_of(session, who, ref)
        return _views(session, [row])[0]


def list_views(who: Principal) -> list[ConnectionView]:
    """Every connection `who` may see, by name."""
    with db.reading() as session:
        rows = session.execute(
            scope.connections(who).order_by(col(Connection.name), col(Connection.id))
        ).all()
        return _views(session, [(row[0], row[1], row[2]) for row in rows])


def name_of(who: Principal, ref: str) -> str | None:
    """The name of a connection that an option names; None when it is gone, or not theirs to see."""
    with db.reading() as session:
        found = session.execute(
            select(col(Connection.name)).where(
                *scope.mine(who, False), (col(Connection.id) == ref) | (col(Connection.name) == ref)
            )
        )
        return found.scalars().first()


def channels(who: Principal) -> list[tuple[str, str]]:
    """(id, name) of the connections that can tell when another one fails: they reach people, and are theirs."""
    wanted = (
        select(col(Connection.id), col(Connection.name))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(*scope.mine(who, True), col(CatalogEntry.category) == Category.COMMUNICATION)
        .order_by(col(Connection.name), col(Connection.id))
    )
    with db.reading() as session:
        return [(row[0], row[1]) for row in session.execute(wanted)]


def left_out(who: Principal, ref: str) -> int:
    """How many records of the connection's kind belong to other people, and are not sent because of its scope."""
    with db.reading() as session:
        row, slug, _ = row_of(session, who, ref)
        kind = KIND_OF[integrations.get(slug).category]
        return selection.left_out(session, row, kind)


def _views(session: Session, rows: Sequence[tuple[Connection, str, str]]) -> list[ConnectionView]:
    counts = outbox.standing(session, [connection.id for connection, _, _ in rows])
    now = db.now(session)
    return [
        _view(connection, session.get_one(CatalogEntry, connection.integration_id), owner, counts, now)
        for connection, _, owner in rows
    ]


def _gone(entry: CatalogEntry) -> str | None:
    """A preset's file can be taken away or broken under its connections; they stay visible, and can be deleted."""
    if entry.slug in integrations.manifests():
        return None
    if entry.slug in integrations.disabled():
        return f"{integrations.disabled()[entry.slug]} Until then nothing is sent."
    return (
        f"data/catalog/{entry.slug}.toml is gone, so nothing is sent. Put it back and restart the hub, or delete "
        "the connection."
    )


def _view(
    row: Connection, entry: CatalogEntry, owner: str, counts: dict[tuple[str, str], int], now: datetime
) -> ConnectionView:
    secrets = dict.fromkeys(row.secret_names, MASK)
    return ConnectionView(
        id=row.id,
        name=row.name,
        slug=entry.slug,
        vendor=entry.name,
        category=Category(entry.category),
        owner=owner,
        scope=row.scope,
        shared=row.shared,
        is_active=row.is_active,
        problem=_gone(entry) or row.problem or credentials.lock_of(row),
        config=row.config | secrets,
        options=row.options,
        created_at=row.created_at,
        last_sync=row.last_sync,
        next_sync=row.next_sync_at if row.is_active else None,
        next_call_at=row.next_call_at,
        wait_reason=row.wait_reason,
        last_success_at=row.last_success_at,
        running=bool(row.lease_until and row.lease_until > now),
        waiting=sum(counts.get((row.id, state), 0) for state in ("pending", "retrying", "in_doubt")),
        in_doubt=counts.get((row.id, "in_doubt"), 0),
        dead=counts.get((row.id, "dead"), 0),
        held=counts.get((row.id, "held"), 0),
        failing_since=row.failing_since,
        disable_at=health.end_of(row, now),
        told_day=row.told_day,
        recent=row.recent,
    )
