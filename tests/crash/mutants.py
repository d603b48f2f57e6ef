"""The mistakes that the crash test must see: each takes one of the promises out of the flow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import randrange
from typing import Any

from sqlalchemy import insert, true, update
from sqlmodel import Session, col

from core.delivery import outbox, runs, send
from core.delivery.batch import BatchDelivery
from core.delivery.outbox import Claim, closure
from core.delivery.outcome import Outcome
from core.delivery.runs import Run
from core.delivery.send import Send
from core.integrations.base import Item, Receipt
from core.storage import db
from core.storage.models import Attempt, AttemptOutcome, Connection, Delivery, State


def _none() -> None:
    """The code as it is."""


def _dequeue_then_send() -> None:
    """Rows leave the queue before they are sent; what was refused is put back."""

    def remove_then_send(call: Send) -> None:
        rows = {row.key: row for row in call.claim.rows}
        with db.session() as session:
            now = db.now(session)
            done = [Outcome(row.id, State.DELIVERED, row.attempt_count + 1) for row in call.claim.rows]
            outbox.close(session, call.claim, done, now)
            outbox.end_attempt(session, call.claim.attempt_id, [], now)
        call.live.client.before_call = lambda: Send.before(call)
        refused = [
            rows[receipt.key].id
            for receipt in BatchDelivery(
                call.live.connector, [Item(row.key, row.payload) for row in call.claim.rows]
            )
            if receipt.fault is not None
        ]
        with db.session() as session:
            again = update(Delivery).where(col(Delivery.id).in_(refused))
            session.execute(again.values(state=State.PENDING, next_attempt_at=db.now(session)))

    send.send = remove_then_send


def _new_key_per_attempt() -> None:
    """What is sent bears another key each time."""

    class Renamed(BatchDelivery):
        number = 0

        def __init__(self, connector: Any, items: list[Item]) -> None:
            Renamed.number += 1
            fresh = [f"{item.key}-{id(self) % 997}{Renamed.number}" for item in items]
            self.names = dict(zip(fresh, items, strict=True))
            renamed = [Item(key, item.payload.replace(item.key, key)) for key, item in self.names.items()]
            super().__init__(connector, renamed)

        def __iter__(self) -> Iterator[Receipt]:
            for receipt in super().__iter__():
                known = self.names[receipt.key]
                yield replace(receipt, key=known.key)

    send.BatchDelivery = Renamed  # type: ignore[misc]


def _no_fence() -> None:
    """A worker no longer asks whether an attempt is still its own, neither before a call nor when closing."""

    real = outbox.end_attempt

    def end_attempt(session: Session, attempt_id: int, exchanges: Any, now: Any) -> bool:
        real(session, attempt_id, exchanges, now)
        return True

    def mine(claim: Claim) -> Any:
        return true()

    send.Send.before = lambda call: None  # type: ignore[method-assign]
    closure._mine = mine
    outbox.end_attempt = end_attempt


def _attempt_row_after_sending() -> None:
    """The claim is written only when the answer is there."""

    @contextmanager
    def forgetting() -> Iterator[Session]:
        with db._begin(write=True) as session:
            yield session
            session.rollback()

    real_claim, real_session, real_close = send.claim, db.session, Send.close

    def claim(begun: Run) -> Claim | None:
        db.session = forgetting
        try:
            claimed = real_claim(begun)
        finally:
            db.session = real_session
        # a number that nobody else draws, as the row's own is free again
        return claimed and replace(claimed, attempt_id=randrange(10**6, 2**31))

    def close(call: Send, learned: int | None) -> None:
        with db.session() as session:
            _write_late(session, call)
        real_close(call, learned)

    send.claim = claim
    Send.close = close  # type: ignore[method-assign]
    Send.before = lambda call: None  # type: ignore[method-assign]


def _write_late(session: Session, call: Send) -> None:
    now, found = db.now(session), session.get_one(Connection, call.claim.connection_id)
    columns = {"connection_id": found.id, "run_id": call.run.id, "worker": runs.WORKER, "exchanges": []}
    times = {"started_at": now, "lease_until": now, "outcome": AttemptOutcome.OPEN, "items": 1}
    late = insert(Attempt).values(id=call.claim.attempt_id, **columns, **times)
    session.execute(late)
    ids = [row.id for row in call.claim.rows]
    rows = update(Delivery).where(col(Delivery.id).in_(ids))
    session.execute(rows.values(state=State.SENDING, attempt_id=call.claim.attempt_id))


def _no_look_up() -> None:
    """A ticket in doubt is created again without looking."""
    send.Send.settle_found = lambda call, tracker, row: False  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "none": _none,
    "dequeue, then send": _dequeue_then_send,
    "new key per attempt": _new_key_per_attempt,
    "no fence": _no_fence,
    "attempt row after sending": _attempt_row_after_sending,
    "no look-up": _no_look_up,
}
