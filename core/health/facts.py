"""What the standing of connections rests on, read once for any door: queues, backlog, the scheduler."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select
from sqlmodel import Session

from core import integrations
from core.access import Principal, rights
from core.access.scope import may_read
from core.delivery import backlog, heartbeat, outbox
from core.delivery.backlog import Backlog
from core.delivery.heartbeat import Scheduler
from core.integrations import credentials
from core.storage.models import WAITING, Connection, State


@dataclass(frozen=True)
class Facts:
    """Of one connection. `waiting` deliveries are due or will be, `retrying` of them were tried at least once."""

    scheduler: Scheduler = heartbeat.RUNS
    waiting: int = 0
    retrying: int = 0  # failed once, or in doubt
    in_doubt: int = 0
    dead: int = 0
    held: int = 0  # wait for a person
    backlog: Backlog = backlog.NONE
    lack: str | None = None  # its key, its entry in the catalog or its owner's right is gone
    withheld: bool = False  # what the tool said is for its owner alone

    @property
    def unsent(self) -> Backlog:
        """What waits, and what was not yet taken."""
        return Backlog(self.waiting + self.backlog.number, self.backlog.more)


def read(
    session: Session,
    ids: Select[str] | Sequence[str],
    connections: Sequence[tuple[Connection, str]],
    now: datetime,
    who: Principal,
) -> dict[str, Facts]:
    """Read the facts of `connections`, each with its slug, by id, as `who` may know them; `ids` selects them."""
    queues: dict[str, Counter[str]] = defaultdict(Counter)
    for (connection_id, state), count in outbox.standing(session, ids).items():
        queues[connection_id][state] = count
    backlogs = backlog.read(session, ids, [connection for connection, _ in connections])
    scheduler, lacks = heartbeat.read(session, now), rights.lacks(session, ids)
    return {
        connection.id: _facts(
            queues[connection.id],
            scheduler,
            backlogs.get(connection.id, backlog.NONE),
            _lack(connection, slug) or lacks.get(connection.id),
            withheld=not may_read(who, connection.user_id),
        )
        for connection, slug in connections
    }


def _facts(
    queue: Counter[str], scheduler: Scheduler, behind: Backlog, lack: str | None, *, withheld: bool
) -> Facts:
    return Facts(
        scheduler,
        waiting=sum(queue[state] for state in WAITING),
        retrying=queue[State.RETRYING] + queue[State.IN_DOUBT],
        in_doubt=queue[State.IN_DOUBT],
        dead=queue[State.DEAD],
        held=queue[State.HELD],
        backlog=behind,
        lack=lack,
        withheld=withheld,
    )


def _lack(connection: Connection, slug: str) -> str | None:
    """A preset's file can be taken away or broken under its connections; they stay visible, and can be deleted."""
    if slug in integrations.manifests():
        return credentials.lock_of(connection)
    if slug in integrations.disabled():
        return f"{integrations.disabled()[slug]} Until then nothing is sent."
    return (
        f"data/catalog/{slug}.toml is gone, so nothing is sent. Put it back and restart the hub, or delete "
        "the connection."
    )
