"""Where each connection stands, and the figures of the health page, on both databases."""

import json
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

import pytest
from cachetools import TTLCache
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, update
from sqlmodel import Session, select

from core import health
from core.access import LOCAL
from core.delivery import histogram
from core.health import Facts, Status, figures
from core.health.figures import Bucket, Span
from core.health.status import standing
from core.platform.errors import Invalid
from core.storage import db
from core.storage.models import Connection, HourlyFigures
from tests.conftest import People
from tests.support import scenes
from tests.support.scenes import beat, connect, delays, half_past, hour_of, run

__all__ = ["half_past"]

pytestmark = pytest.mark.usefixtures("half_past")
NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)


def stand(facts: Facts = Facts(), **fields: object) -> tuple[Status, str]:
    """A connection that synced a minute ago, every 5 minutes, unless `fields` say otherwise."""
    plain: dict[str, object] = {
        "is_active": True,
        "options": {"every": "5m", "batch_limit": 10},
        "recent": [],
        "failures": 0,
        "last_sync": NOW - timedelta(minutes=1),
        "last_success_at": NOW - timedelta(minutes=1),
    }
    found = standing(Connection(**(plain | fields)), facts, NOW)
    return found.word, found.sentence


# --- one connection -------------------------------------------------------------------------------


def test_a_connection_that_delivers_everything_is_healthy() -> None:
    assert stand() == (Status.HEALTHY, "Everything is delivered. The last sync was 1 min ago.")


def test_a_problem_is_said_in_its_own_words_before_anything_else() -> None:
    problem = "Splunk answered 403. Enable the token, then press Test."
    assert stand(problem=problem, is_active=False, failures=3) == (Status.NEEDS_YOU, problem)


def test_wrong_settings_need_a_person_even_without_a_sentence() -> None:
    assert stand(wait_reason="misconfigured")[0] == Status.NEEDS_YOU


def test_what_somebody_switched_off_is_paused_however_old_its_last_sync() -> None:
    assert stand(is_active=False, last_sync=NOW - timedelta(days=9))[0] == Status.PAUSED


def test_failed_calls_are_counted_and_the_next_try_is_named() -> None:
    word, sentence = stand(
        failures=4, last_success_at=NOW - timedelta(hours=3), next_call_at=NOW + timedelta(minutes=12)
    )
    assert word == Status.FAILING
    assert sentence == "4 calls in a row failed; the last success was 3 h ago. The next try is in 12 min."


def test_a_failed_last_run_is_failing_and_a_failed_earlier_one_is_not() -> None:
    assert stand(recent=[[1, "success", 3], [2, "failed", 0]])[0] == Status.FAILING
    assert stand(recent=[[1, "failed", 0], [2, "success", 3]])[0] == Status.HEALTHY


@pytest.mark.parametrize(
    ("every", "minutes_ago", "word"),
    [
        ("5m", 9, Status.HEALTHY),
        ("5m", 11, Status.LATE),
        ("1h", 90, Status.HEALTHY),
        ("1h", 121, Status.LATE),
        ("1d", 60 * 47, Status.HEALTHY),
        ("1d", 60 * 49, Status.LATE),
        ("10s", 1, Status.HEALTHY),
        ("10s", 2, Status.LATE),
    ],
)
def test_late_is_measured_by_the_connections_own_interval(every: str, minutes_ago: int, word: Status) -> None:
    since = NOW - timedelta(minutes=minutes_ago)
    assert stand(options={"every": every}, last_sync=since, last_success_at=since)[0] == word


def test_a_new_connection_says_when_it_runs_first() -> None:
    word, sentence = stand(last_sync=None, last_success_at=None, next_sync_at=NOW + timedelta(seconds=40))
    assert (word, sentence) == (Status.NOT_RUN, "It has not run since it was made. The next try is in 40 s.")


def test_more_waiting_than_one_sync_takes_is_catching_up() -> None:
    assert stand(Facts(waiting=10))[0] == Status.HEALTHY
    assert stand(Facts(waiting=1400)) == (
        Status.CATCHING_UP,
        "1,400 records wait; at 10 every 5 min that takes 11 h.",
    )


def test_what_is_tried_again_is_catching_up() -> None:
    assert stand(Facts(waiting=3, retrying=2))[0] == Status.CATCHING_UP


