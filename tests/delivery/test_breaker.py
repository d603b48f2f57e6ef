"""A vendor that is down: few calls, one probe at a time, no worker held; and drained at its rate when it is back."""

import multiprocessing
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import col

import scheduler
from core import connections, integrations
from core.delivery import housekeeping, schedule, sync
from core.integrations import credentials
from core.platform.errors import Conflict
from core.platform.settings import settings
from core.storage import db
from core.storage.models import Connection, Delivery
from tests.support.fault_server import FaultServer, Peer, http, json_answer, serving
from tests.support.workplace import Workplace, pass_time, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

BUSY = http(503, b'{"text":"Server is busy","code":9}', "Content-Type: application/json")
TAKEN = json_answer(200, '{"text":"Success","code":0}')
REFUSED = json_answer(403, '{"text":"Invalid token","code":4}')


@contextmanager
def splunk_at(workplace: Workplace, server: FaultServer, **options: Any) -> Iterator[str]:
    """A Splunk connection that calls this server."""
    values = workplace.sandbox.credentials("splunk") | {"url": server.url}
    made = connections.create(
        workplace.who,
        "splunk",
        name=f"At {server.port} {uuid.uuid4().hex[:6]}",
        values=values,
        options=options,
    )
    workplace.ids["splunk"] = made
    yield made


def due_in_s(moment: datetime | None) -> float:
    with db.reading() as session:
        return max((moment - db.now(session)).total_seconds(), 0.0) if moment else 0.0


def live_through(workplace: Workplace, hours: float, every_s: float = 600) -> None:
    """Time passes from one due moment to the next; a scan arrives every ten minutes."""
    passed_s = next_scan_s = 0.0
    while passed_s < hours * 3600:
        if passed_s >= next_scan_s:
            workplace.scans(1)
            next_scan_s += every_s
        wait_s = due_in_s(workplace.row("splunk").next_wake_at) + 0.01
        workplace.pass_time(seconds=wait_s)
        passed_s += wait_s
        workplace.sync("splunk", "scheduled")


@pytest.mark.parametrize(("answer", "least", "most"), [(BUSY, 10, 30), (REFUSED, 4, 5)])
def test_an_hour_of_a_dead_vendor_is_a_few_calls(
    workplace: Workplace, answer: bytes, least: int, most: int
) -> None:
    with serving(answer) as server, splunk_at(workplace, server, every="10m"):
        workplace.scans(40)
        live_through(workplace, 1)
        assert least <= len(server.requests) <= most
    attempts = [row.attempt_count for row in workplace.deliveries("splunk")]
    # a batch of ten went out before anything was known, then one record per probe; a refused token costs none
    assert sum(attempts) == (len(server.requests) + 9 if answer == BUSY else 0)
    assert "dead" not in workplace.states("splunk")


def test_a_vendor_that_is_back_gets_what_waited_at_once(workplace: Workplace) -> None:
    """With its first probe; a run by the schedule that comes before calls nobody."""
    answers = [BUSY]
    with (
        serving(lambda peer: peer.send(answers[-1])) as server,
        splunk_at(workplace, server, every="10m", batch_limit=100),
    ):
        workplace.scans(30)
        live_through(workplace, 1, every_s=3600)
        with db.session() as session:  # as after a day: all but the one that is tried next wait for hours
            later = db.now(session) + timedelta(hours=4)
            first = min(row.id or 0 for row in workplace.deliveries("splunk"))
            rest = col(Delivery.id) != first
            session.execute(update(Delivery).where(rest).values(state="retrying", next_attempt_at=later))
            soon = db.now(session) + timedelta(minutes=5)
            session.execute(update(Connection).values(next_sync_at=db.now(session), next_call_at=soon))
        answers.append(TAKEN)
        called = len(server.requests)
        workplace.sync("splunk", "scheduled")
        assert len(server.requests) == called
        workplace.pass_time(seconds=due_in_s(workplace.row("splunk").next_call_at) + 0.01)
        workplace.sync("splunk", "scheduled")
        assert set(workplace.states("splunk")) == {"delivered"}
        assert len(server.requests) == called + 2  # one probe, then all the rest as one batch


@pytest.mark.parametrize("act", ["enable", "test", "edit"])
def test_a_person_who_acts_waits_neither_for_the_probe_nor_for_the_retries(
    workplace: Workplace, act: str
) -> None:
    workplace.connect("splunk")
    workplace.scans(3)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sync("splunk", "scheduled")
    workplace.pass_time(minutes=-30)  # all that waits waits for half an hour more
    assert workplace.sync("splunk", "scheduled").count == 0
    who, ref = workplace.who, workplace.ids["splunk"]
    if act == "enable":
        connections.disable(who, ref)
        connections.enable(who, ref)
    elif act == "test":
        connections.test(who, ref)
    else:
        connections.edit(who, ref, values={"token": workplace.sandbox.credentials("splunk")["token"]})
    assert workplace.sync("splunk", "scheduled").count == 3


def probe(url: str, environment: dict[str, str], ref: str, start: Any, said: Any) -> None:
    """In a process of its own: one scheduled sync, at the same moment as the others."""
    os.environ.update(environment)
    settings.cache_clear()
    credentials.ring.cache_clear()
    db.configure(url)
    db.check_current()
    start.wait(60)
    try:
        said.put(sync.run(ref, "scheduled").message)
    except Conflict as error:
        said.put(error.message)


