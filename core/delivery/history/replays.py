"""Many deliveries once more: begin, look, pause, resume; and the steps in which it happens.

A replay is a row per connection. The scheduler puts the next rows back in the queue while fewer than `STEP`
wait there: a replay never stands between new records and their tool for long, what is not queued yet can be
paused, and a restart goes on where the row says.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from core.access import Principal, changeable
from core.access.audit import audit
from core.access.principal import require_member
from core.delivery import outbox
from core.delivery.apart import apart
from core.delivery.history.replay_filter import ReplayFilter, without_ticket
from core.delivery.history.replay_plan import Plan, Share, counted, planned
from core.delivery.history.single_replay import REPLAYED, map_again
from core.delivery.outbox.queries import in_state
from core.platform.errors import Conflict, Invalid, NotFound
from core.storage import db, due_times
from core.storage.models import Connection, Delivery, Replay, ReplayState, State

#: rows of a connection that wait at most before a replay adds more: one batch of the largest vendors
STEP = 500
#: rows that one step looks through for some that fit
LOOKED_AT = 1_000


@dataclass(frozen=True)
class Progress:
    """`left` are not back in the queue yet; `left_out` still have no body and stay as they were."""

    id: int
    connection_id: str
    connection: str
    is_active: bool  # the connection: while it is paused, what was queued waits
    actor: str
    wanted: dict[str, Any]
    state: str
    total: int
    queued: int
    left_out: int
    created_at: datetime
    finished_at: datetime | None

    @property
    def left(self) -> int:
        return max(0, self.total - self.queued - self.left_out)


@dataclass(frozen=True)
class ReplayStarted:
    plan: Plan
    replays: tuple[Progress, ...]  # one per connection; none when nothing fitted


def begin(who: Principal, wanted: ReplayFilter, *, again: bool = False) -> ReplayStarted:
    """Start a replay: same keys, attempts from 0. Delivered ones only with `again`, a ticket never. Raises as
    `plan` does."""
    found, ids = _begin(who, wanted, again)
    for id in ids:
        step(id)
    return ReplayStarted(found, tuple(_told(who, id) for id in ids))


@db.unit
def _begin(who: Principal, wanted: ReplayFilter, again: bool) -> tuple[Plan, list[int]]:
    with db.session() as session:
        found = planned(session, who, wanted)
        if wanted.state is State.DELIVERED and not found.is_empty and not again:
            raise Conflict(
                f"{counted(found.count, found.more)} were delivered and would be sent twice. "
                "Say so if you mean it: again=true."
            )
        rows = [
            _row(session, who, share, wanted, found.at) for share in found.shares if share.count or share.more
        ]
        return found, [row.id for row in rows if row.id is not None]


def listing(who: Principal, *, limit: int = 50, before: int | None = None) -> list[Progress]:
    """Newest first; `before` is the id of the last one seen."""
    with db.reading() as session:
        query = _query(who).order_by(col(Replay.id).desc()).limit(limit)
        if before is not None:
            query = query.where(col(Replay.id) < before)
        return [_progress(*row) for row in session.execute(query)]


def unfinished(who: Principal) -> list[Progress]:
    with db.reading() as session:
        query = _query(who).where(col(Replay.state) != ReplayState.DONE).order_by(col(Replay.id))
        return [_progress(*row) for row in session.execute(query)]


def find(who: Principal, id: int) -> Progress:
    """Find a replay. Raises NotFound, also for someone else's."""
    return _told(who, id)


def pause(who: Principal, id: int) -> Progress:
    """Pause a replay: what is in the queue is sent; the rest stays as it was until somebody resumes."""
    return _turn(who, id, ReplayState.RUNNING, ReplayState.PAUSED)


def resume(who: Principal, id: int) -> Progress:
    _turn(who, id, ReplayState.PAUSED, ReplayState.RUNNING)
    step(id)
    return _told(who, id)


def work_off() -> int:
    """One step of every running replay, a transaction each; how many rows went back in the queue."""
    with db.reading() as session:
        running = select(col(Replay.id)).where(col(Replay.state) == ReplayState.RUNNING)
        ids = [id for id in session.execute(running.order_by(col(Replay.id))).scalars() if id is not None]
    return sum(_step_apart(id) for id in ids)


def _step_apart(id: int) -> int:
    """One whose connection cannot map its records is paused, so that it stops nobody else's."""
    with apart("replay failed", replay=id):
        try:
            return step(id)
        except Invalid:
            _halt(id)
            raise
    return 0


@db.unit
def _halt(id: int) -> None:
    with db.session() as session:
        running = (col(Replay.id) == id, col(Replay.state) == ReplayState.RUNNING)
        session.execute(update(Replay).where(*running).values(state=ReplayState.PAUSED))


