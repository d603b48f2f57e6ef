"""Connectors against what their vendors answer: each JSON file in tests/integrations/<slug>/ is one conversation.

config    as the connection has it; {server} is the local server's address, {service_account} a key of the sandbox
token     an access token that is kept from before, where the vendor wants one
items     [{key, body}] to deliver · or `check`: true · or `find`: a key
answers   what the vendor says, one per request: {status, headers, body} or {error: read_timeout | closed}
requests  what it must have been sent: {method, url, headers (those that matter), body (exactly, unpacked)};
          {assertion} in a body is a JWT, which google-auth verifies
receipts  what became of each item: {key, vendor_id, fault, message, retry_after_s, body}, and of a ticket
          {url, status, stage, priority}
steps     of a check: {name, ok, text, warning where it is one}; `fault` and `message` where it ended in one
ticket    of a find: {id, url, status, stage, priority} or null
"""

import base64
import gzip
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

import orjson
import pytest
import time_machine
from google.auth import jwt
from hypothesis import given
from hypothesis import strategies as st

from core import integrations
from core.delivery.batch import BatchDelivery
from core.http import Dialer, Egress, Previewed, Recorder, Rules, VendorClient, sent_text
from core.http.errors import DeliveryError
from core.integrations.base import Connector, Item, Receipt, Tokens
from core.integrations.email import connector as email
from core.integrations.registry import connector, slugs
from core.integrations.token_cache import NoTokens, TokenCache
from core.platform import text
from core.platform.errors import NotFound
from core.platform.secret import Secret
from sandbox.vendors.google_secops.service_account import EMAIL, KEY_ID, PUBLIC_KEY, service_account_json
from tests.support.mail_server import MailServer

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parent
SECRET_FIELDS = {
    *("token", "api_token", "webhook_url", "bot_token", "routing_key", "signing_secret", "webhook_secret"),
    *("api_key", "auth_value", "sec_token", "secret_access_key", "session_token"),
    *("service_account_json", "client_secret", "password"),
}
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CASES = [
    pytest.param(path, id=f"{path.parent.name}/{path.stem}")
    for slug in slugs()
    for path in sorted((FIXTURES / slug).glob("*.json"))
]


class _Tools(Dialer):
    def __init__(self, client: VendorClient, tokens: Tokens) -> None:
        super().__init__(client)
        self.tokens = tokens

    def now(self) -> datetime:
        return NOW


