"""One run of a connection: its lease, its log, and how it ends.

Each function takes a session; `sync`, `send` and `housekeeping` own the transactions.
"""

import os
import socket
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from random import random
from time import monotonic
from typing import Any

from sqlalchemy import bindparam, case, or_, select, update
from sqlmodel import Session, col

from core import integrations
from core.access import Principal, changeable
from core.delivery import journal, outbox, schedule
from core.delivery.batch import LeaseLost
from core.delivery.journal import Tally
from core.delivery.outcome import InDoubtPolicy
from core.delivery.pace import Pace
from core.delivery.retry import Policy
from core.http.errors import DeliveryError
from core.integrations import options, own_mapping
from core.platform.errors import Conflict, Invalid, NotFound
from core.storage import db, due_times
from core.storage.models import CatalogEntry, Connection, Delivery, Kind, RunStatus
from core.storage.models.words import KIND_OF

#: who holds a lease, as an operator would look for it
WORKER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"
#: a worker that was not heard of for so long is dead; a call ends within a third of it
LEASE_S = 60.0
#: between two looks for new records while a run sends: an export costs as much as a claim
LOOK_S = 0.2


@dataclass
class Run:
    """What a run works on, and what it has done so far."""

    id: str
    action: str  # manual | scheduled | webhook
    connection: Connection
    manifest: integrations.Manifest
    options: options.Options
    flaw: str | None  # why the saved options cannot be used; `options` are the default ones then
    stopping: Callable[[], bool]
    deadline: float  # monotonic seconds
    woken_at: datetime | None  # when the connection was due before this run took it
    exports: bool  # due for new records, not only for retries
    drain_to: int | None = None  # up to this change a person wants everything sent
    who: Principal | None = None  # whoever asked for it; the audit log has their syncs
    begun: float = field(default_factory=monotonic)
    logged: bool = False
    exported: int = 0
    held: int = 0  # of those, for a person
    seen: int | None = None  # the newest change when it last looked for new records …
    looked_at: float = field(default_factory=monotonic)  # … and when that was
    more: bool = False
    fault: DeliveryError | None = None
    tally: Tally = field(default_factory=Tally)
    pace: Pace = field(init=False)

    def __post_init__(self) -> None:
        self.pace = Pace(self.manifest.limits.in_flight)

    def require_usable(self) -> None:
        """Raise Invalid when the connection's options cannot be used: before anything is exported or sent."""
        if self.flaw:
            raise Invalid(self.flaw)
        Policy.of(self.options.retry)
        own_mapping.mapper(self.manifest, self.options.mapping)

    @property
    def kind(self) -> Kind:
        return KIND_OF[self.manifest.category]

    @property
    def policy(self) -> Policy:
        return Policy.of(self.options.retry)

    @property
    def doubt(self) -> InDoubtPolicy:
        return InDoubtPolicy(self.manifest.in_doubt, self.manifest.look_up_after_s)

    @property
    def target(self) -> outbox.TicketTarget | None:
        """Where it creates tickets, if it does."""
        place = integrations.place_of(self.manifest, self.connection.config)
        return None if place is None else outbox.TicketTarget(place, self.doubt, self.manifest.severity)

    @property
    def drains(self) -> bool:
        return self.options.drain or self.options.realtime or self.drain_to is not None

    def room(self, together: int) -> int:
        """How many new records may be exported now: who drains takes all there is, `together` at once at least."""
        return max(self.options.batch_limit, together) if self.drains else self._left()

    def has_more(self) -> bool:
        """Whether this run is to look for new records once more."""
        return self.exports and self.more and self._has_room()

    def has_news(self, connection: Connection, head: int, now: datetime) -> bool:
        """Tell whether new records are to be looked at before the next claim: where the most severe go first, it
        may be among them, however much waits already. At most every LOOK_S."""
        if not self.options.by_severity or monotonic() - self.looked_at < LOOK_S:
            return False
        if not self.exports:  # the next sync may have come while this run still sends what waited
            return connection.next_sync_at is not None and connection.next_sync_at <= now
        return self.seen is not None and head > self.seen and self._has_room()

    def _has_room(self) -> bool:
        return self.drains or self._left() > 0

    def add(self, exported: int, held: int, dead: int) -> None:
        """What an export put in the queue, once it is committed."""
        self.exported += exported
        self.held += held
        self.tally.dead += dead

    @property
    def unfinished(self) -> bool:
        """Told to end before it had looked at all that is new to it."""
        return self.fault is None and self.has_more()

    def over(self) -> bool:
        return self.fault is not None or self.stopping() or monotonic() >= self.deadline

    def _left(self) -> int:
        """A run that outlasts its interval has the room of the syncs in whose place it stands."""
        syncs = 1 + int((monotonic() - self.begun) // self.options.every_s)
        return max(0, self.options.batch_limit * syncs - self.exported)


def options_of(connection: Connection, manifest: integrations.Manifest) -> tuple[options.Options, str | None]:
    """(the saved options, None), or (the default ones, what is wrong with those that are saved)."""
    try:
        return options.parse(connection.options, manifest.category), None
    except Invalid as error:
        return options.Options(), error.message


def find(session: Session, connection_id: str, who: Principal | None) -> tuple[Connection, str]:
    """(connection, slug), locked until commit. Raises NotFound, also for one that `who` may not change."""
    wanted = (
        select(Connection, col(CatalogEntry.slug))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(col(Connection.id) == connection_id, col(Connection.deleted_at).is_(None))
    )
    if who is not None:
        wanted = wanted.where(changeable(who))
    found = session.execute(wanted.with_for_update(of=Connection, key_share=True)).first()
    if found is None:
        raise NotFound("There is no such connection. List yours with `hub connections`.")
    return found[0], found[1]


def take(session: Session, connection: Connection, run_id: str, worker: str, now: datetime) -> str | None:
    """Take the connection's lease: one winner. Raises Conflict while another run has it.

    While the lease is held, the connection is due when it runs out; whoever wants it earlier says so in
    `next_wake_at`, and that stays (`finish`). Returns the id of a run whose worker died with the lease in hand.
    """
    until = now + timedelta(seconds=LEASE_S)
    if not connection.is_active:
        raise Conflict(f'"{connection.name}" is paused. Enable it, then sync.')
    free = or_(col(Connection.lease_until).is_(None), col(Connection.lease_until) < now)
    won = session.execute(
        update(Connection)
        .where(col(Connection.id) == connection.id, free)
        .values(run_id=run_id, run_worker=worker, lease_until=until, next_wake_at=until)
        .execution_options(synchronize_session=False)
    )
    if not db.affected(won):
        raise Conflict(f'A sync of "{connection.name}" is already running. Wait for it to end.')
    return connection.run_id


def keep(session: Session, run: Run, now: datetime) -> bool:
    """Renew the run's lease. False when another run took the connection over."""
    until = now + timedelta(seconds=LEASE_S)
    session.flush()
    named = {"whose": run.connection.id, "mine": run.id, "until": until}
    return db.affected(session.connection().execute(_KEEP, named)) > 0


#: made once: it comes before each call
_KEEP = (
    update(Connection.__table__)  # type: ignore[attr-defined]
    .where(col(Connection.id) == bindparam("whose"), col(Connection.run_id) == bindparam("mine"))
    .values(
        lease_until=bindparam("until"),
        next_wake_at=case(
            (col(Connection.next_wake_at) < col(Connection.lease_until), col(Connection.next_wake_at)),
            else_=bindparam("until", type_=Connection.__table__.c.next_wake_at.type),  # type: ignore[attr-defined]
        ),
    )
)


def hold(session: Session, run: Run) -> Connection:
    """Lock the run's connection until commit and return it as it is now. Raises LeaseLost when another run
    took it over."""
    connection = db.locked(session, Connection, run.connection.id)
    if connection.run_id != run.id:
        raise LeaseLost
    return connection


def is_edited(run: Run, connection: Connection) -> bool:
    """Tell whether the vendor's address or secrets were changed since the run opened its client: the next run
    has them."""
    mine = run.connection
    return (mine.config, mine.credentials_encrypted) != (connection.config, connection.credentials_encrypted)


def release(session: Session, worker: str, now: datetime) -> None:
    """Release what a worker holds when it ends: its runs are interrupted, its connections free and due again."""
    mine = (col(Connection.run_worker) == worker, col(Connection.run_id).is_not(None))
    found = select(col(Connection.id), col(Connection.run_id)).where(*mine).order_by(col(Connection.id))
    held = session.execute(found.with_for_update(key_share=True)).all()
    session.execute(
        update(Connection)
        .where(col(Connection.id).in_([id for id, _ in held]))
        .values(run_id=None, run_worker=None, lease_until=None, next_wake_at=now)
        .execution_options(synchronize_session=False)
    )
    for _, run_id in held:
        journal.interrupt(session, str(run_id), now)


def drop(session: Session, run: Run, reason: str, now: datetime) -> None:
    """Drop a run that the hub itself cannot go on with: interrupted, its connection free and as due as before."""
    try:
        connection = hold(session, run)
    except LeaseLost:
        return journal.interrupt(session, run.id, now, reason)
    connection.next_wake_at = schedule.first_of(schedule.asked_for(connection), run.woken_at)
    connection.run_id = connection.run_worker = connection.lease_until = None
    session.add(connection)
    session.flush()
    journal.interrupt(session, run.id, now, reason)


def open_log(session: Session, run: Run, now: datetime) -> None:
    """Open the run's log row, in the transaction that found its first work; while the lease is still its own:
    the row of a run that was taken over meanwhile would never be closed. Raises LeaseLost."""
    if not run.logged:
        if not keep(session, run, now):
            raise LeaseLost
        journal.begin(session, run.connection.id, run.id, run.action, now)
        db.afterwards(session, partial(setattr, run, "logged", True))


def hasten(session: Session, connection: Connection, now: datetime) -> None:
    """Make retries and look-ups due now, because a person asked, except while the vendor named a time."""
    if connection.wait_reason == "throttled" and connection.next_call_at and connection.next_call_at > now:
        return
    outbox.hasten(session, connection.id, now)
    connection.next_call_at = connection.wait_reason = None
    session.add(connection)


def reap(
    session: Session, attempt_id: int, connection_id: str, now: datetime, worker: str | None = None
) -> int:
    """Close an attempt whose lease ran out (or, alive or not, one of `worker`'s); its rows become in doubt."""
    connection, slug = _locked(session, connection_id)
    manifest = integrations.manifests().get(slug)  # None where somebody took a preset's file away
    policy = _policy_of(connection)
    doubt = (
        InDoubtPolicy(manifest.in_doubt, manifest.look_up_after_s)
        if manifest
        else InDoubtPolicy("may_repeat")
    )
    wait_s = partial(doubt.first_wait_s, policy, random=random())
    one_by_one = manifest is not None and manifest.one_by_one
    reaped = outbox.reap(session, attempt_id, wait_s, now, worker, one_by_one=one_by_one)
    outbox.give_up(session, attempt_id)
    if reaped:  # the run that left them is over, and another may have planned the next one without them
        due_times.wake(connection, now)
        session.add(connection)
    return reaped


def _policy_of(connection: Connection) -> Policy:
    """The default one where what is saved cannot be used: what a dead worker left is looked at in any case."""
    try:
        return Policy.of(connection.options.get("retry", {}))
    except Invalid:
        return Policy()


def of_deleted(session: Session) -> list[str]:
    """Ids of deleted connections for which something still waits: it was being sent when somebody deleted theirs."""
    waits = select(col(Delivery.id)).where(outbox.waiting(col(Connection.id))).exists()
    found = select(col(Connection.id)).where(col(Connection.deleted_at).is_not(None), waits)
    return list(session.execute(found).scalars())


def _locked(session: Session, connection_id: str) -> tuple[Connection, str]:
    """(connection, slug), also of a deleted one."""
    row = session.execute(
        select(Connection, col(CatalogEntry.slug))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(col(Connection.id) == connection_id)
        .with_for_update(of=Connection, key_share=True)
    ).one()
    return row[0], row[1]


# --- the end --------------------------------------------------------------------------------------


def finish(session: Session, run: Run, now: datetime) -> RunStatus | None:
    """Close the run: log, figures, strip, and the connection's next due time. None when it was taken over.

    A run that was stopped before it had looked at all that is new is due again at once.
    """
    try:
        connection = hold(session, run)
    except LeaseLost:
        return None
    status = _status(session, run, connection, now)
    _journal(session, run, connection, status, now)
    is_due = (
        connection.next_sync_at is None or connection.next_sync_at <= now
    )  # a person's sync moves no grid
    if is_due and not run.unfinished:
        connection.next_sync_at = schedule.next_sync(connection.next_sync_at, run.options.every_s, now)
    # who is due again at once stands behind those who wait
    wake_at = now if run.unfinished else schedule.next_wake(session, connection, now)
    connection.next_wake_at = schedule.first_of(schedule.asked_for(connection), wake_at)
    connection.run_id = connection.run_worker = connection.lease_until = None
    connection.last_sync, connection.held_s = now, round(monotonic() - run.begun, 1)
    session.add(connection)
    return status


def _status(session: Session, run: Run, connection: Connection, now: datetime) -> RunStatus:
    done = run.tally
    if run.fault is not None:
        return RunStatus.FAILED
    if done.dead or done.in_doubt or done.retried:
        return RunStatus.PARTIAL
    if done.delivered:
        return RunStatus.SUCCESS
    if is_blocked(connection.next_call_at, outbox.next_due_at(session, connection.id), now):
        return RunStatus.BLOCKED
    # what waits for a person, or for a digest, was not delivered by this run: it counts for nothing
    return RunStatus.INTERRUPTED if run.exported and run.over() else RunStatus.IDLE


def is_blocked(next_call_at: datetime | None, due_at: datetime | None, now: datetime) -> bool:
    """Tell whether something waits (the first of it until `due_at`) while the connection may not be called."""
    return due_at is not None and next_call_at is not None and next_call_at > now


def _journal(session: Session, run: Run, connection: Connection, status: RunStatus, now: datetime) -> None:
    """A run that found nothing to do is only on the strip: the figures never grow by it, and the log only
    where it had to look closer to find that out."""
    connection.recent = journal.add_to_recent(connection.recent, status, run.tally.delivered, now)
    if not run.logged:
        return
    counted = Tally(
        runs_ok=status is RunStatus.SUCCESS,
        runs_partial=status is RunStatus.PARTIAL,
        runs_failed=status is RunStatus.FAILED,
        runs_blocked=status is RunStatus.BLOCKED,
    )
    if status is not RunStatus.IDLE:
        journal.count(session, connection.id, counted, now)
    journal.finish(
        session,
        run.id,
        status=status,
        count=run.tally.delivered,
        error=_said(run, connection, status),
        metadata=metadata(run),
        now=now,
    )


def _said(run: Run, connection: Connection, status: RunStatus) -> str | None:
    """What went wrong with the run, in a sentence; None when nothing did."""
    if run.fault is not None:
        return run.fault.message
    if status is RunStatus.BLOCKED:
        return f"Not called: the next call is at {connection.next_call_at:%H:%M:%S} UTC ({connection.wait_reason})."
    return None


def metadata(run: Run) -> dict[str, Any]:
    done = run.tally
    return {
        "run_id": run.id,
        "exported": run.exported,
        "delivered": done.delivered,
        "dead": done.dead,
        "retrying": done.retried,
        "in_doubt": done.in_doubt,
        "held": run.held,
        "more": run.more,
    }
