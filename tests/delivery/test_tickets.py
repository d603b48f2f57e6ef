"""A place (a site and its project or table) knows its tickets, whatever connection made them."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from alembic import command
from sqlalchemy import select, text, update
from sqlmodel import col

from core import connections, integrations
from core.access import LOCAL
from core.delivery import history, outbox, send, sync
from core.delivery.outbox import tickets
from core.delivery.outbox.tickets import Search, TicketTarget, Twin, plan
from core.delivery.outcome import InDoubtPolicy, Row
from core.delivery.runs import Run
from core.integrations import get, place_of, site_of
from core.integrations.base import Ticket, Tracker
from core.integrations.registry import connector
from core.records import intake
from core.storage import db
from core.storage.models import Attempt, Delivery, Kind, State, TicketLink
from sandbox import Sandbox
from sandbox.vendors.jira import search as jira_search
from tests.conftest import People
from tests.support.workplace import CREATED, Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HERE = TicketTarget("jira.example.com SEC", InDoubtPolicy("look_up", (60, 300, 900)))
TRACKERS = ("jira", "servicenow", "zendesk")


def made(workplace: Workplace, slug: str = "jira") -> list[str]:
    return [ticket.vendor_id for ticket in workplace.sandbox.accepted(slug)]


def links(connection_id: str) -> list[tuple[str, str | None]]:
    with db.reading() as session:
        wanted = select(col(TicketLink.external_ticket_id), col(TicketLink.ticket_url))
        found = session.execute(wanted.where(col(TicketLink.integration_id) == connection_id))
        return [(ticket, url) for ticket, url in found]


def calls(connection_id: str) -> list[str]:
    """What the connection asked Jira for, in order."""
    with db.reading() as session:
        wanted = select(col(Attempt.exchanges)).where(col(Attempt.connection_id) == connection_id)
        found = session.execute(wanted.order_by(col(Attempt.id))).scalars()
        return ["search" if "jql" in each["request"] else "create" for some in found for each in some]


def later(workplace: Workplace, *minutes: float) -> list[str]:
    """The state of the one delivery after each wait and the scheduled run that follows."""
    states = []
    for each in minutes:
        workplace.pass_time(minutes=each)
        workplace.sync("jira", "scheduled")
        states += workplace.states("jira")
    return states


# --- the rule, pure -------------------------------------------------------------------------------


def row(**given: object) -> Row:
    return replace(Row(1, "key", "{}", "case", 7, 0, 0, None, NOW), **given)  # type: ignore[arg-type]


def twin(ago_s: float = 0, ticket: Ticket | None = None, key: str = "key") -> Twin:
    return Twin(7, key, NOW - timedelta(seconds=ago_s), ticket)


def test_a_row_that_nobody_can_have_sent_is_created_at_once() -> None:
    assert plan(row(), [], HERE, NOW) == (row(), None)
    over = row(in_doubt_since=NOW - timedelta(seconds=30), look_ups=1)  # because of a twin, which was refused
    assert plan(over, [], HERE, NOW) == (row(), None)


def test_a_ticket_that_is_known_is_linked_whatever_else_is_in_doubt() -> None:
    ticket = Ticket("SEC-1")
    for mine in (row(), row(in_doubt_since=NOW, place=HERE.place)):
        assert plan(mine, [twin(), twin(ticket=ticket)], HERE, NOW) == (mine, Search(known=ticket))


def test_what_a_twin_may_have_made_is_looked_for_three_times_under_every_key() -> None:
    mine, search = plan(row(), [twin(key="older"), twin()], HERE, NOW)
    assert search is not None
    assert (mine.in_doubt_since, search.keys, search.places) == (NOW, ("key", "older"), (HERE.place,))
    seen, at = [], NOW
    while search is not None and search.missing is not None and len(seen) < 9:
        seen.append((at - NOW).total_seconds())
        at = search.missing.next_attempt_at or NOW
        mine = replace(mine, look_ups=search.missing.look_ups)
        mine, search = plan(mine, [twin(ago_s=5)], HERE, at)
    assert (seen, (at - NOW).total_seconds()) == ([0, 60, 300], 900)
    assert search is not None
    assert search.may_create


def test_look_ups_begin_anew_when_a_twin_was_sent_later_and_only_then() -> None:
    """Two rows that doubt each other must both come to an end."""
    since = NOW - timedelta(seconds=1000)
    doubtful = row(in_doubt_since=since, look_ups=2, place=HERE.place)
    for ago_s, begins in ((1000, since), (1001, since), (999, NOW - timedelta(seconds=999))):
        mine, _ = plan(doubtful, [twin(ago_s=ago_s)], HERE, NOW)
        assert (mine.in_doubt_since, mine.look_ups) == (begins, 2 if begins == since else 0)


def test_a_moved_row_is_looked_for_in_both_places_and_then_is_new() -> None:
    mine = row(in_doubt_since=NOW - timedelta(seconds=901), look_ups=2, place="jira.example.com OPS")
    _, search = plan(mine, [], HERE, NOW)
    assert search is not None
    assert search.missing is not None
    assert search.places == (HERE.place, "jira.example.com OPS")
    assert (search.missing.state, search.missing.place, search.missing.in_doubt_since) == (
        "pending",
        None,
        None,
    )


def test_another_site_is_never_asked() -> None:
    _, search = plan(row(in_doubt_since=NOW, place="old.example.com SEC"), [], HERE, NOW)
    assert search is not None
    assert search.missing is not None
    assert (search.places, search.missing.state, search.missing.place) == ((), "held", "old.example.com SEC")
    assert "It may be in old.example.com SEC" in str(search.missing.reason)
    assert "Look there for key" in str(search.missing.reason)


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"url": "https://Jira.Example.com"}, "jira.example.com SEC"),
        ({"url": "https://jira.example.com/"}, "jira.example.com SEC"),
        ({"url": "HTTPS://jira.example.com:443//"}, "jira.example.com SEC"),
        ({"url": "http://jira.example.com:80"}, "jira.example.com SEC"),
        ({"url": "https://jira.example.com./"}, "jira.example.com SEC"),
        ({"url": "https://jira.example.com:8443/Jira/"}, "jira.example.com:8443/Jira SEC"),
        ({"url": "https://[::1]:443"}, "[::1] SEC"),
        ({"url": "https://jira.example.com", "project_key": "OPS"}, "jira.example.com OPS"),
    ],
)
def test_a_place_is_one_however_it_is_spelled(config: dict[str, str], place: str) -> None:
    found = place_of(get("jira"), {"project_key": "SEC"} | config)
    assert found == place
    assert site_of(place) == place.partition(" ")[0]


def test_trackers_and_they_alone_have_a_place_and_can_be_led_to_an_old_one(workplace: Workplace) -> None:
    for manifest in integrations.manifests().values():
        made = connector(manifest.connector)
        assert issubclass(made, Tracker) == bool(manifest.place)
        if not manifest.place:
            assert place_of(manifest, {}) is None
    old = integrations.fields_of(get("jira"), "jira.example.com OPS")
    assert old == {"project_key": "OPS"}
    assert integrations.fields_of(get("zendesk"), "example.zendesk.com") == {}


# --- several connections --------------------------------------------------------------------------


@pytest.mark.parametrize("slug", TRACKERS)
def test_a_second_connection_links_what_the_first_made_without_a_call(
    workplace: Workplace, slug: str
) -> None:
    workplace.sandbox.set_index_lag(600)
    workplace.cases(2)
    first = workplace.connect(slug)
    workplace.sync(slug)
    second = workplace.connect(slug)
    assert workplace.sync(slug).count == 2
    assert len(made(workplace, slug)) == 2
    assert calls(second) == []
    assert links(second) == links(first)
    assert all(url for _, url in links(second))


def test_so_it_does_for_another_person_after_the_first_was_deleted_and_with_another_spelling(
    workplace: Workplace, people: People
) -> None:
    workplace.sandbox.set_index_lag(600)
    workplace.cases(1)
    first = workplace.connect("jira")
    workplace.sync("jira")
    connections.delete(workplace.who, first)
    values = workplace.sandbox.credentials("jira")
    boss = Workplace(people.admin, workplace.sandbox)
    boss.ids["jira"] = connections.create(
        people.admin,
        "jira",
        name="All",
        values=values | {"url": values["url"] + "/"},
        options={"scope": "all"},
    )
    intake.store(
        people.b, Kind.CASE, [{"id": "b-1", "title": "Theirs", "status": "open", "created_at": CREATED}]
    )
    assert boss.sync("jira").count == 2
    assert made(workplace) == ["SEC-1", "SEC-2"]
    assert sorted(ticket for ticket, _ in links(boss.ids["jira"])) == ["SEC-1", "SEC-2"]


def test_another_project_has_a_ticket_of_its_own_at_once(workplace: Workplace) -> None:
    workplace.cases(1)
    workplace.connect("jira")
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira")
    other = connections.create(
        workplace.who,
        "jira",
        name="Ops",
        values=workplace.sandbox.credentials("jira") | {"project_key": "OPS"},
        options={},
    )
    assert sync.run(other, "manual").count == 1
    assert made(workplace) == ["SEC-1", "OPS-1"]
    assert calls(other) == ["create"]


def test_what_was_certainly_not_made_elsewhere_is_made_at_once(workplace: Workplace) -> None:
    workplace.cases(1)
    workplace.connect("jira")
    workplace.sandbox.fault("jira", "503", times=1)
    workplace.sync("jira", "scheduled")
    assert workplace.states("jira") == ["retrying"]
    second = workplace.connect("jira")
    assert workplace.sync("jira").count == 1
    assert calls(second) == ["create"]


def test_what_another_connection_may_have_made_is_looked_for_by_the_whole_schedule(
    workplace: Workplace,
) -> None:
    workplace.sandbox.set_index_lag(600)
    workplace.cases(1)
    first = workplace.connect("jira")
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira", "scheduled")
    connections.disable(workplace.who, first)
    second = workplace.connect("jira")
    workplace.sync("jira")
    assert later(workplace, 1.1, 4.1) == ["in_doubt"] * 2
    workplace.sandbox.set_index_lag(0)
    assert later(workplace, 10.1) == ["delivered"]
    assert links(second)[0][0] == "SEC-1"
    connections.enable(workplace.who, first)
    workplace.ids["jira"] = first
    workplace.sandbox.set_index_lag(600)
    assert workplace.sync("jira").count == 1  # known by now, whatever the search says
    assert made(workplace) == ["SEC-1"]


def test_what_another_connection_never_made_is_made_after_three_look_ups(workplace: Workplace) -> None:
    workplace.cases(1)
    first = workplace.connect("jira")
    workplace.sandbox.fault("jira", "lost_before", times=1)
    workplace.sync("jira", "scheduled")
    connections.disable(workplace.who, first)
    second = workplace.connect("jira")
    workplace.sync("jira", "scheduled")
    assert later(workplace, 1.1, 4.1, 10.1) == ["in_doubt", "in_doubt", "delivered"]
    assert calls(second) == ["search"] * 4 + ["create"]
    assert made(workplace) == ["SEC-1"]


def test_two_connections_that_wait_for_each_other_come_to_an_end(workplace: Workplace) -> None:
    workplace.cases(1)
    ids = []
    for fault in ("lost_before", None):
        ids.append(workplace.connect("jira"))
        if fault:
            workplace.sandbox.fault("jira", fault, times=1)
        workplace.sync("jira", "scheduled")
    for minutes in (1.1, 4.1, 10.1):
        workplace.pass_time(minutes=minutes)
        for each in ids:
            sync.run(each, "scheduled")
    assert made(workplace) == ["SEC-1"]
    assert [ticket for each in ids for ticket, _ in links(each)] == ["SEC-1", "SEC-1"]


def two_runs(workplace: Workplace) -> list[Run]:
    """Of two connections to one place, that have the same case to send."""
    workplace.cases(1)
    begun = []
    for _ in range(2):
        begun.append(sync._start(workplace.connect("jira"), "manual", None, lambda: False, 600))
        sync.export(begun[-1])
    return begun


def test_of_two_that_are_sent_at_one_moment_the_second_one_waits(workplace: Workplace) -> None:
    begun = two_runs(workplace)
    one, two = (send.claim(each) for each in begun)
    assert one is not None
    assert two is not None
    assert one.searches == {}
    (search,) = two.searches.values()
    assert not search.may_create
    with db.reading() as session:
        places = session.execute(select(col(Delivery.place)).order_by(col(Delivery.id))).scalars().all()
    assert places == [place_of(get("jira"), workplace.sandbox.credentials("jira")), None]


def test_a_claim_that_is_not_committed_yet_is_waited_for(workplace: Workplace) -> None:
    begun = two_runs(workplace)
    second: list[outbox.Claim | None] = []
    thread = threading.Thread(target=lambda: second.append(send.claim(begun[1])))
    with db.session() as session:
        first = outbox.claim(
            session,
            connection_id=begun[0].connection.id,
            run_id=begun[0].id,
            worker="one",
            limit=1,
            max_bytes=None,
            lease_s=60,
            now=db.now(session),
            target=begun[0].target,
        )
        thread.start()
        thread.join(0.5)  # it cannot end before this transaction does
    thread.join()
    assert first is not None
    assert first.searches == {}
    assert second[0] is not None
    (search,) = second[0].searches.values()
    assert not search.may_create


def test_a_case_that_is_on_its_way_through_another_connection_is_not_sent(workplace: Workplace) -> None:
    workplace.cases(1)
    first = workplace.connect("jira")
    second = workplace.connect("jira")
    workplace.sandbox.fault("jira", "slow", times=1)
    thread = threading.Thread(target=sync.run, args=(first, "manual"))
    thread.start()
    until = threading.Event()
    workplace.ids["jira"] = first
    while not made(workplace):
        until.wait(0.01)
    workplace.ids["jira"] = second
    workplace.sandbox.set_index_lag(600)
    workplace.sync("jira")
    assert workplace.states("jira") == ["in_doubt"]
    thread.join()
    assert later(workplace, 1.1) == ["delivered"]
    assert made(workplace) == ["SEC-1"]


def test_it_is_looked_for_under_the_key_that_it_went_out_with(workplace: Workplace) -> None:
    """Keys of before an upgrade are others."""
    workplace.cases(1)
    first = workplace.connect("jira")
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira", "scheduled")
    connections.disable(workplace.who, first)
    workplace.connect("jira")
    workplace.sandbox.fault("jira", "503", times=1)
    workplace.sync("jira", "scheduled")
    with db.session() as session:
        mine = update(Delivery).where(col(Delivery.webhook_id) == workplace.ids["jira"])
        session.execute(mine.values(key="fiq-case-by-another-rule"))
    assert later(workplace, 1.1) == ["delivered"]
    assert made(workplace) == ["SEC-1"]


def test_a_replay_keeps_the_doubt_for_its_own_connection_and_for_others(workplace: Workplace) -> None:
    workplace.sandbox.set_index_lag(600)
    workplace.cases(1)
    first = workplace.connect("jira", retry={"attempts": 1})
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira", "scheduled")
    (dead,) = workplace.deliveries("jira")
    assert (dead.state, dead.attempt_count) == ("dead", 1)
    history.replay_one(workplace.who, dead.id or 0)
    second = workplace.connect("jira")
    for each in (first, second):
        workplace.ids["jira"] = each
        workplace.sync("jira")
        assert workplace.states("jira") == ["in_doubt"]
    workplace.sandbox.set_index_lag(0)
    for each in (first, second):
        workplace.ids["jira"] = each
        assert later(workplace, 1.1) == ["delivered"]
    assert made(workplace) == ["SEC-1"]


# --- a connection that is edited meanwhile --------------------------------------------------------


def doubtful(workplace: Workplace, fault: str) -> str:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", fault, times=1)
    workplace.sync("jira", "scheduled")
    return workplace.ids["jira"]


def test_a_ticket_in_doubt_is_found_in_the_project_it_was_sent_to(workplace: Workplace) -> None:
    id = doubtful(workplace, "lost_answer")
    connections.edit(workplace.who, id, values={"project_key": "OPS"})
    assert later(workplace, 1.1) == ["delivered"]
    (row,) = workplace.deliveries("jira")
    assert (row.vendor_id, str(row.place).partition(" ")[2]) == ("SEC-1", "SEC")
    assert made(workplace) == ["SEC-1"]


def test_one_that_never_came_there_is_made_in_the_new_project_after_all_look_ups(
    workplace: Workplace,
) -> None:
    id = doubtful(workplace, "lost_before")
    connections.edit(workplace.who, id, values={"project_key": "OPS"})
    assert later(workplace, 1.1, 4.1, 10.1) == ["in_doubt", "in_doubt", "delivered"]
    assert made(workplace) == ["OPS-1"]


def test_a_project_that_is_gone_leaves_the_ticket_to_a_person_and_pauses_nothing(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = doubtful(workplace, "lost_before")
    connections.edit(workplace.who, id, values={"project_key": "OPS"})
    monkeypatch.delitem(jira_search.PROJECTS, "SEC")
    assert later(workplace, 1.1) == ["held"]
    (held,) = workplace.deliveries("jira")
    assert "'SEC' does not exist" in str(held.reason)
    assert workplace.row("jira").problem is None
    history.release(workplace.who, id)
    assert later(workplace, 0.1) == ["delivered"]
    assert made(workplace) == ["OPS-1"]  # the person's decision


@pytest.fixture
def moved_to(workplace: Workplace) -> Sandbox:
    """A ticket in doubt at the stand-in, and its connection moved to another one, which is returned."""
    id = doubtful(workplace, "lost_answer")
    elsewhere = Sandbox()
    elsewhere.start()
    connections.edit(workplace.who, id, values=elsewhere.credentials("jira"))
    workplace.sandbox.stop()
    yield elsewhere
    elsewhere.stop()


def test_the_old_site_is_not_asked_and_a_person_decides(workplace: Workplace, moved_to: Sandbox) -> None:
    assert later(workplace, 1.1, 20) == ["held"] * 2
    (held,) = workplace.deliveries("jira")
    told = str(held.reason)
    assert told.startswith(f"It may be in {held.place}, where the hub cannot look for it.")
    assert f"Look there for {held.key}: discard this delivery if it is there, release it to create" in told
    assert moved_to.accepted("jira") == []
    assert calls(workplace.ids["jira"]) == ["create"]  # the first one, to the old site
    history.release(workplace.who, workplace.ids["jira"], held.id)
    assert later(workplace, 0.1) == ["delivered"]
    assert len(moved_to.accepted("jira")) == 1


def test_what_a_person_discards_is_not_created_by_a_replay_alone(
    workplace: Workplace, moved_to: Sandbox
) -> None:
    later(workplace, 1.1)
    history.discard(workplace.who, workplace.ids["jira"])
    assert workplace.states("jira") == ["skipped"]
    (row,) = workplace.deliveries("jira")
    history.replay_one(workplace.who, row.id or 0)
    assert later(workplace, 0.1) == ["held"]
    assert moved_to.accepted("jira") == []


def test_a_release_of_what_was_held_for_another_reason_keeps_its_doubt(workplace: Workplace) -> None:
    id = doubtful(workplace, "lost_answer")
    with db.session() as session:
        session.execute(update(Delivery).values(state=State.HELD, next_attempt_at=None))
    history.release(workplace.who, id)
    assert later(workplace, 0.1) == ["delivered"]
    assert made(workplace) == ["SEC-1"]


# --- rows of before, and what it costs ------------------------------------------------------------


def test_a_migrated_database_knows_the_tickets_it_had(workplace: Workplace) -> None:
    workplace.sandbox.set_index_lag(600)
    workplace.cases(1)
    workplace.connect("jira")
    workplace.sync("jira")
    with db.engine(write=True).begin() as connection:
        config = db._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, "0004")
    db.migrate()
    assert [row.place for row in workplace.deliveries("jira")] == [""]
    first = workplace.ids["jira"]
    workplace.connect("jira")
    workplace.sync("jira")
    assert made(workplace) == ["SEC-1"]
    connections.edit(LOCAL, first, values={"project_key": "OPS"})
    workplace.ids["jira"] = first
    assert [str(row.place).partition(" ")[2] for row in workplace.deliveries("jira")] == ["SEC"]


def test_the_twins_of_a_case_are_found_by_index(workplace: Workplace) -> None:
    statement = tickets._same_cases([row()])
    with db.reading() as session:
        dialect = session.get_bind().dialect
        compiled = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        if dialect.name == "sqlite":
            steps = [found[3] for found in session.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
            assert [step for step in steps if step.startswith("SCAN")] == []
            assert any("ix_webhook_deliveries_case_key" in step for step in steps)
        else:
            session.execute(text("SET LOCAL enable_seqscan = off"))  # the table is empty
            steps = [found[0] for found in session.execute(text(f"EXPLAIN {compiled}"))]
            assert [step for step in steps if "Seq Scan" in step] == []
