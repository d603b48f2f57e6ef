"""What the web server lets browsers and strangers do: cookies, caches, host names, numbers."""

from base64 import urlsafe_b64encode
from collections.abc import Iterator

import httpx
import pytest

from core import access
from core.access import LOCAL
from core.platform.secret import Secret
from core.platform.vault import new_key
from core.storage import db
from core.web.origins import host_names, is_known_host
from tests.support.api_client import LISTS, V1
from tests.support.live import EMAIL, PASSWORD, Live, served

pytestmark = pytest.mark.security

PUBLIC = "https://hub.example.org"
#: whose password strangers guess
GUESSED = "bea@example.org"
NAMES = host_names(PUBLIC, "127.0.0.1")
BEHIND = {"Host": "hub.example.org", "Origin": PUBLIC}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Behind a proxy that speaks https."""
    folder = tmp_path_factory.mktemp("doors")
    url = f"sqlite:///{folder}/hub.db"
    db.configure(url)
    db.migrate()
    for email in (EMAIL, GUESSED):
        access.add_user(LOCAL, email, "member", Secret(PASSWORD))
    with served(url, folder, HUB_PUBLIC_URL=PUBLIC, HUB_SECRET_KEYS=new_key()) as live:
        yield live


@pytest.fixture
def browser(hub: Live) -> Iterator[httpx.Client]:
    with asking(hub) as client:
        yield client


def asking(hub: Live) -> httpx.Client:
    return httpx.Client(base_url=hub.url, trust_env=False, timeout=30, headers=BEHIND)


def signed_in(browser: httpx.Client) -> dict[str, str]:
    """The cookies that a sign-in sets, by name, with their attributes."""
    answer = browser.post("/auth/login", data={"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 303
    return {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}


def test_behind_https_no_neighbour_of_the_domain_can_plant_a_cookie(browser: httpx.Client) -> None:
    made = signed_in(browser)
    assert set(made) == {"__Host-hub_session", "__Host-hub_device"}
    for line in made.values():
        assert {"Secure", "HttpOnly", "Path=/", "SameSite=lax"} <= set(line.split("; "))
        assert "domain" not in line.lower()


def test_a_planted_cookie_without_the_prefix_signs_nobody_in(browser: httpx.Client) -> None:
    session = signed_in(browser)["__Host-hub_session"].partition(";")[0].partition("=")[2]
    browser.cookies.clear()
    for name, status in (("hub_session", 303), ("__Host-hub_session", 200)):
        answer = browser.get("/", headers={"Cookie": f"{name}={session}"})
        assert answer.status_code == status


def test_signing_out_takes_the_session_and_leaves_the_device(browser: httpx.Client) -> None:
    session = signed_in(browser)["__Host-hub_session"].partition(";")[0]
    answer = browser.post("/auth/logout", headers={"Cookie": session})
    (dropped,) = answer.headers.get_list("set-cookie")
    assert dropped.startswith('__Host-hub_session=""; ')
    assert {"Max-Age=0", "Secure", "Path=/"} <= set(dropped.split("; "))
    assert browser.get("/", headers={"Cookie": session}).status_code == 303


def tried(client: httpx.Client, password: str, cookie: str = "") -> int:
    form, headers = {"email": GUESSED, "password": password}, {"Cookie": cookie} if cookie else {}
    return client.post("/auth/login", data=form, headers=headers).status_code


def test_a_browser_that_signed_in_before_is_let_in_while_strangers_wait(hub: Live) -> None:
    with asking(hub) as mine, asking(hub) as guesser, asking(hub) as stranger:
        answer = mine.post("/auth/login", data={"email": GUESSED, "password": PASSWORD})
        (device,) = (c.partition(";")[0] for c in answer.headers.get_list("set-cookie") if "device" in c)
        assert [tried(guesser, "a wrong password") for _ in range(9)] == [401] * 5 + [429] * 4
        assert tried(stranger, PASSWORD) == 429  # the same address as the guesser's
        assert tried(mine, PASSWORD, device) == 303


# --- what may be kept by whoever stands in between ------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *(
            "/api/v1/connections",
            "/api/v1/catalog",
            "/api/v1/nope",
            "/functions/v1/sync-integration",
            "/hooks/x",
        ),
        *("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs", "/auth/login", "/auth/nope"),
    ],
)
def test_no_answer_is_kept_by_a_cache(browser: httpx.Client, path: str) -> None:
    signed_in(browser)
    for answer in (browser.get(path), browser.post(path, json={})):
        assert answer.headers["cache-control"] == "no-store"


def test_an_answer_with_a_token_is_not_kept_either(hub: Live, browser: httpx.Client) -> None:
    token = access.create_token(LOCAL, EMAIL, "test", None)
    answer = browser.get("/api/v1/connections", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


def test_what_pages_are_made_of_may_be_kept(browser: httpx.Client) -> None:
    signed_in(browser)
    page = browser.get("/").text
    script = page.partition('src="./')[2].partition('"')[0]
    assert "no-store" not in browser.get(f"/{script}").headers.get("cache-control", "")


# --- host names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        *("[::1].evil.example", "[::1]evil", "[::1]x:8501", "[::1", "::1", "[::1%25lo]", "[::1]:8501:1"),
        *(
            "hub.example.org.evil.example",
            "hub.example.org@evil",
            "hub.example.org/x",
            "hub.example.org?",
            "#",
        ),
        *("hub.example.org:x", "hub.example.org:99999", "hub.example.org:-1", "hub.example.org..", "", "[]"),
        *("evil.example#hub.example.org", "evil.example\\hub.example.org", "hub.example.org,evil", " "),
        *("hub.example.org:٣", "hub_example.org", "ｈub.example.org".encode().decode("latin-1")),
    ],
)
def test_no_other_host_name_is_answered(hub: Live, host: str) -> None:
    assert not is_known_host(host, NAMES)
    assert not is_known_host(None, NAMES)


@pytest.mark.parametrize(
    "host",
    [
        *(
            "hub.example.org",
            "HUB.example.org",
            "hub.example.org.",
            "hub.example.org:443",
            "[::1]",
            "[::1]:8501",
        ),
        *("127.0.0.1", "localhost:8501", "hub.example.org:"),
    ],
)
def test_the_hubs_own_names_are(host: str) -> None:
    assert is_known_host(host, NAMES)


def test_a_host_name_around_an_address_is_refused_by_the_server(browser: httpx.Client) -> None:
    for host in ("[::1].evil.example", "[::1].evil.example:8501"):
        assert browser.get("/auth/login", headers={"Host": host}).status_code == 400


# --- numbers ---------------------------------------------------------------------------------------------

HUGE = "9" * 23
NUMBERS = [HUGE, f"-{HUGE}", "9" * 4301, "1e400", "٣", "0x10", "NaN", "9" * 19]


def cursor(noun: str, number: str) -> str:
    """As the hub makes them, with another number."""
    return urlsafe_b64encode(f'["{noun}",{number}]'.encode()).decode().rstrip("=")


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_that_no_database_has_is_an_error_in_words(
    hub: Live, browser: httpx.Client, number: str
) -> None:
    token = access.create_token(LOCAL, EMAIL, "test", None)
    browser.headers["Authorization"] = f"Bearer {token}"
    asked = [
        *(browser.get(V1 + path, params={"limit": number}) for path in LISTS),
        *(browser.get(V1 + path, params={"before": number}) for path in LISTS),
        *(browser.get(V1 + path, params={"cursor": cursor(path[1:], number)[:1000]}) for path in LISTS),
        *(browser.get(f"{V1}/{noun}/{number}") for noun in ("deliveries", "replays", "connections")),
        browser.get(f"{V1}/connections/{number}/logs"),
        browser.get(f"{V1}/health", params={"hours": number}),
        browser.post(f"{V1}/deliveries/{number}/replay", json={}),
        *(browser.post(f"{V1}/replays/{number}/{verb}") for verb in ("pause", "resume")),
        *(browser.post(f"{V1}/replays", json={name: number}) for name in ("since", "until")),
    ]
    for answer in asked:
        assert answer.status_code in (404, 422), f"{answer.request.url}: {answer.status_code} {answer.text}"
        assert "exception" not in answer.text.lower()
