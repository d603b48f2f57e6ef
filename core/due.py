"""Whose time has come, and when the next one's does."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import func, or_, select
from sqlmodel import col

from core import db, opening
from core.models import Connection


class Due(NamedTuple):
    id: str
    is_failing: bool


def due(room: int, failing_room: int | None = None) -> list[Due]:
    """At most `room` connections whose time has come and that nobody works on, longest waiting first.

    Those that fail come first, but never more than `failing_room`: a dead vendor answers nothing for 20 s, and
    the threads of the others are not spent on waiting for it.
    """
    with db.reading() as session:
        now = db.now(session)
        found = (
            select(col(Connection.id))
            .where(_wakes(), col(Connection.next_wake_at) <= now, _free(now), opening.is_open())
            .order_by(col(Connection.next_wake_at))
        )
        share = room if failing_room is None else max(0, min(room, failing_room))
        fails = found.where(col(Connection.failures) > 0).limit(share)
        failing = [Due(id, True) for id in session.execute(fails).scalars()]
        well = found.where(col(Connection.failures) == 0).limit(room - len(failing))
        return [*failing, *(Due(id, False) for id in session.execute(well).scalars())]


def seconds_to_next() -> float | None:
    """How long until a connection is due; None when none ever is."""
    with db.reading() as session:
        earliest = session.execute(
            select(func.min(col(Connection.next_wake_at))).where(_wakes())
        ).scalar_one()
        return (earliest - db.now(session)).total_seconds() if earliest else None


def _wakes() -> Any:
    return col(Connection.is_active) & col(Connection.deleted_at).is_(None)


def _free(now: datetime) -> Any:
    return or_(col(Connection.lease_until).is_(None), col(Connection.lease_until) < now)
