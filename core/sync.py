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
from time import monotonic, time

import structlog

from core import catalog, db, lessons, messages, opening, options, outbox, results, retention, runs, space
from core.access import Principal
from core.calls import Call
from core.connectors.base import DeliveryError, Item, Misconfigured, Tracker
from core.due import due as due
from core.due import seconds_to_next as seconds_to_next
from core.errors import Conflict, Full, HubError, Locked
from core.exports import export
from core.models import Connection, State
from core.opening import Live
from core.outbox import Claim
from core.results import Result as Result
from core.retry import take_call
from core.runs import LEASE_S, Run
from core.selection import left_out
from core.settings import settings
from core.settle import LeaseLost, Settlement
from core.verdicts import Row

#: who holds a lease, as an operator would look for it
WORKER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"

log = structlog.get_logger("hub.sync")


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
    begun = _start(connection_id, action, who, stopping, deadline_s, only_due)
    try:
        space.require()
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
    """What no connection's own run does: open attempts of dead workers become in doubt; owners are told of what
    fails; the reserve on the disk is made anew; a missing key is looked for. Returns the sentence about locked
    connections, if any."""
    with db.session() as session:
        reaped = runs.reap(session, db.now(session))
    if reaped:
        log.warning("rows in doubt after a worker stopped", rows=reaped)
    for connection_id in messages.attend():
        log.warning("switched off after failing for days", connection=connection_id)
    space.keep_ballast()
    with db.reading() as session:
        if opening.locks(session):
            opening.refresh()
        return " ".join(lock.sentence for lock in opening.locks(session)) or None


def sweep() -> int:
    """One step of retention; returns the rows it took, 0 when nothing old is left."""
    with db.session() as session:
        return retention.sweep(session, db.now(session), settings().retention_days)


def abandon() -> None:
    """This process ends now: its open calls are in doubt and its leases free at once."""
    with db.session() as session:
        now = db.now(session)
        runs.reap(session, now, worker=WORKER)
        runs.release(session, WORKER, now)


def _drop(begun: Run, error: Full | Locked) -> Result:
    """The hub's own trouble: the connection is left as it was found, and the run says why it ended."""
    try:
        with db.session() as session:
            runs.drop(session, begun, error.message, db.now(session))
    except Full:
        log.warning("lease kept, the disk is full", connection=begun.connection.id)  # it runs out by itself
    metadata = runs.metadata(begun) | {"code": error.code}
    return Result(False, begun.tally.delivered, error.message, metadata)


def _work(begun: Run) -> None:
    with ExitStack() as stack:
        try:
            live = stack.enter_context(opening.live(begun.manifest, opening.values(begun.connection)))
        except Locked:
            raise
        except (HubError, DeliveryError) as error:  # no key, unreadable secret, a CA that is none
            _note(begun, error)
            return
        while True:
            if begun.exports:
                export(begun)
            deliver(begun, live)
            if begun.over() or not (begun.more and (begun.options.drain or begun.options.realtime)):
                return


# --- deliver --------------------------------------------------------------------------------------


def deliver(begun: Run, live: Live) -> None:
    """Claim, call, close, until nothing is due or the connection has a fault."""
    while not begun.over():
        asked = time()  # before the lease is written: a worker may be stopped at any point after this
        claim = _claim(begun)
        if claim is None:
            return
        _send(Call(begun, live, claim, asked))


def _claim(begun: Run) -> Claim | None:
    space.require()  # before the attempt row: what cannot be closed must not be sent
    with db.session() as session:
        now = db.now(session)
        connection = session.get_one(Connection, begun.connection.id)
        if connection.run_id != begun.id:
            raise LeaseLost
        if not connection.is_active or (connection.next_call_at and connection.next_call_at > now):
            return None
        messages.calm(session, connection, begun.manifest, begun.options, now)
        limits = begun.manifest.limits
        rate_until, wait = take_call(connection.rate_until, limits.requests_per_minute, now)
        if wait is not None:
            connection.next_call_at, connection.wait_reason = wait, "rate"
            return None
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
        )
        if claim:
            connection.rate_until = rate_until
            messages.note(connection, begun.manifest, begun.options, len(claim.rows), now)
            runs.keep(session, begun, now)
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
    """Settle rows whose ticket already exists; return those that may be sent."""
    connector, rows = call.live.connector, call.claim.rows
    if not isinstance(connector, Tracker):
        return list(rows)
    with db.reading() as session:
        doubtful = outbox.elsewhere(session, call.claim.connection_id, rows)
    to_send = []
    for row in rows:
        certain = row.in_doubt_since is None and row.id not in doubtful
        if certain or not call.settle_found(connector, row):
            to_send.append(row)
    return to_send


# --- the ends of a run ----------------------------------------------------------------------------


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
        manifest = catalog.get(slug)
        chosen = options.parse(connection.options, manifest.category)
        run_id = str(uuid.uuid4())
        runs.take(session, connection, run_id, WORKER, now)
        session.refresh(connection)
        if only_due and connection.next_wake_at and connection.next_wake_at > now:
            raise Conflict(f'"{connection.name}" was run by another scheduler; wait for its next time.')
        if action == "manual":
            runs.hasten(session, connection, now)
        scheduled = connection.next_sync_at is None or connection.next_sync_at <= now
        return Run(
            id=run_id,
            action=action,
            connection=connection,
            manifest=manifest,
            options=chosen,
            stopping=stopping,
            deadline=monotonic() + deadline_s,
            exports=action != "scheduled" or chosen.realtime or scheduled,
        )


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
        lessons.learn(session, connection, fault, now)
        if is_ours:
            connection.failing_since = since


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
    message = results.message(begun, connection, waiting, others, held)
    return Result(begun.fault is None, begun.tally.delivered, message, metadata)
