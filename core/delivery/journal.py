"""What happened: runs, and the hourly figures that the pages read.

Everything here takes a session and leaves the commit to the caller.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import bindparam, delete, insert, literal_column, select, update
from sqlmodel import Session, col

from core.delivery.histogram import BOUNDS_MS, BOUNDS_S, add_to_histogram, added
from core.storage import db
from core.storage.models import HourlyFigures, RunLog, RunStatus

RECENT_RUNS = 60  # blocks in a heartbeat strip


@dataclass
class Tally:
    """What one run adds to the figures of its hour."""

    runs_ok: int = 0
    runs_partial: int = 0
    runs_failed: int = 0
    runs_blocked: int = 0
    delivered: int = 0
    dead: int = 0
    retried: int = 0
    in_doubt: int = 0
    calls: int = 0
    bytes_out: int = 0
    call_ms: list[float] = field(default_factory=list)
    delay_s: list[float] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))


#: the columns of the hourly figures that are added up
SUMS = (
    "runs_ok",
    "runs_partial",
    "runs_failed",
    "runs_blocked",
    "delivered",
    "dead",
    "retried",
    "in_doubt",
    "calls",
    "bytes_out",
)


def begin(session: Session, connection_id: str, run_id: str, action: str, now: datetime) -> None:
    """Open a run's log row; called in the transaction that found the run's first work."""
    row = {"user_integration_id": connection_id, "run_id": run_id, "sync_type": action}
    session.execute(
        insert(RunLog).values(**row, status=RunStatus.RUNNING, records_synced=0, meta={}, created_at=now)
    )


def finish(
    session: Session,
    run_id: str,
    *,
    status: RunStatus,
    count: int,
    error: str | None,
    metadata: Mapping[str, Any],
    now: datetime,
) -> None:
    """Close a run's log row; a run that was already called interrupted keeps what it did."""
    session.execute(
        update(RunLog)
        .where(RunLog.run_id == run_id)  # type: ignore[arg-type]
        .values(
            status=status, records_synced=count, error_message=error, meta=dict(metadata), finished_at=now
        )
    )


def interrupt(
    session: Session, run_id: str, now: datetime, reason: str = "The worker stopped during the run."
) -> None:
    """Mark a run as interrupted: its lease was taken over, or the hub had to stop it."""
    session.execute(
        update(RunLog)
        .where(RunLog.run_id == run_id, RunLog.status == RunStatus.RUNNING)  # type: ignore[arg-type]
        .values(status=RunStatus.INTERRUPTED, finished_at=now, error_message=reason)
    )


def count(session: Session, connection_id: str, tally: Tally, now: datetime) -> None:
    """Add `tally` to the connection's hour. The row stays locked until commit, so nothing is lost."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    here = {"connection_id": connection_id, "hour": hour}
    values = {name: getattr(tally, name) for name in SUMS}
    connection = session.connection()
    row = connection.execute(
        _adding(connection.dialect.name), {**here, "call_ms": [], "delay_s": [], **values}
    ).one()
    if tally.call_ms or tally.delay_s:
        latencies = {
            "new_call_ms": add_to_histogram(row.call_ms, BOUNDS_MS, tally.call_ms),
            "new_delay_s": add_to_histogram(row.delay_s, BOUNDS_S, tally.delay_s),
        }
        connection.execute(_WITH_LATENCIES, {"whose": connection_id, "when": hour, **latencies})


@cache
def _adding(dialect: str) -> Any:
    """Made once: each claim and each run adds to the figures. Returns the latencies as they were."""
    table = HourlyFigures.__table__  # type: ignore[attr-defined]
    statement = db.insert_of(dialect, table)
    sums = {name: table.c[name] + statement.excluded[name] for name in SUMS}
    return statement.on_conflict_do_update(index_elements=["connection_id", "hour"], set_=sums).returning(
        table.c.call_ms, table.c.delay_s
    )


_WITH_LATENCIES = (
    update(HourlyFigures.__table__)  # type: ignore[attr-defined]
    .where(
        col(HourlyFigures.connection_id) == bindparam("whose"), col(HourlyFigures.hour) == bindparam("when")
    )
    .values(call_ms=bindparam("new_call_ms"), delay_s=bindparam("new_delay_s"))
)


def fold(session: Session, connection_id: str, day: datetime) -> int:
    """Make one row of the hours of the connection's day, which begins at `day`. Returns how many hours went.

    Sums and histograms stay exact, also when it is done by two at once: each hour is deleted once.
    """
    table, ends = HourlyFigures, day + timedelta(days=1)
    hours = session.execute(
        delete(table)
        .where(col(table.connection_id) == connection_id, literal_column("NOT is_day"))
        .where(col(table.hour) >= day, col(table.hour) < ends)
        .returning(*(getattr(table, name) for name in (*SUMS, "call_ms", "delay_s")))
        .execution_options(synchronize_session=False)
    ).all()
    if not hours:
        return 0
    values = {name: sum(getattr(hour, name) for hour in hours) for name in SUMS}
    statement = db.upsert(session, table).values(
        connection_id=connection_id, hour=day, is_day=True, call_ms=[], delay_s=[], **values
    )
    sums = {name: getattr(table, name) + statement.excluded[name] for name in SUMS}
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["connection_id", "hour"], set_=sums | {"is_day": True}
        )
    )
    here = (col(table.connection_id) == connection_id, col(table.hour) == day)
    folded = session.execute(select(col(table.call_ms), col(table.delay_s)).where(*here)).one()
    call_ms, delay_s = (added([row[place] for row in (folded, *(h[-2:] for h in hours))]) for place in (0, 1))
    session.execute(update(table).where(*here).values(call_ms=list(call_ms), delay_s=list(delay_s)))
    return len(hours)


def add_to_recent(recent: Sequence[Any], status: str, records: int, now: datetime) -> list[Any]:
    """Return the strip with one more run; the oldest falls off."""
    return [*recent, [int(now.timestamp()), status, records]][-RECENT_RUNS:]
