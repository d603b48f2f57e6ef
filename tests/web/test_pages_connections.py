"""The list of connections as a person gets it: empty, normal, on fire, sixty of them, and never someone else's."""

import sqlite3
from datetime import timedelta

import pytest
from sqlalchemy import make_url
from streamlit.testing.v1 import AppTest

from core import connections
from core.delivery import sync
from core.health import Status
from core.records import intake
from core.storage import db
from core.storage.models import Connection, Kind, User
from core.web.ui import actions
from sandbox import Sandbox
from tests.support import scenes
from tests.support.visits import Visit, ana, connect, crowd, own_hub, person, principal, said, shown, visit
from tests.support.workplace import sandbox
from tests.web.test_pages import HOSTILE

__all__ = ["ana", "own_hub", "sandbox", "visit"]


def row(ref: str) -> Connection:
    with db.reading() as session:
        return session.get_one(Connection, ref)


def ask(page: AppTest, action: str, ref: str) -> AppTest:
    """What the menu does; AppTest has no menu buttons."""
    page.session_state["asked_action"] = (action, ref)
    return page.run()


def in_dialog(page: AppTest, action: str, ref: str, key: str) -> AppTest:
    """Press a dialog's button; AppTest draws a dialog only while its opener runs."""
    ask(page, action, ref)
    page.session_state["asked_action"] = (action, ref)
    return page.button(key=key).click().run()


# --- the weather --------------------------------------------------------------------------------------


def test_an_empty_list_leads_to_the_catalog(ana: User, visit: Visit) -> None:
    page = visit(ana, "connections")
    assert not page.exception
    assert [heading.value for heading in page.subheader] == ["Nothing is connected yet"]
    page.button(key="first").click().run()
    assert "Catalog" in [heading.value for heading in page.header]


def test_each_connection_is_a_row_with_its_state_and_its_reason(ana: User, visit: Visit) -> None:
    with db.session() as session:
        scenes.beat(session)
        scenes.connect(session, ana.id, "SOC", problem="Splunk answered 403. Enable the token.")
        desk = scenes.connect(session, ana.id, "Desk", "jira")
        scenes.figures(session, desk, 0, runs_ok=1, delivered=1_234)
        scenes._backlog(session, desk, 3)
    page = visit(ana, "connections")
    assert not page.exception
    seen = said(page)
    assert seen.index("SOC") < seen.index("Desk")  # who needs somebody comes first
    for sentence in ("Splunk answered 403. Enable the token.", "1.2k in 24 h", "3 waiting", "Again in 3 min"):
        assert sentence in seen
    assert not page.warning


def test_sixty_connections_come_in_pages(ana: User, visit: Visit) -> None:
    crowd(ana, 60)
    page = visit(ana, "connections")
    assert not page.exception
    assert len(page.toggle) == 25
    assert "60 of 60 connections" in said(page)
    last = visit(ana, "connections", page="3")
    assert len(last.toggle) == 10
    assert not last.exception


@pytest.mark.parametrize("number", ["4", "0", "x", "9" * 23])
def test_a_page_that_is_not_there_is_a_sentence(ana: User, visit: Visit, number: str) -> None:
    crowd(ana, 60)
    page = visit(ana, "connections", page=number)
    assert not page.exception
    assert len(page.toggle) == 25
    assert f'There is no page "{number}": the first is shown.' in said(page)


@pytest.mark.parametrize(
    ("query", "rows"),
    [({"state": "Off"}, 2), ({"q": "jira 01"}, 1), ({"q": "needs you"}, 2), ({"q": "nowhere"}, 0)],
)
def test_search_and_state_come_from_the_address(
    ana: User, visit: Visit, query: dict[str, str], rows: int
) -> None:
    crowd(ana, 12)
    page = visit(ana, "connections", **query)
    assert not page.exception
    assert len(page.toggle) == rows
    assert ("No connection matches." in said(page)) == (rows == 0)


@pytest.mark.parametrize(("ago_s", "title"), [(None, "has not run yet"), (7300, "silent for 2 h"), (3, None)])
def test_a_stopped_scheduler_is_said(ana: User, visit: Visit, ago_s: float | None, title: str | None) -> None:
    with db.session() as session:
        scenes.connect(session, ana.id, "SOC")
        if ago_s is not None:
            scenes.beat(session, ago_s)
    page = visit(ana, "connections")
    assert [title in warning.proto.title for warning in page.warning] == ([True] if title else [])


