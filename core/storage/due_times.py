"""When a connection is due: what any room may say of it. The scheduler's own plans are in `delivery.schedule`.

`next_wake_at` is when the scheduler looks at a connection, `next_sync_at` when it exports new records.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, literal_column, or_, select, update
from sqlmodel import Session, SQLModel, col

from core.storage import db
from core.storage.models import Connection, Kind
from core.storage.models.words import KIND_OF

CONNECTIONS, CATALOG = (
    SQLModel.metadata.tables[name] for name in ("user_integrations", "integration_catalog")
)
#: queues runs of the connections that were made due at once, in the transaction that did so and holds their rows
Queue = Callable[[Session, Sequence[str]], None]
_queues: list[Queue] = []


def queue_by(queue: Queue) -> None:
    """Have connections queued by `queue` from now on, as soon as a record of theirs is stored."""
    _queues[:] = [queue]


def wake(connection: Connection, now: datetime) -> None:
    """Make the connection due now for what waits."""
    connection.next_wake_at = now


def sync_now(connection: Connection, now: datetime) -> None:
    """Make the connection due now for what waits and for new records."""
    connection.next_sync_at = connection.next_wake_at = now


def wake_all(session: Session, ids: Collection[str], now: datetime) -> None:
    """Make connections due now, also those that are due already: whoever passes by the idle ones must see that
    something was queued."""
    session.execute(update(Connection).where(col(Connection.id).in_(ids)).values(next_wake_at=now))


def wake_realtime(session: Session, kind: Kind, owners: Collection[str]) -> None:
    """Make realtime connections due that see records of `owners`, in the transaction that stores them."""
    if not owners:
        return
    now = db.now(session)
    table = CONNECTIONS.c
    categories = [category for category, taken in KIND_OF.items() if taken is kind]
    entries = select(CATALOG.c.id).where(CATALOG.c.category.in_(categories))
    due = (
        select(table.id)
        .where(table.is_active, table.deleted_at.is_(None), table.options["realtime"].as_boolean())
        .where(or_(table.scope == "all", table.user_id.in_(owners)), table.integration_id.in_(entries))
        .where(or_(table.next_wake_at.is_(None), table.next_wake_at > now))
        .order_by(table.id)  # whoever locks several connections takes them in this order
        .with_for_update(key_share=True)
    )
    free = or_(table.lease_until.is_(None), table.lease_until < now)
    woken = update(CONNECTIONS).where(table.id.in_(due)).values(next_wake_at=now).returning(table.id, free)
    ids = [id for id, is_free in session.connection().execute(woken) if is_free]
    for queue in _queues if ids else ():
        queue(session, sorted(ids))


def wakes() -> Any:
    """Where clause: connections that the scheduler looks at.

    Spelled as the indexes are: a Boolean is rendered as "… = 1" on SQLite, and then each look reads all of them.
    """
    return and_(literal_column("user_integrations.is_active"), col(Connection.deleted_at).is_(None))
