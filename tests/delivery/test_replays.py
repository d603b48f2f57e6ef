"""Many deliveries once more: counted first, the same numbers at every door, in steps that can be paused."""

import re
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from sqlalchemy import ColumnElement, func, select, text
from sqlmodel import Session, col

from core import connections
from core.access import Principal
from core.delivery.history import Plan, ReplayFilter, plan, replays
from core.delivery.outbox.queries import in_states, waiting
from core.platform.errors import Conflict, Forbidden, Invalid, NotFound
from core.storage import db
from core.storage.models import Connection, Delivery, Kind, Replay, State, TicketLink
from tests.conftest import People
from tests.support import sendings
from tests.support.scenes import connect
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]


def fill(session: Session, connection: Connection, state: State, number: int, **fields: Any) -> list[int]:
    return [sendings.delivery(session, connection, 10_000 + at, state, **fields) for at in range(number)]


def states_of(connection_id: str) -> dict[str, int]:
    with db.reading() as session:
        found = session.execute(
            select(col(Delivery.state), func.count())
            .where(col(Delivery.webhook_id) == connection_id)
            .group_by(col(Delivery.state))
        )
        return dict(found.all())


def words(found: Plan) -> dict[str, int]:
    names = ("count", "duplicates", "delivered", "in_doubt", "tickets", "without_body")
    return {name: getattr(found, name) for name in names}


# --- the dry run ----------------------------------------------------------------------------------


def test_a_dry_run_counts_ages_and_duplicates_and_changes_nothing(people: People) -> None:
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        two = connect(session, people.a.user_id, "two", "jira")
        now = db.now(session)
        fill(session, one, State.DEAD, 3, ago=timedelta(hours=5))
        fill(session, one, State.DEAD, 2, ago=timedelta(minutes=5), in_doubt_since=now)
        fill(session, one, State.DEAD, 1, payload=None)
        fill(session, one, State.DELIVERED, 4)
        (linked, _) = fill(session, two, State.DEAD, 2, record_kind=Kind.CASE)
        session.add(
            TicketLink(
                user_id=people.a.user_id,
                integration_id=two.id,
                case_local_id=session.get_one(Delivery, linked).record_id,
                external_ticket_id="SEC-1",
                created_at=now,
                updated_at=now,
            )
        )
        ids = one.id, two.id
    before = [states_of(id) for id in ids]
    found = plan(people.a, ReplayFilter())
    assert words(found) == {
        "count": 7,
        "duplicates": 2,
        "delivered": 0,
        "in_doubt": 2,
        "tickets": 1,
        "without_body": 1,
    }
    assert {share.connection: (share.count, share.tickets) for share in found.shares} == {
        "one": (6, 0),
        "two": (1, 1),
    }
    assert found.oldest_at is not None
    assert found.newest_at is not None
    assert timedelta(hours=4) < found.newest_at - found.oldest_at < timedelta(hours=6)
    assert [states_of(id) for id in ids] == before
    sent = plan(people.a, ReplayFilter(state=State.DELIVERED))
    assert (sent.count, sent.duplicates, sent.delivered) == (4, 4, 4)


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({}, 6),
        ({"state": "skipped"}, 1),
        ({"connection": "one"}, 5),
        ({"kind": "alert"}, 2),
        ({"reason": "QUOTA"}, 2),
        ({"reason": "100%"}, 1),
        ({"reason": "_"}, 0),  # no wild card
        ({"since": "hour ago"}, 4),
        ({"until": "hour ago"}, 2),
    ],
)
def test_each_filter_means_what_it_says(people: People, wanted: dict[str, str], count: int) -> None:
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        two = connect(session, people.a.user_id, "two")
        fill(session, one, State.DEAD, 2, ago=timedelta(hours=5), reason="No quota is left.")
        fill(session, one, State.DEAD, 2, record_kind=Kind.ALERT)
        fill(session, one, State.DEAD, 1, reason="It is 100% wrong.")
        fill(session, one, State.SKIPPED, 1)
        fill(session, one, State.HELD, 3)
        fill(session, two, State.DEAD, 1)
        hour_ago = (db.now(session) - timedelta(hours=1)).isoformat()
    given = {name: hour_ago if word == "hour ago" else word for name, word in wanted.items()}
    assert plan(people.a, ReplayFilter.of(given)).count == count
    assert ReplayFilter.of(ReplayFilter.of(given).stored()).stored() == ReplayFilter.of(given).stored()


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"state": "pending"}, "state"),
        ({"state": "daed"}, "state"),
        ({"kind": "scams"}, "kind"),
        ({"since": "yesterday"}, "since"),
        ({"until": "2026-13-01"}, "until"),
        ({"since": "2026-11-22T10:00Z", "until": "2026-11-22T09:00Z"}, "until"),
        ({"reason": "x" * 501}, "reason"),
    ],
)
def test_a_filter_that_makes_no_sense_names_its_field(values: dict[str, str], field: str) -> None:
    with pytest.raises(Invalid) as caught:
        ReplayFilter.of(values)
    assert set(caught.value.fields) == {field}


