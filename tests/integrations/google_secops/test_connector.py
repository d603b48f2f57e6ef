"""Google SecOps: a JWT that Google's own library believes, requests within its size, and a strict stand-in."""

import base64
import json
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import orjson
import pytest
import time_machine
from google.auth import crypt, exceptions, jwt
from google.oauth2 import service_account
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import connections
from core.delivery.batch import BatchDelivery
from core.http import Egress, Recorder, Rules
from core.http.errors import Misconfigured, Rejected
from core.integrations import client
from core.integrations.base import Item
from core.integrations.google_secops.connector import MAX_BYTES
from core.integrations.google_secops.service_account import SCOPE, TOKEN_URL, read_key, sign_in
from core.platform.secret import MASK
from sandbox import Sandbox
from sandbox.tokens import LASTS_S, token
from sandbox.vendors.google_secops.service_account import (
    KEY_ID,
    PUBLIC_KEY,
    SANDBOX_ONLY_PRIVATE_KEY,
    service_account_json,
)
from sandbox.vendors.google_secops.stand_in import PARENT
from tests.integrations.test_connectors import build
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
CONFIG = {
    "project_id": "acme",
    "location": "eu",
    "instance_id": "01234567-89ab-cdef-0123-456789abcdef",
    "service_account_json": service_account_json(),
}


def assertion_of(made: Any) -> str:
    return str(made.form["assertion"])


def ours(now: datetime = NOW) -> str:
    return assertion_of(sign_in(read_key(service_account_json()), TOKEN_URL, int(now.timestamp())))


# --- sign-in ------------------------------------------------------------------------------------------


def test_google_s_library_verifies_our_token_request() -> None:
    with time_machine.travel(NOW, tick=False):
        claims = jwt.decode(ours(), certs=PUBLIC_KEY, audience=TOKEN_URL)
    assert claims["scope"] == SCOPE
    assert jwt.decode_header(ours()) == {"typ": "JWT", "alg": "RS256", "kid": KEY_ID}


def test_our_token_request_is_the_one_that_google_s_library_makes() -> None:
    info = json.loads(service_account_json()) | {"token_uri": TOKEN_URL}
    credentials = service_account.Credentials.from_service_account_info(info, scopes=[SCOPE])
    with time_machine.travel(NOW, tick=False):
        theirs = credentials._make_authorization_grant_assertion().decode()
        assert jwt.decode(theirs, verify=False) == jwt.decode(ours(), verify=False)
        assert jwt.decode_header(theirs) == jwt.decode_header(ours())


def test_google_s_library_refuses_a_token_request_that_was_changed() -> None:
    head, claims, signature = ours().split(".")
    other = base64.urlsafe_b64encode(base64.urlsafe_b64decode(claims + "==").replace(b"eu", b"us")).decode()
    forged = f"{head}.{other.rstrip('=')}x.{signature}"
    with time_machine.travel(NOW, tick=False), pytest.raises((exceptions.GoogleAuthError, ValueError)):
        jwt.decode(forged, certs=PUBLIC_KEY, audience=TOKEN_URL)


def test_the_address_in_the_key_file_is_never_followed() -> None:
    assert "token-uri-of-the-file.invalid" in service_account_json()
    recorder = Recorder(vendor="Google SecOps", rules=Rules())
    connector = build("google_secops", CONFIG, recorder)
    assert connector._sign_in().url == TOKEN_URL  # type: ignore[attr-defined]
    assert "invalid" not in json.dumps(jwt.decode(ours(), verify=False))


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"type":"service_account"}', "{" * 5000])
def test_anything_pasted_as_a_key_ends_in_a_sentence(text: str) -> None:
    with pytest.raises(Misconfigured):
        read_key(text)


# --- size ---------------------------------------------------------------------------------------------


def finding(number: int, **more: Any) -> Item:
    body = {
        "time": "2026-11-22T10:00:00.000Z",
        "id": f"fiq-scan-{number}",
        "type": "footprintiq.scan.high_risk",
        "severity": "HIGH",
        "title": "Scan",
    } | more
    return Item(f"fiq-scan-{number}", orjson.dumps(body).decode())


