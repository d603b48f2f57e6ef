"""Everybody at once on PostgreSQL: each record arrives once, and nobody meets a deadlock.

With NIGHTLY set it takes minutes instead of seconds.
"""

import os
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import cycle
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.engine import ExceptionContext
from sqlmodel import col

from core import connections
from core.delivery import housekeeping
from core.records import intake
from core.storage import db
from core.storage.models import Attempt, AttemptOutcome, Connection, Kind, State
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]
NIGHTLY = "NIGHTLY" in os.environ
WRITERS, BATCHES, BATCH = 4, 200 if NIGHTLY else 12, 10
TOGETHER_S = 300.0 if NIGHTLY else 60.0  # the writers end long before
NUMBER = WRITERS * BATCHES * BATCH
#: once under one key, however often it is in doubt
KEYED, PLAIN = "elastic", "splunk"


class Crowd:
    """Threads that do their work over and over, and what they met."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.trouble: list[str] = []
        self.done: Counter[str] = Counter()
        self.threads: list[threading.Thread] = []

    def start(self, name: str, work: Callable[[], Any], times: int | None = None) -> threading.Thread:
        def go() -> None:
            while not self.over.is_set() and (times is None or self.done[name] < times):
                try:
                    work()
                except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
                    self.trouble.append(f"{name}: {error!r}"[:300])
                self.done[name] += 1
                self.over.wait(0.005)

        thread = threading.Thread(target=go, name=name)
        self.threads.append(thread)
        thread.start()
        return thread

    def end(self) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join(60)


@contextmanager
def states_seen() -> Iterator[Counter[str]]:
    """What PostgreSQL refused, before the hub did anything about it."""
    seen: Counter[str] = Counter()

    def note(context: ExceptionContext) -> None:
        seen[str(getattr(context.original_exception, "sqlstate", None))] += 1

    event.listen(db.engine(write=True), "handle_error", note)
    try:
        yield seen
    finally:
        event.remove(db.engine(write=True), "handle_error", note)


@pytest.mark.postgres
@pytest.mark.parametrize("database", ["postgres"], indirect=True)
def test_everybody_at_once_delivers_each_record_once(workplace: Workplace) -> None:
    for slug in (PLAIN, KEYED):
        workplace.connect(slug, drain=True, realtime=True)
    crowd, thresholds = Crowd(), cycle((1, 2))
    with states_seen() as seen:
        try:
            writers = [crowd.start(f"writer {n}", lambda: write(workplace), BATCHES) for n in range(WRITERS)]
            for slug in (PLAIN, KEYED):
                crowd.start(slug, lambda slug=slug: workplace.sync(slug))
            crowd.start("editor", lambda: edit(workplace, next(thresholds)))
            crowd.start("reaper", lambda: reap(workplace))
            ends = monotonic() + TOGETHER_S
            until(lambda: not any(each.is_alive() for each in writers), "the writers hang", TOGETHER_S)
            until(lambda: all_are_out(workplace, PLAIN), f"not all arrived: {crowd.done}", ends - monotonic())
        finally:
            crowd.end()
    assert crowd.trouble == []
    assert not {"40001", "40P01", "55P03"} & set(seen), seen
    assert min(crowd.done.values()) >= 3, f"vacuous: somebody did too little: {crowd.done}"
    settle(workplace)
    for slug in (PLAIN, KEYED):
        keys = [accepted.key for accepted in workplace.sandbox.accepted(slug)]
        assert (len(keys), len(set(keys))) == (NUMBER, NUMBER)
        assert Counter(workplace.states(slug)) == {State.DELIVERED: NUMBER}


def write(workplace: Workplace) -> None:
    scan = {"user_id": workplace.who.user_id, "status": "completed", "high_risk_count": 7}
    stored = intake.store(workplace.who, Kind.SCAN, [scan | {"id": str(uuid.uuid4())} for _ in range(BATCH)])
    assert (stored.new, stored.problems) == (BATCH, [])


def edit(workplace: Workplace, threshold: int) -> None:
    """All are wanted by either; each edit walks the whole queue again."""
    for slug in (PLAIN, KEYED):
        connections.edit(workplace.who, workplace.ids[slug], options={"high_risk_threshold": threshold})


def reap(workplace: Workplace) -> None:
    """What the keyed vendor is being sent just now was left by a dead worker, it seems."""
    keyed = workplace.ids[KEYED]
    with db.session() as session:
        over = {"lease_until": db.now(session) - timedelta(seconds=1)}
        run = (col(Connection.id) == keyed, col(Connection.lease_until).is_not(None))
        session.execute(update(Connection).where(*run).values(**over))
        open_one = (col(Attempt.connection_id) == keyed, col(Attempt.outcome) == AttemptOutcome.OPEN)
        session.execute(update(Attempt).where(*open_one).values(**over))
    housekeeping.housekeep()
    housekeeping.sweep()


def all_are_out(workplace: Workplace, slug: str) -> bool:
    return workplace.states(slug).count(State.DELIVERED) == NUMBER


def settle(workplace: Workplace) -> None:
    """What was left in doubt is sent again under its key."""
    for _ in range(10):
        workplace.pass_time(hours=2)
        workplace.sync(KEYED)
        if all_are_out(workplace, KEYED):
            return
