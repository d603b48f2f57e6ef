"""Once more: a person puts one delivery back in the queue, under the same key and as its record is now."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from core.access import Principal
from core.access.audit import audit
from core.access.principal import require_member
from core.delivery import outbox, refresh
from core.delivery.history.lists import row_and_name
from core.delivery.profile import Profile
from core.platform.errors import Conflict
from core.storage import db, due_times
from core.storage.models import Connection, Delivery, HubMessageKind, Kind, State

#: what decides how a delivery is mapped when it is sent once more
REPLAYED = (
    *(col(Delivery.id), col(Delivery.key), col(Delivery.record_id), col(Delivery.record_kind)),
    *(
        col(Delivery.payload).is_not(None).label("has_body"),
        col(Delivery.in_doubt_since),
        col(Delivery.place),
    ),
)


@db.unit
def replay_one(who: Principal, delivery_id: int, *, again: bool = False) -> str:
    """Put a dead or skipped delivery back; a delivered one only with `again`, a ticket never.

    Returns the sentence for the person. Raises NotFound, Forbidden, and Conflict where it cannot be replayed.
    """
    with db.session() as session:
        row, _ = row_and_name(session, who, delivery_id)
        require_member(who, "replay a delivery")
        before, now = row.state, db.now(session)
        connection = db.locked(session, Connection, row.webhook_id)
        _refuse(row, connection, again)
        asked = session.execute(select(*REPLAYED).where(col(Delivery.id) == delivery_id)).all()
        for reason in map_again(session, connection, asked).values():
            raise Conflict(reason)
        if not outbox.replay(session, delivery_id, again=again, now=now):
            raise Conflict("The delivery has just changed its state. Look at it again.")
        due_times.wake(connection, now)
        session.add(connection)
        audit(session, who, "delivery.replay", str(delivery_id), connection=connection.id, before=before)
    if not connection.is_active:
        return f'Queued. "{connection.name}" is paused: enable it to send the delivery.'
    return f'Queued; it is sent with the next run of "{connection.name}".'


def map_again(session: Session, connection: Connection, rows: Sequence[Any]) -> Mapping[int, str]:
    """Give `rows` (of REPLAYED) the bodies of their records as they are now; delivery id → why it has none.

    A person's replay is an answer to whether a record is wanted, so filters are not asked, except for whose it is.
    What may have arrived keeps the body it was sent with, and what the hub itself said has no record.
    """
    profile = Profile.saved(session, connection)
    foreign = refresh.foreign(session, profile, [row for row in rows if row.record_kind in set(Kind)])
    open_rows = [
        outbox.Waiting(row.id, row.key, row.record_id, row.has_body)
        for row in rows
        if row.record_kind in set(Kind)
        and row.id not in foreign
        and not (row.has_body and (row.in_doubt_since or row.place is not None))
    ]
    if not open_rows:
        return foreign
    found = refresh.of(session, profile, open_rows, anyway=True)
    outbox.remap(session, found.mapped)
    return found.dead | foreign


def _refuse(row: Delivery, connection: Connection, again: bool) -> None:
    if connection.deleted_at:
        raise Conflict("The connection was deleted; connect the tool again to send the record again.")
    if row.record_kind == HubMessageKind.DIGEST:
        raise Conflict("A digest is not sent twice: its records are replayed instead, one by one or all.")
    if row.payload is None and row.record_kind == HubMessageKind.NOTICE:
        raise Conflict("The text of this notice is not kept any more. Look at the connection itself.")
    if row.state == State.DELIVERED and row.record_kind == Kind.CASE:
        raise Conflict(
            "The case has its ticket already; a second one is never made. Change it in the tracker."
        )
    if row.state == State.DELIVERED and not again:
        raise Conflict("It was delivered. Sending it twice must be said: again=true.")
    if row.state not in (State.DEAD, State.SKIPPED, State.DELIVERED):
        raise Conflict(f"It is {row.state} and needs no replay: it is in the queue, or waits for a release.")
