"""Pages of a log: all of it once, newest first, whoever's connections it comes from."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlmodel import Session

from core.access import Principal
from core.delivery import history
from core.delivery.history import search
from core.delivery.history.search import DeliveryFilter
from core.storage import db
from core.storage.models import Connection, SiemEvent, State, TicketLink
from tests.conftest import People
from tests.support import sendings
from tests.support.scenes import connect

List = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def mixed(people: People) -> dict[str, list[int]]:
    """Deliveries of three connections of `a`, one of which stopped long ago, and one of `b`: owner → ids."""
    with db.session() as session:
        old, two, three = (connect(session, people.a.user_id, name) for name in ("old", "two", "three"))
        theirs = connect(session, people.b.user_id, "theirs")
        theirs.shared = True  # shows others the connection, not the records
        order = [old] * 5 + [two, theirs, three, three, two, theirs, two, three, theirs]
        found: dict[str, list[int]] = {people.a.user_id: [], people.b.user_id: []}
        for at, connection in enumerate(order):
            state = State.SKIPPED if at % 3 == 0 else State.DELIVERED
            id = sendings.delivery(session, connection, 20_000 + at, state)
            _hang(session, connection, id, exported=state is State.DELIVERED)
            found[connection.user_id].insert(0, id)
    return found


def _hang(session: Session, connection: Connection, id: int, *, exported: bool) -> None:
    now = db.now(session)
    shared: dict[str, Any] = {
        "user_id": connection.user_id,
        "integration_id": connection.id,
        "created_at": now,
    }
    said = {"event_type": "scan", "severity": "high", "source": "footprintiq", "title": str(id)}
    session.add(SiemEvent(**shared, **said, id=id, delivery_id=id, is_exported=exported))
    case = {"case_id": str(id), "case_local_id": id, "external_ticket_id": f"T-{id}"}
    session.add(TicketLink(**shared, **case, id=id, updated_at=now))


@pytest.mark.parametrize("list_of", [history.listing, history.events, history.tickets])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_each_page_goes_on_where_the_last_one_ended(
    people: People, mixed: dict[str, list[int]], list_of: List, limit: int
) -> None:
    everybody = sorted([id for ids in mixed.values() for id in ids], reverse=True)
    for who, expected in (
        (people.a, mixed[people.a.user_id]),
        (people.b, mixed[people.b.user_id]),
        (people.admin, everybody),
    ):
        assert _walk(who, list_of, limit) == expected


@pytest.mark.parametrize("limit", [1, 4])
def test_a_filter_that_fits_few_pages_as_well(
    people: People, mixed: dict[str, list[int]], limit: int
) -> None:
    for who in (people.a, people.b, people.admin):
        rows = history.listing(who)
        for state in (State.SKIPPED, State.DELIVERED, State.DEAD):
            fits = [row.id for row in rows if row.state == state]
            assert _walk(who, history.listing, limit, state=str(state)) == fits
            assert [row.id for row in search.search(who, DeliveryFilter(state=state)).rows] == fits
        for exported in (True, False):
            fits = [row.id for row in history.events(who) if row.is_exported is exported]
            assert fits
            assert _walk(who, history.events, limit, exported=exported) == fits


def test_one_connection_is_its_owners_to_read(people: People, mixed: dict[str, list[int]]) -> None:
    assert len(history.listing(people.a, "old")) == 5
    assert [row.id for row in history.listing(people.b, "theirs")] == mixed[people.b.user_id]
    assert history.listing(people.a, "theirs") == history.events(people.a, "theirs") == []


def _walk(who: Principal, list_of: List, limit: int, **given: Any) -> list[int]:
    found: list[int] = []
    while True:
        before = found[-1] if found else None
        page = list_of(who, limit=limit, before=before, **given)
        found += [row.id for row in page]
        if len(page) < limit:
            return found
