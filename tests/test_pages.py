"""The health page as a person gets it: empty, normal, on fire, and never another's."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from core import access, db
from core.access import LOCAL
from core.models import SignIn, User
from core.secret import Secret
from core.ui import words
from tests import scenes
from tests.live import ROOT
from tests.scenes import connect

PASSWORD = Secret("a long enough one")
Open = Callable[..., AppTest]


@pytest.fixture
def ana(sqlite_database: str) -> User:
    db.configure(sqlite_database)
    return access.add_user(LOCAL, "ana@example.org", "member", PASSWORD)


@pytest.fixture
def open_page(monkeypatch: pytest.MonkeyPatch) -> Open:
    """Draws the dashboard in a browser that holds this person's cookie; AppTest has no cookies of its own."""

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


def charts(page: AppTest) -> list[Any]:
    return [chart.proto for chart in page.get("vega_lite_chart")]


def test_an_empty_hub_says_how_to_begin(ana: User, open_page: Open) -> None:
    page = open_page(ana)
    assert not page.exception
    assert [heading.value for heading in page.subheader] == ["Nothing is connected yet"]
    assert [code.value for code in page.code] == ["make demo", "hub connect"]
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
    failures, strips = charts(page)
    assert "failed runs" in failures.alt
    assert "1 needs you, 1 failing, 1 late" in strips.alt


def test_no_failures_are_a_sentence_and_not_an_empty_chart(ana: User, open_page: Open) -> None:
    with db.session() as session:
        scenes.figures(session, connect(session, ana.id, "Splunk"), 0, runs_ok=5, delivered=9)
    page = open_page(ana)
    assert any("No run failed and no record was refused" in caption.value for caption in page.caption)
    assert len(charts(page)) == 1


@pytest.mark.parametrize(
    ("ago_s", "title"),
    [(None, "has not run yet"), (16, "silent for 16 s"), (7300, "silent for 2 h"), (3, None)],
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
        scenes.figures(session, splunk, 0, runs_ok=1, runs_failed=1)
        scenes.run(session, splunk, timedelta(minutes=2), records_synced=7)
        scenes.run(session, splunk, timedelta(minutes=1), "failed", error_message="Splunk answered 503.")
    runs, failed = (table.value for table in open_page(ana).dataframe)
    assert list(runs["status"]) == [["Failed"], ["Delivered"]]
    assert list(runs["records"]) == [0, 7]
    assert list(failed["message"]) == ["Splunk answered 503."]


def test_a_person_sees_nothing_of_anothers_connections(ana: User, open_page: Open) -> None:
    ben = access.add_user(LOCAL, "ben@example.org", "member", PASSWORD)
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
        assert "canary" not in everything(page).replace(f"{query}", "")


@pytest.mark.parametrize("script", ["dashboard.py", "pages/health.py"])
def test_without_a_session_no_page_shows_anything(ana: User, open_page: Open, script: str) -> None:
    scenes.hub(ana, 2)
    page = open_page(None, script)
    assert [heading.value for heading in page.subheader] == ["You are signed out"]
    assert not page.metric
    assert "Splunk" not in everything(page)


def test_an_open_tab_loses_access_with_its_session(ana: User, open_page: Open) -> None:
    scenes.hub(ana, 2)
    page = open_page(ana)
    assert page.metric
    access.disable_user(LOCAL, ana.email)
    page.run()
    assert not page.metric
    assert [heading.value for heading in page.subheader] == ["You are signed out"]


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
