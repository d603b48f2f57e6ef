"""Runs through the work queue: real workers on a real PostgreSQL."""

import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text, update
from sqlmodel import col

from core.delivery import dispatch, heartbeat, schedule, workers
from core.platform.errors import Unusable
from core.records import intake
from core.storage import db
from core.storage.models import Connection, Kind
from tests.delivery.test_schedule import SlowVendor, connect, slow
from tests.flow.test_crowd import Crowd, states_seen
from tests.support.live import until
from tests.support.wide import process, who_works, wide
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "slow", "wide", "workplace"]

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database", ["postgres"], indirect=True),
]


TURNS = 40
STATES = "SELECT status::text FROM procrastinate_jobs WHERE task_name = 'run' ORDER BY id"


def jobs() -> list[str]:
    """What became of the runs that are in the queue or were taken from it."""
    with db.reading() as session:
        return list(session.execute(text(STATES)).scalars())


def queued() -> set[str]:
    with db.reading() as session:
        return workers.queued(session)


def put_off(*ids: str) -> None:
    """As after a run with nothing to do: due in an hour."""
    with db.session() as session:
        later = text("now() + interval '1 hour'")
        session.execute(
            update(Connection)
            .where(col(Connection.id).in_(ids))
            .values(next_sync_at=later, next_wake_at=later)
        )


def test_one_worker_runs_what_is_due_and_says_goodbye(wide: Workplace, tmp_path: Path) -> None:
    wide.connect("splunk", every="1h")
    wide.scans(3)
    with process(tmp_path / "log", 4) as worker:
        until(lambda: wide.states("splunk") == ["delivered"] * 3, "nothing was delivered")
        until(lambda: who_works().number == 1, "the worker is not known")
        assert who_works().threads == 4
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(30) == 0
    with db.reading() as session:
        assert heartbeat.read(session, db.now(session)).is_stopped
    assert who_works().number == 0
    assert wide.sandbox.credentials("splunk")["token"] not in (tmp_path / "log").read_text()


def test_the_scheduler_only_keeps_the_clock(wide: Workplace, tmp_path: Path) -> None:
    connected = wide.connect("splunk", every="1h")
    wide.scans(1)
    with process(tmp_path / "clock"):
        until(lambda: queued() == {connected}, "nothing was queued")
        assert who_works().sentence == "No worker runs"
        with process(tmp_path / "worker", 1):
            until(lambda: wide.states("splunk") == ["delivered"], "nothing was delivered")
    assert '"synced"' not in (tmp_path / "clock").read_text()


def test_what_is_due_waits_in_the_queue_once(wide: Workplace) -> None:
    ids = {wide.connect(slug, every="1h") for slug in ("splunk", "elastic", "jira")}
    wide.scans(1)
    wide.cases(1)
    queue = workers.work_queue().queue
    assert dispatch.look(queue) == 3
    assert dispatch.look(queue) == 0
    with db.session() as session:  # as by a record that comes now
        queue(session, sorted(ids))
    assert (queued(), jobs()) == (ids, ["todo"] * 3)


def test_looks_and_records_at_once_never_meet_in_the_queue(wide: Workplace) -> None:
    for slug in ("splunk", "elastic", "qradar"):
        wide.connect(slug, realtime=True)
    queue, crowd = workers.work_queue().queue, Crowd()

    def take() -> None:
        """What is queued is taken, as by workers; then one waits for its records, and two for a look."""
        with db.session() as session:
            session.execute(text("UPDATE procrastinate_jobs SET status = 'doing' WHERE task_name = 'run'"))
        put_off(wide.ids["splunk"])

    with states_seen() as seen:
        for number in range(2):
            crowd.start(f"looks {number}", lambda: dispatch.look(queue), TURNS)
            crowd.start(f"stores {number}", lambda: wide.scans(1), TURNS)
        crowd.start("takes", take, TURNS)
        try:
            until(lambda: not any(each.is_alive() for each in crowd.threads), "somebody hangs")
        finally:
            crowd.end()
    assert crowd.trouble == []
    assert not {"23505", "40P01", "55P03"} & set(seen), seen
    assert jobs().count("doing") >= TURNS, "vacuous: little was queued"


def test_those_that_fail_and_those_that_are_slow_have_their_shares_of_all_threads(wide: Workplace) -> None:
    failing, slow_ones, quick = (
        [wide.connect("splunk", every="1h") for _ in range(number)] for number in (3, 5, 2)
    )
    wide.scans(1)
    with db.session() as session:
        workers.beat(session, 4, 0, db.now(session))
        for ids, values in ((failing, {"failures": 1}), (slow_ones, {"held_s": schedule.SLOW_S + 1})):
            session.execute(update(Connection).where(col(Connection.id).in_(ids)).values(**values))
    queue = workers.work_queue().queue
    dispatch.look(queue)
    waiting = queued()
    assert (len(waiting & {*failing}), len(waiting & {*slow_ones}), waiting & {*quick}) == (1, 2, {*quick})
    with db.session() as session:  # they run now, and who runs takes a place as well
        session.execute(text("DELETE FROM procrastinate_jobs"))
        taken = col(Connection.id).in_(waiting)
        later = text("now() + interval '1 minute'")
        session.execute(update(Connection).where(taken).values(lease_until=later, next_wake_at=later))
    assert dispatch.look(queue) == 0


