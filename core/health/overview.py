"""Everything the health page shows, in one reading transaction.

What is over time comes from `hourly_figures`, which also say where in the log to look: the cost of the
page follows the hours and connections shown, never the length of the log.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, func, or_, select
from sqlmodel import Session, col

from core import access, db
from core.access import Principal
from core.errors import Invalid
from core.health import figures
from core.health.figures import BUCKET_H, Figure, Query, Span
from core.health.runs import Run, newest
from core.health.standing import Standing, standing
from core.models import (
    WAITING,
    CatalogEntry,
    Connection,
    Delivery,
    Heartbeat,
    HourlyFigures,
    RunStatus,
    State,
    User,
)

OBJECTIVE = 0.99  # of the runs deliver every record
SCHEDULER = "scheduler"
#: a person reads the worst ones, and each strip is up to 60 blocks in the browser
MAX_STRIPS = 60


@dataclass(frozen=True)
class Trouble:
    """What failed of one connection in one bucket of time."""

    at: datetime
    connection_id: str
    name: str
    failed_runs: int
    dead: int
    retried: int


@dataclass(frozen=True)
class Block:
    at: datetime
    status: str
    records: int


@dataclass(frozen=True)
class Strip:
    """One connection: how it stands, and its last runs, oldest first."""

    connection_id: str
    name: str  # with the owner's e-mail where two connections have the same name
    vendor: str
    category: str
    standing: Standing
    last_sync: datetime | None
    waiting: int
    blocks: tuple[Block, ...]


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
    timeline: tuple[Trouble, ...]
    strips: tuple[Strip, ...]  # the worst first, at most MAX_STRIPS
    connections: int
    needs_you: tuple[Strip, ...]
    recent_runs: tuple[Run, ...]
    recent_failures: tuple[Run, ...]
    heartbeat_age_s: float | None  # of the scheduler; None: it never ran


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
        strips = _strips(session, chosen, ids, now)
        names = {strip.connection_id: strip.name for strip in strips}
        past, timeline = figures.read(session, ids, span), _timeline(session, ids, span, names)
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
            strips=strips[:MAX_STRIPS],
            connections=len(strips),
            needs_you=needs_you,
            recent_runs=newest(session, ids, span, names, tuple(RunStatus)),
            recent_failures=newest(session, ids, span, names, (RunStatus.FAILED, RunStatus.PARTIAL)),
            heartbeat_age_s=_heartbeat_age_s(session, now),
        )


def choices(who: Principal) -> list[tuple[str, str, str]]:
    """(id, name, category) of every connection they may see, by name: what the filters offer."""
    with db.reading() as session:
        rows = session.execute(_rows(_chosen(who, None, None))).all()
    named = _labels([(row[0], row.email) for row in rows])
    found = [(row[0].id, named[row[0].id], str(row.category)) for row in rows]
    return sorted(found, key=lambda choice: (choice[1].lower(), choice[0]))


def _chosen(who: Principal, category: str | None, connection: str | None) -> list[ColumnElement[bool]]:
    chosen = [access.visible(who), col(Connection.deleted_at).is_(None)]
    if category:
        entries = select(col(CatalogEntry.id)).where(col(CatalogEntry.category) == category)
        chosen.append(col(Connection.integration_id).in_(entries))
    if connection:
        chosen.append(col(Connection.id) == connection)
    return chosen


def _rows(chosen: list[ColumnElement[bool]]) -> Query:
    entry = CatalogEntry
    return (
        select(Connection, col(User.email), col(entry.name).label("vendor"), col(entry.category))
        .join(entry, col(entry.id) == col(Connection.integration_id))
        .join(User, col(User.id) == col(Connection.user_id))
        .where(*chosen)
    )


def _strips(
    session: Session, chosen: list[ColumnElement[bool]], ids: Query, now: datetime
) -> tuple[Strip, ...]:
    rows = session.execute(_rows(chosen)).all()
    queues, labels = _queues(session, ids), _labels([(row[0], row.email) for row in rows])
    strips = [
        _strip(connection, labels[connection.id], vendor, category, queues[connection.id], now)
        for connection, _, vendor, category in rows
    ]
    return tuple(sorted(strips, key=lambda strip: (strip.standing.rank, strip.name.lower())))


def _strip(
    connection: Connection, label: str, vendor: str, category: str, queue: Counter[str], now: datetime
) -> Strip:
    waiting, retrying = queue.total(), queue[State.RETRYING] + queue[State.IN_DOUBT]
    return Strip(
        connection_id=connection.id,
        name=label,
        vendor=vendor,
        category=category,
        standing=standing(connection, waiting=waiting, retrying=retrying, now=now),
        last_sync=connection.last_sync,
        waiting=waiting,
        blocks=tuple(_block(*run) for run in connection.recent),
    )


def _block(at: float, status: str, records: int) -> Block:
    return Block(datetime.fromtimestamp(at, UTC), status, records)


def _labels(owned: list[tuple[Connection, str]]) -> dict[str, str]:
    """A name is unique per owner only; an admin sees two of them with their owners."""
    times = Counter(connection.name for connection, _ in owned)
    return {
        connection.id: connection.name if times[connection.name] == 1 else f"{connection.name} ({email})"
        for connection, email in owned
    }


def _queues(session: Session, ids: Query) -> dict[str, Counter[str]]:
    # The states are written into the statement, so that the partial index of what is due is used.
    due: Any = bindparam("due", [str(state) for state in WAITING], expanding=True, literal_execute=True)
    query = (
        select(col(Delivery.webhook_id), col(Delivery.state), func.count())
        .where(col(Delivery.state).in_(due), col(Delivery.webhook_id).in_(ids))
        .group_by(col(Delivery.webhook_id), col(Delivery.state))
    )
    queues: dict[str, Counter[str]] = defaultdict(Counter)
    for connection_id, state, count in session.execute(query):
        queues[connection_id][state] = count
    return queues


def _timeline(session: Session, ids: Query, span: Span, names: dict[str, str]) -> tuple[Trouble, ...]:
    table = HourlyFigures
    wrong = or_(col(table.runs_failed) > 0, col(table.dead) > 0, col(table.retried) > 0)
    wanted = (table.connection_id, table.hour, table.runs_failed, table.dead, table.retried)
    query: Query = select(*map(col, wanted)).where(
        col(table.hour) >= span.start, col(table.connection_id).in_(ids), wrong
    )
    found: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    for connection_id, hour, *counts in session.execute(query):
        bucket = min(span.bucket_of(hour), span.buckets - 1)
        sums = found[bucket, connection_id]
        sums[:] = [before + more for before, more in zip(sums, counts, strict=True)]
    return tuple(
        Trouble(span.time_of(bucket), connection_id, names[connection_id], *sums)
        for (bucket, connection_id), sums in sorted(found.items())
    )


def _attention(count: int, timeline: tuple[Trouble, ...], span: Span) -> Figure:
    failed = Counter(trouble.at for trouble in timeline if trouble.failed_runs)
    series = tuple(float(failed[span.time_of(bucket)]) for bucket in range(span.buckets))
    return Figure(float(count), None, series)


def _heartbeat_age_s(session: Session, now: datetime) -> float | None:
    beat = session.get(Heartbeat, SCHEDULER)
    return (now - beat.beat_at).total_seconds() if beat else None
