"""Connections that are due and have nothing to do: moved on together, by a count of statements that does not grow."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update
from sqlmodel import col

import scheduler
from core import connections, records
from core.access import Principal
from core.delivery import clock, idle, schedule, sync
from core.integrations import credentials
from core.storage import db
from core.storage.models import Connection, Delivery, HourlyFigures, Kind, RunLog
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

LATER = timedelta(hours=1)


@contextmanager
def statements() -> Iterator[list[tuple[str, Any]]]:
    """What is asked of the database: words and parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, words: str, given: Any, *_: Any) -> None:
        seen.append((words, given))

    event.listen(db.engine(), "before_cursor_execute", note)
    event.listen(db.engine(write=True), "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine(), "before_cursor_execute", note)
        event.remove(db.engine(write=True), "before_cursor_execute", note)


def make_due(*ids: str) -> None:
    """As when their interval is over."""
    with db.session() as session:
        now = db.now(session)
        which = col(Connection.id).in_(ids) if ids else col(Connection.id).is_not(None)
        session.execute(update(Connection).where(which).values(next_wake_at=now, next_sync_at=now))


def change(id: str, **values: Any) -> None:
    with db.session() as session:
        session.execute(update(Connection).where(col(Connection.id) == id).values(**values))


def stored(id: str) -> Connection:
    with db.reading() as session:
        return session.get_one(Connection, id)


def due_ids() -> set[str]:
    return {each.id for each in schedule.due(100)}


def look() -> tuple[tuple[idle.Passed, float | None], int]:
    with statements() as seen:
        passed = idle.pass_by()
        schedule.due(16, 4, 8, passed.until)
        return (passed, schedule.seconds_to_next()), len(seen)


def test_a_hundred_idle_connections_cost_as_many_statements_as_two(workplace: Workplace) -> None:
    counts = []
    for number in (2, 98):
        for _ in range(number):
            workplace.connect("splunk", every="1m")
        make_due()
        (passed, next_s), count = look()
        counts.append((passed.number, count))
        assert next_s is not None
        assert 58 < next_s <= 60
    assert [moved for moved, _ in counts] == [2, 100]
    assert counts[0][1] == counts[1][1]


def test_more_than_one_batch_is_moved_batch_by_batch(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "CHUNK", 3)
    monkeypatch.setattr(idle, "MOST", 6)
    for number in range(8):
        id = workplace.connect("splunk", every="1m")
        change(id, next_wake_at=moment(timedelta(seconds=number - 30)))
    first = idle.pass_by()
    assert first.number == 6
    assert schedule.due(16, until=first.until) == []  # two are left to the next look, not to runs
    assert [idle.pass_by().number, idle.pass_by().number] == [2, 0]


def test_it_is_looked_at_as_a_run_would_but_there_is_none(workplace: Workplace) -> None:
    by_run, by_look = workplace.connect("splunk", every="1m"), workplace.connect("splunk", every="1m")
    make_due()
    due = stored(by_look).next_sync_at
    sync.run(by_run, only_due=True)
    assert idle.pass_by().number == 1
    ran, looked = stored(by_run), stored(by_look)
    assert due is not None
    assert ran.next_sync_at == looked.next_sync_at == looked.next_wake_at == due + timedelta(minutes=1)
    assert [run[1:] for run in looked.recent] == [run[1:] for run in ran.recent] == [["idle", 0]]
    assert looked.last_sync is not None
    assert looked.last_sync >= due
    with db.reading() as session:
        for grows in (HourlyFigures, RunLog):
            assert session.execute(select(func.count()).select_from(grows)).scalar_one() == 0


def test_what_has_work_is_left_to_a_run(workplace: Workplace, people: Any) -> None:
    """Two people: a record of the one is no work for the other's connection."""

    def splunk(who: Principal, name: str, **options: Any) -> str:
        values = workplace.sandbox.credentials("splunk")
        return connections.create(who, "splunk", name=name, values=values, options=options)

    mine, theirs = splunk(people.a, "mine"), splunk(people.b, "theirs")
    everybodys = splunk(people.admin, "everybody's", scope="all")
    cases = workplace.connect("jira")
    workplace.scans(1)
    assert idle.pass_by().number == 2
    assert due_ids() == {mine, everybodys}
    assert {stored(id).last_sync is not None for id in (theirs, cases)} == {True}
    for id in due_ids():
        sync.run(id)
    make_due()
    assert (idle.pass_by().number, due_ids()) == (4, set())  # the cursor has passed it


def moment(by: timedelta) -> datetime:
    with db.reading() as session:
        return db.now(session) + by


@pytest.mark.parametrize(
    ("due_in", "call_in", "is_idle"),
    [
        (timedelta(0), None, False),
        (LATER, None, True),
        (timedelta(0), LATER, True),
        (timedelta(0), -LATER, False),
    ],
)
def test_a_delivery_that_waits_is_work_when_it_may_be_sent(
    workplace: Workplace, due_in: timedelta, call_in: timedelta | None, is_idle: bool
) -> None:
    id = workplace.connect("splunk", every="1d")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sync("splunk")
    waits_until = moment(due_in)
    with db.session() as session:
        session.execute(update(Delivery).values(next_attempt_at=waits_until, state="retrying"))
    change(id, failures=0, next_call_at=None if call_in is None else moment(call_in))
    make_due()
    assert idle.pass_by().number == is_idle
    row = stored(id)
    if is_idle:
        assert row.next_wake_at == max(filter(None, (waits_until, row.next_call_at)))
    else:
        assert due_ids() == {id}


def test_who_is_paused_locked_running_or_was_left_by_a_dead_worker_is_not_touched(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused, running, left, locked = (workplace.connect("splunk") for _ in range(4))
    make_due()
    change(paused, is_active=False)
    change(running, lease_until=moment(LATER), run_id="one")
    change(left, lease_until=moment(-LATER), run_id="two")
    token = stored(locked).credentials_encrypted or ""
    change(locked, credentials_encrypted=token.replace(token[3:11], "ffffffff"))
    assert credentials.lock_of(stored(locked))
    assert idle.pass_by().number == 0
    assert due_ids() == {left}  # its run is ended by the next one
    assert {stored(id).last_sync for id in (paused, running, left, locked)} == {None}


# --- between the look and the move ----------------------------------------------------------------------


def found() -> tuple[list[Any], int]:
    with db.reading() as session:
        return list(idle._find(session, db.now(session))), records.head(session)


def wake(workplace: Workplace, id: str) -> None:
    change(id, next_wake_at=moment(timedelta(0)))


def lease(workplace: Workplace, id: str) -> None:
    change(id, lease_until=moment(LATER), run_id="a run")


def pause(workplace: Workplace, id: str) -> None:
    connections.disable(workplace.who, id)


@pytest.mark.parametrize("between", [wake, lease, pause])
def test_what_happens_between_the_look_and_the_move_stays(
    workplace: Workplace, between: Callable[[Workplace, str], None]
) -> None:
    touched, other = workplace.connect("splunk"), workplace.connect("splunk")
    make_due()
    rows, head = found()
    between(workplace, touched)
    before = stored(touched)
    assert idle._move(rows, head) == 1
    assert stored(touched).model_dump() == before.model_dump()
    assert stored(other).last_sync is not None


def test_a_record_between_the_look_and_the_move_is_sent_at_once_in_real_time(workplace: Workplace) -> None:
    """It wakes nobody who is due already, so the wake-up alone would not show it."""
    live, hourly = (
        workplace.connect("splunk", realtime=True, every="1h"),
        workplace.connect("splunk", every="1h"),
    )
    make_due()
    rows, head = found()
    workplace.scans(1)
    assert idle._move(rows, head) == 1
    assert due_ids() == {live}  # the other one takes it with its next sync
    sync.run(live, only_due=True)
    make_due(hourly)
    assert (idle.pass_by().number, due_ids()) == (0, {hourly})


@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_while_somebody_stores_nobody_waits_and_real_time_stays_due(workplace: Workplace) -> None:
    live, hourly = workplace.connect("splunk", realtime=True), workplace.connect("splunk", every="1h")
    workplace.alerts(1)  # the counter is there
    make_due()
    row = {"id": "1", "user_id": workplace.who.user_id, "high_risk_count": 9, "status": "completed"}
    with db.session() as storing:
        records.store(storing, Kind.SCAN, [row])
        assert idle.pass_by().number == 1
    assert due_ids() == {live}
    assert stored(hourly).last_sync is not None


def test_the_counter_is_held_also_when_nothing_was_ever_stored(workplace: Workplace) -> None:
    workplace.connect("splunk", realtime=True)
    assert idle.pass_by().number == 1


# --- in the scheduler -----------------------------------------------------------------------------------


def test_the_scheduler_starts_only_those_that_have_work(workplace: Workplace) -> None:
    quiet = [workplace.connect("jira", every="1h") for _ in range(3)]
    workplace.connect("splunk", every="1h")
    workplace.scans(1)
    clock = scheduler.Clock(threads=4)
    try:
        clock.look()
        until(lambda: workplace.states("splunk") == ["delivered"], "the one with work was not run")
        until(lambda: not clock.running, "the run did not end")
    finally:
        clock.stopping.set()
        clock.pool.shutdown(wait=True)
    assert all(stored(id).last_sync for id in quiet)
    with db.reading() as session:
        (counted,) = session.execute(select(HourlyFigures.connection_id)).scalars()  # type: ignore[call-overload]
    assert counted == workplace.ids["splunk"]


# --- by index -------------------------------------------------------------------------------------------

GROWING = (
    "user_integrations",
    "webhook_deliveries",
    "delivery_attempts",
    "scans",
    "cases",
    "monitoring_alerts",
)


def test_no_look_reads_a_whole_table_or_sorts_one(workplace: Workplace) -> None:
    """What is idle, what is due, when the next one is, whether the clock was ahead."""
    workplace.connect("splunk", realtime=True)
    with statements() as seen:
        passed = idle.pass_by()
        clock.put_right()
        schedule.due(16, 4, 8)
        schedule.someone_waits(["one"], passed.until)
        schedule.seconds_to_next()
    asked = [
        (words, given) for words, given in seen if words.startswith("SELECT") and "user_integrations" in words
    ]
    assert len(asked) == 7
    for words, given in asked:
        told = plan(words, given)
        reads = [line for line in told if any(f"{how} {table}" in line for how in SCANS for table in GROWING)]
        assert not [line for line in reads if "USING" not in line], told
        assert not [line for line in told if "TEMP B-TREE" in line or "Sort" in line], told


SCANS = ("SCAN", "Seq Scan on")


def plan(words: str, given: Any) -> list[str]:
    """As for a large table: PostgreSQL reads a small one whole whatever the indexes."""
    with db.reading() as session:
        connection = session.connection()
        if connection.dialect.name == "sqlite":
            return [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", given)]
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        connection.exec_driver_sql("SET LOCAL enable_bitmapscan = off")
        connection.exec_driver_sql(
            "SET LOCAL enable_sort = off"
        )  # cheaper than an index for the few rows there are
        return [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {words}", given)]
