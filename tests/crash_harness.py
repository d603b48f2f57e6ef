"""Kill and stop a real scheduler in the middle of its work, and check afterwards what the vendors hold.

The scheduler runs in processes forked from a server that has done the imports, so that kills hit work and
not start-up. Time passes while nobody runs: stored times are moved into the past, which is how a minute's
lease and a quarter hour's look-ups fit into a short test.
"""

import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerContext, ForkServerProcess

from sqlalchemy import func, or_, select, true
from sqlmodel import Session, col

from core import db, sync
from core.calls import Call
from core.models import WAITING, Attempt, AttemptOutcome, Connection, Delivery, State
from tests.workplace import Workplace, pass_time

FRESH_S = 0.3  # instead of 5 s: a stopped worker must renew its lease after so long
LIMIT_S = 60.0  # on every wait; the machine may be busy

context: ForkServerContext = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.crash_harness", "scheduler"])


def work(environment: dict[str, str], mutant: str, stops: bool) -> None:
    """In the child: the scheduler; with `stops` the first ticket stops the process before a byte leaves."""
    import scheduler
    from core import calls, exports
    from core.settings import settings

    os.environ.update(environment)
    settings.cache_clear()
    db.configure(settings().database_url)
    calls.FRESH_S = FRESH_S
    exports.HOLD_ABOVE = 1_000_000  # cases pile up between kills, and no person is here to release them
    MUTANTS[mutant]()
    if stops:
        _stop_before_call()
    scheduler.LOOK_S = 0.1
    scheduler.main()


def _stop_before_call() -> None:
    """Stop at the first try of a ticket: a second copy of it could not be explained."""
    real, begin, writing = sync._send, db._begin, threading.Lock()

    @contextmanager
    def begin_alone(write: bool) -> Iterator[Session]:
        with writing if write else nullcontext(), begin(write) as session:
            yield session

    def send(call: Call) -> None:
        if call.run.manifest.slug == "jira" and call.claim.rows[0].in_doubt_since is None:
            with writing:  # a stopped process that holds SQLite's lock would stop everybody
                os.kill(os.getpid(), signal.SIGSTOP)
                time.sleep(0.1)  # another thread may be the first to stop
        real(call)

    db._begin = begin_alone
    sync._send = send


def _no_mutant() -> None:
    """The code as it is."""


def _without_fence() -> None:
    """A worker no longer asks whether an attempt is still its own, neither before a call nor when closing."""
    from core import calls
    from core.outbox import closing

    calls.Call.before = lambda call: None  # type: ignore[method-assign]
    closing._mine = lambda claim: true()
    calls.outbox.end_attempt = lambda *arguments: True


def _without_look_up() -> None:
    """A ticket in doubt is created again without looking."""
    from core import calls

    calls.Call.settle_found = lambda call, tracker, row: False  # type: ignore[method-assign]


MUTANTS: dict[str, Callable[[], None]] = {
    "none": _no_mutant,
    "no fence": _without_fence,
    "no look-up": _without_look_up,
}


@dataclass
class Report:
    """What happened; `broken` are the promises that were not kept, in words."""

    kills: int = 0
    stops: int = 0
    delivered: int = 0
    in_doubt: set[int] = field(default_factory=set)
    accepted: int = 0
    duplicates: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass
