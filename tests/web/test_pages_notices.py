"""What the pages say about held tickets, digests and connections that fail for days; and what can be pressed."""

from datetime import timedelta

import pytest
from streamlit.testing.v1 import AppTest

from core import connections
from core.delivery import history, housekeeping, sync
from core.storage import db
from core.storage.models import Connection, State, User
from core.web.ui import actions
from sandbox import Sandbox
from tests.support import scenes, sendings
from tests.support.visits import Visit, ana, connect, own_hub, person, principal, said, visit
from tests.support.workplace import sandbox

__all__ = ["ana", "own_hub", "sandbox", "visit"]


@pytest.fixture
def held(ana: User, sandbox: Sandbox) -> str:
    """A Jira with three tickets that wait for a person."""
    ref = connect(ana, sandbox, "jira", "Desk")
    with db.session() as session:
        scenes.beat(session)
        row = session.get_one(Connection, ref)
        row.last_sync = db.now(session)
        record = sendings.scan(session, ana.id, "ines.novak@example.net")
        for _ in range(3):
            sendings.delivery(session, row, record, State.HELD, payload='{"key":"x","summary":"y"}')
    return ref


def states(who: User, ref: str) -> set[str]:
    return {row.state for row in history.listing(principal(who), ref)}


def test_health_asks_for_a_word_and_leads_to_the_connection(ana: User, held: str, visit: Visit) -> None:
    page = visit(ana, "health")
    assert not page.exception
    assert "3 tickets wait for you: this many at once are not created unasked." in said(page)
    assert page.button(key=f"see_{held}").label == "Decide"


def test_a_press_creates_all_that_is_held(ana: User, held: str, visit: Visit) -> None:
    page = visit(ana, "connection", id=held)
    assert "3 tickets wait for you" in said(page)
    page.button(key="release").click().run()
    assert not page.exception
    assert states(ana, held) == {"pending"}
    assert "Tickets wait for your word" not in said(page)


def test_a_discard_asks_first_and_says_what_is_lost_and_how_it_is_taken_back(
    ana: User, held: str, visit: Visit
) -> None:
    page = visit(ana, "connection", id=held)
    page.button(key="discard").click().run()
    assert states(ana, held) == {"held"}
    assert "3 tickets are not created in Jira." in said(page)
    page.session_state["asked_action"] = (
        actions.DISCARD,
        held,
    )  # AppTest draws a dialog while its opener runs
    page.button(key="really_discard").click().run()
    assert not page.exception
    assert states(ana, held) == {"skipped"}
    assert "Tickets wait for your word" not in said(page)
    assert "Replay… with the state Skipped takes it back" in said(page)


def test_a_discard_can_be_thought_better_of(ana: User, held: str, visit: Visit) -> None:
    page = visit(ana, "connection", id=held)
    page.button(key="discard").click().run()
    page.session_state["asked_action"] = (actions.DISCARD, held)
    page.button(key="keep_held").click().run()
    assert states(ana, held) == {"held"}


def test_a_viewer_sees_what_is_held_and_no_buttons(ana: User, held: str, visit: Visit) -> None:
    connections.edit(principal(ana), held, shared=True)
    vera = person("vera@example.org", "viewer")
    page = visit(vera, "connection", id=held)
    assert "3 tickets wait for you" in said(page)
    assert not {"release", "discard"} & {button.key for button in page.button}


def test_one_of_them_can_be_decided_in_its_story(ana: User, held: str, visit: Visit) -> None:
    first = history.listing(principal(ana), held)[0].id
    page = visit(ana, "deliveries", delivery=str(first))
    page.button(key="release_one").click().run()
    assert sorted(row.state for row in history.listing(principal(ana), held)) == [
        "held",
        "held",
        "pending",
    ]


def test_one_of_them_is_discarded_when_somebody_said_it_twice(ana: User, held: str, visit: Visit) -> None:
    first = history.listing(principal(ana), held)[0].id
    page = visit(ana, "deliveries", delivery=str(first))
    page.button(key="discard_one").click().run()
    assert states(ana, held) == {"held"}
    assert "1 ticket is not created in Jira." in said(page)
    page.button(key="really_discard_one").click().run()
    assert history.one(principal(ana), first).state == "skipped"


