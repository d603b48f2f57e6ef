"""What is old goes: texts are emptied, logs removed, hours folded into days, records removed where asked for.

Keys and ticket links stay, so nothing is ever sent again because a log was cleaned, and what is not finished
is left alone. What may go is found by its state and never by how far an earlier sweep came: a row that ends
late is found like any other. Where nothing is old, finding that out reads a few index entries per table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal_column,
    null,
    or_,
    select,
    update,
)
from sqlmodel import Session, SQLModel, col

from core.delivery import journal
from core.platform import settings
from core.records.tables import TABLES, lock
from core.storage import db
from core.storage.models import (
    Attempt,
    AttemptOutcome,
    AuditEntry,
    CatalogEntry,
    Connection,
    Counter,
    Delivery,
    HourlyFigures,
    HubMessage,
    HubMessageKind,
    IdempotencyKey,
    Kind,
    Replay,
    ReplayState,
    RunLog,
    RunStatus,
    SiemEvent,
    SignIn,
    State,
)
from core.storage.models.journal import ANSWERS_KEPT
from core.storage.models.outbox import DELIVERED_TEXT, STOPPED_TEXT
from core.storage.models.words import KIND_OF

#: of writing in one transaction, with the commit and one statement over it less than 100 ms
STEP_S = 0.05
#: hours are shown for 30 days, and whole days before; a few days are left for a clock that was wrong
HOURS_KEPT = timedelta(days=35)
AUDIT_DAYS = 400
_FINISHED = (State.DELIVERED, State.DEAD, State.SKIPPED)


@dataclass(frozen=True)
class RetentionStep:
    """One kind of what grows: `find` the oldest, at most `most` of it, and `take` them; that says how many went."""

    find: Callable[[Session, int], Sequence[Any]]
    take: Callable[[Session, Sequence[Any]], int]
    most: int = 100


def is_any_old(
    session: Session, now: datetime, days: int, audit_days: int = AUDIT_DAYS, record_days: int | None = None
) -> bool:
    """Tell whether a sweep has something to do. Reads only, so that looking holds up no writer."""
    shares = _shares(now, days, audit_days, record_days)
    return any(share.find(session, share.most) for share in shares)


def sweep(
    session: Session, now: datetime, days: int, audit_days: int = AUDIT_DAYS, record_days: int | None = None
) -> int:
    """Take what is old of the first kind that has any, for STEP_S. Returns how many rows went, 0 at the end.

    One kind in one transaction: what it locks is never locked in another order than a run's.
    """
    until = monotonic() + STEP_S
    shares = _shares(now, days, audit_days, record_days)
    return next((taken for share in shares if (taken := _step(session, share, until))), 0)


def _step(session: Session, share: RetentionStep, until: float) -> int:
    taken = 0
    while keys := share.find(session, share.most):
        went = share.take(session, keys)
        taken += went
        if not went or monotonic() >= until:
            break
    return taken


def _shares(now: datetime, days: int, audit_days: int, record_days: int | None) -> list[RetentionStep]:
    old = now - timedelta(days=days)
    records = (
        [] if record_days is None else [_records(kind, now - timedelta(days=record_days)) for kind in Kind]
    )
    return [
        *records,
        # before the attempts: SQLite gives their numbers out again, and an old row must not name a new attempt
        _texts(col(Delivery.delivered_at), _delivered(old)),
        _texts(col(Delivery.created_at), _stopped(old)),
        _log(Attempt, col(Attempt.started_at), old, _ended_before_the_newest()),
        _log(RunLog, col(RunLog.created_at), old, col(RunLog.status) != RunStatus.RUNNING),
        RetentionStep(partial(_oldest_hours, now - HOURS_KEPT), _fold, most=20),
        RetentionStep(partial(oldest_audit, now - timedelta(days=audit_days)), remove_audit),
        _expiry(Replay, col(Replay.finished_at) < old, col(Replay.state) == ReplayState.DONE),
        _expiry(SignIn, col(SignIn.expires_at) < now),
        _expiry(IdempotencyKey, col(IdempotencyKey.created_at) < now - ANSWERS_KEPT),
    ]


# --- texts ----------------------------------------------------------------------------------------


def _delivered(old: datetime) -> list[ColumnElement[bool]]:
    return [literal_column(DELIVERED_TEXT), col(Delivery.delivered_at) < old]


def _stopped(old: datetime) -> list[ColumnElement[bool]]:
    """Dead or skipped: with its last attempt, or never tried."""
    tried = exists().where(col(Attempt.id) == col(Delivery.attempt_id), col(Attempt.started_at) >= old)
    return [literal_column(STOPPED_TEXT), col(Delivery.created_at) < old, ~tried]


def _texts(time: Any, which: list[ColumnElement[bool]]) -> RetentionStep:
    def find(session: Session, most: int) -> Sequence[Any]:
        found = select(col(Delivery.id)).where(*which).order_by(time).limit(most)
        return session.execute(found).scalars().all()

    return RetentionStep(find, partial(_empty, which))


def _empty(which: list[ColumnElement[bool]], session: Session, ids: Sequence[int]) -> int:
    """What was sent, what was answered, why it failed; key, state and the ticket's number stay."""
    own_words = case((col(Delivery.state) == State.SKIPPED, col(Delivery.reason)))
    emptied = session.execute(
        update(Delivery)
        .where(col(Delivery.id).in_(ids), *which)
        .values(payload=None, response_body=None, reason=own_words, attempt_id=None)
        .returning(col(Delivery.id), col(Delivery.record_kind), col(Delivery.record_id))
        .execution_options(synchronize_session=False)
    ).all()
    session.execute(
        update(SiemEvent)
        .where(col(SiemEvent.delivery_id).in_([row.id for row in emptied]))
        .values(raw_data=null(), description="")
        .execution_options(synchronize_session=False)
    )
    if session.get_bind().dialect.name == "sqlite":
        ids = [row.id for row in emptied]
        _pack(session, "webhook_deliveries", "id", ids)
        _pack(session, "siem_events", "delivery_id", ids)
    said = [row.record_id for row in emptied if row.record_kind in set(HubMessageKind)]
    session.execute(delete(HubMessage).where(col(HubMessage.id).in_(said)))
    return len(emptied)


