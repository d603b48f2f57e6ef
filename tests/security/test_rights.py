"""Rights are asked when they are used: of a connection's owner, and of whoever changes where its secret goes."""

from collections.abc import Callable
from typing import Any

import pytest

from core import access, connections, health
from core.access import LOCAL
from core.access.principal import Principal, principal_of
from core.delivery import history, idle, schedule, sync
from core.delivery.history import replays, search
from core.delivery.history.search import DeliveryFilter
from core.health import Status
from core.platform.errors import Conflict, Forbidden, Invalid, NotFound
from core.storage import db
from core.storage.models import Connection, State
from tests.conftest import People
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.security


def demoted(who: Principal) -> Principal:
    access.add_user(LOCAL, "another-admin@example.org", "admin", None)
    access.set_role(LOCAL, who.email, "member")
    return now(who)


def now(who: Principal) -> Principal:
    with db.reading() as session:
        return principal_of(access.find_user(session, who.email))


@pytest.fixture
def everybodys(workplace: Workplace, people: People) -> Workplace:
    """An admin's connection of everybody's records, and one record of somebody else that it has delivered."""
    admins = Workplace(people.admin, workplace.sandbox)
    admins.connect("splunk", scope="all", every="1m")
    workplace.scans(1)
    assert admins.sync("splunk").count == 1
    return admins


def everything_of(workplace: Workplace, who: Principal) -> list[Callable[[], Any]]:
    id = workplace.ids["splunk"]
    return [
        lambda: sync.run(id, "manual", who=who),
        lambda: sync.run(id, "scheduled"),
        lambda: connections.preview(who, id),
        lambda: connections.edit(who, id, values={"index": "mine"}),
        lambda: connections.edit(who, id, options={"every": "5m"}),
        lambda: connections.count_wanted(who, "splunk", {"scope": "all"}, id),
        lambda: connections.preview_draft(who, "splunk", {}, {"scope": "all"}, ref=id),
    ]


def test_who_is_no_admin_any_more_reads_nobodys_records_through_a_connection(
    everybodys: Workplace, workplace: Workplace
) -> None:
    who = demoted(everybodys.who)
    workplace.scans(1)
    for attempt in everything_of(everybodys, who):
        with pytest.raises((Forbidden, Conflict)):
            attempt()
    assert len(everybodys.sandbox.accepted("splunk")) == 1
    stands = connections.find(who, everybodys.ids["splunk"]).standing
    assert stands.word is Status.NEEDS_YOU
    assert "Set scope=mine" in stands.sentence


def test_the_scheduler_passes_such_a_connection_over(everybodys: Workplace, workplace: Workplace) -> None:
    demoted(everybodys.who)
    workplace.scans(1)
    everybodys.pass_time(minutes=5)
    assert idle.pass_by().number == 0
    assert schedule.due(10) == []