def sent(items: list[Item], **config: str) -> tuple[list[bytes], list[Any]]:
    """Every request of one delivery, as if each were answered; and its receipts."""
    bodies: list[bytes] = []

    class Answering(Recorder):
        def _record(self, request: httpx.Request) -> httpx.Response:
            bodies.append(request.content)
            return httpx.Response(200, content=b"{}")

    client = Answering(vendor="Google SecOps", rules=Rules(egress=Egress()))
    return bodies, list(BatchDelivery(build("google_secops", CONFIG | config, client), items))


@pytest.mark.parametrize("config", [{}, {"mode": "logs", "log_type": "FOOTPRINTIQ"}])
def test_no_request_is_larger_than_google_takes(config: dict[str, str]) -> None:
    items = [finding(number, raw={"note": "x" * 700_000}) for number in range(9)]
    bodies, receipts = sent(items, **config)
    assert [receipt.key for receipt in receipts] == [item.key for item in items]
    assert all(receipt.fault is None for receipt in receipts)
    assert len(bodies) == (2 if not config else 3)
    assert all(len(body) < 4_000_000 for body in bodies)


@settings(deadline=None, max_examples=25)
@example([490_000] * 9)
@given(st.lists(st.integers(min_value=1, max_value=1_500_000), min_size=1, max_size=8))
def test_every_finding_is_sent_once_whatever_its_size(sizes: list[int]) -> None:
    items = [finding(number, raw={"note": "é" * size}) for number, size in enumerate(sizes)]
    bodies, _ = sent(items)
    events = [event for body in bodies for event in json.loads(body)["inlineSource"]["events"]]
    ids = [event["udm"]["metadata"]["productLogId"] for event in events]
    assert ids == [item.key for item in items]
    assert all(len(body) < 4_000_000 for body in bodies)


def test_a_scan_that_is_too_long_is_cut_with_a_mark() -> None:
    bodies, _ = sent([finding(1, raw={"note": "x" * 2_000_000})])
    (event,) = json.loads(bodies[0])["inlineSource"]["events"]
    assert event["udm"]["additional"]["raw"].endswith("…")
    assert len(event["udm"]["additional"]["raw"].encode()) <= 1_000_000


def test_a_finding_larger_than_a_request_is_not_sent() -> None:
    bodies, receipts = sent([finding(1, more="x" * MAX_BYTES), finding(2)])
    assert [type(receipt.fault) for receipt in receipts] == [Rejected, type(None)]
    assert len(bodies) == 1


# --- against the stand-in -----------------------------------------------------------------------------


def test_scans_become_events_once_with_one_sign_in(workplace: Workplace) -> None:
    client._TOKENS._kept.clear()
    workplace.connect("google_secops", drain=True)
    workplace.scans(12)
    assert workplace.sync("google_secops").count == 12
    arrived = workplace.sandbox.accepted("google_secops")
    assert len({one.key for one in arrived}) == len(arrived) == 12
    assert arrived[0].body["metadata"]["event_type"] == "GENERIC_EVENT"
    assert len(client._TOKENS._kept) == 1
    workplace.scans(1)
    assert workplace.sync("google_secops").count == 1


def test_a_preview_shows_the_import_and_signs_in_nowhere(workplace: Workplace) -> None:
    id = workplace.connect("google_secops")
    workplace.scans(2)
    (request,) = connections.preview(workplace.who, id)
    assert request.url.endswith("/events:import")
    assert request.headers["authorization"] == MASK
    assert len(json.loads(request.body)["inlineSource"]["events"]) == 2
    assert workplace.sandbox._state.count("google_secops").requests == 0


def imported(sandbox: Sandbox, body: Any, path: str = "events", **headers: str) -> httpx.Response:
    with httpx.Client(trust_env=False) as http:
        signed = {"Authorization": f"Bearer {token('google_secops', time.time())}"} | headers
        url = f"{sandbox.url}/google_secops/v1/{PARENT}/{path}:import"
        return http.post(url, json=body, headers=signed)


def event(**metadata: Any) -> dict[str, Any]:
    usual = {"event_timestamp": "2026-11-22T10:00:00Z", "event_type": "GENERIC_EVENT"}
    return {"inline_source": {"events": [{"udm": {"metadata": usual | metadata}}]}}


def test_the_stand_in_takes_both_spellings_that_google_takes(sandbox: Sandbox) -> None:
    metadata = {"eventTimestamp": "2026-11-22T10:00:00+01:00", "eventType": "GENERIC_EVENT"}
    assert imported(sandbox, event()).status_code == 200
    assert imported(sandbox, {"inlineSource": {"events": [{"udm": {"metadata": metadata}}]}}).is_success


