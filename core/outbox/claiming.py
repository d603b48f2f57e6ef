"""Out of the queue: an attempt row before a byte leaves, and what becomes of attempts that nobody closed."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import and_, insert, select, update
from sqlmodel import Session, col

from core import db
from core.models import Attempt, AttemptOutcome, Delivery, State
from core.outbox.looking import in_states, sent_by, waiting
from core.verdicts import Row

#: attempts in doubt after which a row goes alone: it may be what kills its worker
ALONE_AFTER = 5


@dataclass(frozen=True, slots=True)
class Claim:
    attempt_id: int
    connection_id: str
    rows: tuple[Row, ...]


def claim(
    session: Session,
    *,
    connection_id: str,
    run_id: str,
    worker: str,
    limit: int,
    max_bytes: int | None,
    lease_s: float,
    now: datetime,
) -> Claim | None:
    """Take the oldest due rows: an open attempt, and the rows pointing at it. None when nothing is due."""
    rows = _due(session, connection_id, limit, max_bytes, now)
    if not rows:
        return None
    attempt_id = session.execute(
        insert(Attempt)
        .values(
            connection_id=connection_id,
            run_id=run_id,
            worker=worker,
            started_at=now,
            lease_until=now + timedelta(seconds=lease_s),
            outcome=AttemptOutcome.OPEN,
            items=len(rows),
            delivery_id=rows[0].id if len(rows) == 1 else None,
            exchanges=[],
        )
        .returning(col(Attempt.id))
    ).scalar_one()
    assert attempt_id is not None
    ids = [row.id for row in rows]
    session.execute(
        update(Delivery).where(col(Delivery.id).in_(ids)).values(state=State.SENDING, attempt_id=attempt_id)
    )
    return Claim(attempt_id, connection_id, rows)


def _due(
    session: Session, connection_id: str, limit: int, max_bytes: int | None, now: datetime
) -> tuple[Row, ...]:
    columns = [col(getattr(Delivery, name)) for name in Row.__dataclass_fields__]
    found = session.execute(
        select(*columns)
        .where(waiting(connection_id), col(Delivery.next_attempt_at) <= now)
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
        .limit(limit)
    ).all()
    rows = [Row(*row) for row in found]
    if max_bytes is not None:
        rows = rows[: max(1, _fitting([len(row.payload) for row in rows], max_bytes))]
    return tuple(rows[: _together(rows)])


def _together(rows: Sequence[Row]) -> int:
    """How many go out in one call: a row that was in doubt so often takes no neighbour with it."""
    alone = (row.in_doubt_since is not None and row.attempt_count >= ALONE_AFTER for row in rows)
    return next((max(1, place) for place, suspect in enumerate(alone) if suspect), len(rows))


def _fitting(sizes: Iterable[int], max_bytes: int) -> int:
    """How many of `sizes` fit into `max_bytes` together."""
    return sum(total <= max_bytes for total in accumulate(sizes))


def renew(session: Session, attempt_id: int, lease_s: float, now: datetime) -> bool:
    """Keep an attempt before its next call. False when it was reaped meanwhile: send nothing more."""
    kept = session.execute(
        update(Attempt)
        .where(col(Attempt.id) == attempt_id, col(Attempt.outcome) == AttemptOutcome.OPEN)
        .values(lease_until=now + timedelta(seconds=lease_s))
    )
    return db.affected(kept) > 0


def expired(session: Session, now: datetime, worker: str | None = None) -> list[tuple[int, str]]:
    """(attempt id, connection id) of open attempts whose lease ran out; of all open ones of `worker`."""
    late = col(Attempt.lease_until) < now if worker is None else col(Attempt.worker) == worker
    found = select(col(Attempt.id), col(Attempt.connection_id)).where(
        col(Attempt.outcome) == AttemptOutcome.OPEN, late
    )
    return [(attempt_id, owner) for attempt_id, owner in session.execute(found) if attempt_id is not None]


def reap(session: Session, attempt_id: int, wait_s: Callable[[int], float | None], now: datetime) -> int:
    """Close an attempt as unknown; its rows become in doubt. Returns the rows.

    `wait_s` says after so many attempts when they are looked at, or None: a record that kills each worker that
    sends it must come to an end, too.
    """
    closed = session.execute(
        update(Attempt)
        .where(col(Attempt.id) == attempt_id, col(Attempt.outcome) == AttemptOutcome.OPEN)
        .values(outcome=AttemptOutcome.UNKNOWN, closed_at=now)
    )
    if not db.affected(closed):
        return 0
    mine = and_(sent_by(attempt_id), col(Delivery.attempt_id) == attempt_id, in_states((State.SENDING,)))
    counts = session.execute(select(col(Delivery.attempt_count)).where(mine).distinct()).scalars().all()
    return sum(
        db.affected(
            session.execute(
                update(Delivery)
                .where(mine, col(Delivery.attempt_count) == done)
                .values(_reaped(done + 1, wait_s(done + 1), now))
                .execution_options(synchronize_session=False)
            )
        )
        for done in counts
    )


def _reaped(attempts: int, wait_s: float | None, now: datetime) -> dict[str, Any]:
    """What becomes of rows whose worker stopped; it may have arrived in any case."""
    values: dict[str, Any] = {"attempt_count": attempts, "in_doubt_since": now, "look_ups": 0}
    if wait_s is None:
        reason = f"Given up after {attempts} attempts: the worker stopped each time or no answer came."
        return values | {
            "state": State.DEAD,
            "reason": f"{reason} It may have arrived.",
            "next_attempt_at": None,
        }
    reason = "The worker stopped while this was being sent; it may have arrived."
    next_at = now + timedelta(seconds=wait_s)
    return values | {"state": State.IN_DOUBT, "reason": reason, "next_attempt_at": next_at}
