"""Runs, deliveries, SIEM events and tickets, newest first, a page at a time."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Select,
    SQLColumnExpression,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from core.access import Principal, visible
from core.access.scope import WITHHELD
from core.delivery import outbox
from core.delivery.history import page
from core.delivery.history.serialize import details, views
from core.delivery.history.views import DeliveryDetails, DeliveryView, EventView, RunView, TicketView
from core.delivery.outbox.queries import in_state
from core.platform.errors import Invalid, NotFound, did_you_mean
from core.storage import db
from core.storage.models import (
    NOT_EXPORTED,
    RECORD_TABLES,
    Connection,
    Delivery,
    HourlyFigures,
    Kind,
    RunLog,
    SiemEvent,
    State,
    TicketLink,
)

T = TypeVar("T", bound=page.Row)
MAX_LIMIT = 500
#: in the words of the index of events that wait; without a type, or SQLite reads "… = 1"
_EXPORTED: ColumnElement[bool] = literal_column("is_exported")
_NOT_EXPORTED: ColumnElement[bool] = literal_column(str(NOT_EXPORTED))


def logs(
    who: Principal, ref: str | None = None, *, limit: int = 50, before: int | None = None
) -> list[RunView]:
    """List runs; `before` is the id of the last one seen."""
    with db.reading() as session:
        seen = page.chosen(session, who, ref, visible(who))
        ids = page.newest(session, RunLog, seen, limit=_bounded(limit), before=before)
        own = page.chosen(session, who, ref, owned(who))
        return [
            _run(row, name, is_own=own is None or row.user_integration_id in own)
            for row, name in _rows(session, RunLog, ids)
        ]


def listing(
    who: Principal,
    ref: str | None = None,
    *,
    state: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[DeliveryView]:
    """List deliveries that were queued since then; `before` is the id of the last one seen."""
    if state is not None and state not in set(State):
        raise Invalid(f'"{state}" is not a state.{did_you_mean(state, State)} States are {", ".join(State)}.')
    with db.reading() as session:
        mine = page.chosen(session, who, ref, owned(who))
        find = page.newest if state in (None, State.DELIVERED) else page.newest_of_few
        fits = [theirs(who), true() if state is None else in_state(State(state))]
        fits += [] if since is None else [col(Delivery.id) >= outbox.first_since(session, since)]
        ids = find(session, Delivery, mine, *fits, limit=_bounded(limit), before=before)
        return views(session, _rows(session, Delivery, ids))


def one(who: Principal, delivery_id: int) -> DeliveryDetails:
    """Show one delivery with its payload and its last attempt's exchanges. Raises NotFound, also for someone else's."""
    with db.reading() as session:
        row, name = row_and_name(session, who, delivery_id)
        (view,) = views(session, [(row, name)])
        shown = details(session, view, row.payload, tried=row, row=row)
        return shown if sees_calls(session, who, row) else replace(shown, attempts=[])


def events(
    who: Principal,
    ref: str | None = None,
    *,
    exported: bool | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[EventView]:
    """List what SIEMs were given or will be; `before` is the id of the last one seen."""
    with db.reading() as session:
        mine = page.chosen(session, who, ref, owned(who))
        find = page.newest_of_few if exported is False else page.newest
        fits = {None: true(), True: _EXPORTED, False: _NOT_EXPORTED}[exported]
        of_theirs = exists().where(col(Delivery.id) == col(SiemEvent.delivery_id), theirs(who))
        fits = fits if who.is_admin else and_(fits, of_theirs)
        ids = find(session, SiemEvent, mine, fits, limit=_bounded(limit), before=before)
        return [_event(row, name) for row, name in _rows(session, SiemEvent, ids)]


def tickets(
    who: Principal, ref: str | None = None, *, limit: int = 50, before: int | None = None
) -> list[TicketView]:
    """List which case is which ticket; `before` is the id of the last one seen."""
    with db.reading() as session:
        mine = page.chosen(session, who, ref, owned(who))
        fits = true() if who.is_admin else own_case(who)
        ids = page.newest(session, TicketLink, mine, fits, limit=_bounded(limit), before=before)
        return [_ticket(row, name) for row, name in _rows(session, TicketLink, ids)]


def delivered_since(connection_id: str, moment: datetime) -> int:
    """Records that arrived from the start of `moment`'s hour on, by the hourly figures."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    wanted = select(func.sum(col(HourlyFigures.delivered))).where(
        col(HourlyFigures.connection_id) == connection_id, col(HourlyFigures.hour) >= hour
    )
    with db.reading() as session:
        return int(session.execute(wanted).scalar_one() or 0)


