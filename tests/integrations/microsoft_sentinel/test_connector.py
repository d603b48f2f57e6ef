"""Microsoft Sentinel: rows that Microsoft's own client would send too, within every limit; a strict stand-in."""

import gzip
import json
import time
from typing import Any

import httpx
import orjson
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.monitor.ingestion import LogsIngestionClient
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from core import connections, integrations
from core.delivery.batch import BatchDelivery
from core.http import Egress, Recorder, Rules
from core.http.errors import Misconfigured
from core.integrations.base import Item
from core.integrations.microsoft_sentinel.connector import MAX_BYTES
from core.integrations.microsoft_sentinel.row import RESERVED, row
from core.storage import db
from core.storage.models import Attempt
from sandbox import Sandbox
from sandbox.tokens import token
from sandbox.vendors.microsoft_sentinel.stand_in import COLUMNS, RULE, STREAM
from tests.integrations.test_connectors import build
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

CONFIG = {
    "endpoint_url": "https://x-1.westeurope-1.ingest.monitor.azure.com",
    "dcr_immutable_id": RULE,
    "stream_name": STREAM,
    "tenant_id": "t",
    "client_id": "66666666-7777-8888-9999-000000000000",
    "client_secret": "s",
}


class Plainly(RequestsTransport):
    """Microsoft's client insists on https; the stand-in is on this machine without."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []

    def send(self, request: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace("https://", "http://")
        self.sent.append(request)
        return super().send(request, **kwargs)


class Credential:
    def __init__(self, value: str) -> None:
        self.value = value
        self.scopes: list[str] = []

    def get_token(self, *scopes: str, **kwargs: Any) -> AccessToken:
        self.scopes += scopes
        return AccessToken(self.value, int(time.time()) + 3600)


def microsoft_s(
    sandbox: Sandbox, value: str | None = None
) -> tuple[LogsIngestionClient, Plainly, Credential]:
    transport = Plainly()
    credential = Credential(value or token("microsoft_sentinel", time.time()))
    endpoint = f"{sandbox.url}/microsoft_sentinel".replace("http://", "https://")
    return (
        LogsIngestionClient(endpoint, credential, transport=transport, retry_total=0),
        transport,
        credential,
    )


ROWS = [{"TimeGenerated": "2026-11-22T10:00:00Z", "FindingId": "fiq-scan-1", "Severity": "High"}]


def test_microsoft_s_client_and_ours_send_the_same_request(sandbox: Sandbox) -> None:
    client, transport, credential = microsoft_s(sandbox)
    client.upload(RULE, STREAM, ROWS)
    (theirs,) = transport.sent
    recorder = Recorder(vendor="Microsoft Sentinel", rules=Rules(egress=Egress.parse("127.0.0.1")))
    config = CONFIG | {"endpoint_url": f"{sandbox.url}/microsoft_sentinel"}
    connector = build("microsoft_sentinel", config, recorder)
    list(BatchDelivery(connector, [Item("fiq-scan-1", json.dumps(ROWS[0]))]))
    (ours,) = recorder.requests
    assert (ours.method, str(ours.url)) == (theirs.method, theirs.url)
    for name in ("Content-Type", "Content-Encoding"):
        assert ours.headers[name] == theirs.headers[name]
    assert json.loads(gzip.decompress(ours.content)) == json.loads(gzip.decompress(theirs.body)) == ROWS
    assert credential.scopes == ["https://monitor.azure.com/.default"]
    assert connector._sign_in().form["scope"] in credential.scopes  # type: ignore[attr-defined]
    assert [one.key for one in sandbox.accepted("microsoft_sentinel")] == ["fiq-scan-1"]


@pytest.mark.parametrize(
    ("rule", "stream", "value", "status"),
    [(RULE, STREAM, "wrong", 401), ("dcr-none", STREAM, None, 404), (RULE, "Custom-None", None, 400)],
)
def test_microsoft_s_client_understands_the_stand_in_s_refusals(
    sandbox: Sandbox, rule: str, stream: str, value: str | None, status: int
) -> None:
    client, _, _ = microsoft_s(sandbox, value)
    with pytest.raises(HttpResponseError) as raised:
        client.upload(rule, stream, ROWS)
    assert raised.value.status_code == status
    assert raised.value.error is not None
    assert raised.value.error.code


def test_scans_become_rows_once(workplace: Workplace) -> None:
    workplace.connect("microsoft_sentinel", drain=True)
    workplace.scans(12, high_risk_count=20)
    assert workplace.sync("microsoft_sentinel").count == 12
    arrived = workplace.sandbox.accepted("microsoft_sentinel")
    assert len({one.key for one in arrived}) == len(arrived) == 12
    assert (arrived[0].body["Severity"], arrived[0].body["OriginalSeverity"]) == ("High", "critical")
    assert json.loads(arrived[0].body["RawRecord"])["high_risk_count"] == 20


def test_a_preview_shows_rows_that_can_be_read(workplace: Workplace) -> None:
    id = workplace.connect("microsoft_sentinel")
    workplace.scans(1)
    (request,) = connections.preview(workplace.who, id)
    assert json.loads(request.body)[0]["Severity"] == "High"


def test_what_is_stored_of_a_call_can_be_read_and_holds_no_token(workplace: Workplace) -> None:
    workplace.connect("microsoft_sentinel")
    workplace.scans(1)
    workplace.sync("microsoft_sentinel")
    with db.reading() as session:
        (attempt,) = session.execute(select(Attempt)).scalars()
    stored = repr(attempt.model_dump())
    assert "FindingId" in stored
    assert "sandbox.microsoft_sentinel" not in stored
    assert workplace.sandbox.credentials("microsoft_sentinel")["client_secret"] not in stored


def test_the_stand_in_s_stream_declares_what_the_catalog_maps() -> None:
    assert set(integrations.get("microsoft_sentinel").mapping["scan"]) == set(COLUMNS)


# --- limits -------------------------------------------------------------------------------------------


def sent(bodies: list[dict[str, Any]]) -> tuple[list[bytes], list[Any]]:
    plain: list[bytes] = []

    class Answering(Recorder):
        def _record(self, request: httpx.Request) -> httpx.Response:
            plain.append(gzip.decompress(request.content))
            return httpx.Response(204)

    client = Answering(vendor="Microsoft Sentinel", rules=Rules())
    items = [Item(f"k{number}", orjson.dumps(body).decode()) for number, body in enumerate(bodies)]
    return plain, list(BatchDelivery(build("microsoft_sentinel", CONFIG, client), items))


@settings(deadline=None, max_examples=25)
@example([70_000] * 40)
@given(st.lists(st.integers(min_value=0, max_value=70_000), min_size=1, max_size=40))
def test_no_call_has_more_than_a_megabyte_before_it_is_packed(sizes: list[int]) -> None:
    calls, receipts = sent(
        [{"FindingId": str(n), "RawRecord": {"a": "é" * size}} for n, size in enumerate(sizes)]
    )
    assert all(len(call) <= 1_000_000 for call in calls)
    rows = [row for call in calls for row in json.loads(call)]
    assert [row["FindingId"] for row in rows] == [str(n) for n in range(len(sizes))]
    assert all(len(row["RawRecord"].encode()) <= 64_000 for row in rows)
    assert [receipt.fault for receipt in receipts] == [None] * len(sizes)


def test_a_row_larger_than_a_call_is_not_sent() -> None:
    wide = {f"c{number}": "x" * 64_000 for number in range(MAX_BYTES // 64_000 + 1)}
    calls, receipts = sent([wide, {"FindingId": "2"}])
    assert len(calls) == 1
    assert receipts[0].fault is not None
    assert "This record alone has" in receipts[0].fault.message


@given(st.text(max_size=60) | st.text("aZ_9", max_size=50) | st.sampled_from([*RESERVED, "Title", "a" * 45]))
def test_a_column_is_taken_or_named_in_a_sentence(name: str) -> None:
    fits = name.isascii() and name.isidentifier() and len(name) <= 45 and name[0] != "_"
    if fits and name.lower() not in RESERVED:
        assert row({name: 1}) == {name: 1}
        return
    with pytest.raises(Misconfigured) as raised:
        row({name: 1})
    assert raised.value.message.isprintable()


# --- the stand-in -------------------------------------------------------------------------------------


def taken(sandbox: Sandbox, content: bytes, **headers: str) -> httpx.Response:
    url = (
        f"{sandbox.url}/microsoft_sentinel/dataCollectionRules/{RULE}/streams/{STREAM}?api-version=2023-01-01"
    )
    usual = {
        "Authorization": f"Bearer {token('microsoft_sentinel', time.time())}",
        "Content-Type": "application/json",
    }
    with httpx.Client(trust_env=False) as http:
        return http.post(url, content=content, headers=usual | headers)


@pytest.mark.parametrize(
    "rows",
    [
        {"FindingId": "x"},
        ["x"],
        [{"TimeGenerated": "yesterday"}],
        [{"FindingId": "x"}],
        [{"TimeGenerated": "2026-11-22T10:00:00Z", "Unknown": 1}],
        [{"TimeGenerated": "2026-11-22T10:00:00Z", "RawRecord": {}}],
        [{"TimeGenerated": "2026-11-22T10:00:00Z", "HighRiskCount": "7"}],
        [{"TimeGenerated": "2026-11-22T10:00:00Z", "RawRecord": "x" * 70_000}],
    ],
)
def test_the_stand_in_refuses_rows_that_do_not_fit_the_stream(sandbox: Sandbox, rows: Any) -> None:
    assert taken(sandbox, json.dumps(rows).encode()).status_code == 400
    assert sandbox.accepted() == []


def test_the_stand_in_counts_bytes_unpacked(sandbox: Sandbox) -> None:
    packed = gzip.compress(b"[" + b" " * 1_100_000 + b"]")
    answer = taken(sandbox, packed, **{"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (413, "ContentLengthLimitExceeded")
    assert taken(sandbox, b"[]", **{"Content-Type": "text/plain"}).status_code == 415
    assert taken(sandbox, b"[]").status_code == 204


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"client_secret": "wrong"}, "AADSTS7000215"),
        ({"client_id": "00000000-0000-0000-0000-000000000000"}, "AADSTS700016"),
        ({"tenant_id": "another"}, "AADSTS90002"),
    ],
)
def test_a_wrong_sign_in_is_explained(workplace: Workplace, changed: dict[str, str], code: str) -> None:
    values = workplace.sandbox.credentials("microsoft_sentinel") | changed
    step = connections.test_draft(workplace.who, "microsoft_sentinel", values)[-1]
    assert (step.name, step.ok) == ("credentials", False)
    assert code in step.text
