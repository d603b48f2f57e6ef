"""A connection as it is shown: everything but its secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from core import health, integrations
from core.access import Principal, scope
from core.access.scope import WITHHELD, row_of
from core.delivery import left_out as left_out_
from core.delivery.backlog import Backlog
from core.delivery.left_out import LeftOutCount
from core.health import ConnectionStatus, Facts, facts
from core.platform.secret import MASK
from core.platform.text import natural
from core.storage import db
from core.storage.models import CatalogEntry, Category, Connection


@dataclass(frozen=True)
class ConnectionView:
    """A connection. `config` holds a mask where a secret is set; `recent` is the strip: [epoch s, status, records].

    `standing` is how it is, as a word and a sentence. `waiting` are in its queue; `backlog` more it wants and has not
    taken yet, with `backlog_more` at least that many; `held` wait for a person, who releases or discards them;
    `disable_at` is when it is switched off, if it
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
    standing: ConnectionStatus
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
    backlog: int
    backlog_more: bool
    in_doubt: int
    dead: int
    held: int
    failing_since: datetime | None
    disable_at: datetime | None
    told_day: int
    recent: list[Any]

    @property
    def unsent(self) -> str:
        """What waits and what was not taken yet, together: `128`, or `more than 1,000`."""
        return Backlog(self.waiting + self.backlog, self.backlog_more).text


def find(who: Principal, ref: str) -> ConnectionView:
    """One connection by id or name. Raises NotFound, also for someone else's."""
    with db.reading() as session:
        row = row_of(session, who, ref)
        return _views(session, who, [row])[0]


def list_views(who: Principal) -> list[ConnectionView]:
    """Every connection `who` may see, by name."""
    with db.reading() as session:
        rows = session.execute(scope.connections(who)).all()
        views = _views(session, who, [(row[0], row[1], row[2]) for row in rows])
    return sorted(views, key=lambda view: (natural(view.name), view.id))


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


def left_out(who: Principal, ref: str) -> LeftOutCount:
    """What of the newest records the connection leaves out, and why. Other people's are counted for admins only."""
    with db.reading() as session:
        row, slug, _ = row_of(session, who, ref)
        return left_out_.count(session, row, integrations.get(slug), everybodys=who.is_admin)


def _views(
    session: Session, who: Principal, rows: Sequence[tuple[Connection, str, str]]
) -> list[ConnectionView]:
    now = db.now(session)
    found = facts.read(
        session, [row.id for row, _, _ in rows], [(row, slug) for row, slug, _ in rows], now, who
    )
    return [
        _view(row, session.get_one(CatalogEntry, row.integration_id), owner, found[row.id], now)
        for row, _, owner in rows
    ]


def _view(row: Connection, entry: CatalogEntry, owner: str, known: Facts, now: datetime) -> ConnectionView:
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
        standing=health.standing(row, known, now),
        problem=known.lack or (WITHHELD if known.withheld and row.problem else row.problem),
        config=row.config | secrets,
        options=row.options,
        created_at=row.created_at,
        last_sync=row.last_sync,
        next_sync=row.next_sync_at if row.is_active else None,
        next_call_at=row.next_call_at,
        wait_reason=row.wait_reason,
        last_success_at=row.last_success_at,
        running=bool(row.lease_until and row.lease_until > now),
        waiting=known.waiting,
        backlog=known.backlog.number,
        backlog_more=known.backlog.more,
        in_doubt=known.in_doubt,
        dead=known.dead,
        held=known.held,
        failing_since=row.failing_since,
        disable_at=health.end_of(row, now),
        told_day=row.told_day,
        recent=row.recent,
    )
