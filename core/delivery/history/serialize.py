"""Make a delivery's row readable: with the record's own id, the ticket's address, its attempts."""

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime

from sqlalchemy import and_, or_, select
from sqlmodel import Session, col

from core.access.scope import WITHHELD
from core.delivery.history.views import AttemptView, DeliveryDetails, DeliveryView
from core.delivery.retry import Policy, planned
from core.storage.models import (
    RECORD_TABLES,
    WAITING,
    Attempt,
    AttemptOutcome,
    Connection,
    Delivery,
    Kind,
    State,
    TicketLink,
)


def views(session: Session, rows: Sequence[tuple[Delivery, str]]) -> list[DeliveryView]:
    """Views of `rows`, which are (delivery, connection's name). A few statements for all of them."""
    ids, urls = (
        _record_ids(session, [row for row, _ in rows]),
        _ticket_urls(session, [row for row, _ in rows]),
    )
    return [_one(row, name, ids, urls) for row, name in rows]


def reason(state: str, said: str | None) -> str | None:
    """Return why a delivery is in its state; a dead one's reason goes after its time."""
    return "The reason is not kept any more." if said is None and state == State.DEAD else said


def attempts(session: Session, row: Delivery) -> list[AttemptView]:
    """List the attempts of a delivery, oldest first. Of a record that went in batches only the last one is known."""
    mine = col(Attempt.delivery_id) == row.id
    if row.attempt_id is not None:
        last = and_(col(Attempt.id) == row.attempt_id, col(Attempt.connection_id) == row.webhook_id)
        mine = or_(mine, last)
    found = session.execute(select(Attempt).where(mine).order_by(col(Attempt.id))).scalars().all()
    own = {attempt.started_at for attempt in found if attempt.delivery_id == row.id}
    return [
        AttemptView(
            started_at=attempt.started_at,
            closed_at=attempt.closed_at,
            outcome=AttemptOutcome.CLOSED if _is_own(attempt, row.key) else attempt.outcome,
            items=1 if _is_own(attempt, row.key) else attempt.items,
            worker=attempt.worker,
            exchanges=[call for call in attempt.exchanges if call.get("key", "") in ("", row.key)],
        )
        for attempt in found
        # a message that failed has its own row beside that of the claim
        if attempt.delivery_id == row.id or attempt.started_at not in own
    ]


def _is_own(attempt: Attempt, key: str) -> bool:
    """Whether the record had a call of its own in an attempt of several."""
    return any(call.get("key") == key for call in attempt.exchanges)


def details(
    session: Session, view: DeliveryView, payload: str | None, *, tried: Delivery, row: Delivery
) -> DeliveryDetails:
    """`view` with its attempts, which are those of `tried`: of its digest, where it went in one."""
    shown = {each.name: getattr(view, each.name) for each in fields(view)}
    waits = row.state in WAITING
    return DeliveryDetails(
        **shown,
        payload=payload,
        attempts=attempts(session, tried),
        next_attempts=next_attempts(session, row),
        holding=holding(session.get_one(Connection, row.webhook_id)) if waits else "",
    )


def holding(connection: Connection, *, withheld: bool = False) -> str:
    """Say why nothing leaves for the connection right now; empty when something would. `withheld`: not in the words
    of its tool."""
    problem = WITHHELD if connection.problem and withheld else connection.problem
    if not connection.is_active:
        return f"{problem or 'The connection is paused.'} Enable it to send what waits."
    if problem:
        return problem
    if connection.next_call_at and connection.wait_reason:
        return f"The vendor is called again at {exact(connection.next_call_at)}."
    return ""


def exact(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def next_attempts(session: Session, row: Delivery) -> list[datetime]:
    """When a record that failed is tried again, and then again if that fails too; rough, because of the jitter."""
    if row.state != State.RETRYING or row.next_attempt_at is None:
        return []
    options = session.get_one(Connection, row.webhook_id).options
    return planned(Policy.of(options.get("retry", {})), row.attempt_count, row.next_attempt_at)


def source_ids(session: Session, kind: Kind, local_ids: set[int]) -> dict[int, str]:
    """Local id → FootprintIQ's own id."""
    table = RECORD_TABLES[kind]
    found = select(col(table.local_id), col(table.id)).where(col(table.local_id).in_(local_ids))
    return {local_id: id for local_id, id in session.execute(found) if local_id is not None}


def _one(
    row: Delivery, connection: str, ids: dict[tuple[str, int], str], urls: dict[tuple[str, int], str | None]
) -> DeliveryView:
    is_case = row.record_kind == Kind.CASE
    return DeliveryView(
        id=row.id or 0,
        connection=connection,
        connection_id=row.webhook_id,
        kind=row.record_kind,
        record_id=ids.get((row.record_kind, row.record_id)),
        key=row.key,
        event_type=row.event_type,
        digest_id=row.digest_id,
        state=State(row.state),
        reason=reason(row.state, row.reason),
        attempt_count=row.attempt_count,
        next_attempt_at=row.next_attempt_at,
        vendor_id=row.vendor_id,
        ticket_url=urls.get((row.webhook_id, row.record_id)) if is_case else None,
        response_status=row.response_status,
        delivered_at=row.delivered_at,
        created_at=row.created_at,
    )


def _record_ids(session: Session, rows: Sequence[Delivery]) -> dict[tuple[str, int], str]:
    found: dict[tuple[str, int], str] = {}
    for kind in {row.record_kind for row in rows} & set(Kind):  # what the hub says is no record
        wanted = {row.record_id for row in rows if row.record_kind == kind}
        found |= {(kind, local): id for local, id in source_ids(session, Kind(kind), wanted).items()}
    return found


def _ticket_urls(session: Session, rows: Sequence[Delivery]) -> dict[tuple[str, int], str | None]:
    cases = [row for row in rows if row.record_kind == Kind.CASE]
    if not cases:
        return {}
    told = (col(TicketLink.integration_id), col(TicketLink.case_local_id), col(TicketLink.ticket_url))
    links = select(*told).where(
        col(TicketLink.integration_id).in_({row.webhook_id for row in cases}),
        col(TicketLink.case_local_id).in_({row.record_id for row in cases}),
    )
    return {(connection, case): url for connection, case, url in session.execute(links)}
