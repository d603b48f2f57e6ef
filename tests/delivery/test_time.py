"""Sleep, clock jumps, daylight saving and a second scheduler: each run that is due comes once, and on its grid.

The hub's clock is the database's (`core.storage.db.now`); on SQLite that is this machine's, which time-machine moves.
The monotonic clock, which stands still while the machine sleeps, decides nothing but how long a call may take.
"""

import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import func, select, update
from sqlmodel import col

import scheduler
from core.delivery import housekeeping, runs, schedule, send, sync
from core.delivery.batch import LeaseLost
from core.delivery.clock import put_right
from core.platform.errors import Conflict
from core.storage import db
from core.storage.models import Connection, Delivery, RunLog
from tests.support.live import until
from tests.support.workplace import Workplace, clock, sandbox, workplace

__all__ = ["clock", "sandbox", "workplace"]

on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def turns(workplace: Workplace) -> int:
    """Runs that ended, of all connections, by their strips: those that found nothing are nowhere else."""
    with db.reading() as session:
        return sum(map(len, session.execute(select(col(Connection.recent))).scalars()))


def run_due() -> int:
    """What the scheduler does at one look; how many runs there were."""
    put_right()
    due = schedule.due(10)
    for each in due:
        sync.run(each.id, only_due=True)
    return len(due)


# --- every due run once -------------------------------------------------------------------------------


def test_each_due_run_comes_once_over_a_day(workplace: Workplace, clock: Callable[[timedelta], None]) -> None:
    workplace.connect("splunk", every="1h")
    count = 0
    for _ in range(24 * 2):
        count += run_due()
        clock(timedelta(minutes=30))
    assert (count, turns(workplace)) == (24, 24)


@pytest.mark.parametrize("slept_h", [2, 9, 80])
def test_after_a_sleep_there_is_one_run_and_then_the_old_grid(
    workplace: Workplace, clock: Callable[[timedelta], None], slept_h: int
) -> None:
    workplace.connect("splunk", every="1h")
    run_due()
    grid = workplace.row("splunk").next_sync_at
    clock(timedelta(hours=slept_h, minutes=20))
    assert [run_due(), run_due()] == [1, 0]
    following = workplace.row("splunk").next_sync_at
    assert grid is not None
    assert following == grid + timedelta(hours=slept_h)


@pytest.mark.parametrize(
    "jump", [timedelta(hours=-3), timedelta(days=-400), timedelta(hours=3), timedelta(days=400)]
)
def test_a_clock_that_jumps_runs_nothing_twice_and_stops_nothing_for_ever(
    workplace: Workplace, clock: Callable[[timedelta], None], jump: timedelta
) -> None:
    workplace.connect("splunk", every="1h")
    run_due()
    workplace.scans(1)
    clock(jump)
    assert run_due() == 1  # by a clock that is behind: the schedule of one that was ahead is not believed
    clock(abs(jump) + timedelta(hours=1))
    assert run_due() == 1
    assert [run_due(), workplace.states("splunk")] == [0, ["delivered"]]
    assert len(workplace.sandbox.accepted("splunk")) == 1


@pytest.mark.parametrize(
    ("name", "at"),
    [
        (
            "Europe/Berlin",
            datetime(2026, 10, 24, 22, 30, tzinfo=UTC),
        ),  # 3:00 becomes 2:00 an hour and a half later
        ("Europe/Berlin", datetime(2026, 3, 28, 23, 30, tzinfo=UTC)),  # 2:00 becomes 3:00
        ("Australia/Lord_Howe", datetime(2026, 4, 4, 13, 30, tzinfo=UTC)),  # half an hour
    ],
)
@on_sqlite
def test_when_the_clocks_change_nothing_is_missed_and_nothing_comes_twice(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, name: str, at: datetime
) -> None:
    monkeypatch.setenv("TZ", name)
    time.tzset()
    try:
        with time_machine.travel(at, tick=False) as moment:
            workplace.connect("splunk", every="1h")
            starts = []
            for _ in range(4 * 12):
                starts += [datetime.now(UTC)] * run_due()
                moment.shift(timedelta(minutes=5))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert [later - earlier for earlier, later in itertools.pairwise(starts)] == [timedelta(hours=1)] * 3


# --- leases -------------------------------------------------------------------------------------------


def test_a_lease_of_the_future_ends_when_the_clock_is_right_again(
    workplace: Workplace, clock: Callable[[timedelta], None]
) -> None:
    """A worker died while the clock ran two hours ahead; set right, its lease lasts until that time."""
    workplace.connect("splunk", every="1h")
    clock(timedelta(hours=2))
    sync._start(workplace.ids["splunk"], "scheduled", None, lambda: False, 600)
    clock(timedelta(hours=-2))
    with pytest.raises(Conflict):
        workplace.sync("splunk")
    clock(timedelta(hours=2, seconds=runs.LEASE_S + 1))
    assert workplace.sync("splunk").success


