"""What a replay of many would do, before it does anything: how many, how old, what may be there already."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import ColumnElement, and_, case, func, literal_column, select, true
from sqlmodel import Session, col

from core import integrations
from core.access import Principal, changeable
from core.access.principal import require_member
from core.access.scope import row_of
from core.delivery.histogram import BOUNDS_MS, add_to_histogram, percentile
from core.delivery.history import page
from core.delivery.history.lists import theirs
from core.delivery.history.replay_filter import ReplayFilter, has_ticket
from core.storage import db
from core.storage.models import CatalogEntry, Connection, Delivery, HourlyFigures, State

#: Rows that are looked at to count what was delivered, of all connections together; and of each at least. Each lies
#: elsewhere in a large log: a thousand take 50 ms.
COUNTED, FEWEST = 1_000, 20
#: hours with calls that say how long one takes
HOURS = 24
MEASURED = timedelta(days=7)  # of calls that say how fast a vendor without a named rate is


@dataclass(frozen=True)
class _Counts:
    connection_id: str
    more: bool  # there are older ones, which were not counted
    count: int = 0
    oldest_at: datetime | None = None
    newest_at: datetime | None = None
    in_doubt: int = 0
    tickets: int = 0
    without_body: int = 0


@dataclass(frozen=True, kw_only=True)
class Share(_Counts):
    """One connection's part. `seconds` is None where neither the vendor's rate nor a past call tells."""

    connection: str
    is_active: bool
    delivered: int
    seconds: float | None

    @property
    def duplicates(self) -> int:
        return self.delivered + self.in_doubt


@dataclass(frozen=True)
class Plan:
    """`count` go back in the queue. Known duplicates among them: `delivered` (sent twice) and `in_doubt` (may
    have arrived). `tickets` are left out, because their ticket exists; `without_body` are mapped again.
    With `more` all these are only the newest: what was delivered may be millions, which nobody waits for."""

    at: datetime
    state: State
    shares: tuple[Share, ...]

    @property
    def count(self) -> int:
        return sum(share.count for share in self.shares)

    @property
    def is_empty(self) -> bool:
        return not self.count and not self.more

    @property
    def more(self) -> bool:
        return any(share.more for share in self.shares)

    @property
    def delivered(self) -> int:
        return sum(share.delivered for share in self.shares)

    @property
    def in_doubt(self) -> int:
        return sum(share.in_doubt for share in self.shares)

    @property
    def tickets(self) -> int:
        return sum(share.tickets for share in self.shares)

    @property
    def without_body(self) -> int:
        return sum(share.without_body for share in self.shares)

    @property
    def duplicates(self) -> int:
        return self.delivered + self.in_doubt

    @property
    def oldest_at(self) -> datetime | None:
        return min((share.oldest_at for share in self.shares if share.oldest_at), default=None)

    @property
    def newest_at(self) -> datetime | None:
        return max((share.newest_at for share in self.shares if share.newest_at), default=None)

    @property
    def seconds(self) -> float | None:
        """Connections work side by side: the slowest one's."""
        known = [share.seconds for share in self.shares]
        return None if not known or None in known else max(s for s in known if s is not None)

    def warnings(self) -> list[str]:
        """List what a person should know before they say yes, a sentence each."""
        said = (
            (self.delivered, "were delivered: the tool gets them a second time."),
            (self.in_doubt, "may have arrived: where the tool does not know our key, it shows them twice."),
            (self.without_body, "have no body: they are mapped again, or stay where they are."),
            (self.tickets, "are left out: their ticket exists, and a case never gets a second one."),
        )
        return [f"{counted(number, self.more)} {words}" for number, words in said if number]


def counted(number: int, more: bool) -> str:
    """`1,200`, or `1,000 or more`."""
    return f"{number:,} or more" if more else f"{number:,}"


def plan(who: Principal, wanted: ReplayFilter) -> Plan:
    """Count what a replay would do; changes nothing. Raises NotFound for someone else's connection, Forbidden
    for a viewer."""
    with db.reading() as session:
        return planned(session, who, wanted)


def planned(session: Session, who: Principal, wanted: ReplayFilter) -> Plan:
    require_member(who, "replay deliveries")
    now = db.now(session)
    asked = session.execute(
        select(Connection, col(CatalogEntry.slug))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(changeable(who), col(Connection.deleted_at).is_(None), _of(session, who, wanted))
    )
    found = {connection.id: (connection, slug) for connection, slug in asked}
    count = _count_newest if wanted.state is State.DELIVERED else _count_all
    shares = [
        _share(session, *found[counts.connection_id], counts, wanted, now)
        for counts in count(session, who, list(found), wanted)
    ]
    return Plan(now, wanted.state, tuple(sorted(shares, key=lambda share: share.connection.lower())))


