"""What waits follows its record, what is wanted is judged on each change, and an edit during a run wins."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlmodel import col

from core import connections, records
from core.connections import changes as changing
from core.delivery import export as exports
from core.delivery import history, housekeeping, schedule, send, sync
from core.platform.errors import Conflict
from core.records import intake
from core.records.tables import number
from core.storage import db
from core.storage.models import Case, Connection, Delivery, Kind, Scan, SiemEvent, SkippedBy
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]
on_sqlite = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("database", ["postgres"], indirect=True)


def change(place: Workplace, kind: Kind, id: str, **fields: Any) -> None:
    assert intake.store(place.who, kind, [{"id": id, "user_id": place.who.user_id} | fields]).problems == []


def queue(place: Workplace, slug: str) -> None:
    """A sync while the vendor is away: what it exports waits."""
    place.sandbox.fault(slug, "503")
    place.sync(slug)
    place.sandbox.clear_faults()


# --- what waits ---------------------------------------------------------------------------------------


def test_what_waited_is_sent_as_its_record_is_now(workplace: Workplace) -> None:
    workplace.connect("splunk")
    (scan,) = workplace.scans(1, email="old@example.org")
    queue(workplace, "splunk")
    (row,) = workplace.deliveries("splunk")
    with db.reading() as session:
        before = session.execute(select(col(SiemEvent.description))).scalar_one()
    assert before.startswith("Subject: old@example.org\nSeverity: high\nRisks: 7 high")
    change(workplace, Kind.SCAN, scan, email="new@example.org", high_risk_count=20)
    previewed = connections.preview(workplace.who, workplace.ids["splunk"])
    workplace.sync("splunk")
    (arrived,) = workplace.sandbox.accepted("splunk")
    assert "new@example.org" in str(arrived)
    assert "old@example.org" not in str(arrived)
    assert ["new@example.org" in request.body for request in previewed] == [True]
    assert [request.keys for request in previewed] == [[row.key]]
    with db.reading() as session:
        (event,) = session.execute(select(SiemEvent)).scalars()
    assert (event.severity, "new@example.org" in str(event.raw_data)) == ("critical", True)
    assert event.description.startswith("Subject: new@example.org\nSeverity: critical\nRisks: 20 high")


def test_a_case_that_was_closed_while_it_waited_gets_no_ticket_and_the_row_says_why(
    workplace: Workplace,
) -> None:
    workplace.connect("jira")
    (case,) = workplace.cases(1)
    queue(workplace, "jira")
    change(workplace, Kind.CASE, case, status="closed")
    workplace.sync("jira")
    (row,) = workplace.deliveries("jira")
    assert (row.state, row.skipped_by) == ("skipped", SkippedBy.FILTER)
    assert "its status is closed" in str(row.reason)
    assert workplace.sandbox.accepted("jira") == []
    change(workplace, Kind.CASE, case, status="open")  # opened again
    workplace.sync("jira")
    assert workplace.states("jira") == ["delivered"]


def test_an_alert_that_was_read_while_it_waited_wakes_nobody(workplace: Workplace) -> None:
    workplace.connect("slack", storm="off")
    (alert,) = workplace.alerts(1)
    queue(workplace, "slack")
    change(workplace, Kind.ALERT, alert, is_read=True)
    workplace.sync("slack")
    assert workplace.states("slack") == ["skipped"]


def test_what_may_have_arrived_is_sent_again_as_it_was_sent(workplace: Workplace) -> None:
    workplace.connect("webhook", retry={"first_wait": "1s"})
    (alert,) = workplace.alerts(1, title="old words")
    workplace.sandbox.fault("webhook", "lost_answer", times=1)
    workplace.sync("webhook")
    (row,) = workplace.deliveries("webhook")
    assert row.in_doubt_since is not None
    change(workplace, Kind.ALERT, alert, title="new words", is_read=True)
    workplace.pass_time(minutes=2)
    workplace.sync("webhook")
    (again,) = workplace.deliveries("webhook")
    assert (again.state, again.payload) == ("delivered", row.payload)


def test_a_record_that_cannot_be_mapped_any_more_stops_no_other(workplace: Workplace) -> None:
    workplace.connect("jira", mapping={"summary": "{assigned_to}"})
    bad, _ = workplace.cases(2, assigned_to="ben")
    queue(workplace, "jira")
    change(workplace, Kind.CASE, bad, assigned_to=None)
    workplace.sync("jira")
    workplace.sync("jira")
    rows = {row.record_id: row for row in workplace.deliveries("jira")}
    assert sorted(row.state for row in rows.values()) == ["dead", "delivered"]
    assert "Cannot be mapped for Jira" in next(
        str(row.reason) for row in rows.values() if row.state == "dead"
    )
    assert len(workplace.sandbox.accepted("jira")) == 1
    change(workplace, Kind.CASE, bad, assigned_to="ana")
    (dead,) = [row for row in workplace.deliveries("jira") if row.state == "dead"]
    history.replay_one(workplace.who, dead.id or 0)
    workplace.sync("jira")
    assert workplace.states("jira") == ["delivered", "delivered"]


def test_a_row_without_a_body_is_mapped_before_it_is_claimed(workplace: Workplace) -> None:
    cid = workplace.connect("splunk")
    workplace.scans(2)
    queue(workplace, "splunk")
    with db.session() as session:
        first = workplace.deliveries("splunk")[0].id
        session.execute(update(Delivery).where(col(Delivery.id) == first).values(payload=None))
    assert workplace.sync("splunk").success
    assert workplace.sync("splunk").success
    assert workplace.states("splunk") == ["delivered", "delivered"]
    with db.session() as session:
        # … and one whose record is gone as well is dead, with the reason
        session.execute(
            update(Delivery)
            .where(col(Delivery.id) == first)
            .values(state="pending", payload=None, next_attempt_at=db.now(session))
        )
        session.execute(update(Delivery).where(col(Delivery.id) == first).values(record_id=10**9))
    workplace.sync("splunk")
    row = next(row for row in workplace.deliveries("splunk") if row.id == first)
    assert (row.state, "cannot be sent" in str(row.reason)) == ("dead", True)
    assert workplace.row("splunk").id == cid


def test_a_replay_sends_what_a_person_wants_whatever_the_filter_says(workplace: Workplace) -> None:
    workplace.connect("slack", storm="off")
    workplace.alerts(1, severity="low")
    queue(workplace, "slack")
    changing.edit(workplace.who, workplace.ids["slack"], options={"min_severity": "critical"})
    (row,) = workplace.deliveries("slack")
    assert row.state == "skipped"
    history.replay_one(workplace.who, row.id or 0)
    workplace.sync("slack")
    assert workplace.states("slack") == ["delivered"]


def test_what_a_person_discarded_stays_out_when_its_record_changes(workplace: Workplace) -> None:
    workplace.connect("jira")
    cases = workplace.cases(51)
    changing.edit(workplace.who, workplace.ids["jira"], options={"batch_limit": 100})
    workplace.sync("jira")
    assert set(workplace.states("jira")) == {"held"}
    history.discard(workplace.who, workplace.ids["jira"])
    change(workplace, Kind.CASE, cases[0], title="other words")
    workplace.sync("jira")
    assert set(workplace.states("jira")) == {"skipped"}
    assert workplace.sandbox.accepted("jira") == []


# --- wanted on each change ----------------------------------------------------------------------------


def test_a_skipped_record_that_becomes_wanted_is_sent(workplace: Workplace) -> None:
    workplace.connect("slack", storm="off")
    (alert,) = workplace.alerts(1, severity="low")
    queue(workplace, "slack")
    changing.edit(workplace.who, workplace.ids["slack"], options={"min_severity": "high"})
    assert workplace.states("slack") == ["skipped"]
    workplace.sync("slack")
    assert workplace.states("slack") == ["skipped"]
    change(workplace, Kind.ALERT, alert, severity="critical")
    workplace.sync("slack")
    assert workplace.states("slack") == ["delivered"]
    workplace.sync("slack")
    assert len(workplace.sandbox.accepted("slack")) == 1


def test_start_from_counts_from_when_a_record_became_wanted(workplace: Workplace) -> None:
    running, old = *workplace.scans(1, status="running"), *workplace.scans(1)
    workplace.connect("splunk", start_from="now")
    change(workplace, Kind.SCAN, running, status="completed")
    change(workplace, Kind.SCAN, old, email="corrected@example.org")  # was wanted before, and still is
    workplace.sync("splunk")
    assert [accepted.key[9:45] for accepted in workplace.sandbox.accepted("splunk")] == [running]
    change(workplace, Kind.SCAN, old, high_risk_count=20)  # it got worse
    workplace.sync("splunk")
    assert len(workplace.sandbox.accepted("splunk")) == 2


@on_sqlite
def test_history_is_walked_within_one_run(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 records that nobody wants, then one that somebody does: steps of a run, not intervals."""
    monkeypatch.setattr("core.delivery.selection.RANGE", 1_000)
    monkeypatch.setattr("core.delivery.selection.STEP_S", 0.0)  # one step a transaction
    with db.session() as session:
        now = db.now(session)
        blank = {"owner_id": workplace.who.user_id, "extra": {}, "content_hash": "x", "received_at": now}
        rows = [blank | {"id": f"old-{n}", "high_risk_count": 0} for n in range(5_000)]
        number(session, rows)
        session.execute(insert(Scan), rows)
    workplace.connect("splunk")
    workplace.scans(1)
    assert workplace.sync("splunk", "scheduled").count == 1
    assert workplace.row("splunk").export_cursor == 5_001