def test_a_vendor_that_asks_to_slow_down_is_not_failing() -> None:
    throttled = {"wait_reason": "throttled", "failures": 2}
    assert stand(**throttled, next_call_at=NOW + timedelta(minutes=3)) == (
        Status.CATCHING_UP,
        "The vendor asked to slow down; it goes on in 3 min.",
    )
    assert stand(**throttled, next_call_at=NOW - timedelta(minutes=3))[0] == Status.FAILING


# --- histograms and hours -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "share", "value"),
    [
        ([], 0.95, None),
        ([0, 0, 0], 0.95, None),
        ([10, 0, 0], 0.5, 0.5),
        ([0, 10, 0], 0.5, 1.5),
        ([5, 5], 0.95, 1.9),
        ([0, 0, 0, 7], 0.95, 5.0),  # the open bucket: at least its lower bound
    ],
)
def test_percentiles_are_read_from_histograms(counts: list[int], share: float, value: float | None) -> None:
    found = histogram.percentile(counts, (1, 2, 5), share)
    assert found == (None if value is None else pytest.approx(value))


@given(st.lists(st.floats(0.01, 80_000), min_size=20, max_size=300), st.sampled_from([0.5, 0.95]))
def test_a_percentile_lies_in_the_bucket_of_the_exact_one(values: list[float], share: float) -> None:
    exact = sorted(values)[max(0, -(-int(len(values) * share * 100) // 100) - 1)]
    bounds = histogram.BOUNDS_S
    found = histogram.percentile(delays(*values), bounds, share)
    above = next(bound for bound in bounds if bound >= exact)
    below = max([bound for bound in bounds if bound < exact], default=0)
    assert found is not None
    assert below * 0.99 <= found <= above * 1.01 or min(abs(found - below), abs(found - above)) < 1


def test_histograms_of_different_lengths_are_added() -> None:
    assert histogram.added([[1, 2], [], [0, 1, 4]]) == (1, 3, 4)


@given(st.lists(st.lists(st.integers(0, 10**6), max_size=17), max_size=6))
def test_histograms_are_added_from_their_texts(histograms: list[list[int]]) -> None:
    texts = ",".join(json.dumps(histogram) for histogram in histograms)
    assert histogram.sum_of_texts(texts) == histogram.added(histograms)


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=17, max_size=17), min_size=1, max_size=6))
def test_histograms_of_todays_length_are_added_the_quick_way(histograms: list[list[int]]) -> None:
    texts = ",".join(json.dumps(histogram) for histogram in histograms)
    assert histogram.sum_of_texts(texts) == histogram.added(histograms)


# --- spans ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "buckets", "start"), [(24, 24, 21), (168, 28, 15), (720, 30, 0)])
def test_buckets_are_whole_and_the_last_one_holds_now(hours: int, buckets: int, start: int) -> None:
    span = Span.ending(NOW, hours)
    assert span.buckets == buckets
    assert span.bucket_of(span.last_hour) == buckets - 1
    assert span.time_of(0) == span.start
    length = span.bucket.total_seconds()
    assert span.start.timestamp() % length == 0
    before_start, before_end = span.before
    back = timedelta(hours=hours)
    assert span.start - before_start == span.last_hour + timedelta(hours=1) - before_end == back


# --- the overview ---------------------------------------------------------------------------------


def add(session: Session, connection: Connection, back: int = 0, **counts: object) -> None:
    scenes.figures(session, connection, back, **counts)


def test_a_hub_without_connections_has_an_overview_too(database: str) -> None:
    view = health.overview(LOCAL, 24)
    assert view.connections == 0
    assert (view.success.value, view.delay_p95_s.value, view.delivered.value) == (None, None, 0)
    assert len(view.delivered.series) == 24
    assert (view.timeline, view.strips, view.recent_runs, view.scheduler.age_s) == ((), (), (), None)


