"""`ticket_integrations` as its readers see it: the case's own id, and the tracker's first answer in the hub's words."""

from dataclasses import replace
from typing import Any

import pytest
from alembic import command
from sqlalchemy import delete, select, text, update
from sqlmodel import col

from core import connections
from core.delivery import history
from core.records import intake
from core.storage import db
from core.storage.models import Case, Kind, TicketLink
from core.storage.models.words import SEVERITIES
from tests.conftest import People
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

#: tracker → its own words for the status of a new ticket, and for each of SEVERITIES
OWN: dict[str, tuple[str | None, list[Any]]] = {
    "jira": (None, ["Low", "Medium", "High", "Highest"]),  # a created issue is answered without its status
    "servicenow": (
        "New",
        [
            {"impact": impact, "urgency": urgency}
            for impact, urgency in (("2", "3"), ("2", "2"), ("1", "2"), ("1", "1"))
        ],
    ),
    "zendesk": ("new", ["low", "normal", "high", "urgent"]),
}


def links() -> list[TicketLink]:
    with db.reading() as session:
        return list(session.execute(select(TicketLink).order_by(col(TicketLink.id))).scalars())


def step(revision: str) -> None:
    with db.engine(write=True).begin() as connection:
        config = db._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


@pytest.mark.parametrize("slug", OWN)
def test_a_link_says_which_case_and_what_the_tracker_answered(workplace: Workplace, slug: str) -> None:
    status, priorities = OWN[slug]
    cases = [workplace.cases(1, priority=word)[0] for word in SEVERITIES]
    workplace.connect(slug, order="oldest")
    assert workplace.sync(slug).count == 4
    found = links()
    assert [link.case_id for link in found] == cases
    assert [link.case_local_id for link in found] == [row.record_id for row in workplace.deliveries(slug)]
    assert [(link.status, link.priority) for link in found] == [("open", word) for word in SEVERITIES]
    said = {"status": status} if status else {}
    assert [link.meta for link in found] == [said | {"priority": own} for own in priorities]
    shown = history.tickets(workplace.who)
    assert [(ticket.case_id, ticket.metadata) for ticket in shown] == [
        (link.case_id, link.meta) for link in reversed(found)
    ]


def test_a_ticket_that_was_found_has_the_status_it_was_found_in(workplace: Workplace) -> None:
    workplace.connect("jira")
    workplace.cases(1)
    workplace.sandbox.fault("jira", "lost_answer", times=1)
    workplace.sync("jira", "scheduled")
    workplace.pass_time(seconds=61)
    workplace.sync("jira", "scheduled")
    (link,) = links()
    assert (link.status, link.priority, link.meta) == (
        "open",
        "high",
        {"status": "To Do", "priority": "High"},
    )


def test_a_word_of_ones_own_stays_as_it_is(workplace: Workplace) -> None:
    workplace.connect("zendesk", mapping={"priority": "urgent"})
    workplace.cases(1, priority="low")
    workplace.sync("zendesk")
    with db.session() as session:
        session.execute(update(TicketLink).values(meta={"status": "open", "priority": "P0"}, priority="P0"))
    connections.delete(workplace.who, workplace.ids["zendesk"])
    workplace.connect("zendesk")
    workplace.sync("zendesk")  # known without a call: as the first link has it
    first, second = links()
    assert (second.external_ticket_id, second.ticket_url) == (first.external_ticket_id, first.ticket_url)
    assert (second.priority, second.status, second.meta) == ("P0", "open", first.meta)


def test_two_people_may_have_a_case_of_one_id(workplace: Workplace, people: People) -> None:
    for who in (people.a, people.b):
        intake.store(who, Kind.CASE, [{"id": "7", "title": who.email, "status": "open"}])
    theirs = replace(workplace, who=people.admin, ids={})
    theirs.connect("jira", scope="all")
    assert theirs.sync("jira").count == 2
    assert [link.case_id for link in links()] == ["7", "7"]


def test_a_case_that_is_not_kept_any_more_is_still_named(workplace: Workplace) -> None:
    workplace.connect("jira")
    (case,) = workplace.cases(1)
    workplace.sync("jira")
    with db.session() as session:
        session.execute(delete(Case))
    assert [ticket.case_id for ticket in history.tickets(workplace.who)] == [case]


def test_a_case_that_comes_again_keeps_its_ticket(workplace: Workplace) -> None:
    workplace.connect("jira")
    (case, newest) = workplace.cases(2)
    workplace.sync("jira")
    with db.session() as session:
        session.execute(delete(Case).where(col(Case.id) == case))
    intake.store(workplace.who, Kind.CASE, [{"id": case, "title": "Again", "status": "open"}])
    workplace.sync("jira")
    with db.reading() as session:
        now = dict(session.execute(select(col(Case.id), col(Case.local_id))).all())
    assert {link.case_id: link.case_local_id for link in links()} == now
    assert [link.external_ticket_id for link in links()] == ["SEC-1", "SEC-2"]
    (told,) = history.explain(workplace.who, "case", case).connections
    assert told.delivery is not None
    assert str(told.delivery.ticket_url).endswith("/browse/SEC-1")
    assert newest in now


# --- rows of before -------------------------------------------------------------------------------


def test_links_of_before_are_told_in_words_and_back(workplace: Workplace) -> None:
    """As the release before kept them: the hub's integer as `case_id`, the tracker's word as `priority`."""
    cases = {}
    for slug in OWN:
        workplace.connect(slug)
    for word in SEVERITIES:
        (cases[word],) = workplace.cases(1, priority=word)
    for slug in OWN:
        workplace.sync(slug)
    intake.store(workplace.who, Kind.CASE, [{"id": "7", "title": "No uuid", "status": "open"}])
    workplace.sync("zendesk")
    before = links()
    step("0011")
    with db.session() as session:
        old = session.execute(
            text("SELECT id, case_id, external_ticket_id FROM ticket_integrations ORDER BY id")
        ).all()
        assert [tuple(row) for row in old] == [
            (link.id, link.case_local_id, link.external_ticket_id) for link in before
        ]
        for link in before:
            own = link.meta["priority"]
            session.execute(
                text("UPDATE ticket_integrations SET priority = :own, metadata = '{}' WHERE id = :id"),
                {"own": None if isinstance(own, dict) else own, "id": link.id},
            )
        session.execute(text("DELETE FROM cases WHERE id IN (:gone, '7')"), {"gone": cases["critical"]})
        session.execute(text("UPDATE webhook_deliveries SET payload = NULL WHERE vendor_id = 'INC0010001'"))
    db.migrate()
    db.check_current()
    after = links()
    assert [(link.id, link.case_local_id) for link in after] == [
        (link.id, link.case_local_id) for link in before
    ]
    # the key of a uuid holds it; of another id only a hash is left
    assert [link.case_id for link in after] == [*[link.case_id for link in before][:-1], None]
    kept = [link for link in after if link.external_ticket_id != "INC0010001"]
    first = {link.id: link for link in before}
    assert [link.priority for link in kept] == [first[link.id].priority for link in kept]
    assert [link.meta["priority"] for link in kept] == [first[link.id].meta["priority"] for link in kept]
    (lost,) = [link for link in after if link.external_ticket_id == "INC0010001"]
    assert (lost.priority, lost.meta) == (None, {})
