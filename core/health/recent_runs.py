"""The newest runs out of a log of any length: the hourly figures say where in it they are."""

from collections import defaultdict
from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import Session, col

from core.access.scope import WITHHELD
from core.health.figures import Span
from core.health.hourly import Query
from core.storage.models import HourlyFigures, RunLog, RunStatus

LIST_ROWS = 20
#: hours of connections that are looked through; each has at least one of the runs, a long run is in several
MOST_HOURS = 40
_HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class RecentRun:
    id: int
    connection_id: str
    name: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    sync_type: str
    records: int
    error: str | None


def newest(
    session: Session,
    ids: Query,
    span: Span,
    names: dict[str, str],
    statuses: tuple[RunStatus, ...],
    withheld: Set[str],
) -> tuple[RecentRun, ...]:
    """List the newest runs of these states, at most LIST_ROWS; what the tools of `withheld` said is not told."""
    windows = _windows(session, ids, span, failed_only=RunStatus.SUCCESS not in statuses)
    if not windows:
        return ()
    log = RunLog
    wanted = (
        log.id,
        log.user_integration_id,
        log.created_at,
        log.finished_at,
        log.status,
        log.sync_type,
        log.records_synced,
        log.error_message,
    )
    query: Query = (
        select(*map(col, wanted))
        .where(or_(*windows), col(log.status).in_([str(status) for status in statuses]))
        .order_by(col(log.created_at).desc(), col(log.id).desc())
        .limit(LIST_ROWS)
    )
    return tuple(_run(row, names, withheld) for row in session.execute(query))


def _run(row: Any, names: dict[str, str], withheld: Set[str]) -> RecentRun:
    connection_id: str = row[1]
    run = RecentRun(row[0], connection_id, names[connection_id], *row[2:])
    return replace(run, error=WITHHELD) if run.error and connection_id in withheld else run


def _windows(session: Session, ids: Query, span: Span, *, failed_only: bool) -> list[ColumnElement[bool]]:
    """Only hours with work are of use: 0.1.0 counted runs that found nothing to do, and they are in no log."""
    table, log = HourlyFigures, RunLog
    work = col(table.runs_failed) + col(table.runs_partial) + col(table.runs_blocked)
    if not failed_only:
        work = work + col(table.delivered) + col(table.dead) + col(table.retried) + col(table.in_doubt)
    query = (
        select(col(table.connection_id), col(table.hour))
        .where(col(table.hour) >= span.start, col(table.connection_id).in_(ids), work > 0)
        .order_by(col(table.hour).desc(), col(table.connection_id))
        .limit(MOST_HOURS)
    )
    by_hour: dict[datetime, list[str]] = defaultdict(list)
    for connection_id, hour in session.execute(query):
        by_hour[hour].append(connection_id)
    # A run is counted in the hour it ended, and is logged when it begins.
    return [
        and_(
            col(log.user_integration_id).in_(connections),
            col(log.created_at) >= hour - _HOUR,
            col(log.created_at) < hour + _HOUR,
        )
        for hour, connections in by_hour.items()
    ]