def test_figures_are_summed_and_compared_with_the_same_time_before(people: People) -> None:
    with db.session() as session:
        first = connect(session, people.a.user_id, "first")
        second = connect(session, people.a.user_id, "second", "jira")
        add(session, first, 0, runs_ok=8, runs_failed=2, delivered=30, delay_s=delays(0.5, 0.5))
        add(session, second, 0, runs_ok=9, runs_partial=1, delivered=10, dead=3, delay_s=delays(50))
        add(session, first, 5, runs_ok=10, delivered=60, delay_s=[])
        add(session, first, 24, runs_ok=10, delivered=50, delay_s=delays(3))
        add(session, first, 48, runs_ok=10, delivered=7_000)
    view = health.overview(people.a, 24)
    assert view.success.value == pytest.approx(27 / 30)
    assert view.success.before == 1
    assert (view.delivered.value, view.delivered.before) == (100, 50)
    assert view.delivered.series[-1] == 40
    assert view.delivered.series[-6] == 60
    assert view.delay_p95_s.value is not None
    assert 30 < view.delay_p95_s.value <= 60
    assert view.delay_p95_s.before is not None
    assert 2 < view.delay_p95_s.before <= 5


def test_a_quiet_hour_keeps_the_value_before_it(people: People) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        add(session, only, 10, runs_ok=1, runs_failed=1)
    series = health.overview(people.a, 24).success.series
    assert series == (*[None] * 13, *[0.5] * 11)


def test_before_the_first_run_there_is_nothing_and_nothing_to_compare_with(people: People) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        add(session, only, 2, runs_ok=3, delivered=7)
    view = health.overview(people.a, 24)
    assert view.delivered.series == (*[None] * 21, 7, 0, 0)
    assert (view.success.before, view.delivered.before) == (None, None)
    with db.session() as session:
        add(session, only, 30, runs_ok=1)
    figures.forget()
    view = health.overview(people.a, 24)
    assert view.delivered.series == (*[0] * 21, 7, 0, 0)
    assert (view.success.before, view.delivered.before) == (1, 0)


def test_runs_that_could_not_call_count_against_success_and_are_seen(people: People) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        add(session, only, 0, runs_ok=1, runs_failed=4, runs_blocked=5)
        run(session, only, timedelta(minutes=1), "blocked")
    view = health.overview(people.a, 24)
    assert view.success.value == 0.1
    (trouble,) = view.timeline
    assert (trouble.failed_runs, trouble.blocked_runs, trouble.bad_runs) == (4, 5, 9)
    assert view.heat[0].share == 0.9
    assert [each.status for each in view.recent_failures] == ["blocked"]


def test_the_timeline_holds_failures_only_in_their_buckets(people: People) -> None:
    with db.session() as session:
        good = connect(session, people.a.user_id, "good")
        bad = connect(session, people.a.user_id, "bad")
        add(session, good, 0, runs_ok=50, delivered=500)
        add(session, bad, 0, runs_failed=2, dead=1, retried=4)
        add(session, bad, 3, runs_failed=1)
        hour = hour_of(session)
    day, month = health.overview(people.a, 24), health.overview(people.a, 720)
    assert [(t.at, t.name, t.failed_runs, t.dead, t.retried) for t in day.timeline] == [
        (hour - timedelta(hours=3), "bad", 1, 0, 0),
        (hour, "bad", 2, 1, 4),
    ]
    assert sum(t.failed_runs for t in month.timeline) == 3
    assert all(t.at.hour == 0 for t in month.timeline)


def test_who_needs_somebody_comes_first_with_a_sentence(people: People) -> None:
    with db.session() as session:
        now = db.now(session)
        connect(session, people.a.user_id, "fine")
        connect(session, people.a.user_id, "broken", problem="Renew the token, then press Test.")
        connect(session, people.a.user_id, "late", last_sync=now - timedelta(hours=1))
        connect(session, people.a.user_id, "off", is_active=False)
    view = health.overview(people.a, 24)
    assert [strip.name for strip in view.strips] == ["broken", "late", "fine", "off"]
    assert [strip.name for strip in view.needs_you] == ["broken", "late"]
    assert view.attention.value == 2
    assert view.needs_you[0].standing.sentence == "Renew the token, then press Test."


def test_what_waits_in_the_outbox_is_counted_per_connection(people: People) -> None:
    with db.session() as session:
        slow = connect(session, people.a.user_id, "slow")
        connect(session, people.a.user_id, "quick")
        scenes._backlog(session, slow, 30)
    strips = {strip.name: strip for strip in health.overview(people.a, 24).strips}
    assert (strips["slow"].facts.waiting, strips["slow"].standing.word) == (30, Status.CATCHING_UP)
    assert (strips["quick"].facts.waiting, strips["quick"].standing.word) == (0, Status.HEALTHY)