def test_the_time_it_takes_is_the_vendors_rate(people: People) -> None:
    with db.session() as session:
        slack = connect(session, people.a.user_id, "slack", "slack")  # 60 messages a minute
        fill(session, slack, State.DEAD, 30, record_kind=Kind.ALERT)
        jira = connect(session, people.a.user_id, "jira", "jira")  # no rate, no call yet: nobody knows
        fill(session, jira, State.DEAD, 1, record_kind=Kind.CASE)
    assert plan(people.a, ReplayFilter(connection="slack")).seconds == 30
    assert plan(people.a, ReplayFilter(connection="jira")).seconds is None
    assert plan(people.a, ReplayFilter()).seconds is None


@pytest.mark.parametrize("where", [waiting("x"), in_states((State.DEAD, State.HELD)), ReplayFilter().fits()])
def test_partial_indexes_fit(sqlite_database: str, where: ColumnElement[bool]) -> None:
    db.configure(sqlite_database)
    query = select(col(Delivery.id)).where(where, col(Delivery.webhook_id) == "x").limit(500)
    with db.reading() as session:
        words = query.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
        told = " ".join(str(row) for row in session.execute(text(f"EXPLAIN QUERY PLAN {words}")))
    assert re.search("ix_webhook_deliveries_(due|severity|stuck) ", told), told


# --- what happens ---------------------------------------------------------------------------------


def test_what_is_replayed_keeps_its_key_and_begins_anew(people: People) -> None:
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        ids = fill(session, one, State.DEAD, 3)
        keys = [session.get_one(Delivery, id).key for id in ids]
    begun = replays.begin(people.a, ReplayFilter(connection="one"))
    (progress,) = begun.replays
    assert (begun.plan.count, progress.total, progress.queued, progress.left) == (3, 3, 3, 0)
    assert progress.state == "done"
    with db.reading() as session:
        rows = [session.get_one(Delivery, id) for id in ids]
        wakes_at, now = session.get_one(Connection, progress.connection_id).next_wake_at, db.now(session)
    assert [row.key for row in rows] == keys
    assert {(row.state, row.attempt_count, row.reason) for row in rows} == {("pending", 0, None)}
    assert wakes_at is not None
    assert wakes_at <= now


def test_delivered_ones_go_twice_only_when_said_and_tickets_never(people: People) -> None:
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        fill(session, one, State.DELIVERED, 2)
        two = connect(session, people.a.user_id, "two", "jira")
        fill(session, two, State.DELIVERED, 2, record_kind=Kind.CASE)
        ids = one.id, two.id
    delivered = ReplayFilter(state=State.DELIVERED)
    with pytest.raises(Conflict, match="2 were delivered and would be sent twice"):
        replays.begin(people.a, delivered)
    begun = replays.begin(people.a, delivered, again=True)
    assert (begun.plan.count, begun.plan.tickets) == (2, 2)
    assert [states_of(id) for id in ids] == [{"pending": 2}, {"delivered": 2}]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """What bounds the look at millions, for eight."""
    module = import_module("core.delivery.history.replay_plan")
    monkeypatch.setattr(module, "COUNTED", 3)
    monkeypatch.setattr(module, "FEWEST", 1)
    monkeypatch.setattr(replays, "LOOKED_AT", 3)


@pytest.mark.usefixtures("small")
def test_what_was_delivered_is_counted_as_far_as_it_goes_and_replayed_whole(people: People) -> None:
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        fill(session, one, State.DELIVERED, 8)
        fill(session, connect(session, people.b.user_id, "someone else's"), State.DELIVERED, 8)
        id = one.id
    wanted = ReplayFilter(state=State.DELIVERED)
    found = plan(people.a, wanted)
    assert (found.count, found.more) == (3, True)
    assert found.warnings()[0].startswith("3 or more were delivered")
    with pytest.raises(Conflict, match="3 or more were delivered"):
        replays.begin(people.a, wanted)
    (progress,) = replays.begin(people.a, wanted, again=True).replays
    assert (progress.state, progress.queued, progress.left) == ("running", 3, 1)
    while replays.find(people.a, progress.id).state == "running":
        assert replays.work_off() <= 3
    done = replays.find(people.a, progress.id)
    assert (done.queued, done.total, done.left) == (8, 8, 0)
    assert states_of(id) == {"pending": 8}


