"""Health and Connection as a person gets them: empty, normal, on fire, and never someone else's."""

import re
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest
from sqlmodel import select
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from core import access, connections, health
from core.access import LOCAL
from core.platform.secret import MASK
from core.storage import db
from core.storage.models import Connection, SignIn, State, User
from core.web.ui import charts as charts_of
from core.web.ui import words
from core.web.ui.theme import _LIGHT as LIGHT
from tests.support import scenes, sendings
from tests.support.live import ROOT
from tests.support.scenes import connect, half_past
from tests.support.visits import PASSWORD, Visit, ana, own_hub, person, said, visit

__all__ = ["ana", "half_past", "own_hub", "visit"]
pytestmark = pytest.mark.usefixtures("half_past")
Open = Callable[..., AppTest]


@pytest.fixture
def open_page(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Draws the dashboard in a browser that holds this person's cookie; `visit` makes it as in the server."""

    def opened(who: User | None, script: str = "dashboard.py", **query: str) -> AppTest:
        token = access.sign_in(who.email, PASSWORD, "127.0.0.1") if who else ""
        monkeypatch.setattr(ContextProxy, "cookies", {access.COOKIE: token})
        page = AppTest.from_file(str(ROOT / script), default_timeout=60)
        for name, value in query.items():
            page.query_params[name] = value
        return page.run()

    return opened


def everything(page: AppTest) -> str:
    """All that was sent to the browser for this page, charts and tables with their bytes."""
    sent = [str(getattr(node, "proto", "")) for block in (page.main, page.sidebar) for node in block]
    return "\n".join(sent).replace("\\", "")


def metrics(page: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in page.metric}


def runs(page: AppTest) -> str:
    """The table of runs as it was sent."""
    (table,) = (node.proto.body for node in page.get("html") if "<table" in node.proto.body)
    return str(table)


def charts(page: AppTest) -> list[Any]:
    return [chart.proto for chart in page.get("vega_lite_chart")]


def test_an_empty_hub_says_how_to_begin(ana: User, open_page: Open) -> None:
    page = open_page(ana)
    assert not page.exception
    assert [heading.value for heading in page.subheader] == ["Nothing is connected yet"]
    assert [button.label for button in page.button] == ["Open the catalog"]
    assert [code.value for code in page.code] == ["make demo"]
    assert not page.metric


def test_a_normal_day_shows_four_figures_and_asks_for_nothing(ana: User, open_page: Open) -> None:
    scenes.hub(ana, 3)
    page = open_page(ana)
    assert not page.exception
    assert not page.warning
    shown = metrics(page)
    assert list(shown) == ["Success rate", "Records delivered", "Need attention", "Delay, 95th percentile"]
    assert shown["Need attention"] == "0 of 3"
    assert shown["Success rate"].startswith("9")
    assert any("Nothing. Every connection runs as it should." in caption.value for caption in page.caption)
    assert "ana@example.org" in everything(page)


def test_each_card_has_the_line_of_its_figure(ana: User, open_page: Open) -> None:
    with db.session() as session:
        splunk = connect(session, ana.id, "SOC")
        for back, delivered in ((1, 10), (0, 30)):
            scenes.figures(session, splunk, back, runs_ok=1, delivered=delivered)
    page = open_page(ana)
    lines = [unquote(found.proto.body) for found in page.get("html") if "hub-sparkline" in found.proto.body]
    rates, delivered, failing, _ = [re.findall(r'polyline points="(.*?)"', line)[0] for line in lines]
    assert {point.split(",")[1] for point in rates.split()} == {"15"}  # never changed: half-way
    assert {point.split(",")[1] for point in failing.split()} == {"28"}  # nothing at all
    assert delivered.endswith("95.65,28 100,2")  # highest at the right


def test_a_hub_on_fire_names_what_is_wrong_and_what_to_do(ana: User, open_page: Open) -> None:
    scenes.hub(ana, 5, on_fire=True)
    page = open_page(ana)
    assert not page.exception
    assert metrics(page)["Need attention"] == "3 of 5"
    seen = everything(page)
    assert "Splunk answered 403" in seen
    assert "7 calls in a row failed" in seen
    assert "one is due every 5 min" in seen
    assert [badge for badge in ("Needs you", "Failing", "Late") if badge in seen] == [
        "Needs you",
        "Failing",
        "Late",
    ]
    (failures,) = charts(page)
    assert "failed or blocked runs" in failures.alt
    assert seen.count("of the last 60 runs delivered everything") == 5 * 2  # for the eye and for the ear
    assert [button.label for button in page.button] == ["Fix", "Look", "Look"]


def test_the_heat_map_is_drawn_when_it_is_asked_for(ana: User, open_page: Open) -> None:
    scenes.hub(ana, 5, on_fire=True)
    page = open_page(ana, range="30d")
    page.session_state["shown"] = "Heat map"
    page.run()
    _, heat = charts(page)
    assert "per connection and day; worst:" in heat.alt


def test_sixty_connections_are_drawn(ana: User, open_page: Open) -> None:
    with db.session() as session:
        for number in range(60):
            broken = connect(
                session, ana.id, f"Number {number}", problem="Renew the token." if number % 2 else None
            )
            scenes.figures(session, broken, 1, runs_ok=5, runs_failed=number)
    page = open_page(ana, range="7d")
    assert not page.exception
    assert metrics(page)["Need attention"] == "30 of 60"
    assert "And 26 more" in everything(page)


def test_a_locked_database_is_one_sentence(
    ana: User, open_page: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scenes.hub(ana, 1)
    page = open_page(ana)
    monkeypatch.setattr(db, "BUSY_TIMEOUT_MS", 50)
    db.configure(f"sqlite:///{tmp_path}/hub.db")
    holder = sqlite3.connect(tmp_path / "hub.db", isolation_level=None)
    try:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        page.run()
    finally:
        holder.close()
    assert not page.exception
    assert "another process holds it" in said(page)
    assert not page.metric


def test_no_failures_are_a_sentence_and_not_an_empty_chart(ana: User, open_page: Open) -> None:
    with db.session() as session:
        scenes.figures(session, connect(session, ana.id, "Splunk"), 0, runs_ok=5, delivered=9)
    page = open_page(ana)
    assert any(
        "No run failed or was blocked and no record was refused" in caption.value for caption in page.caption
    )
    assert not charts(page)


def test_a_dark_page_has_its_own_style(ana: User, open_page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def styles(page: AppTest) -> str:
        blocks = page._tree.children.values()  # a style alone is sent beside the page
        return "".join(str(getattr(node, "proto", "")) for block in blocks for node in block)

    assert "stBaseButton-primary" not in styles(open_page(ana))
    monkeypatch.setattr(ContextProxy, "theme", SimpleNamespace(type="dark"))
    page = open_page(ana)
    assert not page.exception
    assert "stBaseButton-primary" in styles(page)


@pytest.mark.parametrize(
    ("ago_s", "title"),
    [(None, "has not run yet"), (16, "silent for 1"), (7300, "silent for 2 h"), (3, None)],
)
def test_a_silent_scheduler_is_said_with_the_next_step(
    ana: User, open_page: Open, ago_s: float | None, title: str | None
) -> None:
    with db.session() as session:
        connect(session, ana.id, "Splunk")
        if ago_s is not None:
            scenes.beat(session, ago_s)
    page = open_page(ana)
    warnings = [warning.proto.title for warning in page.warning]
    assert len(warnings) == (0 if title is None else 1)
    if title is not None:
        assert title in warnings[0]
        assert "`hub scheduler`" in page.warning[0].value


def test_the_address_holds_the_filters(ana: User, open_page: Open) -> None:
    with db.session() as session:
        for name, slug, sent in (("SOC", "splunk", 40), ("Desk", "jira", 2)):
            scenes.figures(session, connect(session, ana.id, name, slug), 30, runs_ok=1, delivered=sent)
    assert metrics(open_page(ana))["Records delivered"] == "0"
    assert metrics(open_page(ana, range="7d"))["Records delivered"] == "42"
    assert metrics(open_page(ana, range="7d", category="Ticketing"))["Records delivered"] == "2"
    assert metrics(open_page(ana, range="7d", connection="SOC"))["Records delivered"] == "40"
    assert metrics(open_page(ana, range="nonsense", category="nonsense"))["Records delivered"] == "0"


def test_choosing_a_category_leaves_only_its_connections(ana: User, open_page: Open) -> None:
    scenes.hub(ana, 4)
    page = open_page(ana)
    page.selectbox(key="category").select("ticketing").run()
    assert page.selectbox(key="connection").options == ["Jira SOC prod"]
    assert metrics(page)["Need attention"] == "0 of 1"


def test_the_runs_say_when_what_and_why(ana: User, open_page: Open) -> None:
    with db.session() as session:
        splunk = connect(session, ana.id, "SOC")
        scenes.figures(session, splunk, 0, runs_ok=1, runs_failed=1, delivered=7)
        scenes.run(session, splunk, timedelta(minutes=2), records_synced=7)
        scenes.run(session, splunk, timedelta(minutes=1), "failed", error_message="Splunk answered 503.")
    page = open_page(ana)
    assert re.findall(r"<b>(\w+)</b>", runs(page)) == ["Failed", "Delivered"]
    assert re.findall(r'class="number">(\d+)<', runs(page)) == ["0", "7"]
    assert ">1 min ago<" in runs(page)
    page.session_state["listed"] = "Recent failures"
    page.run()
    assert re.findall(r"<b>(\w+)</b>", runs(page)) == ["Failed"]
    assert ">Splunk answered 503.</td>" in runs(page)


def test_what_a_vendor_said_is_no_markup_in_the_table_of_runs(ana: User, open_page: Open) -> None:
    with db.session() as session:
        splunk = connect(session, ana.id, "SOC <b>1</b>")
        scenes.figures(session, splunk, 0, runs_failed=1)
        error = 'It said <img src=x onerror=alert(1)> "quoted" & more.'
        scenes.run(session, splunk, timedelta(minutes=1), "failed", error_message=error)
    written = runs(open_page(ana))
    assert "It said &lt;img src=x onerror=alert(1)&gt; &quot;quoted&quot; &amp; more." in written
    assert "SOC &lt;b&gt;1&lt;/b&gt;" in written


def test_a_person_sees_nothing_of_anothers_connections(ana: User, open_page: Open) -> None:
    ben = person("ben@example.org")
    with db.session() as session:
        theirs = connect(session, ben.id, "canary of ben", problem="canary problem")
        scenes.figures(session, theirs, 0, runs_failed=9, dead=9, delivered=987_654)
        scenes.run(session, theirs, timedelta(minutes=1), "failed", error_message="canary error")
        connect(session, ana.id, "of ana")
        secret_id = theirs.id
    for query in ({}, {"range": "30d"}, {"connection": "canary of ben"}, {"connection": secret_id}):
        page = open_page(ana, **query)
        assert not page.exception
        assert metrics(page)["Need attention"] == "0 of 1"
        asked_for = query.get("connection", "-")  # said back to who asked
        assert "canary" not in everything(page).replace(asked_for, "")


@pytest.mark.parametrize("script", ["dashboard.py", "pages/health.py"])
def test_without_a_session_no_page_shows_anything(ana: User, open_page: Open, script: str) -> None:
    scenes.hub(ana, 2)
    page = open_page(None, script)
    assert "You are signed out" in said(page)
    assert not page.metric
    assert "Splunk" not in everything(page)


def test_an_open_tab_loses_access_with_its_session(ana: User, open_page: Open) -> None:
    scenes.hub(ana, 2)
    page = open_page(ana)
    assert page.metric
    access.disable_user(LOCAL, ana.email)
    page.run()
    assert not page.metric
    assert "You are signed out" in said(page)


def test_opening_a_page_counts_as_activity(ana: User, open_page: Open) -> None:
    page = open_page(ana)
    with db.session() as session:
        row = session.exec(select(SignIn)).one()
        row.seen_at -= timedelta(hours=7)
        session.add(row)
        before = row.seen_at
    page.run()
    with db.reading() as session:
        assert session.exec(select(SignIn)).one().seen_at > before + timedelta(hours=6)


@pytest.fixture
def splunk(ana: User) -> str:
    """A connection of ana's with a config, as the form saves one."""
    return connections.create(
        LOCAL,
        "splunk",
        name="SOC prod",
        values={"url": "https://splunk.example:8088", "token": "canary-of-a-token"},
        options={"every": "5m"},
        owner=ana.email,
    )


def test_a_new_connection_says_what_comes_next(ana: User, splunk: str, visit: Visit) -> None:
    page = visit(ana, "connection", id=splunk)
    assert not page.exception
    assert metrics(page)["Waiting"] == "0"
    seen = said(page)
    assert "It has not run since it was made." in seen
    assert "Nothing waits" in seen
    assert "14 times within 3 d" in seen


def test_a_failing_connection_lists_its_next_attempts(ana: User, splunk: str, visit: Visit) -> None:
    with db.session() as session:
        row = session.get_one(Connection, splunk)
        row.problem = "Splunk answered 403. Enable the token, then press Test."
        scenes.figures(session, row, 0, runs_ok=2, runs_failed=7)
        record = sendings.scan(session, ana.id, "ines.novak@example.net")
        sendings.delivery(session, row, record, State.RETRYING)
    page = visit(ana, "connection", id=splunk)
    assert metrics(page)["Success rate"] == "22.2 %"
    seen = said(page)
    assert "Enable the token" in seen
    assert "ines.novak@example.net" in seen
    assert "Retrying · in 12 min" in seen
    assert {"Sync now", "Test"} <= {button.label for button in page.button}


def test_the_runs_of_a_connection_are_a_tab(ana: User, splunk: str, visit: Visit) -> None:
    with db.session() as session:
        row = session.get_one(Connection, splunk)
        scenes.run(session, row, timedelta(minutes=2), records_synced=7)
        scenes.run(session, row, timedelta(minutes=1), "failed", error_message="Splunk answered 503.")
    page = visit(ana, "connection", id=splunk, tab="Runs")
    assert re.findall(r"<b>(\w+)</b>", runs(page)) == ["Failed", "Delivered"]
    assert ">Splunk answered 503.</td>" in runs(page)
    assert not page.metric


def test_the_settings_of_a_connection_hide_its_secrets(ana: User, splunk: str, visit: Visit) -> None:
    page = visit(ana, "connection", id=splunk, tab="Settings")
    shown = [text.value for text in page.text]
    assert "https://splunk.example:8088" in shown
    assert MASK in shown
    assert "canary-of-a-token" not in said(page)
    assert {"Edit", "Re-authorize", "Delete"} <= {button.label for button in page.button}


def test_a_connection_shared_with_somebody_cannot_be_changed_by_them(
    ana: User, splunk: str, visit: Visit
) -> None:
    ben = person("ben@example.org")
    connections.edit(LOCAL, splunk, shared=True)
    for tab in ("Overview", "Runs", "Deliveries", "Settings"):
        page = visit(ben, "connection", id=splunk, tab=tab)
        assert not page.exception
        assert "SOC prod" in said(page)
        assert not {"Edit", "Delete", "Sync now", "Test"} & {button.label for button in page.button}


@pytest.mark.parametrize("whose", ["deleted", "someone else's", "nonsense"])
def test_a_connection_that_is_not_there_is_a_sentence(
    ana: User, splunk: str, visit: Visit, whose: str
) -> None:
    who = ana
    if whose == "someone else's":
        who = person("ben@example.org")
    page = visit(who, "connection", id=splunk if whose != "nonsense" else "../../etc")
    if whose == "deleted":
        connections.delete(LOCAL, splunk)
        page.run()
    assert not page.exception
    expected = "This was deleted" if whose == "deleted" else "Not found"
    assert [heading.value for heading in page.subheader] == [expected]
    assert not page.metric


def test_without_an_id_the_page_leads_on(ana: User, visit: Visit) -> None:
    page = visit(ana, "connection")
    assert [heading.value for heading in page.subheader] == ["Which one?"]


HOSTILE = (
    "![x](http://evil.example/x.png) [y](javascript:alert(1)) <img src=x onerror=alert(1)> :red[z] $\\pi$"
)


def test_names_and_messages_are_shown_as_written(ana: User, open_page: Open) -> None:
    with db.session() as session:
        connect(session, ana.id, HOSTILE[:100], problem=HOSTILE)
    page = open_page(ana)
    assert not page.exception
    assert [text.value for text in page.text if "evil" in text.value] == [HOSTILE[:100], HOSTILE]
    assert not [node for node in (*page.markdown, *page.caption) if "evil" in node.value]
    drawn = [node.proto.body for node in page.get("html")]
    assert any("&lt;img src=x" in body for body in drawn)
    assert not any("<img" in body for body in drawn)


@pytest.mark.parametrize("where", ["connection", "deliveries"])
def test_what_came_from_outside_is_no_markdown_anywhere(ana: User, visit: Visit, where: str) -> None:
    with db.session() as session:
        row = connect(session, ana.id, HOSTILE[:100], problem=HOSTILE)
        scenes.run(session, row, timedelta(minutes=1), "failed", error_message=HOSTILE)
        record = sendings.scan(session, ana.id, "ines@example.net")
        number = sendings.delivery(session, row, record, State.DEAD, reason=HOSTILE, vendor_id=HOSTILE)
        connection_id = row.id
    asked = {"id": connection_id} if where == "connection" else {}
    page = visit(ana, where, **asked, delivery=str(number))
    assert not page.exception
    dialog = page._tree[2]
    labels = [*page.markdown, *page.caption, *page.header, *dialog.markdown, *dialog.caption]
    labels += [*page.get("page_link"), *dialog.get("page_link"), *dialog.get("expander")]
    told = [getattr(node, "value", None) or str(getattr(node, "proto", "")) for node in labels]
    assert any("evil" in text for text in told)
    assert not [text for text in told if "http://evil" in text or re.search(r"(?<!\\)<img", text)]


@pytest.mark.parametrize(
    ("share", "said"), [(1.0, "100 %"), (0.99996, "99.9 %"), (0.954, "95.4 %"), (0.0, "0 %"), (0.5, "50 %")]
)
def test_almost_everything_is_not_everything(share: float, said: str) -> None:
    assert words.percent(share) == said


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0"), (999, "999"), (1000, "1k"), (12_440, "12.4k"), (3e6, "3M")]
)
def test_large_numbers_are_short(number: float, said: str) -> None:
    assert words.compact(number) == said


def test_connections_without_a_colour_of_their_own_share_one_bar(ana: User) -> None:
    with db.session() as session:
        for number in range(charts_of.LINES + 3):
            tool = connect(session, ana.id, f"SOC {number}")
            scenes.figures(session, tool, 0, runs_failed=20 - number, retried=1)
    view = health.overview(LOCAL, 24)
    frame = charts_of.failures(view, LIGHT).data
    assert list(frame["connection"]).count(charts_of.OTHERS) == 1
    assert frame["failed"].sum() == sum(20 - number for number in range(charts_of.LINES + 3))
    others = frame[frame["connection"] == charts_of.OTHERS].iloc[0]
    assert (others["failed"], others["retried"]) == (15 + 14 + 13, 3)
