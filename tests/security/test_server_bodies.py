"""Bodies that cost more than they are worth: the role comes before the bytes, bounds before the parser."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from core.platform.errors import Invalid
from core.web.api import create_api
from core.web.api.body import OF_RECORDS, ORDINARY, Bounds, parsed
from core.web.api.errors import BodyTooLarge
from tests.conftest import People
from tests.support.api_client import V1, on_sqlite, token_of, viewer

__all__ = ["on_sqlite"]
pytestmark = pytest.mark.security

DEEP = b'{"id":"x","a":' + b"[" * 200 + b"]" * 200 + b"}"
NESTED = b"[" + b",".join([DEEP] * 12_600) + b"]"  # 5 MB
WIDE = b'{"id":"x","a":[' + b"[]," * 1_740_000 + b"[]]}"
#: of a GET beside it, on a machine that does other things as well; it was 3 to 11 s for one body
PATIENCE_S = 1.0
WRITING = [
    ("POST", f"{V1}/connections"),
    ("PATCH", f"{V1}/connections/1"),
    ("POST", f"{V1}/connections/1/test"),
    ("POST", f"{V1}/connections/1/preview"),
    ("POST", f"{V1}/connections/1/reauthorize"),
    ("POST", f"{V1}/scans"),
    ("POST", f"{V1}/replays"),
    ("POST", "/functions/v1/sync-integration"),
]


class Asked:
    """One request, straight into the app; `read` counts how often the app asked for its body."""

    def __init__(self, method: str, path: str, token: str = "", body: bytes = b"") -> None:
        self.body, self.read, self.status = body, 0, 0
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "host": "hub"}
        self.scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "scheme": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }

    async def receive(self) -> dict[str, Any]:
        self.read += 1
        return {"type": "http.request", "body": self.body, "more_body": False}

    async def send(self, message: dict[str, Any]) -> None:
        self.status = message.get("status", self.status)

    async def of(self, app: Callable[..., Coroutine[Any, Any, None]]) -> "Asked":
        await app(self.scope, self.receive, self.send)
        return self


@pytest.mark.parametrize(("method", "path"), WRITING)
def test_a_viewers_body_is_not_even_read(people: People, method: str, path: str) -> None:
    asked = asyncio.run(Asked(method, path, token_of(viewer()), NESTED).of(create_api()))
    assert (asked.status, asked.read) == (403, 0)


async def _beside(app: Any, asked: list[Asked]) -> float:
    """The longest that the event loop was not there for others."""
    longest, last = 0.0, time.perf_counter()
    work = asyncio.gather(*(each.of(app) for each in asked))
    while not work.done():
        await asyncio.sleep(0.005)
        longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
    await work
    return longest


@pytest.mark.parametrize("path", ["/connections", "/scans"])
@pytest.mark.parametrize("body", [NESTED, WIDE], ids=["nested", "wide"])
def test_others_are_answered_while_a_members_bombs_are_refused(
    people: People, path: str, body: bytes
) -> None:
    token = token_of(people.a)
    bombs = [Asked("POST", V1 + path, token, body) for _ in range(6)]
    assert asyncio.run(_beside(create_api(), bombs)) < PATIENCE_S
    assert {each.status for each in bombs} == {413}


@pytest.mark.parametrize(
    "body",
    [
        NESTED,
        WIDE,
        b"[" + b"{}," * 150_000 + b"{}]",
        b"[" + b"0," * 450_000 + b"0]",
        b"[" + b'"",' * 450_000 + b'""]',
        b'{"a":"' + b'","' * 450_000 + b'"}',
    ],
    ids=["nested", "wide", "objects", "numbers", "texts", "broken off"],
)
def test_too_many_values_are_refused_before_they_are_parsed(body: bytes, not_parsed: None) -> None:
    with pytest.raises(
        BodyTooLarge, match=r"more than [\d,]+ (values|lists and objects)\. Send it in smaller parts"
    ):
        parsed(body, OF_RECORDS)


@pytest.mark.parametrize("bounds", [ORDINARY, OF_RECORDS], ids=["ordinary", "records"])
@pytest.mark.parametrize("opens", [b"[", b'{"a":'], ids=["lists", "objects"])
def test_what_is_nested_too_deeply_is_refused_before_it_is_parsed(
    opens: bytes, bounds: Bounds, not_parsed: None
) -> None:
    for times in (bounds.depth + 1, 19_000):
        with pytest.raises(Invalid, match=f"nested more than {bounds.depth} deep"):
            parsed(opens * times, bounds)


@pytest.fixture
def not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("core.web.api.body.orjson.loads", fail)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":"' + b"[{,:" * 1_000_000 + b'"}',
        b'{"a":"' + rb"\"[\\" * 500_000 + b'"}',
        b"[" * 500 + b"]" * 500,
        b"[" + b"1," * 199_000 + b"1]",
    ],
    ids=["marks in a text", "quotes in a text", "500 deep", "many numbers"],
)
def test_what_only_looks_like_too_much_is_parsed(body: bytes) -> None:
    parsed(body, OF_RECORDS)


def test_a_body_that_is_no_record_is_small(people: People) -> None:
    fields = b"{" + b",".join(b'"f%d":1' % number for number in range(20_001)) + b"}"
    with pytest.raises(BodyTooLarge, match="more than 20,000 values"):
        parsed(fields, ORDINARY)
    text = b'{"slug":"' + b"x" * 2**20 + b'"}'
    ordinary, of_records = (
        asyncio.run(Asked("POST", V1 + path, token_of(people.a), text).of(create_api())).status
        for path in ("/connections", "/scans")
    )
    assert (ordinary, of_records) == (413, 422)


def test_who_leaves_in_the_middle_of_a_body_is_no_failure_of_the_hub(people: People) -> None:
    asked = Asked("POST", f"{V1}/scans", token_of(people.a))

    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    asked.receive = gone  # type: ignore[method-assign]
    with capture_logs() as log:
        asyncio.run(asked.of(create_api()))
    assert (asked.status, log) == (0, [])
