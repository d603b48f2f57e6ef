"""The API on a real socket of this process, asked by several people; shared by the tests of `core.web.api`."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import uvicorn

from core import access
from core.access import LOCAL, Principal
from core.access.principal import principal_of
from core.platform.settings import settings
from core.storage import db
from core.web.api import Syncs, create_api
from core.web.api.auth import Rate
from core.web.server import configured, listen
from core.web.sockets import SocketLimits
from tests.conftest import People
from tests.support.workplace import Workplace

V1 = "/api/v1"
#: in no answer, whoever asks and whatever goes wrong
CANARY = "canary-5ecret-of-this-test"
#: (method, path, body) of every route that names a connection or a delivery
OF_CONNECTION: list[tuple[str, str, Any]] = [
    ("GET", "/connections/{id}", None),
    ("PATCH", "/connections/{id}", {"name": "mine now"}),
    ("DELETE", "/connections/{id}", None),
    ("POST", "/connections/{id}/test", None),
    ("POST", "/connections/{id}/preview", {"limit": 3}),
    ("POST", "/connections/{id}/enable", {"backlog": "skip"}),
    ("POST", "/connections/{id}/disable", None),
    ("POST", "/connections/{id}/reauthorize", {"values": {"token": "another"}}),
    ("POST", "/connections/{id}/release", None),
    ("POST", "/connections/{id}/discard", None),
    ("GET", "/connections/{id}/logs", None),
    ("GET", "/connections/{id}/deliveries", None),
    ("GET", "/connections/{id}/health", None),
    ("GET", "/deliveries?connection={id}", None),
    ("GET", "/events?connection={id}", None),
    ("GET", "/tickets?connection={id}", None),
    ("POST", "/replays", {"connection": "{id}"}),
    ("POST", "/functions/v1/sync-integration", {"integration_id": "{id}", "action": "manual"}),
]
OF_DELIVERY: list[tuple[str, str, Any]] = [
    ("GET", "/deliveries/{id}", None),
    ("POST", "/deliveries/{id}/replay", {"again": True}),
]
OF_REPLAY: list[tuple[str, str, Any]] = [
    ("GET", "/replays/{id}", None),
    ("POST", "/replays/{id}/pause", None),
    ("POST", "/replays/{id}/resume", None),
]
LISTS = ("/connections", "/deliveries", "/events", "/tickets", "/scans", "/cases", "/alerts", "/replays")


@dataclass(frozen=True)
class Api:
    """`a`, `b`, `viewer` and `admin` ask with their own tokens, `nobody` with none."""

    url: str
    a: httpx.Client
    b: httpx.Client
    viewer: httpx.Client
    admin: httpx.Client
    nobody: httpx.Client
    workplace: Workplace

    def splunk(self, **changes: Any) -> dict[str, Any]:
        values = self.workplace.sandbox.credentials("splunk")
        return {"slug": "splunk", "name": "SOC prod", "values": values} | changes

    def connect(self, client: httpx.Client | None = None, **changes: Any) -> str:
        answer = (client or self.a).post("/api/v1/connections", json=self.splunk(**changes))
        assert answer.status_code == 201, answer.text
        made: str = answer.json()["id"]
        return made

    def sync(self, id: str, client: httpx.Client | None = None, **changes: Any) -> httpx.Response:
        body = {"integration_id": id, "action": "manual"} | changes
        return (client or self.a).post("/functions/v1/sync-integration", json=body)


@contextmanager
def listening(app: Any, limits: SocketLimits = SocketLimits()) -> Iterator[str]:
    """Serves `app` in a thread of this process; its address."""
    socket = listen("127.0.0.1", 0)
    server = uvicorn.Server(configured(app, limits, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


def token_of(who: Principal) -> str:
    return access.create_token(LOCAL, who.email, "test", None)


def client(url: str, token: str | None) -> httpx.Client:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return httpx.Client(base_url=url, headers=headers, trust_env=False, timeout=30)


def viewer() -> Principal:
    return principal_of(access.add_user(LOCAL, "vera@example.org", "viewer", None))


@pytest.fixture
def api(workplace: Workplace, people: People) -> Iterator[Api]:
    tokens = [token_of(who) for who in (people.a, people.b, viewer(), people.admin)]
    with ExitStack() as stack:
        url = stack.enter_context(listening(create_api(Syncs(answer_s=10.0), Rate(1_000, 60.0))))
        clients = [stack.enter_context(client(url, token)) for token in (*tokens, None)]
        yield Api(url, *clients, workplace)


def routes() -> list[tuple[str, str]]:
    """(method, path) of everything in the OpenAPI document."""
    paths = create_api().openapi()["paths"]
    return [(method.upper(), path) for path, methods in paths.items() for method in methods]


def ask(client: httpx.Client, method: str, path: str, body: Any, id: Any) -> httpx.Response:
    """`{id}` in the path and in the body's texts becomes `id`."""
    path = path if path.startswith("/functions") else V1 + path
    texts = {
        name: value.replace("{id}", str(id)) if isinstance(value, str) else value
        for name, value in (body or {}).items()
    }
    return client.request(method, path.replace("{id}", str(id)), json=texts or None)


def refusal(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The error of an answer that has the one shape all errors have."""
    assert answer.status_code == status, answer.text
    error: dict[str, Any] = answer.json()["error"]
    assert set(answer.json()) == {"error"}
    assert set(error) == {"code", "message", "details"}
    assert error["code"] == code
    return error


@pytest.fixture(name="database")
def on_sqlite(sqlite_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """For tests that PostgreSQL would add nothing to: name it in the module and `database` is SQLite alone."""
    monkeypatch.setenv("HUB_DATABASE_URL", sqlite_database)
    settings.cache_clear()
    db.configure(sqlite_database)
    yield sqlite_database
    db.engine().dispose()
