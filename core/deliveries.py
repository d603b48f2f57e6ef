"""Where did it go? Runs, deliveries and the whole story of one record, for people."""

from datetime import datetime
from typing import Any

from sqlalchemy import Select, or_, select
from sqlmodel import Session, col

from core import catalog, db, mapping, sources
from core import options as options_
from core.access import Principal, visible
from core.connections.views import row_of
from core.errors import Invalid, NotFound, did_you_mean
from core.models import (
    RECORD_TABLES,
    Attempt,
    CatalogEntry,
    Connection,
    Delivery,
    Kind,
    RunLog,
    State,
    TicketLink,
)

MAX_LIMIT = 500


def logs(
    who: Principal, ref: str | None = None, *, limit: int = 50, before: int | None = None
) -> list[dict[str, Any]]:
    """Runs, newest first; `before` is the id of the last one seen."""
    with db.reading() as session:
        wanted = (
            select(RunLog, col(Connection.name))
            .join(Connection, col(Connection.id) == col(RunLog.user_integration_id))
            .where(*_of(session, who, ref))
            .order_by(col(RunLog.id).desc())
            .limit(_bounded(limit))
        )
        if before is not None:
            wanted = wanted.where(col(RunLog.id) < before)
        return [_run(row, name) for row, name in session.execute(wanted)]


