"""The whole flow: due, run, export, deliver, housekeep.

    records ──► export ──► outbox ──► deliver ──► journal

Every arrow is one transaction, and none is open while a vendor is called. It may be killed anywhere and
started again: what was exported stays in the outbox, what was being sent becomes in doubt.
"""

import os
import socket
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from time import monotonic, sleep, time

import structlog

from core import integrations
from core.access import Principal
from core.delivery import (
    breaker,
    clock,
    digests,
    journal,
    notices,
    outbox,
    refresh,
    restored,
    result,
    retention,
    runs,
)
from core.delivery.batch import LeaseLost, Settlement
from core.delivery.export import export
from core.delivery.idle import pass_by as pass_by
from core.delivery.journal import Tally
from core.delivery.outbox import Claim
from core.delivery.outcome import Row
from core.delivery.result import Result as Result
from core.delivery.retry import take_call
from core.delivery.runs import LEASE_S, Run
from core.delivery.schedule import Due
from core.delivery.schedule import due as due_now
from core.delivery.schedule import seconds_to_next as seconds_to_next
from core.delivery.schedule import someone_waits as someone_waits
from core.delivery.selection import left_out
from core.delivery.send import Call
from core.http.errors import DeliveryError, Misconfigured
from core.integrations import credentials, options
from core.integrations.base import Item, Tracker
from core.integrations.credentials import Live
from core.platform.errors import Conflict, Full, HubError, Locked
from core.platform.settings import settings
from core.records import people
from core.storage import db, disk
from core.storage.models import Connection, State

#: who holds a lease, as an operator would look for it
WORKER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"

#: at most between two steps of retention, so that a sweep stops as promptly as it began
SWEEP_PAUSE_S = 0.2

log = structlog.get_logger("hub.sync")


def due(
    room: int, failing_room: int | None = None, slow_room: int | None = None, until: datetime | None = None
) -> list[Due]:
    """As `schedule.due`, by a clock that was looked at: what it had put off while it was ahead is due now."""
    return due_now(room, failing_room, slow_room, None if clock.put_right() else until)


def run(
    connection_id: str,
    action: str = "scheduled",
    *,
    who: Principal | None = None,
    stopping: Callable[[], bool] = lambda: False,
    deadline_s: float = 600.0,
    only_due: bool = False,
) -> Result:
    """Sync one connection now. Raises NotFound, Conflict while it is running or paused, and Unusable.

    With `only_due` also Conflict when it is not due any more: between `due` and here another scheduler ran it.
    Without room on the disk, or without the connection's key, nothing is sent and nothing is spent.
    """
    restored.notice()
    begun = _start(connection_id, action, who, stopping, deadline_s, only_due)
    try:
        disk.require()
        _work(begun)
        return _end(begun)
    except (Full, Locked) as error:
        return _drop(begun, error)
    except LeaseLost:
        log.warning("lease lost", connection=connection_id, run=begun.id)
        return Result(
            False, begun.tally.delivered, "Another worker took this sync over.", runs.metadata(begun)
        )


def housekeep() -> str | None:
    """Do what no connection's own run does. Returns the sentence about locked connections, if any.

    Open attempts of dead workers become in doubt; nothing waits for deleted connections; owners are told of what
    fails; people get the records that came before them; the reserve on the disk is made anew; a missing key is
    looked for.
    """
    reaped = _reap()
    _end_deleted()
    if reaped:
        log.warning("rows in doubt after a worker stopped", rows=reaped)
    if adopted := people.make_up():
        log.info("records given to people who came after them", records=adopted)
    for connection_id in notices.attend():
        log.warning("switched off after failing for days", connection=connection_id)
    disk.keep_ballast()
    with db.reading() as session:
        if credentials.locks(session):
            credentials.refresh()
        return " ".join(lock.sentence for lock in credentials.locks(session)) or None


