"""A clock that asks `core.delivery.sync` what is due: the standalone scheduler process.

One APScheduler job wakes for the earliest due time and at least once a second, because other processes
change rows. Runs go to a pool of threads; each takes a lease on its connection, so a second scheduler is
harmless and stands by.
"""

import os
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from core import integrations
from core.delivery import clock, heartbeat, housekeeping, idle, restored, runs, schedule, sync, workers
from core.delivery.heartbeat import BEAT_S
from core.delivery.history import replays
from core.delivery.schedule import FAILING_SHARE, SLICE_S, SLOW_SHARE, Due
from core.platform import logs
from core.platform.errors import Busy, Conflict, HubError, Invalid, NotFound, Unusable
from core.records import source
from core.storage import db, disk

THREADS = 16
LOOK_S = 1.0  # at least once a second
SOONEST_S = 0.05
TOGETHER_S = 0.5  # where many connections are idle, those due within so long are looked at together
HOUSEKEEP_S = 15.0
GRACE_S = 8.0  # of the 10 s in which we must be gone
DRAIN_S = 25.0  # of the 30 s that systemd and compose give a worker: a vendor's call ends within 20
TOLD_FOR_S = (
    60.0  # so long trouble of runs is told, when the database is well again and no run comes to show it
)
HOLD_S = 5.0  # a connection is left alone for so long after a run that the database could not be told of

log = structlog.get_logger("hub.scheduler")


