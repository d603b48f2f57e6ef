"""A person, or a changed filter, decides what becomes of rows that wait."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from sqlalchemy import ColumnElement, and_, false, or_, update
from sqlmodel import Session, col

from core import db
from core.models import Delivery, Kind, Said, SiemEvent, State
from core.outbox.looking import in_state, in_states, indexed, waiting


def hasten(session: Session, connection_id: str, now: datetime) -> None:
    """A person asked: waiting retries and look-ups are due now."""
    session.execute(
        update(Delivery)
        .where(waiting(connection_id), col(Delivery.next_attempt_at) > now)
        .values(next_attempt_at=now)
    )


def recover(session: Session, connection_id: str, now: datetime, *, doubtful: bool) -> None:
    """The vendor is back: retries are due now, and with `doubtful` also what is sent again to be sure.

    A look-up keeps its time, because the vendor's index lags whether its API was away or not.
    """
    states = (State.PENDING, State.RETRYING, *((State.IN_DOUBT,) if doubtful else ()))
    session.execute(
        update(Delivery)
        .where(waiting(connection_id), in_states(states), col(Delivery.next_attempt_at) > now)
        .values(next_attempt_at=now)
    )


def skip(session: Session, connection_id: str, reason: str) -> int:
    """Nothing that still waits is wanted any more. What is being sent right now is left alone."""
    return sum(
        db.affected(
            session.execute(
                update(Delivery)
                .where(col(Delivery.webhook_id) == connection_id, clause)
                .values(state=State.SKIPPED, reason=reason, next_attempt_at=None)
                .execution_options(synchronize_session=False)
            )
        )
        for clause in indexed((State.PENDING, State.RETRYING, State.HELD))
    )


def release(session: Session, connection_id: str, now: datetime, delivery_id: int | None = None) -> int:
    """A person says go: held → pending. Returns how many; with `delivery_id` that one alone."""
    released = session.execute(
        update(Delivery)
        .where(*_held(connection_id, delivery_id))
        .values(state=State.PENDING, reason=None, next_attempt_at=now)
    )
    return db.affected(released)


def discard(session: Session, connection_id: str, reason: str, delivery_id: int | None = None) -> int:
    """A person says no: held → skipped, which a replay takes back."""
    discarded = session.execute(
        update(Delivery)
        .where(*_held(connection_id, delivery_id))
        .values(state=State.SKIPPED, reason=reason, next_attempt_at=None)
    )
    return db.affected(discarded)


def _held(connection_id: str, delivery_id: int | None) -> list[ColumnElement[bool]]:
    held = [col(Delivery.webhook_id) == connection_id, in_state(State.HELD)]
    return held if delivery_id is None else [*held, col(Delivery.id) == delivery_id]


def skip_rows(session: Session, ids: Sequence[int], reason: str) -> None:
    _set_state(session, ids, (State.PENDING, State.RETRYING, State.HELD), State.SKIPPED, reason, None)


def unskip_rows(session: Session, ids: Sequence[int], now: datetime, held: str | None = None) -> None:
    """Wanted again; `held`, a sentence, keeps them for a person."""
    if held:
        _set_state(session, ids, (State.SKIPPED,), State.HELD, held, None)
    else:
        _set_state(session, ids, (State.SKIPPED,), State.PENDING, None, now)


def replay(session: Session, delivery_id: int, *, again: bool, payload: str | None, now: datetime) -> bool:
    """Dead or skipped → pending: same key, attempts from 0. False when the row is in another state.

    With `again` a delivered row too, but never a ticket. A row that may have arrived stays marked so:
    its ticket is looked for before it is created. `payload` fills one that could not be mapped before.
    """
    sent = and_(col(Delivery.state) == State.DELIVERED, col(Delivery.record_kind) != Kind.CASE)
    stopped = col(Delivery.state).in_((State.DEAD, State.SKIPPED))
    values = {"state": State.PENDING, "attempt_count": 0, "look_ups": 0, "next_attempt_at": now}
    put_back = session.execute(
        update(Delivery)
        .where(
            col(Delivery.id) == delivery_id,
            or_(stopped, sent if again else false()),
            col(Delivery.record_kind) != Said.DIGEST,  # its records are replayed, not the list of them
        )
        .values(
            **values,
            reason=None,
            delivered_at=None,
            digest_id=None,
            **({"payload": payload} if payload else {}),
        )
    )
    if payload and db.affected(put_back):
        event = update(SiemEvent).where(col(SiemEvent.delivery_id) == delivery_id)
        session.execute(event.values(raw_data=orjson.loads(payload), description=""))
    return db.affected(put_back) > 0


def replay_rows(session: Session, ids: Sequence[int], before: State, now: datetime) -> int:
    """The same for many that are still in the state `before` and have a body: one statement."""
    put_back = session.execute(
        update(Delivery)
        .where(col(Delivery.id).in_(ids), col(Delivery.state) == before, col(Delivery.payload).is_not(None))
        .values(
            state=State.PENDING,
            attempt_count=0,
            look_ups=0,
            next_attempt_at=now,
            reason=None,
            delivered_at=None,
            digest_id=None,
        )
        .execution_options(synchronize_session=False)
    )
    return db.affected(put_back)


def _set_state(
    session: Session,
    ids: Sequence[int],
    before: Sequence[State],
    after: State,
    reason: str | None,
    due: datetime | None,
) -> None:
    for start in range(0, len(ids), 500):
        session.execute(
            update(Delivery)
            .where(col(Delivery.id).in_(ids[start : start + 500]), col(Delivery.state).in_(before))
            .values(state=after, reason=reason, next_attempt_at=due)
        )
