"""A storm through kills: every alert is delivered, by itself or in a digest that arrived, and none in both."""

import multiprocessing
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from multiprocessing.context import ForkServerProcess

import pytest

from core.delivery import housekeeping
from core.platform.settings import settings
from core.storage import db
from tests.support.workplace import Workplace, pass_time, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.crash

KILLS, ALERTS = 10, 12
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["scheduler"])


@pytest.fixture
def database(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """One is enough: what differs between the databases is tried by the crash test itself."""
    monkeypatch.setenv("HUB_DATABASE_URL", sqlite_database)
    settings.cache_clear()
    db.configure(sqlite_database)
    return sqlite_database


def work(environment: dict[str, str]) -> None:
    """In the child: the scheduler."""
    import scheduler

    os.environ.update(environment)
    settings.cache_clear()
    db.configure(settings().database_url)
    scheduler.LOOK_S = 0.1
    scheduler.main()


def started() -> ForkServerProcess:
    environment = {name: value for name, value in os.environ.items() if name.startswith("HUB_")}
    worker = context.Process(target=work, args=(environment,))
    worker.start()
    return worker


def killed(worker: ForkServerProcess, workplace: Workplace) -> None:
    worker.kill()
    worker.join()
    reached(lambda: workplace.sandbox.open_connections == 0)  # what it had sent is dealt with


def reached(condition: Callable[[], bool], patience_s: float = 60) -> None:
    until = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def rest() -> None:
    """Twenty minutes pass while nobody works: leases run out, retries and windows are over."""
    pass_time(timedelta(minutes=20))
    housekeeping.housekeep()


def test_ten_kills_in_a_storm_lose_no_alert(workplace: Workplace) -> None:
    dice, doubtful = random.Random(1), set()
    workplace.connect("slack", drain=True, batch_limit=50, every="10s", storm="5/5m")
    workplace.sandbox.fault("slack", "lost_answer", share=0.3, seed=1)
    for _ in range(KILLS):
        workplace.alerts(ALERTS)
        worker = started()
        seen = len(workplace.sandbox.accepted("slack"))
        with suppress(AssertionError):  # into its work if it can, into its start if the machine is slow
            reached(lambda seen=seen: len(workplace.sandbox.accepted("slack")) > seen, 3)
        time.sleep(dice.uniform(0, 0.2))
        killed(worker, workplace)
        rest()
        doubtful |= {row.id for row in workplace.deliveries("slack") if row.state == "in_doubt"}
    workplace.sandbox.clear_faults()
    for _ in range(6):
        worker = started()
        last = workplace.row("slack").last_sync
        reached(lambda last=last: workplace.row("slack").last_sync != last)
        killed(worker, workplace)
        rest()
    check(workplace)
    assert len(doubtful) >= 3, "vacuous: too little was in doubt"


def check(workplace: Workplace) -> None:
    rows = workplace.deliveries("slack")
    alerts = [row for row in rows if row.record_kind == "alert"]
    digests = {row.id: row for row in rows if row.record_kind == "digest"}
    came = Counter(accepted.key for accepted in workplace.sandbox.accepted("slack"))
    assert Counter(row.state for row in alerts) == {"delivered": KILLS * ALERTS}
    carriers = {row.key: digests[row.digest_id] if row.digest_id else row for row in alerts}
    assert [row.key for row in carriers.values() if not came[row.key]] == [], "lost"
    assert [row.key for row in alerts if row.digest_id and came[row.key]] == [], "alone and in a digest"
    assert [row.key for row in carriers.values() if came[row.key] > row.attempt_count] == [], "unexplained"
    assert len(digests) >= 3, "vacuous: no storm"