def test_a_worker_that_wakes_up_too_late_leaves_no_run_open(
    workplace: Workplace, clock: Callable[[timedelta], None]
) -> None:
    workplace.connect("splunk")
    late = sync._start(workplace.ids["splunk"], "scheduled", None, lambda: False, 600)
    clock(timedelta(seconds=runs.LEASE_S + 1))
    workplace.sync("splunk")
    workplace.scans(1)
    with pytest.raises(LeaseLost):
        sync.export(late)
    assert workplace.sync("splunk").count == 1
    with db.reading() as session:
        assert set(session.execute(select(col(RunLog.status))).scalars()) == {"success"}


@on_sqlite
def test_a_machine_that_sleeps_in_the_middle_of_a_call_sends_nothing_twice(workplace: Workplace) -> None:
    """Asleep, the wall's clock goes on and the monotonic one does not: the lease is asked for again."""
    workplace.connect("jira")
    workplace.cases(1)
    claimed = send.claim

    with time_machine.travel(datetime.now(UTC), tick=True) as moment:

        def sleeping(begun: runs.Run) -> object:
            claim = claimed(begun)
            if claim is not None:
                send.claim = claimed
                moment.shift(timedelta(hours=1))
                housekeeping.housekeep()  # another worker was awake
            return claim

        send.claim = sleeping  # type: ignore[assignment]
        try:
            result = workplace.sync("jira")
        finally:
            send.claim = claimed
        assert (result.success, workplace.states("jira")) == (False, ["in_doubt"])
        for _ in range(4):
            moment.shift(timedelta(hours=1))
            workplace.sync("jira")
    assert workplace.states("jira") == ["delivered"]
    assert len(workplace.sandbox.accepted("jira")) == 1


# --- schedulers ---------------------------------------------------------------------------------------


def test_two_schedulers_that_look_in_the_same_instant_run_each_connection_once(workplace: Workplace) -> None:
    """Even without the heartbeat that makes one of them stand by: the lease decides."""
    for number in range(4):
        workplace.ids["splunk"] = workplace.connect("splunk", every="1h")
        workplace.ids[f"splunk {number}"] = workplace.ids["splunk"]
    workplace.scans(3)
    together = threading.Barrier(2)
    clocks = [scheduler.Clock(threads=4), scheduler.Clock(threads=4)]

    def look(one: scheduler.Clock) -> None:
        together.wait(10)
        one._start_due()

    threads = [threading.Thread(target=look, args=(one,)) for one in clocks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    until(lambda: not any(one.running for one in clocks), "the runs did not end")
    for one in clocks:
        one.pool.shutdown()
    assert turns(workplace) == 4
    with db.reading() as session:
        rows = session.execute(select(func.count()).select_from(Delivery)).scalar_one()
    assert len(workplace.sandbox.accepted("splunk")) == rows == 12


def test_a_scheduler_asleep_finds_its_place_taken_and_stands_by(
    workplace: Workplace, clock: Callable[[timedelta], None]
) -> None:
    first, second = scheduler.Clock(threads=1), scheduler.Clock(threads=1)
    worker = runs.WORKER
    try:
        assert first._beats()
        runs.WORKER = "another"
        assert not second._beats()
        clock(timedelta(hours=1))  # the first one's machine sleeps, or its clock was set
        assert second._beats()
        runs.WORKER, first.next_beat = worker, 0.0
        assert not first._beats()
    finally:
        runs.WORKER = worker
        first.pool.shutdown()
        second.pool.shutdown()


# --- nothing is sent again because a log was cleaned ---------------------------------------------------


def test_nothing_is_sent_again_because_a_log_was_cleaned(
    workplace: Workplace, clock: Callable[[timedelta], None]
) -> None:
    """Also when the same records come in again, the cursor is lost, and a second connection looks on."""
    for slug in ("splunk", "jira", "slack"):
        workplace.connect(slug, drain=True)
    ids = {"splunk": workplace.scans(3), "jira": workplace.cases(3), "slack": workplace.alerts(3)}
    for slug in ids:
        workplace.sync(slug)
    clock(timedelta(days=400))
    while housekeeping.sweep():
        pass
    with db.session() as session:
        session.execute(update(Connection).values(export_cursor=0))
        assert (
            session.execute(select(func.count()).where(col(Delivery.payload).is_not(None))).scalar_one() == 0
        )
    for slug in ids:
        workplace.sync(slug)
        assert len(workplace.sandbox.accepted(slug)) == 3
    workplace.connect("jira", drain=True)
    assert workplace.sync("jira").count == 3  # it finds the tickets that are there
    assert len(workplace.sandbox.accepted("jira")) == 3