def sweep(stopping: Callable[[], bool] = lambda: False) -> int:
    """Work off all that is old, in short transactions with as long a pause after each. Returns the rows it took.

    A writer that waits for SQLite looks again within 0.1 s at most, and finds it free half of the time.
    """
    kept = settings()
    periods = kept.retention_days, kept.audit_days, kept.record_days
    taken = 0
    while not stopping():
        with db.reading() as session:
            if not retention.is_any_old(session, db.now(session), *periods):
                break
        began = monotonic()
        step = _sweep(periods)
        if not step:
            break
        taken += step
        sleep(min(monotonic() - began, SWEEP_PAUSE_S))
    return taken


@db.unit
def _sweep(periods: tuple[int, int, int | None]) -> int:
    with db.session() as session:
        return retention.sweep(session, db.now(session), *periods)


def abandon() -> None:
    """This process ends now: its open calls are in doubt and its leases free at once."""
    _reap(WORKER)
    _release()


def _end_deleted() -> None:
    """Nothing waits for deleted connections."""
    with db.reading() as session:
        found = runs.of_deleted(session)
    for connection_id in found:
        _end_waiting(connection_id)


@db.unit
def _end_waiting(connection_id: str) -> None:
    with db.session() as session:
        db.locked(session, Connection, connection_id)
        outbox.end(session, connection_id)


def _reap(worker: str | None = None) -> int:
    """Attempts of dead workers, or those of `worker`: one transaction each, so that none holds two connections."""
    with db.reading() as session:
        late = outbox.expired(session, db.now(session), worker)
    return sum(_reap_one(attempt_id, connection_id, worker) for attempt_id, connection_id in late)


@db.unit
def _reap_one(attempt_id: int, connection_id: str, worker: str | None) -> int:
    with db.session() as session:
        return runs.reap(session, attempt_id, connection_id, db.now(session), worker)


@db.unit
def _release() -> None:
    with db.session() as session:
        runs.release(session, WORKER, db.now(session))


def _drop(begun: Run, error: Full | Locked) -> Result:
    """The hub's own trouble: the connection is left as it was found, and the run says why it ended."""
    try:
        _free(begun, error.message)
    except Full:
        log.warning("lease kept, the disk is full", connection=begun.connection.id)  # it runs out by itself
    metadata = runs.metadata(begun) | {"code": error.code}
    return Result(False, begun.tally.delivered, error.message, metadata)


@db.unit
def _free(begun: Run, reason: str) -> None:
    with db.session() as session:
        runs.drop(session, begun, reason, db.now(session))


def _work(begun: Run) -> None:
    with ExitStack() as stack:
        try:
            live = stack.enter_context(credentials.live(begun.manifest, credentials.values(begun.connection)))
        except Locked:
            raise
        except (HubError, DeliveryError) as error:  # no key, unreadable secret, a CA that is none
            _note(begun, error)
            return
        while True:
            if begun.exports:
                export(begun)
            deliver(begun, live)
            if begun.over() or not begun.has_more():
                return


# --- deliver --------------------------------------------------------------------------------------


def deliver(begun: Run, live: Live) -> None:
    """Claim, call, close, until nothing is due or the connection has a fault."""
    while not begun.over():
        asked = time()  # before the lease is written: a worker may be stopped at any point after this
        claim = _claim(begun)
        if claim is None:
            return
        restored.reach(claim.attempt_id)
        _send(Call(begun, live, claim, asked))


@db.unit
def _claim(begun: Run) -> Claim | None:
    disk.require()  # before the attempt row: what cannot be closed must not be sent
    with db.session() as session:
        now = db.now(session)
        connection = runs.hold(session, begun)
        if not connection.is_active or runs.is_edited(begun, connection):
            return None
        if connection.next_call_at and connection.next_call_at > now:
            return None
        limits = begun.manifest.limits
        rate_until, wait = take_call(connection.rate_until, limits.requests_per_minute, now)
        if wait is not None:
            connection.next_call_at, connection.wait_reason = wait, "rate"
            return None
        most = digests.due_together(begun.manifest, begun.options) or limits.batch_items
        dead = refresh.refresh(session, connection, begun.manifest, begun.options, most, now)
        digests.calm(session, connection, begun.manifest, begun.options, now)
        careful = connection.failures > 0 or connection.problem is not None  # exactly one probe
        claim = outbox.claim(
            session,
            connection_id=connection.id,
            run_id=begun.id,
            worker=WORKER,
            limit=1 if careful else min(limits.batch_items, connection.batch_learned or limits.batch_items),
            max_bytes=limits.batch_bytes,
            lease_s=LEASE_S,
            now=now,
            target=begun.target,
        )
        if claim:
            connection.rate_until = rate_until
            digests.note(connection, begun.manifest, begun.options, len(claim.rows), now)
            runs.keep(session, begun, now)
        if dead:
            journal.count(session, connection.id, Tally(dead=dead), now)
            db.afterwards(session, partial(begun.add, 0, 0, dead))
        if claim or dead:
            runs.open_log(session, begun, now)
        return claim


