"""New records into the outbox of one connection: select, map, queue, move the cursor. One transaction."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from time import monotonic

from sqlmodel import Session

from core.access import rights
from core.delivery import journal, outbox, runs
from core.delivery.journal import Tally
from core.delivery.outbox import New
from core.delivery.profile import Profile
from core.delivery.runs import Run
from core.delivery.selection import Selection, select_new
from core.integrations import options
from core.integrations.limits import HELD, HOLD_ABOVE
from core.storage import db, disk
from core.storage.models import Category, Connection

#: what a connection that drains exports in one transaction, at least
TOGETHER = 500


@db.unit
def export(begun: Run) -> None:
    """Walk the changes since the cursor, map what is wanted, queue it: one transaction. Raises Full, LeaseLost."""
    disk.require()
    with db.session() as session:
        connection, found = _selected(session, begun)
        now = db.now(session)
        connection.export_cursor, connection.ahead = found.cursor, found.ahead
        begun.more, begun.seen, begun.looked_at = found.more, found.head, monotonic()
        if connection.drain_to is not None and found.cursor >= connection.drain_to:
            connection.drain_to = None
        begun.drain_to = connection.drain_to
        held = _held(session, begun, connection, len(found.rows) + len(found.back))
        queued = outbox.put(
            session,
            connection_id=connection.id,
            user_id=connection.user_id,
            siem=begun.manifest.category is Category.SIEM,
            rows=found.rows,
            now=now,
            held=held,
        )
        outbox.unskip_rows(session, found.back, now, held)
        outbox.regrade(session, found.regraded)
        _count(session, begun, list(queued.values()), len(found.back), held, now)
        session.add(connection)


def _selected(session: Session, begun: Run) -> tuple[Connection, Selection]:
    """What is to be queued, and the connection, locked, by which it was judged.

    Looking comes before locking, so that nobody waits for it; what was edited meanwhile is judged once more.
    """
    connection = session.get_one(Connection, begun.connection.id)
    while True:
        begun.options = options.parse(connection.options, begun.manifest.category)
        found, judged_by = _select(session, begun, connection), _basis(connection)
        connection = runs.hold(session, begun)
        if _basis(connection) == judged_by:
            return connection, found


def _select(session: Session, begun: Run, connection: Connection) -> Selection:
    if not connection.is_active or rights.lacks(session, [connection.id]):  # since the run began
        return Selection([], [], connection.export_cursor, connection.ahead, 0, False)
    return select_new(session, Profile.of(connection, begun.manifest, begun.options), begun.room(TOGETHER))


def _basis(connection: Connection) -> tuple[object, ...]:
    at = connection.export_cursor, connection.ahead
    return connection.is_active, at, connection.options, connection.config


def _count(
    session: Session, begun: Run, queued: Sequence[New], back: int, held: str | None, now: datetime
) -> None:
    dead = sum(row.payload is None for row in queued)
    if dead:
        journal.count(session, begun.connection.id, Tally(dead=dead), now)
    if queued or back:
        runs.open_log(session, begun, now)
    waiting = len(queued) - dead + back
    db.afterwards(session, partial(begun.add, len(queued) + back, waiting if held else 0, dead))


def _held(session: Session, begun: Run, connection: Connection, number: int) -> str | None:
    """Why these cases wait for a person; None when they go out.

    A run that was killed goes on with the next one: what it held was put in after the last run that ended.
    """
    if begun.manifest.category is not Category.TICKETING or not number:
        return None
    many = begun.exported + number > HOLD_ABOVE
    if not many and not outbox.has_held(session, connection.id, connection.last_sync):
        return None
    return HELD