class Harness:
    workplace: Workplace
    environment: dict[str, str]
    mutant: str = "none"
    seed: int = 1
    held_open: int = 0  # connections of a stopped worker

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.report = Report()
        self.records = {"splunk": [], "jira": [], "slack": []}  # type: dict[str, list[str]]

    def run(self, *, kills: int, stops: int, records: int) -> Report:
        for slug in self.records:
            alone = {"storm": "off"} if slug == "slack" else {}  # each message is counted
            self.workplace.connect(slug, drain=True, batch_limit=50, every="10s", **alone)
            self.workplace.sandbox.fault(slug, "lost_answer", share=0.12, seed=self.seed)
        for turn in range(kills):
            self._add(records)
            self._kill(self._start(), self.random.uniform(0.15, 0.7))
            self.report.kills += 1
            if turn < stops:
                self._add(records)
                self._stop_past_lease()
            self._rest()
        self.workplace.sandbox.clear_faults()
        self._settle()
        self._check()
        return self.report

    def _add(self, number: int) -> None:
        self.records["splunk"] += self.workplace.scans(number)
        self.records["jira"] += self.workplace.cases(number)
        self.records["slack"] += self.workplace.alerts(number)

    def _start(self, stops: bool = False) -> ForkServerProcess:
        worker = context.Process(target=work, args=(self.environment, self.mutant, stops))
        worker.start()
        return worker

    def _kill(self, worker: ForkServerProcess, after_s: float = 0.0) -> None:
        worker.join(after_s)
        assert worker.exitcode is None, f"the scheduler ended by itself: {worker.exitcode}"
        worker.kill()
        worker.join()
        # what the dead one had sent is dealt with before time passes: a vendor does not take 20 minutes
        until(
            lambda: self.workplace.sandbox.open_connections <= self.held_open,
            "the sandbox did not come to rest",
        )

    def _stop_past_lease(self) -> None:
        """Stop one worker between its claim and its call until another has done its work, then let it go on."""
        self._rest()
        stopped = self._start(stops=True)
        until(lambda: _state_of(stopped.pid) == "T", "no worker came to its call")
        self.report.stops += 1
        self.held_open = self.workplace.sandbox.open_connections
        for _ in range(4):  # three look-ups, then a second create
            self._rest()
            other = self._start()
            until(self._nothing_due, "the second worker did not finish")
            self._kill(other)
        time.sleep(FRESH_S)
        os.kill(stopped.pid or 0, signal.SIGCONT)
        self.held_open = 0
        self._kill(stopped, 1.0)

    def _nothing_due(self) -> bool:
        with db.reading() as session:
            now = db.now(session)
            due = select(func.count()).where(
                or_(
                    col(Delivery.state) == "sending",
                    col(Delivery.state).in_(WAITING) & (col(Delivery.next_attempt_at) <= now),
                )
            )
            held = select(col(Connection.id)).where(col(Connection.next_call_at) > now)
            due = due.where(col(Delivery.webhook_id).not_in(held))
            return session.execute(due).scalar_one() == 0

    def _rest(self) -> None:
        """Twenty minutes pass while nobody works: leases run out, look-ups and retries are due."""
        pass_time(timedelta(minutes=20))
        sync.housekeep()
        with db.reading() as session:
            doubtful = select(col(Delivery.id)).where(col(Delivery.state) == State.IN_DOUBT)
            self.report.in_doubt |= {id for id in session.execute(doubtful).scalars() if id is not None}

    def _settle(self) -> None:
        """All vendors are well again: one worker finishes."""
        for _ in range(12):
            self._rest()
            worker = self._start()
            until(self._nothing_due, "the last worker did not finish")
            self._kill(worker)
            if all(set(self.workplace.states(slug)) == {"delivered"} for slug in self.records):
                return

    def _check(self) -> None:
        report, broken = self.report, self.report.broken
        for slug, ids in self.records.items():
            rows = {row.key: row for row in self.workplace.deliveries(slug)}
            copies = Counter(accepted.key for accepted in self.workplace.sandbox.accepted(slug))
            report.accepted += copies.total()
            report.delivered += sum(row.state == "delivered" for row in rows.values())
            report.duplicates += copies.total() - len(copies)
            if len(rows) != len(ids):
                broken.append(f"{slug}: {len(ids)} records, {len(rows)} rows")
            broken += [
                f"{slug}: {key} is {row.state}" for key, row in rows.items() if row.state != "delivered"
            ]
            broken += [f"{slug}: {key} lost" for key in rows if copies[key] == 0]
            if slug == "jira":
                broken += [
                    f"jira: {key} has {number} tickets" for key, number in copies.items() if number > 1
                ]
            broken += [
                f"{slug}: {key} came {number} times in {rows[key].attempt_count} attempts"
                for key, number in copies.items()
                if number > rows[key].attempt_count
            ]
        with db.reading() as session:
            open_ = select(func.count()).where(col(Attempt.outcome) == AttemptOutcome.OPEN)
            if session.execute(open_).scalar_one():
                broken.append("an attempt was never closed")


def until(condition: Callable[[], bool], sentence: str) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, sentence
        time.sleep(0.02)


def _state_of(pid: int | None) -> str:
    """The process's state letter, T when it is stopped."""
    said = subprocess.run(["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.strip()[:1]
