"""The scheduler's sign of life: who beats, how old the last beat is, and what follows for whoever watches.

Everything here takes a session and leaves the commit to the caller.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import update
from sqlmodel import Session, col

from core.platform.durations import duration
from core.storage import db
from core.storage.models import Heartbeat

SCHEDULER = "scheduler"
#: under this name stands when the clock was found to have been ahead
CLOCK = "clock"
BEAT_S = 2.0
#: a beat that is older counts for nothing: its scheduler's place is taken, and pages say that nothing is sent. With a
#: look a second a killed one's place is taken within 10 s
OLD_AFTER_S = 8.0
#: in a beat's details: it is the last one, the scheduler was stopped in order
_ENDED = "ended"


@dataclass(frozen=True)
class Scheduler:
    """What is known of the scheduler. `age_s`: seconds since it was heard of; None: it never ran."""

    age_s: float | None
    is_stopped: bool = False  # in order; else a silent one was killed, hangs, or cannot reach the database

    @property
    def is_silent(self) -> bool:
        """Whether nothing is being sent."""
        return self.is_stopped or self.age_s is None or self.age_s > OLD_AFTER_S

    @property
    def sentence(self) -> str:
        """How it is, for every door; without the full stop."""
        if self.age_s is None:
            return "The scheduler has not run yet"
        age = duration(self.age_s)
        if self.is_stopped:
            return f"The scheduler was stopped {age} ago"
        return f"The scheduler has been silent for {age}" if self.is_silent else "The scheduler runs"


RUNS = Scheduler(0.0)


def beat(session: Session, owner: str, details: Mapping[str, Any], now: datetime) -> bool:
    """Say that `owner` is alive and schedules. False when another one's beat is not old: stand by then."""
    held = session.get(Heartbeat, SCHEDULER, with_for_update=True)
    if held is None:
        row = {"name": SCHEDULER, "owner": owner, "beat_at": now, "started_at": now, "details": dict(details)}
        statement = db.upsert(session, Heartbeat).values(**row).on_conflict_do_nothing()
        return session.execute(statement.returning(Heartbeat.name)).first() is not None
    # a beat of the future is not believed: the clock was ahead when it was written
    is_old = _ENDED in held.details or abs((now - held.beat_at).total_seconds()) > OLD_AFTER_S
    if held.owner != owner and not is_old:
        return False
    if held.owner != owner:
        held.owner, held.started_at = owner, now
    held.beat_at, held.details = now, dict(details)
    session.add(held)
    return True


def retire(session: Session, owner: str, now: datetime) -> None:
    """End as `owner`: another may take its place at once, and pages say when it was."""
    mine = (col(Heartbeat.name) == SCHEDULER, col(Heartbeat.owner) == owner)
    session.execute(update(Heartbeat).where(*mine).values(beat_at=now, details={_ENDED: True}))


def last(session: Session) -> Heartbeat | None:
    """Find the newest beat; None: no scheduler ever ran."""
    return session.get(Heartbeat, SCHEDULER)


def read(session: Session, now: datetime) -> Scheduler:
    """Read how the scheduler is."""
    found = last(session)
    if found is None:
        return Scheduler(None)
    return Scheduler((now - found.beat_at).total_seconds(), _ENDED in found.details)


def note_clock(session: Session, ahead_s: float, connections: int, now: datetime) -> None:
    """Keep for the pages that the clock was ahead until now, and how many schedules were put right."""
    details = {"ahead_s": ahead_s, "connections": connections}
    session.merge(Heartbeat(name=CLOCK, owner="hub", beat_at=now, started_at=now, details=details))
