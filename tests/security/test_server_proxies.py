"""`X-Forwarded-For` is what its writer says: it counts only from proxies that HUB_TRUSTED_PROXIES names."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from structlog.testing import capture_logs

from core import access
from core.access import LOCAL, sessions
from core.platform.errors import Unusable
from core.platform.secret import Secret
from core.platform.settings import settings
from core.storage import db
from core.storage.models import AuditEntry
from core.web import server, sign_in
from core.web.proxies import TOLD, Proxies, address_of, believed, subscriber
from core.web.sockets import SocketLimits
from tests.support.api_client import listening

pytestmark = pytest.mark.security

OURS = (ip_network("10.0.0.5"), ip_network("10.1.0.0/16"), ip_network("fd00::/8"))
EMAIL, PASSWORD = "ana@example.org", "a long enough one"


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # a stranger's word
        ("127.0.0.1", "198.51.100.1", "127.0.0.1"),  # so is one from this machine
        ("10.0.0.5", "", "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.5", "127.0.0.1, 198.51.100.1", "198.51.100.1"),  # the first was written by the second
        ("10.0.0.5", "6.6.6.6, 198.51.100.1, 10.1.2.3", "198.51.100.1"),  # through two of ours
        ("10.0.0.5", "10.1.2.3, 10.1.2.4", "10.1.2.3"),  # one of ours asks for itself
        ("::ffff:10.0.0.5", "198.51.100.1", "198.51.100.1"),
        ("fd00::1", "[2001:db8::9]:4711", "2001:db8::9"),
        ("10.0.0.5", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.5", "unknown", "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1, <script>", "10.0.0.5"),
        ("10.0.0.5", "x" * 10_000, "10.0.0.5"),
        ("10.0.0.5", "198.51.100.1,", "10.0.0.5"),
        ("10.0.0.5", "2130706433, 0x7f.1", "10.0.0.5"),
        ("", "198.51.100.1", ""),
        ("10.1.255.255", "::1", "::1"),
        ("10.2.0.0", "::1", "10.2.0.0"),
    ],
)
def test_what_is_believed_from_whom(peer: str, forwarded: str, address: str) -> None:
    assert believed(peer, forwarded, OURS) == address


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("198.51.100.1", "198.51.100.1"),
        ("::ffff:198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:bbbb::9", "2001:db8:1:2::/64"),
        ("", ""),
        ("testclient", "testclient"),
    ],
)
def test_the_addresses_of_one_line_are_counted_as_one(address: str, counted: str) -> None:
    assert subscriber(address) == counted


def test_nobody_is_believed_when_no_proxy_is_named() -> None:
    assert settings().trusted_networks == ()
    assert believed("127.0.0.1", "198.51.100.1", ()) == "127.0.0.1"


@pytest.mark.parametrize("given", ["10.0.0.5", "10.0.0.5, 10.1.0.0/16", "::1", " 127.0.0.1,fd00::/8 "])
def test_addresses_and_networks_can_be_named(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HUB_TRUSTED_PROXIES", given)
    settings.cache_clear()
    assert len(settings().trusted_networks) == given.count(",") + 1


@pytest.mark.parametrize("given", ["*", "proxy.example.com", "10.0.0.5/8", "10.0.0.0/33", "10.0.0.5:80", "1"])
def test_anything_else_stops_the_start_with_one_sentence(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("HUB_TRUSTED_PROXIES", f"127.0.0.1,{given}")
    settings.cache_clear()
    with pytest.raises(Unusable, match=r"HUB_TRUSTED_PROXIES holds \".+\", which is neither .* network"):
        settings()


# --- as it is served ------------------------------------------------------------------------------


async def _says(scope: Any, receive: Any, send: Any) -> None:
    request = Request(scope)
    await PlainTextResponse(f"{address_of(request)} {request.url.scheme}")(scope, receive, send)


def _asked(app: Any, peer: str, *headers: tuple[str, str], kind: str = "http") -> tuple[str, str]:
    """The address and the scheme that the app sees."""
    seen: dict[str, Any] = {}

    async def note(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    app.app = note
    scope = {"type": kind, "client": (peer, 1), "scheme": "http" if kind == "http" else "ws", "path": "/"}
    scope["headers"] = [(name.lower().encode(), value.encode()) for name, value in headers]
    asyncio.run(app(scope, None, None))
    return seen["client"][0], seen["scheme"]


def test_several_headers_are_one_list_and_the_scheme_is_believed_too() -> None:
    app = Proxies(_says, OURS)
    lies = (("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-For", "198.51.100.1"))
    assert _asked(app, "10.0.0.5", *lies, ("X-Forwarded-Proto", "https")) == ("198.51.100.1", "https")
    assert _asked(app, "10.0.0.5", ("X-Forwarded-Proto", "https"), kind="websocket") == ("10.0.0.5", "wss")
    assert _asked(app, "10.0.0.5", ("X-Forwarded-Proto", "javascript")) == ("10.0.0.5", "http")
    assert _asked(app, "10.9.9.9", *lies, ("X-Forwarded-Proto", "https")) == ("10.9.9.9", "http")


def test_the_log_names_each_who_is_not_believed_once_and_a_few_of_them() -> None:
    app = Proxies(_says, OURS)
    with capture_logs() as log:
        for number in (1, 1, *range(1, 50)):
            _asked(app, f"203.0.113.{number}", ("X-Forwarded-For", "127.0.0.1"))
    assert [each["peer"] for each in log] == [f"203.0.113.{number}" for number in range(1, TOLD + 1)]


def test_uvicorn_itself_believes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    with listening(_says) as url:
        answer = httpx.get(url, headers={"X-Forwarded-For": "198.51.100.1"}, trust_env=False)
    assert answer.text == "127.0.0.1 http"
    assert server.configured(_says, SocketLimits()).proxy_headers is False


@pytest.fixture
def hub(sqlite_database: str, tmp_path: Path) -> Iterator[None]:
    db.configure(sqlite_database)
    access.add_user(LOCAL, EMAIL, "member", Secret(PASSWORD))
    sessions.ACCOUNTS.forget()
    sessions.ADDRESSES.forget()
    yield
    sessions.ACCOUNTS.forget()
    sessions.ADDRESSES.forget()


def _guess(client: httpx.Client, number: int) -> int:
    form = {"email": f"nobody{number}@example.org", "password": "a guess"}
    headers = {"X-Forwarded-For": f"198.51.100.{number}", "Origin": str(client.base_url).rstrip("/")}
    return client.post("/auth/login", data=form, headers=headers).status_code


def _audited() -> set[str]:
    with db.reading() as session:
        refused = select(AuditEntry).where(AuditEntry.action == "sign_in.refused")
        return {entry.subject for entry in session.exec(refused)}


@pytest.mark.parametrize(
    ("trusted", "codes", "addresses"),
    [
        ("", [401] * 20 + [429], {"127.0.0.1"}),
        ("127.0.0.1", [401] * 21, {f"198.51.100.{number}" for number in range(21)}),
    ],
)
def test_the_brake_and_the_audit_log_go_by_the_address_that_is_believed(
    hub: None, monkeypatch: pytest.MonkeyPatch, trusted: str, codes: list[int], addresses: set[str]
) -> None:
    """From 127.0.0.1 each guess had another address: the brake never held, and the log named whom it was told."""
    monkeypatch.setenv("HUB_TRUSTED_PROXIES", trusted)
    settings.cache_clear()
    door = Starlette(routes=[Route("/auth/login", sign_in.sign_in, methods=["POST"])])
    app = Proxies(door, settings().trusted_networks)
    with listening(app) as url, httpx.Client(base_url=url, trust_env=False) as client:
        assert [_guess(client, number) for number in range(21)] == codes
    assert _audited() == addresses
