"""The gate, sign-in and headers of a real server, asked over real sockets."""

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import streamlit
import websockets.exceptions
from sqlmodel import select
from starlette.datastructures import Headers
from websockets.sync.client import connect

from core import access
from core.access import LOCAL
from core.platform.errors import Unusable
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import AuditEntry
from core.web.next_page import safe_next
from core.web.origins import host_names, is_known_host, is_own_page
from core.web.server import listen
from tests.support.live import EMAIL, PASSWORD, ROOT, Live, reserved_port, served

SOCKET = "/_stcore/stream"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("server")
    url = f"sqlite:///{folder}/hub.db"
    db.configure(url)
    db.migrate()
    access.add_user(LOCAL, EMAIL, "member", Secret(PASSWORD))
    with served(url, folder) as live:
        yield live


@pytest.fixture
def stranger(hub: Live) -> Iterator[httpx.Client]:
    with hub.client() as client:
        yield client


def open_socket(hub: Live, *, cookie: str = "", origin: str | None = "same", host: str = "") -> None:
    headers = {"Cookie": cookie} if cookie else {}
    address = f"ws://127.0.0.1:{hub.port}{SOCKET}"
    with connect(
        address,
        origin=hub.url if origin == "same" else origin,  # type: ignore[arg-type]
        additional_headers=headers | ({"Host": host} if host else {}),
        subprotocols=["streamlit"],  # type: ignore[list-item]
        proxy=None,
    ):
        pass


# --- who gets in ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/health", "/health?range=7d", "/connections", "/index.html", "/nonsense/x"]
)
def test_a_stranger_is_sent_to_sign_in_and_back(hub: Live, stranger: httpx.Client, path: str) -> None:
    answer = stranger.get(path)
    assert answer.status_code == 303
    location = httpx.URL(answer.headers["location"])
    assert location.path == "/auth/login"
    assert location.params.get("next", "/") == path
    assert answer.content == b""


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/health",
        "/_stcore/host-config",
        "/_stcore/metrics",
        "/_stcore/agent/openapi.json",
        "/static/js/index.js",
        "/media/x.png",
        "/component/x/index.html",
        "/app/static/x",
    ],
)
def test_no_part_of_a_page_is_given_to_a_stranger(stranger: httpx.Client, path: str) -> None:
    assert stranger.get(path).status_code == 401


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_a_stranger_changes_nothing(stranger: httpx.Client, method: str) -> None:
    assert stranger.request(method, "/_stcore/upload_file/x/y").status_code == 401
    assert stranger.request(method, "/").status_code == 401


def test_a_strangers_websocket_is_refused_before_it_opens(hub: Live) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus) as caught:
        open_socket(hub)
    assert caught.value.response.status_code == 403


