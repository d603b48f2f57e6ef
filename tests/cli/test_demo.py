"""What a demo shows beside what it really sends: a week before, and records that go on arriving."""

import threading

import pytest

from core import access, health
from core.access import LOCAL
from core.cli import demo_feed
from core.delivery import sample_history
from core.platform.secret import Secret
from core.records import intake
from core.storage.models import Kind, RunStatus
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow


def test_health_has_a_week_to_show_before_the_first_run(workplace: Workplace) -> None:
    sample_history.back_date(workplace.connect("splunk"), 7)
    week = health.overview(LOCAL, 168)
    assert week.success.value is not None
    assert 0.9 < week.success.value < 1
    assert (week.delivered.value or 0) > 500
    assert any(trouble.bad_runs for trouble in week.timeline)
    assert week.delay_p95_s.value is not None
    (strip,) = week.strips
    assert len(strip.recent) == 60
    day = health.overview(LOCAL, 24)
    assert {run.status for run in day.recent_runs} <= {RunStatus.SUCCESS, RunStatus.PARTIAL}
    assert len(day.recent_runs) == 20


def test_records_go_on_arriving_each_a_new_one(workplace: Workplace) -> None:
    access.add_user(LOCAL, "boss@example.org", "admin", Secret("a long enough one"))
    for turn in range(len(demo_feed.KINDS)):
        demo_feed.arrive(turn)
    found = {kind: intake.listing(LOCAL, kind, limit=10) for kind in Kind}
    assert {kind: len(rows) for kind, rows in found.items()} == {Kind.SCAN: 3, Kind.ALERT: 2, Kind.CASE: 1}
    stop = threading.Event()
    feeding = threading.Thread(target=demo_feed.feed, args=(stop, 0.01))
    feeding.start()
    until(lambda: len(intake.listing(LOCAL, Kind.SCAN, limit=10)) > 4, "nothing arrived")
    stop.set()
    feeding.join(10)
    assert not feeding.is_alive()
