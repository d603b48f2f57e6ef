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
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic, sleep, time
from typing import Any, NamedTuple

import structlog
from sqlalchemy import func, or_, select
from sqlmodel import col

from core import catalog, db, lessons, messages, opening, options, outbox, retention, runs, space
from core.access import Principal
from core.calls import Call
from core.connectors.base import DeliveryError, Item, Misconfigured, Tracker
from core.errors import Conflict, Full, HubError, Locked, Unusable
from core.exports import export
from core.models import Connection
from core.opening import Live
from core.outbox import Claim
from core.retry import take_call
from core.runs import LEASE_S, Run
from core.selection import left_out
from core.settings import settings
from core.settle import LeaseLost, Settlement
from core.verdicts import Row

#: who holds a lease, as an operator would look for it
WORKER = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:6]}"

#: a server restarts within seconds; with four busy timeouts of 10 s this is still less than LEASE_S
CLOSE_WAITS_S = (0.5, 2.0, 5.0)

log = structlog.get_logger("hub.sync")


@dataclass(frozen=True)
class Result:
    """What a sync answers, at the terminal and in the API (INTERFACE: sync-integration)."""

    success: bool
    count: int
    message: str
    metadata: dict[str, Any]


class Due(NamedTuple):
    id: str
    is_failing: bool


def due(room: int, failing_room: int) -> list[Due]:
    """At most `room` connections whose time has come and that nobody works on, longest waiting first.

    Those that fail come first, but never more than `failing_room`: a dead vendor answers nothing for 20 s, and
    the threads of the others are not spent on waiting for it.
    """
    with db.reading() as session:
        now = db.now(session)
        found = (
            select(col(Connection.id))
            .where(_wakes(), col(Connection.next_wake_at) <= now, _free(now), opening.is_open())
            .order_by(col(Connection.next_wake_at))
        )
        fails = found.where(col(Connection.failures) > 0).limit(min(room, failing_room))
        failing = [Due(id, True) for id in session.execute(fails).scalars()] if failing_room > 0 else []
        well = found.where(col(Connection.failures) == 0).limit(room - len(failing))
        return [*failing, *(Due(id, False) for id in session.execute(well).scalars())]


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
    _close(call, settlement.learned)


def _close(call: Call, learned: int | None) -> None:
    """What the vendor answered is in memory alone: a database that is away for a moment is waited for.

    The waits and the busy timeouts together end within the lease. A commit whose answer was lost is not made
    twice: the fence finds the rows closed, and the run gives up.
    """
    for wait_s in CLOSE_WAITS_S:
        kept = call.open_receipts, call.open_verdicts, replace(call.run.tally)
        try:
            return call.close(learned)
        except Unusable as error:
            call.open_receipts, call.open_verdicts, call.run.tally = kept
            log.warning("answer not written yet", attempt=call.claim.attempt_id, reason=error.message)
            sleep(wait_s)
    call.close(learned)


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
    if not (begun.held or done.delivered or done.dead or done.in_doubt or waiting):
        belong = "record belongs" if others == 1 else "records belong"
        hint = f" {others:,} {belong} to other people; set scope=all to send them too." if others else ""
        return f"Nothing new for {name}.{hint}"
    parts = [f"{done.delivered} delivered to {name}"]
    parts += [f"{done.dead} refused"] if done.dead else []
    parts += [f"{done.in_doubt} in doubt"] if done.in_doubt else []
    parts += [f"{waiting} waiting"] if waiting else []
    parts += [f"{begun.held} held until you release them"] if begun.held else []
    held = connection.next_call_at
    until = (
        f" The next call is at {held:%H:%M:%S} UTC ({connection.wait_reason})." if waiting and held else ""
    )
    return ", ".join(parts) + "." + until


def _wakes() -> Any:
    return col(Connection.is_active) & col(Connection.deleted_at).is_(None)


def _free(now: datetime) -> Any:
    return or_(col(Connection.lease_until).is_(None), col(Connection.lease_until) < now)
