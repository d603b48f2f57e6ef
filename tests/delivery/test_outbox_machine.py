"""Outbox, retry and breaker against every order of events that hypothesis can think of.

The flow's own functions run on a real database; the vendor, the clock and the workers' deaths are drawn.
With NIGHTLY set there are eight hundred examples, other ones each time.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import func, select, update
from sqlmodel import col

from core import connections, integrations
from core.delivery import housekeeping, outbox, runs, send, sync
from core.delivery.batch import LeaseLost
from core.delivery.history import replay_one
from core.delivery.outbox import Claim, New
from core.delivery.retry import WAITS_S
from core.delivery.runs import LEASE_S, Run
from core.delivery.send import Send
from core.integrations import client, credentials
from core.platform.errors import Conflict
from core.storage import db
from core.storage.models import WAITING, Attempt, AttemptOutcome, Connection, Delivery, SkippedBy, State
from tests.crash.transitions import Transition, keep_transitions, read_transitions
from tests.support.outbox_model import ANSWERS, BECOMES, QUIET_S, Hands, Told, ToldTracker, wrong_steps
from tests.support.state_machine import play
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

DAY_S = 86_400
SCRIPTS = st.lists(st.sampled_from(sorted(ANSWERS)), max_size=4)
ASLEEP_S = st.sampled_from([30, 61, 1800])
ROUNDS = 20  # of the end: a message a minute is the slowest
KINDS = {"splunk": "scan", "jira": "case", "slack": "alert"}
numbers = itertools.count(1)


class Outbox(RuleBasedStateMachine):
    """One connection, two workers, a person who pauses and replays."""

    place: Workplace
    hands: Hands
    claim: Callable[[Run], Claim | None]

    @initialize(slug=st.sampled_from(sorted(KINDS)))
    def connect(self, slug: str) -> None:
        self.slug = slug
        self.hands.held, self.hands.script = [], []
        self.id = self.place.connect(slug, drain=True, every="10s")
        self.before = len(read_transitions())
        self.changes: dict[int, list[Transition]] = defaultdict(list)
        self.replayed: set[str] = set()
        self.quiet_until, self.disturbed = self.hands.now, False
        self.stack = ExitStack()
        manifest = integrations.get(slug)
        live = self.stack.enter_context(client.live(manifest, credentials.values(self.place.row(slug))))
        told = type("Vendor", (ToldTracker if slug == "jira" else Told,), {"hands": self.hands})
        self.live = client.Live(told({}, live.client, None), live.client)

    # --- what happens -------------------------------------------------------------------------------

    @rule(number=st.integers(1, 4))
    def put(self, number: int) -> None:
        with db.session() as session:
            connection = session.get_one(Connection, self.id)
            rows, now = [self._new() for _ in range(number)], db.now(session)
            put = outbox.put(
                session,
                connection_id=self.id,
                user_id=connection.user_id,
                siem=self.slug == "splunk",
                rows=rows,
                now=now,
            )
            assert len(put) == number
            connection.next_wake_at = now
            session.add(connection)

    def _new(self) -> New:
        number, kind = next(numbers), KINDS[self.slug]
        key = f"fiq-{kind}-{number}"
        return New(kind, number, 1, None, key, f"footprintiq.{kind}", "{}", None, self.hands.now, "high", key)

    @rule(script=SCRIPTS, action=st.sampled_from(["scheduled", "manual"]))
    def run_now(self, script: list[str], action: str) -> None:
        self._work(script, action)

    @rule(script=SCRIPTS)
    def run_when_due(self, script: list[str]) -> None:
        self._wait_until_due()
        self._work(script)

    @rule(script=SCRIPTS, asleep_s=ASLEEP_S)
    def stop_before_a_call(self, script: list[str], asleep_s: float) -> None:
        self._wait_until_due()
        self.hands.pause_before = lambda: self._sleep(asleep_s)
        self._work(script)
        self.hands.pause_before = None

    @rule(script=SCRIPTS, asleep_s=ASLEEP_S)
    def stop_after_a_call(self, script: list[str], asleep_s: float) -> None:
        self._wait_until_due()
        self.hands.pause_after = lambda: self._sleep(asleep_s)
        self._work(script)
        self.hands.pause_after = None

    def _wait_until_due(self) -> None:
        """The connection is free and has something to send: most steps would do nothing otherwise."""
        if self.place.row(self.slug).run_id is not None:
            self.hands.pass_time(LEASE_S + 1)
            housekeeping.housekeep()
        if not self.place.row(self.slug).is_active:
            self.enable(None)
        due = [r.next_attempt_at for r in self.place.deliveries(self.slug) if r.state in WAITING]
        if not due:
            self.put(2)
        times = [self.hands.now, self.place.row(self.slug).next_call_at, min(filter(None, due), default=None)]
        self.hands.now = max(time for time in times if time is not None)

    def _sleep(self, seconds: float) -> None:
        """The worker is stopped; meanwhile another does what is to be done."""
        self.hands.pass_time(seconds)
        housekeeping.housekeep()
        self.disturbed = True
        script, told = self.hands.script, self.hands.told
        self._work([])
        self.hands.script, self.hands.told = script, told
        self.disturbed = True

    def _work(self, script: list[str], action: str = "scheduled") -> None:
        """One run as `sync.run` does it; without the export, which has its own tests."""
        attempts = {row.key: row.attempt_count for row in self.place.deliveries(self.slug)}
        begun = self._begin(action)
        if begun is None:
            return
        self.hands.script, self.hands.told, self.disturbed = list(script), {}, False
        try:
            sync.deliver(begun, self.live)
            if begun.fault is not None:
                self.quiet_until = self.hands.now + timedelta(seconds=QUIET_S[type(begun.fault)])
            sync._end(begun)
        except LeaseLost:
            assert self.place.row(self.slug).run_id != begun.id or self._is_reaped(begun)
        else:
            self._compare(attempts)

    def _compare(self, attempts: dict[str, int]) -> None:
        """What was answered is what the rows say, unless somebody else had a hand in it."""
        if self.disturbed:
            return
        for row in self.place.deliveries(self.slug):
            if row.key in self.hands.told:
                fault = self.hands.told[row.key]
                states, spent = BECOMES[None if fault is None else type(fault)]
                assert row.state in states, f"{row.state} after {fault!r}"
                assert row.attempt_count == attempts[row.key] + spent, f"miscounted after {fault!r}"

    def _begin(self, action: str = "scheduled") -> Run | None:
        row = self.place.row(self.slug)
        free = row.lease_until is None or row.lease_until < self.hands.now
        try:
            begun = sync._start(self.id, action, None, lambda: False, 600)
        except Conflict:
            assert not (free and row.is_active), "a free connection was refused"
            return None
        assert free, "two runs hold one connection"
        assert row.is_active, "a paused connection was run"
        if action == "manual" and row.wait_reason != "throttled":
            self.quiet_until = self.hands.now
        return begun

    def claim_checked(self, begun: Run) -> Claim | None:
        """Stands around `send.claim`: one probe at a time, and none before its time."""
        before = self.place.row(self.slug)
        claim = self.claim(begun)
        if claim is not None:
            assert self.hands.now >= self.quiet_until, "called too early"
            careful = before.failures > 0 or before.problem is not None
            assert not careful or len(claim.rows) == 1, "more than one probe"
        return claim

    def _is_reaped(self, begun: Run) -> bool:
        with db.reading() as session:
            mine = select(func.count()).where(
                col(Attempt.run_id) == begun.id, col(Attempt.outcome) == AttemptOutcome.UNKNOWN
            )
            return session.execute(mine).scalar_one() > 0

    @rule(sent=st.booleans())
    def die_after_claiming(self, sent: bool) -> None:
        """Or after sending."""
        self._wait_until_due()
        begun = self._begin()
        claim = send.claim(begun) if begun else None
        if begun and claim and sent:
            call = Send(begun, self.live, claim, self.hands.now.timestamp())
            call.live.client.before_call = call.before
            self.hands.held += [(row.key, self.hands.now) for row in send._look_up(call)]

    @rule(seconds=st.sampled_from([1, 6, 61, 301, 1200, 7200, DAY_S]))
    def time_passes(self, seconds: float) -> None:
        self.hands.pass_time(seconds)

    @rule()
    def reap(self) -> None:
        housekeeping.housekeep()

    # --- what a person does -------------------------------------------------------------------------

    @rule()
    def disable(self) -> None:
        connections.disable(self.place.who, self.id)

    @rule(backlog=st.sampled_from([None, None, "skip"]))
    def enable(self, backlog: Any) -> None:
        connections.enable(self.place.who, self.id, backlog)
        self.quiet_until = self.hands.now

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
            outbox.skip_rows(session, dict.fromkeys(pending, "Not wanted."), SkippedBy.FILTER)
            if release:
                outbox.unskip_rows(session, pending, self.hands.now)

    # --- what must hold ------------------------------------------------------------------------------

    @invariant()
    def every_promise_holds(self) -> None:
        self.known = self.place.deliveries(self.slug)
        fresh = read_transitions(self.before)
        self.before += len(fresh)
        for change in fresh:
            self.changes[change.delivery].append(change)
        for row in self.known:
            if row.id in {change.delivery for change in fresh}:
                self._require_kept(row)
        self._nothing_is_stuck()

    def _require_kept(self, row: Delivery) -> None:
        steps, copies = self.changes[row.id or 0], self.hands.copies()[row.key]
        assert list(wrong_steps(steps, len(WAITS_S))) == []
        doubts = sum(change.doubted for change in steps) + (row.state == "sending")  # it may become one
        allowed = 1 if self.slug == "jira" else 1 + doubts
        assert copies <= allowed or row.key in self.replayed, f"{copies} copies"
        assert row.state != "delivered" or copies > 0, "lost"

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
            housekeeping.housekeep()
            self.enable(None)
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
    monkeypatch.setattr(send, "time", lambda: hands.now.timestamp())
    for module in (send, runs):
        monkeypatch.setattr(module, "random", lambda: 0.5)
    keep_transitions()
    claim = staticmethod(send.claim)

    def started() -> Outbox:
        machine: Outbox = type("Machine", (Outbox,), {"place": workplace, "hands": hands, "claim": claim})()
        monkeypatch.setattr(send, "claim", machine.claim_checked)
        return machine

    return started


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_order_of_events_breaks_a_promise(machine: Callable[[], Outbox]) -> None:
    play(machine, by_day=(10, 25), at_night=(800, 20))
