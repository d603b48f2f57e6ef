"""What is wrong with one connection is its own: a failed run that is told, and nobody else waits for it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col
from structlog.testing import capture_logs

import scheduler
from core import connections
from core.connections import previews
from core.delivery import history, housekeeping, idle, outbox, runs, sync
from core.delivery.history import replays
from core.health import self_check
from core.platform.errors import Busy, Invalid, Unusable
from core.storage import db
from core.storage.models import Connection, Delivery, Replay, ReplayState
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

#: saved before it was looked at when it is saved
UNUSABLE = {"mapping": {"evnt": "SECRET-WORDS"}}
SAID = 'The mapping names "evnt", which the body does not have. Did you mean "event"?'


def spoil(connection_id: str, **options: Any) -> None:
    with db.session() as session:
        row = session.get_one(Connection, connection_id)
        row.options = row.options | (options or UNUSABLE)
        session.add(row)


def due_now(workplace: Workplace) -> None:
    with db.session() as session:
        now = db.now(session)
        session.execute(update(Connection).values(next_wake_at=now, next_sync_at=now))


@contextmanager
def clock() -> Iterator[scheduler.Clock]:
    running = scheduler.Clock(threads=4)
    running.start()
    try:
        yield running
    finally:
        running.stop()


# --- a run ------------------------------------------------------------------------------------------


def test_an_unusable_mapping_is_a_failed_run_that_says_why(workplace: Workplace) -> None:
    id = workplace.connect("splunk")
    workplace.scans(2)
    spoil(id)
    result = workplace.sync("splunk")
    assert (result.success, result.count, result.message) == (False, 0, SAID)
    row = workplace.row("splunk")
    assert (row.problem, row.run_id, row.recent[-1][1]) == (SAID, None, "failed")
    (run,) = history.logs(workplace.who, id)
    assert (run.status, run.error) == ("failed", SAID)
    assert workplace.states("splunk") == []
    (view,) = connections.list_views(workplace.who)
    assert view.problem == SAID
    connections.edit(workplace.who, id, options={"mapping": {}})
    assert workplace.sync("splunk", "scheduled").count == 2


@pytest.mark.parametrize(
    "options", [{"retry": {"attempts": "often"}}, {"every": "soon"}, {"batch_limit": -1}, {"no_such": 1}]
)
def test_whatever_option_cannot_be_read_any_more(workplace: Workplace, options: dict[str, Any]) -> None:
    id = workplace.connect("splunk")
    workplace.scans(1)
    spoil(id, **options)
    due_now(workplace)
    idle.pass_by()
    result = workplace.sync("splunk", "scheduled")
    assert not result.success
    row = workplace.row("splunk")
    assert (row.problem, row.run_id, row.recent[-1][1]) == (result.message, None, "failed")
    assert workplace.sandbox.accepted("splunk") == []


@pytest.mark.parametrize("where", ["export", "deliver"])
def test_what_nobody_foresaw_is_a_failed_run_and_tried_again(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    id = workplace.connect("splunk")
    workplace.scans(1)

    def fall(*_: object) -> None:
        raise KeyError("SECRET-WORDS")

    monkeypatch.setattr(sync, where, fall)
    with capture_logs() as log:
        result = workplace.sync("splunk")
    assert (result.success, result.count) == (False, 0)
    assert result.message.startswith("The hub failed in this run (KeyError); its log says where.")
    assert [entry["run"] for entry in log if entry.get("exc_info")] == [result.metadata["run_id"]]
    row = workplace.row("splunk")
    assert (row.run_id, row.recent[-1][1], row.wait_reason, row.problem) == (None, "failed", "backoff", None)
    assert row.failing_since is None  # a fault of ours switches nothing off
    (run,) = history.logs(workplace.who, id)
    assert (run.status, run.error) == ("failed", result.message.removesuffix(" 1 waiting."))
    monkeypatch.undo()
    workplace.pass_time(minutes=6)
    assert workplace.sync("splunk", "scheduled").count == 1


def test_a_database_in_trouble_is_still_the_hubs(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("splunk")

    def fall(*_: object) -> None:
        raise Unusable("The database is gone.")

    monkeypatch.setattr(sync, "export", fall)
    with pytest.raises(Unusable):
        workplace.sync("splunk")
    assert workplace.row("splunk").problem is None


# --- the others -------------------------------------------------------------------------------------


def test_another_connection_is_run_at_once(workplace: Workplace) -> None:
    """One unusable mapping held every start of the scheduler for five seconds a try."""
    bad = workplace.connect("splunk", every="10s")
    workplace.connect("slack", every="10s")
    workplace.scans(1)
    spoil(bad)
    due_now(workplace)
    with capture_logs() as log, clock() as running:
        until(lambda: workplace.row("splunk").problem == SAID, "it was not told")
        workplace.alerts(1)
        due_now(workplace)
        began = time.monotonic()
        until(lambda: workplace.states("slack") == ["delivered"], "the other one waits")
        assert time.monotonic() - began < scheduler.HOLD_S - 1
        assert running.trouble == {}
        assert self_check.standing() == ()
    assert not any(entry.get("exc_info") for entry in log)


def test_a_broken_replay_is_paused_and_the_next_one_goes_on(workplace: Workplace) -> None:
    for slug in ("splunk", "slack"):
        workplace.connect(slug)
    workplace.scans(1)
    workplace.alerts(1)
    for slug in ("splunk", "slack"):
        workplace.sync(slug)
    with db.session() as session:
        session.execute(update(Delivery).values(state="dead", payload=None))
        now = db.now(session)
        for slug in ("splunk", "slack"):
            last = workplace.deliveries(slug)[-1].id
            session.add(
                Replay(
                    connection_id=workplace.ids[slug],
                    actor="a",
                    wanted={"state": "dead"},
                    total=1,
                    last_id=last or 0,
                    created_at=now,
                )
            )
    spoil(workplace.ids["splunk"])
    with capture_logs() as log:
        assert replays.work_off() == 1
    assert [entry["event"] for entry in log if entry.get("exc_info")] == ["replay failed"]
    assert (workplace.states("splunk"), workplace.states("slack")) == (["dead"], ["pending"])
    found = {each.connection_id: each.state for each in replays.listing(workplace.who)}
    assert found == {
        workplace.ids["splunk"]: ReplayState.PAUSED,
        workplace.ids["slack"]: ReplayState.DONE,
    }


def test_a_channel_that_cannot_map_a_notice_stops_no_housekeeping(workplace: Workplace) -> None:
    via = workplace.connect("slack")
    workplace.connect("splunk", notify_via=via)
    with db.session() as session:
        now = db.now(session)
        since = {"failing_since": now - timedelta(days=1, hours=1), "last_failure_at": now, "failures": 9}
        session.execute(
            update(Connection).where(col(Connection.id) == workplace.ids["splunk"]).values(**since)
        )
    spoil(via)
    housekeeping.housekeep()
    assert workplace.row("splunk").told_day == 0


def test_what_a_dead_worker_left_is_looked_at_whatever_the_options_are(workplace: Workplace) -> None:
    id = workplace.connect("splunk")
    workplace.scans(1)
    begun = sync._start(id, "scheduled", None, lambda: False, 600)
    sync.export(begun)
    with db.session() as session:
        claim = outbox.claim(
            session,
            connection_id=id,
            run_id=begun.id,
            worker=runs.WORKER,
            limit=1,
            max_bytes=None,
            lease_s=-1,
            now=db.now(session),
        )
    assert claim is not None
    spoil(id, retry={"attempts": "often"})
    housekeeping.housekeep()
    assert workplace.states("splunk") == ["in_doubt"]


def test_counting_needs_no_mapping(workplace: Workplace) -> None:
    id = workplace.connect("splunk")
    workplace.scans(3)
    spoil(id)
    connections.edit(workplace.who, id, options={"min_severity": "low"})  # looks at all of them again
    connections.disable(workplace.who, id)
    connections.enable(workplace.who, id)
    with pytest.raises(Invalid, match="evnt"):
        previews.preview(workplace.who, id)


# --- the hub's own trouble ----------------------------------------------------------------------------


def test_the_schedulers_trouble_is_read_as_it_is_written(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was written as a list where a table was read, so nobody ever saw it."""
    workplace.connect("splunk", every="1h")
    workplace.scans(1)
    fails = threading.Event()
    fails.set()
    real = sync.run

    def run(*args: Any, **more: Any) -> sync.Result:
        if fails.is_set():
            raise Unusable("The database x cannot be used (disk I/O error).")
        return real(*args, **more)

    monkeypatch.setattr(sync, "run", run)
    monkeypatch.setattr(scheduler, "HOLD_S", 0.2)
    with clock():
        until(lambda: self_check.standing() != (), "nobody was told")
        (trouble,) = self_check.standing()
        assert (trouble.what, trouble.sentence) == (
            self_check.SCHEDULER,
            "The database x cannot be used (disk I/O error).",
        )
        fails.clear()
        until(lambda: self_check.standing() == (), "it is told for ever")


def test_what_others_hold_delays_one_connection_alone(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = workplace.connect("splunk", every="10s")
    workplace.connect("slack", every="10s")
    workplace.scans(1)
    workplace.alerts(1)
    real, tries = sync.run, list[float]()

    def run(connection_id: str, *args: Any, **more: Any) -> sync.Result:
        if connection_id != held:
            return real(connection_id, *args, **more)
        tries.append(time.monotonic())
        raise Busy("The database is busy: others hold what this needs.")

    monkeypatch.setattr(sync, "run", run)
    with clock() as running:
        until(lambda: len(tries) == 1, "it was not run")
        until(lambda: workplace.states("slack") == ["delivered"], "the other one waits")
        assert running.trouble == {}
        until(lambda: len(tries) == 2, "it was not run again")
    assert tries[1] - tries[0] >= scheduler.HOLD_S
