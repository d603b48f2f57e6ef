"""The ids of one page of a log, newest first: of everybody's by the key, of some connections' from each one's end.

To walk a log of millions from its newest row until enough rows of one person have come by may mean to walk all of
it. Each log that is paged has an index of connection and id, so what a connection has last is found at once.
"""

from collections.abc import Sequence
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, and_, select, true, tuple_
from sqlmodel import Session, col

from core.access import Principal
from core.access.scope import row_of
from core.storage.models import Connection, Delivery, RunLog, SiemEvent, TicketLink

Row = Delivery | RunLog | SiemEvent | TicketLink
Log = type[Row]
#: the column of each log that names the connection
OF: dict[Any, Any] = {
    Delivery: Delivery.webhook_id,
    RunLog: RunLog.user_integration_id,
    SiemEvent: SiemEvent.integration_id,
    TicketLink: TicketLink.integration_id,
}


def chosen(
    session: Session, who: Principal, ref: str | None, theirs: ColumnElement[bool]
) -> Sequence[str] | None:
    """Ids of the connections of which `who` reads: the one that `ref` names, or all of theirs. None: everybody's."""
    if ref is None and who.is_admin:
        return None
    one = true() if ref is None else col(Connection.id) == row_of(session, who, ref)[0].id
    return session.execute(select(col(Connection.id)).where(theirs, one)).scalars().all()


def newest(
    session: Session,
    log: Log,
    connections: Sequence[str] | None,
    *where: ColumnElement[bool],
    limit: int,
    before: int | None = None,
) -> list[int]:
    """Find at most `limit` ids below `before` that fit `where`, as nearly every row does; the highest first."""
    fits, by_key = and_(true(), *where), (col(log.id).desc(),)
    if connections is None:
        return _first(session, log, and_(_older(log, before), fits), by_key, limit)
    found: list[int] = []
    for last, connection in _ends(session, log, connections, before):
        if len(found) == limit and last < found[-1]:
            break  # nor has any of the connections that follow a newer one
        theirs, order = of_one(session, log, connection, before)
        page = _first(session, log, and_(theirs, fits), order, limit)
        found = list(islice(merge(found, page, reverse=True), limit))
    return found


def newest_of_few(
    session: Session,
    log: Log,
    connections: Sequence[str] | None,
    *where: ColumnElement[bool],
    limit: int,
    before: int | None = None,
) -> list[int]:
    """The same where `where` names a partial index: its rows are few enough to be sorted."""
    among = true() if connections is None else col(OF[log]).in_(connections)
    # by a sum: in the order of the key itself both databases would walk the whole log
    order = ((col(log.id) + 0).desc(),)
    return _first(session, log, and_(_older(log, before), among, *where), order, limit)


def _ends(
    session: Session, log: Log, connections: Sequence[str], before: int | None
) -> list[tuple[int, str]]:
    """(its last id, connection), the newest first; without connections that have none."""
    theirs, order = of_one(session, log, col(Connection.id), before)
    last = select(col(log.id)).where(theirs).order_by(*order).limit(1).scalar_subquery()
    query: Any = select(last.label("last"), col(Connection.id)).where(col(Connection.id).in_(connections))
    return sorted(((last, id) for last, id in session.execute(query) if last is not None), reverse=True)


def of_one(
    session: Session, log: Log, connection: Any, before: int | None, since: int = 0
) -> tuple[ColumnElement[bool], tuple[Any, ...]]:
    """Rows of one connection, ids from `since` to below `before`, and their order, newest first.

    On PostgreSQL as a range of the index that has both: said as an equation, the key's order is as good to it, and
    it walks everybody's rows for those of one. Of such a range SQLite uses the first column alone.
    """
    of, key = col(OF[log]), col(log.id)
    if session.get_bind().dialect.name == "sqlite":
        return and_(of == connection, key >= since, _older(log, before)), (key.desc(),)
    end = of <= connection if before is None else tuple_(of, key) < tuple_(connection, before)
    return and_(tuple_(of, key) >= tuple_(connection, since), end), (of.desc(), key.desc())


def _older(log: Log, before: int | None) -> ColumnElement[bool]:
    return true() if before is None else col(log.id) < before


def _first(
    session: Session, log: Log, fits: ColumnElement[bool], order: Sequence[Any], limit: int
) -> list[int]:
    query: Any = select(col(log.id)).where(fits).order_by(*order).limit(limit)
    return list(session.execute(query).scalars())
