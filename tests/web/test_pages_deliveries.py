"""Where each record went: the list with its filters, the story of one delivery, and once more."""

import re
from datetime import timedelta
from html import unescape

import pytest
from sqlmodel import Session
from streamlit.testing.v1 import AppTest

from core import access, connections, records
from core.access import LOCAL, Principal
from core.delivery.history import search
from core.delivery.history.search import DeliveryFilter
from core.platform.errors import NotFound
from core.storage import db
from core.storage.models import Connection, Delivery, Kind, State, TicketLink, User
from tests.conftest import People
from tests.support import scenes, sendings
from tests.support.scenes import connect
from tests.support.visits import Visit, ana, own_hub, person, said, shown, visit
from tests.web.test_pages import splunk

__all__ = ["ana", "own_hub", "splunk", "visit"]
LINK = re.compile(r'<td class="record"[^>]*><a href="[^"]*">([^<]*)</a>')


def send(session: Session, connection: Connection, state: State, email: str = "ines@example.net") -> int:
    record = sendings.scan(session, connection.user_id, email)
    return sendings.delivery(session, connection, record, state)


def titles(who: Principal, wanted: DeliveryFilter | None = None) -> list[str]:
    return [row.title.split()[-1] for row in search.search(who, wanted or DeliveryFilter()).rows]


# --- the search, on both databases ----------------------------------------------------------------


def test_the_newest_come_first_and_the_older_on_the_next_page(people: People) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        for number in range(5):
            send(session, only, State.DELIVERED, f"n{number}@x.net")
    first = search.search(people.a, DeliveryFilter(), limit=2)
    assert [row.title.split()[-1] for row in first.rows] == ["n4@x.net", "n3@x.net"]
    second = search.search(people.a, DeliveryFilter(), limit=3, before=first.older)
    assert [row.title.split()[-1] for row in second.rows] == ["n2@x.net", "n1@x.net", "n0@x.net"]
    assert second.older is None


@pytest.mark.parametrize("state", list(State))
def test_each_state_finds_its_own(people: People, state: State) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        for each in State:
            send(session, only, each, f"{each}@x.net")
    assert titles(people.a, DeliveryFilter(state=state)) == [f"{state}@x.net"]


def test_a_record_is_found_by_its_id_and_by_its_key(people: People) -> None:
    with db.session() as session:
        one, two = (connect(session, people.a.user_id, name) for name in ("one", "two"))
        record = sendings.scan(session, people.a.user_id, "ines@x.net")
        sendings.delivery(session, one, record)
        chosen = sendings.delivery(session, two, record)
        send(session, one, State.DELIVERED, "other@x.net")
        key = session.get_one(Delivery, chosen).key
    found = search.search(people.a, DeliveryFilter()).rows
    by_id = DeliveryFilter(record=found[-1].record_id)
    assert {row.connection for row in search.search(people.a, by_id).rows} == {"one", "two"}
    assert [row.id for row in search.search(people.a, DeliveryFilter(record=f" {key} ")).rows] == [chosen]
    assert titles(people.a, DeliveryFilter(record="nothing")) == []


@pytest.fixture
def shelf(people: People) -> tuple[str, str]:
    """Deliveries to look for; the ids of Rosa's scan and of the case."""
    with db.session() as session:
        soc, desk = (connect(session, people.a.user_id, name) for name in ("SOC", "Desk"))
        theirs = connect(session, people.b.user_id, "theirs")
        for owner, connection in ((people.a, soc), (people.b, theirs)):
            for name in ("rosa.luz", "mara.ito"):
                record = sendings.scan(session, owner.user_id, f"{name}@example.net")
                sendings.delivery(session, connection, record)
        case = {"id": "case-4711-b", "user_id": people.a.user_id, "title": "Address of Élodie Roux is public"}
        records.store(session, Kind.CASE, [case])
        (stored,) = records.latest(session, Kind.CASE, owner_id=None, limit=1)
        local_id, now = stored["local_id"], db.now(session)
        sendings.delivery(session, desk, local_id, record_kind=Kind.CASE, vendor_id="INC0010005")
        session.add(
            TicketLink(
                user_id=people.a.user_id,
                integration_id=desk.id,
                case_local_id=local_id,
                external_ticket_id="INC0010005",
                created_at=now,
                updated_at=now,
            )
        )
        rosa = records.latest(session, Kind.SCAN, owner_id=people.a.user_id, limit=2)[1]["id"]
    return rosa, "case-4711-b"


def test_a_search_finds_a_name_a_subject_a_beginning_and_a_ticket(
    people: People, shelf: tuple[str, str]
) -> None:
    def found(typed: str, who: Principal = people.a) -> list[str]:
        return titles(who, DeliveryFilter(record=typed))

    assert found("rosa") == found("ROSA luz") == found(shelf[0][:8]) == ["rosa.luz@example.net"]
    assert (
        found("élodie public") == found("INC0010005") == found("inc0010005") == found("case-47") == ["public"]
    )
    assert found("example.net") == ["mara.ito@example.net", "rosa.luz@example.net"]
    assert found("rosa", people.admin) == ["rosa.luz@example.net"] * 2
    assert found("public", people.b) == found("INC0010005", people.b) == found(shelf[1], people.b) == []
    assert found("rosa nobody") == []
    assert titles(people.a, DeliveryFilter(record="rosa", state="dead")) == []