@db.unit
def step(id: int) -> int:
    """Put the next rows of one replay back in the queue, as many as there is room for."""
    with db.session() as session:
        row = session.get(Replay, id, with_for_update=True)
        if row is None or row.state != ReplayState.RUNNING:
            return 0
        connection, now = db.locked(session, Connection, row.connection_id), db.now(session)
        room = STEP - outbox.count_waiting(session, connection.id, most=STEP)
        if room <= 0 and not connection.deleted_at:
            return 0
        reached = row.last_id if connection.deleted_at else _reached(session, row)
        rows = [] if connection.deleted_at else _next(session, row, room, reached)
        queued = _put_back(session, row, connection, rows, now)
        row.cursor = rows[-1].id if len(rows) == room else reached
        is_over = row.cursor >= row.last_id
        row.total = max(
            row.total, row.queued + row.left_out + (not is_over)
        )  # there are more than were counted
        if is_over:
            row.state, row.finished_at = ReplayState.DONE, now
        session.add(row)
        return queued


def _reached(session: Session, row: Replay) -> int:
    """How far a step looks: the id of the last of LOOKED_AT rows after the cursor.

    Of all the connection's, where it is about those that were delivered, for nearly all are, and the index knows
    them; else of those in that state.
    """
    state = State(row.wanted["state"])
    ahead = [col(Delivery.id) > row.cursor, col(Delivery.id) <= row.last_id]
    ahead += [] if state is State.DELIVERED else [in_state(state)]
    found = session.execute(
        select(col(Delivery.id))
        .where(col(Delivery.webhook_id) == row.connection_id, *ahead)
        .order_by(col(Delivery.id))
        .offset(LOOKED_AT - 1)
        .limit(1)
    ).scalar_one_or_none()
    return row.last_id if found is None else found


def _next(session: Session, row: Replay, room: int, reached: int) -> list[Any]:
    """The next rows after the cursor, with what decides how they are mapped; none that came after the replay began."""
    ahead = (col(Delivery.id) > row.cursor, col(Delivery.id) <= reached)
    found = session.execute(
        select(*REPLAYED)
        .where(col(Delivery.webhook_id) == row.connection_id, ReplayFilter.of(row.wanted).fits(), *ahead)
        .where(without_ticket())
        .order_by(col(Delivery.id))
        .limit(room)
    )
    return list(found.all())


def _put_back(session: Session, row: Replay, connection: Connection, rows: list[Any], now: datetime) -> int:
    if not rows:
        return 0
    left_out = map_again(session, connection, rows)
    ids = [found.id for found in rows if found.id not in left_out]
    queued = outbox.replay_rows(session, ids, State(row.wanted["state"]), now) if ids else 0
    row.queued, row.left_out = row.queued + queued, row.left_out + len(left_out)
    if queued:
        due_times.wake_all(session, [connection.id], now)
    return queued


def _row(session: Session, who: Principal, share: Share, wanted: ReplayFilter, now: datetime) -> Replay:
    newest = select(func.max(col(Delivery.id))).where(col(Delivery.webhook_id) == share.connection_id)
    first, end = wanted.span(session)
    last = session.execute(newest).scalar_one()
    row = Replay(
        connection_id=share.connection_id,
        actor=who.email[:254],
        wanted=wanted.stored(),
        total=share.count,
        cursor=first - 1,
        last_id=last if end is None else min(last, end - 1),
        created_at=now,
    )
    session.add(row)
    session.flush()
    counts = {"records": share.count} | ({"more": True} if share.more else {})
    audit(
        session,
        who,
        "deliveries.replay",
        str(row.id),
        connection=share.connection_id,
        wanted=row.wanted,
        **counts,
    )
    return row


@db.unit
def _turn(who: Principal, id: int, before: ReplayState, after: ReplayState) -> Progress:
    found = _told(who, id)
    require_member(who, "steer a replay")
    with db.session() as session:
        turned = session.execute(
            update(Replay).where(col(Replay.id) == id, col(Replay.state) == before).values(state=after)
        )
        if not db.affected(turned):
            raise Conflict(f"The replay is {found.state}, not {before}. Look at it again.")
        audit(session, who, f"replay.{after}", str(id), connection=found.connection_id)
    return _told(who, id)


def _told(who: Principal, id: int) -> Progress:
    with db.reading() as session:
        row = session.execute(_query(who).where(col(Replay.id) == id)).first()
    if row is None:
        raise NotFound(f"There is no replay {id}. List yours with `hub replays`.")
    return _progress(*row)


def _query(who: Principal) -> Any:
    return (
        select(Replay, col(Connection.name), col(Connection.is_active))
        .join(Connection, col(Connection.id) == col(Replay.connection_id))
        .where(changeable(who) if not who.is_viewer else col(Connection.user_id) == who.user_id)
    )


def _progress(row: Replay, connection: str, is_active: bool) -> Progress:
    assert row.id is not None
    shared = ("actor", "wanted", "state", "total", "queued", "left_out", "created_at", "finished_at")
    values = {name: getattr(row, name) for name in shared}
    return Progress(row.id, row.connection_id, connection, is_active, **values)
