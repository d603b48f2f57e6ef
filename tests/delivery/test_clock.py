"""A clock that was ahead for a moment: whatever it wrote, an hour later everything is as if it never had been."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import Session, col
from structlog.testing import capture_logs

import scheduler
from core.delivery import heartbeat, housekeeping, outbox, schedule, send, sync
from core.delivery.breaker import learn
from core.delivery.clock import put_right
from core.delivery.outbox.queries import in_states
from core.delivery.runs import LEASE_S
from core.health import self_check
from core.http.errors import Throttled, Unavailable
from core.storage import db
from core.storage.models import WAITING, Attempt, Connection, Delivery, Heartbeat
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

AHEAD = timedelta(days=400)


class Hands:
    """The database's clock; `ahead` while it is wrong."""

    def __init__(self, start: datetime) -> None:
        self.now = start

    @contextmanager
    def ahead(self, by: timedelta = AHEAD) -> Iterator[None]:
        self.now += by
        yield
        self.now -= by
        self.go(minutes=1)

    def go(self, **by: float) -> None:
        self.now += timedelta(**by)


@pytest.fixture
def hands(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Hands:
    made = Hands(datetime.now(UTC))
    monkeypatch.setattr(db, "now", lambda session: made.now)
    return made


def run_due() -> set[str]:
    put_right()
    due = {each.id for each in schedule.due(10)}
    for id in due:
        sync.run(id, "scheduled", only_due=True)
    return due


def change(table: Any, **values: Any) -> None:
    with db.session() as session:
        session.execute(update(table).values(**values))


def teach(id: str, fault: Any, at: datetime) -> None:
    with db.session() as session:
        learn(session, session.get_one(Connection, id), fault, at)


@pytest.mark.parametrize("by", [AHEAD, timedelta(hours=12), timedelta(minutes=10)])
def test_the_schedule_goes_on(workplace: Workplace, hands: Hands, by: timedelta) -> None:
    id = workplace.connect("splunk", every="5m")
    with hands.ahead(by):
        assert run_due() == {id}
    workplace.scans(1)
    assert run_due() == {id}
    assert workplace.states("splunk") == ["delivered"]
    row = workplace.row("splunk")
    assert row.next_sync_at == row.next_wake_at == hands.now + timedelta(minutes=5)
    assert run_due() == set()


def test_who_ran_while_it_was_right_keeps_its_times(workplace: Workplace, hands: Hands) -> None:
    """Two connections of one person: the one was looked at by the wrong clock, the other was not."""
    workplace.connect("jira", every="6h")
    run_due()
    grid = workplace.row("jira").next_sync_at
    wrong = workplace.connect("splunk", every="6h")
    with hands.ahead(timedelta(hours=2)):
        assert run_due() == {wrong}
    assert run_due() == {wrong}
    assert workplace.row("jira").next_sync_at == grid


def test_one_that_was_made_or_edited_by_the_wrong_clock_is_due(workplace: Workplace, hands: Hands) -> None:
    with hands.ahead():
        id = workplace.connect("splunk", every="5m")
    assert run_due() == {id}


def test_a_little_is_no_news(workplace: Workplace, hands: Hands) -> None:
    workplace.connect("splunk", every="5m")
    with hands.ahead(timedelta(seconds=100)):  # 40 s after it is right again
        run_due()
    assert run_due() == set()
    assert self_check.standing() == ()


# --- waits and retries --------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Throttled("Slow down.", retry_after_s=60), Unavailable("Nobody listens.")])
def test_a_wait_of_the_wrong_clock_is_forgotten(workplace: Workplace, hands: Hands, fault: Any) -> None:
    id = workplace.connect("splunk", every="5m")
    workplace.scans(1)
    with hands.ahead():
        run = sync._start(id, "scheduled", None, lambda: False, 600)
        sync.export(run)
        teach(id, fault, hands.now)
        sync._end(run)
    assert workplace.states("splunk") == ["pending"]
    assert run_due() == {id}
    assert workplace.states("splunk") == ["delivered"]


def test_the_rate_and_the_storm_window_begin_anew(workplace: Workplace, hands: Hands) -> None:
    workplace.connect("slack", every="5m", batch_limit=100, storm="2/5m")
    workplace.alerts(2)
    with hands.ahead():
        run_due()
        assert workplace.states("slack") == ["delivered"] * 2
    assert workplace.row("slack").rate_until is not None
    workplace.alerts(2)
    run_due()
    assert workplace.states("slack") == ["delivered"] * 4


def test_a_retry_is_made_and_a_doubt_begins_anew(workplace: Workplace, hands: Hands) -> None:
    """Its look-ups all come: they are what keeps a second ticket from being made."""
    workplace.connect("splunk", every="5m")
    workplace.connect("jira", every="5m")
    workplace.scans(1)
    workplace.cases(1)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sandbox.set_index_lag(3600)
    with hands.ahead():
        run_due()
        assert (workplace.states("splunk"), workplace.states("jira")) == (["retrying"], ["in_doubt"])
    workplace.sandbox.clear_faults()
    run_due()
    assert workplace.states("splunk") == ["delivered"]
    (row,) = workplace.deliveries("jira")
    assert (row.state, row.in_doubt_since, row.look_ups) == ("in_doubt", hands.now, 0)
    assert row.next_attempt_at == hands.now + timedelta(minutes=1)
    workplace.sandbox.set_index_lag(0)
    hands.go(minutes=1)
    run_due()
    assert workplace.states("jira") == ["delivered"]
    assert len(workplace.sandbox.accepted("jira")) == 1


# --- leases -------------------------------------------------------------------------------------------


def begin(workplace: Workplace) -> sync.Run:
    """A run whose worker is in the middle of its call."""
    workplace.connect("splunk", every="5m")
    workplace.scans(1)
    begun = sync._start(workplace.ids["splunk"], "scheduled", None, lambda: False, 600)
    sync.export(begun)
    assert send.claim(begun) is not None
    return begun


def test_the_lease_of_a_dead_worker_ends_a_lease_later(workplace: Workplace, hands: Hands) -> None:
    with hands.ahead():
        begin(workplace)
    assert run_due() == set()  # it may be alive: it has the time that it always has
    hands.go(seconds=LEASE_S + 1)
    housekeeping.housekeep()
    assert workplace.states("splunk") == ["in_doubt"]
    hands.go(minutes=2)
    assert run_due() == {workplace.ids["splunk"]}
    assert workplace.states("splunk") == ["delivered"]


def test_a_living_worker_is_not_overtaken(workplace: Workplace, hands: Hands) -> None:
    with hands.ahead():
        begun = begin(workplace)
    assert run_due() == set()
    hands.go(seconds=LEASE_S - 1)
    housekeeping.housekeep()
    with db.session() as session:
        assert outbox.renew(session, 1, LEASE_S, hands.now)
    sync._end(begun)
    assert workplace.row("splunk").lease_until is None


def test_a_scheduler_that_died_ahead_of_time_leaves_its_place(hands: Hands) -> None:
    def beat(session: Session, owner: str) -> bool:
        return heartbeat.beat(session, owner, {}, hands.now)

    with hands.ahead(), db.session() as session:
        assert beat(session, "one")
    with db.session() as session:
        assert beat(session, "another")
    with db.session() as session:
        assert not beat(session, "one")


def test_the_next_look_comes_although_it_was_planned_for_next_year(workplace: Workplace) -> None:
    """APScheduler plans by this machine's clock, and sleeps until then."""
    clock, done = scheduler.Clock(threads=1), threading.Event()
    waiting = threading.Thread(target=clock.wait, args=(done,))
    clock.start()
    try:
        until(lambda: beats() is not None, "the first look did not come")
        clock.job.modify(next_run_time=datetime.now(UTC) + AHEAD)
        change(
            Heartbeat, started_at=datetime(2026, 1, 1, tzinfo=UTC), beat_at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        waiting.start()
        until(lambda: (beats() or AHEAD) < timedelta(minutes=1), "no look came")
    finally:
        done.set()
        waiting.join()
        clock.stop()


def beats() -> timedelta | None:
    with db.reading() as session:
        beat = session.get(Heartbeat, "scheduler")
        return db.now(session) - beat.beat_at if beat else None


# --- what is said -------------------------------------------------------------------------------------


def test_it_is_said_once_in_the_log_and_for_a_day_on_the_pages(workplace: Workplace, hands: Hands) -> None:
    workplace.connect("splunk", every="5m")
    with hands.ahead():
        run_due()
    with capture_logs() as log:
        run_due()
        run_due()
    assert [entry["event"] for entry in log if "clock" in entry["event"]] == [
        "the clock was ahead; schedules are put right"
    ]
    (told,) = self_check.standing()
    assert (told.what, told.title) == ("clock", "The clock was ahead")
    assert (
        f"ahead by 399 d until {hands.now:%d %b %H:%M} UTC; the schedule of 1 connection was" in told.sentence
    )
    hands.go(days=1, minutes=1)
    assert self_check.standing() == ()


def test_what_the_scheduler_cannot_do_is_said(workplace: Workplace) -> None:
    clock = scheduler.Clock(threads=1)
    try:
        clock._say("run", "The database is busy.")
        assert clock._beats()
        assert [(one.what, one.sentence) for one in self_check.standing()] == [
            ("scheduler", "The database is busy.")
        ]
    finally:
        clock.pool.shutdown()


def test_nothing_of_it_stays_in_the_future(workplace: Workplace, hands: Hands) -> None:
    """Every time by which something waits, whatever column is added."""
    workplace.connect("slack", every="5m")
    workplace.alerts(1)
    workplace.sandbox.fault("slack", "503")
    with hands.ahead():
        run_due()
        begin(workplace)
    put_right()
    schedule.due(10)
    latest = hands.now + timedelta(minutes=5)
    waiting = (
        select(Connection),
        select(Delivery).where(in_states(WAITING)),
        select(Attempt).where(col(Attempt.outcome) == "open"),
    )
    with db.reading() as session:
        rows = [row for each in waiting for row in session.execute(each).scalars()]
    assert len(rows) == 2 + 1 + 1
    for row in rows:
        assert {name: at for name, at in row.model_dump().items() if is_late(name, at, latest)} == {}


#: when something happened, for the record: nobody waits for it
HISTORY = {"created_at", "wanted_at", "started_at"}


def is_late(name: str, at: Any, latest: datetime) -> bool:
    return isinstance(at, datetime) and name not in HISTORY and at > latest
