"""The scheduler's sign of life: who beats, how old the last beat is, and when the scheduler counts as silent.

Everything here takes a session and leaves the commit to the caller.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlmodel import Session, col

from core.storage import db
from core.storage.models import Heartbeat

SCHEDULER = "scheduler"
#: under this name stands when the clock was found to have been ahead
CLOCK = "clock"
BEAT_S = 2.0
STALE_S = 10.0  # a scheduler that was silent for so long has its place taken
#: for whoever watches: by now another one that stands by would have beaten, so there is none
SILENT_AFTER_S = 15.0


def beat(session: Session, owner: str, details: Mapping[str, Any], now: datetime) -> bool:
    """Say that `owner` is alive and schedules. False when another beat within `STALE_S`: stand by then."""
    held = session.get(Heartbeat, SCHEDULER, with_for_update=True)
    if held is None:
        row = {"name": SCHEDULER, "owner": owner, "beat_at": now, "started_at": now, "details": dict(details)}
        statement = db.upsert(session, Heartbeat).values(**row).on_conflict_do_nothing()
        return session.execute(statement.returning(Heartbeat.name)).first() is not None
    # a beat of the future is not believed: the clock was ahead when it was written
    if held.owner != owner and abs((now - held.beat_at).total_seconds()) < STALE_S:
        return False
    if held.owner != owner:
        held.owner, held.started_at = owner, now
    held.beat_at, held.details = now, dict(details)
    session.add(held)
    return True


def retire(session: Session, owner: str) -> None:
    """End as `owner`: another may take its place at once."""
    session.execute(delete(Heartbeat).where(col(Heartbeat.name) == SCHEDULER, col(Heartbeat.owner) == owner))


def last(session: Session) -> Heartbeat | None:
    """Find the newest beat; None: no scheduler runs, or the one that ran has ended."""
    return session.get(Heartbeat, SCHEDULER)


def age(session: Session, now: datetime) -> float | None:
    """Count the seconds since the scheduler was heard of; None: never."""
    found = last(session)
    return (now - found.beat_at).total_seconds() if found else None


def is_silent(age_s: float | None) -> bool:
    """Say whether a beat of this age means that nothing is being sent."""
    return age_s is None or age_s > SILENT_AFTER_S


def note_clock(session: Session, ahead_s: float, connections: int, now: datetime) -> None:
    """Keep for the pages that the clock was ahead until now, and how many schedules were put right."""
    details = {"ahead_s": ahead_s, "connections": connections}
    session.merge(Heartbeat(name=CLOCK, owner="hub", beat_at=now, started_at=now, details=details))
