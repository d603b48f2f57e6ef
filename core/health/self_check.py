"""What is wrong with the hub itself, not with a connection: disk, keys, database, workers, source, clock.

One answer for the pages, the API, `/readyz` and the terminal.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import Session

from core.delivery import heartbeat, workers
from core.health import duration
from core.integrations import credentials
from core.records import source
from core.storage import db, disk
from core.storage.models import Heartbeat

DISK, KEY, SCHEDULER, WORKERS = "disk", "key", "scheduler", "workers"
SOURCE, CLOCK = "source", "clock"
#: so long it is told that the clock was ahead
TOLD_FOR = timedelta(days=1)
_TITLES = {
    DISK: "The disk is nearly full: nothing is taken in or sent",
    KEY: "A key is missing: connections are locked",
    SCHEDULER: "The scheduler cannot work",
    WORKERS: "No worker runs: nothing is sent",
    SOURCE: "The FootprintIQ database is not read",
    CLOCK: "The clock was ahead",
}


@dataclass(frozen=True)
class Trouble:
    what: str  # disk | key | scheduler | workers | source | clock
    sentence: str

    @property
    def title(self) -> str:
        return _TITLES[self.what]


def standing() -> tuple[Trouble, ...]:
    """List what is wrong right now, the worst first; nothing when all is well. Raises Unusable."""
    with db.reading() as session:
        keys = [Trouble(KEY, lock.sentence) for lock in credentials.locks(session)]
        said = _said_by_scheduler(session)
        now = db.now(session)
        found, clock = workers.read(session, now), _clock(session, now)
    lacking = [Trouble(WORKERS, found.lack)] if found and found.lack else []
    return (
        *_disk(),
        *keys,
        *(Trouble(SCHEDULER, sentence) for sentence in said),
        *lacking,
        *_source(),
        *clock,
    )


def _disk() -> list[Trouble]:
    found = disk.lacking()
    return [Trouble(DISK, found.sentence)] if found else []


def _source() -> list[Trouble]:
    found = source.state()
    return [Trouble(SOURCE, found.sentence)] if found and found.error else []


def _said_by_scheduler(session: Session) -> list[str]:
    """What only it can know: the disk and the keys are looked at here."""
    beat = heartbeat.last(session)
    told: Any = beat.details.get("trouble") if beat else None
    return [str(told[what]) for what in ("run", "database") if what in told] if isinstance(told, dict) else []


def _clock(session: Session, now: datetime) -> list[Trouble]:
    """What `core.delivery.clock` has put right; nothing waits for it any more, but somebody should know why."""
    found = session.get(Heartbeat, heartbeat.CLOCK)
    if found is None or found.beat_at < now - TOLD_FOR:
        return []
    number = found.details["connections"]
    put_right = (
        "the schedule of 1 connection was" if number == 1 else f"the schedules of {number:,} connections were"
    )
    sentence = (
        f"The database's clock was ahead by {duration(found.details['ahead_s'])} until {found.beat_at:%d %b %H:%M} "
        f"UTC; {put_right} put right. See to it that the time of its machine is kept by NTP."
    )
    return [Trouble(CLOCK, sentence)]
