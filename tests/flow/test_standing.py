"""How a connection stands is what was counted: backlog, blocked and idle runs, what is left out, the scheduler."""

import pytest
from sqlalchemy import select
from sqlmodel import col

from core import connections, health
from core.delivery import backlog, heartbeat, idle, runs, sync
from core.delivery.filters import Cause
from core.delivery.journal import Tally
from core.health import Status, metrics
from core.storage import db
from core.storage.models import Connection, HourlyFigures, Kind, RunLog
from tests.conftest import People
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


@pytest.fixture(autouse=True)
def count_anew() -> None:
    """Two tests' connections may share a count otherwise: databases are emptied between them."""
    backlog.forget()


def view(workplace: Workplace, slug: str) -> connections.ConnectionView:
    return connections.find(workplace.who, workplace.ids[slug])


def beat(workplace: Workplace) -> None:
    with db.session() as session:
        heartbeat.beat(session, "here", {}, db.now(session))


def last_status(workplace: Workplace, slug: str) -> str:
    return str(workplace.row(slug).recent[-1][1])


def counted(workplace: Workplace) -> HourlyFigures:
    with db.reading() as session:
        return session.execute(select(HourlyFigures)).scalar_one()


# --- what is wanted and not taken yet -------------------------------------------------------------


def test_what_one_sync_does_not_take_is_counted_and_catching_up(workplace: Workplace) -> None:
    beat(workplace)
    workplace.connect("splunk", every="1d", batch_limit=20)
    workplace.scans(128)
    workplace.scans(3, high_risk_count=1)  # under its threshold: no backlog
    assert workplace.sync("splunk").count == 20
    found = view(workplace, "splunk")
    assert (found.waiting, found.backlog, found.backlog_more, found.unsent) == (0, 108, False, "108")
    assert found.standing.word is Status.CATCHING_UP
    assert found.standing.sentence == "108 records wait; at 20 every 1 d that takes 6 d."
    (line,) = connections.board(workplace.who).lines
    (strip,) = health.overview(workplace.who, 24).strips
    assert line.standing == strip.standing == found.standing


def test_what_goes_ahead_of_its_turn_is_counted_once(workplace: Workplace) -> None:
    """The cursor of everything stands still while those of the most severe move."""
    workplace.connect("splunk", batch_limit=5, order="severity")
    for number, severity in ((9, "low"), (8, "critical"), (3, "low")):
        workplace.scans(number, severity=severity)
    for left in (15, 10, 5):
        assert workplace.sync("splunk").count == 5
        assert view(workplace, "splunk").backlog == left
    workplace.scans(6, severity="high")
    assert workplace.sync("splunk").count == 5
    assert view(workplace, "splunk").backlog == 6
    assert sync.run(workplace.ids["splunk"], "manual", who=workplace.who, drain=True).count == 6
    assert (view(workplace, "splunk").backlog, workplace.row("splunk").drain_to) == (0, None)
    words = [accepted.severity for accepted in workplace.sandbox.accepted("splunk")]
    assert words == ["critical"] * 8 + ["low"] * 7 + ["high"] * 6 + ["low"] * 5


def test_what_waits_for_the_next_sync_is_said_and_well(workplace: Workplace) -> None:
    beat(workplace)
    workplace.connect("splunk", every="1h")
    workplace.sync("splunk")
    workplace.scans(4)
    found = view(workplace, "splunk")
    assert (found.backlog, found.standing.word) == (4, Status.HEALTHY)
    assert found.standing.sentence.startswith("4 records wait for the next sync in 59 min.")
    workplace.sync("splunk")
    assert view(workplace, "splunk").standing.sentence.startswith("Everything is delivered. ")


def test_a_backlog_is_exact_up_to_a_thousand(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog, "MOST", 10)
    workplace.connect("splunk", every="1h")
    workplace.scans(10)
    assert (view(workplace, "splunk").backlog, view(workplace, "splunk").backlog_more) == (10, False)
    workplace.scans(1)
    backlog.forget()
    assert (view(workplace, "splunk").backlog, view(workplace, "splunk").unsent) == (10, "more than 10")