class Clock:
    """Who is running, and whether this process is the one that looks."""

    def __init__(self, threads: int = THREADS) -> None:
        self.threads = threads
        self.failing_threads = max(1, int(threads * FAILING_SHARE))
        self.slow_threads = max(1, int(threads * SLOW_SHARE))
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="sync")
        self.stopping = threading.Event()
        self.looking = threading.Lock()  # held during a look
        self.running: dict[str, Due] = {}
        self.is_crowded = False  # at the last look somebody was due who got no thread
        self.lock = threading.Lock()
        self.leading: bool | None = None
        self.trouble: dict[str, str] = {}  # what is wrong with the hub itself, in a sentence each
        self.next_beat = self.next_housekeeping = self.next_pull = self.doubted_at = 0.0
        self.held: dict[str, float] = {}  # connections left alone, and until when
        self.sweeper: threading.Thread | None = None
        self.puller: threading.Thread | None = None
        # a job that could not start on time is started late, never dropped (the default drops it after 1 s)
        self.scheduler = BackgroundScheduler(
            timezone=UTC, job_defaults={"coalesce": True, "misfire_grace_time": None, "max_instances": 1}
        )
        self.job = self.scheduler.add_job(self.look, "interval", seconds=LOOK_S, id="look")

    def start(self) -> None:
        self.scheduler.start()
        self.wake(0.0)

    def wake(self, in_s: float) -> None:
        """Look in this many seconds, unless a look comes sooner."""
        at = datetime.now(UTC) + timedelta(seconds=in_s)
        with self.lock:  # a scheduler that was shut down has no job to move
            planned = getattr(self.job, "next_run_time", None)  # none before the start
            if not self.stopping.is_set() and (planned is None or at < planned):
                self.job.modify(next_run_time=at)

    def wait(self, done: threading.Event) -> None:
        """Until `done`. The next look is planned by this machine's clock: set back, it would not come for as long."""
        while not done.wait(LOOK_S):
            self.wake(LOOK_S)

    def look(self) -> None:
        """One look, unless the scheduler stops."""
        with self.looking:
            if not self.stopping.is_set():
                self._look()

    def _look(self) -> None:
        """Beat, keep house, start what is due. Trouble is told once and tried again."""
        try:
            self._say("disk", found.sentence if (found := disk.lacking()) else None)
            if self._beats():
                self._forget_doubt()
                self._keep_house()
                if "disk" not in self.trouble:
                    replays.work_off()
                    self._start_due()
                    self._pull_aside()
            self._say("database", None)
        except Unusable as error:
            self._say("database", error.message)
        except Exception:  # what one connection's records say is for the log, not for everybody's pages
            log.exception("look failed")

    def _say(self, what: str, sentence: str | None) -> None:
        """Log trouble when it begins and when it is over, not at each look.

        Under the lock: of two runs that end together, the last word in the log is the one that holds.
        """
        with self.lock:
            is_news = (what in self.trouble) is not (sentence is not None)
            if sentence is None:
                self.trouble.pop(what, None)
            else:
                self.trouble[what] = sentence
            if is_news and sentence is not None:
                log.error(f"{what} trouble", reason=sentence)
            elif is_news:
                log.info(f"{what} well again")

    @db.unit
    def _beats(self) -> bool:
        if self.leading and time.monotonic() < self.next_beat:
            return True
        with self.lock:
            trouble = dict(self.trouble)
        with db.session() as session:
            details = {"running": len(self.running), "threads": self.threads, "trouble": trouble}
            leads = heartbeat.beat(session, runs.WORKER, details, db.now(session))
        if leads != self.leading:
            log.info("scheduling" if leads else "another scheduler runs; standing by", worker=runs.WORKER)
        self.leading = leads
        self.next_beat = time.monotonic() + BEAT_S
        return leads

    def _keep_house(self) -> None:
        if time.monotonic() >= self.next_housekeeping:
            self._say("key", housekeeping.housekeep())
            self._sweep_aside()
            self.next_housekeeping = time.monotonic() + HOUSEKEEP_S

    def _sweep_aside(self) -> None:
        """In a thread of its own: with much that is old it takes minutes, and no run that is due waits for it."""
        if self.sweeper is None or not self.sweeper.is_alive():
            self.sweeper = threading.Thread(target=self._sweep, name="retention", daemon=True)
            self.sweeper.start()

    def _sweep(self) -> None:
        try:
            if taken := housekeeping.sweep(self.stopping.is_set):
                log.info("old rows removed or emptied", rows=taken)
        except HubError as error:
            log.warning("retention put off", reason=error.message)
        except Exception:
            log.exception("retention failed")

    def _pull_aside(self) -> None:
        """In a thread of its own: the first read of a source takes minutes, and no run that is due waits for it."""
        is_pulling = self.puller is not None and self.puller.is_alive()
        if is_pulling or time.monotonic() < self.next_pull:
            return
        self.next_pull = time.monotonic() + LOOK_S
        try:
            if source.is_due():
                self.puller = threading.Thread(target=self._pull, name="pull", daemon=True)
                self.puller.start()
        except Invalid as error:  # its address makes no sense
            self._say("source", error.message)

    def _pull(self) -> None:
        try:
            pulled = source.pull_due(self.stopping.is_set)
        except HubError as error:
            self._say("source", error.message)
        except Exception:
            log.exception("pull failed")
        else:
            self._say("source", None)
            for kind, stored in (pulled or {}).items():
                if stored.new or stored.changed:
                    log.info("pulled", kind=kind, new=stored.new, changed=stored.changed)
                for _, reason in stored.problems[:1]:
                    log.warning("not taken", kind=kind, rows=len(stored.problems), first=reason)

    def _start_due(self) -> None:
        passed = idle.pass_by()
        with self.lock:
            running = list(self.running.values())
            self.held = {id: until for id, until in self.held.items() if time.monotonic() < until}
            held = list(self.held)
        room = self.threads - len(running)
        failing = self.failing_threads - sum(each.is_failing for each in running)
        slow = self.slow_threads - sum(each.is_slow for each in running)
        # what a clock that was ahead had put off is due now
        until = None if clock.put_right() else passed.until
        with db.reading() as session:
            shares = schedule.shares(session, self.threads, [each.id for each in running])
        for each in schedule.due(room, failing, slow, until, held, shares) if room > 0 else []:
            with self.lock:
                if each.id in self.running:
                    continue
                self.running[each.id] = each
            self.pool.submit(self._run, each.id)
        self.is_crowded = bool(self.running) and schedule.someone_waits([*self.running, *held], passed.until)
        wait_s = schedule.seconds_to_next()
        if passed.number >= idle.MOST:
            self.wake(SOONEST_S)
        elif wait_s is not None and wait_s < LOOK_S:
            self.wake(max(TOGETHER_S if passed.number else SOONEST_S, wait_s))

    def _run(self, connection_id: str) -> None:
        begun = time.monotonic()

        def is_over() -> bool:
            return self.stopping.is_set() or (self.is_crowded and time.monotonic() - begun >= SLICE_S)

        try:
            if self.stopping.is_set():
                return
            result = sync.run(connection_id, "scheduled", stopping=is_over, only_due=True)
            if result.metadata.get("code") == "full":
                return self._doubt_database(connection_id, result.message)
            self._say("run", None)
            if result.count or not result.success:
                log.info("synced", connection=connection_id, message=result.message, **result.metadata)
        except (Conflict, NotFound) as error:  # somebody else was faster, or deleted it
            log.info("not synced", connection=connection_id, reason=error.message)
        except Busy as error:  # others hold what this run needs, and no other one may need it
            log.warning("not synced", connection=connection_id, reason=error.message)
            self._hold(connection_id)
        except Unusable as error:  # the database; the connection is not to blame
            self._doubt_database(connection_id, error.message)
        except Exception:
            log.exception("run failed", connection=connection_id)
            self._hold(connection_id)
        finally:
            with self.lock:
                self.running.pop(connection_id, None)
            self.wake(SOONEST_S)

    def _hold(self, connection_id: str) -> None:
        with self.lock:
            self.held[connection_id] = time.monotonic() + HOLD_S

    def _doubt_database(self, connection_id: str, sentence: str) -> None:
        """The next look writes to it before it starts anything: when that fails, nothing is started."""
        self._say("run", sentence)
        self._hold(connection_id)
        self.doubted_at, self.next_beat = time.monotonic(), 0.0

    def _forget_doubt(self) -> None:
        if "run" in self.trouble and time.monotonic() - self.doubted_at > TOLD_FOR_S:
            self._say("run", None)

    def stop(self) -> bool:
        """Start nothing more and wait for what is under way. False when a look or a call had to be left open.

        The look first: one that comes back later would beat again after the goodbye, and start runs in a pool
        that takes none.
        """
        until = time.monotonic() + GRACE_S
        with self.lock:
            self.stopping.set()
        if looked := self.looking.acquire(timeout=GRACE_S):
            self.looking.release()
        self.scheduler.shutdown(wait=False)
        self.pool.shutdown(wait=False)
        while self.running and time.monotonic() < until:
            time.sleep(SOONEST_S)
        for aside in (self.sweeper, self.puller):
            if aside is not None:
                aside.join(max(0.0, until - time.monotonic()))
        try:
            housekeeping.abandon()
            _retire()
        except HubError as error:  # what is open runs out by its lease
            log.warning("stopped without the database", reason=error.message)
        return looked and not self.running


