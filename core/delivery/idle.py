"""Connections that are due and have nothing to do: found in one statement, moved on without a lease or a run.

A run costs four transactions, whether it finds something or not, and ten thousand connections of one minute are
167 runs a second. So what is idle never becomes a run: a due connection that nobody works on, none of whose
deliveries may be sent now, and of whose kind and scope nothing changed after its cursor.

Nothing is passed over by this. A connection is moved only from the time that was read, so a wake-up in between
stays; and one that is due already is not woken by a record that arrives, therefore connections in real time
are moved only while nobody stores, and only if nothing was stored since the look.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, or_, select, update
from sqlmodel import Session, col

from core import integrations, records
from core.access.rights import may_run
from core.delivery import journal, outbox, runs, schedule
from core.delivery.selection import newest_seen
from core.integrations import credentials, options
from core.platform.errors import Invalid
from core.storage import db, due_times
from core.storage.models import CatalogEntry, Connection, RunStatus

#: moved in one transaction, so that no writer waits long
CHUNK = 500
#: moved in one look, so that the scheduler's heartbeat and the runs that have work do not wait
MOST = 10 * CHUNK


class Passed(NamedTuple):
    number: int
    until: datetime  # whoever was due before this moment and is due still has work


def pass_by() -> Passed:
    """Move the due connections that have nothing to do to their next times."""
    number = 0
    while True:
        with db.reading() as session:
            now, head = db.now(session), records.head(session)
            found = _find(session, now)
        moved = _move(found, head) if found else 0
        number += moved
        if not moved or len(found) < CHUNK:
            return Passed(number, now)
        if number >= MOST:
            return Passed(number, found[-1].next_wake_at)


def _find(session: Session, now: datetime) -> Sequence[Any]:
    """The idle ones, longest waiting first."""
    due_at = outbox.earliest(col(Connection.id))
    columns = (Connection.id, Connection.next_wake_at, Connection.next_sync_at, Connection.next_call_at)
    return session.execute(
        select(*map(col, (*columns, Connection.options, Connection.recent)), due_at.label("due_at"))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(
            due_times.wakes(), col(Connection.next_wake_at) <= now, col(Connection.next_sync_at).is_not(None)
        )
        # a lease that ran out is a worker that died: its run must be ended by the next one
        .where(col(Connection.lease_until).is_(None), credentials.is_open(), may_run())
        .where(col(CatalogEntry.slug).in_(integrations.manifests()))
        .where(or_(col(Connection.next_call_at) > now, func.coalesce(due_at > now, True)))
        .where(func.coalesce(newest_seen(), 0) <= col(Connection.export_cursor))
        .order_by(col(Connection.next_wake_at))
        .limit(CHUNK)
    ).all()


@db.unit
def _move(found: Sequence[Any], head: int) -> int:
    """Those that are still as they were read; one transaction."""
    table = Connection.__table__  # type: ignore[attr-defined]
    with db.session() as session:
        realtime = any(row.options.get("realtime") for row in found)
        nothing_new = not realtime or records.hold(session) == head
        rows = [row for row in found if nothing_new or not row.options.get("realtime")]
        rows = [row for row in rows if _is_readable(row)]
        now = db.now(session)
        move = (
            update(table)
            .where(table.c.id == bindparam("row_id"), table.c.next_wake_at == bindparam("read_at"))
            .where(due_times.wakes(), table.c.lease_until.is_(None))
            .values(next_sync_at=bindparam("sync_at"), next_wake_at=bindparam("wake_at"))
            .values(last_sync=now, recent=bindparam("strip"))
        )
        return (
            db.affected(session.connection().execute(move, [_times(row, now) for row in rows])) if rows else 0
        )


def _is_readable(row: Any) -> bool:
    """One with an interval that cannot be read becomes a run, which fails by itself and says why."""
    try:
        options.every_s(row.options)
    except Invalid:
        return False
    return True


def _times(row: Any, now: datetime) -> dict[str, Any]:
    """When it is looked at next, as a run that found nothing would have it."""
    sync_at = row.next_sync_at
    status = RunStatus.BLOCKED if runs.is_blocked(row.next_call_at, row.due_at, now) else RunStatus.IDLE
    if sync_at <= now:
        sync_at = schedule.next_sync(sync_at, options.every_s(row.options), now)
    return {
        "row_id": row.id,
        "read_at": row.next_wake_at,
        "sync_at": sync_at,
        "wake_at": schedule.earliest(sync_at, row.due_at, row.next_call_at, now),
        "strip": journal.add_to_recent(row.recent, status, 0, now),
    }
