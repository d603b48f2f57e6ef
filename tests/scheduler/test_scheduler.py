"""The scheduler as a process: it runs what is due, stands by, stops in time, misses nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from structlog.testing import capture_logs

import scheduler as program
from core.delivery import heartbeat, schedule
from core.platform.settings import settings
from core.records import source
from core.storage import db, disk
from core.storage.models import Connection, Heartbeat
from tests.records.test_footprintiq import A_UUID, T0, FootprintIQ, footprintiq
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["footprintiq", "sandbox", "workplace"]

ROOT = Path(__file__).parents[2]


@contextmanager
def scheduler(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`python scheduler.py` with this test's settings; killed at the end if it is still there."""
    with log.open("wb") as said:
        process = subprocess.Popen([sys.executable, str(ROOT / "scheduler.py")], stderr=said, cwd=log.parent)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def said(log: Path, word: str) -> Callable[[], bool]:
    return lambda: word in log.read_text()


def test_it_runs_what_is_due_and_says_that_it_lives(workplace: Workplace, tmp_path: Path) -> None:
    workplace.connect("splunk", every="1h")
    workplace.scans(3)
    with scheduler(tmp_path / "log") as process:
        until(lambda: workplace.states("splunk") == ["delivered"] * 3, "nothing was delivered")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    with db.reading() as session:
        assert heartbeat.read(session, db.now(session)).is_stopped  # it said goodbye
    assert workplace.sandbox.credentials("splunk")["token"] not in (tmp_path / "log").read_text()


def test_what_another_process_changes_is_seen_within_a_second_or_two(
    workplace: Workplace, tmp_path: Path
) -> None:
    workplace.connect("slack", every="1d")
    with scheduler(tmp_path / "log"):
        until(lambda: workplace.row("slack").last_sync is not None, "the first run did not come")
        workplace.alerts(1)
        with db.session() as session:
            session.execute(
                update(Connection).values(next_sync_at=db.now(session), next_wake_at=db.now(session))
            )
        begun = time.monotonic()
        until(lambda: workplace.states("slack") == ["delivered"], "the alert was not delivered")
        assert time.monotonic() - begun < 10  # generous: the machine is shared


def test_a_second_scheduler_stands_by_and_takes_over(workplace: Workplace, tmp_path: Path) -> None:
    workplace.connect("splunk", every="10s")
    with scheduler(tmp_path / "one") as first:
        until(said(tmp_path / "one", '"scheduling"'), "the first one did not start")
        with scheduler(tmp_path / "two"):
            until(said(tmp_path / "two", "standing by"), "the second one did not stand by")
            first.send_signal(signal.SIGTERM)
            assert first.wait(10) == 0
            workplace.scans(1)
            with db.session() as session:
                session.execute(
                    update(Connection).values(next_sync_at=db.now(session), next_wake_at=db.now(session))
                )
            until(lambda: workplace.states("splunk") == ["delivered"], "the second one did not take over")


def test_sigterm_ends_it_within_ten_seconds_and_an_open_call_is_in_doubt(
    workplace: Workplace, tmp_path: Path
) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "slow", times=1, seconds=15)
    with scheduler(tmp_path / "log") as process:
        until(lambda: workplace.states("jira") == ["sending"], "the call did not begin")
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - begun < 10
    (row,) = workplace.deliveries("jira")
    assert row.state == "in_doubt"
    assert workplace.row("jira").run_id is None  # the next scheduler need not wait for the lease


