"""The newest runs out of a log of any length: the hourly figures say where in it they are."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import Session, col

from core.health.figures import Query, Span
from core.models import HourlyFigures, RunLog, RunStatus

LIST_ROWS = 20
#: hours of connections that are looked through; each has at least one of the runs
MOST_HOURS = 60


@dataclass(frozen=True)
class Run:
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
) -> tuple[Run, ...]:
    """The newest runs of these states, at most LIST_ROWS."""
    windows = _windows(session, ids, span, failed_only=RunStatus.SUCCESS not in statuses)
    if not windows:
        return ()
    query = (
        select(RunLog)
        .where(or_(*windows), col(RunLog.status).in_([str(status) for status in statuses]))
        .order_by(col(RunLog.created_at).desc(), col(RunLog.id).desc())
        .limit(LIST_ROWS)
    )
    return tuple(_run(row, names) for row in session.scalars(query))


def _windows(session: Session, ids: Query, span: Span, *, failed_only: bool) -> list[ColumnElement[bool]]:
    table, log = HourlyFigures, RunLog
    runs = col(table.runs_failed) + col(table.runs_partial)
    if not failed_only:
        runs = runs + col(table.runs_ok)
    query = (
        select(col(table.connection_id), col(table.hour))
        .where(col(table.hour) >= span.start, col(table.connection_id).in_(ids), runs > 0)
        .order_by(col(table.hour).desc(), col(table.connection_id))
        .limit(MOST_HOURS)
    )
    hour_long = timedelta(hours=1)  # a run is counted in the hour it ended, and is logged when it begins
    return [
        and_(
            col(log.user_integration_id) == connection_id,
            col(log.created_at) >= hour - hour_long,
            col(log.created_at) < hour + hour_long,
        )
        for connection_id, hour in session.execute(query)
    ]


def _run(row: RunLog, names: dict[str, str]) -> Run:
    assert row.id is not None
    return Run(
        id=row.id,
        connection_id=row.user_integration_id,
        name=names[row.user_integration_id],
        started_at=row.created_at,
        finished_at=row.finished_at,
        status=row.status,
        sync_type=row.sync_type,
        records=row.records_synced,
        error=row.error_message,
    )
