"""What goes first: the most severe, then by age. A backlog of any length delays a critical one by one claim."""

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from alembic import command
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert, text, update

from core import connections, integrations, records
from core.delivery import export, history, outbox, pace, runs, selection, send, sync
from core.delivery.profile import Profile
from core.delivery.runs import Run
from core.integrations import options
from core.integrations.options import ORDER, Options
from core.platform.errors import Invalid
from core.records import intake
from core.storage import db
from core.storage.models import Category, Connection, Delivery, Kind, State
from core.storage.models.words import SEVERITIES
from tests.delivery.test_plans import watched
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

WORST_FIRST = tuple(reversed(SEVERITIES))


def sent(workplace: Workplace, slug: str) -> list[str]:
    return [accepted.severity for accepted in workplace.sandbox.accepted(slug)]


def next_sync(workplace: Workplace, slug: str) -> sync.Result:
    with db.session() as session:
        now = db.now(session)
        session.execute(update(Connection).values(next_wake_at=now, next_sync_at=now))
    return workplace.sync(slug, "scheduled")


# --- the option ---------------------------------------------------------------------------------------


def test_people_and_trackers_get_the_most_severe_first_and_a_siem_the_oldest() -> None:
    assert {category: options.parse({}, category).order for category in Category} == ORDER
    assert ORDER == {
        Category.SIEM: "oldest",
        Category.TICKETING: "severity",
        Category.COMMUNICATION: "severity",
    }
    assert options.parse({"order": "oldest"}, Category.COMMUNICATION).by_severity is False
    assert options.parse({"order": "severity"}, Category.SIEM).by_severity is True
    with pytest.raises(Invalid, match="not one of severity, oldest"):
        options.parse({"order": "newest"}, Category.SIEM)


# --- the queue ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slug", "order"), [("slack", "severity"), ("slack", "oldest"), ("jira", "severity")]
)
def test_due_rows_go_by_severity_and_then_by_age(workplace: Workplace, slug: str, order: str) -> None:
    workplace.connect(slug, batch_limit=100, order=order, storm=None if slug == "jira" else "off")
    word, store = ("priority", workplace.cases) if slug == "jira" else ("severity", workplace.alerts)
    given = ["low", "high", "medium", "critical", "high", "low"]
    for number, severity in enumerate(given):
        store(1, **{word: severity, "title": f"number {number}"})
    next_sync(workplace, slug)
    arrived = [int(accepted.title.split("number ")[1][0]) for accepted in workplace.sandbox.accepted(slug)]
    by_severity = sorted(range(6), key=lambda number: WORST_FIRST.index(given[number]))
    assert arrived == (by_severity if order == "severity" else list(range(6)))


def backlog(workplace: Workplace, slug: str, number: int, severity: str = "low") -> None:
    """Rows that are due, as they wait after a long outage: with a body, of records that are gone."""
    with db.session() as session:
        now = db.now(session)
        row = {
            "user_id": workplace.who.user_id,
            "webhook_id": workplace.ids[slug],
            "record_kind": "alert",
            "event_type": "footprintiq.alert.x",
            "severity": severity,
            "payload": "{}",
            "revision": 1,
            "state": "pending",
            "wanted_at": now,
            "created_at": now,
            "next_attempt_at": now,
            "attempt_count": 0,
            "look_ups": 0,
        }
        session.execute(
            insert(Delivery),
            [
                row
                | {"record_id": -n, "key": f"fiq-alert-{severity}-{n}"}
                | {"next_attempt_at": now - timedelta(milliseconds=n)}
                for n in range(number)
            ],
        )


def test_a_fresh_critical_one_passes_a_long_queue_with_the_next_claim(workplace: Workplace) -> None:
    id = workplace.connect("slack", storm="off")
    backlog(workplace, "slack", 3000)
    workplace.alerts(1, severity="critical")
    sync.export(begun := started(workplace, "slack"))
    with db.session() as session:
        if db.engine().dialect.name == "postgresql":
            session.execute(text("ANALYZE webhook_deliveries"))
    with watched() as seen:
        claim = send.claim(begun)
    assert claim is not None
    with db.reading() as session:
        rows = [session.get_one(Delivery, row.id) for row in claim.rows]
    assert (rows[0].severity, rows[0].webhook_id) == ("critical", id)
    assert {row.severity for row in rows[1:]} == {"low"}
    plans = {one.plan for one in seen if "LIMIT" in one.statement and "next_attempt_at <=" in one.statement}
    assert plans
    assert all(re.search("ix_webhook_deliveries_(severity|due)", plan) for plan in plans), plans
    assert max(one.read for one in seen) <= seen[0].most


