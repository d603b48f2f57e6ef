"""Outbox, retry and breaker against every order of events that hypothesis can think of.

The flow's own functions run on a real database; the vendor, the clock and the workers' deaths are drawn.
With NIGHTLY set there are a thousand examples.
"""

import itertools
import os
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import func, select, update
from sqlmodel import col

from core import calls, catalog, connections, db, opening, outbox, runs, sync
from core.calls import Call
from core.deliveries import replay_one
from core.errors import Conflict
from core.models import WAITING, Attempt, AttemptOutcome, Connection, Delivery, State
from core.outbox import New
from core.retry import WAITS_S
from core.runs import Run
from core.settle import LeaseLost
from tests.crash.transitions import keep_transitions, read_transitions
from tests.outbox_model import ANSWERS, Hands, Told, ToldTracker, wrong_steps
from tests.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

EXAMPLES = 1000 if "NIGHTLY" in os.environ else 30
STEPS = 40
DAY_S = 86_400
ROUNDS = 20  # of the end: a message a minute is the slowest
KINDS = {"splunk": "scan", "jira": "case", "slack": "alert"}
numbers = itertools.count(1)


class Outbox(RuleBasedStateMachine):
    """One connection, two workers, a person who pauses and replays."""

    place: Workplace
    hands: Hands

    @initialize(slug=st.sampled_from(sorted(KINDS)))
    def connect(self, slug: str) -> None:
        self.slug = slug
        self.hands.held, self.hands.script = [], []
        self.id = self.place.connect(slug, drain=True, every="10s")
        self.before = len(read_transitions())
        self.replayed: set[str] = set()
        self.stack = ExitStack()
        manifest = catalog.get(slug)
        live = self.stack.enter_context(opening.live(manifest, opening.values(self.place.row(slug))))
        told = type("Vendor", (ToldTracker if slug == "jira" else Told,), {"hands": self.hands})
        self.live = opening.Live(told({}, live.client, None), live.client)

    # --- what happens -------------------------------------------------------------------------------

    @rule(number=st.integers(1, 4))
    def put(self, number: int) -> None:
        with db.session() as session:
            connection = session.get_one(Connection, self.id)
            siem = self.slug == "splunk"
            rows = [self._new() for _ in range(number)]
            now = db.now(session)
            assert number == outbox.put(
                session, connection_id=self.id, user_id=connection.user_id, siem=siem, rows=rows, now=now
            )
            connection.next_wake_at = now
            session.add(connection)

    def _new(self) -> New:
        number, kind = next(numbers), KINDS[self.slug]
        key = f"fiq-{kind}-{number}"
        return New(kind, number, 1, key, f"footprintiq.{kind}", "{}", None, self.hands.now, "high", key)

    @rule(script=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=5))
    def run(self, script: list[str]) -> None:
        self._work(script)

    @rule(
        script=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=3),
        asleep_s=st.sampled_from([30, 61, 1800]),
    )
    def run_and_stop_before_a_call(self, script: list[str], asleep_s: float) -> None:
        self.hands.pause_before = lambda: self._sleep(asleep_s)
        self._work(script)
        self.hands.pause_before = None

    @rule(
        script=st.lists(st.sampled_from(sorted(ANSWERS)), max_size=3),
        asleep_s=st.sampled_from([30, 61, 1800]),
    )
    def run_and_stop_after_a_call(self, script: list[str], asleep_s: float) -> None:
        self.hands.pause_after = lambda: self._sleep(asleep_s)
        self._work(script)
        self.hands.pause_after = None

    def _sleep(self, seconds: float) -> None:
        """The worker is stopped; meanwhile another does what is to be done."""
        self.hands.pass_time(seconds)
        sync.housekeep()
        script, self.hands.script = self.hands.script, []
        self._work([])
        self.hands.script = script

    def _work(self, script: list[str]) -> None:
        """One run as `sync.run` does it; without the export, which has its own tests."""
        begun = self._begin()
        if begun is None:
            return
        self.hands.script = list(script)
        try:
            sync.deliver(begun, self.live)
            sync._end(begun)
        except LeaseLost:
            assert self.place.row(self.slug).run_id != begun.id or self._is_reaped(begun)

    def _begin(self) -> Run | None:
        row = self.place.row(self.slug)
        free = row.lease_until is None or row.lease_until < self.hands.now
        try:
            begun = sync._start(self.id, "scheduled", None, lambda: False, 600)
        except Conflict:
            assert not (free and row.is_active), "a free connection was refused"
            return None
        assert free, "two runs hold one connection"
        assert row.is_active, "a paused connection was run"
        return begun

    def _is_reaped(self, begun: Run) -> bool:
        with db.reading() as session:
            mine = select(func.count()).where(
                col(Attempt.run_id) == begun.id, col(Attempt.outcome) == AttemptOutcome.UNKNOWN
            )
            return session.execute(mine).scalar_one() > 0

    @rule()
    def die_after_claiming(self) -> None:
        begun = self._begin()
        if begun is not None:
            self._claim(begun)

    @rule()
    def die_after_sending(self) -> None:
        begun = self._begin()
        claim = self._claim(begun) if begun else None
        if claim is not None:
            call = Call(begun, self.live, claim, self.hands.now.timestamp())
            call.live.client.before_call = call.before
            for row in sync._look_up(call):
                self.hands.held.append((row.key, self.hands.now))

    def _claim(self, begun: Run) -> Any:
        before = self.place.row(self.slug)
        claim = sync._claim(begun)
        if claim is not None:
            assert before.next_call_at is None or before.next_call_at <= self.hands.now, "called too early"
            careful = before.failures > 0 or before.problem is not None
            assert not careful or len(claim.rows) == 1, "more than one probe"
        return claim

    @rule(seconds=st.sampled_from([1, 6, 61, 301, 1200, 7200, DAY_S]))
    def time_passes(self, seconds: float) -> None:
        self.hands.pass_time(seconds)

    @rule()
    def reap(self) -> None:
        sync.housekeep()

    # --- what a person does -------------------------------------------------------------------------

    @rule()
    def disable(self) -> None:
        connections.disable(self.place.who, self.id)

    @rule(backlog=st.sampled_from([None, None, "skip"]))
    def enable(self, backlog: Any) -> None:
        connections.enable(self.place.who, self.id, backlog)

    @rule()
    def hasten(self) -> None:
        with db.session() as session:
            runs.hasten(session, session.get_one(Connection, self.id), self.hands.now)

    @precondition(lambda self: any(row.state in ("dead", "skipped") for row in self.known))
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        stopped = [row for row in self.known if row.state in ("dead", "skipped")]
        row = data.draw(st.sampled_from(stopped), label="replayed")
        replay_one(self.place.who, row.id or 0)

    @precondition(lambda self: any(row.state == "delivered" for row in self.known))
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from([r for r in self.known if r.state == "delivered"]), label="again")
        if self.slug == "jira":
            with pytest.raises(Conflict):
                replay_one(self.place.who, row.id or 0, again=True)
            return
        replay_one(self.place.who, row.id or 0, again=True)
        self.replayed.add(row.key)

    @rule(release=st.booleans())
    def hold_and_decide(self, release: bool) -> None:
        pending = [row.id or 0 for row in self.known if row.state == "pending"]
        with db.session() as session:
            held = update(Delivery).where(col(Delivery.id).in_(pending))
            session.execute(held.values(state=State.HELD, next_attempt_at=None))
        with db.session() as session:
            outbox.skip_rows(session, pending, "A person decided.")
            if release:
                outbox.unskip_rows(session, pending, self.hands.now)

    # --- what must hold ------------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        self.known = self.place.deliveries(self.slug)
        changes = defaultdict(list)
        for change in read_transitions(self.before):
            changes[change.delivery].append(change)
        copies = self.hands.copies()
        for row in self.known:
            steps = changes[row.id or 0]
            assert list(wrong_steps(steps, len(WAITS_S))) == []
            doubts = sum(change.doubted for change in steps) + (row.state == "sending")  # it may become one
            allowed = 1 if self.slug == "jira" else 1 + doubts
            assert copies[row.key] <= allowed or row.key in self.replayed, f"{copies[row.key]} copies"
            assert row.state != "delivered" or copies[row.key] > 0, "lost"
        self._nothing_is_stuck()

    def _nothing_is_stuck(self) -> None:
        with db.reading() as session:
            opened = select(col(Attempt.id)).where(
                col(Attempt.connection_id) == self.id, col(Attempt.outcome) == AttemptOutcome.OPEN
            )
            open_ids = set(session.execute(opened).scalars())
        sending = [row for row in self.known if row.state == "sending"]
        waiting = [row for row in self.known if row.state in WAITING]
        assert all(row.attempt_id in open_ids for row in sending), "sent by an attempt that nobody will close"
        assert all(row.next_attempt_at for row in waiting), "waits for no time"
        row = self.place.row(self.slug)
        if row.run_id is None and row.is_active and waiting:
            due = min(waiting_row.next_attempt_at for waiting_row in waiting if waiting_row.next_attempt_at)
            times = [due, row.next_call_at or due, self.hands.now]
            assert row.next_wake_at is not None
            assert row.next_wake_at <= max(times), "nobody will wake for it"

    def teardown(self) -> None:
        """Everybody is well again: all that was not given up arrives."""
        if not hasattr(self, "known"):
            return
        for _ in range(ROUNDS):
            self.hands.pass_time(DAY_S)
            sync.housekeep()
            connections.enable(self.place.who, self.id)
            self._work([])
            self.every_promise_holds()
            if {row.state for row in self.known} <= {"delivered", "dead", "skipped"}:
                break
        self.stack.close()
        assert {row.state for row in self.known} <= {"delivered", "dead", "skipped"}, "stuck for ever"


@pytest.fixture
def machine(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Outbox]:
    hands = Hands()
    monkeypatch.setattr(db, "now", lambda session: hands.now)
    for module in (calls, sync):
        monkeypatch.setattr(module, "time", lambda: hands.now.timestamp())
    for module in (calls, runs):
        monkeypatch.setattr(module, "random", lambda: 0.5)
    keep_transitions()
    return type("Machine", (Outbox,), {"place": workplace, "hands": hands})


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_order_of_events_breaks_a_promise(machine: Callable[[], Outbox]) -> None:
    profile = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=profile)
