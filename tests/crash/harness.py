"""One run: records come in, workers are killed and stopped, vendors misbehave; then one worker finishes.

Half of the kills come at random times, half at the n-th passing of a named point; a stopped process stays so
until its lease is long over and another has taken its work.
"""

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from core import connections, integrations
from core.access import Principal
from core.delivery import restored
from core.delivery.runs import LEASE_S
from core.storage import db
from tests.crash import points
from tests.crash.clock import Clock
from tests.crash.crew import Child, Crew, soon
from tests.crash.invariants import Evidence, breaches, breaches_restored
from tests.crash.plan import Plan, Report
from tests.crash.roles import WIDE, Order, Setup, set_filter
from tests.crash.transitions import keep_transitions
from tests.crash.vendors import Vendors, slug_of

OF_WORKERS = ("worker", "scheduler", "hub worker")
STOPPED_AT_ONCE = 3
PATIENCE_S = 1.5  # for a process to come to its point; then it is killed where it is
LIMIT_S = 60.0  # without any kill the run is given up
ROUND_S = 20 * 60  # jumped over before each round of the end: all that waits is due
ROUNDS = 30
GRACE_S = 1.0  # real: a byte was sent and its server thread did not run yet


class Harness:
    """`disturb` is called once, in the middle of the run: a database that is restarted."""

    def __init__(
        self,
        who: Principal,
        plan: Plan,
        environment: dict[str, str],
        folder: Path,
        disturb: Callable[[], None] | None = None,
    ) -> None:
        self.who, self.plan, self.disturb = who, plan, disturb
        self.random = random.Random(plan.seed)
        self.report = Report()
        self.clock = Clock(time.time(), plan.speed)
        self.vendors = Vendors(self.clock.now, self.clock.real_s(20) + 0.05, plan.seed, plan.chaos)
        self.setup = Setup(
            environment,
            str(folder / "children.log"),
            who.user_id,
            self.clock.began,
            self.clock.speed,
            plan.mutant,
            disturb is not None,
        )
        self.numbers = 0
        self.starting: dict[int, Order] = {}
        self.children: dict[int, Child] = {}
        self.promised: set[int] = set()
        self.begun = 1  # batch 0 is what an idle producer hands in again and again
        self.last_kill = time.monotonic()
        self.backup: Path | None = None

    def run(self) -> Report:
        began = time.monotonic()
        self.ids = self._connect()
        self.crew = Crew(self.setup)
        try:
            self._play()
            self._finish()
            seen = self._evidence()
            self.report.broken += breaches(seen)
            if self.plan.restores:
                self._put_back()
        finally:
            self.crew.end()
            self.vendors.stop()
        self.report.delivered = sum(row.state == "delivered" for row in seen.rows)
        self.report.in_doubt, self.report.copies = seen.in_doubt(), len(seen.copies)
        self.report.duplicates = len(seen.copies) - len({(copy.vendor, copy.key) for copy in seen.copies})
        self.report.seconds = round(time.monotonic() - began, 1)
        return self.report

    def _evidence(self) -> Evidence:
        return Evidence(self.ids, self.begun, self.promised, self.vendors.copies, self._grace())

    def _grace(self) -> timedelta:
        return timedelta(seconds=GRACE_S * self.clock.speed)

    def _connect(self) -> dict[str, str]:
        keep_transitions()
        return {
            name: connections.create(
                self.who,
                slug_of(name),
                name=name,
                values=self.vendors.credentials(name),
                options=_options(slug_of(name)),
            )
            for name in self.plan.names
        }

    # --- kills and stops --------------------------------------------------------------------------

    def _play(self) -> None:
        while not self._is_enough():
            self._man()
            for words in self.crew.hear(self._idle_s()):
                self._take(words)
            self._act()
            if self.plan.restores and self.backup is None and self.report.kills > self.plan.kills // 2:
                self.backup = copied()
            if self.disturb and self.report.kills > self.plan.kills // 2:
                self.disturb()
                self.report.restarts, self.disturb = 1, None
            assert time.monotonic() - self.last_kill < LIMIT_S, f"nobody could be killed: {self.report}"
            assert self.report.kills < 2 * self.plan.kills + 300, f"a point is never met: {self.report}"
        self._end_all()

    def _is_enough(self) -> bool:
        done, plan = self.report, self.plan
        each = min((done.at[name] for name in plan.kill_points), default=plan.each)
        return done.kills >= plan.kills and done.stops >= plan.stops and each >= plan.each

    def _man(self) -> None:
        """Every place taken: the workers and a producer, besides those who are stopped."""
        awake = [child.order.role for child in self.children.values() if not child.stopped]
        awake += [order.role for order in self.starting.values()]
        for _ in range(self.plan.workers - sum(role in OF_WORKERS for role in awake)):
            self._start(self._worker())
        if "producer" not in awake:
            self._start(self._producer())
        if self.plan.edits and "editor" not in awake:
            self._start(self._order("editor"))

    def _start(self, order: Order) -> None:
        self.starting[order.number] = order
        self.crew.start(order)

    def _order(self, role: str, point: str | None = None, **more: Any) -> Order:
        self.numbers += 1
        nth = self.random.choice((1, 1, 2, 3)) if point and self.plan.at_random else 1
        return Order(self.numbers, role, self.random.randrange(10**6), self.clock.ahead_s, point, nth, **more)

    def _worker(self) -> Order:
        stopping = sum(order.signal == signal.SIGSTOP for order in (*self.starting.values(), *self._orders()))
        missing = self.plan.stops - self.report.stops
        if self.plan.stop_points and missing > stopping and stopping < STOPPED_AT_ONCE:
            point = self._rarest(self.plan.stop_points, self.report.stopped_at, signal.SIGSTOP)
            return self._order(self.plan.role, point, signal=signal.SIGSTOP)
        if self.plan.at_random and self.numbers % 16 == 0 and self.plan.role == "worker":
            return self._order("scheduler")
        return self._order(self.plan.role, self._point(points.OF_WORKERS))

    def _producer(self) -> Order:
        upto = max(self.begun, 2 + int(self.plan.batches * self._done()))
        batches = [batch for batch in range(1, upto) if batch not in self.promised] or [self.begun]
        self.begun = max(self.begun, batches[-1] + 1)
        point = self._point(points.OF_PRODUCERS) if self._producers_turn() else None
        return self._order("producer", point, batches=batches)

    def _done(self) -> float:
        """How much of the run is over, so that records come in until its end."""
        met, plan = self.report, self.plan
        if not plan.at_random:  # a short run, aimed: all at once
            return 1.0
        each = ((met.kills, plan.kills), (met.stops, plan.stops))
        return min([1.0, *(done / wanted for done, wanted in each if wanted)])

    def _producers_turn(self) -> bool:
        """A producer is at its points in no time; it must not take all kills."""
        mine = min(self.report.at[name] for name in points.OF_PRODUCERS)
        return mine <= min((self.report.at[name] for name in self.plan.kill_points), default=0)

    def _point(self, among: tuple[str, ...]) -> str | None:
        """The point that was met least, or None where chance is behind."""
        wanted = tuple(name for name in self.plan.kill_points if name in among)
        at_points = self.report.at.total()
        behind = self.plan.at_random and self.report.kills < 2 * at_points - 2
        return None if behind or not wanted else self._rarest(wanted, self.report.at, signal.SIGKILL)

    def _rarest(self, among: tuple[str, ...], met: Counter[str], number: int) -> str:
        coming = Counter(
            order.point for order in (*self.starting.values(), *self._orders()) if order.signal == number
        )
        return min(among, key=lambda name: (met[name] + coming[name], self.random.random()))

    def _orders(self) -> list[Order]:
        return [child.order for child in self.children.values()]

    def _idle_s(self) -> float:
        return min([0.2, *(child.until - time.monotonic() for child in self.children.values())])

    def _take(self, words: dict[str, Any]) -> None:
        pid = words["pid"]
        if "started" in words:
            order = self.starting.pop(words["started"])
            chance_s = self.plan.life_s if order.role in OF_WORKERS else max(2.0, self.plan.life_s)
            wait_s = PATIENCE_S if order.point else self.random.uniform(0.02, chance_s)
            self.children[pid] = Child(order, pid, soon(wait_s))
        elif "at" in words:
            self._meet(self.children[pid])
        elif "promised" in words:
            self.promised.add(words["promised"])
        elif "ended" in words:
            self._bury(self.children.pop(pid), words["ended"])
        elif "trouble" in words:
            self.report.troubles += 1
        elif "failed" in words:
            self.report.broken.append(words["failed"])

    def _meet(self, child: Child) -> None:
        child.met = True
        assert child.order.point is not None
        if child.order.signal == signal.SIGSTOP:
            child.stopped = True
            self.report.stopped_at[child.order.point] += 1
            # the lease runs out, another takes over; what comes after the grace counts as too late
            child.until = soon(self.clock.real_s(LEASE_S) + 2 * GRACE_S)
        else:
            self.report.at[child.order.point] += 1

    def _bury(self, child: Child, status: int) -> None:
        if status != -signal.SIGKILL and child.order.role != "drainer":
            self.report.broken.append(f"a {child.order.role} ended by itself: {status}")
        self.report.kills += 1
        self.report.stops += child.met and child.order.signal == signal.SIGSTOP  # it went on before it died
        self.last_kill = time.monotonic()

    def _act(self) -> None:
        for child in self.children.values():
            if time.monotonic() < child.until:
                continue
            if child.stopped:
                self.crew.kill(child.pid, signal.SIGCONT)
                child.stopped = False
                child.until = soon(self.random.uniform(0.4, 0.8))
            else:
                self.crew.kill(child.pid)
                child.until = soon(LIMIT_S)

    def _end_all(self) -> None:
        kills = self.report.kills
        while self.children or self.starting:
            for child in self.children.values():
                self.crew.kill(child.pid)
            for words in self.crew.hear(0.2):
                self._take(words)
        self.report.kills = kills  # these met nothing that was at work

    # --- the end ------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """All vendors are well again, time passes, and one worker finishes."""
        self.vendors.calm()
        time.sleep(self.vendors.late_s)
        kills = self.report.kills
        self._hand_in()
        for connection_id in self.ids.values():
            set_filter(self.who, connection_id, WIDE)
        self._drain()
        self.report.kills = kills

    def _drain(self) -> None:
        for _ in range(ROUNDS):
            self.clock = self.clock.jumped(ROUND_S)
            self.vendors.now = self.clock.now
            self._play_out(self._order("drainer"))
            if self._all_delivered():
                break

    def _put_back(self) -> None:
        """The database of half-way comes back; whoever had handed something in hands it in once more."""
        assert self.backup is not None, "no backup was made"
        put_back(self.backup)
        kills, self.promised = self.report.kills, set()
        self._hand_in()
        for connection_id in self.ids.values():
            set_filter(self.who, connection_id, WIDE)
        self._drain()
        self.report.kills, self.report.restored = kills, True
        self.report.broken += [f"after the restore: {line}" for line in breaches_restored(self._evidence())]

    def _hand_in(self) -> None:
        """What was begun and not promised is posted again, as any client would."""
        order = self._order("producer", batches=[b for b in range(1, self.begun) if b not in self.promised])
        self._start(order)
        deadline = soon(LIMIT_S)
        while not set(order.batches) <= self.promised:
            assert time.monotonic() < deadline, "the last producer did not finish"
            for words in self.crew.hear(0.2):
                self._take(words)
        self._end_all()

    def _play_out(self, order: Order) -> None:
        self._start(order)
        deadline = soon(LIMIT_S)
        while order.number in self.starting or self.children:
            assert time.monotonic() < deadline, "the last worker did not finish"
            for words in self.crew.hear(0.2):
                self._take(words)

    def _all_delivered(self) -> bool:
        seen = Evidence({}, 0, set(), [], timedelta())
        return all(row.state == "delivered" for row in seen.rows)


def copied() -> Path:
    """A backup of the SQLite database while everybody is at work."""
    path = Path(str(db.engine().url.database))
    with db.engine().connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.rollback()
        raw.execute(f"VACUUM INTO '{path}.backup'")
    return Path(f"{path}.backup")


def put_back(backup: Path) -> None:
    """As an operator does: the file is replaced, and the hub, started again, notices."""
    path, url = backup.with_suffix(""), db.engine().url.render_as_string(hide_password=False)
    db.engine().dispose()
    for end in ("-wal", "-shm"):
        Path(f"{path}{end}").unlink(missing_ok=True)
    shutil.copy(backup, path)
    db.configure(url)
    assert restored.notice() is not None, "nobody noticed that the database is older than what was sent"


def _options(slug: str) -> dict[str, Any]:
    """Everything at once and each message by itself: digests have a test of their own."""
    options = {"drain": True, "every": "10s", "batch_limit": 50}
    return options | ({"storm": "off"} if integrations.get(slug).storm else {})
