"""The hub in a real Chromium: sign in, read the health page, in light and dark, without the internet."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from core import access, db
from core.access import LOCAL
from core.secret import Secret
from tests import scenes
from tests.live import EMAIL, PASSWORD, Live, chromium, served

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        chromium() is None, reason="no Chromium here; install it with: apt-get install chromium"
    ),
]
PROBLEM = (
    "Jira answered 401: ![x](http://evil.example/x.png) [y](javascript:alert(1)) <b>b</b> www.evil.example "
    ":smile: :material/home: :red[z] $x^2$ `c` *d* # e ~f~ user@evil.example"
)
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("browser")
    url = f"sqlite:///{folder}/hub.db"
    db.configure(url)
    db.migrate()
    ana = access.add_user(LOCAL, EMAIL, "member", Secret(PASSWORD))
    with db.session() as session:
        scenes.beat(session)
        soc = scenes.connect(session, ana.id, "SOC prod", recent=[[1_795_000_000, "success", 9]])
        desk = scenes.connect(session, ana.id, "Service *desk*", "jira", problem=PROBLEM)
        scenes.figures(
            session, soc, 0, runs_ok=95, runs_failed=5, delivered=12_400, delay_s=scenes.delays(*[1.5] * 50)
        )
        scenes.figures(session, desk, 40, runs_ok=1, delivered=7)
    with served(url, folder) as live:
        yield live


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture(params=["light", "dark"])
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    opened = browser.new_context(color_scheme=request.param, viewport={"width": 1440, "height": 1200})
    yield opened
    opened.close()


def sign_in(page: Page, hub: Live, path: str = "/") -> None:
    page.goto(f"{hub.url}{path}")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    settled(page)


def settled(page: Page) -> None:
    expect(page.get_by_text("Last sign of the scheduler")).to_be_visible(timeout=60_000)
    expect(page.locator("canvas, svg.marks").first).to_be_visible(timeout=30_000)


def figure(page: Page, label: str) -> str:
    card = page.get_by_test_id("stMetric").filter(has_text=label)
    return card.get_by_test_id("stMetricValue").inner_text().strip()


def test_a_person_signs_in_and_reads_the_figures_without_any_outside_request(
    hub: Live, context: BrowserContext, tmp_path: Path
) -> None:
    asked: list[str] = []
    complaints: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    context.on("request", note)
    context.on(
        "console", lambda message: complaints.append(message.text) if message.type == "error" else None
    )
    page = context.new_page()
    sign_in(page, hub)

    assert figure(page, "Success rate") == "95 %"
    assert figure(page, "Records delivered") == "12.4k"
    assert figure(page, "Need attention") == "1 of 2"
    assert figure(page, "Delay, 95th percentile") == "1.9 s"
    expect(page.get_by_text("Service *desk*", exact=True).first).to_be_visible()
    expect(page.get_by_text(PROBLEM, exact=True)).to_be_visible()
    assert page.get_by_test_id("stMain").get_by_role("link").count() == 0
    expect(page.get_by_role("button", name="Show data: 5 failed runs and 0 undeliverable")).to_have_count(1)
    shot = tmp_path / "health.png"
    page.screenshot(path=shot)
    assert shot.stat().st_size > 40_000

    outside = [url for url in asked if not url.startswith((hub.url, "data:", "blob:"))]
    assert outside == []
    assert [text for text in complaints if "Content Security Policy" in text] == []


def test_a_deep_link_survives_sign_in_and_runs_inside_the_dashboard(
    hub: Live, context: BrowserContext
) -> None:
    page = context.new_page()
    sign_in(page, hub, "/health?range=7d")
    assert page.url == f"{hub.url}/?range=7d"
    assert figure(page, "Records delivered") == "12.4k"
    expect(page.get_by_test_id("stSidebar").get_by_text(EMAIL)).to_be_visible()
    expect(page.get_by_text("vs 7 days before").first).to_be_visible()
    page.reload()
    settled(page)
    assert page.url == f"{hub.url}/?range=7d"


def test_the_page_refreshes_itself(hub: Live, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, hub)
    caption = page.get_by_text("Last sign of the scheduler")
    before = caption.inner_text()
    expect(caption).not_to_have_text(before, timeout=20_000)


def test_signing_out_closes_the_hub(hub: Live, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, hub)
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.goto(hub.url)
    assert page.url.endswith("/auth/login")
    assert not [cookie for cookie in context.cookies() if cookie.get("name") == access.COOKIE]


def test_an_open_tab_without_a_session_stops_showing_figures(hub: Live, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, hub)
    token = next(cookie["value"] for cookie in context.cookies() if cookie["name"] == access.COOKIE)
    db.configure(f"sqlite:///{hub.log.parent}/hub.db")
    access.sign_out(token)
    expect(page.get_by_text("You are signed out")).to_be_visible(timeout=20_000)
    expect(page.get_by_test_id("stMetric")).to_have_count(0)
