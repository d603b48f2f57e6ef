"""One run of one connection, from its lease to its end: export, deliver, journal.

    records ──► export ──► outbox ──► deliver ──► journal

Every arrow is one transaction, and none is open while a vendor is called. It may be killed anywhere and
started again: what was exported stays in the outbox, what was being sent becomes in doubt.
"""

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from time import monotonic

import structlog
from sqlmodel import Session

from core import integrations, records
from core.access import Principal, rights
from core.access.audit import audit
from core.delivery import breaker, journal, left_out, outbox, restored, result, runs
from core.delivery.batch import LeaseLost
from core.delivery.export import export
from core.delivery.result import Result as Result
from core.delivery.runs import Run
from core.delivery.send import deliver
from core.http.errors import DeliveryError, Misconfigured, Unavailable
from core.integrations import client, credentials
from core.platform.errors import Conflict, Full, HubError, Locked, Unusable
from core.storage import db, disk
from core.storage.models import Connection, State

log = structlog.get_logger("hub.sync")


def run(
    connection_id: str,
    action: str = "scheduled",
    *,
    who: Principal | None = None,
    stopping: Callable[[], bool] = lambda: False,
    deadline_s: float = 600.0,
    only_due: bool = False,
    drain: bool = False,
) -> Result:
    """Sync one connection now. Raises NotFound, Conflict while it is running or paused, and Unusable.

    With `drain` everything that it wants by now, however many; what this run does not reach, the scheduler sends
    without waiting for the interval. With `only_due` also Conflict when it is not due any more: between `due` and
    here another scheduler ran it.
    Without room on the disk, or without the connection's key, nothing is sent and nothing is spent. Whatever else
    goes wrong, but for the database, is this connection's failed run.
    """
    restored.notice()
    begun = _start(connection_id, action, who, stopping, deadline_s, only_due, drain)
    try:
        disk.require()
        _work(begun)
        return _end(begun)
    except (Full, Locked) as error:
        return _drop(begun, error)
    except LeaseLost:
        return _taken_over(begun)
    except Unusable:
        raise
    except Exception as error:  # noqa: BLE001 - told in the run's log, with where it was
        return _fail(begun, error)


def _taken_over(begun: Run) -> Result:
    log.warning("lease lost", connection=begun.connection.id, run=begun.id)
    return _lose(begun)


def _fail(begun: Run, error: Exception) -> Result:
    """What nobody foresaw, or an option that cannot be used: told in the run's log, and the connection waits."""
    try:
        if isinstance(error, HubError):
            _note(begun, Misconfigured(error.message))
        else:
            log.error("run failed", connection=begun.connection.id, run=begun.id, exc_info=error)
            said = f"The hub failed in this run ({type(error).__name__}); its log says where."
            _note(begun, Unavailable(said, "What waits is tried again."), is_ours=True)
        return _end(begun)
    except LeaseLost:
        return _taken_over(begun)


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
        _audit(session, begun, reason)


@db.unit
def _lose(begun: Run) -> Result:
    message = "Another worker took this sync over."
    with db.session() as session:
        _audit(session, begun, message)
    return Result(False, begun.tally.delivered, message, runs.metadata(begun))


def _audit(session: Session, begun: Run, error: str | None) -> None:
    """One row for a person's sync; what the scheduler runs is in the log of runs alone."""
    if begun.who is None:
        return
    connection, done = begun.connection, begun.tally
    said = {"error": error} if error else {}
    counts = {"records": done.delivered, "dead": done.dead, "in_doubt": done.in_doubt}
    audit(
        session,
        begun.who,
        "connection.sync",
        connection.id,
        name=connection.name,
        run=begun.id,
        **counts,
        **said,
    )


def _work(begun: Run) -> None:
    """Export and deliver until nothing is left. Raises Invalid, before anything else, for unusable options."""
    begun.require_usable()
    with ExitStack() as stack:
        try:
            live = stack.enter_context(client.live(begun.manifest, credentials.values(begun.connection)))
        except Locked:
            raise
        except DeliveryError as fault:  # an unreadable secret, a CA that is none
            return _note(begun, fault)
        except HubError as error:  # no key
            return _note(begun, Misconfigured(error.message), is_ours=True)
        while True:
            if begun.exports:
                export(begun)
            deliver(begun, live)
            if begun.over() or not begun.has_more():
                return


# --- the ends of a run ----------------------------------------------------------------------------


@db.unit
def _start(
    connection_id: str,
    action: str,
    who: Principal | None,
    stopping: Callable[[], bool],
    deadline_s: float,
    only_due: bool = False,
    drain: bool = False,
) -> Run:
    with db.session() as session:
        now = db.now(session)
        connection, slug = runs.find(session, connection_id, who)
        rights.require(session, connection_id)
        manifest = integrations.get(slug)
        chosen, flaw = runs.options_of(connection, manifest)
        run_id, woken_at = str(uuid.uuid4()), connection.next_wake_at
        if only_due and woken_at and woken_at > now:
            raise Conflict(f'"{connection.name}" was run by another scheduler; wait for its next time.')
        died = runs.take(session, connection, run_id, runs.WORKER, now)
        session.refresh(connection)
        if action == "manual":
            runs.hasten(session, connection, now)
        if drain:
            connection.drain_to = records.head(session)
        if died:
            journal.interrupt(session, died, now)
        scheduled = connection.next_sync_at is None or connection.next_sync_at <= now
        return Run(
            id=run_id,
            action=action,
            connection=connection,
            manifest=manifest,
            options=chosen,
            flaw=flaw,
            stopping=stopping,
            deadline=monotonic() + deadline_s,
            woken_at=woken_at,
            exports=action != "scheduled" or chosen.realtime or scheduled or connection.drain_to is not None,
            drain_to=connection.drain_to,
            who=who,
        )


@db.unit
def _note(begun: Run, fault: DeliveryError, *, is_ours: bool = False) -> None:
    """The run cannot go on: nothing is spent, and the connection waits, for a person or for a while.

    What is the hub's own fault will not switch the connection off.
    """
    begun.fault = fault
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
        _audit(session, begun, begun.fault.message if begun.fault else None)
        waiting = outbox.count_waiting(session, begun.connection.id)
        connection = session.get_one(Connection, begun.connection.id)
        idle = begun.action == "manual" and not (begun.tally.delivered or begun.tally.dead or waiting)
        missing = _left_out(session, begun, connection) if idle else ""
        held = sum(outbox.standing(session, [connection.id], (State.HELD,)).values())
    begun.more = begun.more or bool(waiting)
    metadata = runs.metadata(begun) | {"waiting": waiting}
    message = result.message(begun, connection, waiting, missing, held)
    return Result(begun.fault is None, begun.tally.delivered, message, metadata)


def _left_out(session: Session, begun: Run, connection: Connection) -> str:
    everybodys = begun.who is None or begun.who.is_admin
    return left_out.count(session, connection, begun.manifest, everybodys=everybodys).sentence
