"""What is wrong with the hub itself, not with a connection: its disk, its key ring, its database.

One answer for the pages, the API, `/readyz` and the terminal.
"""

from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from core import db, opening, space
from core.models import Heartbeat

DISK, KEY, SCHEDULER = "disk", "key", "scheduler"
_TITLES = {
    DISK: "The disk is nearly full: nothing is taken in or sent",
    KEY: "A key is missing: connections are locked",
    SCHEDULER: "The scheduler cannot work",
}


@dataclass(frozen=True)
class Trouble:
    what: str  # disk | key | scheduler
    sentence: str

    @property
    def title(self) -> str:
        return _TITLES[self.what]


def standing() -> tuple[Trouble, ...]:
    """What is wrong right now, the worst first; nothing when all is well. Raises Unusable."""
    with db.reading() as session:
        keys = [Trouble(KEY, lock.sentence) for lock in opening.locks(session)]
        said = _said_by_scheduler(session)
    return (*_disk(), *keys, *(Trouble(SCHEDULER, sentence) for sentence in said))


def _disk() -> list[Trouble]:
    found = space.lacking()
    return [Trouble(DISK, found.sentence)] if found else []


def _said_by_scheduler(session: Session) -> list[str]:
    """What only it can know: the disk and the keys are looked at here."""
    beat = session.get(Heartbeat, "scheduler")
    told: Any = beat.details.get("trouble") if beat else None
    return [str(told[what]) for what in ("run", "database") if what in told] if isinstance(told, dict) else []
