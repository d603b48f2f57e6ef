"""New records into the outbox of one connection: select, map, queue, move the cursor. One transaction."""

from sqlmodel import Session

from core import db, journal, outbox, runs, space
from core.journal import Tally
from core.models import Category, Connection
from core.runs import Run
from core.selection import select_new
from core.storm import HELD, HOLD_ABOVE

#: what a connection that drains exports in one transaction, at least
TOGETHER = 500


@db.unit
def export(begun: Run) -> None:
    """Walk the changes since the cursor, map what is wanted, queue it: one transaction. Raises Full."""
    space.require()
    with db.session() as session:
        now = db.now(session)
        connection = db.locked(session, Connection, begun.connection.id)
        found = select_new(session, connection, begun.manifest, begun.options, _most(begun))
        connection.export_cursor, begun.more = found.cursor, found.more
        held = _held(session, begun, connection, len(found.rows))
        queued = outbox.put(
            session,
            connection_id=connection.id,
            user_id=connection.user_id,
            siem=begun.manifest.category is Category.SIEM,
            rows=found.rows,
            now=now,
            held=held,
        )
        dead = sum(row.payload is None for row in found.rows)
        if dead:
            journal.count(session, connection.id, Tally(dead=dead), now)
        if queued:
            runs.open_log(session, begun, now)
        session.add(connection)
    begun.exported += queued
    begun.held += len(found.rows) - dead if held else 0
    begun.tally.dead += dead


def _most(begun: Run) -> int:
    """Who drains takes all there is anyway: as much of it at once as shows how much it is."""
    drains = begun.options.drain or begun.options.realtime
    return max(begun.options.batch_limit, TOGETHER) if drains else begun.options.batch_limit


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