@db.unit
def _retire() -> None:
    with db.session() as session:
        heartbeat.retire(session, runs.WORKER, db.now(session))


def _say_restored() -> None:
    """Tell at the start what each run would find: with a full disk it cannot be known, and nothing is sent."""
    try:
        found = restored.notice()
    except HubError as error:
        log.warning("not compared with what was sent", reason=error.message)
        return
    if found:
        log.warning("the database was put back from a backup", in_doubt=found.deliveries)


def work(threads: int, drain_s: float) -> int:
    """Keep the clock of the workers, and take `threads` runs at once, until SIGTERM or Ctrl-C."""
    if not workers.work_queue().work(threads, drain_s):
        log.warning("stopped with a call open; its records are in doubt")
        _leave_at_once()
    return 0


def _leave_at_once() -> None:
    """The thread that hangs in a vendor's answer would keep the process."""
    sys.stderr.flush()
    os._exit(0)


def main(threads: int = 0, drain_s: float = DRAIN_S) -> int:
    """Run until SIGTERM or Ctrl-C. Exits 1 with one sentence when database or manifests cannot be used.

    Where runs go through the work queue this process keeps the clock of the workers, and is one with `threads`, which
    gives what is under way `drain_s` seconds to end.
    """
    logs.configure()
    try:
        db.check_current()
        workers.check()
        integrations.log_disabled()
    except HubError as error:
        print(error.message, file=sys.stderr)
        return 1
    _say_restored()
    if workers.are_used():
        return work(threads, drain_s)
    done = threading.Event()

    def finish(_signal: int, _frame: FrameType | None) -> None:
        done.set()

    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    clock = Clock()
    clock.start()
    clock.wait(done)
    log.info("stopping", running=len(clock.running))
    if not clock.stop():
        log.warning("stopped with a call open; its records are in doubt", running=len(clock.running))
        _leave_at_once()
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
