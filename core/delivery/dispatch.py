"""One look of the workers: whose time has come is put in the work queue, the longest waiting first.

Any worker may look, each look is the same, and two at once do no harm: a connection is queued under its row's lock and
once at most. What runs is decided by its lease alone, as with the scheduler's own threads.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlmodel import Session, col

from core.delivery import clock, heartbeat, idle, schedule, workers
from core.storage import db
from core.storage.models import Connection

#: runs that wait in the queue at most: what the workers take until the next look, with room to spare
AHEAD = 500

#: puts a run of each of these connections in the queue, in the session's transaction
Queue = Callable[[Session, Sequence[str]], None]


def look(queue: Queue) -> int:
    """Say that there is a scheduler, pass by the idle, and queue who is due; how many. 0 while another one looks."""
    if not _leads():
        return 0
    passed = idle.pass_by()
    until = None if clock.put_right() else passed.until  # what a clock that was ahead had put off is due now
    with db.reading() as session:
        now = db.now(session)
        found = workers.read(session, now)
        waiting = workers.queued(session)
        failing, slow = workers.taken(session, waiting, now)
    threads = found.threads if found else 0
    due = schedule.due(
        AHEAD - len(waiting),
        max(1, int(threads * schedule.FAILING_SHARE)) - failing,
        max(1, int(threads * schedule.SLOW_SHARE)) - slow,
        until,
        waiting,
    )
    return _queue([each.id for each in due], queue) if due else 0


@db.unit
def _leads() -> bool:
    with db.session() as session:
        now = db.now(session)
        found = workers.read(session, now)
        details = {"running": found.running, "threads": found.threads} if found else {}
        return heartbeat.beat(session, workers.LEADER, details, now)


@db.unit
def _queue(ids: Sequence[str], queue: Queue) -> int:
    """Those that nobody took or woke meanwhile: who is locked is being queued by whoever woke it, or runs."""
    with db.session() as session:
        wanted = select(col(Connection.id)).where(col(Connection.id).in_(ids), schedule.free(db.now(session)))
        locked = wanted.order_by(col(Connection.id)).with_for_update(key_share=True, skip_locked=True)
        mine = set(session.execute(locked).scalars())
        queue(session, [id for id in ids if id in mine])
        return len(mine)