# --- an edit during a run ------------------------------------------------------------------------------


@pytest.mark.parametrize("drain", [False, True])
def test_a_filter_edited_during_a_run_wins(workplace: Workplace, monkeypatch, drain: bool) -> None:
    cid = workplace.connect("splunk", min_severity="critical", drain=drain)
    workplace.scans(3, severity="low")
    real, edited = sync.deliver, []

    def deliver(begun: Any, live: Any) -> None:
        real(begun, live)
        if not edited:
            edited.append(changing.edit(workplace.who, cid, options={"min_severity": "low"}))

    monkeypatch.setattr(sync, "deliver", deliver)
    workplace.sync("splunk")
    assert edited
    workplace.sync("splunk")
    assert workplace.states("splunk") == ["delivered"] * 3


@on_postgres
def test_an_edit_between_looking_and_locking_is_judged_once_more(workplace: Workplace, monkeypatch) -> None:
    cid = workplace.connect("splunk", min_severity="critical")
    workplace.scans(3, severity="low")
    workplace.sync("splunk")
    workplace.scans(1, severity="critical")
    real, looks = exports.select_new, []

    def select_new(*given: Any) -> Any:
        found = real(*given)
        looks.append(len(found.rows))
        if len(looks) == 1:
            editing = threading.Thread(
                target=lambda: changing.edit(workplace.who, cid, options={"min_severity": "low"})
            )
            editing.start()
            editing.join(20)
        return found

    monkeypatch.setattr(exports, "select_new", select_new)
    workplace.sync("splunk")
    assert looks[:2] == [1, 4]
    assert workplace.states("splunk") == ["delivered"] * 4


