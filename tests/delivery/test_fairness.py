"""A flood beside many small connections, by counts: whom a small one waits for, on threads and on workers.

With NIGHTLY set it is 100,000 records beside 200 connections.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import col

import scheduler
from core.records import intake
from core.storage import db
from core.storage.models import Attempt, Heartbeat, Kind
from tests.delivery.test_schedule import SlowVendor, connect, slow
from tests.support.live import until
from tests.support.wide import process, wide
from tests.support.workplace import CREATED, Workplace, sandbox, workplace

__all__ = ["sandbox", "slow", "wide", "workplace"]

NIGHTLY = "NIGHTLY" in os.environ
FLOOD, SMALL = (100_000, 200) if NIGHTLY else (300, 20)
LIMIT_S = 600.0 if NIGHTLY else 90.0


class Hub:
    """A flood to a vendor that answers when it is let, and small connections to one that answers at once."""

    def __init__(self, workplace: Workplace, vendor: SlowVendor) -> None:
        self.workplace, self.vendor = workplace, vendor
        self.flood = connect(workplace, vendor, "flood", drain=True, realtime=True)
        self.small = [workplace.connect("splunk", every="1d", realtime=True) for _ in range(SMALL)]
        self.store(Kind.ALERT, FLOOD, title="New exposure", severity="high", alert_type="new_exposure")

    def store(self, kind: Kind, number: int, **fields: Any) -> None:
        user = self.workplace.who.user_id
        rows = [{"id": f"{kind}-{n}", "user_id": user, "created_at": CREATED} | fields for n in range(number)]
        assert intake.store(self.workplace.who, kind, rows).problems == []

    def one_scan_for_each(self) -> None:
        self.store(Kind.SCAN, 1, status="completed", high_risk_count=7)

    def are_served(self) -> bool:
        return len(self.workplace.sandbox.accepted("splunk")) == SMALL

    def claims(self) -> str:
        """Whose turn it was, in order: F for the flood, s for a small one."""
        with db.reading() as session:
            found = session.execute(select(col(Attempt.connection_id)).order_by(col(Attempt.id))).scalars()
            return "".join("F" if id == self.flood else "s" for id in found)


@contextmanager
def threads(_hub: Hub, _folder: Path, number: int, slice_s: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scheduler, "SLICE_S", slice_s)
        clock = scheduler.Clock(threads=number)
        clock.start()
        try:
            yield
        finally:
            clock.stopping.set()
            _hub.vendor.let(FLOOD)
            assert clock.stop()


@contextmanager
def workers(_hub: Hub, folder: Path, number: int, slice_s: float) -> Iterator[None]:
    with process(folder / "log", number, slice_s):
        yield


EXECUTORS = [
    pytest.param(threads, "workplace", "sqlite", id="threads"),
    pytest.param(workers, "wide", "postgres", id="workers", marks=pytest.mark.postgres),
]


@pytest.fixture
def hub(request: pytest.FixtureRequest, slow: SlowVendor, fixture: str) -> Hub:
    return Hub(request.getfixturevalue(fixture), slow)


def know_who_waits() -> None:
    """Two beats, after which a run that is long knows that others wait."""
    for _ in range(2):
        seen = newest_beat()
        until(lambda seen=seen: newest_beat() != seen, "nobody beats")


def newest_beat() -> object:
    with db.reading() as session:
        return session.execute(
            select(col(Heartbeat.beat_at)).order_by(col(Heartbeat.name).desc()).limit(1)
        ).scalar_one()


@pytest.mark.parametrize(("executor", "fixture", "database"), EXECUTORS, indirect=["database"])
def test_with_two_threads_the_small_ones_wait_for_nothing_of_the_flood(
    hub: Hub, executor: Any, tmp_path: Path
) -> None:
    with executor(hub, tmp_path, 2, 10.0):
        until(lambda: len(hub.vendor.calls) == 1, "the flood does not come", LIMIT_S)
        hub.one_scan_for_each()
        until(hub.are_served, "the small ones wait", LIMIT_S)
        assert hub.claims() == "F" + SMALL * "s"
        assert len(hub.vendor.calls) == 1  # it is still at its first one


@pytest.mark.parametrize(("executor", "fixture", "database"), EXECUTORS, indirect=["database"])
def test_with_one_thread_each_small_one_waits_for_one_call_of_the_flood(
    hub: Hub, executor: Any, tmp_path: Path
) -> None:
    """A slice is a second here, and over when it is answered; in ten there are as many calls as the vendor answers."""
    with executor(hub, tmp_path, 1, 1.0):
        until(lambda: len(hub.vendor.calls) == 1, "the flood does not come", LIMIT_S)
        hub.one_scan_for_each()
        know_who_waits()
        hub.vendor.let(1)
        until(hub.are_served, "the small ones wait", LIMIT_S)
        until(lambda: len(hub.vendor.calls) == 2, "the flood does not go on", LIMIT_S)
    assert hub.claims()[: SMALL + 2] == "F" + SMALL * "s" + "F"
