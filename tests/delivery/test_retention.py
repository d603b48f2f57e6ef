"""Old content goes, keys stay, and nothing is sent again because of it."""

import itertools
import threading
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from sqlalchemy import delete, event, func, insert, select, text, update
from sqlmodel import Session, col

import scheduler
from core import health
from core.connections import changes
from core.delivery import history, housekeeping, journal, retention
from core.delivery.journal import Tally
from core.health import figures, metrics
from core.platform.settings import settings
from core.records import intake
from core.storage import db
from core.storage.models import (
    Alert,
    Attempt,
    AuditEntry,
    Case,
    Connection,
    Delivery,
    HourlyFigures,
    HubMessage,
    IdempotencyKey,
    Kind,
    Replay,
    RunLog,
    Scan,
    SiemEvent,
    SignIn,
    TicketLink,
)
from core.web.api import idempotency
from tests.conftest import People
from tests.support import scenes
from tests.support.live import until
from tests.support.workplace import Workplace, clock, sandbox, workplace

__all__ = ["clock", "sandbox", "workplace"]

pytestmark = pytest.mark.slow

Move = Callable[[timedelta], None]
DAY = timedelta(days=1)
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize(
    "database", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)


@pytest.fixture
def keep(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """HUB_… of this test."""

    def set_days(**days: int) -> None:
        for name, value in days.items():
            monkeypatch.setenv(f"HUB_{name.upper()}", str(value))
        settings.cache_clear()

    return set_days


def number(table: type, *which: object) -> int:
    with db.reading() as session:
        return session.execute(select(func.count()).select_from(table).where(*which)).scalar_one()  # type: ignore[arg-type]


def old_attempts(session: Session, connection_id: str, count: int, **fields: object) -> None:
    at = db.now(session) - 200 * DAY
    row = {"connection_id": connection_id, "run_id": "r", "worker": "w", "lease_until": at}
    row |= {"started_at": at, "closed_at": at, "outcome": "closed", "items": 1, "exchanges": []} | fields
    session.execute(insert(Attempt), [row] * count)


# --- texts ----------------------------------------------------------------------------------------


def test_what_is_old_loses_its_content_and_is_not_sent_again(workplace: Workplace, clock: Move) -> None:
    workplace.connect("splunk")
    workplace.connect("jira")
    workplace.scans(3)
    workplace.cases(1)
    workplace.sync("splunk")
    workplace.sync("jira")
    clock(91 * DAY)
    workplace.scans(1)
    workplace.sync("splunk")
    assert housekeeping.sweep() == 4 + 2 + 2 + 2  # deliveries, attempts, run logs, hours
    assert [row.payload is None for row in workplace.deliveries("splunk")] == [True, True, True, False]
    assert (number(Attempt), number(RunLog), number(TicketLink)) == (1, 1, 1)
    assert number(SiemEvent, col(SiemEvent.raw_data).is_(None)) == 3
    assert housekeeping.sweep() == 0
    with db.session() as session:
        session.execute(update(Connection).values(export_cursor=0))  # everything is looked at again
    assert workplace.sync("splunk").count == 0
    assert len(workplace.sandbox.accepted("splunk")) == 4


def test_what_still_waits_keeps_its_content(workplace: Workplace, clock: Move) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sync("splunk")
    clock(91 * DAY)
    housekeeping.sweep()
    assert workplace.deliveries("splunk")[0].payload is not None
    assert workplace.sync("splunk").count == 1


def test_what_ends_late_keeps_its_text_for_its_time_and_then_loses_it(
    workplace: Workplace, clock: Move
) -> None:
    """It was passed by many sweeps while it waited."""
    workplace.connect("splunk")
    workplace.scans(2)
    workplace.sandbox.fault("splunk", "503")
    workplace.sync("splunk")
    clock(91 * DAY)
    housekeeping.sweep()
    workplace.sandbox.clear_faults()
    workplace.sync("splunk")
    assert workplace.states("splunk") == ["delivered", "delivered"]
    assert (housekeeping.sweep(), number(Delivery, col(Delivery.payload).is_not(None))) == (
        1,
        2,
    )  # an attempt
    clock(91 * DAY)
    housekeeping.sweep()
    assert number(Delivery, col(Delivery.payload).is_not(None)) == 0


def test_what_is_refused_late_says_why_for_its_time(workplace: Workplace, clock: Move) -> None:
    cid = workplace.connect("splunk")
    [scan] = workplace.scans(1)
    workplace.sandbox.fault("splunk", "503")
    workplace.sync("splunk")
    changes.disable(workplace.who, cid)
    clock(91 * DAY)
    changes.enable(workplace.who, cid, backlog="send")
    with db.session() as session:  # its last attempt
        session.execute(update(Delivery).values(attempt_count=14))
    workplace.sync("splunk")
    assert workplace.states("splunk") == ["dead"]
    housekeeping.sweep()
    [row] = workplace.deliveries("splunk")
    assert row.payload is not None
    assert "Given up" in str(row.reason)
    clock(91 * DAY)
    housekeeping.sweep()
    [row] = workplace.deliveries("splunk")
    assert (row.payload, row.reason, row.response_body, row.attempt_id) == (None, None, None, None)
    [told] = history.explain(workplace.who, "scan", scan).connections
    assert told.sentence == "It is not tried again. The reason is not kept any more."
    workplace.sandbox.clear_faults()
    history.replay_one(workplace.who, row.id or 0)  # mapped again
    workplace.sync("splunk")
    assert [row.key] == [found.key for found in workplace.deliveries("splunk") if found.state == "delivered"]


def test_why_a_row_was_skipped_is_the_hubs_own_word_and_stays(workplace: Workplace, clock: Move) -> None:
    cid = workplace.connect("splunk")
    workplace.sandbox.fault("splunk", "503")
    workplace.scans(1)
    workplace.sync("splunk")
    changes.edit(workplace.who, cid, options={"min_severity": "critical"})
    [before] = workplace.deliveries("splunk")
    clock(91 * DAY)
    housekeeping.sweep()
    [after] = workplace.deliveries("splunk")
    assert (after.state, after.payload, after.reason) == ("skipped", None, before.reason)
    assert housekeeping.sweep() == 0


def test_a_message_of_the_hub_goes_with_its_text(workplace: Workplace, clock: Move) -> None:
    workplace.connect("slack", drain=True, storm="3/5m")
    workplace.alerts(9)
    workplace.sync("slack")
    clock(timedelta(minutes=10))
    workplace.sync("slack")
    assert number(HubMessage) == 1
    clock(91 * DAY)
    housekeeping.sweep()
    assert (number(HubMessage), number(Delivery, col(Delivery.payload).is_not(None))) == (0, 0)


def test_a_new_attempt_is_not_told_of_an_old_delivery(workplace: Workplace, clock: Move) -> None:
    """SQLite gives the numbers of removed attempts out again."""
    workplace.connect("splunk")
    workplace.scans(1)
    workplace.sync("splunk")
    clock(91 * DAY)
    housekeeping.sweep()
    with db.session() as session:  # all but the newest are gone by now; as an older hub left them
        session.execute(delete(Attempt))
    workplace.scans(1)
    workplace.sync("splunk")
    old, new = workplace.deliveries("splunk")
    told = [history.one(workplace.who, row.id or 0).attempts for row in (old, new)]
    assert [len(attempts) for attempts in told] == [0, 1]


# --- logs -----------------------------------------------------------------------------------------


def test_what_is_not_finished_or_not_old_is_left_alone(workplace: Workplace) -> None:
    cid = workplace.connect("splunk")
    with db.session() as session:
        now = db.now(session)
        past = now - 200 * DAY
        old_attempts(session, cid, 1, outcome="open", closed_at=None)
        old_attempts(session, cid, 2)
        for run_id, status in (("1", "running"), ("2", "success")):
            row = {"user_integration_id": cid, "run_id": run_id, "sync_type": "manual", "created_at": past}
            session.execute(insert(RunLog).values(**row, status=status, records_synced=0, meta={}))
        for state, ended in (("running", None), ("paused", None), ("done", past), ("done", now)):
            session.add(
                Replay(connection_id=cid, actor="ana", state=state, created_at=past, finished_at=ended)
            )
        for token, ends in (("old", past), ("new", now + DAY)):
            times = {"created_at": past, "seen_at": past, "expires_at": ends}
            session.add(SignIn(token_hash=token, user_id=workplace.who.user_id, **times))
        for key, ago in (("old", 8), ("new", 6)):
            given = {"request_hash": "", "created_at": now - ago * DAY}
            session.add(IdempotencyKey(owner_id=workplace.who.user_id, key=key, **given))
    housekeeping.sweep()
    with db.reading() as session:
        left = [
            session.execute(select(column)).scalars().all()
            for column in (
                Attempt.outcome,
                RunLog.status,
                Replay.state,
                SignIn.token_hash,
                IdempotencyKey.key,
            )
        ]
    assert [*map(sorted, left)] == [
        ["closed", "open"],
        ["running"],
        ["done", "paused", "running"],
        ["new"],
        ["new"],
    ]
    assert housekeeping.sweep() == 0


def test_an_old_answer_is_not_given_again_before_it_is_swept(workplace: Workplace, clock: Move) -> None:
    who, answer = workplace.who, idempotency.KeptAnswer(200, "{}")
    for key in ("mine", "another"):
        idempotency.begin(who, key, b"")
        idempotency.finish(who, key, answer)
    clock(6 * DAY)
    assert idempotency.begin(who, "mine", b"") == answer
    clock(2 * DAY)
    assert idempotency.begin(who, "mine", b"another request") is None
    assert number(IdempotencyKey) == 2  # a request pays for its own key alone
    housekeeping.sweep()
    assert number(IdempotencyKey) == 1


def test_the_audit_log_has_a_time_of_its_own_and_loses_its_beginning_only(
    workplace: Workplace, clock: Move, keep: Callable[..., None]
) -> None:
    for name, days in (
        ("first", -700),
        ("from the future", 0),
        ("second", 10),
        ("third", 400),
        ("last", 200),
    ):
        clock(days * DAY)
        with db.session() as session:
            at = db.now(session) + (9999 * DAY if "future" in name else 0 * DAY)
            session.add(AuditEntry(at=at, actor="ana", action=name))
    keep(retention_days=1)
    housekeeping.sweep()
    assert actions() == ["third", "last"]
    keep(audit_days=100)
    housekeeping.sweep()
    assert actions() == ["last"]
    clock(9999 * DAY)
    assert (housekeeping.sweep(), actions()) == (0, ["last"])  # what comes next goes on from it


def test_a_clock_that_was_behind_does_not_stop_the_retention_of_the_audit_log(
    workplace: Workplace, keep: Callable[..., None]
) -> None:
    for action, days in (("old", 900), ("of now", 0), ("dated long ago", 2_000), ("last", 0)):
        with db.session() as session:
            session.add(AuditEntry(at=db.now(session) - days * DAY, actor="ana", action=action))
    keep(retention_days=1)
    housekeeping.sweep()
    assert actions() == ["of now", "dated long ago", "last"]  # the database keeps what is of these days


def actions() -> list[str]:
    with db.reading() as session:
        return list(session.execute(select(AuditEntry.action).order_by(col(AuditEntry.id))).scalars())


# --- steps ----------------------------------------------------------------------------------------


def test_a_writer_gets_its_turn_after_each_step(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "STEP_S", 0.0)  # a step is one statement then
    cid = workplace.connect("splunk")
    with db.session() as session:
        old_attempts(session, cid, 1000)
    turns = itertools.count()

    def write() -> bool:
        with db.session() as session:
            session.execute(update(Connection).values(failures=next(turns)))
        return False

    assert housekeeping.sweep(write) == 999
    assert next(turns) == 11
    assert number(Attempt) == 1  # the newest, by which a restored database is known


def test_a_sweep_stops_when_it_is_told_to(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "STEP_S", 0.0)
    cid = workplace.connect("splunk")
    with db.session() as session:
        old_attempts(session, cid, 1000)
    told = iter([False, False, True])
    assert housekeeping.sweep(lambda: next(told)) == 200
    assert number(Attempt) == 800


def test_the_scheduler_works_off_all_that_is_old(workplace: Workplace) -> None:
    cid = workplace.connect("splunk", every="7d")
    with db.session() as session:
        old_attempts(session, cid, 3000)
    one = scheduler.Clock(threads=1)
    one.start()
    try:
        until(lambda: number(Attempt) == 1, "old attempts are still there")  # the newest stays
    finally:
        one.stop()


@on_sqlite
def test_a_run_that_is_due_does_not_wait_for_a_sweep(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes; and the scheduler stops while it is at work."""
    workplace.connect("splunk", every="1h")
    workplace.scans(1)
    begun = threading.Semaphore(0)

    def sweep(stopping: Callable[[], bool]) -> int:
        begun.release()
        until(stopping, "the sweep was never told to stop")
        return 0

    monkeypatch.setattr(scheduler.housekeeping, "sweep", sweep)
    one = scheduler.Clock(threads=1)
    one.look()
    assert begun.acquire(timeout=30)
    one.next_housekeeping = 0.0
    one.look()
    until(lambda: workplace.states("splunk") == ["delivered"], "the run waited for the sweep")
    assert not begun.acquire(blocking=False)  # one at a time
    one.scheduler.start(paused=True)
    assert one.stop()
    assert one.sweeper is not None
    assert not one.sweeper.is_alive()


# --- what it costs --------------------------------------------------------------------------------


def fill(session: Session, connection_id: str, rows: int) -> None:
    """A log of so many rows that are not old: deliveries of each finished state, attempts, runs, audit, hours."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) "
    tables = (
        "INSERT INTO webhook_deliveries (user_id, webhook_id, record_kind, record_id, revision, key, event_type,"
        " payload, state, attempt_count, look_ups, wanted_at, delivered_at, created_at) "
        "{n} SELECT 'u', :c, 'scan', i, 1, 'k' || i, 'e', '{{}}',"
        " CASE i % 3 WHEN 0 THEN 'dead' WHEN 1 THEN 'skipped' ELSE 'delivered' END, 1, 0, :at, :at, :at FROM n",
        "INSERT INTO delivery_attempts (connection_id, run_id, worker, started_at, lease_until, outcome, items,"
        " exchanges) {n} SELECT :c, 'r', 'w', :at, :at, 'closed', 1, '[]' FROM n",
        "INSERT INTO integration_logs (user_integration_id, run_id, sync_type, status, records_synced, metadata,"
        " created_at) {n} SELECT :c, CAST(i AS varchar), 'manual', 'success', 0, '{{}}', :at FROM n",
        "INSERT INTO audit_log (at, actor, action, subject, details) {n} SELECT :at, 'a', 'b', '', '{{}}' FROM n",
        "INSERT INTO idempotency_keys (owner_id, key, request_hash, created_at)"
        " {n} SELECT 'u', CAST(i AS varchar), '', :at FROM n",
    )
    at = db.now(session)
    bound = {"rows": rows, "c": connection_id, "at": at.replace(tzinfo=None) if is_sqlite(session) else at}
    for statement in tables:
        session.execute(text(statement.format(n=numbers)), bound)
    table = HourlyFigures.__table__  # type: ignore[attr-defined]
    hours = [
        {"connection_id": connection_id, "hour": at - timedelta(hours=back), "is_day": back > 24 * 35}
        for back in range(1, rows)
    ]
    session.execute(insert(table), hours)


def is_sqlite(session: Session) -> bool:
    return session.get_bind().dialect.name == "sqlite"


@on_sqlite
def test_finding_nothing_old_costs_the_same_however_long_the_log_is(workplace: Workplace) -> None:
    """Counted in SQLite's own instructions."""
    cid = workplace.connect("splunk")
    steps = []
    for rows in (2000, 20_000):
        with db.session() as session:
            session.execute(text("DROP TRIGGER IF EXISTS audit_log_kept"))  # nobody else empties it
            for table in (Delivery, Attempt, RunLog, AuditEntry, IdempotencyKey, HourlyFigures):
                session.execute(table.__table__.delete())  # type: ignore[attr-defined]
            fill(session, cid, rows)
        with db.reading() as session:
            raw = session.connection().connection.dbapi_connection
            assert raw is not None
            count = itertools.count()
            raw.set_progress_handler(lambda count=count: int(next(count) < 0), 10)  # type: ignore[attr-defined]
            assert not retention.is_any_old(session, db.now(session), 90, 400, 30)
            raw.set_progress_handler(None, 0)  # type: ignore[attr-defined]
            steps.append(next(count))
    assert steps[1] < steps[0] * 1.1


@on_postgres
def test_finding_nothing_old_reads_no_table_through(workplace: Workplace) -> None:
    cid = workplace.connect("splunk")
    with db.session() as session:
        fill(session, cid, 20_000)
    with db.session() as session:
        for name in ("webhook_deliveries", "delivery_attempts", "integration_logs", "hourly_figures"):
            session.execute(text(f"ANALYZE {name}"))
        session.execute(text("ANALYZE audit_log, idempotency_keys"))
    asked: list[tuple[str, object]] = []

    def note(_c: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        asked.append((statement, parameters))

    with db.reading() as session:
        event.listen(db.engine(), "before_cursor_execute", note)
        try:
            assert not retention.is_any_old(session, db.now(session), 90, 400, 30)
        finally:
            event.remove(db.engine(), "before_cursor_execute", note)
        connection = session.connection()
        connection.exec_driver_sql("SET LOCAL enable_sort = off")  # of tables with no row at all
        plans = [
            str(row[0])
            for statement, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)  # type: ignore[arg-type]
        ]
    small = ("replays", "sign_ins", "user_integrations", "scans", "cases", "monitoring_alerts", "counters")
    through = [line for line in plans if "Seq Scan" in line or "Sort" in line]
    assert [line for line in through if not any(f"on {name}" in line for name in small)] == []
    assert any("ix_webhook_deliveries_delivered" in line for line in plans)
    assert any("ix_webhook_deliveries_stopped" in line for line in plans)


# --- figures --------------------------------------------------------------------------------------


def test_old_hours_become_days_and_every_sum_stays(people: People) -> None:
    with db.session() as session:
        for owner, name in ((people.a, "mine"), (people.b, "theirs")):
            connection = scenes.connect(session, owner.user_id, name)
            for back in range(0, 24 * 60, 5):
                counts = {
                    "runs_ok": 2,
                    "runs_failed": back % 3,
                    "delivered": back,
                    "bytes_out": 2**33,
                }
                latencies = {"delay_s": scenes.delays(1, back), "call_ms": [] if back % 2 else [1, back]}
                scenes.figures(session, connection, back, **counts, **latencies)
    before, rows = shown(people), number(HourlyFigures)
    over = days_over(timedelta(days=35))
    while housekeeping.sweep():
        pass
    assert number(HourlyFigures, col(HourlyFigures.is_day)) == 2 * len(over) >= 48
    assert number(HourlyFigures) == rows - 2 * sum(hours - 1 for hours in over.values())
    assert shown(people) == before


def days_over(age: timedelta) -> Counter[date]:
    """How many hours with figures each day has, of one connection, that ended so long ago."""
    with db.reading() as session:
        hours = session.execute(select(col(HourlyFigures.hour)).distinct()).scalars().all()
        newest = (db.now(session) - age).date()
    return Counter(hour.date() for hour in hours if hour.date() < newest)


def shown(people: People) -> list[object]:
    """All that reads the figures, for both, over each time that the pages have; and all of it together."""
    figures.forget()
    pages = [
        health.overview(who, hours) for who in (people.a, people.b, people.admin) for hours in (24, 168, 720)
    ]
    found = [(page.success, page.delivered, page.delay_p95_s, page.timeline, page.heat) for page in pages]
    return [*found, metrics.Metrics().text().split(b"# HELP hub_connections")[0]]


def test_hours_that_come_late_are_added_to_their_day(people: People) -> None:
    """A worker's clock was wrong, or two sweeps met."""
    with db.session() as session:
        only = scenes.connect(session, people.a.user_id, "only").id
        day = (db.now(session) - 50 * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    for hour in (0, 3, 23, 0, 3):
        with db.session() as session:
            tally = Tally(runs_ok=1, delivered=2, calls=1, call_ms=[7.0], delay_s=[1.0, 9000.0])
            journal.count(session, only, tally, day + timedelta(hours=hour))
        housekeeping.sweep()
    with db.session() as session:
        assert journal.fold(session, only, day) == 0
        [row] = session.execute(select(HourlyFigures)).scalars()
    assert (row.hour, row.is_day, row.runs_ok, row.delivered, row.calls) == (day, True, 5, 10, 5)
    assert (sum(row.call_ms), row.call_ms[1], sum(row.delay_s)) == (5, 5, 10)


def test_without_work_there_are_no_figures_and_no_rate(workplace: Workplace, clock: Move) -> None:
    workplace.connect("splunk", every="1h")
    for _ in range(3):
        workplace.sync("splunk", "scheduled")
        clock(timedelta(hours=1))
    assert (number(HourlyFigures), number(RunLog)) == (0, 0)
    page = health.overview(workplace.who, 24)
    assert (page.success.value, page.delivered.value, page.heat) == (None, 0, ())
    assert len(page.strips[0].recent) == 3


def test_a_run_that_only_waits_for_the_vendor_is_no_success(workplace: Workplace, clock: Move) -> None:
    workplace.connect("splunk", every="1m")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "503")
    workplace.sync("splunk", "scheduled")
    workplace.sync("splunk", "scheduled")  # its next call is not due yet
    assert health.overview(workplace.who, 24).success.value == 0


# --- records --------------------------------------------------------------------------------------


def test_records_stay_unless_it_is_said_how_long(workplace: Workplace, clock: Move) -> None:
    workplace.scans(3)
    clock(5000 * DAY)
    housekeeping.sweep()
    assert number(Scan) == 3


def test_old_records_go_once_nobody_waits_for_them(
    workplace: Workplace, people: People, clock: Move, keep: Callable[..., None]
) -> None:
    keep(record_days=30)
    mine = workplace.connect("splunk", drain=True)
    theirs = Workplace(people.b, workplace.sandbox)
    theirs.connect("splunk", drain=True)
    workplace.scans(2)
    theirs.scans(2)
    workplace.sync("splunk")
    workplace.sandbox.fault("splunk", "503")
    workplace.scans(2)
    workplace.sync("splunk")  # these two wait
    changes.disable(people.b, theirs.ids["splunk"])
    clock(31 * DAY)
    workplace.scans(1)
    housekeeping.sweep()
    assert owners() == {people.a.user_id: 3, people.b.user_id: 2}  # theirs has not looked at its own yet
    workplace.sandbox.clear_faults()
    workplace.sync("splunk")
    housekeeping.sweep()
    assert owners() == {people.a.user_id: 1, people.b.user_id: 2}
    changes.enable(people.b, theirs.ids["splunk"], backlog="send")
    theirs.sync("splunk")
    housekeeping.sweep()
    assert owners() == {people.a.user_id: 1}
    assert number(Delivery, col(Delivery.webhook_id) == mine) == 5  # their keys stay
    assert len(workplace.sandbox.accepted("splunk")) == 7


def owners() -> dict[str, int]:
    with db.reading() as session:
        found = select(col(Scan.owner_id), func.count()).group_by(col(Scan.owner_id))
        return dict(session.execute(found).all())  # type: ignore[arg-type]


def test_a_record_that_changed_lately_stays(
    workplace: Workplace, clock: Move, keep: Callable[..., None]
) -> None:
    keep(record_days=30)
    workplace.cases(2, updated_at="2026-10-24T11:00:00Z")
    [changed] = workplace.cases(1, updated_at="2026-11-20T11:00:00Z")
    workplace.cases(1)
    clock(31 * DAY)
    workplace.cases(1)
    housekeeping.sweep()
    with db.reading() as session:
        left = session.execute(select(col(Case.id)).order_by(col(Case.local_id))).scalars().all()
    assert (left[0], len(left)) == (changed, 2)


@pytest.mark.parametrize(("slug", "kind"), [("splunk", "scan"), ("jira", "case"), ("slack", "alert")])
def test_a_record_that_was_removed_and_comes_again_is_not_sent_again(
    workplace: Workplace, clock: Move, keep: Callable[..., None], slug: str, kind: str
) -> None:
    keep(record_days=30)
    workplace.connect(slug, drain=True)
    add = {"scan": workplace.scans, "case": workplace.cases, "alert": workplace.alerts}[kind]
    again, last = add(1), add(1)
    workplace.sync(slug)
    [before] = [row for row in workplace.deliveries(slug) if again[0] in row.key]
    clock(31 * DAY)
    housekeeping.sweep()
    table = {"scan": Scan, "case": Case, "alert": Alert}[kind]
    assert number(table) == 1  # the last one keeps its number from being given out again
    fresh = add(1)
    wanted: dict[str, dict[str, object]] = {
        "scan": {"high_risk_count": 9, "status": "completed"},
        "case": {"priority": "critical", "status": "open"},
        "alert": {"alert_type": "new_exposure", "severity": "critical"},
    }
    row = {"id": again[0], "user_id": workplace.who.user_id} | wanted[kind]
    assert intake.store(workplace.who, Kind(kind), [row]).new == 1
    for _ in range(2):
        workplace.sync(slug)
    sent = [found.key for found in workplace.sandbox.accepted(slug)]
    assert len(sent) == len(set(sent)) == 3
    assert all(any(id in key for key in sent) for id in (*again, *last, *fresh))
    [after] = [row for row in workplace.deliveries(slug) if again[0] in row.key]
    assert (after.id, after.state) == (before.id, "delivered")
    [told] = history.explain(workplace.who, kind, again[0]).connections
    assert told.delivery is not None
    assert (told.state, told.delivery.id) == ("delivered", before.id)
    assert kind != "case" or told.delivery.ticket_url