def _pack(session: Session, table: str, key: str, ids: Sequence[int]) -> None:
    """Write rows that have become short once more: SQLite leaves the room in their pages unused after an UPDATE,
    and gives pages back after a DELETE (20,000 rows of 1.2 kB: 2,230 bytes each, and 437 after this)."""
    connection, which = session.connection(), f"WHERE {key} IN ({', '.join(map(str, ids))})"
    rows = connection.exec_driver_sql(f"SELECT * FROM {table} {which} ORDER BY id").fetchall()  # noqa: S608
    if rows:
        connection.exec_driver_sql(f"DELETE FROM {table} {which}")  # noqa: S608
        places = ", ".join("?" * len(rows[0]))
        connection.exec_driver_sql(f"INSERT INTO {table} VALUES ({places})", [*map(tuple, rows)])  # noqa: S608


# --- logs -----------------------------------------------------------------------------------------


def _log(table: type[SQLModel], time: Any, old: datetime, ended: ColumnElement[bool]) -> RetentionStep:
    """A table whose rows are numbered as time goes on."""
    number: Any = col(table.id)  # type: ignore[attr-defined]

    def find(session: Session, most: int) -> Sequence[Any]:
        rows = session.execute(select(number, time).where(ended).order_by(number).limit(most)).all()
        return _leading(rows, old)

    def take(session: Session, ids: Sequence[Any]) -> int:
        return db.affected(session.execute(delete(table).where(number.in_(ids), ended)))

    return RetentionStep(find, take)


def _ended_before_the_newest() -> ColumnElement[bool]:
    """By the newest attempt's number a database that was put back from a backup is known."""
    newest = select(func.max(col(Attempt.id))).scalar_subquery()
    return and_(col(Attempt.outcome) != AttemptOutcome.OPEN, col(Attempt.id) < newest)


def _leading(rows: Sequence[Any], old: datetime) -> list[int]:
    """Numbers up to the last row that is old: one that a wrong clock dated later came before it all the same."""
    last = max((place for place, (_, at) in enumerate(rows) if at < old), default=-1)
    return [number for number, _ in rows[: last + 1]]


def oldest_audit(old: datetime, session: Session, most: int) -> list[int]:
    """Find the first entries of the audit log that are old, without a gap; never the last one there is."""
    newest = select(func.max(col(AuditEntry.id))).scalar_subquery()
    wanted = select(col(AuditEntry.id), col(AuditEntry.at)).where(col(AuditEntry.id) < newest)
    rows = session.execute(wanted.order_by(col(AuditEntry.id)).limit(most)).all()
    return _before_kept(rows, _leading(rows, old), db.now(session))


def _before_kept(rows: Sequence[Any], ids: list[int], now: datetime) -> list[int]:
    """Of `ids` those before the first entry of these days, which the database gives to nobody."""
    since, until = now - timedelta(days=settings.AUDIT_KEPT_DAYS), now + timedelta(minutes=1)
    first = next((place for place, (_, at) in enumerate(rows) if since < at <= until), len(rows))
    return ids[:first]