def test_a_periodic_task_is_anothers_while_that_one_lives(wide: Workplace) -> None:
    with db.session() as session:
        alive = "INSERT INTO procrastinate_workers DEFAULT VALUES RETURNING id"
        worker = session.execute(text(alive)).scalar_one()
        at = (
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status, worker_id) "
            "VALUES ('clock', 'sweep', 'doing', :worker) RETURNING id"
        )
        job = session.execute(text(at), {"worker": worker}).scalar_one()
    with db.reading() as session:
        now = db.now(session)
        assert workers.is_alone(session, "sweep", job, now)
        assert not workers.is_alone(session, "sweep", job + 1, now)
        assert workers.is_alone(session, "replays", job + 1, now)
        assert workers.is_alone(session, "sweep", job + 1, now + timedelta(seconds=workers.ALONE_FOR_S + 1))


def test_a_stored_record_queues_its_realtime_connection_in_its_own_transaction(wide: Workplace) -> None:
    now, later = wide.connect("splunk", realtime=True), wide.connect("elastic", every="1h")
    put_off(now, later)
    with db.session() as session:
        intake.records.store(session, Kind.SCAN, [scan(wide)], default_owner=wide.who.user_id)
        assert queued() == set()  # nobody else sees it before the commit
        assert workers.queued(session) == {now}
        session.rollback()
    assert queued() == set()
    wide.scans(1)
    wide.scans(1)
    assert queued() == {now}


def scan(wide: Workplace) -> dict[str, object]:
    return {"id": "5f0c2f0e-1111-4222-8333-444455556666", "user_id": wide.who.user_id, "status": "completed"}


def test_a_connection_that_runs_is_not_queued_by_its_records(wide: Workplace) -> None:
    connected = wide.connect("splunk", realtime=True)
    put_off(connected)
    with db.session() as session:
        session.execute(update(Connection).values(lease_until=text("now() + interval '1 minute'")))
    wide.scans(1)
    assert queued() == set()
    assert wide.row("splunk").next_wake_at < wide.row("splunk").lease_until  # it is due when its run ends


def test_sigterm_ends_what_is_under_way_and_takes_no_more(
    wide: Workplace, slow: SlowVendor, tmp_path: Path
) -> None:
    wide.ids = {name: connect(wide, slow, name) for name in ("one", "two")}
    wide.alerts(1)
    log = tmp_path / "log"
    with process(log, 1) as worker:
        until(lambda: len(slow.calls) == 1 and jobs() == ["doing", "todo"], "no call is under way")
        worker.send_signal(signal.SIGTERM)
        until(lambda: '"stopping"' in log.read_text(), "it does not stop")
        with pytest.raises(subprocess.TimeoutExpired):  # it waits for the call
            worker.wait(2)
        slow.let(10)
        assert worker.wait(30) == 0
    assert len(slow.calls) == 1
    assert sorted(wide.states("one") + wide.states("two")) == ["delivered"]
    assert jobs() == ["todo"]  # the other worker's, or this one's when it comes back
    with db.reading() as session:
        assert session.execute(select(func.count(col(Connection.run_id)))).scalar_one() == 0


def test_what_a_killed_worker_was_sending_comes_again_under_the_same_key(
    wide: Workplace, slow: SlowVendor, tmp_path: Path
) -> None:
    wide.ids["hook"] = connect(wide, slow, "hook")
    wide.alerts(1)
    with process(tmp_path / "one", 1) as worker:
        until(lambda: len(slow.calls) == 1, "it was not called")
        worker.kill()
        worker.wait()
    assert (wide.states("hook"), jobs()) == (["sending"], ["doing"])
    wide.pass_time(minutes=2)  # its lease is over
    with db.session() as session:  # and so long nobody heard of it
        session.execute(
            text("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '2 minutes'")
        )
    slow.let(10)
    with process(tmp_path / "two", 1):
        until(lambda: wide.states("hook") == ["delivered"], "it was not delivered again")
        until(lambda: jobs() == [], "the dead worker's job is still there")
    assert len(slow.calls) == 2
    (row,) = wide.deliveries("hook")
    assert row.attempt_count == 2


def test_the_queues_tables_are_made_once_and_brought_up_to_date(wide: Workplace) -> None:
    queue = workers.work_queue()
    queue.install()
    queue.check()
    newest, before = sorted(queue._steps(), reverse=True)[:2]
    made = "SELECT count(*) FROM pg_trigger WHERE tgname = 'procrastinate_trigger_status_events_update_v1'"
    with db.session() as session:  # as an older package would have left them
        session.execute(text(f"COMMENT ON TABLE procrastinate_jobs IS '{before}'"))
        session.execute(
            text("DROP TRIGGER procrastinate_trigger_status_events_update_v1 ON procrastinate_jobs")
        )
    with pytest.raises(Unusable, match="`hub init`"):
        queue.check()
    queue.install()
    queue.check()
    with db.reading() as session:
        assert queue._version(session.connection()) == newest
        assert session.execute(text(made)).scalar_one() == 1
