"""The verdicts of an attempt, written behind the fence `WHERE attempt_id = mine`."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, select, update
from sqlmodel import Session, col

from core.delivery.outbox import groups
from core.delivery.outbox.claims import Claim
from core.delivery.outcome import Outcome, Row
from core.http import Exchange
from core.integrations import mapping
from core.integrations.base import Ticket
from core.storage import db
from core.storage.models import Attempt, AttemptOutcome, Case, Delivery, SiemEvent, State, TicketLink

Answer = tuple[int | None, str | None]  # (status, the start of the body) of the call that delivered


def close(session: Session, claim: Claim, verdicts: Sequence[Outcome], now: datetime) -> int:
    """Write verdicts for rows that are still this attempt's. Returns how many were; fewer means: fenced."""
    if not verdicts:
        return 0
    verdicts = groups.ended(claim, verdicts)
    plain, rest = _by_answer(verdicts)
    closed = sum(_close_plain(session, claim, ids, answer, now) for answer, ids in plain.items())
    closed += _close_each(session, claim, rest, now) if rest else 0
    groups.close_members(session, claim, verdicts, now)
    _follow_up(session, claim, [v for v in verdicts if v.state is State.DELIVERED], now)
    return closed


def _by_answer(verdicts: Sequence[Outcome]) -> tuple[dict[Answer, list[int]], list[Outcome]]:
    """(rows that arrived and have nothing of their own, by the answer to the call they went in; all others)."""
    plain, rest = defaultdict[Answer, list[int]](list), list[Outcome]()
    for verdict in verdicts:
        if verdict.state is State.DELIVERED and not verdict.vendor_id and not verdict.reason:
            plain[verdict.status, verdict.body].append(verdict.id)
        else:
            rest.append(verdict)
    return plain, rest


def _close_plain(session: Session, claim: Claim, ids: Sequence[int], answer: Answer, now: datetime) -> int:
    """The hot path: a batch that arrived whole is one statement."""
    status, body = answer
    closed = session.execute(
        update(Delivery)
        .where(_mine(claim), col(Delivery.id).in_(ids))
        .values(
            state=State.DELIVERED,
            reason=None,
            attempt_count=col(Delivery.attempt_count) + 1,
            next_attempt_at=None,
            in_doubt_since=None,
            response_status=status,
            response_body=body,
            delivered_at=now,
        )
        .execution_options(synchronize_session=False)
    )
    return db.affected(closed)


def _close_each(session: Session, claim: Claim, verdicts: Sequence[Outcome], now: datetime) -> int:
    table = Delivery.__table__  # type: ignore[attr-defined]
    closed = session.connection().execute(
        update(table)
        .where(_mine(claim), table.c.id == bindparam("row_id"))
        .values(
            state=bindparam("new_state"),
            reason=bindparam("new_reason"),
            attempt_count=bindparam("attempts"),
            next_attempt_at=bindparam("next_at"),
            in_doubt_since=bindparam("doubt_since"),
            look_ups=bindparam("looked"),
            vendor_id=bindparam("vendor"),
            place=bindparam("where"),
            response_status=bindparam("status"),
            response_body=bindparam("body"),
            delivered_at=bindparam("delivered"),
        ),
        [_parameters(verdict, now) for verdict in verdicts],
    )
    return db.affected(closed)


def _mine(claim: Claim) -> ColumnElement[bool]:
    """The fence."""
    return and_(col(Delivery.attempt_id) == claim.attempt_id, col(Delivery.state) == State.SENDING)


def _parameters(verdict: Outcome, now: datetime) -> dict[str, Any]:
    return {
        "row_id": verdict.id,
        "new_state": verdict.state,
        "new_reason": verdict.reason,
        "attempts": verdict.attempts,
        "next_at": verdict.next_attempt_at,
        "doubt_since": verdict.in_doubt_since,
        "looked": verdict.look_ups,
        "vendor": verdict.vendor_id,
        "where": verdict.place,
        "status": verdict.status,
        "body": verdict.body,
        "delivered": now if verdict.state is State.DELIVERED else None,
    }


def end_attempt(session: Session, attempt_id: int, exchanges: Sequence[Exchange], now: datetime) -> bool:
    """Close the attempt row itself with what was exchanged. False when it had been reaped."""
    ended = session.execute(
        update(Attempt)
        .where(col(Attempt.id) == attempt_id, col(Attempt.outcome) == AttemptOutcome.OPEN)
        .values(outcome=AttemptOutcome.CLOSED, closed_at=now, exchanges=[e.stored() for e in exchanges])
    )
    return db.affected(ended) > 0


def note_calls(session: Session, attempt_id: int, exchanges: Sequence[Exchange]) -> None:
    """Write down what an open attempt has exchanged by now: with the rows that are closed before it."""
    session.execute(
        update(Attempt).where(col(Attempt.id) == attempt_id).values(exchanges=[e.stored() for e in exchanges])
    )


def _follow_up(session: Session, claim: Claim, delivered: Sequence[Outcome], now: datetime) -> None:
    """The SIEM event becomes exported, the case gets its ticket: with the delivery or not at all."""
    if not delivered:
        return
    mine = select(col(Delivery.id)).where(
        col(Delivery.id).in_([v.id for v in delivered]),
        col(Delivery.attempt_id) == claim.attempt_id,
        col(Delivery.state) == State.DELIVERED,
    )
    session.execute(
        update(SiemEvent)
        .where(col(SiemEvent.delivery_id).in_(mine))
        .values(is_exported=True, exported_at=now)
        .execution_options(synchronize_session=False)
    )
    rows = {row.id: row for row in claim.rows if row.record_kind == "case"}
    tickets = {v.id: v.ticket for v in delivered if v.id in rows and v.ticket}
    if not tickets:
        return
    still_mine = set(session.execute(mine).scalars())
    for delivery_id, ticket in tickets.items():
        if delivery_id in still_mine:
            _link_ticket(session, claim, rows[delivery_id], ticket, now)


def _link_ticket(session: Session, claim: Claim, row: Row, ticket: Ticket, now: datetime) -> None:
    owner = select(col(Delivery.user_id)).where(col(Delivery.id) == row.id).scalar_subquery()
    own = {"status": ticket.status, "priority": ticket.priority}
    statement = db.upsert(session, TicketLink).values(
        user_id=owner,
        integration_id=claim.connection_id,
        case_id=select(col(Case.id)).where(col(Case.local_id) == row.record_id).scalar_subquery(),
        case_local_id=row.record_id,
        external_ticket_id=ticket.id,
        ticket_url=ticket.url,
        status=ticket.stage,
        priority=_priority(claim, ticket.priority),
        meta={name: words for name, words in own.items() if words is not None},
        created_at=now,
        updated_at=now,
    )
    session.execute(statement.on_conflict_do_nothing())


def _priority(claim: Claim, own: Any) -> str | None:
    """One of the hub's four words, or the tracker's own where it stands for none of them."""
    word = mapping.word_of(own, claim.target.severity if claim.target else {})
    if word is not None or own is None:
        return word
    return ", ".join(f"{name} {value}" for name, value in own.items()) if isinstance(own, dict) else str(own)
