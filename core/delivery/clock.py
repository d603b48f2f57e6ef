"""A clock that was ahead for a moment: what it wrote is found, not believed, and put right.

Times are the database's (`core.storage.db.now`). When that clock is set back, what was written before stands in the
future: schedules, waits and leases would last as long as the clock was ahead. No right clock can have written
that a sync has ended later than now, that the next one is more than the longest interval away, or a lease of
twice its length. The newest of each is read at each look, by an index; only when one is too far ahead, all that was
touched meanwhile is put right: schedules and waits are due now, a lease ends one lease from now, so that a worker
that lives still keeps it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import case, func, literal, or_, select, update
from sqlmodel import Session, col

from core.delivery import heartbeat, outbox
from core.delivery.runs import LEASE_S
from core.integrations.options import MAX_EVERY_S
from core.storage import db, due_times
from core.storage.models import Connection

#: less is a sync that comes a minute late, and no news
NEWS_S = 60.0
CHUNK = 500
_LEASE, _LONGEST = timedelta(seconds=LEASE_S), timedelta(seconds=MAX_EVERY_S)
#: what has happened cannot have happened later than now
_PAST = ("last_sync", "last_success_at", "last_failure_at", "failing_since", "updated_at")

log = structlog.get_logger("hub.clock")


def put_right() -> int:
    """Make due what a clock that was ahead had put off; returns how many connections, 0 while all is well."""
    with db.reading() as session:
        now = db.now(session)
        ahead_s = _ahead_s(session, now)
        ids = _touched(session, now) if ahead_s > NEWS_S else []
    if ahead_s <= NEWS_S:
        return 0
    for start in range(0, len(ids), CHUNK):
        _forget(ids[start : start + CHUNK])
    _note(ahead_s, len(ids))
    log.warning("the clock was ahead; schedules are put right", ahead_s=round(ahead_s), connections=len(ids))
    return len(ids)


def _ahead_s(session: Session, now: datetime) -> float:
    """How far the clock was ahead, by the newest of what it wrote; 0 or less when nothing tells."""
    asked = (
        (select(func.max(col(Connection.last_sync))).where(due_times.wakes()), timedelta(0)),
        (select(func.max(col(Connection.next_wake_at))).where(due_times.wakes()), _LONGEST),
        (
            select(func.max(col(Connection.lease_until))).where(col(Connection.lease_until).is_not(None)),
            _LEASE,
        ),
        (outbox.longest_lease(), _LEASE),
    )
    newest = session.execute(select(*(each.scalar_subquery() for each, _ in asked))).one()
    ahead = [at - most - now for at, (_, most) in zip(newest, asked, strict=True) if at is not None]
    return max((each.total_seconds() for each in ahead), default=0.0)


def _touched(session: Session, now: datetime) -> Sequence[str]:
    """Connections with a time that no right clock can have written."""
    past = (col(getattr(Connection, name)) > now for name in _PAST)
    ahead = (col(Connection.next_wake_at) > now + _LONGEST, col(Connection.lease_until) > now + _LEASE)
    return session.execute(select(col(Connection.id)).where(or_(*past, *ahead))).scalars().all()


@db.unit
def _note(ahead_s: float, connections: int) -> None:
    with db.session() as session:
        now = db.now(session)
        outbox.shorten_leases(session, LEASE_S, now)
        heartbeat.note_clock(session, ahead_s, connections, now)


@db.unit
def _forget(ids: Sequence[str]) -> None:
    """As after a person who acts: all is due now. A vendor that asked for a pause is asked once more."""
    with db.session() as session:
        now = db.now(session)
        values: dict[str, Any] = {name: _at_most(col(getattr(Connection, name)), now) for name in _PAST}
        session.execute(
            update(Connection)
            .where(col(Connection.id).in_(ids))
            .values(**values, lease_until=_at_most(col(Connection.lease_until), now + _LEASE))
            .values(next_sync_at=now, next_wake_at=now, next_call_at=None, wait_reason=None, rate_until=None)
            .values(lately=[], digest_at=None)
            .execution_options(synchronize_session=False)
        )
        outbox.put_right(session, ids, now)


def _at_most(column: Any, limit: datetime) -> Any:
    return case((column > limit, literal(limit, column.type)), else_=column)