def remove_audit(session: Session, ids: Sequence[int]) -> int:
    """Cut the audit log's beginning off, up to the last of `ids`."""
    return db.affected(session.execute(delete(AuditEntry).where(col(AuditEntry.id) <= ids[-1])))


def _expiry(table: type[SQLModel], *which: ColumnElement[bool]) -> RetentionStep:
    """A table of rows that end by their time."""
    rows = SQLModel.metadata.tables[str(table.__tablename__)]
    keys = list(rows.primary_key.columns)
    one = [key == bindparam(f"its_{key.name}") for key in keys]

    def find(session: Session, most: int) -> Sequence[Any]:
        return session.execute(select(*keys).where(*which).limit(most)).all()

    def take(session: Session, found: Sequence[Any]) -> int:
        names = [f"its_{key.name}" for key in keys]
        values = [dict(zip(names, row, strict=True)) for row in found]
        session.connection().execute(delete(rows).where(*one, *which), values)
        return len(values)

    return RetentionStep(find, take)


# --- figures --------------------------------------------------------------------------------------


def _oldest_hours(old: datetime, session: Session, most: int) -> list[tuple[str, datetime]]:
    """(connection, day) of hours that are older than `old`, whole days only."""
    table, border = HourlyFigures, _midnight(old)
    found = session.execute(
        select(col(table.connection_id), col(table.hour))
        .where(literal_column("NOT is_day"), col(table.hour) < border)
        .order_by(col(table.hour))
        .limit(most)
    )
    return list(dict.fromkeys((connection, _midnight(hour)) for connection, hour in found))


def _fold(session: Session, days: Sequence[tuple[str, datetime]]) -> int:
    return sum(journal.fold(session, connection, day) for connection, day in days)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


# --- records --------------------------------------------------------------------------------------


def _records(kind: Kind, old: datetime) -> RetentionStep:
    return RetentionStep(partial(_old_records, kind, old), partial(_remove_records, kind, old), most=500)


def _old_records(kind: Kind, old: datetime, session: Session, most: int) -> list[int]:
    """The next records that came before `old`, round and round: one that must stay is looked at again later."""
    came = _cursor(session, kind).value
    return _came_before(kind, old, session, most, came) or _came_before(kind, old, session, most, 0)


def _came_before(kind: Kind, old: datetime, session: Session, most: int, after: int) -> list[int]:
    # never the last one: SQLite gives its number out again, and the next record would pass for one that is known
    table = TABLES[kind].c
    newest = select(func.max(table.local_id)).scalar_subquery()
    found = session.connection().execute(
        select(table.local_id, table.received_at)
        .where(table.local_id > after, table.local_id < newest)
        .order_by(table.local_id)
        .limit(most)
    )
    return [local_id for local_id, received_at in found if received_at < old]


def _remove_records(kind: Kind, old: datetime, session: Session, local_ids: Sequence[int]) -> int:
    """Those of `local_ids` that did not change since `old`, that wait nowhere, and that every connection has seen."""
    lock(session)  # nobody stores one of them meanwhile
    table, seen = TABLES[kind], _seen(session, kind)
    is_open = exists().where(
        col(Delivery.record_kind) == kind,
        col(Delivery.record_id) == table.c.local_id,
        col(Delivery.state).not_in(_FINISHED),
    )
    unchanged = or_(table.c.updated_at.is_(None), table.c.updated_at < old)
    found = session.connection().execute(
        select(table.c.local_id, table.c.owner_id, table.c.change_seq).where(
            table.c.local_id.in_(local_ids), unchanged, ~is_open
        )
    )
    gone = [
        local_id
        for local_id, owner, change in found
        if all(change <= seen[who] for who in (owner, None) if who in seen)
    ]
    session.connection().execute(delete(table).where(table.c.local_id.in_(gone)))
    cursor = _cursor(session, kind)
    cursor.value = local_ids[-1]
    session.add(cursor)
    return len(gone)


def _seen(session: Session, kind: Kind) -> dict[str | None, int]:
    """Owner → the last change that each of their connections has looked at; None: those that take everybody's."""
    categories = [category for category, taken in KIND_OF.items() if taken is kind]
    found = session.execute(
        select(col(Connection.scope), col(Connection.user_id), func.min(col(Connection.export_cursor)))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(col(Connection.deleted_at).is_(None), col(CatalogEntry.category).in_(categories))
        .group_by(col(Connection.scope), col(Connection.user_id))
    )
    seen: dict[str | None, int] = {}
    for scope, owner, change in found:
        who = None if scope == "all" else owner
        seen[who] = min(change, seen.get(who, change))
    return seen


def _cursor(session: Session, kind: Kind) -> Counter:
    name = f"retention_{TABLES[kind].name}"
    return session.get(Counter, name) or Counter(name=name, value=0)
