"""A person, or a changed filter, decides what becomes of rows that wait."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, false, literal, null, or_, update
from sqlmodel import Session, col

from core.delivery.outbox import tickets
from core.delivery.outbox.queries import in_state, in_states, indexed, waiting
from core.storage import db
from core.storage.models import WAITING, Delivery, HubMessageKind, Kind, SkippedBy, State, UtcDateTime

CHUNK = 500  # ids per statement
#: certainly not delivered, and not on its way
_UNSENT = (State.PENDING, State.RETRYING, State.HELD)


def hasten(session: Session, connection_id: str, now: datetime) -> None:
    """Make waiting retries and look-ups due now, because a person asked."""
    session.execute(
        update(Delivery)
        .where(waiting(connection_id), col(Delivery.next_attempt_at) > now)
        .values(next_attempt_at=now)
    )


def recover(session: Session, connection_id: str, now: datetime, *, doubtful: bool) -> None:
    """Make retries due now, because the vendor is back, and with `doubtful` also what is sent again to be sure.

    A look-up keeps its time, because the vendor's index lags whether its API was away or not.
    """
    states = (State.PENDING, State.RETRYING, *((State.IN_DOUBT,) if doubtful else ()))
    session.execute(
        update(Delivery)
        .where(waiting(connection_id), in_states(states), col(Delivery.next_attempt_at) > now)
        .values(next_attempt_at=now)
    )


def put_right(session: Session, connection_ids: Sequence[str], now: datetime) -> None:
    """Correct times that a clock wrote which was ahead: what waits is due now, and a doubt of the future
    begins now, with all its look-ups."""
    is_future = col(Delivery.in_doubt_since) > now
    session.execute(
        update(Delivery)
        .where(col(Delivery.webhook_id).in_(connection_ids), in_states(WAITING))
        .where(col(Delivery.next_attempt_at) > now)
        .values(next_attempt_at=now)
        .values(
            in_doubt_since=case((is_future, literal(now, UtcDateTime)), else_=col(Delivery.in_doubt_since))
        )
        .values(look_ups=case((is_future, 0), else_=col(Delivery.look_ups)))
        .execution_options(synchronize_session=False)
    )


def skip(session: Session, connection_id: str, reason: str, by: SkippedBy) -> int:
    """Take all that waits out of the queue. What may have arrived, or is being sent, is left alone."""
    return sum(
        db.affected(
            session.execute(
                update(Delivery)
                .where(col(Delivery.webhook_id) == connection_id, clause)
                .values(state=State.SKIPPED, skipped_by=by, reason=reason, next_attempt_at=None)
                .execution_options(synchronize_session=False)
            )
        )
        for clause in indexed(_UNSENT)
    )


def end(session: Session, connection_id: str) -> int:
    """Nothing waits for a connection that was deleted; of what may have arrived the row says so."""
    skipped = skip(session, connection_id, "Skipped because the connection was deleted.", SkippedBy.PERSON)
    given_up = session.execute(
        update(Delivery)
        .where(waiting(connection_id), in_states((State.IN_DOUBT,)))
        .values(
            state=State.DEAD,
            reason="The connection was deleted before it was known whether this had arrived. It may be there.",
            next_attempt_at=None,
        )
    )
    return skipped + db.affected(given_up)


def release(
    session: Session,
    connection_id: str,
    now: datetime,
    delivery_id: int | None = None,
    place: str | None = None,
) -> int:
    """Release held rows to be sent (held → pending). Returns how many; with `delivery_id` that one alone.

    A ticket that may be anywhere but at `place`, the connection's own, is not looked for any more: they did.
    """
    is_here = col(Delivery.place).in_([tickets.UNKNOWN, place])
    released = session.execute(
        update(Delivery)
        .where(*_held(connection_id, delivery_id))
        .values(
            state=State.PENDING,
            reason=None,
            next_attempt_at=now,
            place=case((is_here, col(Delivery.place)), else_=null()),
        )
        .execution_options(synchronize_session=False)
    )
    return db.affected(released)


def discard(session: Session, connection_id: str, reason: str, delivery_id: int | None = None) -> int:
    """Discard held rows (held → skipped), which a replay takes back."""
    discarded = session.execute(
        update(Delivery)
        .where(*_held(connection_id, delivery_id))
        .values(state=State.SKIPPED, skipped_by=SkippedBy.PERSON, reason=reason, next_attempt_at=None)
    )
    return db.affected(discarded)


def _held(connection_id: str, delivery_id: int | None) -> list[ColumnElement[bool]]:
    held = [col(Delivery.webhook_id) == connection_id, in_state(State.HELD)]
    return held if delivery_id is None else [*held, col(Delivery.id) == delivery_id]


def skip_rows(session: Session, reasons: Mapping[int, str], by: SkippedBy) -> None:
    """Take deliveries, by id, out of the queue; each with its reason."""
    for reason, ids in _by_reason(reasons):
        values = {"state": State.SKIPPED, "skipped_by": by, "reason": reason, "next_attempt_at": None}
        _set(session, ids, _UNSENT, values)


def unskip_rows(session: Session, ids: Sequence[int], now: datetime, held: str | None = None) -> None:
    """Wanted again; `held`, a sentence, keeps them for a person."""
    values: dict[str, Any] = {"state": State.PENDING, "reason": None, "next_attempt_at": now}
    if held:
        values = {"state": State.HELD, "reason": held, "next_attempt_at": None}
    _set(session, ids, (State.SKIPPED,), values | {"skipped_by": None})


def regrade(session: Session, severities: Mapping[int, str]) -> None:
    """Let deliveries, by id, wait as what their records have become; their bodies follow when they are claimed."""
    for severity, ids in _by_reason(severities):
        _set(session, ids, (*WAITING, State.HELD, State.SKIPPED), {"severity": severity})


def bury(session: Session, reasons: Mapping[int, str]) -> None:
    """Deliveries, by id, that cannot be sent as their records are now; each with its reason."""
    for reason, ids in _by_reason(reasons):
        _set(session, ids, WAITING, {"state": State.DEAD, "reason": reason, "next_attempt_at": None})


def settle_as_is(session: Session, ids: Sequence[int]) -> None:
    """Deliveries whose records are gone keep the bodies they have."""
    _set(session, ids, tuple(State), {"record_seq": None})


def replay(session: Session, delivery_id: int, *, again: bool, now: datetime) -> bool:
    """Dead or skipped → pending: same key, attempts from 0. False when the row is in another state.

    With `again` a delivered row too, but never a ticket. A row that may have arrived stays marked so:
    its ticket is looked for before it is created.
    """
    sent = and_(col(Delivery.state) == State.DELIVERED, col(Delivery.record_kind) != Kind.CASE)
    stopped = col(Delivery.state).in_((State.DEAD, State.SKIPPED))
    put_back = session.execute(
        update(Delivery)
        .where(
            col(Delivery.id) == delivery_id,
            or_(stopped, sent if again else false()),
            col(Delivery.record_kind)
            != HubMessageKind.DIGEST,  # its records are replayed, not the list of them
        )
        .values(_replayed(now))
    )
    return db.affected(put_back) > 0


def replay_rows(session: Session, ids: Sequence[int], before: State, now: datetime) -> int:
    """Replay many rows that are still in the state `before` and have a body: one statement."""
    put_back = session.execute(
        update(Delivery)
        .where(col(Delivery.id).in_(ids), col(Delivery.state) == before, col(Delivery.payload).is_not(None))
        .values(_replayed(now))
        .execution_options(synchronize_session=False)
    )
    return db.affected(put_back)


def _replayed(now: datetime) -> dict[str, Any]:
    """Once more from the first attempt; a mark of doubt stays, what was answered goes with the attempts."""
    started = {"state": State.PENDING, "attempt_count": 0, "look_ups": 0, "next_attempt_at": now}
    forgotten = ("reason", "skipped_by", "delivered_at", "digest_id", "response_status", "response_body")
    return started | dict.fromkeys(forgotten)


def _by_reason(reasons: Mapping[int, str]) -> list[tuple[str, list[int]]]:
    grouped: dict[str, list[int]] = {}
    for id, reason in reasons.items():
        grouped.setdefault(reason, []).append(id)
    return list(grouped.items())


def _set(session: Session, ids: Sequence[int], before: Sequence[State], values: Mapping[str, Any]) -> None:
    for start in range(0, len(ids), CHUNK):
        session.execute(
            update(Delivery)
            .where(col(Delivery.id).in_(ids[start : start + CHUNK]), col(Delivery.state).in_(before))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
