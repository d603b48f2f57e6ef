"""The flow end to end, against the strict sandbox, on both databases."""

import contextlib
import threading
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from time import monotonic

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from core import connections
from core.delivery import history, housekeeping, send, sync
from core.platform.errors import Conflict, NotFound, Unusable
from core.records import intake
from core.storage import db
from core.storage.models import (
    Attempt,
    Connection,
    Delivery,
    HourlyFigures,
    Kind,
    RunLog,
    SiemEvent,
    TicketLink,
)
from tests.support.fault_server import holding, http, json_answer, serving
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


def test_each_scan_reaches_the_siem_once_however_often_it_syncs(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(25)
    counts = [workplace.sync("splunk").count for _ in range(5)]
    assert counts == [10, 10, 5, 0, 0]  # seed: 10 scans per sync
    keys = [accepted.key for accepted in workplace.sandbox.accepted("splunk")]
    assert len(keys) == len(set(keys)) == 25
    with db.reading() as session:
        assert set(session.execute(select(col(SiemEvent.is_exported))).scalars()) == {True}


def test_a_ticket_is_linked_to_its_case(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(3)
    assert workplace.sync("jira").count == 3
    with db.reading() as session:
        links = session.execute(select(TicketLink).order_by(col(TicketLink.id))).scalars().all()
    assert [link.external_ticket_id for link in links] == ["SEC-1", "SEC-2", "SEC-3"]
    assert all(
        link.ticket_url == f"{workplace.sandbox.url}/jira/browse/{link.external_ticket_id}" for link in links
    )


def test_drain_goes_on_until_nothing_is_left(workplace: Workplace) -> None:
    workplace.connect("splunk", drain=True)
    workplace.scans(25)
    result = workplace.sync("splunk")
    assert (result.count, result.metadata["more"]) == (25, False)


def test_only_what_is_wanted_is_sent(workplace: Workplace) -> None:
    workplace.connect("splunk", high_risk_threshold=5)
    workplace.scans(1, high_risk_count=4)
    workplace.scans(1, status="running")
    wanted = workplace.scans(1, high_risk_count=5)
    assert workplace.sync("splunk").count == 1
    (accepted,) = workplace.sandbox.accepted("splunk")
    assert accepted.key.startswith(f"fiq-scan-{wanted[0]}")


def test_a_scan_that_completes_later_is_sent_then(workplace: Workplace) -> None:
    workplace.connect("splunk")
    (scan,) = workplace.scans(1, status="running")
    assert workplace.sync("splunk").count == 0
    intake.store(workplace.who, Kind.SCAN, [{"id": scan, "status": "completed", "high_risk_count": 9}])
    assert workplace.sync("splunk").count == 1


def test_start_from_now_leaves_the_past_alone(workplace: Workplace) -> None:
    workplace.scans(2)
    workplace.connect("splunk", start_from="now")
    workplace.scans(1)
    assert workplace.sync("splunk").count == 1


def test_another_persons_records_stay_theirs(workplace: Workplace, people) -> None:
    intake.store(people.b, Kind.SCAN, [{"id": "b-1", "high_risk_count": 9, "status": "completed"}])
    workplace.connect("splunk")
    assert workplace.sync("splunk").count == 0
    with pytest.raises(NotFound):
        sync.run(workplace.ids["splunk"], "manual", who=people.b)


def test_a_refused_event_is_dead_and_the_rest_arrives(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(3)
    workplace.sync("splunk", "scheduled")
    workplace.scans(3)
    with db.session() as session:  # what no mapping would make: an event the vendor refuses
        connection = session.get_one(Connection, workplace.ids["splunk"])
        assert connection.next_sync_at is not None
        connection.next_sync_at = db.now(session)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sync("splunk", "scheduled")  # queued, not taken
    rows = [row for row in workplace.deliveries("splunk") if row.state != "delivered"]
    with db.session() as session:
        session.execute(
            update(Delivery).where(col(Delivery.id) == rows[1].id).values(payload='{"time":1.0,"event":""}')
        )
    first = workplace.sync("splunk")  # one probe
    assert first.success
    assert workplace.states("splunk").count("dead") == 1
    assert workplace.states("splunk").count("delivered") == 5
    refused = next(row for row in workplace.deliveries("splunk") if row.state == "dead")
    assert refused.id == rows[1].id
    assert "blank" in str(refused.reason)


def test_a_wrong_token_pauses_the_connection_and_spends_no_attempt(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(4)
    workplace.sandbox.fault("splunk", "403", times=1)
    result = workplace.sync("splunk")
    assert not result.success
    row = workplace.row("splunk")
    assert row.problem is not None
    assert "Splunk" in row.problem
    assert row.wait_reason == "misconfigured"
    assert [(d.state, d.attempt_count) for d in workplace.deliveries("splunk")] == [("pending", 0)] * 4
    assert workplace.sync("splunk", "scheduled").count == 0  # waits for its probe
    assert workplace.sync("splunk").count == 4  # a person asked
    assert workplace.row("splunk").problem is None


def test_429_makes_the_connection_wait_also_for_a_person(workplace: Workplace) -> None:
    workplace.connect("slack")
    workplace.alerts(3)
    workplace.sandbox.fault("slack", "429", times=1)
    assert not workplace.sync("slack").success
    assert workplace.row("slack").wait_reason == "throttled"
    assert [(d.state, d.attempt_count) for d in workplace.deliveries("slack")] == [("pending", 0)] * 3
    assert workplace.sync("slack").count == 0
    workplace.pass_time(hours=25)
    assert workplace.sync("slack").count == 3


def test_a_busy_vendor_is_tried_again_by_the_schedule(workplace: Workplace) -> None:
    workplace.connect("slack")
    workplace.alerts(2)
    workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack", "scheduled")
    assert workplace.states("slack") == ["retrying", "pending"]
    workplace.pass_time(seconds=40)
    workplace.sync("slack", "scheduled")
    assert workplace.states("slack") == ["delivered", "delivered"]


def test_a_lost_answer_is_in_doubt_and_no_second_ticket_is_made(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira", "scheduled")
    (row,) = workplace.deliveries("jira")
    assert (row.state, row.attempt_count) == ("in_doubt", 1)
    workplace.pass_time(seconds=61)
    workplace.sync("jira", "scheduled")
    (row,) = workplace.deliveries("jira")
    assert (row.state, row.vendor_id) == ("delivered", "SEC-1")
    assert len(workplace.sandbox.accepted("jira")) == 1


def test_a_ticket_that_was_never_made_is_made_after_three_look_ups(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "lost_before", times=1)
    workplace.sync("jira", "scheduled")
    seen = []
    for minutes in (1.1, 4.1, 10.1):
        workplace.sync("jira")  # a person's early look-up does not count
        workplace.pass_time(minutes=minutes)
        workplace.sync("jira", "scheduled")
        seen.append(workplace.states("jira")[0])
    assert seen == ["in_doubt", "in_doubt", "delivered"]
    assert len(workplace.sandbox.accepted("jira")) == 1


def test_a_new_connection_to_the_same_tracker_finds_the_old_ticket(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(2)
    workplace.sync("jira")
    connections.delete(workplace.who, workplace.ids["jira"])
    workplace.connect("jira")
    assert workplace.sync("jira").count == 2
    assert len(workplace.sandbox.accepted("jira")) == 2
    assert [row.vendor_id for row in workplace.deliveries("jira")] == ["SEC-1", "SEC-2"]


def test_one_run_at_a_time(workplace: Workplace) -> None:
    with holding(http(200, b"ok")) as (server, let_go):
        workplace.connect_at(server.url, "slack")
        workplace.alerts(1)
        thread = threading.Thread(target=workplace.sync, args=("slack",))
        thread.start()
        until(lambda: workplace.states("slack") == ["sending"], "the call did not begin")
        with pytest.raises(Conflict, match="already running"):
            workplace.sync("slack")
        with db.session() as session:  # the worker is taken for dead, its call goes on
            session.execute(update(Attempt).values(lease_until=db.now(session) - timedelta(seconds=1)))
        housekeeping.housekeep()
        assert workplace.states("slack") == ["in_doubt"]
        let_go.set()
        thread.join(30)
    assert workplace.states("slack") == ["in_doubt"]  # the fence: the late worker closed nothing


def test_a_run_that_found_nothing_is_neither_in_the_log_nor_in_the_figures(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.sync("splunk", "scheduled")
    workplace.scans(1)
    workplace.sync("splunk")
    with db.reading() as session:
        assert [log.status for log in session.execute(select(RunLog)).scalars()] == ["success"]
        figures = session.execute(select(HourlyFigures)).scalars().all()
    assert [row.runs_ok for row in figures] == [1]
    assert sum(row.delivered for row in figures) == 1
    assert sum(sum(row.call_ms) for row in figures) == 1
    assert [run[1:] for run in workplace.row("splunk").recent] == [["idle", 0], ["success", 1]]


ANSWERS = {
    "splunk": json_answer(200, '{"text":"Success","code":0}'),
    "jira": json_answer(201, '{"id":"1","key":"SEC-1","self":"x"}'),
    "slack": http(200, b"ok", "Content-Type: text/plain"),
}


@pytest.mark.parametrize("slug", ANSWERS)
def test_the_preview_is_what_is_sent(workplace: Workplace, slug: str) -> None:
    fill = {"splunk": workplace.scans, "jira": workplace.cases, "slack": workplace.alerts}[slug]
    with serving(ANSWERS[slug]) as server:
        values = {
            name: value.replace(workplace.sandbox.url, server.url)
            for name, value in workplace.sandbox.credentials(slug).items()
        }
        workplace.ids[slug] = connections.create(workplace.who, slug, name="Mine", values=values, options={})
        fill(2, title='Hostile <!channel> & "quotes" \u202e', username="<script>")
        previewed = [each.body for each in connections.preview(workplace.who, workplace.ids[slug], 5)]
        assert previewed
        assert workplace.states(slug) == []
        assert workplace.sync(slug).count == 2
        sent = [request.partition(b"\r\n\r\n")[2].decode() for request in server.requests]
    assert sent == previewed


def test_a_narrower_filter_skips_and_a_wider_one_takes_back(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(2, high_risk_count=6)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sync("splunk")
    ref = workplace.ids["splunk"]
    connections.edit(workplace.who, ref, options={"high_risk_threshold": 10})
    assert workplace.states("splunk") == ["skipped", "skipped"]
    connections.edit(workplace.who, ref, options={"high_risk_threshold": 5})
    assert workplace.sync("splunk").count == 2


def test_secrets_are_sealed_and_never_shown(workplace: Workplace) -> None:
    ref = workplace.connect("splunk")
    token = workplace.sandbox.credentials("splunk")["token"]
    view = connections.find(workplace.who, ref)
    assert token not in repr(view)
    assert token not in repr(connections.preview(workplace.who, ref))
    assert token not in repr(workplace.row("splunk"))
    workplace.scans(1)
    workplace.sync("splunk")
    with db.reading() as session:
        assert token not in repr(session.execute(select(Attempt)).scalars().all())


def test_of_two_peoples_copies_of_a_record_each_gets_theirs_and_who_gets_all_gets_one(
    workplace: Workplace, people
) -> None:
    """A uuid is one record's, whoever owns it: FootprintIQ gave it to somebody else, say."""
    (scan,) = workplace.scans(1)
    intake.store(people.b, Kind.SCAN, [{"id": scan, "high_risk_count": 9, "status": "completed"}])
    for who, options in ((people.admin, {"scope": "all"}), (people.a, {}), (people.b, {})):
        theirs = replace(workplace, who=who, ids={})
        theirs.connect("splunk", **options)
        assert theirs.sync("splunk").count == 1


def test_an_unreadable_secret_pauses_its_connection_alone(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.connect("slack")
    workplace.scans(1)
    workplace.alerts(1)
    with db.session() as session:  # the other row's ciphertext: bound to its row, it does not open here
        splunk = session.get_one(Connection, workplace.ids["splunk"])
        splunk.credentials_encrypted = workplace.row("slack").credentials_encrypted
    result = workplace.sync("splunk")
    assert not result.success
    assert "cannot be read" in result.message
    assert workplace.row("splunk").problem is not None
    assert workplace.states("splunk") == []
    assert workplace.sync("slack").count == 1
    token = workplace.sandbox.credentials("splunk")["token"]
    connections.edit(workplace.who, workplace.ids["splunk"], values={"token": token})  # entered again
    assert workplace.sync("splunk").count == 1


def test_a_database_in_trouble_is_not_the_connections_fault(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("splunk")
    workplace.scans(1)
    real = db._begin

    def broken(write: bool):
        if write and workplace.row("splunk").run_id:
            raise Unusable("The database is busy.")
        return real(write)

    monkeypatch.setattr(db, "_begin", broken)
    with pytest.raises(Unusable):
        workplace.sync("splunk")
    monkeypatch.undo()
    assert workplace.row("splunk").problem is None
    workplace.pass_time(minutes=2)
    assert workplace.sync("splunk").count == 1


def test_messages_go_in_bursts_at_the_vendors_rate(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=30, storm="off")
    workplace.alerts(30)
    began = monotonic()
    first = workplace.sync("slack")
    took_s = monotonic() - began
    assert 10 <= first.count <= 11 + took_s  # ten seconds' worth, and one for each second of the test
    row = workplace.row("slack")
    assert row.wait_reason == "rate"
    assert row.next_wake_at == row.next_call_at
    assert "(rate)" in first.message
    workplace.pass_time(seconds=11)
    assert workplace.sync("slack", "scheduled").count >= 10


def test_an_idle_sync_says_whose_records_it_leaves_out(workplace: Workplace, people) -> None:
    workplace.connect("splunk")
    intake.store(people.b, Kind.SCAN, [{"id": "b-1", "high_risk_count": 9, "status": "completed"}])
    told = workplace.sync("splunk").message
    assert told.startswith("Nothing new for Splunk. Of 1 scan, 1 is left out: 1 belongs to somebody else")


def test_a_persons_sync_does_not_move_the_schedule(workplace: Workplace) -> None:
    workplace.connect("splunk", every="5m")
    workplace.sync("splunk", "scheduled")
    due = workplace.row("splunk").next_sync_at
    for _ in range(3):
        workplace.sync("splunk")
    assert workplace.row("splunk").next_sync_at == due


def test_the_story_says_why_a_record_waits(workplace: Workplace) -> None:
    workplace.connect("splunk")
    (scan,) = workplace.scans(1)
    workplace.sandbox.fault("splunk", "403", times=1)
    workplace.sync("splunk")
    (story,) = history.explain(workplace.who, "scan", scan).connections
    assert story.state == "pending"
    assert story.sentence.startswith("Waits. Splunk answered 403")
    connections.disable(workplace.who, workplace.ids["splunk"])
    (story,) = history.explain(workplace.who, "scan", scan).connections
    assert story.sentence.endswith("Enable it to send what waits.")


def test_every_policy_is_kept_in_the_rows_and_its_attempts_are_listed(workplace: Workplace) -> None:
    workplace.connect("slack", retry={"attempts": 4, "first_wait": "10m", "factor": 3, "cap": "1h"})
    (alert,) = workplace.alerts(1)
    workplace.sandbox.fault("slack", "503")
    workplace.sync("slack", "scheduled")
    (row,) = workplace.deliveries("slack")
    listed = history.one(workplace.who, row.id or 0).next_attempts
    gaps = [(after - before).total_seconds() for before, after in pairwise(listed)]
    assert (listed[0], gaps) == (row.next_attempt_at, [1800, 3600])
    (story,) = history.explain(workplace.who, "alert", alert).connections
    assert story.delivery is not None
    assert story.delivery.next_attempts == listed
    for made in (2, 3, 4):
        workplace.pass_time(hours=2)
        workplace.sync("slack", "scheduled")
        (row,) = workplace.deliveries("slack")
        assert row.attempt_count == made
    assert (row.state, row.next_attempt_at) == ("dead", None)
    assert str(row.reason).startswith("Given up after 4 attempts.")
    assert history.one(workplace.who, row.id or 0).next_attempts == []


def test_a_refused_token_is_probed_four_times_an_hour_and_costs_nothing(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(2)
    workplace.sandbox.fault("splunk", "403")
    waits = []
    for _ in range(4):
        workplace.sync("splunk", "scheduled")
        row = workplace.row("splunk")
        assert row.next_call_at is not None
        with db.reading() as session:
            waits.append(round((row.next_call_at - db.now(session)).total_seconds() / 60))
        workplace.pass_time(minutes=15.1)
    assert waits == [15] * 4
    assert [(d.state, d.attempt_count) for d in workplace.deliveries("splunk")] == [("pending", 0)] * 2


def test_a_record_that_kills_each_worker_comes_to_an_end(workplace: Workplace) -> None:
    id = workplace.connect("slack")
    workplace.alerts(1)
    for _ in range(15):
        begun = sync._start(id, "manual", None, lambda: False, 600)
        sync.export(begun)
        assert send.claim(begun)
        workplace.pass_time(hours=20)
        housekeeping.housekeep()
    (row,) = workplace.deliveries("slack")
    assert (row.state, row.attempt_count, row.next_attempt_at) == ("dead", 15, None)
    assert row.in_doubt_since is not None
    assert row.reason == (
        "Given up after 15 attempts: the worker stopped each time or no answer came. It may have arrived."
    )


def test_a_record_that_kills_each_worker_takes_no_neighbour_with_it(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.connect("splunk", batch_limit=100)
    poison, *others = [f"fiq-scan-{id}" for id in workplace.scans(8)]
    real = send.send

    def die_of_poison(call: send.Send) -> None:
        if any(row.key.startswith(poison) for row in call.claim.rows):
            raise KeyboardInterrupt
        real(call)

    monkeypatch.setattr(send, "send", die_of_poison)
    for _ in range(20):
        with contextlib.suppress(KeyboardInterrupt):
            workplace.sync("splunk")
        workplace.pass_time(hours=20)
        housekeeping.housekeep()
    ended = {
        row.key.rpartition("-")[0]: (row.state, row.attempt_count) for row in workplace.deliveries("splunk")
    }
    assert ended.pop(poison) == ("dead", 15)
    assert set(ended) == set(others)
    assert {state for state, _ in ended.values()} == {"delivered"}
    assert max(attempts for _, attempts in ended.values()) == 6