def test_a_search_by_words_goes_on_where_it_stopped(
    people: People, shelf: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "CHUNK", 1)
    monkeypatch.setattr(search, "LOOKED_AT", 2)
    wanted = DeliveryFilter(record="rosa")
    first = search.search(people.a, wanted)
    assert (first.rows, first.older is None) == ((), False)
    second = search.search(people.a, wanted, before=first.older)
    assert [row.title.split()[-1] for row in second.rows] == ["rosa.luz@example.net"]
    assert search.search(people.a, DeliveryFilter(record="net"), limit=1, before=first.older).older


@pytest.mark.parametrize(("hours", "expected"), [(24, 2), (168, 4), (720, 5), (None, 6)])
def test_time_is_found_by_halving(people: People, hours: int | None, expected: int) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        record = sendings.scan(session, people.a.user_id, "ines@x.net")
        for days in (60, 20, 5, 2, 0.9, 0):
            sendings.delivery(session, only, record, State.SKIPPED, timedelta(days=days))
    assert len(search.search(people.a, DeliveryFilter(hours=hours)).rows) == expected


def test_a_time_in_which_nothing_was_queued_is_empty(people: People) -> None:
    with db.session() as session:
        only = connect(session, people.a.user_id, "only")
        record = sendings.scan(session, people.a.user_id, "ines@x.net")
        sendings.delivery(session, only, record, State.DELIVERED, timedelta(days=9))
    assert titles(people.a, DeliveryFilter(hours=24)) == []
    assert titles(people.b, DeliveryFilter(hours=24)) == []


def test_nobody_finds_anothers_also_where_the_connection_is_shared(people: People) -> None:
    with db.session() as session:
        theirs = connect(session, people.b.user_id, "shared", shared=True)
        number = send(session, theirs, State.RETRYING, "canary@x.net")
        connection_id = theirs.id
    record = search.search(people.b, DeliveryFilter()).rows[0].record_id
    for wanted in (
        DeliveryFilter(),
        DeliveryFilter(connection=connection_id),
        DeliveryFilter(record=record),
        DeliveryFilter(state="retrying"),
    ):
        assert titles(people.a, wanted) == []
        assert titles(people.admin, wanted) == ["canary@x.net"]
    assert search.upcoming(people.a, connection_id) == ()
    assert len(search.upcoming(people.b, connection_id)) == 1
    with pytest.raises(NotFound):
        search.title(people.a, number)


def test_a_record_that_is_gone_still_has_its_delivery(people: People) -> None:
    with db.session() as session:
        sendings.delivery(session, connect(session, people.a.user_id, "only"), 987_654)
    (row,) = search.search(people.a, DeliveryFilter()).rows
    assert (row.title, row.record_id) == ("A scan that is not kept any more", None)


# --- the page -------------------------------------------------------------------------------------


def listed(page: AppTest) -> list[str]:
    tables = [node.proto.body for node in page.get("html") if "hub-rows" in node.proto.body]
    return [unescape(found).split()[-1] for table in tables for found in LINK.findall(table)]


def deliver(splunk: str, *states: State) -> list[int]:
    with db.session() as session:
        row = session.get_one(Connection, splunk)
        return [send(session, row, state, f"{state}@x.net") for state in states]


def test_without_connections_it_leads_to_the_catalog(ana: User, visit: Visit) -> None:
    page = visit(ana, "deliveries")
    assert not page.exception
    assert [heading.value for heading in page.subheader] == ["Nothing is connected yet"]
    assert [button.label for button in page.button] == ["Open the catalog"]


def test_before_the_first_delivery_it_says_when_there_will_be_one(
    ana: User, splunk: str, visit: Visit
) -> None:
    page = visit(ana, "deliveries")
    assert [heading.value for heading in page.subheader] == ["Nothing was sent yet"]


def test_the_address_holds_the_filters_of_the_list(ana: User, splunk: str, visit: Visit) -> None:
    deliver(splunk, State.DELIVERED, State.DEAD, State.RETRYING)
    assert listed(visit(ana, "deliveries")) == ["retrying@x.net", "dead@x.net", "delivered@x.net"]
    for state in ("Dead", "dead"):
        assert listed(visit(ana, "deliveries", state=state)) == ["dead@x.net"]
    for connection in ("SOC prod", splunk):
        assert len(listed(visit(ana, "deliveries", connection=connection, time="24h"))) == 3
    empty = visit(ana, "deliveries", record="nothing")
    assert [heading.value for heading in empty.subheader] == ["No delivery matches these filters"]
    empty.button(key="clear").click().run()
    assert len(listed(empty)) == 3


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"state": "deaf"}, 'There is no state "deaf": all states are shown.'),
        ({"connection": "nobody"}, 'There is no connection "nobody": all connections are shown.'),
        ({"time": "9d"}, 'There is no range "9d": All is shown.'),
        ({"before": "9" * 23}, f'There is no delivery "{"9" * 23}": the newest are shown.'),
        ({"before": "0"}, ""),
        ({"delivery": "x"}, 'There is no delivery "x": only the list is shown.'),
    ],
)
def test_what_an_address_asks_for_in_vain_is_said(
    ana: User, splunk: str, visit: Visit, query: dict[str, str], sentence: str
) -> None:
    deliver(splunk, State.DELIVERED, State.DEAD)
    page = visit(ana, "deliveries", **query)
    assert not page.exception
    assert listed(page) == ([] if "before" in query and not sentence else ["dead@x.net", "delivered@x.net"])
    said_so = [shown(warning.value) for warning in page.warning]
    assert said_so == ([sentence] if sentence else [])