def started(workplace: Workplace, slug: str) -> Run:
    return sync._start(workplace.ids[slug], "scheduled", None, lambda: False, 600)


def test_what_an_older_version_wrote_is_sent_too(workplace: Workplace) -> None:
    workplace.connect("slack", storm="off")
    backlog(workplace, "slack", 2)
    with db.session() as session:
        session.execute(update(Delivery).values(severity=None))
        claim = outbox.claim(
            session,
            connection_id=workplace.ids["slack"],
            run_id="r",
            worker="w",
            limit=5,
            max_bytes=None,
            lease_s=60,
            now=db.now(session),
            by_severity=True,
        )
    assert claim is not None
    assert len(claim.rows) == 2


def test_what_waits_when_the_column_comes_has_its_severity(workplace: Workplace) -> None:
    for slug in ("splunk", "jira", "slack"):
        workplace.connect(slug, batch_limit=100)
        workplace.sandbox.fault(slug, "503")
    for risks in (5, 15, 40):
        workplace.scans(1, high_risk_count=risks)
    workplace.scans(1, severity="Low")
    for word in ("critical", "unheard of"):
        workplace.cases(1, priority=word)
        workplace.alerts(1, severity=word)
    for slug in ("splunk", "jira", "slack"):
        workplace.sync(slug)
    before = {
        slug: [row.severity for row in workplace.deliveries(slug)] for slug in ("splunk", "jira", "slack")
    }
    assert before == {
        "splunk": ["high", "critical", "critical", "low"],
        "jira": ["critical", "medium"],
        "slack": ["critical", "medium"],
    }
    with db.engine(write=True).connect() as connection:
        config = db._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, "0011")
    db.migrate()
    assert {slug: [row.severity for row in workplace.deliveries(slug)] for slug in before} == before
    assert workplace.row("slack").ahead == {}


def test_a_record_that_becomes_critical_while_it_waits_moves_up(workplace: Workplace) -> None:
    workplace.connect("slack", batch_limit=3, storm="off")
    first = workplace.alerts(4, severity="low", title="old")
    backlog(workplace, "slack", 600)
    next_run = started(workplace, "slack")
    sync.export(next_run)
    changed = {"id": first[0], "user_id": workplace.who.user_id, "severity": "critical", "title": "worse"}
    assert intake.store(workplace.who, Kind.ALERT, [changed]).changed == 1
    workplace.pass_time(minutes=2)
    begun = started(workplace, "slack")
    sync.export(begun)
    claim = send.claim(begun)
    assert claim is not None
    assert '"severity":"critical"' in claim.rows[0].payload
    assert "worse" in claim.rows[0].payload