@pytest.mark.parametrize(
    "body",
    [
        event(event_type="FOOTPRINT_FOUND"),
        event(event_timestamp="22.11.2026"),
        event(event_timestamp="2026-02-30T10:00:00Z"),
        event(surprise="x"),
        event(description=7),
        {"inline_source": {"events": []}},
        {"inline_source": {"events": {}}},
        {"events": []},
        [],
        {"inline_source": {"events": [{"udm": {"metadata": {"event_type": "GENERIC_EVENT"}}}]}},
    ],
)
def test_the_stand_in_refuses_what_udm_does_not_have(sandbox: Sandbox, body: Any) -> None:
    answer = imported(sandbox, body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert sandbox.accepted() == []


def test_the_stand_in_takes_all_events_or_none(sandbox: Sandbox) -> None:
    both = event()
    both["inline_source"]["events"] += event(event_type="NO")["inline_source"]["events"]
    assert imported(sandbox, both).status_code == 400
    assert sandbox.accepted() == []


def log(**changes: Any) -> dict[str, Any]:
    entry = {
        "data": base64.b64encode(b'{"id":"fiq-scan-1","title":"t"}').decode(),
        "logEntryTime": "2026-11-22T10:00:00Z",
        "collectionTime": "2026-11-22T10:00:00Z",
    } | changes
    return {"inlineSource": {"logs": [entry], "forwarder": f"{PARENT}/forwarders/f1"}}


def test_the_stand_in_reads_logs(sandbox: Sandbox) -> None:
    path = "logTypes/FOOTPRINTIQ/logs"
    assert imported(sandbox, log(), path).json() == {}
    for body in (log(data="no base64!"), log(collectionTime="2026-11-22T09:59:59Z"), log(surprise=1)):
        assert imported(sandbox, body, path).status_code == 400
    assert "invalid log type" in imported(sandbox, log(), "logTypes/NOPE/logs").text
    assert [one.key for one in sandbox.accepted()] == ["fiq-scan-1"]


def signed(**claims: Any) -> str:
    signer = crypt.RSASigner.from_string(SANDBOX_ONLY_PRIVATE_KEY, claims.pop("kid", KEY_ID))
    usual = jwt.decode(ours(datetime.now(UTC)), verify=False)
    return jwt.encode(signer, usual | claims).decode()


def asked(sandbox: Sandbox, assertion: str) -> httpx.Response:
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    with httpx.Client(trust_env=False) as http:
        form = {"grant_type": grant, "assertion": assertion}
        return http.post(f"{sandbox.url}/google_secops/token", data=form)


def test_the_stand_in_verifies_the_signature_and_every_claim(sandbox: Sandbox) -> None:
    aud, now = f"{sandbox.url}/google_secops/token", int(time.time())
    good = signed(aud=aud)
    answer = asked(sandbox, good).json()
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", LASTS_S)
    wrong = {
        good[:-6] + "AAAAAA": "Invalid JWT Signature.",
        "x.y.z": "Invalid JWT Signature.",
        signed(aud=aud, kid="another"): "Invalid JWT Signature.",
        signed(aud=aud, iss="somebody@else"): "Invalid grant: account not found",
        signed(aud=aud, scope="email"): "Invalid OAuth scope or ID token audience provided.",
        signed(aud=TOKEN_URL): "Invalid JWT: Failed audience check.",
    }
    for assertion, words in wrong.items():
        refused = asked(sandbox, assertion)
        assert (refused.status_code, refused.json()["error_description"]) == (400, words)
    for late in ({"iat": now - 7200, "exp": now - 3600}, {"iat": now, "exp": now + 7200}):
        assert "short-lived" in asked(sandbox, signed(aud=aud, **late)).text


def test_the_stand_in_knows_its_own_tokens_only_and_for_an_hour(sandbox: Sandbox) -> None:
    for bearer in ("", "Bearer x", f"Bearer {token('microsoft_sentinel', time.time())}"):
        assert imported(sandbox, event(), Authorization=bearer).status_code == 401
    old = token("google_secops", time.time() - LASTS_S - 1)
    assert imported(sandbox, event(), Authorization=f"Bearer {old}").status_code == 401
    end = old.split(".")[2]
    forged = old.replace(end, str(int(end) + 9999))
    assert imported(sandbox, event(), Authorization=f"Bearer {forged}").status_code == 401