def test_a_locked_database_is_a_sentence(ana: User, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    with db.session() as session:
        ref = scenes.connect(session, ana.id, "SOC").id
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 50)
    db.configure(db.engine().url.render_as_string())
    page = visit(ana, "connections")
    other = sqlite3.connect(str(make_url(db.engine().url).database), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    page.toggle(key=f"on_{ref}").set_value(False).run()
    other.execute("ROLLBACK")
    other.close()
    assert not page.exception
    assert "is busy: another process holds it. Try again in a moment." in said_by_toast(page)
    assert page.toggle(key=f"on_{ref}").value is True


def said_by_toast(page: AppTest) -> str:
    return shown(" ".join(toast.value for toast in page.toast))


def test_a_connection_whose_tool_left_the_catalog_can_still_be_paused_and_deleted(
    ana: User, visit: Visit
) -> None:
    with db.session() as session:
        ref = scenes.connect(session, ana.id, "Old", "elastic").id
        session.get_one(Connection, ref)
        entry = scenes.catalog(session)["elastic"]
        entry.slug = "no_longer_there"
        session.add(entry)
    page = visit(ana, "connections")
    assert not page.exception
    assert "Old" in said(page)
    in_dialog(page, actions.DELETE, ref, "really_delete")
    assert not page.exception
    assert row(ref).deleted_at is not None


# --- what a person does -------------------------------------------------------------------------------


def test_the_toggle_switches_it_off_and_on(ana: User, visit: Visit) -> None:
    with db.session() as session:
        ref = scenes.connect(session, ana.id, "SOC").id
    page = visit(ana, "connections")
    page.toggle(key=f"on_{ref}").set_value(False).run()
    assert row(ref).is_active is False
    assert "It is paused" in said_by_toast(page)
    assert Status.PAUSED in said(page)
    page.toggle(key=f"on_{ref}").set_value(True).run()
    assert row(ref).is_active is True


def test_the_toggle_shows_what_another_tab_did(ana: User, visit: Visit) -> None:
    with db.session() as session:
        ref = scenes.connect(session, ana.id, "SOC").id
    page = visit(ana, "connections")
    connections.disable(principal(ana), ref)
    page.run()
    assert page.toggle(key=f"on_{ref}").value is False


def test_many_waiting_records_are_asked_about(ana: User, visit: Visit) -> None:
    with db.session() as session:
        soc = scenes.connect(session, ana.id, "SOC", is_active=False)
        scenes._backlog(session, soc, 1_001)
    page = visit(ana, "connections")
    page.toggle(key=f"on_{soc.id}").set_value(True).run()
    assert row(soc.id).is_active is False
    assert "1,001 records have been waiting while it was off." in said(page)
    in_dialog(page, actions.RESUME, soc.id, "skip")
    assert row(soc.id).is_active is True
    (line,) = connections.board(principal(ana)).lines
    assert line.facts.waiting == 0


def test_sync_now_says_what_came_of_it(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    ref = connect(ana, sandbox, "slack", "Team")
    page = visit(ana, "connections")
    ask(page, actions.SYNC, ref)
    assert not page.exception
    assert "Nothing new for Slack." in said(page)
    sandbox.fault("slack", "403")
    ask(page, actions.TEST, ref)
    assert "Slack does not work with these settings yet" in said(page)


def test_deleting_names_what_stays(ana: User, visit: Visit, sandbox: Sandbox) -> None:
    ref = connect(ana, sandbox, "jira", "Desk")
    page = visit(ana, "connections")
    ask(page, actions.DELETE, ref)
    for words_shown in (
        "The credentials are destroyed.",
        "Tickets keep their links",
        "Nothing is removed in Jira",
    ):
        assert words_shown in said(page)
    assert row(ref).deleted_at is None
    in_dialog(page, actions.DELETE, ref, "really_delete")
    assert row(ref).deleted_at is not None
    assert [heading.value for heading in page.subheader][:1] == ["Nothing is connected yet"]


@pytest.mark.parametrize("action", [actions.SYNC, actions.TEST, actions.DELETE, actions.RESUME])
def test_what_another_tab_deleted_is_a_sentence(
    ana: User, visit: Visit, sandbox: Sandbox, action: str
) -> None:
    ref = connect(ana, sandbox, "slack", "Team")
    page = visit(ana, "connections")
    connections.delete(principal(ana), ref)
    ask(page, action, ref)
    assert not page.exception
    assert "somebody deleted it, perhaps in another tab" in said_by_toast(page)


def test_a_toggle_of_a_deleted_connection_is_a_sentence(ana: User, visit: Visit) -> None:
    with db.session() as session:
        ref = scenes.connect(session, ana.id, "SOC").id
        scenes.connect(session, ana.id, "Other")
    page = visit(ana, "connections")
    connections.delete(principal(ana), ref)
    page.toggle(key=f"on_{ref}").set_value(False).run()
    assert not page.exception
    assert "somebody deleted it" in said_by_toast(page)


# --- who sees what ------------------------------------------------------------------------------------


def test_a_person_sees_and_changes_nothing_of_anothers(ana: User, visit: Visit) -> None:
    ben = person("ben@example.org")
    with db.session() as session:
        scenes.connect(session, ana.id, "of ana")
        theirs = scenes.connect(session, ben.id, "canary of ben").id
        shared = scenes.connect(session, ben.id, "shared by ben", shared=True).id
    page = visit(ana, "connections", q="")
    assert "canary" not in said(page)
    assert "shared by ben" in said(page)
    assert [toggle.key for toggle in page.toggle if shared in toggle.key] == []
    for ref in (theirs, shared):
        ask(page, actions.DELETE, ref)
        assert not [button for button in page.button if button.key == "really_delete" and ref == theirs]
    in_dialog(page, actions.DELETE, shared, "really_delete")
    assert "It is not there any more" in said_by_toast(page)
    assert row(shared).deleted_at is None


def test_a_viewer_sees_no_change_buttons(own_hub: None, visit: Visit) -> None:
    viewer, ben = person("vic@example.org", "viewer"), person("ben@example.org")
    with db.session() as session:
        scenes.connect(session, ben.id, "shared by ben", shared=True)
    page = visit(viewer, "connections")
    assert not page.exception
    assert "shared by ben" in said(page)
    assert not page.toggle
    assert [button.label for button in page.button] == []
    assert not page.get("menu_button")


def test_names_and_sentences_are_shown_as_written(ana: User, visit: Visit) -> None:
    with db.session() as session:
        ref = scenes.connect(session, ana.id, HOSTILE[:100], problem=HOSTILE).id
    page = visit(ana, "connections")
    assert not page.exception
    assert HOSTILE in [text.value for text in page.text]
    unescaped = [node for node in (*page.markdown, *page.caption) if "](javascript" in node.value]
    assert unescaped == []
    ask(page, actions.DELETE, ref)
    assert HOSTILE[:100] in [text.value for text in page.text]


# --- the strip ----------------------------------------------------------------------------------------


def test_the_strip_says_in_words_what_it_shows() -> None:
    def script() -> None:
        from core.web.ui.run_strip import strip

        strip([[1_795_000_000, "success", 9], [1_795_000_300, "failed", 0]])
        strip([])

    page = AppTest.from_function(script).run()
    first, empty = (node.proto.body for node in page.get("html"))
    assert 'aria-label="Last 2 runs: 1 delivered, 1 failed"' in first
    assert "failed, 0 records" in first
    assert first.count("<span") == empty.count("<span") == 30
    assert 'aria-label="No run yet"' in empty


def test_the_board_counts_the_last_day_only(ana: User) -> None:
    with db.session() as session:
        soc = scenes.connect(session, ana.id, "SOC")
        for back in (0, 5, 30):
            scenes.figures(session, soc, back, delivered=10)
    (line,) = connections.board(principal(ana)).lines
    assert line.delivered_today == 20
    assert line.last_sync is not None
    assert connections.board(principal(ana)).at - line.last_sync < timedelta(minutes=2)


# --- what was not taken yet ---------------------------------------------------------------------------


def test_a_backlog_is_named_with_the_way_to_send_it_at_once(
    ana: User, visit: Visit, sandbox: Sandbox
) -> None:
    ref = connect(ana, sandbox, "slack", "Chat", every="1d", batch_limit=2)
    rows = [{"id": f"a-{number}", "title": "New exposure", "severity": "high"} for number in range(9)]
    intake.store(principal(ana), Kind.ALERT, rows)
    sync.run(ref, "manual")
    with db.session() as session:
        scenes.beat(session)
    page = visit(ana, "connection", id=ref)
    assert "7 records wait; at 2 every 1 d that takes 4 d." in said(page)
    assert page.button(key="send_all").label == "Send all now"
    sync.run(ref, "manual", drain=True)
    page.run()
    assert not [button for button in page.button if button.key == "send_all"]
