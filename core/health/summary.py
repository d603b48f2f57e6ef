"""Everything the health page shows, in one reading transaction.

What is over time comes from `hourly_figures`, which also say where in the log to look: the cost of the
page follows the hours and connections shown, never the length of the log.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from core import access
from core.access import Principal
from core.delivery import heartbeat, workers
from core.delivery.heartbeat import Scheduler
from core.delivery.workers import Workers
from core.health import facts, figures
from core.health.facts import Facts
from core.health.figures import BUCKET_H, Figure, Past, Span
from core.health.hourly import Query
from core.health.recent_runs import RecentRun, newest
from core.health.status import ConnectionStatus, by_need, standing
from core.platform.errors import Invalid
from core.platform.text import natural
from core.storage import db
from core.storage.models import CatalogEntry, Connection, RunStatus, User

OBJECTIVE = 0.99  # of the runs deliver every record
#: how runs end that did not deliver what they should have
FAILURES = (RunStatus.FAILED, RunStatus.PARTIAL, RunStatus.BLOCKED)
#: a person reads the worst ones, and each strip is up to 60 blocks in the browser
MAX_STRIPS = 60
#: what a heat map may have and still be drawn at once
HEAT_CELLS = 600


class DeliveryTrouble(NamedTuple):
    """What failed of one connection in one bucket of time."""

    at: datetime
    connection_id: str
    name: str
    failed_runs: int
    blocked_runs: int  # could not call the tool, while records waited
    dead: int
    retried: int

    @property
    def bad_runs(self) -> int:
        return self.failed_runs + self.blocked_runs


class HeatCell(NamedTuple):
    at: datetime
    runs: int
    failed: int  # also those that delivered in part, or could not call


@dataclass(frozen=True)
class Heat:
    """One connection's row of the heat map; a bucket in which it did not run is missing."""

    name: str
    cells: tuple[HeatCell, ...]

    @property
    def share(self) -> float:
        """Of all its runs that failed."""
        return sum(cell.failed for cell in self.cells) / sum(cell.runs for cell in self.cells)


@dataclass(frozen=True)
class Strip:
    """One connection: how it stands, and its last runs."""

    connection_id: str
    name: str  # with the owner's e-mail where two connections have the same name
    vendor: str
    category: str
    standing: ConnectionStatus
    last_sync: datetime | None
    facts: Facts  # what its standing rests on
    recent: Sequence[Any]  # its last runs, oldest first: [epoch s, status, records]


@dataclass(frozen=True)
class Overview:
    at: datetime
    hours: int
    bucket_h: int
    since: datetime
    success: Figure  # share of runs, 0 to 1
    delivered: Figure
    attention: Figure  # connections that need somebody now; the series: how many failed in each bucket
    delay_p95_s: Figure
    timeline: tuple[DeliveryTrouble, ...]
    heat: tuple[Heat, ...]  # the worst first
    strips: tuple[Strip, ...]  # the worst first, at most MAX_STRIPS
    connections: int
    needs_you: tuple[Strip, ...]
    recent_runs: tuple[RecentRun, ...]
    recent_failures: tuple[RecentRun, ...]
    scheduler: Scheduler
    workers: Workers | None  # None: the scheduler's own threads run what is due

    @property
    def times(self) -> list[datetime]:
        """When each bucket begins."""
        return [self.since + timedelta(hours=hour) for hour in range(0, self.hours, self.bucket_h)]


def overview(
    who: Principal, hours: int, category: str | None = None, connection: str | None = None
) -> Overview:
    """For the connections `who` may see; `connection` is an id. Raises Invalid for another range."""
    if hours not in BUCKET_H:
        raise Invalid(f"{hours} hours is not a range of this page; choose 24, 168 or 720.")
    with db.reading() as session:
        now = db.now(session)
        span, chosen = Span.ending(now, hours), _chosen(who, category, connection)
        ids: Query = select(col(Connection.id)).where(*chosen)
        strips = _strips(session, who, chosen, ids, now)
        names = {strip.connection_id: strip.name for strip in strips}
        withheld = {strip.connection_id for strip in strips if strip.facts.withheld}
        past = figures.read(session, ids, frozenset(names), span)
        timeline = _timeline(past, span, names)
        needs_you = tuple(strip for strip in strips if strip.standing.needs_attention)
        return Overview(
            at=now,
            hours=hours,
            bucket_h=BUCKET_H[hours],
            since=span.start,
            success=past.figure(figures.success_rate),
            delivered=past.figure(figures.delivered),
            attention=_attention(len(needs_you), timeline, span),
            delay_p95_s=past.figure(figures.delay_p95_s),
            timeline=timeline,
            heat=_heat(past, span, names),
            strips=strips[:MAX_STRIPS],
            connections=len(strips),
            needs_you=needs_you,
            recent_runs=newest(session, ids, span, names, tuple(RunStatus), withheld),
            recent_failures=newest(session, ids, span, names, FAILURES, withheld),
            scheduler=heartbeat.read(session, now),
            workers=workers.read(session, now),
        )