def test_a_demotion_in_the_middle_of_a_run_ends_it(
    everybodys: Workplace, workplace: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workplace.scans(1)
    export = sync.export

    def demote_after(run: Any) -> None:
        export(run)
        demoted(everybodys.who)

    monkeypatch.setattr(sync, "export", demote_after)
    assert everybodys.sync("splunk").count == 0


def test_what_went_out_before_is_not_shown_to_who_may_not_see_it_any_more(
    everybodys: Workplace, workplace: Workplace
) -> None:
    who, id = demoted(everybodys.who), everybodys.ids["splunk"]
    (theirs,) = everybodys.deliveries("splunk")
    connections.edit(who, id, options={"scope": "mine"})
    own = Workplace(who, everybodys.sandbox, everybodys.ids)
    own.scans(1)
    own.sync("splunk")
    assert [row.id for row in search.search(who, DeliveryFilter()).rows] == [theirs.id + 1]
    assert [row.id for row in history.listing(who)] == [theirs.id + 1]
    assert len(history.events(who)) == 1
    with pytest.raises(NotFound, match="There is no delivery"):
        history.one(who, theirs.id)
    with pytest.raises(NotFound, match="There is no delivery"):
        history.replay_one(who, theirs.id, again=True)
    assert history.one(who, theirs.id + 1).attempts == []  # a call carries other people's records, too


def test_a_replay_of_many_sends_nobody_elses_records(everybodys: Workplace, workplace: Workplace) -> None:
    who, id = demoted(everybodys.who), everybodys.ids["splunk"]
    connections.edit(who, id, options={"scope": "mine"})
    wanted = history.ReplayFilter.of({"connection": id, "state": "delivered"})
    assert history.plan(who, wanted).count == 0
    started = replays.begin(LOCAL, wanted, again=True)  # an admin's counts it, and leaves it out
    assert started.plan.count == 1
    assert replays.work_off() == 0
    assert everybodys.states("splunk") == [State.DELIVERED]


def test_a_connection_of_everybodys_records_belongs_to_an_admin(workplace: Workplace, people: People) -> None:
    with pytest.raises(Forbidden, match="belongs to an admin"):
        connections.create(
            people.admin,
            "splunk",
            name="for Ana",
            values=workplace.sandbox.credentials("splunk"),
            options={"scope": "all"},
            owner=people.a.email,
        )
    id = workplace.connect("splunk")
    with pytest.raises(Forbidden, match="belongs to an admin"):
        connections.edit(people.admin, id, options={"scope": "all"})


# --- a disabled person's connections --------------------------------------------------------------


def test_a_disabled_persons_connections_send_nothing_and_say_so(workplace: Workplace, people: People) -> None:
    id = workplace.connect("splunk", every="1m")
    workplace.scans(1)
    access.disable_user(LOCAL, workplace.who.email)
    workplace.pass_time(minutes=5)
    assert (idle.pass_by().number, schedule.due(10)) == (0, [])
    with pytest.raises(Conflict, match="is disabled, so nothing is sent"):
        workplace.sync("splunk", "scheduled")
    (strip,) = health.overview(people.admin, 24).needs_you
    assert strip.standing.word is Status.NEEDS_YOU
    access.enable_user(LOCAL, workplace.who.email)
    assert [each.id for each in schedule.due(10)] == [id]
    assert workplace.sync("splunk", "scheduled").count == 1


def test_an_admin_hands_it_over_with_its_secrets_entered_again(workplace: Workplace, people: People) -> None:
    id = workplace.connect("splunk", every="1m")
    workplace.scans(2)
    workplace.sync("splunk")
    access.disable_user(LOCAL, workplace.who.email)
    with pytest.raises(Invalid, match="With another owner the saved credentials are asked for again"):
        connections.edit(people.admin, id, owner=people.b.email)
    with pytest.raises(NotFound):
        connections.edit(people.b, id, owner=people.b.email, values={"token": "x"})
    token = workplace.sandbox.credentials("splunk")["token"]
    connections.edit(people.admin, id, owner=people.b.email, values={"token": token})
    assert connections.find(people.b, id).owner == people.b.email
    assert search.search(people.b, DeliveryFilter()).rows == ()  # what went out before is not theirs
    Workplace(people.b, workplace.sandbox).scans(1)
    assert workplace.sync("splunk").count == 1


# --- where a secret goes --------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["edit", "test"])
@pytest.mark.parametrize(
    "change", [{"url": "https://catcher.example.org:8088"}, {"tls_fingerprint": "AB" * 32}]
)
def test_a_secret_is_not_carried_off_by_another_address(
    workplace: Workplace, people: People, door: str, change: dict[str, str]
) -> None:
    id = workplace.connect("splunk")
    before = workplace.row("splunk").config

    def act(values: dict[str, str]) -> object:
        if door == "edit":
            return connections.edit(people.a, id, values=values)
        return list(connections.stages_draft(people.a, "splunk", values, id))

    with pytest.raises(Invalid, match="the saved credentials are asked for again") as refused:
        act(change)
    assert set(refused.value.fields) == {"token"}
    assert workplace.row("splunk").config == before
    act(change | {"token": "11111111-2222-3333-4444-555555555555"})


def test_a_field_that_moves_no_secret_is_changed_without_it(workplace: Workplace) -> None:
    id = workplace.connect("splunk")
    connections.edit(
        workplace.who, id, values={"index": "other", "url": workplace.row("splunk").config["url"]}
    )
    assert workplace.row("splunk").config["index"] == "other"


# --- what others are told of a shared connection --------------------------------------------------


def test_a_tools_words_are_for_those_who_may_see_the_record(workplace: Workplace, people: People) -> None:
    id = workplace.connect("splunk")
    quoted = "Splunk answered 400: bad event ines@example.net"
    with db.session() as session:
        row = session.get_one(Connection, id)
        row.shared, row.problem = True, quoted
    workplace.scans(1)
    workplace.sandbox.fault("splunk", "401")
    workplace.sync("splunk")
    seen = [
        str(connections.find(people.b, id)),
        str(connections.list_views(people.b)),
        str(connections.board(people.b)),
        str(health.overview(people.b, 24)),
        str(history.logs(people.b)),
    ]
    own = [str(connections.find(people.a, id).problem), str(history.logs(people.a))]
    problem = str(workplace.row("splunk").problem)
    assert all(problem in told for told in own)
    assert not any(problem in told for told in seen)
    assert "its owner sees" in connections.find(people.b, id).standing.sentence


def test_the_story_of_a_record_quotes_no_tool_to_others(workplace: Workplace, people: People) -> None:
    admins = Workplace(people.admin, workplace.sandbox)
    id = admins.connect("splunk", scope="all")
    (record,) = workplace.scans(1)
    workplace.sandbox.fault("splunk", "401")
    admins.sync("splunk")
    quoted = "Splunk answered 401: bad event ines@example.net"
    with db.session() as session:
        row = session.get_one(Connection, id)
        row.shared, row.problem = True, quoted
    assert quoted in str(history.explain(people.admin, "scan", record))
    told = history.explain(workplace.who, "scan", record)
    assert quoted not in str(told)
    assert "its owner sees" in told.connections[0].sentence