@on_postgres
def test_two_edits_at_once_both_stay(workplace: Workplace) -> None:
    cid = workplace.connect("splunk")
    edits = [{"min_severity": "high"}, {"batch_limit": 77}, {"every": "7m"}]
    threads = [
        threading.Thread(target=changing.edit, args=(workplace.who, cid), kwargs={"options": edit})
        for edit in edits
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    options = workplace.row("splunk").options
    assert (options["min_severity"], options["batch_limit"], options["every"]) == ("high", 77, "7m")


@on_postgres
def test_a_record_that_changes_between_two_pages_enters_a_batch_once(
    workplace: Workplace, monkeypatch
) -> None:
    workplace.connect("splunk", drain=True)
    first, *_ = workplace.scans(700)
    real, pages = records.changes, []

    def changes(*given: Any, **named: Any) -> Any:
        page = real(*given, **named)
        pages.append(len(page))
        if len(pages) == 1:
            storing = threading.Thread(
                target=change, args=(workplace, Kind.SCAN, first), kwargs={"high_risk_count": 9}
            )
            storing.start()
            storing.join(20)
        return page

    monkeypatch.setattr("core.delivery.selection.records.changes", changes)
    assert workplace.sync("splunk").count == 700
    assert len(pages) > 1
    assert len(workplace.sandbox.accepted("splunk")) == 700


# --- wake-ups ------------------------------------------------------------------------------------------


def test_a_record_that_comes_during_a_call_is_due_at_once(workplace: Workplace, monkeypatch) -> None:
    workplace.connect("slack", realtime=True, every="1d", storm="off")
    workplace.alerts(1)
    real, came = sync.deliver, []

    def deliver(begun: Any, live: Any) -> None:
        real(begun, live)
        if not came:
            came.extend(workplace.alerts(1))

    monkeypatch.setattr(sync, "deliver", deliver)
    (due,) = schedule.due(10)
    sync.run(due.id, only_due=True)
    assert came
    assert [each.id for each in schedule.due(10)] == [due.id]
    sync.run(due.id, only_due=True)
    assert workplace.states("slack") == ["delivered"] * 2
    assert schedule.due(10) == []


def test_a_run_that_asks_for_nothing_is_due_at_its_next_time(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1h")
    sync.run(workplace.ids["splunk"], only_due=True)
    row = workplace.row("splunk")
    assert row.next_wake_at == row.next_sync_at
    assert row.lease_until is None


def test_a_connection_whose_worker_died_is_due_when_its_lease_ends(workplace: Workplace) -> None:
    workplace.connect("splunk", every="1d")
    workplace.scans(1)
    sync._start(workplace.ids["splunk"], "scheduled", None, lambda: False, 600.0)  # … and then it dies
    row = workplace.row("splunk")
    assert row.next_wake_at == row.lease_until
    assert schedule.due(10) == []
    workplace.pass_time(seconds=61)
    (due,) = schedule.due(10)
    sync.run(due.id, only_due=True)
    assert workplace.states("splunk") == ["delivered"]


def test_what_a_dead_worker_left_is_due_at_once(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its next run may have begun and ended before anybody found the attempt."""
    workplace.connect("splunk", every="1d")
    workplace.scans(1)

    def die(call: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(send, "send", die)
    with pytest.raises(KeyboardInterrupt):
        workplace.sync("splunk")
    with db.session() as session:
        later = db.now(session) + timedelta(days=1)
        session.execute(update(Connection).values(run_id=None, lease_until=None, next_wake_at=later))
    assert schedule.due(10) == []
    workplace.pass_time(seconds=61)
    housekeeping.housekeep()
    assert len(schedule.due(10)) == 1
    assert workplace.states("splunk") == ["in_doubt"]


# --- deleted, paused -----------------------------------------------------------------------------------


def test_nothing_waits_for_a_deleted_connection(workplace: Workplace) -> None:
    cid = workplace.connect("jira")
    workplace.cases(2)
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira", "scheduled")
    connections.delete(workplace.who, cid)
    rows = workplace.deliveries("jira")
    assert sorted(row.state for row in rows) == ["dead", "skipped"]
    (dead,) = [row for row in rows if row.state == "dead"]
    assert "may be there" in str(dead.reason)
    assert dead.in_doubt_since is not None


def test_a_run_queues_nothing_for_a_connection_that_was_deleted_meanwhile(
    workplace: Workplace, monkeypatch
) -> None:
    cid = workplace.connect("splunk")
    workplace.scans(2)
    real = sync.export

    def export(begun: Any) -> None:
        connections.delete(workplace.who, cid)
        real(begun)

    monkeypatch.setattr(sync, "export", export)
    workplace.sync("splunk")
    assert workplace.states("splunk") == []


def test_a_row_that_was_being_sent_when_its_connection_was_deleted_ends(
    workplace: Workplace, monkeypatch
) -> None:
    cid = workplace.connect("splunk")
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "503")
    real = send.send

    def send_slowly(call: Any) -> None:
        connections.delete(workplace.who, cid)
        real(call)

    monkeypatch.setattr(send, "send", send_slowly)
    workplace.sync("splunk")
    housekeeping.housekeep()
    assert workplace.states("splunk") == ["skipped"]


def test_enable_asks_about_what_came_while_paused_and_skip_leaves_it_out(workplace: Workplace) -> None:
    cid = workplace.connect("slack", drain=True, storm="off")
    workplace.sync("slack")
    changing.disable(workplace.who, cid)
    rows = [{"id": f"a-{n}", "title": "t", "severity": "high"} for n in range(1_001)]
    intake.store(workplace.who, Kind.ALERT, rows)
    with pytest.raises(Conflict, match="More than 1,000 records wait"):
        changing.enable(workplace.who, cid)
    changing.enable(workplace.who, cid, backlog="skip")
    workplace.sync("slack")
    changing.edit(workplace.who, cid, options={"min_severity": "low"})  # walks everything again
    workplace.sync("slack")
    assert workplace.sandbox.accepted("slack") == []
    workplace.alerts(1)
    workplace.sync("slack")
    assert workplace.states("slack") == ["delivered"]


def test_a_few_records_that_came_while_paused_are_sent_without_a_question(workplace: Workplace) -> None:
    cid = workplace.connect("slack", storm="off")
    changing.disable(workplace.who, cid)
    workplace.alerts(3)
    changing.enable(workplace.who, cid)
    workplace.sync("slack")
    assert workplace.states("slack") == ["delivered"] * 3


@on_sqlite
def test_only_what_changed_is_looked_at_again(workplace: Workplace, monkeypatch) -> None:
    """The hot path: what was exported a moment ago is claimed without being mapped twice."""
    workplace.connect("splunk", drain=True)
    workplace.scans(50)
    mapped = []
    real = exports.Profile.mapped
    monkeypatch.setattr(
        exports.Profile, "mapped", lambda self, *given: mapped.append(1) or real(self, *given)
    )
    assert workplace.sync("splunk").count == 50
    assert len(mapped) == 50


def test_times_of_before_this_release_are_kept(workplace: Workplace) -> None:
    """A record of an older hub has no `risen_at`: it counts from when it was received."""
    (case,) = workplace.cases(1)
    with db.session() as session:
        session.execute(update(Case).values(risen_at=None, received_at=db.now(session) - timedelta(days=2)))
        yesterday = (db.now(session) - timedelta(days=1)).isoformat()
    workplace.connect("jira", start_from=yesterday)
    workplace.sync("jira")
    assert workplace.states("jira") == []
    with db.session() as session:
        session.execute(update(Case).values(received_at=db.now(session)))
        session.execute(update(Connection).values(export_cursor=0))
    workplace.sync("jira")
    assert workplace.states("jira") == ["delivered"]
    assert case