def test_a_strip_has_the_last_runs_oldest_first(people: People) -> None:
    with db.session() as session:
        connect(session, people.a.user_id, "only", recent=[[1_000, "success", 4], [2_000, "failed", 0]])
    (strip,) = health.overview(people.a, 24).strips
    assert [list(run) for run in strip.recent] == [[1_000, "success", 4], [2_000, "failed", 0]]


def test_the_newest_twenty_runs_and_failures_are_listed(people: People) -> None:
    with db.session() as session:
        busy = connect(session, people.a.user_id, "busy")
        add(session, busy, 0, runs_ok=30, runs_failed=1, runs_partial=1, delivered=99)
        add(session, busy, 1, runs_ok=30, delivered=99)
        for minutes in range(30):
            run(session, busy, timedelta(minutes=minutes), records_synced=minutes)
        run(session, busy, timedelta(minutes=4, seconds=30), "failed", error_message="Splunk answered 503.")
        run(session, busy, timedelta(minutes=9, seconds=30), "partial")
    view = health.overview(people.a, 24)
    assert len(view.recent_runs) == 20
    assert view.recent_runs[0].records == 0
    assert [r.started_at for r in view.recent_runs] == sorted(
        (r.started_at for r in view.recent_runs), reverse=True
    )
    assert [(r.status, r.error) for r in view.recent_failures] == [
        ("failed", "Splunk answered 503."),
        ("partial", None),
    ]


def test_filters_narrow_everything(people: People) -> None:
    with db.session() as session:
        splunk = connect(session, people.a.user_id, "splunk")
        jira = connect(session, people.a.user_id, "jira", "jira")
        for connection, sent in ((splunk, 10), (jira, 5)):
            add(session, connection, 0, runs_ok=1, runs_failed=1, delivered=sent)
            run(session, connection, timedelta(minutes=1))
        chosen = jira.id
    by_category = health.overview(people.a, 24, category="ticketing")
    by_connection = health.overview(people.a, 24, connection=chosen)
    for view in (by_category, by_connection):
        assert view.delivered.value == 5
        assert {strip.name for strip in view.strips} == {"jira"}
        assert {t.name for t in view.timeline} == {"jira"}
        assert {r.name for r in view.recent_runs} == {"jira"}


def test_nobody_sees_anothers_connections(people: People) -> None:
    with db.session() as session:
        theirs = connect(session, people.b.user_id, "canary of b")
        connect(session, people.b.user_id, "shared by b", "jira", shared=True)
        connect(session, people.a.user_id, "of a", "slack")
        add(session, theirs, 0, runs_failed=7, dead=7, delivered=7_777)
        run(session, theirs, timedelta(minutes=1), "failed", error_message="canary")
        scenes._backlog(session, theirs, 30)
        secret_id = theirs.id
    seen = [health.overview(people.a, hours) for hours in (24, 168, 720)]
    seen.append(health.overview(people.a, 24, connection=secret_id))
    assert "canary" not in repr(seen)
    assert "7777" not in repr(seen)
    assert seen[-1].connections == 0
    assert [name for _, name, _ in health.choices(people.a)] == ["of a", "shared by b"]
    assert health.overview(people.admin, 24).connections == 3


def test_deleted_connections_are_gone_from_the_page(people: People) -> None:
    with db.session() as session:
        gone = connect(session, people.a.user_id, "gone", deleted_at=db.now(session))
        add(session, gone, 0, runs_failed=3, delivered=9)
        run(session, gone, timedelta(minutes=1))
    view = health.overview(people.admin, 24)
    assert (view.connections, view.delivered.value, view.timeline, view.recent_runs) == (0, 0, (), ())
    assert health.choices(people.admin) == []


def test_two_connections_of_one_name_are_told_apart_by_their_owners(people: People) -> None:
    with db.session() as session:
        connect(session, people.a.user_id, "SOC prod")
        connect(session, people.b.user_id, "SOC prod")
    names = {strip.name for strip in health.overview(people.admin, 24).strips}
    assert names == {f"SOC prod ({people.a.email})", f"SOC prod ({people.b.email})"}
    assert [strip.name for strip in health.overview(people.a, 24).strips] == ["SOC prod"]


def test_the_scheduler_is_as_old_as_its_last_beat(database: str) -> None:
    with db.session() as session:
        beat(session, ago_s=90)
    age = health.overview(LOCAL, 24).scheduler.age_s
    assert age is not None
    assert 90 <= age < 100