def test_a_digest_is_of_the_most_severe(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    from core.delivery import digests

    monkeypatch.setattr(digests, "MOST_ROWS", 5)
    workplace.connect("slack", storm="2/5m", batch_limit=100)
    workplace.alerts(8, severity="low")
    workplace.alerts(1, severity="critical")
    next_sync(workplace, "slack")
    digest = workplace.sandbox.accepted("slack")[0]
    assert "1 critical, 4 low" in digest.title


def test_what_is_stored_while_a_run_sends_is_looked_at_before_the_next_claim(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "MOST", 1)
    monkeypatch.setattr(pace, "FIRST", 1)
    workplace.connect("slack", batch_limit=100, storm="off", order="severity")
    workplace.alerts(5, severity="low")
    claims = itertools.count()
    real: Callable[[Run], Any] = send.claim

    def claim(begun: Run) -> Any:
        claimed = real(begun)
        if claimed is not None and next(claims) == 1:
            workplace.alerts(1, severity="critical")
        return claimed

    monkeypatch.setattr(send, "claim", claim)
    monkeypatch.setattr(runs, "LOOK_S", 0.0)
    next_sync(workplace, "slack")
    assert sent(workplace, "slack") == ["low", "low", "critical", "low", "low", "low"]


def test_a_run_that_outlasts_its_interval_has_the_room_of_the_next_sync(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five new ones a sync, and one sync that lasts for ever: the sixth would have waited for its end."""
    workplace.connect("slack", batch_limit=5, every="10s", storm="off")
    workplace.alerts(5, severity="low")
    begun = started(workplace, "slack")
    sync.export(begun)
    assert not begun._has_room()
    workplace.alerts(1, severity="critical")
    monkeypatch.setattr(runs, "LOOK_S", 0.0)
    assert send.claim(begun) is not None
    begun.begun -= 10
    assert send.claim(begun) is None
    assert begun.has_more()
    sync.export(begun)
    claim = send.claim(begun)
    assert claim is not None
    assert '"severity":"critical"' in claim.rows[0].payload


# --- what is new ----------------------------------------------------------------------------------------


def test_a_fresh_critical_one_passes_a_thousand_old_records(workplace: Workplace) -> None:
    """Five a sync, oldest first: it waited for two hundred syncs."""
    workplace.connect("slack", storm="off")
    workplace.alerts(1000, severity="low")
    next_sync(workplace, "slack")
    workplace.alerts(1, severity="critical")
    workplace.alerts(1, severity="high")
    next_sync(workplace, "slack")
    assert sent(workplace, "slack") == ["low"] * 5 + ["critical", "high"] + ["low"] * 3
    assert workplace.row("slack").ahead != {}


@pytest.mark.parametrize(
    ("order", "said"),
    [("severity", "most severe first, then the oldest change"), ("oldest", "oldest change first")],
)
def test_the_story_of_a_record_names_the_order_it_waits_in(
    workplace: Workplace, order: str, said: str
) -> None:
    workplace.connect("slack", storm="off", order=order)
    (alert, *_) = workplace.alerts(2, severity="low")
    (story,) = history.explain(workplace.who, "alert", alert).connections
    assert story.sentence == f"Waits for its turn: 5 new records go per sync, {said}."


def test_when_all_is_sent_nothing_is_ahead_and_nothing_was_sent_twice(workplace: Workplace) -> None:
    workplace.connect("slack", storm="off", batch_limit=3)
    for severity in ("low", "critical", "medium", "low", "high", "low", "critical"):
        workplace.alerts(1, severity=severity)
    for _ in range(4):
        next_sync(workplace, "slack")
    assert sent(workplace, "slack") == ["critical", "critical", "high", "medium", "low", "low", "low"]
    row = workplace.row("slack")
    with db.reading() as session:
        assert (row.ahead, row.export_cursor) == ({}, records.head(session))


@pytest.mark.parametrize("slug", ["splunk", "jira", "slack"])
def test_a_severity_alone_finds_all_of_that_severity_and_no_other(workplace: Workplace, slug: str) -> None:
    """By the database's conditions and by the hub's own, for words in any spelling and scans without one."""
    workplace.connect(slug, high_risk_threshold=0, batch_limit=1, order="severity")
    words = [None, "", "low", "Medium", "HIGH", "critical", "urgent"]
    for word in words:
        if slug == "splunk":
            for risks in (None, 0, 1, 5, 15, 40):
                workplace.scans(1, severity=word, high_risk_count=risks)
        elif slug == "jira":
            workplace.cases(1, priority=word)
        else:
            workplace.alerts(1, severity=word)
    with db.reading() as session:
        row = session.get_one(Connection, workplace.ids[slug])
        manifest = integrations.get(slug)
        profile = Profile.of(row, manifest, options.parse(row.options, manifest.category))
        found = {severity: severities(session, profile, severity) for severity in SEVERITIES}
        everything = selection.count_new(session, profile, 1000)
    assert all(set(of) == {severity} for severity, of in found.items())
    assert sum(map(len, found.values())) == everything == len(words) * (6 if slug == "splunk" else 1)


def severities(session: Any, profile: Profile, severity: str) -> list[str]:
    look = selection._Look(session, profile, 1000, records.head(session), float("inf"))
    assert look.walk(0, severity) == look.head
    return [profile.mapped(record, "k").severity for record in look.found.rows]


def test_a_filter_that_is_edited_meanwhile_looks_at_everything_again(workplace: Workplace) -> None:
    id = workplace.connect("slack", storm="off", batch_limit=1, min_severity="high")
    for severity in ("medium", "high", "medium", "critical", "high"):
        workplace.alerts(1, severity=severity)
    next_sync(workplace, "slack")
    assert workplace.row("slack").ahead != {}
    connections.edit(workplace.who, id, options={"min_severity": "low"})
    assert workplace.row("slack").ahead == {}
    for _ in range(6):
        next_sync(workplace, "slack")
    assert sent(workplace, "slack") == ["critical", "high", "high", "medium", "medium"]


def test_a_cursor_too_far_ahead_loses_nothing(workplace: Workplace) -> None:
    workplace.connect("slack", storm="off", batch_limit=1)
    for severity in ("critical", "low", "high", "critical", "low"):
        workplace.alerts(1, severity=severity)
    with db.session() as session:
        far = records.head(session) + 100
        session.execute(update(Connection).values(ahead=dict.fromkeys(SEVERITIES, far)))
    for _ in range(5):
        next_sync(workplace, "slack")
    assert sorted(sent(workplace, "slack")) == ["critical", "critical", "high", "low", "low"]


def test_what_is_found_ahead_takes_its_room_once(workplace: Workplace) -> None:
    id = workplace.connect("slack", storm="off", batch_limit=3)
    for severity in ("critical", "high", "low", "low"):
        workplace.alerts(1, severity=severity)
    with db.reading() as session:
        row = session.get_one(Connection, id)
        manifest = integrations.get("slack")
        profile = Profile.of(row, manifest, options.parse(row.options, manifest.category))
        found = selection.select_new(session, profile, 3)
    assert [new.severity for new in found.rows] == ["critical", "high", "low"]


def test_a_look_that_is_cut_short_by_time_goes_on_where_it_was(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "PAGE", 4)
    monkeypatch.setattr(selection, "RANGE", 4)
    monkeypatch.setattr(selection, "STEP_S", 0.0)  # one step of each look
    workplace.connect("slack", storm="off", batch_limit=2)
    workplace.alerts(20, severity="low")
    workplace.alerts(2, severity="critical")
    next_sync(workplace, "slack")
    assert sent(workplace, "slack") == ["critical", "critical"]


# --- any order of events ----------------------------------------------------------------------------------


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_no_less_severe_record_is_sent_before_a_worse_one(workplace: Workplace) -> None:
    """Records come and become worse between syncs of a few; what goes out is always the worst there is, once."""
    word = st.sampled_from(SEVERITIES)
    step = st.one_of(
        st.lists(word, min_size=1, max_size=6),
        st.integers(0, 30).flatmap(lambda at: st.tuples(st.just(at), word)),
    )

    @settings(max_examples=12)
    @given(steps=st.lists(step, min_size=2, max_size=8), limit=st.integers(1, 3))
    def played(steps: list[Any], limit: int) -> None:
        id = workplace.connect("webhook", storm="off", batch_limit=limit, start_from="now", order="severity")
        severity: dict[str, str] = {}
        done: list[str] = []
        for each in [*steps, *[()] * 40]:
            if isinstance(each, list):
                for new in each:
                    severity[workplace.alerts(1, severity=new)[0]] = new
            elif each and severity:
                which = sorted(severity)[each[0] % len(severity)]
                if which not in done:
                    severity[which] = each[1]
                    row = {"id": which, "user_id": workplace.who.user_id, "severity": each[1]}
                    intake.store(workplace.who, Kind.ALERT, [row])
            waiting = [which for which in severity if which not in done]
            worst = sorted(WORST_FIRST.index(severity[which]) for which in waiting)[:limit]
            next_sync(workplace, "webhook")
            fresh = [row.key for row in workplace.deliveries("webhook") if row.state == State.DELIVERED][
                len(done) :
            ]
            new = [which for which in waiting if any(which in key for key in fresh)]
            assert sorted(WORST_FIRST.index(severity[which]) for which in new) == worst
            done += new
        assert sorted(done) == sorted(severity)
        connections.delete(workplace.who, id)

    played()


def test_a_run_without_a_wish_for_order_never_turns_back(workplace: Workplace) -> None:
    workplace.connect("splunk", batch_limit=1)
    begun = started(workplace, "splunk")
    begun.looked_at -= 60
    row = workplace.row("splunk")
    row.next_sync_at = row.created_at - timedelta(days=1)
    assert not begun.has_news(row, 10**9, row.created_at)
    begun.options = replace(Options(), order="severity")
    begun.exports = False
    assert begun.has_news(row, 0, row.created_at)


def test_export_is_where_news_is_counted(workplace: Workplace) -> None:
    workplace.connect("slack")
    workplace.alerts(1)
    begun = started(workplace, "slack")
    assert begun.seen is None
    export.export(begun)
    with db.reading() as session:
        assert begun.seen == records.head(session)
