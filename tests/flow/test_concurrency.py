"""Writers beside writers: who was stopped is ended, who waits goes on or is told, and nobody sees a deadlock."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col
from structlog.testing import capture_logs
from typer.testing import CliRunner

from core import cli, connections
from core.delivery import housekeeping, outbox, send, sync
from core.platform.errors import Busy, Unusable
from core.records import intake
from core.storage import db
from core.storage.models import Attempt, Connection, Counter, HourlyFigures, Kind, RunLog
from tests.support.api_client import V1, Api, api, refusal
from tests.support.fault_server import Peer, json_answer, serving
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["api", "sandbox", "workplace"]

on_postgres = pytest.mark.parametrize(
    "database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
TAKE_COUNTER = "UPDATE counters SET value = value WHERE name = 'change_seq'"


@pytest.fixture
def hasty(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, a tenth as long."""
    was = db.WORKING
    monkeypatch.setattr(db, "WORKING", db.WaitLimits(was.lock_s / 10, was.statement_s, was.idle_s / 10))
    db.configure(database)


@contextmanager
def holding(*statements: str, for_ever: bool = False) -> Iterator[Any]:
    """A process of the hub that was stopped in the middle of a transaction; `for_ever`: PostgreSQL lets it be."""
    raw = db.engine(write=True).raw_connection()
    cursor = raw.cursor()
    try:
        for statement in ("SET LOCAL idle_in_transaction_session_timeout = 0",) * for_ever + statements:
            cursor.execute(statement)
        yield raw
    finally:
        raw.invalidate()


def waiting() -> bool:
    """Whether a session waits for a lock."""
    with db.reading() as session:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(session.execute(text(asked)).scalar())


@on_postgres
def test_a_writer_that_was_stopped_is_ended_and_the_others_go_on(hasty: None, workplace: Workplace) -> None:
    workplace.scans(1)  # the counter's row is there
    with holding(TAKE_COUNTER) as stopped:
        workplace.scans(1)
        with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
            stopped.commit()
    assert intake.count(workplace.who)[Kind.SCAN] == 2


@on_postgres
def test_whoever_was_stopped_does_it_again_when_it_goes_on(hasty: None, workplace: Workplace) -> None:
    times = []

    @db.unit
    def slow() -> None:
        with db.session() as session:
            session.add(Counter(name="slow", value=1))
            session.flush()
            times.append(1)
            if len(times) == 1:
                until(ended, "nobody ended it")

    def ended() -> bool:
        with db.reading() as session:
            asked = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
            return not session.execute(text(asked)).scalar()

    slow()
    assert len(times) == 2
    with db.reading() as session:
        assert session.get_one(Counter, "slow").value == 1


@on_postgres
def test_whoever_waits_too_long_gets_a_sentence(hasty: None, api: Api, tmp_path: Path) -> None:
    scan = {"id": "s", "scan_type": "email", "status": "completed"}
    assert api.a.post(f"{V1}/scans", json=scan).status_code == 200
    file = tmp_path / "scans.json"
    file.write_text(json.dumps([scan | {"id": "t"}]))
    with holding(TAKE_COUNTER, for_ever=True):
        answer = api.a.post(f"{V1}/scans", json=scan | {"id": "u"})
        ended = CliRunner().invoke(cli.app, ["import", "scans", str(file)])
    assert "is busy: others hold what this needs" in refusal(answer, 503, "busy")["message"]
    assert answer.headers["Retry-After"] == "5"
    assert (ended.exit_code, ended.stderr.strip().count("\n")) == (1, 0)
    assert "Try again in a moment." in ended.stderr
    assert api.a.post(f"{V1}/scans", json=scan | {"id": "u"}).json()["new"] == 1


@on_postgres
def test_a_statement_that_takes_too_long_is_ended(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "WORKING", db.WaitLimits(1, 0.1, 1))
    db.configure(database)
    with pytest.raises(Unusable, match="took too long for one statement"), db.reading() as session:
        session.execute(text("SELECT pg_sleep(10)"))


@on_postgres
def test_a_deadlock_is_nobodys_trouble(database: str) -> None:
    with db.session() as session:
        session.add_all([Counter(name="one", value=0), Counter(name="two", value=0)])
    met = threading.Barrier(2)
    trouble: list[BaseException] = []

    @db.unit
    def add(first: str, second: str) -> None:
        with db.session() as session:
            for name in (first, second):
                session.execute(
                    update(Counter).where(col(Counter.name) == name).values(value=col(Counter.value) + 1)
                )
                if not met.broken:
                    met.wait(10)  # each has its first row now, and wants the other's

    def run(*names: str) -> None:
        try:
            add(*names)
        except BaseException as error:  # noqa: BLE001 - the test names it
            trouble.append(error)

    threads = [threading.Thread(target=run, args=names) for names in (("one", "two"), ("two", "one"))]
    for thread in threads:
        thread.start()
    until(waiting, "nobody waits")
    met.abort()
    for thread in threads:
        thread.join(30)
    assert trouble == []
    with db.reading() as session:
        assert [session.get_one(Counter, name).value for name in ("one", "two")] == [2, 2]


def test_what_is_given_up_three_times_is_one_sentence(database: str) -> None:
    tries = []

    @db.unit
    def given_up() -> None:
        with db.session():
            tries.append(1)
            raise gave_up()

    with pytest.raises(Busy, match="is busy: others hold what this needs"):
        given_up()
    assert len(tries) == 3


def gave_up() -> DBAPIError:
    fault = psycopg.errors.SerializationFailure("could not serialize access")
    return DBAPIError.instance("COMMIT", {}, fault, psycopg.Error)  # type: ignore[no-any-return,misc]