def fail(ref: str, days: float, told_day: int = 0, **fields: object) -> None:
    with db.session() as session:
        row, now = session.get_one(Connection, ref), db.now(session)
        row.failing_since, row.last_failure_at = now - timedelta(days=days), now
        row.failures, row.told_day = 9, told_day
        row.last_sync = now
        for name, value in fields.items():
            setattr(row, name, value)


def open_failing(
    ana: User, sandbox: Sandbox, visit: Visit, days: float, *, channel: bool, **fields: object
) -> AppTest:
    chat = {"notify_via": connect(ana, sandbox, "slack", "SOC chat")} if channel else {}
    ref = connect(ana, sandbox, "splunk", "SOC prod", **chat)
    fail(ref, days, **fields)
    return visit(ana, "connection", id=ref)


def test_from_the_first_day_on_the_end_is_named_and_who_was_told(
    ana: User, sandbox: Sandbox, visit: Visit
) -> None:
    page = open_failing(ana, sandbox, visit, 2.1, channel=True, told_day=1)
    (warning,) = [each for each in page.warning if "SOC chat" in each.value]
    assert warning.value == "“SOC chat” was told on day 1, and is again on day 3."
    assert "It is switched off on" in said(page)
    assert "Nothing was delivered for 2 d" in said(page)


def test_without_a_channel_the_page_says_how_to_get_one(ana: User, sandbox: Sandbox, visit: Visit) -> None:
    page = open_failing(ana, sandbox, visit, 1.5, channel=False)
    assert "choose a channel under Edit, More options" in said(page)


def test_a_failure_of_an_hour_is_no_notice_yet(ana: User, sandbox: Sandbox, visit: Visit) -> None:
    page = open_failing(ana, sandbox, visit, 0.05, channel=True)
    assert "Nothing was delivered for" not in said(page)
    assert "It is switched off on" in said(page)  # in its sentence


def test_what_was_switched_off_says_why(ana: User, sandbox: Sandbox, visit: Visit) -> None:
    page = open_failing(ana, sandbox, visit, 4.99, channel=True, told_day=3)
    (ref,) = [line.id for line in connections.board(principal(ana)).lines if line.slug == "splunk"]
    fail(ref, 5.01, told_day=3)
    housekeeping.housekeep()
    page = visit(ana, "connection", id=ref)
    assert "Switched off: nothing reached Splunk for 5 days" in said(page)
    assert "“SOC chat” was told." in said(page)


def test_the_settings_name_the_channel(ana: User, sandbox: Sandbox, visit: Visit) -> None:
    chat = connect(ana, sandbox, "slack", "SOC chat")
    ref = connect(ana, sandbox, "splunk", "SOC prod", notify_via=chat)
    page = visit(ana, "connection", id=ref, tab="Settings")
    assert "SOC chat" in said(page)
    assert chat not in said(page)


def test_the_form_offers_ones_own_channels(ana: User, sandbox: Sandbox, visit: Visit) -> None:
    chat = connect(ana, sandbox, "slack", "SOC chat")
    connect(person("ben@example.org"), sandbox, "slack", "Not hers")
    ref = connect(ana, sandbox, "splunk", "SOC prod")
    page = visit(ana, "connect", edit=ref)
    (offered,) = [box for box in page.selectbox if box.label == "When it fails for days, tell"]
    assert offered.options == ["SOC chat"]
    offered.set_value(chat).run()
    save = next(button for button in page.button if button.label.startswith("Save"))
    save.click().run()
    assert not page.exception
    assert connections.find(principal(ana), ref).options["notify_via"] == chat


def test_a_digest_is_named_and_leads_to_its_records(ana: User, sandbox: Sandbox, visit: Visit) -> None:
    from core.records import intake
    from core.storage.models import Kind

    ref = connect(ana, sandbox, "slack", "SOC chat", batch_limit=100)
    alert = {"user_id": ana.id, "title": "Leak", "severity": "high", "alert_type": "data_breach"}
    intake.store(principal(ana), Kind.ALERT, [{"id": str(n)} | alert for n in range(22)])
    assert sync.run(ref, "manual").count == 22
    listed = history.listing(principal(ana), ref)
    page = visit(ana, "deliveries", delivery=str(listed[0].id))
    assert "22 alerts in one message: 22 high" in said(page)
    assert "The records in it" in said(page)
    page = visit(ana, "deliveries", delivery=str(listed[1].id))
    assert "in a digest." in said(page)
