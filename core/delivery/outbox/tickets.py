"""Which ticket a case may have already, decided with its claim: at the place, by whatever connection.

`webhook_deliveries.place` says where a row's ticket is, or may be. It is written with the claim that may create
the ticket and emptied when it is certain that it did not. So a row that has a place and no ticket is in doubt,
for its own connection and for every other one that writes to the same place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import literal_column, select, union, update
from sqlmodel import Session, col

from core.delivery.outcome import InDoubtPolicy, Outcome, Row, still_in_doubt
from core.integrations import manifests, place_of, site_of
from core.integrations.base import CaseStatus, Ticket
from core.storage.models import CatalogEntry, Connection, Delivery, Kind, State, TicketLink

#: where a row may be that nobody wrote down: wherever its connection writes
UNKNOWN = ""


@dataclass(frozen=True, slots=True)
class TicketTarget:
    """Where a run creates tickets, how it looks for one, and how priorities are spelt there."""

    place: str
    doubt: InDoubtPolicy
    severity: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Twin:
    """The row of another connection, also of a deleted one, that put the same case at the same place, or may have.

    `since`: when it may have been sent last.
    """

    record_id: int
    key: str
    since: datetime
    ticket: Ticket | None


@dataclass(frozen=True, slots=True)
class Search:
    """What comes before a row's ticket is created: `known` is linked without a call, else it is looked for.

    When no key is found at any place, the row becomes `missing`; without that it is created now.
    """

    keys: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    known: Ticket | None = None
    missing: Outcome | None = None

    @property
    def may_create(self) -> bool:
        return self.known is None and self.missing is None


def searches(
    session: Session, connection_id: str, rows: Sequence[Row], target: TicketTarget, now: datetime
) -> list[tuple[Row, Search | None]]:
    """Each row with its doubt as of now, and what comes before its ticket; None where it is certain."""
    found = _twins(session, connection_id, rows, target.place, now)
    return [
        plan(
            row,
            [twin for twin in found if row.record_id == twin.record_id or row.key == twin.key],
            target,
            now,
        )
        for row in rows
    ]


def plan(row: Row, twins: Sequence[Twin], target: TicketTarget, now: datetime) -> tuple[Row, Search | None]:
    """Pure: the rule of second tickets."""
    known = next((twin.ticket for twin in twins if twin.ticket), None)
    if known is not None:
        return row, Search(known=known)
    if row.place is None and not twins:
        return replace(row, in_doubt_since=None, look_ups=0), None
    row = _doubted(row, twins, now)
    before = row.place or target.place
    if site_of(before) != site_of(target.place):  # these credentials are not for that site
        return row, Search(missing=held(row, before, f"The connection writes to {target.place} now."))
    missing = still_in_doubt(row, target.doubt, now)
    if missing is None and before != target.place:
        missing = _moved(row, now)
    keys = dict.fromkeys([row.key, *(twin.key for twin in twins)])
    return row, Search(tuple(keys), tuple(dict.fromkeys([target.place, before])), missing=missing)


def held(row: Row, place: str, why: str) -> Outcome:
    """Hold a row where the hub cannot look for its ticket, so that a person does: releasing the row creates
    the ticket."""
    reason = (
        f"It may be in {place}, where the hub cannot look for it. {why} Look there for {row.key}: "
        "discard this delivery if it is there, release it to create the ticket here."
    )
    since = row.in_doubt_since
    return Outcome(row.id, State.HELD, row.attempt_count, reason, in_doubt_since=since, place=place)


def settle_places(session: Session, connection_id: str, place: str) -> None:
    """Write down where rows may be that nobody wrote down, before their connection writes elsewhere."""
    session.execute(
        update(Delivery)
        .where(col(Delivery.webhook_id) == connection_id, col(Delivery.place) == UNKNOWN)
        .values(place=place)
    )


def _doubted(row: Row, twins: Sequence[Twin], now: datetime) -> Row:
    """The look-ups begin again when a twin may have been sent later than they did."""
    newest = max((twin.since for twin in twins), default=None)
    if row.in_doubt_since is None:
        return replace(row, in_doubt_since=now, look_ups=0)
    if newest is not None and newest > row.in_doubt_since:
        return replace(row, in_doubt_since=newest, look_ups=0)
    return row


def _moved(row: Row, now: datetime) -> Outcome:
    """All look-ups are done where it was sent before: with the next claim it is new at the place of today."""
    return Outcome(row.id, State.PENDING, row.attempt_count, next_attempt_at=now)


def _twins(
    session: Session, connection_id: str, rows: Sequence[Row], place: str, now: datetime
) -> list[Twin]:
    linked = (col(TicketLink.integration_id) == Delivery.webhook_id) & (
        col(TicketLink.case_local_id) == Delivery.record_id
    )
    names = ("record_id", "key", "state", "in_doubt_since", "vendor_id", "place")
    told = ("ticket_url", "status", "priority", "meta")
    found = session.execute(
        select(
            *(col(getattr(Delivery, name)) for name in names),
            *(col(getattr(TicketLink, name)).label(f"link_{name}") for name in told),
            *(col(Connection.config), col(CatalogEntry.slug)),
        )
        .join(Connection, col(Connection.id) == Delivery.webhook_id)
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .outerjoin(TicketLink, linked)
        .where(
            col(Delivery.id).in_(_same_cases(rows)),
            col(Delivery.webhook_id) != connection_id,
            col(Delivery.place).is_not(None),
        )
        .order_by(col(Delivery.id))
    )
    return [
        _twin(other, now) for other in found if (other.place or _place(other.slug, other.config)) == place
    ]


def _twin(other: Any, now: datetime) -> Twin:
    ticket = _linked(other) if other.state == State.DELIVERED and other.vendor_id else None
    since = now if other.state == State.SENDING else other.in_doubt_since or now
    return Twin(other.record_id, other.key, since, ticket)


def _linked(other: Any) -> Ticket:
    """The ticket as its link has it."""
    own = other.link_meta or {}
    return Ticket(
        other.vendor_id,
        other.link_ticket_url,
        status=own.get("status"),
        stage=CaseStatus(other.link_status or CaseStatus.OPEN),
        priority=own.get("priority", other.link_priority),
    )


def _same_cases(rows: Sequence[Row]) -> Any:
    """Ids of the rows of these cases: by record, and by key where one case came in as two records."""
    ids, is_case = select(col(Delivery.id)), col(Delivery.record_kind) == literal_column(f"'{Kind.CASE}'")
    by_record = ids.where(is_case, col(Delivery.record_id).in_([row.record_id for row in rows]))
    return union(by_record, ids.where(is_case, col(Delivery.key).in_([row.key for row in rows])))


def _place(slug: str, config: Mapping[str, Any]) -> str | None:
    manifest = manifests().get(slug)  # None where somebody took a preset's file away
    return place_of(manifest, config) if manifest else None
