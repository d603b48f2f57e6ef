"""The work queue on PostgreSQL, by procrastinate: runs for any number of workers, and the clock that all of them keep.

Thin on purpose. A job is a connection's id and nothing else; what may run is decided by the connection's lease, what is
sent by fence and attempt, when it is due by its row. So a job is lost without loss, and a second one is refused. No job
has procrastinate's `lock`: that of a killed worker would block its connection. A run that waits has its connection's id
as `queueing_lock`, so that it waits once.

Each worker's deferrer queues the periodic tasks, each second's once for all of them. A periodic task that finds a
living worker at an earlier job of its own returns at once.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib import resources
from typing import Any

import psycopg
import structlog
from procrastinate import App, JobContext, PsycopgConnector, sql
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status
from procrastinate.schema import SchemaManager
from psycopg.types.json import Jsonb
from sqlmodel import Session

from core.delivery import dispatch, housekeeping, workers
from core.delivery.history import replays
from core.delivery.worker import Worker
from core.delivery.workers import RUNS, STALLED_AFTER_S
from core.platform.errors import HubError, Unusable
from core.records import source
from core.storage import db

CLOCK = "clock"
AGAIN_S = 1.0
HEARTBEAT_S = 5.0
CONNECTIONS = 6  # of the queue's own, besides the runs'

log = structlog.get_logger("hub.queue")
#: only its tasks are used before a worker gives it a connection: `queue` uses the caller's
app = App(connector=PsycopgConnector())
_here: list[Worker] = []


# --- what runs ------------------------------------------------------------------------------------


@app.task(name="run", queue=RUNS)
def run(connection_id: str) -> None:
    _here[0].run(connection_id)


def periodic(
    name: str, cron: str, *, alone: bool = True
) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """A task at each time of `cron` (its sixth field: seconds), queued once at most, and run by one at a time."""

    def register(work: Callable[[], None]) -> Callable[[], None]:
        def once(context: JobContext, timestamp: int) -> None:
            if alone and not _is_alone(name, context):
                return
            try:
                work()
            except HubError as error:
                log.warning(f"{name} put off", reason=error.message)
            except Exception:
                log.exception(f"{name} failed")

        task = app.task(name=name, queue=CLOCK, queueing_lock=name, pass_context=True)(once)
        app.periodic(cron=cron)(task)
        return work

    return register


def _is_alone(name: str, context: JobContext) -> bool:
    assert context.job.id is not None
    with db.reading() as session:
        return workers.is_alone(session, name, context.job.id, db.now(session))


@periodic("tick", "* * * * * *", alone=False)
def tick() -> None:
    dispatch.look(queue)


@periodic("replays", "* * * * * */2")
def work_off_replays() -> None:
    replays.work_off()


@periodic("pull", "* * * * * */5")
def pull() -> None:
    if not source.is_due():
        return
    for kind, stored in (source.pull_due(_here[0].stopping.is_set) or {}).items():
        if stored.new or stored.changed:
            log.info("pulled", kind=kind, new=stored.new, changed=stored.changed)
        for _, reason in stored.problems[:1]:
            log.warning("not taken", kind=kind, rows=len(stored.problems), first=reason)


@periodic("housekeeping", "* * * * * */15")
def keep_house() -> None:
    if said := housekeeping.housekeep():
        log.warning("connections are locked", reason=said)
    _forget()


@db.unit
def _forget() -> None:
    with db.session() as session:
        workers.forget(session, db.now(session))


@periodic("sweep", "* * * * * 10,40")
def sweep() -> None:
    if taken := housekeeping.sweep(_here[0].stopping.is_set):
        log.info("old rows removed or emptied", rows=taken)


@app.periodic(cron="* * * * * 5,20,35,50")
@app.task(name="stalled", queue=CLOCK, queueing_lock="stalled", pass_context=True)
async def clear_stalled(context: JobContext, timestamp: int) -> None:
    """Remove the jobs of workers that died. Nothing is run again by it: a connection's lease says when it is due."""
    await app.job_manager.prune_stalled_workers(STALLED_AFTER_S)
    for job in await app.job_manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_AFTER_S):
        if job.id is not None and job.id != context.job.id:
            log.warning("a worker died", task=job.task_name, **job.task_kwargs)
            await app.job_manager.finish_job(job, Status.ABORTED, delete_job=True)


TASKS = len(app.periodic_registry.periodic_tasks)


# --- what is put in -------------------------------------------------------------------------------


def queue(session: Session, ids: Sequence[str]) -> None:
    """Put a run of each of these connections in the queue, in the caller's transaction, which holds their rows' locks:
    whoever queues a connection holds it, so none is queued twice."""
    waiting = workers.queued(session, ids)
    jobs = [
        (RUNS, run.name, run.priority, run.lock, id, Jsonb({"connection_id": id}), None)
        for id in ids
        if id not in waiting
    ]
    if jobs:
        session.connection().exec_driver_sql(sql.queries["defer_jobs"], {"jobs": jobs})


