"""Vendors that take their time beside quick ones: shares of the threads and slices of a run, by counts alone."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

import scheduler
from core import connections
from core.delivery import schedule, sync
from core.storage import db
from core.storage.models import Connection, RunLog, User
from tests.conftest import People
from tests.support.fault_server import Peer, json_answer, serving
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


@dataclass
class SlowVendor:
    """Takes each call and answers when it is let: `calls` are the paths, in order."""

    calls: list[str] = field(default_factory=list)
    answers: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    url: str = ""

    def answer(self, peer: Peer) -> None:
        self.calls.append(peer.request.split(b" ")[1].decode())
        while not peer.over.is_set():
            if self.answers.acquire(timeout=0.05):
                return peer.send(json_answer(200, "{}"))

    def let(self, number: int) -> None:
        self.answers.release(number)


@pytest.fixture
def slow(workplace: Workplace) -> Iterator[SlowVendor]:
    vendor = SlowVendor()
    with serving(vendor.answer) as server:
        vendor.url = server.url
        yield vendor


def connect(workplace: Workplace, vendor: SlowVendor, name: str, **options: Any) -> str:
    values = {"url": f"{vendor.url}/{name}", "signing_secret": "whsec_" + "A" * 43 + "="}
    options = {"every": "1h", "storm": "off"} | options
    return connections.create(workplace.who, "webhook", name=name, values=values, options=options)


@contextmanager
def clock_of(threads: int, vendor: SlowVendor) -> Iterator[scheduler.Clock]:
    """The scheduler's own looks, one at a time."""
    clock = scheduler.Clock(threads=threads)
    try:
        yield clock
    finally:
        clock.stopping.set()
        vendor.let(1000)
        clock.pool.shutdown(wait=True, cancel_futures=True)


def change(*ids: str, **values: Any) -> None:
    with db.session() as session:
        session.execute(update(Connection).where(col(Connection.id).in_(ids)).values(**values))


def finished_runs(*ids: str) -> int:
    with db.reading() as session:
        wanted = col(RunLog.user_integration_id).in_(ids), col(RunLog.finished_at).is_not(None)
        return int(session.execute(select(func.count()).select_from(RunLog).where(*wanted)).scalar_one())


def test_slow_ones_hold_half_of_the_threads_and_the_quick_one_is_run_each_time(
    workplace: Workplace, slow: SlowVendor
) -> None:
    quick = workplace.connect("slack", every="10s", storm="off")
    sluggish = [connect(workplace, slow, f"slow-{number}") for number in range(6)]
    change(*sluggish, held_s=schedule.SLOW_S + 1)
    with clock_of(4, slow) as clock:
        for turn in range(1, 4):
            workplace.alerts(1)
            with db.session() as session:  # everybody is due, the slow ones for longer
                now = db.now(session)
                session.execute(update(Connection).values(next_sync_at=now))
                session.execute(
                    update(Connection).where(col(Connection.id) == quick).values(next_wake_at=now)
                )
            clock.look()
            until(lambda turn=turn: finished_runs(quick) == turn, "the quick one was not run")
            until(lambda: quick not in clock.running, "its thread is not free")
            assert sum(each.is_slow for each in clock.running.values()) == clock.slow_threads == 2
        assert len(workplace.sandbox.accepted("slack")) == 3
        until(lambda: len(slow.calls) == 2, "the slow ones were not called")
        assert clock.is_crowded


def test_one_person_leaves_threads_to_the_others(workplace: Workplace, people: People) -> None:
    """Forty new connections to hosts that say nothing would hold every thread for twenty seconds, then again."""
    mine = [workplace.connect("splunk") for _ in range(10)]
    theirs = [workplace.connect("splunk") for _ in range(2)]
    change(*theirs, user_id=people.b.user_id)
    with db.reading() as session:
        idle = schedule.shares(session, 8, [])
        busy = schedule.shares(session, 8, mine[:5])
        assert schedule.shares(session, 4, []) is None
    assert idle is not None
    assert busy is not None
    assert [each.id for each in schedule.due(8, 0, 0, shares=idle)] == [*mine[:6], *theirs]
    assert [each.id for each in schedule.due(8, 0, 0, held=mine[:5], shares=busy)] == [mine[5], *theirs]
    assert [each.id for each in schedule.due(3, 0, 0, shares=idle)] == mine[:3]
    with db.session() as session:
        session.execute(
            update(User).where(col(User.id) != people.a.user_id).values(disabled_at=db.now(session))
        )
    with db.reading() as session:
        assert schedule.shares(session, 8, []) is None


def test_slow_and_quick_ones_take_turns_by_how_long_they_wait(workplace: Workplace) -> None:
    made = [workplace.connect("splunk") for _ in range(6)]
    change(*made[1:4], held_s=schedule.SLOW_S + 1)
    change(made[5], failures=1)
    assert [each.id for each in schedule.due(16, 4, 2)] == [made[5], *made[:3], made[4]]
    assert [each.id for each in schedule.due(2, 0, 2)] == made[:2]
    assert [each.id for each in schedule.due(16, 0, 0)] == [made[0], made[4]]


def test_while_others_wait_a_run_ends_after_its_slice_and_stands_behind_them(
    workplace: Workplace, slow: SlowVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four with three records each, two threads, and a slice that is over while the first call is made."""
    ids = [connect(workplace, slow, name) for name in "abcd"]
    workplace.alerts(3)
    with clock_of(2, slow) as clock:
        for turn in range(1, 7):  # the last two have nobody waiting behind them any more
            monkeypatch.setattr(scheduler, "SLICE_S", 600)
            clock.look()
            until(lambda turn=turn: len(slow.calls) == 2 * turn, "the calls did not come")
            assert clock.is_crowded == (turn < 6)
            monkeypatch.setattr(scheduler, "SLICE_S", 0)
            slow.let(2)
            until(lambda: not clock.running, "the runs did not end")
        assert [sorted(slow.calls[at : at + 4]) for at in (0, 4, 8)] == [["/a", "/b", "/c", "/d"]] * 3
        assert finished_runs(*ids) == 12


def test_while_nobody_waits_a_run_goes_on(
    workplace: Workplace, slow: SlowVendor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scheduler, "SLICE_S", 0)
    only = connect(workplace, slow, "only")
    workplace.alerts(3)
    slow.let(3)
    with clock_of(2, slow) as clock:
        clock.look()
        until(lambda: finished_runs(only) == 1, "the run did not end")
    assert slow.calls == ["/only"] * 3


@pytest.mark.parametrize("options", [{"drain": True}, {"realtime": True}])
def test_what_drains_and_is_told_to_end_goes_on_at_once(
    workplace: Workplace, options: dict[str, Any]
) -> None:
    id = workplace.connect("splunk", every="1d", **options)
    workplace.scans(501)  # one more than is taken in together
    assert (
        sync.run(id, stopping=lambda: bool(workplace.sandbox.accepted("splunk")), only_due=True).count == 500
    )
    assert [each.id for each in schedule.due(10)] == [id]
    assert sync.run(id, only_due=True).count == 1
    assert schedule.due(10) == []


def test_how_long_the_last_run_held_its_worker_is_in_the_row(workplace: Workplace) -> None:
    """So that another scheduler, and the next start, know it as well."""
    id = workplace.connect("splunk", every="10s")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "slow", times=1, seconds=0.5)
    for least in (0.5, 0.0):
        begun = time.monotonic()
        sync.run(id)
        assert least <= workplace.row("splunk").held_s <= time.monotonic() - begun + 0.05  # it is rounded