def test_only_the_ranges_of_the_page_are_answered(database: str) -> None:
    with pytest.raises(Invalid, match="choose 24, 168 or 720"):
        health.overview(LOCAL, 25)


def test_the_log_is_read_only_where_the_figures_say(people: People) -> None:
    with db.session() as session:
        scenes.connect(session, people.a.user_id, "quiet")
    asked: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(db.engine(), "before_cursor_execute", note)
    try:
        health.overview(people.a, 720)
    finally:
        event.remove(db.engine(), "before_cursor_execute", note)
    assert asked
    assert not [statement for statement in asked if "integration_logs" in statement]


def test_the_hours_that_are_over_are_read_once_and_the_present_one_each_time(people: People) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        add(session, only, 0, runs_ok=1, delivered=1)
        add(session, only, 20, runs_ok=1, delivered=10)
    assert health.overview(people.a, 24).delivered.value == 11
    with db.session() as session:
        for row in session.exec(select(HourlyFigures)).all():
            row.delivered += 100
            session.add(row)
    assert health.overview(people.a, 24).delivered.value == 111


def test_what_is_kept_is_read_anew_after_five_minutes(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [100.0]
    kept: TTLCache[Hashable, Bucket] = TTLCache(figures.KEPT, figures.KEPT_S, timer=lambda: clock[0])
    monkeypatch.setattr(figures, "_over", kept)
    with db.session() as session:
        add(session, connect(session, people.a.user_id, "only"), 20, runs_ok=1, delivered=10)
    assert health.overview(people.a, 24).delivered.value == 10
    with db.session() as session:
        session.execute(update(HourlyFigures).values(delivered=20))
    clock[0] += 299
    assert health.overview(people.a, 24).delivered.value == 10
    clock[0] += 2
    assert health.overview(people.a, 24).delivered.value == 20


def test_what_is_kept_is_kept_for_these_connections_alone(people: People) -> None:
    with db.session() as session:
        mine = connect(session, people.a.user_id, "mine")
        theirs = connect(session, people.b.user_id, "theirs")
        for connection, sent in ((mine, 5), (theirs, 7_000)):
            add(session, connection, 20, runs_ok=1, delivered=sent)
    seen = [health.overview(who, 24).delivered.value for who in (people.admin, people.a, people.b, people.a)]
    assert seen == [7_005, 5, 7_000, 5]


def test_many_connections_are_read_as_few_are(people: People) -> None:
    with db.session() as session:
        for number in range(8):
            connection = connect(session, people.a.user_id, f"number {number}")
            add(session, connection, 2, runs_ok=3, runs_failed=1, delivered=10, delay_s=delays(1.5))
            add(session, connection, 26, runs_ok=1, delivered=4, delay_s=delays(3))
            last = connection.id
    many, one = health.overview(people.a, 24), health.overview(people.a, 24, connection=last)
    assert (many.delivered.value, one.delivered.value) == (80, 10)
    assert (many.delivered.before, one.delivered.before) == (32, 4)
    assert many.success.value == one.success.value == 0.75
    assert many.delay_p95_s == one.delay_p95_s
    assert len(many.timeline) == 8


def test_runs_that_found_nothing_do_not_hide_the_last_ones_that_did(people: People) -> None:
    with db.session() as session:
        quiet = connect(session, people.a.user_id, "quiet")
        add(session, quiet, 70, runs_ok=1, delivered=2)
        run(session, quiet, timedelta(hours=69, minutes=59), records_synced=2)
        for back in range(70):
            add(session, quiet, back, runs_ok=12)
    assert [r.records for r in health.overview(people.a, 168).recent_runs] == [2]


def test_the_heat_map_has_the_worst_first_and_room_for_six_hundred_cells(people: People) -> None:
    with db.session() as session:
        for number in range(30):
            connection = connect(session, people.a.user_id, f"number {number:02}")
            add(session, connection, 3, runs_ok=30 - number, runs_failed=number)
    month = health.overview(people.a, 720)
    assert [row.name for row in month.heat][:2] == ["number 29", "number 28"]
    assert len(month.heat) == 600 // 30
    (cell,) = month.heat[0].cells
    assert (cell.runs, cell.failed, month.heat[0].share) == (30, 29, 29 / 30)
