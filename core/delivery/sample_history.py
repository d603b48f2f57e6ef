"""A demo's past, so that its pages have something to say in the first minute: a week that never was.

Figures, runs and strips alone; records and deliveries of a demo are real ones.
"""

import random
import uuid
from datetime import datetime, timedelta

from sqlmodel import Session

from core.delivery import journal
from core.delivery.journal import Tally
from core.storage import db
from core.storage.models import Connection, RunStatus

HOURS = 7 * 24
RUNS_AN_HOUR = 12
#: hours back in which a tool was away, and in which it refused a record or two
AWAY, REFUSED = range(30, 33), (7, 55, 101)


@db.unit
def back_date(connection_id: str, seed: int) -> None:
    """Give a connection that was just made a week of figures, and the last runs of it."""
    dice = random.Random(seed)
    with db.session() as session:
        now = db.now(session)
        for back in range(HOURS, 0, -1):
            at = now - timedelta(hours=back)
            journal.count(session, connection_id, _tally(back, at, dice), at)
        _runs(session, connection_id, now, dice)


def _tally(back: int, at: datetime, dice: random.Random) -> Tally:
    if back in AWAY:
        return Tally(runs_failed=2, runs_blocked=RUNS_AN_HOUR - 2, retried=2, calls=2)
    by_day = 3 if 7 <= at.hour <= 19 else 1
    delivered, dead = dice.randrange(4, 16) * by_day, 1 if back in REFUSED else 0
    delays = [dice.uniform(0.4, 40) for _ in range(delivered)]
    return Tally(
        runs_ok=RUNS_AN_HOUR - dead,
        runs_partial=dead,
        delivered=delivered,
        dead=dead,
        calls=delivered,
        bytes_out=delivered * 1_400,
        call_ms=[dice.uniform(40, 400) for _ in range(delivered)],
        delay_s=delays,
    )


def _runs(session: Session, connection_id: str, now: datetime, dice: random.Random) -> None:
    """The strip, and the same runs in the log."""
    connection = session.get_one(Connection, connection_id)
    for back in range(journal.RECENT_RUNS, 0, -1):
        at, records = now - timedelta(minutes=5 * back), dice.randrange(1, 9)
        status = RunStatus.PARTIAL if back == 41 else RunStatus.SUCCESS
        connection.recent = journal.add_to_recent(connection.recent, status, records, at)
        _run(session, connection_id, at, status, records)
    session.add(connection)


def _run(session: Session, connection_id: str, at: datetime, status: RunStatus, records: int) -> None:
    run_id = str(uuid.uuid4())
    journal.begin(session, connection_id, run_id, "scheduled", at)
    journal.finish(
        session,
        run_id,
        status=status,
        count=records,
        error=None,
        metadata={"run_id": run_id, "delivered": records},
        now=at + timedelta(seconds=1),
    )
