"""A connection that fails for days: its owner is told, and in the end it is switched off.

Told through the connection that `notify_via` names, which is never the failing one and never one that fails
itself, so a chain of them cannot go round. What is told, the mark that it was told, and the switching off are
one transaction: a day is told once, however many schedulers look and whenever they die.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import Session, col

from core import integrations
from core.access.audit import audit
from core.delivery import auto_disable, outbox
from core.delivery.apart import apart
from core.delivery.hub_messages import Words, queue
from core.integrations import options
from core.integrations.mapping import Unmappable
from core.platform.errors import Invalid
from core.platform.settings import settings
from core.storage import db, due_times
from core.storage.models import CatalogEntry, Category, Connection, HubMessageKind

#: handled in one go; the next look is seconds away
MOST = 200
_FIRST = timedelta(days=auto_disable.NOTICE_DAYS[0])


def attend() -> list[str]:
    """Tell and switch off what is due. Returns the ids of connections that were switched off now."""
    with db.reading() as session:
        now = db.now(session)
        failing = session.execute(select(Connection).where(_failing(now))).scalars().all()
        due = [connection.id for connection in failing if _is_due(connection, now)]
    return [connection_id for connection_id in due[:MOST] if _attend_apart(connection_id)]


def _attend_apart(connection_id: str) -> bool:
    with apart("notice failed", connection=connection_id):
        return _attend_one(connection_id)
    return False


def _failing(now: datetime) -> ColumnElement[bool]:
    """For a day at least, and not told for the last time; or switched off at once by the vendor (410)."""
    off = and_(col(Connection.is_active).is_(False), col(Connection.problem).is_not(None))
    return and_(
        col(Connection.failing_since).is_not(None),
        col(Connection.deleted_at).is_(None),
        col(Connection.told_day) < auto_disable.NOTICE_DAYS[-1],
        or_(col(Connection.failing_since) <= now - _FIRST, off),
    )


def _is_due(connection: Connection, now: datetime) -> bool:
    """Whether a transaction is worth its lock: most that fail have been told, or have nobody to tell."""
    assert connection.failing_since is not None
    over = auto_disable.is_over(connection.failing_since, connection.last_failure_at, now)
    return (connection.is_active and over) or bool(
        connection.options.get("notify_via") and _day(connection, now) is not None
    )


def _day(connection: Connection, now: datetime) -> int | None:
    """Find the notice that is due: after which day of failing (1, 3, 5), or None."""
    if not connection.is_active:
        return auto_disable.NOTICE_DAYS[-1]
    if connection.failing_since is None or not auto_disable.is_known(connection.last_failure_at, now):
        return None  # nothing was sent lately: nobody knows whether it still fails
    return auto_disable.day_to_tell(connection.failing_since, connection.told_day, now)


@db.unit
def _attend_one(connection_id: str) -> bool:
    with db.session() as session:
        now = db.now(session)
        connection, via, slug = _locked(session, connection_id)
        since = connection.failing_since
        if since is None or connection.deleted_at is not None:
            return False
        over = connection.is_active and auto_disable.is_over(since, connection.last_failure_at, now)
        if over:
            _switch_off(session, connection, slug, now)
        day = _day(connection, now)
        if day is not None and via is not None and day > connection.told_day:
            _tell(session, connection, slug, via, day, now)
        session.add(connection)
        return over


def _locked(session: Session, connection_id: str) -> tuple[Connection, tuple[Connection, str] | None, str]:
    """The failing connection and the one that tells, both locked, always in the same order."""
    asked = session.get_one(Connection, connection_id)
    ref = str(asked.options.get("notify_via") or "")
    named = or_(
        col(Connection.id) == ref, and_(col(Connection.name) == ref, col(Connection.user_id) == asked.user_id)
    )
    rows = session.execute(
        select(Connection, col(CatalogEntry.slug))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(
            or_(col(Connection.id) == connection_id, named if ref else col(Connection.id) == connection_id)
        )
        .order_by(col(Connection.id))
        .with_for_update(of=Connection, key_share=True)
        .execution_options(populate_existing=True)
    ).all()
    mine = next((row[0], row[1]) for row in rows if row[0].id == connection_id)
    others = [(row[0], row[1]) for row in rows if row[0].id != connection_id]
    return mine[0], next((other for other in others if _can_tell(*other)), None), mine[1]


def _can_tell(via: Connection, slug: str) -> bool:
    """On, and well: what fails itself would only queue the notice, and two that fail would wait for each other."""
    is_well = via.is_active and via.deleted_at is None and not via.failures and via.problem is None
    manifest = integrations.manifests().get(slug)
    return is_well and manifest is not None and manifest.category is Category.COMMUNICATION


def _name(slug: str) -> str:
    """Return the vendor's name, or the slug when its preset file is missing."""
    manifest = integrations.manifests().get(slug)
    return manifest.name if manifest else slug


def _switch_off(session: Session, connection: Connection, slug: str, now: datetime) -> None:
    assert connection.failing_since is not None
    last = f" The last answer was: {connection.problem}" if connection.problem else ""
    connection.problem = (
        f"Switched off: nothing reached {_name(slug)} for {auto_disable.NOTICE_DAYS[-1]} days, "
        f"since {connection.failing_since:%d %b %H:%M} UTC.{last} What waits is kept: correct the cause, "
        "then switch it on."
    )
    connection.is_active = False
    connection.updated_at = now
    audit(session, "hub", "connection.disable", connection.id, name=connection.name, reason="failing")


def _tell(
    session: Session, connection: Connection, slug: str, via: tuple[Connection, str], day: int, now: datetime
) -> None:
    channel, channel_slug = via
    manifest = integrations.get(channel_slug)
    waiting = outbox.count_waiting(session, connection.id)
    try:
        chosen = options.parse(channel.options, manifest.category)
        queue(session, channel, manifest, chosen, _words(connection, slug, day, waiting), now)
    except (Unmappable, Invalid):
        return  # a mapping of its own that takes no message of ours; the pages tell it
    connection.told_day = day
    due_times.wake(channel, now)
    session.add(channel)


def _words(connection: Connection, slug: str, day: int, waiting: int) -> Words:
    since = connection.failing_since
    assert since is not None
    vendor, is_on = _name(slug), connection.is_active
    lines = [f'"{connection.name}" has delivered nothing to {vendor} since {since:%Y-%m-%d %H:%M} UTC.']
    if connection.problem:
        lines.append(connection.problem)
    if is_on:
        until = f"{auto_disable.disable_at(since):%Y-%m-%d %H:%M} UTC"
        lines.append(f"It will be switched off on {until} unless a delivery succeeds before.")
    lines.append(f"{waiting:,} records wait; none of them is lost.")
    state = "fails" if is_on else "was switched off"
    return Words(
        kind=HubMessageKind.NOTICE,
        key=f"fiq-notice-{connection.id}-{int(since.timestamp() * 1000)}-{day}",
        event_type=f"footprintiq.hub.connection_{'failing' if is_on else 'disabled'}",
        type="Hub notice",
        title=f'Connection "{connection.name}" {state}',
        text="\n".join(lines),
        severity="high" if is_on else "critical",
        subject=connection.name,
        url=f"{settings().public_url}/connection?id={connection.id}",
        about_id=connection.id,
    )