def _count_all(
    session: Session, who: Principal, connections: Sequence[str], wanted: ReplayFilter
) -> list[_Counts]:
    """What stopped is a small part of the log, and has indexes of its own."""
    return _counted(session, wanted, and_(col(Delivery.webhook_id).in_(connections), theirs(who)), more=False)


def _count_newest(
    session: Session, who: Principal, connections: Sequence[str], wanted: ReplayFilter
) -> list[_Counts]:
    """What was delivered is nearly the whole log: as far as COUNTED rows go."""
    first, end = wanted.span(session)
    room = max(FEWEST, COUNTED // max(1, len(connections)))
    found = []
    for connection in connections:
        rows, order = page.of_one(session, Delivery, connection, end, since=first)
        newest = select(col(Delivery.id)).where(rows).order_by(*order).limit(room + 1)
        ids = session.execute(newest).scalars().all()
        more = len(ids) > room
        counts = _counted(session, wanted, and_(col(Delivery.id).in_(ids[:room]), theirs(who)), more=more)
        found += counts or ([_Counts(connection, more)] if more else [])
    return found


def _counted(
    session: Session, wanted: ReplayFilter, mine: ColumnElement[bool], *, more: bool
) -> list[_Counts]:
    """Per connection, by the database: what goes back in the queue, and of how many the ticket exists."""
    is_ticket = has_ticket().label("is_ticket")  # asked once a row, so it is what they are grouped by
    query = (
        select(
            col(Delivery.webhook_id),
            is_ticket,
            func.count().label("number"),
            func.min(col(Delivery.created_at)).label("oldest"),
            func.max(col(Delivery.created_at)).label("newest"),
            func.sum(_one_if(col(Delivery.in_doubt_since).is_not(None))).label("in_doubt"),
            func.sum(_one_if(col(Delivery.payload).is_(None))).label("without_body"),
        )
        .where(mine, wanted.fits())
        .group_by(col(Delivery.webhook_id), literal_column("is_ticket"))
    )
    found: dict[str, _Counts] = {}
    for row in session.execute(query):
        before = found.get(row.webhook_id, _Counts(row.webhook_id, more))
        if row.is_ticket:
            found[row.webhook_id] = replace(before, tickets=row.number)
        else:
            found[row.webhook_id] = replace(
                before,
                count=row.number,
                oldest_at=row.oldest,
                newest_at=row.newest,
                in_doubt=int(row.in_doubt),
                without_body=int(row.without_body),
            )
    return list(found.values())


def _of(session: Session, who: Principal, wanted: ReplayFilter) -> ColumnElement[bool]:
    if wanted.connection is None:
        return true()
    return col(Connection.id) == row_of(session, who, wanted.connection, to_change=True)[0].id


def _one_if(condition: ColumnElement[bool]) -> Any:
    return case((condition, 1), else_=0)


def _share(
    session: Session, connection: Connection, slug: str, counts: _Counts, wanted: ReplayFilter, now: datetime
) -> Share:
    return Share(
        connection=connection.name,
        is_active=connection.is_active,
        delivered=counts.count if wanted.state is State.DELIVERED else 0,
        seconds=_seconds(session, connection, slug, counts.count, now),
        **asdict(counts),
    )


def _seconds(session: Session, connection: Connection, slug: str, count: int, now: datetime) -> float | None:
    """At the vendor's rate; without one, as long as half of this connection's last calls of a week took."""
    if slug not in integrations.manifests():
        return None
    limits = integrations.get(slug).limits
    calls = ceil(count / min(limits.batch_items, connection.batch_learned or limits.batch_items))
    if limits.requests_per_minute:
        return calls * 60 / limits.requests_per_minute
    usual_ms = _usual_call_ms(session, connection.id, now)
    return None if usual_ms is None else calls * usual_ms / 1000


def _usual_call_ms(session: Session, connection_id: str, now: datetime) -> float | None:
    found = session.execute(
        select(col(HourlyFigures.call_ms))
        .where(col(HourlyFigures.connection_id) == connection_id, col(HourlyFigures.hour) >= now - MEASURED)
        .where(col(HourlyFigures.calls) > 0)
        .order_by(col(HourlyFigures.hour).desc())
        .limit(HOURS)
    )
    counts = add_to_histogram([], BOUNDS_MS, [])
    for histogram in found.scalars():
        counts = [one + other for one, other in zip(counts, histogram or [0] * len(counts), strict=False)]
    return percentile(counts, BOUNDS_MS, 0.5)