def listing(
    who: Principal,
    ref: str | None = None,
    *,
    state: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """Deliveries, newest first; `before` is the id of the last one seen."""
    if state is not None and state not in set(State):
        raise Invalid(f'"{state}" is not a state.{did_you_mean(state, State)} States are {", ".join(State)}.')
    with db.reading() as session:
        wanted = _deliveries(session, who, ref).order_by(col(Delivery.id).desc()).limit(_bounded(limit))
        if state is not None:
            wanted = wanted.where(col(Delivery.state) == state)
        if before is not None:
            wanted = wanted.where(col(Delivery.id) < before)
        return [_delivery(session, row, name) for row, name in session.execute(wanted).all()]


def one(who: Principal, delivery_id: int) -> dict[str, Any]:
    """One delivery with its payload and its last attempt's exchanges. Raises NotFound, also for another's."""
    with db.reading() as session:
        found = session.execute(
            _deliveries(session, who, None).where(col(Delivery.id) == delivery_id)
        ).first()
        if found is None:
            raise NotFound(f"There is no delivery {delivery_id}. List them with `hub deliveries`.")
        row, name = found
        return _delivery(session, row, name) | {
            "payload": row.payload,
            "attempts": _attempts(session, row),
        }


def explain(who: Principal, kind: str, record_id: str) -> dict[str, Any]:
    """The whole story of one scan, case or alert: for each connection, what became of it or why nothing did."""
    wanted = _kind(kind)
    with db.reading() as session:
        record = _record(session, who, wanted, record_id)
        connections = session.execute(
            select(Connection, col(CatalogEntry.slug))
            .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
            .where(visible(who), col(Connection.deleted_at).is_(None))
            .order_by(col(Connection.name))
        ).all()
        stories = [
            _story(session, connection, slug, wanted, record)
            for connection, slug in connections
            if catalog.KIND_OF[catalog.get(slug).category] is wanted
        ]
        return {
            "kind": wanted,
            "id": record["id"],
            "title": _title(wanted, record),
            "severity": mapping.severity_of(wanted, record),
            "received_at": record["received_at"],
            "revision": record["revision"],
            "connections": stories,
        }


def _title(kind: Kind, record: dict[str, Any]) -> str:
    title: str = mapping.facts(kind, record, key="", hub_url="", include_raw=False)["title"]
    return title


def _story(
    session: Session, connection: Connection, slug: str, kind: Kind, record: dict[str, Any]
) -> dict[str, Any]:
    base = {"connection": connection.name, "connection_id": connection.id}
    row = session.execute(
        select(Delivery).where(
            col(Delivery.record_kind) == kind,
            col(Delivery.record_id) == record["local_id"],
            col(Delivery.webhook_id) == connection.id,
        )
    ).scalar_one_or_none()
    if row is None:
        return base | {"state": "not queued", "sentence": _why_not(connection, slug, kind, record)}
    told = _delivery(session, row, connection.name)
    return base | told | {"sentence": _sentence(row, told["ticket_url"]), "attempts": _attempts(session, row)}


def _why_not(connection: Connection, slug: str, kind: Kind, record: dict[str, Any]) -> str:
    """Why a record has no row with a connection."""
    chosen = options_.parse(connection.options, catalog.get(slug).category)
    if chosen.scope == "mine" and record["owner_id"] != connection.user_id:
        return "Not this connection's: it takes its owner's records only, and this one is somebody else's."
    if chosen.start_from != "all" and record["received_at"] < datetime.fromisoformat(chosen.start_from):
        return f"Filtered: the connection takes records received from {chosen.start_from} on."
    reason = mapping.why_not(kind, record, chosen) or mapping.unwanted_event(
        kind, record, connection.config.get("events", ())
    )
    if reason is not None:
        return f"Filtered: {reason}"
    if not connection.is_active:
        return "Waits: the connection is paused. Enable it to send the record."
    return f"Waits for its turn: {chosen.batch_limit} new records go per sync, oldest change first."


def _sentence(row: Delivery, ticket_url: str | None) -> str:
    when = row.delivered_at or row.next_attempt_at
    at = f"{when:%Y-%m-%d %H:%M:%S} UTC" if when else ""
    told = {
        State.DELIVERED: f"Delivered at {at}{f' as {row.vendor_id}' if row.vendor_id else ''}.",
        State.PENDING: "Queued; sent with the next sync.",
        State.SENDING: "Being sent right now.",
        State.RETRYING: f"Not delivered yet: {row.reason} Tried again at {at}.",
        State.IN_DOUBT: f"May have arrived: {row.reason} Looked at again at {at}.",
        State.DEAD: f"Not delivered: {row.reason}",
        State.HELD: f"Held: {row.reason}",
        State.SKIPPED: f"Not sent: {row.reason}",
    }[State(row.state)]
    return f"{told} {ticket_url}" if ticket_url else told


def _record(session: Session, who: Principal, kind: Kind, record_id: str) -> dict[str, Any]:
    owner = None if who.is_admin else who.user_id
    found = sources.latest(session, kind, owner_id=owner, limit=1, id=record_id)
    if not found:
        raise NotFound(f'There is no {kind} "{record_id}". Import it with `hub import {kind}s FILE`.')
    return found[0]


def _kind(word: str) -> Kind:
    name = word.lower().removesuffix("s")
    if name not in set(Kind):
        raise Invalid(f'"{word}" is not a kind of record. Kinds are scan, case and alert.')
    return Kind(name)


def _of(session: Session, who: Principal, ref: str | None) -> tuple[Any, ...]:
    if ref is None:
        return (visible(who),)
    row, _, _ = row_of(session, who, ref)
    return (col(Connection.id) == row.id,)


def _deliveries(session: Session, who: Principal, ref: str | None) -> Select[Delivery, str]:
    return (
        select(Delivery, col(Connection.name))
        .join(Connection, col(Connection.id) == col(Delivery.webhook_id))
        .where(*_of(session, who, ref))
    )


def _run(row: RunLog, connection: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "connection": connection,
        "connection_id": row.user_integration_id,
        "action": row.sync_type,
        "status": row.status,
        "records": row.records_synced,
        "error": row.error_message,
        "metadata": row.meta,
        "started_at": row.created_at,
        "finished_at": row.finished_at,
    }


def _delivery(session: Session, row: Delivery, connection: str) -> dict[str, Any]:
    return {
        "id": row.id,
        "connection": connection,
        "connection_id": row.webhook_id,
        "kind": row.record_kind,
        "record_id": _source_id(session, row),
        "key": row.key,
        "event_type": row.event_type,
        "state": row.state,
        "reason": row.reason,
        "attempt_count": row.attempt_count,
        "next_attempt_at": row.next_attempt_at,
        "vendor_id": row.vendor_id,
        "ticket_url": _ticket_url(session, row),
        "response_status": row.response_status,
        "delivered_at": row.delivered_at,
        "created_at": row.created_at,
    }


def _source_id(session: Session, row: Delivery) -> str | None:
    table = RECORD_TABLES[Kind(row.record_kind)]
    return session.execute(
        select(col(table.id)).where(col(table.local_id) == row.record_id)
    ).scalar_one_or_none()


def _ticket_url(session: Session, row: Delivery) -> str | None:
    if row.record_kind != Kind.CASE:
        return None
    link = select(col(TicketLink.ticket_url)).where(
        col(TicketLink.integration_id) == row.webhook_id, col(TicketLink.case_id) == row.record_id
    )
    return session.execute(link).scalar_one_or_none()


def _attempts(session: Session, row: Delivery) -> list[dict[str, Any]]:
    """Its attempts, oldest first. Of a record that went in batches only the last one is known."""
    mine = col(Attempt.delivery_id) == row.id
    if row.attempt_id is not None:
        mine = or_(mine, col(Attempt.id) == row.attempt_id)
    found = session.execute(select(Attempt).where(mine).order_by(col(Attempt.id))).scalars()
    return [
        {
            "started_at": attempt.started_at,
            "closed_at": attempt.closed_at,
            "outcome": attempt.outcome,
            "items": attempt.items,
            "worker": attempt.worker,
            "exchanges": attempt.exchanges,
        }
        for attempt in found
    ]


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))
