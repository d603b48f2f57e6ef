"""Deliveries by what a person types: a record's id or how it begins, a delivery's key, a ticket's number, or words."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from core import records
from core.storage.models import RECORD_TABLES, Connection, Delivery, Kind, TicketLink

KEY_PREFIX = "fiq-"  # of core.integrations.mapping.delivery_key
#: so much of an id is taken for its beginning; less may well be somebody's name
SHORTEST = 6
#: records whose id begins so, of each kind
MOST = 100
#: where the name of a record's subject is, and its own id
_NAMED_IN = ("id", "email", "username", "first_name", "last_name", "phone", "domain")


def named(session: Session, typed: str, where: Sequence[ColumnElement[bool]]) -> list[int]:
    """Find the deliveries that `typed` is a name of, the highest id first: a record's id, a key, a ticket.

    Each by an index of its own: as one statement with OR, both databases read every row.
    """
    if typed.startswith(KEY_PREFIX):
        # a key alone is in no index, with its connection it is
        keyed = (col(Delivery.webhook_id).in_(select(col(Connection.id))), col(Delivery.key) == typed)
        listed = col(Delivery.digest_id).in_(select(col(Delivery.id)).where(*keyed))
        parts: list[tuple[ColumnElement[bool], ...]] = [keyed, (listed,)]
    else:
        parts = [*_of_records(session, typed), *_of_tickets(session, typed)]
    found = [session.execute(select(col(Delivery.id)).where(*part, *where)).scalars() for part in parts]
    return sorted({id for ids in found for id in ids if id is not None}, reverse=True)


def _of_records(session: Session, typed: str) -> list[tuple[ColumnElement[bool], ...]]:
    """By the record's id, or by its beginning where no record has it for an id."""
    whole = {kind: records.local_ids(session, kind, typed) for kind in RECORD_TABLES}
    if not any(whole.values()) and len(typed) >= SHORTEST:
        whole = {kind: records.beginning_with(session, kind, typed, MOST) for kind in RECORD_TABLES}
    return [
        (col(Delivery.record_kind) == kind, col(Delivery.record_id).in_(local_ids))
        for kind, local_ids in whole.items()
        if local_ids
    ]


def _of_tickets(session: Session, typed: str) -> list[tuple[ColumnElement[bool], ...]]:
    """By the ticket's number, as it is written or in capitals; with its connection it is in an index."""
    link = (col(TicketLink.integration_id), col(TicketLink.case_local_id))
    query = select(*link).where(
        col(TicketLink.integration_id).in_(select(col(Connection.id))),
        col(TicketLink.external_ticket_id).in_({typed, typed.upper()}),
    )
    return [
        (
            col(Delivery.record_kind) == Kind.CASE,
            col(Delivery.record_id) == case,
            col(Delivery.webhook_id) == connection,
        )
        for connection, case in session.execute(query)
    ]


def has_words(typed: str, title: str, vendor_id: str | None, record: Mapping[str, Any] | None) -> bool:
    """Is each word somewhere in what the list shows of it, or in who its record is about?"""
    names = [str(record[name]) for name in _NAMED_IN if record.get(name)] if record else []
    text = " ".join((title, vendor_id or "", *names)).casefold()
    return all(word in text for word in typed.casefold().split())
