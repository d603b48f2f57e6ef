"""Runs, deliveries, SIEM events and tickets, newest first, a page at a time."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, true
from sqlmodel import Session, col

from core import db
from core.access import Principal, visible
from core.connections.views import row_of
from core.deliveries.told import attempts, next_attempts, source_ids, told
from core.errors import Invalid, NotFound, did_you_mean
from core.models import Connection, Delivery, HourlyFigures, Kind, RunLog, SiemEvent, State, TicketLink

MAX_LIMIT = 500


def logs(
    who: Principal, ref: str | None = None, *, limit: int = 50, before: int | None = None
) -> list[dict[str, Any]]:
    """Runs; `before` is the id of the last one seen."""
    with db.reading() as session:
        wanted = (
            select(RunLog, col(Connection.name))
            .join(Connection, col(Connection.id) == col(RunLog.user_integration_id))
            .where(visible(who), _of(session, who, ref), _older(RunLog.id, before))
            .order_by(col(RunLog.id).desc())
            .limit(_bounded(limit))
        )
        return [_run(row, name) for row, name in session.execute(wanted)]


def listing(
    who: Principal,
    ref: str | None = None,
    *,
    state: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """Deliveries; `before` is the id of the last one seen."""
    if state is not None and state not in set(State):
        raise Invalid(f'"{state}" is not a state.{did_you_mean(state, State)} States are {", ".join(State)}.')
    with db.reading() as session:
        wanted = _deliveries(who).where(_of(session, who, ref), _older(Delivery.id, before))
        if state is not None:
            wanted = wanted.where(col(Delivery.state) == state)
        found = session.execute(wanted.order_by(col(Delivery.id).desc()).limit(_bounded(limit))).all()
        return told(session, [(row, name) for row, name in found])


def one(who: Principal, delivery_id: int) -> dict[str, Any]:
    """One delivery with its payload and its last attempt's exchanges. Raises NotFound, also for another's."""
    with db.reading() as session:
        row, name = row_and_name(session, who, delivery_id)
        details: dict[str, Any] = {"payload": row.payload, "attempts": attempts(session, row)}
        details |= {"next_attempts": next_attempts(session, row)}
        return told(session, [(row, name)])[0] | details


def events(
    who: Principal,
    ref: str | None = None,
    *,
    exported: bool | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[dict[str, Any]]:
    """What SIEMs were given or will be; `before` is the id of the last one seen."""
    with db.reading() as session:
        wanted = (
            select(SiemEvent, col(Connection.name))
            .join(Connection, col(Connection.id) == col(SiemEvent.integration_id))
            .where(_owned(who), _of(session, who, ref), _older(SiemEvent.id, before))
            .order_by(col(SiemEvent.id).desc())
            .limit(_bounded(limit))
        )
        if exported is not None:
            wanted = wanted.where(col(SiemEvent.is_exported) == exported)
        return [_event(row, name) for row, name in session.execute(wanted)]


def tickets(
    who: Principal, ref: str | None = None, *, limit: int = 50, before: int | None = None
) -> list[dict[str, Any]]:
    """Which case is which ticket; `before` is the id of the last one seen."""
    with db.reading() as session:
        wanted = (
            select(TicketLink, col(Connection.name))
            .join(Connection, col(Connection.id) == col(TicketLink.integration_id))
            .where(_owned(who), _of(session, who, ref), _older(TicketLink.id, before))
            .order_by(col(TicketLink.id).desc())
            .limit(_bounded(limit))
        )
        rows = session.execute(wanted).all()
        cases = source_ids(session, Kind.CASE, {row.case_id for row, _ in rows})
        return [_ticket(row, name, cases) for row, name in rows]


def delivered_since(connection_id: str, moment: datetime) -> int:
    """Records that arrived from the start of `moment`'s hour on, by the hourly figures."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    wanted = select(func.sum(col(HourlyFigures.delivered))).where(
        col(HourlyFigures.connection_id) == connection_id, col(HourlyFigures.hour) >= hour
    )
    with db.reading() as session:
        return int(session.execute(wanted).scalar_one() or 0)


def row_and_name(session: Session, who: Principal, delivery_id: int) -> tuple[Delivery, str]:
    found = session.execute(_deliveries(who).where(col(Delivery.id) == delivery_id)).first()
    if found is None:
        raise NotFound(f"There is no delivery {delivery_id}. List them with `hub deliveries`.")
    return found[0], found[1]


def _owned(who: Principal) -> ColumnElement[bool]:
    """`shared` shows others a connection, not the records that went through it."""
    return true() if who.is_admin else col(Connection.user_id) == who.user_id


def _of(session: Session, who: Principal, ref: str | None) -> ColumnElement[bool]:
    return true() if ref is None else col(Connection.id) == row_of(session, who, ref)[0].id


def _older(column: Any, before: int | None) -> ColumnElement[bool]:
    return true() if before is None else col(column) < before


def _deliveries(who: Principal) -> Select[Delivery, str]:
    return (
        select(Delivery, col(Connection.name))
        .join(Connection, col(Connection.id) == col(Delivery.webhook_id))
        .where(_owned(who))
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


def _event(row: SiemEvent, connection: str) -> dict[str, Any]:
    names = ("id", "delivery_id", "event_type", "severity", "source", "title", "description", "raw_data")
    times = ("is_exported", "exported_at", "created_at")
    shown = {name: getattr(row, name) for name in (*names, *times)}
    return shown | {"connection": connection, "connection_id": row.integration_id}


def _ticket(row: TicketLink, connection: str, cases: dict[int, str]) -> dict[str, Any]:
    names = ("id", "external_ticket_id", "ticket_url", "status", "priority", "created_at", "updated_at")
    return {name: getattr(row, name) for name in names} | {
        "connection": connection,
        "connection_id": row.integration_id,
        "case_id": cases.get(row.case_id),
    }


def _bounded(limit: int) -> int:
    return max(1, min(limit, MAX_LIMIT))
