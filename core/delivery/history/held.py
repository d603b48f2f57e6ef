"""A person decides about what is held: release it to be sent, or discard it."""

from sqlmodel import Session

from core import integrations
from core.access import Principal
from core.access.audit import audit
from core.access.scope import row_to_change
from core.delivery import outbox
from core.delivery.history.lists import row_and_name
from core.platform.errors import Conflict
from core.storage import db, due_times
from core.storage.models import Connection


@db.unit
def release(who: Principal, ref: str, delivery_id: int | None = None) -> int:
    """Send what a connection holds, or one of it. Returns how many; Conflict when there is nothing held."""
    with db.session() as session:
        row, slug = _of(session, who, ref, delivery_id)
        now = db.now(session)
        place = integrations.place_of(integrations.get(slug), row.config)
        released = outbox.release(session, row.id, now, delivery_id, place)
        _require(released, row)
        due_times.wake(row, now)
        session.add(row)
        audit(session, who, "connection.release", row.id, name=row.name, records=released)
        return released


@db.unit
def discard(who: Principal, ref: str, delivery_id: int | None = None) -> int:
    """Do not send it. A discarded record is skipped: it can be replayed later."""
    with db.session() as session:
        row, _ = _of(session, who, ref, delivery_id)
        discarded = outbox.discard(session, row.id, f"Discarded by {who.email}.", delivery_id)
        _require(discarded, row)
        audit(session, who, "connection.discard", row.id, name=row.name, records=discarded)
        return discarded


def lost(number: int, vendor: str) -> str:
    """What a discard means, before somebody says yes: the same sentence on a page and at a terminal."""
    tickets = "1 ticket is" if number == 1 else f"{number:,} tickets are"
    cases = "Its case stays here, marked" if number == 1 else "Their cases stay here, marked"
    return f"{tickets} not created in {vendor}. {cases} as skipped; a replay of them takes that back."


def _of(session: Session, who: Principal, ref: str, delivery_id: int | None) -> tuple[Connection, str]:
    if delivery_id is not None:
        row_and_name(session, who, delivery_id)  # someone else's is as good as none
    return row_to_change(session, who, ref)


def _require(number: int, row: Connection) -> None:
    if not number:
        raise Conflict(f'Nothing is held for "{row.name}" any more. Look at its deliveries.')