def _send(call: Call) -> None:
    """Call the vendor for every claimed row; what is known is closed before each further call."""
    live, begun = call.live, call.run
    live.client.before_call = call.before
    live.client.exchanges.clear()
    to_send = _look_up(call)
    settlement = Settlement(live.connector, [Item(row.key, row.payload) for row in to_send])
    for receipt in settlement:
        call.settle(receipt)
    if settlement.bug is not None:
        log.error("connector failed", connector=begun.manifest.slug, exc_info=settlement.bug)
    call.close_patiently(settlement.learned)


def _look_up(call: Call) -> list[Row]:
    """Settle rows whose ticket exists, or may exist and is looked for again; return those that may be sent."""
    connector, rows = call.live.connector, call.claim.rows
    if not isinstance(connector, Tracker):
        return list(rows)
    return [row for row in rows if not call.settle_found(connector, row)]


# --- the ends of a run ----------------------------------------------------------------------------


@db.unit
def _start(
    connection_id: str,
    action: str,
    who: Principal | None,
    stopping: Callable[[], bool],
    deadline_s: float,
    only_due: bool = False,
) -> Run:
    with db.session() as session:
        now = db.now(session)
        connection, slug = runs.find(session, connection_id, who)
        manifest = integrations.get(slug)
        chosen = options.parse(connection.options, manifest.category)
        run_id, woken_at = str(uuid.uuid4()), connection.next_wake_at
        if only_due and woken_at and woken_at > now:
            raise Conflict(f'"{connection.name}" was run by another scheduler; wait for its next time.')
        died = runs.take(session, connection, run_id, WORKER, now)
        session.refresh(connection)
        if action == "manual":
            runs.hasten(session, connection, now)
        if died:
            journal.interrupt(session, died, now)
        scheduled = connection.next_sync_at is None or connection.next_sync_at <= now
        return Run(
            id=run_id,
            action=action,
            connection=connection,
            manifest=manifest,
            options=chosen,
            stopping=stopping,
            deadline=monotonic() + deadline_s,
            woken_at=woken_at,
            exports=action != "scheduled" or chosen.realtime or scheduled,
        )


@db.unit
def _note(begun: Run, error: HubError | DeliveryError) -> None:
    """The connection cannot even be opened: a person must act, nothing is spent.

    A hub without its key is not the connection's fault, and will not switch it off.
    """
    is_ours = isinstance(error, HubError)
    begun.fault = fault = Misconfigured(error.message) if isinstance(error, HubError) else error
    with db.session() as session:
        now = db.now(session)
        runs.open_log(session, begun, now)
        connection = session.get_one(Connection, begun.connection.id)
        since = connection.failing_since
        breaker.learn(session, connection, fault, now)
        if is_ours:
            connection.failing_since = since


@db.unit
def _end(begun: Run) -> Result:
    with db.session() as session:
        now = db.now(session)
        if runs.finish(session, begun, now) is None:
            raise LeaseLost
        waiting = outbox.count_waiting(session, begun.connection.id)
        connection = session.get_one(Connection, begun.connection.id)
        idle = begun.action == "manual" and not (begun.tally.delivered or begun.tally.dead or waiting)
        others = left_out(session, connection, begun.kind) if idle else 0
        held = sum(outbox.standing(session, [connection.id], (State.HELD,)).values())
    begun.more = begun.more or bool(waiting)
    metadata = runs.metadata(begun) | {"waiting": waiting}
    message = result.message(begun, connection, waiting, others, held)
    return Result(begun.fault is None, begun.tally.delivered, message, metadata)
