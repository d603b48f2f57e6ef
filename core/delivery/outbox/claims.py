"""Out of the queue: an attempt row before a byte leaves, and what becomes of attempts that nobody closed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, func, insert, literal_column, select, update
from sqlmodel import Session, col

from core.delivery.outbox import tickets
from core.delivery.outbox.attempts import keep_unknown
from core.delivery.outbox.queries import first_of, in_states, sent_by, waiting
from core.delivery.outbox.tickets import Search, TicketTarget
from core.delivery.outcome import Row
from core.storage import db
from core.storage.models import WAITING, Attempt, AttemptOutcome, Delivery, State

#: attempts in doubt after which a row goes alone: it may be what kills its worker
ALONE_AFTER = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """`target` is where its tickets are created, `searches` what comes before those that may exist, by row."""

    attempt_id: int
    connection_id: str
    rows: tuple[Row, ...]
    target: TicketTarget | None = None
    searches: Mapping[int, Search] = field(default_factory=dict)
    is_last: bool = False  # nothing else was due

    @property
    def place(self) -> str | None:
        return self.target.place if self.target else None


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
    target: TicketTarget | None = None,
    by_severity: bool = False,
) -> Claim | None:
    """Take the rows that are due first: an open attempt, and the rows pointing at it. None when nothing is due.

    The oldest, or of the most severe the oldest: then what comes behind is not read, and a backlog of any length
    lets pass what is worse with the next claim.
    With a `target` they are cases, and what may have a ticket there already is not created before it was looked
    for.
    """
    due = _due(session, connection_id, limit, now, by_severity)
    rows = _at_once(due, max_bytes)
    if not rows:
        return None
    is_last = len(due) < limit and len(rows) == len(due)
    rows, searches = _searched(session, connection_id, rows, target, now)
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
    taken = session.execute(
        update(Delivery)
        .where(col(Delivery.id).in_([row.id for row in rows]), in_states(WAITING))
        .values(state=State.SENDING, attempt_id=attempt_id, **_placed(rows, searches, target))
        .returning(col(Delivery.id))
        .execution_options(synchronize_session=False)
    )
    mine = set(taken.scalars())
    rows = tuple(row for row in rows if row.id in mine)
    return Claim(attempt_id, connection_id, rows, target, searches, is_last)


def _searched(
    session: Session, connection_id: str, rows: tuple[Row, ...], target: TicketTarget | None, now: datetime
) -> tuple[tuple[Row, ...], dict[int, Search]]:
    """Claims for one place follow one another: of two that have the same case, the second one sees the first."""
    if target is None:
        return rows, {}
    db.take_turns(session, target.place)
    planned = tickets.searches(session, connection_id, rows, target, now)
    return tuple(row for row, _ in planned), {row.id: search for row, search in planned if search}


def _placed(
    rows: Sequence[Row], searches: Mapping[int, Search], target: TicketTarget | None
) -> dict[str, Any]:
    """From now on it may be there; a row that is only looked for in this claim stays where it was."""
    if target is None:
        return {}
    certain = Search()
    ids = [row.id for row in rows if searches.get(row.id, certain).may_create]
    return {"place": case((col(Delivery.id).in_(ids), target.place), else_=col(Delivery.place))}


def _due(
    session: Session,
    connection_id: str,
    limit: int,
    now: datetime,
    by_severity: bool,
) -> list[Row]:
    columns = [col(getattr(Delivery, name)) for name in Row.__dataclass_fields__]
    query = (
        select(*columns)
        .where(
            waiting(connection_id), col(Delivery.next_attempt_at) <= now, col(Delivery.payload).is_not(None)
        )
        .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
        .with_for_update(skip_locked=True)  # a row that somebody else is changing is not due for this claim
    )
    return [Row(*row) for row in first_of(session, query, limit, by_severity=by_severity)]


def _at_once(rows: Sequence[Row], max_bytes: int | None) -> tuple[Row, ...]:
    """Those of them that go out in one call."""
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
    found = select(col(Attempt.id), col(Attempt.connection_id)).where(_late(now, worker))
    return [(attempt_id, owner) for attempt_id, owner in session.execute(found) if attempt_id is not None]


def longest_lease() -> Select[Any]:
    """For a larger statement: until when the last of the open attempts has its lease. By the partial index."""
    return select(func.max(col(Attempt.lease_until))).where(
        literal_column(f"outcome = '{AttemptOutcome.OPEN}'")
    )


def shorten_leases(session: Session, lease_s: float, now: datetime) -> None:
    """No attempt keeps a lease that only a clock that was ahead can have given."""
    until = now + timedelta(seconds=lease_s)
    session.execute(
        update(Attempt)
        .where(literal_column(f"outcome = '{AttemptOutcome.OPEN}'"), col(Attempt.lease_until) > until)
        .values(lease_until=until)
        .execution_options(synchronize_session=False)
    )


def _late(now: datetime, worker: str | None) -> ColumnElement[bool]:
    late = col(Attempt.lease_until) < now if worker is None else col(Attempt.worker) == worker
    return and_(col(Attempt.outcome) == AttemptOutcome.OPEN, late)


def reap(
    session: Session,
    attempt_id: int,
    wait_s: Callable[[int], float | None],
    now: datetime,
    worker: str | None = None,
    *,
    one_by_one: bool = False,
) -> int:
    """Close an attempt as unknown, unless it was renewed or closed meanwhile; its rows become in doubt.

    Returns the rows. `one_by_one`: each was a message of its own, and has its attempts listed.

    `wait_s` says after how many attempts when they are looked at, or None: a record that kills each worker that
    sends it must come to an end, too.
    """
    closed = session.execute(
        update(Attempt)
        .where(col(Attempt.id) == attempt_id, _late(now, worker))
        .values(outcome=AttemptOutcome.UNKNOWN, closed_at=now)
    )
    if not db.affected(closed):
        return 0
    if one_by_one:
        keep_unknown(session, attempt_id, now)
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