def test_a_signed_in_persons_websocket_opens_until_they_sign_out(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        cookie = f"hub_session={client.cookies['hub_session']}"
        open_socket(hub, cookie=cookie)
        assert client.post("/auth/logout").status_code == 303
        with pytest.raises(websockets.exceptions.InvalidStatus):
            open_socket(hub, cookie=cookie)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
def test_another_sites_websocket_is_refused_despite_the_cookie(hub: Live, origin: str | None) -> None:
    with hub.client(signed_in=True) as client, pytest.raises(websockets.exceptions.InvalidStatus):
        open_socket(hub, cookie=f"hub_session={client.cookies['hub_session']}", origin=origin)


def test_a_websocket_below_an_open_path_is_gated_too(hub: Live) -> None:
    with pytest.raises(websockets.exceptions.InvalidStatus):
        connect(f"ws://127.0.0.1:{hub.port}/api{SOCKET}", origin=hub.url, proxy=None)  # type: ignore[arg-type]


def test_a_page_of_streamlit_comes_after_sign_in(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert '<div id="root">' in page.text
        script = re.search(r'src="\./(static/js/[^"]+)"', page.text)
        assert script is not None
        assert client.get(f"/{script[1]}").status_code == 200


def test_health_has_an_address_of_its_own_that_keeps_its_filters(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        answer = client.get("/health?range=7d&category=siem")
    assert (answer.status_code, answer.headers["location"]) == (307, "/?range=7d&category=siem")


def test_a_page_file_never_runs_without_the_dashboard() -> None:
    """Streamlit would run pages/x.py alone for the first deep link of a process: its folder is called pages."""
    code = (
        "from streamlit.runtime.pages_manager import PagesManager as P; from core.web import create_app;"
        "create_app(); m = P('dashboard.py'); print(P.uses_pages_directory)"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False", done.stderr


# --- sign-in --------------------------------------------------------------------------------------


def test_the_sign_in_page_loads_nothing_and_may_not(stranger: httpx.Client) -> None:
    page = stranger.get("/auth/login")
    assert page.status_code == 200
    assert not re.findall(r'(?:src|href)="(?!data:)', page.text)
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    nonce = re.search(r"style-src 'nonce-([\w-]+)'", page.headers["content-security-policy"])
    assert nonce is not None
    assert f'<style nonce="{nonce[1]}">' in page.text
    assert nonce[1] not in stranger.get("/auth/login").text


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(stranger: httpx.Client) -> None:
    answer = stranger.post("/auth/login", data={"email": EMAIL, "password": PASSWORD})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 303
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie  # this hub is at http://


def test_every_wrong_sign_in_looks_the_same_and_keeps_the_e_mail(stranger: httpx.Client) -> None:
    pages = []
    for email in (EMAIL, "nobody@example.org"):
        answer = stranger.post("/auth/login", data={"email": email, "password": "wrong wrong wrong"})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert f'value="{email}"' in answer.text
        pages.append(re.sub(r'nonce="[^"]+"', "", answer.text).replace(email, ""))
    assert pages[0] == pages[1]
    assert "wrong wrong wrong" not in pages[0]


def test_what_is_typed_comes_back_as_text(stranger: httpx.Client) -> None:
    attack = '"><script>alert(1)</script>'
    answer = stranger.post("/auth/login", data={"email": attack, "password": "x", "next": f"/{attack}"})
    assert "<script" not in answer.text


def test_repeated_failures_are_told_to_wait(hub: Live) -> None:
    with hub.client() as client:
        codes = [
            client.post("/auth/login", data={"email": "target@example.org", "password": "guess"}).status_code
            for _ in range(5)
        ]
        answer = client.post("/auth/login", data={"email": "target@example.org", "password": "guess"})
    assert codes == [401] * 5
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 30
    assert "Too many failed sign-ins" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://127.0.0.1.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"},
        {},
    ],
)
@pytest.mark.parametrize("path", ["/auth/login", "/auth/logout"])
def test_another_sites_form_neither_signs_in_nor_out(hub: Live, path: str, headers: dict[str, str]) -> None:
    with hub.client(signed_in=True) as client:
        before = client.cookies["hub_session"]
        del client.headers["Origin"]
        answer = client.post(path, data={"email": EMAIL, "password": PASSWORD}, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
        assert client.get("/").status_code == 200
        assert client.cookies["hub_session"] == before


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"email=a&password=" + b"x" * 9000, "application/x-www-form-urlencoded"),
        (b'{"email": "a"}', "application/json"),
        (b"email=a", "text/plain"),
        (b"email=\xff\xfe", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(50)), "application/x-www-form-urlencoded"),
    ],
)
def test_what_is_not_a_small_form_is_refused(stranger: httpx.Client, content: bytes, kind: str) -> None:
    answer = stranger.post("/auth/login", content=content, headers={"Content-Type": kind})
    assert answer.status_code == 403


def test_signing_in_again_ends_the_session_before(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        old = client.cookies["hub_session"]
        client.post("/auth/login", data={"email": EMAIL, "password": PASSWORD})
        new = client.cookies["hub_session"]
    assert new != old
    with hub.client() as thief:
        assert thief.get("/", cookies={"hub_session": old}).status_code == 303


def test_sign_out_is_a_post_and_a_stolen_cookie_is_worthless_after_it(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        stolen = client.cookies["hub_session"]
        assert client.get("/auth/logout").status_code in (404, 405)
        assert client.get("/").status_code == 200
        assert client.post("/auth/logout").headers["location"] == "/auth/login"
        assert "hub_session" not in client.cookies
    with hub.client() as thief:
        assert thief.get("/", cookies={"hub_session": stolen}).status_code == 303


def test_a_signed_in_person_is_not_asked_again(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        answer = client.get("/auth/login?next=/%3Frange=7d")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?range=7d")


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "/\r\nSet-Cookie: a=b",
        " //evil.example",
        "evil.example",
        "/auth/logout",
        "",
        "/ünïcode",
        "/" + "x" * 3000,
    ],
)
def test_after_sign_in_nobody_is_sent_to_another_site(stranger: httpx.Client, wanted: str) -> None:
    assert safe_next(wanted) == "/"
    answer = stranger.post("/auth/login", data={"email": EMAIL, "password": PASSWORD, "next": wanted})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "wanted", ["/", "/?range=7d", "/health?range=30d&connection=SOC%20prod", "/connections"]
)
def test_after_sign_in_people_are_where_they_wanted_to_be(stranger: httpx.Client, wanted: str) -> None:
    answer = stranger.post("/auth/login", data={"email": EMAIL, "password": PASSWORD, "next": wanted})
    assert answer.headers["location"] == wanted


# --- paths, hosts, headers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/api", "/api/v1/nope", "/functions/v1/nope", "/hooks/x", "/auth/nope", "/auth"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_mistyped_address_of_the_api_is_no_success(stranger: httpx.Client, path: str, method: str) -> None:
    answer = stranger.request(method, path)
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


def test_the_health_check_needs_no_session_and_no_host_name(stranger: httpx.Client) -> None:
    answer = stranger.get("/healthz", headers={"Host": "10.1.2.3:8501"})
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "evil.example:1", "localhost@evil", "x:y"]
)
def test_a_rebound_host_name_reaches_nothing(hub: Live, stranger: httpx.Client, host: str) -> None:
    for path in ("/", "/auth/login", "/api/v1/x", "/_stcore/health"):
        answer = stranger.get(path, headers={"Host": host})
        assert answer.status_code == 400
    with hub.client(signed_in=True) as client:
        cookie = f"hub_session={client.cookies['hub_session']}"
    with pytest.raises(websockets.exceptions.WebSocketException):
        open_socket(hub, cookie=cookie, host=host, origin=f"http://{host}")


