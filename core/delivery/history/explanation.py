"""The whole story of one record: for each connection, what became of it or why nothing did."""

from dataclasses import replace
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from core import integrations, records
from core.access import Principal, visible
from core.access.scope import may_read
from core.delivery.filters import Filter
from core.delivery.history.lists import sees_calls
from core.delivery.history.serialize import details, exact, holding, reason, views
from core.delivery.history.states import StateFacts, sentence
from core.delivery.history.views import ConnectionStory, RecordStory
from core.delivery.selection import keys_of
from core.integrations import mapping
from core.integrations import options as options_
from core.platform.errors import Invalid, NotFound
from core.storage import db
from core.storage.models import WAITING, CatalogEntry, Connection, Delivery, Kind, State
from core.storage.models.words import KIND_OF


def explain(who: Principal, kind: str, record_id: str) -> RecordStory:
    """Tell the whole story of one scan, case or alert: for each connection, what became of it or why nothing did."""
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
            _story(session, who, connection, slug, wanted, record)
            for connection, slug in connections
            if KIND_OF[integrations.get(slug).category] is wanted
        ]
        return RecordStory(
            kind=wanted,
            id=record["id"],
            title=_title(wanted, record),
            severity=mapping.severity_of(wanted, record),
            received_at=record["received_at"],
            revision=record["revision"],
            connections=stories,
        )


def _title(kind: Kind, record: dict[str, Any]) -> str:
    title: str = mapping.facts(kind, record, key="", hub_url="", include_raw=False)["title"]
    return title


def _story(
    session: Session, who: Principal, connection: Connection, slug: str, kind: Kind, record: dict[str, Any]
) -> ConnectionStory:
    row = _row(session, connection, kind, record)
    if row is None:
        why_not = _why_not(connection, slug, kind, record)
        return ConnectionStory(connection.name, connection.id, "not queued", why_not)
    (view,) = views(session, [(row, connection.name)])
    digest = session.get(Delivery, row.digest_id) if row.digest_id is not None else None
    shown = details(session, view, row.payload, tried=digest or row, row=row)
    if not sees_calls(session, who, row):
        shown = replace(shown, attempts=[])
    withheld = not may_read(who, connection.user_id)
    if withheld and row.state in WAITING:  # what a call said of all that was in it
        shown = replace(shown, reason=None, holding=holding(connection, withheld=True))
    said = _sentence(row, connection, view.ticket_url, digest, withheld=withheld)
    if row.record_id != record["local_id"]:
        said = f"The hub has this {kind} twice, by two doors, and sends it once, under one key. {said}"
    return ConnectionStory(connection.name, connection.id, view.state, said, shown)


def _row(session: Session, connection: Connection, kind: Kind, record: dict[str, Any]) -> Delivery | None:
    """The record's own delivery, else that of the same record by another door, which has its key."""
    of_record = (col(Delivery.record_kind) == kind, col(Delivery.record_id) == record["local_id"])
    of_key = (col(Delivery.key) == keys_of(session, kind, [record])[0],)
    for clauses in (of_record, of_key):
        wanted = select(Delivery).where(col(Delivery.webhook_id) == connection.id, *clauses)
        row: Delivery | None = session.execute(wanted).scalar_one_or_none()
        if row is not None:
            return row
    return None


def _why_not(connection: Connection, slug: str, kind: Kind, record: dict[str, Any]) -> str:
    """Why a record has no row with a connection."""
    chosen = options_.parse(connection.options, integrations.get(slug).category)
    reason = Filter.of(connection, kind, chosen).why_not(record)
    if reason is not None:
        return f"Filtered: {reason}"
    if not connection.is_active:
        return "Waits: the connection is paused. Enable it to send the record."
    first = "most severe first, then the oldest change" if chosen.by_severity else "oldest change first"
    return f"Waits for its turn: {chosen.batch_limit} new records go per sync, {first}."


def _sentence(
    row: Delivery,
    connection: Connection,
    ticket_url: str | None,
    digest: Delivery | None = None,
    *,
    withheld: bool,
) -> str:
    said = None if withheld and row.state in WAITING else row.reason
    told = sentence(
        StateFacts(
            State(row.state),
            reason(row.state, said) or "",
            vendor_id=row.vendor_id,
            delivered=f"at {exact(row.delivered_at)}" if row.delivered_at else "",
            due=f"at {exact(row.next_attempt_at)}" if row.next_attempt_at else None,
            digest=f"in a digest (delivery {digest.id})" if digest is not None else "",
            holding=holding(connection, withheld=withheld),
        )
    )
    if digest is not None and row.state == State.PENDING:
        return f"{told} {_sentence(digest, connection, None, withheld=withheld)}"
    return f"{told} {ticket_url}" if ticket_url else told


def _record(session: Session, who: Principal, kind: Kind, record_id: str) -> dict[str, Any]:
    owner = None if who.is_admin else who.user_id
    found = records.latest(session, kind, owner_id=owner, limit=1, id=record_id)
    if not found:
        raise NotFound(f'There is no {kind} "{record_id}". Import it with `hub import {kind}s FILE`.')
    return found[0]


def _kind(word: str) -> Kind:
    name = word.lower().removesuffix("s")
    if name not in set(Kind):
        raise Invalid(f'"{word}" is not a kind of record. Kinds are scan, case and alert.')
    return Kind(name)