class Vendor:
    """A local server that answers what the case says and keeps what it was sent."""

    def __init__(self, answers: list[dict[str, Any]]) -> None:
        self.answers = list(answers)
        self.requests: list[dict[str, Any]] = []
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @contextmanager
    def running(self) -> Iterator["Vendor"]:
        Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield self
        finally:
            self._http.shutdown()
            self._http.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = (gzip.decompress(raw) if self.headers["Content-Encoding"] == "gzip" else raw).decode()
                vendor.requests.append(
                    {"method": self.command, "url": self.path, "headers": dict(self.headers), "body": body}
                )
                answer = vendor.answers.pop(0) if vendor.answers else {"status": 599}
                if answer.get("error"):
                    self.close_connection = True
                    if answer["error"] == "read_timeout":
                        self.connection.recv(1)  # returns when the client has given up and hung up
                    return
                self._reply(answer)

            do_GET = do_OPTIONS = do_POST

            def _reply(self, answer: dict[str, Any]) -> None:
                body = answer.get("body", "")
                raw = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(answer["status"])
                for name, value in answer.get("headers", {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def log_message(self, *words: object) -> None:
                pass

        return Handler


def placed(value: Any, server: str) -> Any:
    """{server}, {host}, {port} and {service_account} in a case, wherever they stand."""
    host, _, port = server.removeprefix("http://").partition(":")
    text = json.dumps(value).replace('"{port}"', port).replace("{port}", port)
    text = text.replace("{server}", server).replace("{host}", host)
    return json.loads(text.replace("{service_account}", json.dumps(service_account_json())[1:-1]))


def build(slug: str, config: dict[str, Any], client: VendorClient, token: str | None = None) -> Connector:
    made = connector(slug)
    given = {name: Secret(value) if name in SECRET_FIELDS else value for name, value in config.items()}
    tokens = NoTokens() if isinstance(client, Recorder) else TokenCache().of(slug, config)
    if token is not None:
        tokens.keep(token, 3600)
    return made(made.Config(**given), client, _Tools(client, tokens))


def vendor_of(slug: str, answers: list[dict[str, Any]]) -> Vendor | MailServer:
    return MailServer(answers) if slug == "email" else Vendor(answers)


def client_of(slug: str, config: dict[str, Any], deadline_s: float = 20.0) -> VendorClient:
    return VendorClient(
        vendor=integrations.get(slug).name,
        rules=Rules(egress=Egress.parse("127.0.0.1")),
        faults=connector(slug).faults,
        secrets=[value for name, value in config.items() if name in SECRET_FIELDS],
        deadline_s=deadline_s,
    )


def told(receipt: Receipt) -> dict[str, Any]:
    fault = receipt.fault
    words: dict[str, Any] = {"key": receipt.key, "vendor_id": receipt.vendor_id}
    if receipt.ticket:
        shown = asdict(receipt.ticket)
        assert shown.pop("id") == receipt.vendor_id
        words |= shown
    if fault:
        words |= {"fault": type(fault).__name__, "message": fault.message}
        words |= {"retry_after_s": fault.retry_after_s, "body": fault.body or None}
    return {name: value for name, value in words.items() if value is not None}


def spellings(secret: str) -> set[str]:
    path = secret.rpartition("/")[2]
    encoded = {base64.b64encode(word.encode()).decode() for word in (secret, f"hub@example.com:{secret}")}
    return {secret, path, *encoded}


def assert_no_secret(config: dict[str, Any], *things: Any) -> None:
    """Nothing that may be stored or shown carries a credential, in any spelling."""
    seen = json.dumps(things, default=repr, ensure_ascii=False)
    for name in SECRET_FIELDS & config.keys():
        for secret in spellings(config[name]):
            assert secret not in seen, f"{name} leaked"
    assert "CANARY" not in seen, "a token leaked"


def assert_sent(expected: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
    for wanted, got in zip(expected, sent, strict=True):
        assert (got["method"], got["url"]) == (wanted["method"], wanted["url"])
        assert {name: got["headers"].get(name) for name in wanted["headers"]} == wanted["headers"]
        assert without_assertion(got) == wanted["body"]


def without_assertion(sent: dict[str, Any]) -> str:
    """The body with its JWT, if it has one, verified by google-auth and replaced by {assertion}."""
    body: str = sent["body"]
    assertion = dict(parse_qsl(body)).get("assertion") if "assertion=" in body else None
    if assertion is None:
        return body
    with time_machine.travel(NOW, tick=False):
        claims = jwt.decode(
            assertion, certs=PUBLIC_KEY, audience=f"http://{sent['headers']['Host']}{sent['url']}"
        )
    assert claims["iss"] == EMAIL
    assert claims["exp"] - claims["iat"] == 3600
    assert jwt.decode_header(assertion)["kid"] == KEY_ID
    return body.replace(assertion, "{assertion}")


@pytest.mark.parametrize("path", CASES)
def test_a_conversation_goes_as_the_fixture_says(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case, slug = json.loads(path.read_text()), path.parent.name
    slow = "read_timeout" in json.dumps(case["answers"])
    if slow:
        monkeypatch.setattr(email, "DEADLINE_S", 0.5)
    with vendor_of(slug, case["answers"]).running() as vendor:
        case = placed(case, vendor.url)
        config = case["config"]
        with client_of(slug, config, deadline_s=0.3 if slow else 20.0) as client:
            outcome = talk(build(slug, config, client, case.get("token")), case)
        assert_no_secret(config, outcome, [asdict(exchange) for exchange in client.exchanges])
        assert outcome == {name: case[name] for name in outcome}
        assert_sent(case["requests"], vendor.requests)
        assert not vendor.answers


def talk(connector: Connector, case: dict[str, Any]) -> dict[str, Any]:
    """Deliver, check or find as the case wants; the outcome in the case's own words."""
    if "items" in case:
        settlement = BatchDelivery(connector, items_of(case))
        receipts = [told(receipt) for receipt in settlement]
        assert settlement.bug is None
        return {"receipts": receipts}
    if "find" in case:
        try:
            ticket = connector.find(case["find"])
        except DeliveryError as fault:
            return {"fault": type(fault).__name__, "message": fault.message}
        return {"ticket": asdict(ticket) if ticket else None}
    steps: list[dict[str, Any]] = []
    try:
        for step in connector.check():
            steps.append(asdict(step))
            if not step.warning:
                del steps[-1]["warning"]
    except DeliveryError as fault:
        return {"steps": steps, "fault": type(fault).__name__, "message": fault.message}
    return {"steps": steps}


def items_of(case: dict[str, Any]) -> list[Item]:
    return [Item(item["key"], orjson.dumps(item["body"]).decode()) for item in case["items"]]


def sent_by(slug: str, config: dict[str, Any], *items: Item) -> list[dict[str, Any]]:
    recorder = Recorder(vendor=slug, rules=Rules(egress=Egress.parse("127.0.0.1:9")))
    list(BatchDelivery(build(slug, config, recorder), items))
    return [json.loads(line) for request in recorder.requests for line in request.content.splitlines()]


REQUIRED_CASES = {
    *("good", "several", "unauthorized", "forbidden", "not_found", "too_large", "rate_limited"),
    *("rate_limited_without_a_time", "failing", "busy", "read_timeout", "closed", "web_page", "partial"),
    *("hostile_text", "over_length"),
}


@pytest.mark.parametrize("slug", slugs())
def test_every_connector_has_every_usual_case(slug: str) -> None:
    names = {path.stem for path in (FIXTURES / slug).glob("*.json")}
    assert sorted(REQUIRED_CASES - names) == []
    assert any(name.startswith("check_") for name in names)


@pytest.mark.parametrize("slug", slugs())
def test_a_preview_shows_the_bytes_that_are_sent(slug: str) -> None:
    case = placed(json.loads((FIXTURES / slug / "good.json").read_text()), "http://127.0.0.1:9")
    recorder = Recorder(vendor=slug, rules=Rules(egress=Egress.parse("127.0.0.1:9")))
    receipts = BatchDelivery(build(slug, case["config"], recorder), items_of(case))
    assert all(isinstance(receipt.fault, Previewed) for receipt in receipts)
    assert [sent_text(request) for request in recorder.requests] == [r["body"] for r in case["requests"]]


def test_an_unknown_connector_names_the_nearest_one() -> None:
    with pytest.raises(NotFound, match='Did you mean "splunk"'):
        connector("splnuk")


@pytest.mark.parametrize("slug", slugs())
def test_a_config_never_prints_its_secret(slug: str) -> None:
    case = json.loads((FIXTURES / slug / "good.json").read_text())
    made = build(slug, case["config"], client_of(slug, case["config"]))
    assert_no_secret(case["config"], repr(made.config))
    secret = {f.name for f in fields(made.config) if isinstance(getattr(made.config, f.name), Secret)}
    assert secret == SECRET_FIELDS & case["config"].keys()


# --- text -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//evil", "https://", None, 7])
def test_only_web_links_become_links(url: object) -> None:
    assert text.web_link(url) is None


@given(st.text(), st.integers(min_value=1, max_value=50))
def test_a_cut_is_never_longer_than_its_limit(words: str, limit: int) -> None:
    short = text.cut(words, limit)
    assert len(short.encode("utf-16-le")) <= limit * 2
    assert short == words or short.endswith("…")


def test_one_line_keeps_words_apart_at_every_kind_of_break() -> None:
    assert text.one_line("a\r\nb\x0bc\x85d\u2028e\tf\x00g", 99) == "a b c d e fg"


# --- what the pages in docs/integrations say ------------------------------------------------------

PAGES = [
    Path(__file__).parents[2] / "docs" / "integrations" / f"{slug}.md"
    for slug in ("google_secops", "microsoft_sentinel", "servicenow", "zendesk")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_message_that_is_explained_is_one_that_is_said(page: Path) -> None:
    by_hand = page.read_text().partition("<!-- facts")[0]
    quoted = re.findall(r"^\| `([^`]+)` \|", by_hand, flags=re.MULTILINE)
    cases = [json.loads(path.read_text()) for path in (FIXTURES / page.stem).glob("*.json")]
    told = [case.get("message", "") for case in cases]
    told += [step["text"] for case in cases for step in case.get("steps", [])]
    told += [receipt.get("message", "") for case in cases for receipt in case.get("receipts", [])]
    assert quoted
    assert [words for words in quoted if not any(words in message for message in told)] == []