def test_prometheus_is_told_of_the_backlog(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1h")
    workplace.scans(4)
    workplace.connect("jira", every="1h")
    text = metrics.Metrics().text().decode()
    assert 'hub_backlog{vendor="splunk"} 4.0' in text
    assert 'hub_backlog{vendor="jira"} 0.0' in text


def test_a_filter_that_only_the_hub_can_judge_is_not_counted_without_end(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog, "MOST", 5)
    monkeypatch.setattr(backlog, "JUDGED", 10)
    workplace.connect("splunk", every="1h", min_severity="critical", high_risk_threshold=0)
    workplace.scans(30)  # without a severity of their own: their risks decide, which SQL does not know
    found = view(workplace, "splunk")
    assert (found.backlog, found.backlog_more) == (0, True)


def test_somebody_elses_records_are_no_backlog(workplace: Workplace, people: People) -> None:
    workplace.connect("splunk", every="1h")
    Workplace(people.b, workplace.sandbox).scans(5)
    assert view(workplace, "splunk").backlog == 0


def test_all_of_it_can_be_sent_at_once(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1d", batch_limit=5)
    workplace.scans(23)
    result = sync.run(workplace.ids["splunk"], "manual", who=workplace.who, drain=True)
    assert (result.count, result.metadata["more"]) == (23, False)
    workplace.scans(7)  # what comes later is taken as ever
    assert workplace.sync("splunk").count == 5
    assert workplace.row("splunk").drain_to is None


def test_what_a_person_wants_sent_at_once_is_finished_by_the_scheduler(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1d", batch_limit=5)
    workplace.scans(23)
    workplace.sandbox.fault("splunk", "503", times=1)
    assert not sync.run(workplace.ids["splunk"], "manual", who=workplace.who, drain=True).success
    assert view(workplace, "splunk").standing.word is Status.FAILING
    workplace.pass_time(minutes=1)
    assert workplace.sync("splunk", "scheduled").count == 23


# --- runs that did nothing ------------------------------------------------------------------------


def test_a_run_that_may_not_call_is_blocked_and_no_success(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1m")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "401")
    workplace.sync("splunk")
    for _ in range(3):
        workplace.scans(1)
        with db.session() as session:
            row = session.get_one(Connection, workplace.ids["splunk"])
            row.next_sync_at = row.next_wake_at = db.now(session)
        workplace.sync("splunk", "scheduled")
    with db.reading() as session:
        logged = list(session.execute(select(RunLog).order_by(col(RunLog.id))).scalars())
    assert [run.status for run in logged] == ["failed", "blocked", "blocked", "blocked"]
    assert str(logged[-1].error_message).startswith("Not called: the next call is at ")
    assert last_status(workplace, "splunk") == "blocked"
    hour = counted(workplace)
    assert (hour.runs_ok, hour.runs_failed, hour.runs_blocked) == (0, 1, 3)
    assert health.overview(workplace.who, 24).success.value == 0


def test_a_look_that_may_not_call_is_blocked_on_the_strip(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1m")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "503")
    workplace.sync("splunk")
    with db.session() as session:
        row = session.get_one(Connection, workplace.ids["splunk"])
        row.next_sync_at = row.next_wake_at = db.now(session)
    assert idle.pass_by().number == 1
    assert last_status(workplace, "splunk") == "blocked"


def test_a_run_with_nothing_to_do_is_idle_and_counts_for_nothing(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1m")
    workplace.sync("splunk")
    assert last_status(workplace, "splunk") == "idle"
    with db.session() as session:
        row = session.get_one(Connection, workplace.ids["splunk"])
        row.next_sync_at = row.next_wake_at = db.now(session)
    assert idle.pass_by().number == 1
    assert [status for _, status, _ in workplace.row("splunk").recent] == ["idle", "idle"]
    with db.reading() as session:
        assert session.execute(select(HourlyFigures)).first() is None
        assert session.execute(select(RunLog)).first() is None


@pytest.mark.parametrize(
    ("tally", "status"),
    [
        (Tally(delivered=3), "success"),
        (Tally(delivered=3, retried=1), "partial"),
        (Tally(delivered=3, in_doubt=1), "partial"),
        (Tally(delivered=3, dead=1), "partial"),
        (Tally(), "idle"),
    ],
)
def test_only_a_run_that_delivered_everything_is_a_success(
    workplace: Workplace, tally: Tally, status: str
) -> None:
    id = workplace.connect("splunk")
    run = sync._start(id, "manual", workplace.who, lambda: False, 60)
    run.tally = tally
    with db.session() as session:
        assert runs.finish(session, run, db.now(session)) == status
    assert last_status(workplace, "splunk") == status


# --- what is left out -----------------------------------------------------------------------------


def test_what_a_connection_leaves_out_is_named_by_its_cause(workplace: Workplace, people: People) -> None:
    workplace.connect("splunk", high_risk_threshold=5, min_severity="high", start_from="2026-01-01")
    workplace.scans(2)
    workplace.scans(3, high_risk_count=4)
    workplace.scans(1, severity="low")
    workplace.scans(1, status="running")
    Workplace(people.b, workplace.sandbox).scans(4)
    mine = connections.left_out(workplace.who, workplace.ids["splunk"])
    assert mine.causes == {Cause.STATUS: 1, Cause.THRESHOLD: 3, Cause.SEVERITY: 1}
    assert mine.sentence == (
        "Of 7 scans, 5 are left out: 1 is not completed, 3 have fewer than 5 high risks, 1 is below high."
    )
    theirs = connections.left_out(people.admin, workplace.ids["splunk"])
    assert (theirs.looked, theirs.others) == (11, 4)
    assert "4 belong to other people (scope is mine)" in theirs.sentence
    assert theirs.sentence.endswith("Set scope=all to send everybody's.")


def test_the_form_says_whose_records_match(workplace: Workplace, people: People) -> None:
    Workplace(people.b, workplace.sandbox).scans(9)
    Workplace(people.b, workplace.sandbox).scans(1, high_risk_count=0)
    found = connections.count_wanted(people.admin, "splunk", {})
    assert (found.records, found.others) == (0, 9)
    assert connections.count_wanted(people.admin, "splunk", {"scope": "all"}).others == 0
    assert connections.count_wanted(people.a, "splunk", {}).others == 0  # nobody tells a member of others


# --- the scheduler --------------------------------------------------------------------------------


def test_a_scheduler_that_was_stopped_in_order_says_so_and_what_is_due_is_late(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1m")
    beat(workplace)
    workplace.sync("splunk")
    assert view(workplace, "splunk").standing.word is Status.HEALTHY
    with db.session() as session:
        heartbeat.retire(session, "here", db.now(session))
    found = health.overview(workplace.who, 24).scheduler
    assert (found.is_stopped, found.is_silent) == (True, True)
    assert found.sentence.startswith("The scheduler was stopped ")
    assert view(workplace, "splunk").standing.word is Status.HEALTHY  # nothing was due since
    workplace.pass_time(minutes=5)
    late = view(workplace, "splunk").standing
    assert late.word is Status.LATE
    assert late.sentence.startswith("It was due 4 min ago. The scheduler was stopped ")
    with db.session() as session:  # another may take its place at once
        assert heartbeat.beat(session, "there", {}, db.now(session))
    assert not health.overview(workplace.who, 24).scheduler.is_silent


def test_a_connection_without_its_key_says_that_and_not_that_it_is_late(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("splunk", every="1m")
    workplace.sync("splunk")
    monkeypatch.setattr("core.integrations.credentials._kids", lambda: ())
    workplace.pass_time(hours=1)
    stands = view(workplace, "splunk").standing
    assert stands.word is Status.NEEDS_YOU
    assert stands.sentence.startswith("The key ")


def test_lists_begin_with_who_needs_somebody_and_count_as_people_do(workplace: Workplace) -> None:
    for number in (10, 2, 1):
        workplace.connect("splunk")
        with db.session() as session:
            session.get_one(Connection, workplace.ids["splunk"]).name = f"Splunk {number}"
    with db.session() as session:
        worst = session.execute(select(Connection).where(col(Connection.name) == "Splunk 10")).scalar_one()
        worst.problem = "Enter the token again."
        failing = session.execute(select(Connection).where(col(Connection.name) == "Splunk 2")).scalar_one()
        failing.failures = 3
    names = ["Splunk 10", "Splunk 2", "Splunk 1"]
    assert [line.name for line in connections.board(workplace.who).lines] == names
    assert [strip.name for strip in health.overview(workplace.who, 24).strips] == names
    assert [each.name for each in connections.list_views(workplace.who)] == [
        "Splunk 1",
        "Splunk 2",
        "Splunk 10",
    ]


def test_kinds_are_counted_apart(workplace: Workplace) -> None:
    workplace.connect("jira", every="1h")
    workplace.scans(3)
    assert view(workplace, "jira").backlog == 0
    workplace.cases(2)
    assert view(workplace, "jira").backlog == 2
    assert connections.left_out(workplace.who, workplace.ids["jira"]).kind is Kind.CASE
