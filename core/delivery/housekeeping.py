"""Do what no connection's own run does: dead workers, deleted connections, notices, retention, the disk's reserve."""

from collections.abc import Callable
from time import monotonic, sleep

import structlog

from core.delivery import notices, outbox, retention, runs
from core.delivery.apart import apart
from core.integrations import credentials
from core.platform.settings import settings
from core.records import people
from core.storage import db, disk
from core.storage.models import Connection

#: at most between two steps of retention, so that a sweep stops as promptly as it began
SWEEP_PAUSE_S = 0.2

log = structlog.get_logger("hub.housekeeping")


def housekeep() -> str | None:
    """Do what no connection's own run does. Returns the sentence about locked connections, if any.

    Open attempts of dead workers become in doubt; nothing waits for deleted connections; owners are told of what
    fails; people get the records that came before them; the reserve on the disk is made again; a missing key is
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
    _reap(runs.WORKER)
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
    return sum(_reap_apart(attempt_id, connection_id, worker) for attempt_id, connection_id in late)


def _reap_apart(attempt_id: int, connection_id: str, worker: str | None) -> int:
    with apart("attempt not reaped", attempt=attempt_id, connection=connection_id):
        return _reap_one(attempt_id, connection_id, worker)
    return 0


@db.unit
def _reap_one(attempt_id: int, connection_id: str, worker: str | None) -> int:
    with db.session() as session:
        return runs.reap(session, attempt_id, connection_id, db.now(session), worker)


@db.unit
def _release() -> None:
    with db.session() as session:
        runs.release(session, runs.WORKER, db.now(session))