# --- its tables -----------------------------------------------------------------------------------


@db.unit
def install() -> None:
    """Make the queue's tables, or bring them up to date; safe to repeat. Its comment names the last step."""
    with db.session() as session:
        db.take_turns(session, "work queue")
        connection = session.connection()
        done, steps = _version(connection), _steps()
        if done is None:
            _execute(connection, SchemaManager.get_schema())
        for name, statement in steps.items():
            if done is not None and name > done:
                _execute(connection, statement)
        if done != max(steps):
            _execute(connection, f"COMMENT ON TABLE procrastinate_jobs IS '{max(steps)}'")


def check() -> None:
    """Raises Unusable when the queue's tables are missing or of another version than the package."""
    with db.reading() as session:
        if _version(session.connection()) != max(_steps()):
            raise Unusable("The work queue's tables are missing or old. Run `hub init`, then start again.")


def _version(connection: Any) -> str | None:
    """The last step that was made; None where there are no tables."""
    said = "SELECT to_regclass('procrastinate_jobs'), obj_description(to_regclass('procrastinate_jobs'), 'pg_class')"
    table, comment = connection.exec_driver_sql(said).one()
    return None if table is None else comment or ""


@cache
def _steps() -> dict[str, str]:
    """Procrastinate's migrations by name, which sorts by version."""
    found = resources.files("procrastinate.sql") / "migrations"
    return {
        step.name: step.read_text("utf-8")
        for step in sorted(found.iterdir(), key=lambda step: step.name)
        if step.name.endswith(".sql")
    }


def _execute(connection: Any, statements: str) -> None:
    """Many statements at once, which only the driver takes."""
    raw: psycopg.Connection = connection.connection.dbapi_connection
    raw.execute(statements.encode())


# --- a worker -------------------------------------------------------------------------------------


def work(threads: int, drain_s: float) -> bool:
    """Keep the clock and take `threads` runs at once, until SIGTERM or Ctrl-C; then finish what is under way.

    False when a call had to be left open: the thread that hangs in it would keep the process.
    """
    for name in ("procrastinate", "psycopg.pool"):  # each job, and each try to reach a database that is away
        logging.getLogger(name).setLevel(logging.CRITICAL)
    workers.attend()
    worker = Worker(threads)
    _here[:] = [worker]
    worker.start()
    log.info("working" if threads else "keeping the clock of the workers", threads=threads)
    return asyncio.run(_work(worker, drain_s))


async def _work(worker: Worker, drain_s: float) -> bool:
    loop, ending = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.set_default_executor(ThreadPoolExecutor(worker.threads + TASKS, thread_name_prefix="sync"))
    working = asyncio.create_task(_work_on(worker, ending))
    await ending.wait()
    worker.stopping.set()
    log.info("stopping", running=len(worker.running))
    await asyncio.wait([working], timeout=drain_s)
    return await asyncio.to_thread(worker.stop) and working.done()


async def _work_on(worker: Worker, ending: asyncio.Event) -> None:
    """Until `ending`; begun again where the database was away, which procrastinate's loops do not survive."""
    while not ending.is_set():
        with app.replace_connector(_connector()):
            try:
                async with app.open_async():
                    await _take_jobs(worker, ending)
                if (
                    not ending.is_set()
                ):  # a loop of its own has failed: it ends in order, and says so to nobody
                    log.warning("the work queue was away; begun again")
            except (ConnectorException, psycopg.Error, OSError) as error:
                log.warning("the work queue is away", reason=type(error.__cause__ or error).__name__)
            except Exception:
                log.exception("the work queue failed")
        if not ending.is_set():
            await _until(ending, AGAIN_S)


async def _take_jobs(worker: Worker, ending: asyncio.Event) -> None:
    """Both queues, each with threads of its own, until `ending` or one of them fails."""
    places = {RUNS: worker.threads, CLOCK: TASKS}
    takers = [
        asyncio.create_task(
            app.run_worker_async(
                queues=[name],
                concurrency=number,
                fetch_job_polling_interval=AGAIN_S,
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=STALLED_AFTER_S,
            )
        )
        for name, number in places.items()
        if number
    ]
    waiting = asyncio.create_task(ending.wait())
    await asyncio.wait([*takers, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    for taker in takers:  # it takes no more, and ends when its jobs have
        taker.cancel()
    for ended in await asyncio.gather(*takers, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


async def _until(ending: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(ending.wait(), seconds)
    except TimeoutError:
        return


def _connector() -> PsycopgConnector:
    url = db.engine().url.set(drivername="postgresql")
    return PsycopgConnector(
        conninfo=url.render_as_string(hide_password=False),
        min_size=1,
        max_size=CONNECTIONS,
        configure=_limit,
    )


async def _limit(connection: Any) -> None:
    """As for the hub's own sessions: a stopped process keeps no row of the queue for long."""
    await connection.set_autocommit(True)
    await connection.execute(db.limiting(db.WORKING))
    await connection.set_autocommit(False)
