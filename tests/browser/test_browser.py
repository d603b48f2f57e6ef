"""The hub in a real Chromium: sign in, read health, a connection and where records went; light and dark."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Request, expect, sync_playwright

from core import access, connections, health
from core.access import LOCAL
from core.delivery.history import search
from core.delivery.history.search import DeliveryFilter
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import State
from tests.support import scenes, sendings
from tests.support.live import EMAIL, PASSWORD, Live, chromium, served

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
    connections.publish_catalog()
    ana = access.add_user(LOCAL, EMAIL, "member", Secret(PASSWORD))
    with db.session() as session:
        scenes.beat(session)
        soc = scenes.connect(session, ana.id, "SOC prod", recent=[[1_795_000_000, "success", 9]])
        desk = scenes.connect(session, ana.id, "Service *desk*", "jira", problem=PROBLEM)
        scenes.figures(
            session, soc, 0, runs_ok=95, runs_failed=5, delivered=12_400, delay_s=scenes.delays(*[1.5] * 50)
        )
        scenes.figures(session, desk, 40, runs_ok=1, delivered=7)
        for number, state in enumerate((State.DELIVERED, State.RETRYING, *[State.DEAD] * 4)):
            record = sendings.scan(session, ana.id, f"ines{number}@example.net")
            sendings.delivery(session, soc, record, state)
    with served(url, folder) as live:
        yield live


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=list(QUIET))
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """Light, unless a test names a theme: only what is drawn differs between them."""
    theme = getattr(request, "param", "light")
    opened = browser.new_context(color_scheme=theme, viewport={"width": 1440, "height": 1200})
    yield opened
    opened.close()


both_themes = pytest.mark.parametrize("context", ["light", "dark"], indirect=True)


def sign_in(page: Page, hub: Live, path: str = "/") -> None:
    page.goto(f"{hub.url}{path}")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    settled(page)


def settled(page: Page) -> None:
    expect(page.get_by_text(", again every")).to_be_visible(timeout=60_000)
    expect(page.locator("canvas, svg.marks").first).to_be_visible(timeout=30_000)


def figure(page: Page, label: str) -> str:
    card = page.get_by_test_id("stMetric").filter(has_text=label)
    return card.get_by_test_id("stMetricValue").inner_text().strip()


@both_themes
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
    links = page.get_by_test_id("stMain").get_by_role("link").all()
    assert [str(link.get_attribute("href")).partition("=")[0] for link in links] == ["/connection?id"] * 2
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
    caption = page.get_by_text(", again every")
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


def test_a_tab_whose_session_ended_is_a_sentence_and_a_link(hub: Live, context: BrowserContext) -> None:
    known = {label: id for id, label, _ in health.choices(LOCAL)}
    where = f"/connection?id={known['SOC prod']}"
    page, other = context.new_page(), context.new_page()
    sign_in(page, hub)
    page.goto(f"{hub.url}{where}")
    expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible(timeout=30_000)
    drawn(page)
    refused: list[str] = []
    page.on("response", lambda answer: refused.append(answer.url) if answer.status == 401 else None)
    other.goto(hub.url)
    other.get_by_role("button", name="Sign out").click()
    expect(other.get_by_role("button", name="Sign in")).to_be_visible(timeout=30_000)

    main = page.get_by_test_id("stMain")
    expect(main.get_by_text("You are signed out")).to_have_count(1, timeout=30_000)
    expect(main.get_by_role("link")).to_have_count(1, timeout=30_000)
    drawn(page)
    assert main.inner_text().strip() == "You are signed out: sign in again"
    expect(page.get_by_text("TypeError")).to_have_count(0)
    assert refused == []
    page.get_by_role("link", name="sign in again").click()
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    expect(page).to_have_url(f"{hub.url}{where}", timeout=30_000)


def drawn(page: Page) -> None:
    """Everything is there and nothing is about to be drawn again."""
    expect(page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_visible(
        timeout=60_000
    )
    expect(page.locator("[data-stale=true]")).to_have_count(0, timeout=30_000)


def test_who_needs_somebody_is_one_button_away(hub: Live, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, hub)
    page.get_by_role("button", name="Fix").click()
    expect(page).to_have_url(re.compile(r"/connection\?id="), timeout=20_000)
    expect(page.get_by_role("heading", name=re.compile("Service .*desk"))).to_be_visible(timeout=20_000)
    expect(page.get_by_text(PROBLEM, exact=True)).to_be_visible()
    page.get_by_role("tab", name="Settings").click()
    expect(page.get_by_role("button", name="Edit")).to_be_visible(timeout=20_000)
    expect(page).to_have_url(re.compile("tab=Settings"), timeout=20_000)


def test_the_heat_map_opens_and_stays_open(hub: Live, context: BrowserContext) -> None:
    page = context.new_page()
    sign_in(page, hub)
    page.get_by_role("tab", name="Heat map").click()
    alone = page.get_by_role("button", name="Show data: Share of runs that failed per connection and hour")
    expect(alone).to_have_count(1, timeout=20_000)
    caption = page.get_by_text(", again every")
    expect(caption).not_to_have_text(caption.inner_text(), timeout=20_000)
    expect(alone).to_have_count(1)


def test_a_delivery_is_found_read_and_replayed(hub: Live, context: BrowserContext) -> None:
    db.configure(f"sqlite:///{hub.log.parent}/hub.db")
    dead = search.search(LOCAL, DeliveryFilter(state="dead")).rows
    page = context.new_page()
    sign_in(page, hub)
    page.goto(f"{hub.url}/deliveries?state=dead")
    expect(page.get_by_text(f"{len(dead)} deliveries, as of")).to_be_visible(timeout=30_000)
    drawn(page)
    rows = page.get_by_role("table", name="deliveries, newest first").get_by_role("row")
    expect(rows).to_have_count(len(dead) + 1)
    rows.nth(1).get_by_role("link").first.press("Enter")
    story = page.get_by_role("dialog")
    expect(story.get_by_text("It is not tried again.")).to_be_visible(timeout=20_000)
    expect(page).to_have_url(re.compile(rf"delivery={dead[0].id}"))
    expect(story.get_by_text("answered 503 ·")).to_be_visible()
    expect(story.get_by_text("answered 400 ·")).to_be_visible()
    expect(story.get_by_text("under the same key")).to_be_visible()
    story.get_by_role("button", name="Replay").click()
    expect(page.get_by_test_id("stToast")).to_contain_text(
        "Queued; it is sent with the next run", timeout=20_000
    )
    expect(story.get_by_text("It waits for its turn: now.")).to_be_visible(timeout=20_000)
    expect(story.get_by_role("button", name="Replay")).to_have_count(0)
    drawn(page)
    page.keyboard.press("Escape")
    expect(story).to_have_count(0, timeout=20_000)
    expect(page).not_to_have_url(re.compile("delivery="))
    expect(page.get_by_text(f"{len(dead) - 1} deliveries, as of")).to_be_visible(timeout=20_000)

    loads: list[str] = []
    page.on("load", lambda: loads.append(page.url))
    rows.nth(1).get_by_text("Dead").click()  # anywhere in the row
    expect(story.get_by_text("Attempt 2")).to_be_visible(timeout=20_000)
    drawn(page)
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("delivery="), timeout=20_000)
    drawn(page)
    page.get_by_label("Record").fill(dead[1].title.split()[-1])
    page.get_by_label("Record").press("Enter")
    expect(page.get_by_text("1 delivery, as of")).to_be_visible(timeout=20_000)
    rows.nth(1).get_by_role("link", name="SOC prod").click()
    expect(page).to_have_url(re.compile(rf"/connection\?id={dead[1].connection_id}$"), timeout=20_000)
    expect(page.get_by_role("tab", name="Overview")).to_be_visible(timeout=20_000)
    assert loads == []


#: Streamlit's own, in 1.67; (rule, what is in the element) → why it stays
KNOWN = {
    ("color-contrast", 'class="token'): "the colours of st.code; no setting of the theme has them",
}


@both_themes
@pytest.mark.parametrize("name", ["health", "deliveries", "story", "connection", "settings"])
def test_axe_finds_nothing(hub: Live, context: BrowserContext, name: str, tmp_path: Path) -> None:
    db.configure(f"sqlite:///{hub.log.parent}/hub.db")
    known = {label: id for id, label, _ in health.choices(LOCAL)}
    here = f"/connection?id={known['SOC prod']}"
    story = search.search(LOCAL, DeliveryFilter(state="retrying")).rows[0].id
    paths = {
        "health": "/",
        "deliveries": "/deliveries",
        "story": f"/deliveries?delivery={story}",
        "connection": here,
        "settings": f"{here}&tab=Settings",
    }
    page = context.new_page()
    sign_in(page, hub)
    page.goto(hub.url + paths[name])
    expect(page.get_by_test_id("stMain").get_by_role("heading").first).to_be_visible(timeout=30_000)
    drawn(page)
    broken = [
        (rule["id"], node["html"][:200], node.get("failureSummary", "")[:300])
        for rule in Axe().run(page).response["violations"]
        for node in rule["nodes"]
        if not any(rule["id"] == known_rule and part in node["html"] for known_rule, part in KNOWN)
    ]
    assert broken == []
    page.screenshot(path=tmp_path / f"{name}.png")
    assert (tmp_path / f"{name}.png").stat().st_size > 20_000