def test_a_search_that_did_not_look_at_all_of_them_offers_to_go_on(
    ana: User, splunk: str, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "CHUNK", 1)
    monkeypatch.setattr(search, "LOOKED_AT", 1)
    deliver(splunk, State.DEAD, State.DELIVERED)
    page = visit(ana, "deliveries", record="dead")
    assert [heading.value for heading in page.subheader] == ["No delivery has these words"]
    page.button(key="older").click().run()
    assert listed(page) == ["dead@x.net"]
    page.button(key="newest").click().run()
    assert listed(page) == []


def test_a_story_has_each_request_and_answer(ana: User, splunk: str, visit: Visit) -> None:
    (number,) = deliver(splunk, State.DEAD)
    page = visit(ana, "deliveries", delivery=str(number))
    assert not page.exception
    seen = said(page)
    assert "It is not tried again. Splunk answered 400" in seen
    assert "answered 503" in seen
    assert "answered 400" in seen
    assert "Invalid data format" in seen
    assert "under the same key, fiq-scan-" in seen
    assert "the tool will show it twice" in seen


@pytest.mark.parametrize("number", ["999999", "nonsense", "99999999999999999999999"])
def test_a_story_that_is_not_there_is_a_sentence(ana: User, splunk: str, visit: Visit, number: str) -> None:
    deliver(splunk, State.DELIVERED)
    page = visit(ana, "deliveries", delivery=number)
    assert not page.exception
    assert listed(page) == ["delivered@x.net"]


def test_what_is_in_the_queue_has_no_replay(ana: User, splunk: str, visit: Visit) -> None:
    for number in deliver(splunk, State.PENDING, State.RETRYING, State.IN_DOUBT, State.SENDING, State.HELD):
        page = visit(ana, "deliveries", delivery=str(number))
        assert not page.exception
        assert "Replay" not in [button.label for button in page.button]


def test_a_viewer_reads_a_story_and_replays_nothing(ana: User, splunk: str, visit: Visit) -> None:
    (number,) = deliver(splunk, State.DEAD)
    access.set_role(LOCAL, ana.email, "viewer")
    page = visit(ana, "deliveries", delivery=str(number))
    assert "It is not tried again" in said(page)
    assert "Replay" not in [button.label for button in page.button]


def test_a_story_of_a_deleted_connection_says_what_to_do(ana: User, splunk: str, visit: Visit) -> None:
    (number,) = deliver(splunk, State.DEAD)
    with db.session() as session:
        connect(session, ana.id, "another")
    connections.delete(LOCAL, splunk)
    page = visit(ana, "deliveries", delivery=str(number))
    assert not page.exception
    assert "connect the tool again" in said(page)


def test_anothers_story_is_not_there(ana: User, splunk: str, visit: Visit) -> None:
    (number,) = deliver(splunk, State.DEAD)
    ben = person("ben@example.org")
    with db.session() as session:
        connect(session, ben.id, "of ben")
    page = visit(ben, "deliveries", delivery=str(number))
    assert "Not found" in said(page)
    assert "dead@x.net" not in said(page)


def test_a_hub_on_fire_lists_what_waits(ana: User, visit: Visit) -> None:
    scenes.hub(ana, 5, on_fire=True)
    page = visit(ana, "deliveries")
    assert not page.exception
    assert len(listed(page)) == 50
    page.button(key="older").click().run()
    assert len(listed(page)) == 50
    assert "Newest" in [button.label for button in page.button]


# --- where the links in tickets, events and messages lead ----------------------------------------------


def test_a_link_to_a_record_shows_what_became_of_it(ana: User, splunk: str, visit: Visit) -> None:
    with db.session() as session:
        connection = session.get_one(Connection, splunk)
        send(session, connection, State.DELIVERED)
        (record,) = records.latest(session, Kind.SCAN, owner_id=None, limit=1)
    page = visit(ana, "records", kind="scan", id=record["id"])
    assert not page.exception
    assert record["id"] in said(page)
    assert "Delivered at" in said(page)


def test_a_link_to_a_record_that_is_gone_is_a_sentence(ana: User, splunk: str, visit: Visit) -> None:
    page = visit(ana, "records", kind="scan", id="nowhere")
    assert not page.exception
    assert "Not found" in [part.value for part in page.subheader]