def test_what_is_done_again_counts_once(workplace: Workplace) -> None:
    """The first commit of each transaction fails, as a deadlock would have it."""
    commits: list[bool] = []

    def first_fails(session: Session) -> None:
        session.flush()
        commits.append(len(commits) % 2 == 0)
        if commits[-1]:
            raise gave_up()

    workplace.connect("splunk")
    workplace.connect("jira", drain=True)
    event.listen(Session, "before_commit", first_fails)
    try:
        workplace.scans(3)
        workplace.cases(3)
        synced = [workplace.sync(slug) for slug in ("splunk", "jira")]
    finally:
        event.remove(Session, "before_commit", first_fails)
    assert commits.count(True) == commits.count(False) > 12
    assert [(each.success, each.count) for each in synced] == [(True, 3)] * 2
    for result in synced:
        told = {name: result.metadata[name] for name in ("exported", "delivered", "dead", "held", "waiting")}
        assert told == {"exported": 3, "delivered": 3, "dead": 0, "held": 0, "waiting": 0}
    with db.reading() as session:
        figures = session.execute(select(HourlyFigures)).scalars().all()
        logs = session.execute(select(RunLog)).scalars().all()
    assert [(row.delivered, row.runs_ok, sum(row.delay_s)) for row in figures] == [(3, 1, 3)] * 2
    assert [(log.status, log.records_synced) for log in logs] == [("success", 3)] * 2
    assert len(workplace.sandbox.accepted("splunk")) == len(workplace.sandbox.accepted("jira")) == 3


@on_postgres
def test_a_late_close_and_whoever_looks_for_dead_attempts_do_not_meet(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is over, the answer is there, and both write at the same moment."""
    workplace.connect("slack", storm="off")
    workplace.alerts(1)
    real = outbox.end_attempt
    reapers: list[Future[str | None]] = []

    def end_attempt(*arguments: Any) -> bool:
        if not reapers:
            with db.session() as session:
                session.execute(update(Attempt).values(lease_until=db.now(session) - timedelta(seconds=1)))
            reapers.append(pool.submit(housekeeping.housekeep))
            until(waiting, "the reaper waits for nothing")
        return real(*arguments)

    monkeypatch.setattr(outbox, "end_attempt", end_attempt)
    with ThreadPoolExecutor(1) as pool, capture_logs() as log:
        result = workplace.sync("slack")
        assert [reaper.result(30) for reaper in reapers] == [None]
    assert (result.success, result.count, workplace.states("slack")) == (True, 1, ["delivered"])
    assert [entry for entry in log if entry["log_level"] in ("warning", "error")] == []


def test_what_was_answered_is_kept_when_the_run_is_taken_over(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = json_answer(400, '{"text":"Invalid data format","code":6}')
    accepted = json_answer(200, '{"text":"Success","code":0}')
    requests: list[bytes] = []

    def all_at_once_is_refused(peer: Peer) -> None:
        requests.append(peer.request)
        peer.send(refused if len(requests) == 1 else accepted)

    with serving(all_at_once_is_refused) as server:
        values = workplace.sandbox.credentials("splunk") | {"url": server.url}
        workplace.ids["splunk"] = connections.create(
            workplace.who, "splunk", name="Mine", values=values, options={}
        )
        workplace.scans(4)
        before_call(monkeypatch, 3, take_over)  # four, then the first two, then the others
        result = workplace.sync("splunk")
    assert (result.success, result.message) == (False, "Another worker took this sync over.")
    assert workplace.states("splunk") == ["delivered", "delivered", "sending", "sending"]
    assert len(requests) == 2
    housekeeping.housekeep()  # what is left is not waited for as long as a lease lasts
    assert workplace.states("splunk") == ["delivered", "delivered", "in_doubt", "in_doubt"]


def before_call(monkeypatch: pytest.MonkeyPatch, nth: int, act: Callable[[], None]) -> None:
    real, passed = send.Send.before, []

    def before(call: send.Send) -> None:
        passed.append(1)
        if len(passed) == nth:
            act()
        real(call)

    monkeypatch.setattr(send.Send, "before", before)


def take_over() -> None:
    with db.session() as session:
        session.execute(update(Connection).values(run_id="someone else's"))


def test_an_attempt_that_was_renewed_meanwhile_is_not_taken_for_dead(workplace: Workplace) -> None:
    workplace.connect("slack", storm="off")
    workplace.alerts(1)
    begun = sync._start(workplace.ids["slack"], "manual", None, lambda: False, 60.0)
    sync.export(begun)
    claim = send.claim(begun)
    assert claim is not None
    workplace.pass_time(minutes=2)
    with db.session() as session:
        assert outbox.renew(session, claim.attempt_id, 60.0, db.now(session))
    assert housekeeping._reap_one(claim.attempt_id, claim.connection_id, None) == 0
    assert workplace.states("slack") == ["sending"]


@on_postgres
def test_a_row_that_somebody_else_is_changing_is_left_for_the_next_claim(workplace: Workplace) -> None:
    workplace.connect("splunk", batch_limit=100)
    workplace.scans(3)
    begun = sync._start(workplace.ids["splunk"], "manual", None, lambda: False, 60.0)
    sync.export(begun)
    first = workplace.deliveries("splunk")[0].id
    with holding(f"SELECT 1 FROM webhook_deliveries WHERE id = {first} FOR UPDATE"):
        claim = send.claim(begun)
        assert claim is not None
        assert first not in [row.id for row in claim.rows]
        assert len(claim.rows) == 2