@pytest.mark.usefixtures("small")
def test_what_fits_only_among_the_oldest_is_found_by_the_steps(people: People) -> None:
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        fill(session, one, State.DELIVERED, 2, reason="It may be there twice.", ago=timedelta(hours=9))
        fill(session, one, State.DELIVERED, 8)
        id = one.id
    wanted = ReplayFilter(state=State.DELIVERED, reason="twice")
    found = plan(people.a, wanted)
    assert (found.count, found.more, found.is_empty) == (0, True, False)
    (progress,) = replays.begin(people.a, wanted, again=True).replays
    while replays.find(people.a, progress.id).state == "running":
        replays.work_off()
    assert replays.find(people.a, progress.id).queued == 2
    assert states_of(id) == {"pending": 2, "delivered": 8}


@pytest.mark.usefixtures("small")
def test_a_span_of_time_bounds_what_is_looked_at(people: People) -> None:
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        for hours in (9, 5, 0):
            fill(session, one, State.DELIVERED, 3, ago=timedelta(hours=hours))
        now, id = db.now(session), one.id
    wanted = ReplayFilter(
        state=State.DELIVERED, since=now - timedelta(hours=6), until=now - timedelta(hours=4)
    )
    found = plan(people.a, wanted)
    assert (found.count, found.more) == (3, False)
    (progress,) = replays.begin(people.a, wanted, again=True).replays
    while replays.find(people.a, progress.id).state == "running":
        replays.work_off()
    assert states_of(id) == {"pending": 3, "delivered": 6}


def test_a_ticket_is_not_replayed_even_by_a_stored_row(people: People) -> None:
    with db.session() as session:
        jira = connect(session, people.a.user_id, "jira", "jira")
        fill(session, jira, State.DELIVERED, 1, record_kind=Kind.CASE)
        row = Replay(
            connection_id=jira.id,
            actor="x",
            wanted=ReplayFilter(state=State.DELIVERED).stored(),
            total=1,
            last_id=10**9,
            created_at=db.now(session),
        )
        session.add(row)
        session.flush()
        assert row.id is not None
        number, id = row.id, jira.id
    assert replays.step(number) == 0
    assert states_of(id) == {"delivered": 1}


def test_it_can_be_paused_and_goes_on_where_it_was(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "STEP", 4)
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        fill(session, one, State.DEAD, 10)
        id = one.id
    (progress,) = replays.begin(people.a, ReplayFilter()).replays
    assert (progress.state, progress.queued, progress.left) == ("running", 4, 6)
    assert replays.work_off() == 0  # the queue is full: nothing more is added
    send_waiting(id)
    paused = replays.pause(people.a, progress.id)
    assert (paused.state, paused.left) == ("paused", 6)
    assert replays.work_off() == replays.step(progress.id) == 0  # also a step that was about to begin
    assert states_of(id) == {"delivered": 4, "dead": 6}
    with pytest.raises(Conflict):
        replays.pause(people.a, progress.id)
    restart()
    resumed = replays.resume(people.a, progress.id)
    assert (resumed.state, resumed.queued, resumed.left) == ("running", 8, 2)
    send_waiting(id)
    restart()
    assert replays.work_off() == 2
    send_waiting(id)
    replays.work_off()
    assert replays.find(people.a, progress.id).state == "done"
    assert replays.unfinished(people.a) == []
    assert states_of(id) == {"delivered": 10}


def restart() -> None:
    """Another process: nothing is left but the database."""
    db.configure(db.engine().url.render_as_string(hide_password=False))


def send_waiting(connection_id: str) -> None:
    with db.session() as session:
        for row in session.execute(
            select(Delivery).where(
                col(Delivery.webhook_id) == connection_id, col(Delivery.state) == State.PENDING
            )
        ).scalars():
            row.state = State.DELIVERED


def test_what_dies_again_is_not_replayed_again_and_new_ones_are_left_alone(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "STEP", 2)
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        fill(session, one, State.DEAD, 3)
        id = one.id
    (progress,) = replays.begin(people.a, ReplayFilter()).replays
    with db.session() as session:
        for row in session.execute(select(Delivery).where(col(Delivery.state) == State.PENDING)).scalars():
            row.state = State.DEAD
        sendings.delivery(session, session.get_one(Connection, id), 99, State.DEAD)
    for _ in range(4):
        replays.work_off()
    assert states_of(id) == {"dead": 3, "pending": 1}
    assert replays.find(people.a, progress.id).state == "done"