@pytest.mark.parametrize(
    "path", ["/", "/auth/login", "/healthz", "/api/nope", "/_stcore/health", "/nonsense"]
)
def test_every_answer_carries_the_safe_headers(stranger: httpx.Client, path: str) -> None:
    headers = stranger.get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "strict-transport-security" not in headers
    assert "server" not in headers


def test_the_only_inline_script_that_may_run_is_streamlits_own(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        policy = client.get("/").headers["content-security-policy"]
    scripts = next(part for part in policy.split("; ") if part.startswith("script-src"))
    assert "'unsafe-inline'" not in scripts
    assert scripts.count("'sha256-") == 1


def test_behind_https_the_cookie_and_the_connection_stay_encrypted(
    tmp_path: Path, sqlite_database: str
) -> None:
    db.configure(sqlite_database)
    access.add_user(LOCAL, EMAIL, "member", Secret(PASSWORD))
    with (
        served(
            sqlite_database,
            tmp_path,
            HUB_PUBLIC_URL="https://hub.example.org",
            HUB_TRUSTED_PROXIES="127.0.0.1",
        ) as live,
        live.client() as client,
    ):
        behind = {"Host": "hub.example.org", "Origin": "https://hub.example.org"}
        page = client.get("/auth/login", headers=behind)
        assert page.headers["strict-transport-security"] == "max-age=31536000"
        form = {"email": EMAIL, "password": PASSWORD}
        behind["X-Forwarded-For"] = "198.51.100.1, 203.0.113.9"
        answer = client.post("/auth/login", data=form, headers=behind)
        assert answer.status_code == 303
        assert "Secure" in answer.headers["set-cookie"]
    with db.reading() as session:
        signed_in = session.exec(select(AuditEntry).where(AuditEntry.action == "sign_in")).one()
    assert signed_in.subject == "203.0.113.9"


def test_the_servers_log_holds_neither_password_nor_token(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        client.get("/?canary")
        token = client.cookies["hub_session"]
    log = hub.log.read_text()
    assert token not in log
    assert PASSWORD not in log
    assert "canary" not in log


def test_streamlits_settings_are_found_from_any_folder(hub: Live) -> None:
    with hub.client(signed_in=True) as client:
        config = client.get("/_stcore/host-config").json()
    assert hub.log.parent != ROOT
    assert config is not None
    code = (
        "from core.web import create_app; create_app(); from streamlit import config as c;"
        "names = 'browser.gatherUsageStats client.showErrorDetails client.toolbarMode server.fileWatcherType';"
        "print(*[c.get_option(name) for name in names.split()])"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=hub.log.parent, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "False none minimal none", done.stderr


def test_a_taken_port_is_one_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unusable, match=f"Port {port} on 127.0.0.1 is taken .* HUB_PORT"):
            listen("127.0.0.1", port)
    listen("127.0.0.1", reserved_port()).close()


@pytest.mark.parametrize("host", ["no such host", "203.0.113.1"])
def test_a_strange_address_is_one_sentence(host: str) -> None:
    with pytest.raises(Unusable, match="HUB_HOST"):
        listen(host, reserved_port())


# --- the two checks alone -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "known"),
    [
        ("hub.example.org", True),
        ("HUB.example.org:443", True),
        ("hub.example.org.", True),
        ("localhost:8501", True),
        ("[::1]:8501", True),
        ("127.0.0.1", True),
        ("10.0.0.5", True),
        ("evil.example", False),
        ("hub.example.org.evil.example", False),
        ("user@hub.example.org", False),
        ("hub.example.org/x", False),
        ("hub.example.org:x", False),
        ("", False),
        (None, False),
    ],
)
def test_host_names_are_compared_whole(header: str | None, known: bool) -> None:
    assert is_known_host(header, host_names("https://hub.example.org", "10.0.0.5")) is known


@pytest.mark.parametrize(
    ("headers", "own"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "same-site", "host": "localhost:8501", "origin": "http://localhost:8501"}, False),
        ({"host": "localhost:8501", "origin": "http://localhost:8501"}, True),
        ({"host": "10.0.0.9:8501", "origin": "https://hub.example.org"}, True),
        ({"host": "localhost:8501", "origin": "http://localhost:9999"}, False),
        ({"host": "localhost:8501", "origin": "null"}, False),
        ({"host": "localhost:8501"}, False),
        ({"origin": ""}, False),
    ],
)
def test_only_a_page_of_this_hub_is_its_own(headers: dict[str, str], own: bool) -> None:
    assert is_own_page(Headers(headers), "https://hub.example.org") is own


def test_streamlit_is_the_version_whose_pages_were_tried() -> None:
    assert tuple(map(int, streamlit.__version__.split(".")[:2])) >= (1, 67)
