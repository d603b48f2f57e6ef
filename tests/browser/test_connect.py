"""From nothing to a message in the sandbox, in a real Chromium; and the pages measured by axe-core."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from core import access, connections
from core.access import LOCAL
from core.platform import vault
from core.platform.secret import Secret
from core.records import intake
from core.storage import db
from core.storage.models import Kind, User
from sandbox import Sandbox
from tests.browser.test_browser import PROBLEM, QUIET, drawn
from tests.support import scenes
from tests.support.live import EMAIL, PASSWORD, Live, chromium, served
from tests.support.visits import crowd

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        chromium() is None, reason="no Chromium here; install it with: apt-get install chromium"
    ),
]
PATIENCE_MS = 60_000  # a busy machine draws a page in seconds
PAGES = {
    "catalog": "/catalog",
    "entry": "/catalog?entry=jira",
    "connect": "/connect?entry=jira",
    "connections": "/connections",
}
HOSTILE_NAME = "Service *desk* :smile: www.x.example a@x.example http://x.example -> HUB_KEY"
#: (rule, part of the element) that Streamlit's own elements break, and why
KNOWN = {
    (
        "color-contrast",
        'class="token',
    ): "the colours of st.code on a light page; no setting of the theme has them",
}


@dataclass(frozen=True)
class Scene:
    live: Live
    sandbox: Sandbox
    ana: User


def staged(folder: Path, sandbox: Sandbox, crowded: int) -> Iterator[Scene]:
    url, key = f"sqlite:///{folder}/hub.db", folder / "hub.key"
    db.configure(url)
    db.migrate()
    vault.create_key_file(key)
    connections.publish_catalog()
    ana = access.add_user(LOCAL, EMAIL, "member", Secret(PASSWORD))
    if crowded:
        crowd(ana, crowded)
        with db.session() as session:
            scenes.connect(session, ana.id, HOSTILE_NAME, problem=PROBLEM)
            off = scenes.connect(session, ana.id, "Long holiday", is_active=False)
            scenes._backlog(session, off, 1_001)
    variables = {"HUB_SECRET_KEY_FILE": str(key), "HUB_EGRESS_ALLOW": "127.0.0.1/32"}
    with served(url, folder, **variables) as live:
        yield Scene(live, sandbox, ana)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with Sandbox() as sandbox:
        yield from staged(tmp_path_factory.mktemp("full"), sandbox, 27)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Scene]:
    with Sandbox() as sandbox:
        yield from staged(tmp_path, sandbox, 0)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def themed(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    opened = browser.new_context(color_scheme=request.param, viewport={"width": 1440, "height": 1000})
    yield opened
    opened.close()


def sign_in(context: BrowserContext, live: Live, path: str) -> Page:
    page = context.new_page()
    page.goto(f"{live.url}{path}")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    settled(page)
    return page


def settled(page: Page) -> None:
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible(
        timeout=PATIENCE_MS
    )
    expect(page.get_by_role("heading").first).to_be_visible(timeout=PATIENCE_MS)


def menu(page: Page, action: str) -> None:
    page.get_by_role("button", name="More").first.click()
    page.get_by_text(action, exact=True).first.click()


def state(page: Page, word: str) -> Any:
    return page.locator(".stMarkdownBadge", has_text=word)


def toggle(page: Page) -> Any:
    return page.get_by_role("switch").first


def alert(ana: User, id: str, title: str) -> None:
    row = {"id": id, "user_id": ana.id, "title": title, "severity": "high", "alert_type": "data_breach"}
    stored = intake.store(LOCAL, Kind.ALERT, [row])
    assert stored.new == 1


def test_from_nothing_to_a_message_in_the_tool_and_through_trouble(empty: Scene, browser: Browser) -> None:
    alert(empty.ana, "one", "Ines Novak is in a breach")
    context = browser.new_context(viewport={"width": 1440, "height": 1400})
    page = sign_in(context, empty.live, "/connections")

    page.get_by_role("button", name="Open the catalog").click()
    card = page.locator(".st-key-connect_slack")
    card.get_by_role("button", name="Connect").click()
    secret = empty.sandbox.credentials("slack")["webhook_url"]
    page.get_by_label("Webhook URL", exact=True).fill(secret)
    expect(page.get_by_text("1 alert matches now.")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Test", exact=True).click()
    expect(page.get_by_text("Slack works with these settings")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("Ines Novak is in a breach").first).to_be_visible(timeout=PATIENCE_MS)
    assert empty.sandbox.accepted("slack") == []
    page.get_by_role("button", name="Connect", exact=True).click()

    expect(page.get_by_text("Slack is connected.")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("It has not run since it was made.")).to_be_visible(timeout=PATIENCE_MS)
    assert secret not in page.content()
    menu(page, "Sync now")
    expect(page.get_by_text("1 delivered to Slack.")).to_be_visible(timeout=PATIENCE_MS)
    assert [accepted.title for accepted in empty.sandbox.accepted("slack")] != []
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    expect(state(page, "Healthy")).to_be_visible(timeout=PATIENCE_MS)

    page.locator("[class*=st-key-on_] label").first.click()
    expect(state(page, "Paused")).to_be_visible(timeout=PATIENCE_MS)
    expect(toggle(page)).not_to_be_checked()
    page.locator("[class*=st-key-on_] label").first.click()
    expect(state(page, "Healthy")).to_be_visible(timeout=PATIENCE_MS)
    expect(toggle(page)).to_be_checked(timeout=PATIENCE_MS)

    empty.sandbox.fault("slack", "403")
    alert(empty.ana, "two", "Mara Ito is in a breach")
    menu(page, "Sync now")
    expect(page.get_by_text("It did not work")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    expect(state(page, "Needs you")).to_be_visible(timeout=PATIENCE_MS)

    empty.sandbox.clear_faults()
    menu(page, "Test")
    expect(page.get_by_text("Slack works with these settings")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    menu(page, "Sync now")
    expect(page.get_by_text("1 delivered to Slack.")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("dialog").get_by_role("button", name="Close").last.click()
    expect(state(page, "Healthy")).to_be_visible(timeout=PATIENCE_MS)
    assert len(empty.sandbox.accepted("slack")) == 2
    context.close()


def test_a_dialog_outlives_the_refresh_of_the_list_behind_it(full: Scene, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = sign_in(context, full.live, "/connections")
    caption = page.get_by_text(re.compile("as of"))
    before = caption.inner_text()
    menu(page, "Delete")
    expect(page.get_by_text("The credentials are destroyed.")).to_be_visible(timeout=PATIENCE_MS)
    expect(caption).not_to_have_text(before, timeout=PATIENCE_MS)
    expect(page.get_by_text("The credentials are destroyed.")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_text("The credentials are destroyed.")).to_have_count(0, timeout=PATIENCE_MS)
    context.close()


def test_switching_on_asks_what_becomes_of_many_waiting_records(full: Scene, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = sign_in(context, full.live, "/connections?q=holiday")
    page.locator("[class*=st-key-on_] label").first.click()
    expect(page.get_by_text("1,001 records have been waiting while it was off.")).to_be_visible(
        timeout=PATIENCE_MS
    )
    page.get_by_role("button", name="Skip them").click()
    expect(page.get_by_text("It is on again; they are skipped")).to_be_visible(timeout=PATIENCE_MS)
    expect(toggle(page)).to_be_checked(timeout=PATIENCE_MS)
    context.close()


def test_the_word_for_a_state_is_never_cut_off(empty: Scene, browser: Browser) -> None:
    with db.session() as session:
        connection = scenes.connect(session, empty.ana.id, "Chat", slug="slack", last_sync=db.now(session))
        scenes._backlog(session, connection, 30)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = sign_in(context, empty.live, "/connections")
    expect(state(page, "Catching up")).to_be_visible(timeout=PATIENCE_MS)
    cut = """badge => [badge, ...badge.querySelectorAll("*")].some(part =>
        part.scrollWidth > part.clientWidth + 1 && getComputedStyle(part).overflowX != "visible")"""
    assert state(page, "Catching up").evaluate(cut) is False
    context.close()


def test_names_and_sentences_are_shown_and_copied_as_written(full: Scene, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = sign_in(context, full.live, "/connections?q=desk")
    main = page.get_by_test_id("stMain")
    expect(page.get_by_text(PROBLEM, exact=True)).to_be_visible(timeout=PATIENCE_MS)
    link = main.get_by_role("link")
    expect(link).to_have_count(1)  # the one to the connection's page, and nothing out of its name
    expect(link).to_be_visible()  # drawn anew when the page refreshes itself
    expect(link).to_have_text(HOSTILE_NAME)
    assert page.get_by_role("switch").get_attribute("aria-label") == f"{HOSTILE_NAME} is on"
    link.click()
    expect(page).to_have_url(re.compile(r"/connection\?id="))
    expect(page.get_by_role("tab", name="Overview")).to_be_visible(timeout=PATIENCE_MS)
    assert main.get_by_role("heading").first.inner_text() == HOSTILE_NAME
    page.get_by_role("tab", name="Settings").click()
    expect(page.get_by_text("Where it sends")).to_be_visible(timeout=PATIENCE_MS)
    assert "\u2060" not in page.locator("body").inner_text()
    context.close()


def field(page: Page, label: str) -> Any:
    return page.get_by_label(label, exact=True)


def test_nothing_typed_is_lost_by_keyboard_test_or_way_back(full: Scene, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = sign_in(context, full.live, "/connect?entry=jira")
    given = full.sandbox.credentials("jira")
    typed = {"Address": given["url"], "Account e-mail": "ines@example.org", "Project key": "SEC"}
    for label, text in typed.items():
        field(page, label).fill(text)
    field(page, "API token").focus()
    page.keyboard.type("not-the-token")
    page.keyboard.press("Tab")  # to the button of the same field that shows what was typed
    page.get_by_role("button", name="Test", exact=True).press("Enter")
    expect(page.get_by_text("Jira does not work with these settings yet")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text('needs "api_token"')).to_have_count(0)
    page.get_by_text("Advanced: certificates and proxy").click()
    field(page, "Name").fill("Desk of Ines")

    page.get_by_role("button", name="Catalog").click()
    page.locator(".st-key-connect_jira").get_by_role("button", name="Connect").click()
    expect(field(page, "API token")).to_have_value("not-the-token", timeout=PATIENCE_MS)
    for label, text in {**typed, "Name": "Desk of Ines"}.items():
        expect(field(page, label)).to_have_value(text)

    page.reload()
    settled(page)
    expect(page.get_by_text("What you had entered is here again, without its secrets")).to_be_visible(
        timeout=PATIENCE_MS
    )
    for label, text in {**typed, "Name": "Desk of Ines", "API token": ""}.items():
        expect(field(page, label)).to_have_value(text)
    page.get_by_role("button", name="Start again").click()
    expect(field(page, "Address").first).to_have_value("", timeout=PATIENCE_MS)
    context.close()


def test_after_a_delete_each_tab_says_one_thing(full: Scene, browser: Browser) -> None:
    db.configure(f"sqlite:///{full.live.log.parent}/hub.db")
    with db.session() as session:
        ref = scenes.connect(session, full.ana.id, "Old channel", "slack").id
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = sign_in(context, full.live, f"/connection?id={ref}")
    stale = context.new_page()
    stale.goto(f"{full.live.url}/connection?id={ref}")
    expect(stale.get_by_role("tab", name="Overview")).to_be_visible(timeout=PATIENCE_MS)

    menu(page, "Delete")
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_test_id("stToast")).to_have_text(
        re.compile("Old channel is deleted"), timeout=PATIENCE_MS
    )
    expect(page).to_have_url(f"{full.live.url}/connections")
    expect(page.get_by_text(re.compile("as of"))).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_text("deleted it")).to_have_count(0)

    main = stale.get_by_test_id("stMain")
    expect(main.get_by_role("heading")).to_have_text(["This was deleted"], timeout=PATIENCE_MS)
    expect(main.get_by_role("tab")).to_have_count(0)
    expect(main.get_by_role("link")).to_have_count(1)
    stale.goto(f"{full.live.url}/connection?id=never-there")
    expect(main.get_by_role("heading")).to_have_text(["Not found"], timeout=PATIENCE_MS)
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_asks_outside_or_breaks_a_rule_of_accessibility(
    full: Scene, themed: BrowserContext, name: str, tmp_path: Path
) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    themed.on("request", note)
    page = sign_in(themed, full.live, PAGES[name])
    drawn(page)
    found = Axe().run(page).response["violations"]
    broken = [
        (rule["id"], node["html"][:200])
        for rule in found
        for node in rule["nodes"]
        if not any(rule["id"] == id and part in node["html"] for id, part in KNOWN)
    ]
    assert broken == []
    page.screenshot(path=tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size > 20_000
    assert [url for url in asked if not url.startswith((full.live.url, "data:", "blob:"))] == []
