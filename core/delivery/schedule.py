"""Which connections are due, and when each is due next."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select, true
from sqlmodel import Session, col

from core.access.rights import may_run
from core.delivery import outbox
from core.integrations import credentials
from core.storage import db, due_times
from core.storage.models import Connection, User

FEWEST_THREADS = 8  # of so many a share is left for others
#: a run that held its worker for longer was slow, and so, it is taken, is the connection's next one
SLOW_S = 2.0
FAILING_SHARE = 0.25  # of the threads, at most, wait for vendors that do not answer
SLOW_SHARE = 0.5  # … and for vendors that take their time: a quarter is always there for the quick ones
OWNER_SHARE = (
    0.75  # … and for the connections of one person: their new ones may all be slow, and nobody knows yet
)
SLICE_S = 10.0  # of a run while others wait for a thread; then it is due again, behind them


class Due(NamedTuple):
    id: str
    since: datetime
    is_failing: bool
    is_slow: bool
    owner_id: str


def due(
    room: int,
    failing_room: int | None = None,
    slow_room: int | None = None,
    until: datetime | None = None,
    held: Collection[str] = (),
    shares: "Shares | None" = None,
) -> list[Due]:
    """Find at most `room` connections whose time has come (by `until`) and that nobody works on, longest waiting first;
    none of those that are `held`.

    Those that fail come first, but never more than `failing_room`: a dead vendor answers nothing for 20 s, and
    the threads of the others are not spent on waiting for it. Of those whose last run was slow there are never
    more than `slow_room`, for the same reason; nor of one person's more than their share.
    """
    with db.reading() as session:
        now = until or db.now(session)
        not_held = col(Connection.id).not_in(held) if held else true()
        failing = _longest(session, now, fails() & not_held, _share(room, failing_room))
        room -= len(failing)
        slow = _longest(session, now, ~fails() & is_slow() & not_held, _share(room, slow_room))
        quick = _fair(session, now, ~fails() & ~is_slow() & not_held, room, shares)
        return [*failing, *sorted([*slow, *quick], key=lambda each: each.since)[:room]]


def someone_waits(running: Collection[str], until: datetime) -> bool:
    """Tell whether a connection is due (by `until`) that nobody works on, besides those that are about to run."""
    with db.reading() as session:
        others = _due(until).where(col(Connection.id).not_in(running)).limit(1)
        return session.execute(others).first() is not None


def seconds_to_next() -> float | None:
    """Compute the seconds until the next connection is due; None when none ever is."""
    with db.reading() as session:
        now = db.now(session)
        later = select(func.min(col(Connection.next_wake_at))).where(
            due_times.wakes(), col(Connection.next_wake_at) > now
        )
        earliest = session.execute(later).scalar_one()
        return (earliest - now).total_seconds() if earliest else None


def lag_s(session: Session, now: datetime) -> float:
    """Compute for how many seconds the connection that waits the longest has been due; 0.0 where none is."""
    since = session.execute(_due(now).order_by(col(Connection.next_wake_at)).limit(1)).first()
    return (now - since.next_wake_at).total_seconds() if since else 0.0


def fails() -> Any:
    """Where clause: connections whose last run failed."""
    return col(Connection.failures) > 0


def is_slow() -> Any:
    """Where clause: connections whose last run held its thread for long."""
    return col(Connection.held_s) > SLOW_S


def free(now: datetime) -> Any:
    """Where clause: connections that nobody works on."""
    return or_(col(Connection.lease_until).is_(None), col(Connection.lease_until) < now)


def _share(room: int, most: int | None) -> int:
    return room if most is None else max(0, min(room, most))


def _longest(session: Session, now: datetime, which: Any, room: int) -> list[Due]:
    """Those that wait the longest."""
    found = _due(now).where(which).order_by(col(Connection.next_wake_at)).limit(room)
    return [
        Due(id, since, failures > 0, held_s > SLOW_S, owner)
        for id, since, failures, held_s, owner in session.execute(found)
    ]


def _fair(session: Session, now: datetime, which: Any, room: int, shares: "Shares | None") -> list[Due]:
    """Those that wait the longest, of each person as many as they may have."""
    if shares is None:
        return _longest(session, now, which, room)
    found: dict[str, Due] = {}
    busy = Counter(shares.busy)
    while len(found) < room:
        full = [owner for owner, number in busy.items() if number >= shares.most]
        others = which & col(Connection.user_id).not_in(full) & col(Connection.id).not_in(list(found))
        more = _longest(session, now, others, room - len(found))
        if not more:
            break
        for each in more:
            if busy[each.owner_id] < shares.most:
                busy[each.owner_id] += 1
                found[each.id] = each
    return list(found.values())


class Shares(NamedTuple):
    """How many connections of one person may run at once, and how many do."""

    most: int
    busy: Mapping[str, int]


def shares(session: Session, threads: int, running: Collection[str]) -> Shares | None:
    """Divide so many threads between people; None where there is one person alone, or too few to divide."""
    people = select(func.count()).select_from(User).where(col(User.disabled_at).is_(None))
    if threads < FEWEST_THREADS or session.execute(people).scalar_one() < 2:
        return None
    number = func.count().label("number")
    mine = select(col(Connection.user_id), number).where(col(Connection.id).in_(running))
    busy = {row.user_id: row.number for row in session.execute(mine.group_by(col(Connection.user_id)))}
    return Shares(ceil(threads * OWNER_SHARE), busy)


def _due(now: datetime) -> Any:
    columns = (
        *(Connection.id, Connection.next_wake_at, Connection.failures, Connection.held_s),
        Connection.user_id,
    )
    return select(*map(col, columns)).where(
        due_times.wakes(), col(Connection.next_wake_at) <= now, free(now), credentials.is_open(), may_run()
    )


# --- the next time --------------------------------------------------------------------------------


def next_sync(previous: datetime | None, every_s: int, now: datetime) -> datetime:
    """Compute the next time on the connection's own grid; runs missed while asleep are one run, not many."""
    if previous is None:
        return now + timedelta(seconds=every_s)
    missed = max(0, int((now - previous).total_seconds() // every_s))
    return previous + timedelta(seconds=every_s * (missed + 1))


def next_wake(session: Session, connection: Connection, now: datetime) -> datetime:
    """Compute when a connection is due: the earliest of next sync, next retry, next probe, next look-up."""
    assert connection.next_sync_at is not None
    due = outbox.next_due_at(session, connection.id)
    return earliest(connection.next_sync_at, due, connection.next_call_at, now)


def earliest(
    next_sync_at: datetime, due_at: datetime | None, next_call_at: datetime | None, now: datetime
) -> datetime:
    """The next sync, or before it what waits, as soon as the vendor may be called."""
    return next_sync_at if due_at is None else min(next_sync_at, max(due_at, next_call_at or now))


def asked_for(connection: Connection) -> datetime | None:
    """Return the time at which somebody wanted the connection to be due while a run held it; None when nobody did."""
    asked, until = connection.next_wake_at, connection.lease_until
    return asked if asked and until and asked < until else None


def first_of(*times: datetime | None) -> datetime | None:
    return min((moment for moment in times if moment is not None), default=None)