def row_and_name(session: Session, who: Principal, delivery_id: int) -> tuple[Delivery, str]:
    wanted = _named(Delivery).where(owned(who), theirs(who), col(Delivery.id) == delivery_id)
    found = session.execute(wanted).first()
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id}. List them with `hub deliveries`.")
    return found[0], found[1]


def owned(who: Principal) -> ColumnElement[bool]:
    """`shared` shows others a connection, not the records that went through it."""
    return true() if who.is_admin else col(Connection.user_id) == who.user_id


def theirs(who: Principal) -> ColumnElement[bool]:
    """Where clause on deliveries of their connections: not those of records that are somebody else's.

    Those are in the log of a connection that once sent everybody's, or had another owner.
    """
    if who.is_admin:
        return true()
    own = [
        and_(
            col(Delivery.record_kind) == str(kind),
            exists().where(
                col(table.local_id) == col(Delivery.record_id), col(table.owner_id) == who.user_id
            ),
        )
        for kind, table in RECORD_TABLES.items()
    ]
    return or_(_never_mixed(col(Delivery.webhook_id)), *own)


def own_case(who: Principal) -> ColumnElement[bool]:
    """The same for tickets."""
    table = RECORD_TABLES[Kind.CASE]
    own = exists().where(
        col(table.local_id) == col(TicketLink.case_local_id), col(table.owner_id) == who.user_id
    )
    return or_(_never_mixed(col(TicketLink.integration_id)), own)


def sees_calls(session: Session, who: Principal, row: Delivery) -> bool:
    """Whether they may see the calls of a delivery: those carry other people's records too."""
    connection = session.get_one(Connection, row.webhook_id)
    return who.is_admin or (connection.user_id == who.user_id and not connection.mixed)


def _never_mixed(connection_id: SQLColumnExpression[str]) -> ColumnElement[bool]:
    sender = aliased(Connection)  # whoever asks may have the connection in their own statement
    return exists().where(col(sender.id) == connection_id, col(sender.mixed).is_(False))


def _rows(session: Session, log: type[T], ids: Sequence[int]) -> list[tuple[T, str]]:
    """(row, name of its connection), the newest first."""
    key: Any = log.id
    query: Any = _named(log).where(key.in_(ids)).order_by(key.desc())
    return [(row, name) for row, name in session.execute(query)]


def _named(log: type[T]) -> Select[T, str]:
    return select(log, col(Connection.name)).join(Connection, col(Connection.id) == col(page.OF[log]))


def _run(row: RunLog, connection: str, *, is_own: bool) -> RunView:
    return RunView(
        id=row.id or 0,
        connection=connection,
        connection_id=row.user_integration_id,
        action=row.sync_type,
        status=row.status,
        records=row.records_synced,
        error=row.error_message if is_own or not row.error_message else WITHHELD,
        metadata=row.meta,
        started_at=row.created_at,
        finished_at=row.finished_at,
    )


def _event(row: SiemEvent, connection: str) -> EventView:
    return EventView(
        id=row.id or 0,
        connection=connection,
        connection_id=row.integration_id,
        delivery_id=row.delivery_id,
        event_type=row.event_type,
        severity=row.severity,
        source=row.source,
        title=row.title,
        description=row.description,
        raw_data=row.raw_data,
        is_exported=row.is_exported,
        exported_at=row.exported_at,
        created_at=row.created_at,
    )


def _ticket(row: TicketLink, connection: str) -> TicketView:
    return TicketView(
        id=row.id or 0,
        connection=connection,
        connection_id=row.integration_id,
        case_id=row.case_id,
        external_ticket_id=row.external_ticket_id,
        ticket_url=row.ticket_url,
        status=row.status,
        priority=row.priority,
        metadata=row.meta,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))
