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
from dataclasses import dataclass
from datetime import datetime
from time import monotonic, time
from typing import Any

import structlog
from sqlalchemy import func, or_, select
from sqlmodel import Session, col

from core import catalog, db, journal, opening, options, outbox, retention, runs
from core.access import Principal
from core.calls import Call
from core.connectors.base import DeliveryError, Item, Misconfigured, Tracker
from core.errors import Conflict, HubError
from core.journal import Tally
from core.models import Category, Connection
from core.opening import Live
from core.outbox import Claim
from core.retry import take_call
from core.runs import LEASE_S, Run
from core.selection import left_out, select_new
from core.settings import settings
from core.settle import LeaseLost, Settlement
from core.verdicts import Row

#: who holds a lease, as an operator would look for it
WORKER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"

log = structlog.get_logger("hub.sync")


@dataclass(frozen=True)
class Result:
    """What a sync answers, at the terminal and in the API (INTERFACE: sync-integration)."""

    success: bool
    count: int
    message: str
    metadata: dict[str, Any]


def due(limit: int) -> list[str]:
    """Connections whose time has come and that nobody works on, longest waiting first."""
    with db.reading() as session:
        now = db.now(session)
        found = select(col(Connection.id)).where(_wakes(), col(Connection.next_wake_at) <= now, _free(now))
        return list(session.execute(found.order_by(col(Connection.next_wake_at)).limit(limit)).scalars())


def seconds_to_next() -> float | None:
    """How long until a connection is due; None when none ever is."""
    with db.reading() as session:
        earliest = session.execute(
            select(func.min(col(Connection.next_wake_at))).where(_wakes())
        ).scalar_one()
        return (earliest - db.now(session)).total_seconds() if earliest else None


def run(
    connection_id: str,
    action: str = "scheduled",
    *,
    who: Principal | None = None,
    stopping: Callable[[], bool] = lambda: False,
    deadline_s: float = 600.0,
    only_due: bool = False,
) -> Result:
    """Sync one connection now. Raises NotFound, and Conflict while it is running or paused.

    With `only_due` also Conflict when it is not due any more: between `due` and here another scheduler ran it.
    """
    begun = _start(connection_id, action, who, stopping, deadline_s, only_due)
    try:
        _work(begun)
        return _end(begun)
    except LeaseLost:
        log.warning("lease lost", connection=connection_id, run=begun.id)
        return Result(
            False, begun.tally.delivered, "Another worker took this sync over.", runs.metadata(begun)
        )


def housekeep() -> None:
    """What no connection's own run does: open attempts of dead workers become in doubt."""
    with db.session() as session:
        reaped = runs.reap(session, db.now(session))
    if reaped:
        log.warning("rows in doubt after a worker stopped", rows=reaped)


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


def _work(begun: Run) -> None:
    with ExitStack() as stack:
        try:
            live = stack.enter_context(opening.live(begun.manifest, opening.values(begun.connection)))
        except (HubError, DeliveryError) as error:  # no key, unreadable secret, a CA that is none
            _note(begun, error if isinstance(error, DeliveryError) else Misconfigured(error.message))
            return
        while True:
            if begun.exports:
                export(begun)
            deliver(begun, live)
            if begun.over() or not (begun.more and (begun.options.drain or begun.options.realtime)):
                return


# --- export ---------------------------------------------------------------------------------------


def export(begun: Run) -> None:
    """Walk the changes since the cursor, map what is wanted, queue it: one transaction."""
    with db.session() as session:
        now = db.now(session)
        connection = session.get_one(Connection, begun.connection.id)
        found = select_new(session, connection, begun.manifest, begun.options, begun.options.batch_limit)
        connection.export_cursor, begun.more = found.cursor, found.more
        queued = outbox.put(
            session,
            connection_id=connection.id,
            user_id=connection.user_id,
            siem=begun.manifest.category is Category.SIEM,
            rows=found.rows,
            now=now,
        )
        begun.exported += queued
        dead = sum(row.payload is None for row in found.rows)
        begun.tally.dead += dead
        if queued:
            _open_log(session, begun, now)
        if dead:
            journal.count(session, connection.id, Tally(dead=dead), now)
        session.add(connection)


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
    with db.session() as session:
        now = db.now(session)
        connection = session.get_one(Connection, begun.connection.id)
        if connection.run_id != begun.id:
            raise LeaseLost
        if not connection.is_active or (connection.next_call_at and connection.next_call_at > now):
            return None
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
            runs.keep(session, begun, now)
            _open_log(session, begun, now)
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
    call.close(settlement.learned)


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


def _open_log(session: Session, begun: Run, now: datetime) -> None:
    """The run's log row, in the transaction that found its first work; while the lease is still its own:
    the row of a run that was taken over meanwhile would never be closed."""
    if not begun.logged:
        if not runs.keep(session, begun, now):
            raise LeaseLost
        journal.begin(session, begun.connection.id, begun.id, begun.action, now)
        begun.logged = True


def _note(begun: Run, fault: DeliveryError) -> None:
    """The connection cannot even be opened: a person must act, nothing is spent."""
    begun.fault = fault
    with db.session() as session:
        now = db.now(session)
        _open_log(session, begun, now)
        runs.learn(session, session.get_one(Connection, begun.connection.id), fault, now)


def _end(begun: Run) -> Result:
    with db.session() as session:
        now = db.now(session)
        if runs.finish(session, begun, now) is None:
            raise LeaseLost
        waiting = outbox.count_waiting(session, begun.connection.id)
        connection = session.get_one(Connection, begun.connection.id)
        idle = begun.action == "manual" and not (begun.tally.delivered or begun.tally.dead or waiting)
        others = left_out(session, connection, begun.kind) if idle else 0
    begun.more = begun.more or bool(waiting)
    metadata = runs.metadata(begun) | {"waiting": waiting}
    message = _message(begun, connection, waiting, others)
    return Result(begun.fault is None, begun.tally.delivered, message, metadata)


def _message(begun: Run, connection: Connection, waiting: int, others: int) -> str:
    """One sentence: what happened, and what happens next."""
    if begun.fault is not None:
        said = begun.fault.message.rstrip()
        said += "" if said.endswith((".", "!", "?")) else "."  # a vendor's words may end without
        return f"{said} {waiting} waiting." if waiting else said
    done, name = begun.tally, begun.manifest.name
    if not (done.delivered or done.dead or done.in_doubt or waiting):
        belong = "record belongs" if others == 1 else "records belong"
        hint = f" {others:,} {belong} to other people; set scope=all to send them too." if others else ""
        return f"Nothing new for {name}.{hint}"
    parts = [f"{done.delivered} delivered to {name}"]
    parts += [f"{done.dead} refused"] if done.dead else []
    parts += [f"{done.in_doubt} in doubt"] if done.in_doubt else []
    parts += [f"{waiting} waiting"] if waiting else []
    held = connection.next_call_at
    until = (
        f" The next call is at {held:%H:%M:%S} UTC ({connection.wait_reason})." if waiting and held else ""
    )
    return ", ".join(parts) + "." + until


def _wakes() -> Any:
    return col(Connection.is_active) & col(Connection.deleted_at).is_(None)


def _free(now: datetime) -> Any:
    return or_(col(Connection.lease_until).is_(None), col(Connection.lease_until) < now)