def choices(who: Principal) -> list[tuple[str, str, str]]:
    """(id, name, category) of every connection they may see, by name: what the filters offer."""
    wanted = (col(Connection.id), col(Connection.name), col(User.email), col(CatalogEntry.category))
    with db.reading() as session:
        rows = session.execute(_joined(select(*wanted), _chosen(who, None, None))).all()
    named = _labels([row[:3] for row in rows])
    found = [(row.id, named[row.id], str(row.category)) for row in rows]
    return sorted(found, key=lambda choice: (natural(choice[1]), choice[0]))


def _chosen(who: Principal, category: str | None, connection: str | None) -> list[ColumnElement[bool]]:
    chosen = [access.visible(who), col(Connection.deleted_at).is_(None)]
    if category:
        entries = select(col(CatalogEntry.id)).where(col(CatalogEntry.category) == category)
        chosen.append(col(Connection.integration_id).in_(entries))
    if connection:
        chosen.append(col(Connection.id) == connection)
    return chosen


def _joined(query: Query, chosen: list[ColumnElement[bool]]) -> Query:
    """Each connection with its catalog entry and its owner."""
    return (
        query.join_from(Connection, CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .join(User, col(User.id) == col(Connection.user_id))
        .where(*chosen)
    )


def _strips(
    session: Session, who: Principal, chosen: list[ColumnElement[bool]], ids: Query, now: datetime
) -> tuple[Strip, ...]:
    rows = session.execute(_joined(select(Connection, col(User.email), CatalogEntry), chosen)).all()
    found = facts.read(session, ids, [(row[0], row[2].slug) for row in rows], now, who)
    labels = _labels([(row[0].id, row[0].name, row.email) for row in rows])
    strips = [
        Strip(
            connection_id=connection.id,
            name=labels[connection.id],
            vendor=entry.name,
            category=entry.category,
            standing=standing(connection, found[connection.id], now),
            last_sync=connection.last_sync,
            facts=found[connection.id],
            recent=connection.recent,
        )
        for connection, _, entry in rows
    ]
    return tuple(sorted(strips, key=lambda strip: (by_need(strip.standing, strip.name), strip.connection_id)))


def _labels(owned: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """Id, name, owner → id, label. A name is unique per owner only; an admin sees two of them with theirs."""
    times = Counter(name for _, name, _ in owned)
    return {found: name if times[name] == 1 else f"{name} ({email})" for found, name, email in owned}


def _timeline(past: Past, span: Span, names: dict[str, str]) -> tuple[DeliveryTrouble, ...]:
    return tuple(
        DeliveryTrouble(
            *(at, cell.connection_id, names[cell.connection_id]),
            *(cell.failed, cell.blocked, cell.dead, cell.retried),
        )
        for at, bucket in zip(span.times, past.buckets, strict=True)
        for cell in bucket.cells
        if cell.failed or cell.blocked or cell.dead or cell.retried
    )


def _heat(past: Past, span: Span, names: dict[str, str]) -> tuple[Heat, ...]:
    """The connections that failed most, as many as HEAT_CELLS has room for."""
    ran: dict[str, list[HeatCell]] = defaultdict(list)
    for at, bucket in zip(span.times, past.buckets, strict=True):
        for cell in bucket.cells:
            if cell.runs:
                ran[cell.connection_id].append(HeatCell(at, cell.runs, cell.runs - cell.ok))
    rows = [Heat(names[connection], tuple(cells)) for connection, cells in ran.items()]
    rows.sort(key=lambda row: (-row.share, row.name.lower()))
    return tuple(rows[: HEAT_CELLS // span.buckets])


def _attention(count: int, timeline: tuple[DeliveryTrouble, ...], span: Span) -> Figure:
    failed = Counter(trouble.at for trouble in timeline if trouble.failed_runs or trouble.blocked_runs)
    series = tuple(float(failed[at]) for at in span.times)
    return Figure(float(count), None, series)
