"""Who runs what is due where runs go through the work queue: the workers, what is queued for them, and how late it is.

A process says every two seconds that it lives; its row counts for nothing when it is older than a beat may be. The
queue's table is `core.delivery.work_queue`'s; here it is only looked at, without the package that made it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from types import ModuleType

from sqlalchemy import BigInteger, ColumnElement, Enum, String, column, delete, func, select, table
from sqlmodel import Session, col

from core.delivery import heartbeat, runs, schedule
from core.platform.durations import duration
from core.platform.errors import Unusable
from core.platform.settings import PROCRASTINATE, settings
from core.storage import due_times
from core.storage.models import Connection, Heartbeat

#: who beats as the scheduler where each worker may be the one that looks
LEADER = "the workers"
RUNS = "runs"
#: of the worker behind a job: as long as a lease, so that the run of one that was silent for longer is over
STALLED_AFTER_S = runs.LEASE_S
#: a periodic task of a worker that was silent for so long is another's
ALONE_FOR_S = 20.0
#: rows of processes that were killed are kept for so long
KEPT_FOR = timedelta(hours=1)
JOBS = table(
    "procrastinate_jobs",
    *(column("id", BigInteger), column("queue_name", String), column("task_name", String)),
    *(column("queueing_lock", String), column("worker_id", BigInteger)),
    column("status", Enum("todo", "doing", name="procrastinate_job_status")),
)
_ALIVE = table("procrastinate_workers", column("id", BigInteger), column("last_heartbeat"))


@dataclass(frozen=True)
class Workers:
    """`threads`: how many runs all of them take at once; `queued`: runs that wait for a thread; `lag_s`: how long the
    connection that waits the longest has been due, 0 where none is."""

    number: int
    threads: int
    running: int
    queued: int
    lag_s: float

    @property
    def sentence(self) -> str:
        """How it is, for every door; without the full stop."""
        if not self.number:
            return "No worker runs"
        who = "1 worker takes" if self.number == 1 else f"{self.number:,} workers take"
        waits = (
            f"{self.queued:,} wait, the longest for {duration(self.lag_s)}" if self.queued else "none waits"
        )
        return f"{who} {self.threads:,} runs at once; {self.running:,} run now, {waits}"

    @property
    def lack(self) -> str | None:
        """The sentence with the next step where nobody takes what is due; None where somebody does."""
        if self.number:
            return None
        return "What is due waits in the work queue. Start one worker or more with `hub worker`."


def are_used() -> bool:
    """Tell whether runs go through the work queue."""
    return settings().executor == PROCRASTINATE


def attend() -> None:
    """Have this process queue the connections that its records wake. Does nothing where no work queue is used."""
    if are_used():
        due_times.queue_by(_queue)


def check() -> None:
    """Raises Unusable where runs go through the work queue and it cannot be used: no package, no tables."""
    if are_used():
        work_queue().check()


def work_queue() -> ModuleType:
    """The queue itself. Raises Unusable where its package is not installed: it comes with an extra."""
    try:
        from core.delivery import work_queue as queue
    except ModuleNotFoundError as error:
        if error.name not in ("procrastinate", "psycopg_pool"):
            raise
        raise Unusable(
            f"HUB_EXECUTOR={PROCRASTINATE} needs a package that is not installed. "
            "Run: pip install 'footprintiq-hub[postgres]'"
        ) from None
    return queue


def _queue(session: Session, ids: Sequence[str]) -> None:
    work_queue().queue(session, ids)


def beat(session: Session, threads: int, running: int, now: datetime) -> None:
    """Say that this process lives, and how much it takes."""
    name = _name()
    found = session.get(Heartbeat, name)
    started_at = found.started_at if found else now
    details = {"threads": threads, "running": running}
    session.merge(
        Heartbeat(name=name, owner=runs.WORKER[-100:], beat_at=now, started_at=started_at, details=details)
    )


def leave(session: Session, now: datetime) -> None:
    """End as a process of the work queue; the last one that leaves ends the scheduler's beat as well."""
    session.execute(delete(Heartbeat).where(col(Heartbeat.name) == _name()))
    if not _alive(session, now):
        heartbeat.retire(session, LEADER, now)


def forget(session: Session, now: datetime) -> None:
    """Remove the rows of processes that were killed long ago."""
    is_old = col(Heartbeat.beat_at) < now - KEPT_FOR
    session.execute(delete(Heartbeat).where(col(Heartbeat.name).startswith("worker "), is_old))


def read(session: Session, now: datetime) -> Workers | None:
    """Read how the workers are; None where the scheduler runs everything in its own threads."""
    if not are_used():
        return None
    alive = [each.details for each in _alive(session, now) if each.details["threads"]]
    queued = select(func.count()).select_from(JOBS).where(*_waiting())
    return Workers(
        number=len(alive),
        threads=sum(each["threads"] for each in alive),
        running=sum(each["running"] for each in alive),
        queued=session.execute(queued).scalar_one(),
        lag_s=schedule.lag_s(session, now),
    )


def queued(session: Session, among: Collection[str] | None = None) -> set[str]:
    """Find the connections whose run is queued and was not begun; of those `among`, where given."""
    found = select(JOBS.c.queueing_lock).where(*_waiting())
    if among is not None:
        found = found.where(JOBS.c.queueing_lock.in_(among))
    return set(session.execute(found).scalars())


def taken(session: Session, waiting: Collection[str], now: datetime) -> tuple[int, int]:
    """Count those that fail, and those that are slow, among the connections that run or are about to (`waiting`)."""
    works = (col(Connection.lease_until) > now) | col(Connection.id).in_(waiting)
    fails = func.count().filter(schedule.fails())
    slow = func.count().filter(~schedule.fails() & schedule.is_slow())
    row = session.execute(select(fails, slow).select_from(Connection).where(works)).one()
    return row[0], row[1]


def is_alone(session: Session, task: str, job_id: int, now: datetime) -> bool:
    """Tell whether no living worker is at an earlier job of this task."""
    alive = select(_ALIVE.c.id).where(_ALIVE.c.last_heartbeat > now - timedelta(seconds=ALONE_FOR_S))
    earlier = (JOBS.c.task_name == task, JOBS.c.status == "doing", JOBS.c.id < job_id)
    found = select(JOBS.c.id).where(*earlier, JOBS.c.worker_id.in_(alive)).limit(1)
    return session.execute(found).first() is None


def _name() -> str:
    """Of this process's row."""
    return f"worker {sha256(runs.WORKER.encode()).hexdigest()[:16]}"


def _alive(session: Session, now: datetime) -> list[Heartbeat]:
    since = now - timedelta(seconds=heartbeat.OLD_AFTER_S)
    found = select(Heartbeat).where(col(Heartbeat.name).startswith("worker "), col(Heartbeat.beat_at) > since)
    return list(session.execute(found).scalars())


def _waiting() -> tuple[ColumnElement[bool], ...]:
    return (JOBS.c.queue_name == RUNS, JOBS.c.status == "todo")