def test_the_stop_waits_for_the_look_that_is_under_way(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look that came back after the goodbye beat again, kept the next scheduler standing by for ten seconds,
    and told its trouble into whatever ran next in this process."""
    workplace.connect("splunk", every="10s")
    workplace.scans(1)
    under_way, stopped, outlived = threading.Event(), threading.Event(), list[bool]()
    real = disk.lacking

    def slow_look() -> disk.Room | None:
        under_way.set()
        outlived.append(stopped.wait(0.5))
        return real()

    monkeypatch.setattr(disk, "lacking", slow_look)
    with capture_logs() as log:
        clock = program.Clock(threads=2)
        clock.start()
        assert under_way.wait(60)
        assert clock.stop()
        stopped.set()
        assert outlived == [False]
    assert not any(entry.get("exc_info") for entry in log)
    assert (workplace.states("splunk"), workplace.row("splunk").run_id) == ([], None)
    with db.reading() as session:
        assert heartbeat.read(session, db.now(session)).is_stopped


def test_a_run_that_was_queued_at_the_stop_is_not_waited_for(workplace: Workplace) -> None:
    """It was dropped from the pool and still counted as running: every such stop took its eight seconds."""
    workplace.connect("splunk", every="10s")
    workplace.scans(1)
    clock = program.Clock(threads=1)
    with clock.looking:  # no look but the one below
        clock.start()
        # the one thread is busy until the scheduler stops, and a little longer
        clock.pool.submit(lambda: clock.stopping.wait(60) and threading.Event().wait(0.3))
        clock._start_due()
    assert clock.stop()
    assert (clock.running, workplace.states("splunk")) == ({}, [])


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_it_pulls_its_source_by_itself_and_sends_what_came(
    workplace: Workplace, tmp_path: Path, footprintiq: FootprintIQ, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("splunk", every="1h", realtime=True)
    monkeypatch.setenv("HUB_SOURCE_URL", footprintiq.url.reveal())
    monkeypatch.setenv("HUB_SOURCE_EVERY", "10s")
    with scheduler(tmp_path / "log") as process:
        until(said(tmp_path / "log", '"scheduling"'), "it did not start")
        footprintiq.add_scan(T0, status="completed", high_risk_count=7)
        until(lambda: workplace.states("splunk") == ["delivered"], "nothing was pulled and delivered")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    assert A_UUID not in (tmp_path / "log").read_text()
    settings.cache_clear()
    state = source.state()
    assert state is not None
    assert (state.error, state.is_pulling) == (None, False)


def test_the_place_of_a_killed_scheduler_is_taken_within_ten_seconds(
    workplace: Workplace, tmp_path: Path
) -> None:
    def beat() -> Heartbeat:
        with db.reading() as session:
            found = heartbeat.last(session)
        assert found is not None
        return found

    with scheduler(tmp_path / "one") as first:
        until(said(tmp_path / "one", '"scheduling"'), "the first one did not start")
        with scheduler(tmp_path / "two"):
            until(said(tmp_path / "two", "standing by"), "the second one did not stand by")
            first.kill()
            first.wait()
            killed = beat()
            until(lambda: beat().owner != killed.owner, "nobody took its place")
            assert (beat().started_at - killed.beat_at).total_seconds() <= 10


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_pull_that_hangs_delays_no_sync_and_no_stop(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("splunk", every="10s")
    workplace.scans(1)
    under_way, go_on = threading.Event(), threading.Event()
    monkeypatch.setattr(program, "GRACE_S", 0.5)

    def hang(_stopping: Callable[[], bool]) -> None:
        under_way.set()
        go_on.wait(60)

    monkeypatch.setattr(source, "is_due", lambda: True)
    monkeypatch.setattr(source, "pull_due", hang)
    clock = program.Clock(threads=2)
    clock.start()
    assert under_way.wait(60)
    until(lambda: workplace.states("splunk") == ["delivered"], "the sync waited for the pull")
    assert clock.stop()
    go_on.set()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("url", ["mysql://ana:horse@h/x", "postgresql://ana:horse@127.0.0.1:1/x"])
def test_a_source_that_cannot_be_read_is_said_once_and_syncs_go_on(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    workplace.connect("splunk", every="10s")
    workplace.scans(1)
    monkeypatch.setenv("HUB_SOURCE_URL", url)
    settings.cache_clear()
    with capture_logs() as log:
        clock = program.Clock(threads=2)
        clock.start()
        until(lambda: "source" in clock.trouble, "nothing was said")
        until(lambda: workplace.states("splunk") == ["delivered"], "the sync waited for the source")
        clock.next_pull = 0.0
        assert clock.stop()
    said = [entry for entry in log if entry["event"] == "source trouble"]
    assert len(said) == 1
    assert not any(entry.get("exc_info") for entry in log)
    assert "horse" not in str(log)


def test_of_two_runs_that_end_together_the_last_word_in_the_log_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, said = program.Clock(threads=1), list[str]()
    other = threading.Thread(target=clock._say, args=("run", None))

    class Log:
        def error(self, event: str, **_: object) -> None:
            other.start()  # it ends well, while this one's trouble is on its way into the log
            other.join(0.3)
            said.append(event)

        def info(self, event: str, **_: object) -> None:
            said.append(event)

    monkeypatch.setattr(program, "log", Log())
    clock._say("run", "The database is busy.")
    other.join()
    assert (said, clock.trouble) == (["run trouble", "run well again"], {})


def test_without_a_database_it_says_so_in_one_sentence(tmp_path: Path) -> None:
    environment = os.environ | {"HUB_DATABASE_URL": f"sqlite:///{tmp_path}/none.db"}
    ended = subprocess.run(
        [sys.executable, str(ROOT / "scheduler.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert (
        ended.stderr.strip()
        == f"There is no database at {tmp_path}/none.db yet. Run `hub init` to create it."
    )


@pytest.mark.parametrize(
    ("slept", "next_one"),
    [
        (timedelta(0), timedelta(minutes=5)),
        (timedelta(minutes=4), timedelta(minutes=5)),
        (timedelta(minutes=5), timedelta(minutes=10)),
        (timedelta(hours=7, minutes=3), timedelta(hours=7, minutes=5)),  # one run, then on the old grid
    ],
)
def test_after_a_sleep_there_is_one_run_and_the_grid_is_kept(slept: timedelta, next_one: timedelta) -> None:
    due = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert schedule.next_sync(due, 300, due + slept) == due + next_one