def test_the_replay_of_a_deleted_connection_ends(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replays, "STEP", 1)
    with db.session() as session:
        one = connect(session, people.a.user_id, "one")
        fill(session, one, State.DEAD, 3)
        id = one.id
    (progress,) = replays.begin(people.a, ReplayFilter()).replays
    connections.delete(people.a, id)
    replays.work_off()
    assert states_of(id) == {"dead": 2, "skipped": 1}
    assert replays.find(people.a, progress.id).state == "done"
    assert plan(people.a, ReplayFilter()).count == 0


def test_another_persons_are_invisible_also_where_the_connection_is_shared(people: People) -> None:
    with db.session() as session:
        theirs = connect(session, people.b.user_id, "theirs", shared=True)
        fill(session, theirs, State.DEAD, 2)
        id = theirs.id
    assert plan(people.a, ReplayFilter()).count == 0
    assert replays.begin(people.a, ReplayFilter()).replays == ()
    for verb in (plan, replays.begin):
        with pytest.raises(NotFound):
            verb(people.a, ReplayFilter(connection=id))
    (progress,) = replays.begin(people.b, ReplayFilter()).replays
    assert replays.listing(people.a) == []
    for steer in (replays.find, replays.pause, replays.resume):
        with pytest.raises(NotFound):
            steer(people.a, progress.id)
    assert [found.id for found in replays.listing(people.admin)] == [progress.id]


def test_a_viewer_counts_nothing_and_replays_nothing(people: People) -> None:
    viewer = Principal(people.a.user_id, people.a.email, "viewer")
    for verb in (plan, replays.begin):
        with pytest.raises(Forbidden):
            verb(viewer, ReplayFilter())


# --- with a real vendor ---------------------------------------------------------------------------


def test_what_was_given_up_arrives_after_the_replay_under_its_key(workplace: Workplace) -> None:
    workplace.connect("slack", retry={"attempts": 1})
    workplace.alerts(1)
    workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack")
    assert workplace.states("slack") == ["dead"]
    (key,) = [row.key for row in workplace.deliveries("slack")]
    assert plan(workplace.who, ReplayFilter(reason="given up")).count == 1
    replays.begin(workplace.who, ReplayFilter(connection=workplace.ids["slack"]))
    assert workplace.sync("slack").count == 1
    assert [(row.state, row.key) for row in workplace.deliveries("slack")] == [("delivered", key)]


def test_what_could_not_be_mapped_is_mapped_anew_or_left_alone(workplace: Workplace) -> None:
    workplace.connect("splunk")
    workplace.scans(2)
    workplace.sync("splunk")
    with db.session() as session:
        good, gone = session.execute(select(Delivery).order_by(col(Delivery.id))).scalars()
        for row in (good, gone):
            row.state, row.payload = State.DEAD, None
        gone.record_id = 987_654
    found = plan(workplace.who, ReplayFilter())
    assert (found.count, found.without_body) == (2, 2)
    (progress,) = replays.begin(workplace.who, ReplayFilter()).replays
    assert (progress.queued, progress.left_out, progress.left) == (1, 1, 0)
    assert workplace.states("splunk") == ["pending", "dead"]
    workplace.sync("splunk")
    assert workplace.states("splunk") == ["delivered", "dead"]


@pytest.mark.parametrize("state", ["dead", "skipped", "delivered"])
def test_of_a_digest_the_records_are_replayed_and_not_the_list(workplace: Workplace, state: str) -> None:
    connection_id = workplace.connect("slack", batch_limit=100, retry={"attempts": 1})
    workplace.alerts(30)
    if state != "delivered":
        workplace.sandbox.fault("slack", "503", times=1)
    workplace.sync("slack")
    counted = plan(workplace.who, ReplayFilter(connection=connection_id, state=State(state)))
    assert counted.count == {"dead": 30, "skipped": 0, "delivered": 30}[state]
    if not counted.count:
        return
    replays.begin(workplace.who, ReplayFilter(connection=connection_id, state=State(state)), again=True)
    rows = [row for row in workplace.deliveries("slack") if row.record_kind == "alert"]
    assert {(row.state, row.digest_id, row.attempt_count) for row in rows} == {("pending", None, 0)}
