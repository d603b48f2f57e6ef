"""After the database was put back from a backup: what it believes to wait may have been sent since.

What waits is in doubt from then on, and resolved as its tool resolves doubt: looked for, sent again under the
same key, or sent again and shown in yellow. So are the tickets that will be queued for records of before.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, and_, case, func, literal_column, or_, select, update
from sqlmodel import Session, col

from core.delivery.outbox.queries import in_state, in_states
from core.delivery.outbox.tickets import UNKNOWN
from core.storage import db
from core.storage.models import STUCK, WAITING, Attempt, Counter, Delivery, Kind, State

REASON = "The database was put back from a backup; it may have been sent since that was made."
#: milliseconds of the last time
_MOMENT = "restored_at"


def highest_attempt(session: Session) -> int:
    """0 when nothing was ever sent. The newest attempt is never removed, so the number only grows."""
    return int(session.execute(select(func.max(col(Attempt.id)))).scalar() or 0)


def restored_at(session: Session) -> datetime | None:
    """When the database was put back last; None when it never was."""
    found = session.get(Counter, _MOMENT)
    return datetime.fromtimestamp(found.value / 1000, UTC) if found else None


def keep_moment(session: Session, now: datetime) -> None:
    value = int(now.timestamp() * 1000)
    statement = db.upsert(session, Counter).values(name=_MOMENT, value=value)
    session.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
    )


def uncertain(session: Session, after: int, limit: int) -> list[tuple[int, str]]:
    """(delivery id, connection id) of the next rows that may have been sent since the backup."""
    found: list[tuple[int, str]] = []
    for clause in _may_be_sent():
        some = select(col(Delivery.id), col(Delivery.webhook_id)).where(col(Delivery.id) > after, clause)
        rows = session.execute(some.order_by(col(Delivery.id)).limit(limit))
        found += [(delivery, connection) for delivery, connection in rows if delivery is not None]
    return sorted(found)[:limit]


def doubt(session: Session, ids: Sequence[int], now: datetime) -> int:
    """Put rows in doubt: they may have arrived; how many they still were."""
    waits, is_case = in_states(WAITING), _is_case()
    marked = session.execute(
        update(Delivery)
        .where(col(Delivery.id).in_(ids), or_(*_may_be_sent()))
        .values(
            state=case((waits, State.IN_DOUBT), else_=col(Delivery.state)),
            reason=case((waits, REASON), else_=col(Delivery.reason)),
            next_attempt_at=case((waits, now), else_=col(Delivery.next_attempt_at)),
            place=case((is_case, func.coalesce(col(Delivery.place), UNKNOWN)), else_=col(Delivery.place)),
            in_doubt_since=now,
            look_ups=0,
        )
        .execution_options(synchronize_session=False)
    )
    return db.affected(marked)


def _may_be_sent() -> list[ColumnElement[bool]]:
    """What waits, but for the rows of a digest, which go with it; and tickets that a person may have replayed.

    A clause for each partial index; they do not overlap.
    """
    held_or_dead = or_(in_state(State.HELD), and_(_is_case(), in_state(State.DEAD)))
    return [
        and_(in_states(WAITING), col(Delivery.digest_id).is_(None)),
        and_(in_states(STUCK), held_or_dead),
        and_(in_state(State.SKIPPED), _is_case()),
    ]


def _is_case() -> ColumnElement[bool]:
    return col(Delivery.record_kind) == literal_column(f"'{Kind.CASE}'")