def test_one_probe_at_a_time_whatever_process_looks(workplace: Workplace, database: str) -> None:
    refused = threading.Event()

    def slow(peer: Peer) -> None:
        if len(server.requests) > 1:
            refused.wait(15)  # the probe is under way until the two others have looked
        peer.send(BUSY)

    context = multiprocessing.get_context("spawn")
    start, said = context.Barrier(3), context.Queue()
    environment = {name: value for name, value in os.environ.items() if name.startswith("HUB_")}
    with serving(slow) as server, splunk_at(workplace, server):
        workplace.scans(8)
        workplace.sync("splunk", "scheduled")
        assert len(server.requests) == 1
        workplace.pass_time(minutes=6)
        arguments = (database, environment, workplace.ids["splunk"], start, said)
        processes = [context.Process(target=probe, args=arguments) for _ in range(3)]
        for process in processes:
            process.start()
        answers = [said.get(timeout=90) for _ in processes[1:]]
        refused.set()
        answers.append(said.get(timeout=90))
        for process in processes:
            process.join(30)
        assert len(server.requests) == 2
        assert server.requests[1].count(b'"event"') == 1  # one record, not the queue
    assert sum("already running" in answer for answer in answers) == 2


def test_a_recovered_messenger_is_drained_at_its_rate(workplace: Workplace) -> None:
    """60 a minute with ten seconds' burst: never more than 10 + one a second, whatever waited."""
    workplace.connect("slack", batch_limit=200, storm="off", every="10m")
    workplace.sandbox.fault("slack", "503")
    workplace.alerts(100)
    workplace.sync("slack", "scheduled")
    workplace.sandbox.clear_faults()
    workplace.pass_time(seconds=40)
    passed_s, begun = 0.0, time.monotonic()
    while "delivered" not in (states := set(workplace.states("slack"))) or len(states) > 1:
        workplace.sync("slack", "scheduled")
        sent = len(workplace.sandbox.accepted("slack"))
        assert sent <= 10 + passed_s + (time.monotonic() - begun) + 1
        pass_time(timedelta(seconds=5))
        passed_s += 5
        assert passed_s < 600
    assert passed_s + (time.monotonic() - begun) >= 80
    assert len(workplace.sandbox.accepted("slack")) == 100


def test_look_ups_count_against_the_rate_as_well(workplace: Workplace) -> None:
    from core.delivery.rate_limit import charge

    until = datetime.fromisoformat("2026-11-22T12:00:00+00:00")
    assert charge(until, 60, 3, until) == until + timedelta(seconds=3)
    assert charge(until, None, 3, until) == until
    assert charge(until, 60, 0, until) == until


def test_the_halves_of_a_refused_batch_are_calls_too(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    splunk = integrations.get("splunk")
    limits = replace(splunk.limits, requests_per_minute=60)
    monkeypatch.setitem(integrations.manifests(), "splunk", replace(splunk, limits=limits))
    with (
        serving(json_answer(413, "too large", "Connection: close")) as server,
        splunk_at(workplace, server, batch_limit=8),
    ):
        workplace.scans(8)
        begun = workplace.row("splunk").created_at
        workplace.sync("splunk", "scheduled")
        calls = len(server.requests)
        assert calls > 4
        rate_until = workplace.row("splunk").rate_until
        assert rate_until is not None
        assert (rate_until - begun).total_seconds() >= calls


# --- neighbours ---------------------------------------------------------------------------------------


def test_nine_dead_of_ten_hold_a_quarter_of_the_threads_and_the_tenth_keeps_its_schedule(
    workplace: Workplace,
) -> None:
    """Dead: it takes the connection and says nothing for 20 s. Eight threads, nine dead, one well."""
    healthy = workplace.connect("slack", every="10s")
    running: list[int] = []
    with serving(lambda peer: peer.hang()) as dead:
        for _ in range(9):
            with splunk_at(workplace, dead, every="10s"):
                pass
        workplace.scans(5)
        with db.session() as session:  # they have failed before, and are due for their probe
            now = db.now(session)
            sick = col(Connection.id) != healthy
            session.execute(update(Connection).where(sick).values(failures=3, next_wake_at=now))
        clock = scheduler.Clock(threads=8)
        try:
            for turn in range(1, 6):
                workplace.alerts(1)
                with db.session() as session:  # ten seconds pass, for everybody's schedule
                    now = db.now(session)
                    session.execute(update(Connection).values(next_wake_at=now, next_sync_at=now))
                clock.look()
                until(lambda turn=turn: len(workplace.sandbox.accepted("slack")) == turn)
                until(lambda turn=turn: len(workplace.row("slack").recent) == turn)
                until(lambda: healthy not in clock.running)  # a look starts nothing that still runs
                running.append(sum(each.is_failing for each in clock.running.values()))
            assert max(running) == clock.failing_threads == 2
            assert dead.connects <= 2 * 5
            row = workplace.row("slack")
            assert [run[1:] for run in row.recent] == [["success", 1]] * 5
        finally:
            dead.stop()
            clock.stopping.set()
            clock.pool.shutdown(wait=True, cancel_futures=True)
            housekeeping.abandon()


def until(condition: Any, patience_s: float = 30) -> None:
    event, deadline = threading.Event(), time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        event.wait(0.02)


def test_those_that_fail_get_their_share_and_no_more(workplace: Workplace) -> None:
    for number in range(6):
        made = workplace.connect("slack")
        if number < 4:
            with db.session() as session:
                session.get_one(Connection, made).failures = 2
    assert [each.is_failing for each in schedule.due(16, 4)] == [True] * 4 + [False] * 2
    assert [each.is_failing for each in schedule.due(16, 1)] == [True, False, False]
    assert [each.is_failing for each in schedule.due(2, 4)] == [True] * 2
    assert [each.is_failing for each in schedule.due(16, 0)] == [False] * 2
