"""QRadar: events that stay one line and one event whatever is in them, against a strict receiver."""

from collections.abc import Iterator

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.delivery.batch import BatchDelivery
from core.integrations.base import Item
from core.integrations.qradar.connector import EVENT_BYTES, json_line, leef_line
from sandbox import Sandbox
from tests.support.proofs import hostile_scan, item, opened, outcomes, scan

body = st.fixed_dictionaries(
    {
        "type": st.text(min_size=1),
        "time": st.floats(0, 4e9),
        "severity": st.integers(1, 10),
        "name": st.text(),
    },
    optional={
        "text": st.text(),
        "subject": st.text(),
        "url": st.text(),
        "raw": st.dictionaries(st.text(), st.text()),
    },
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@given(body)
def test_an_event_is_one_line_whatever_is_in_it(content: dict) -> None:
    one = Item("fiq-scan-1", orjson.dumps(content).decode())
    for line in (json_line(one), leef_line(one)):
        assert b"\n" not in line
        assert len(line) <= EVENT_BYTES
    assert json_line(one).startswith(b'{"type":"')
    assert orjson.loads(json_line(one))["id"] == "fiq-scan-1"


@given(body)
def test_no_text_adds_an_attribute_to_leef(content: dict) -> None:
    line = leef_line(Item("fiq-scan-1", orjson.dumps(content).decode())).decode()
    head, attributes = line.split("|x09|", 1)
    assert head.count("|") == 4
    names = [pair.partition("=")[0] for pair in attributes.split("\t")]
    assert set(names) <= {"cat", "sev", "devTime", "externalId", "name", "text", "subject", "url", "raw"}
    assert len(names) == len(set(names))


@pytest.mark.parametrize("letter", ["x", '"', "é", "\U0001f600", "\\"])
def test_a_scan_too_large_for_an_event_is_cut_and_marked(letter: str) -> None:
    content = {"type": "t", "time": 1.0, "severity": 8, "name": letter * 3000, "text": letter * 9000}
    one = Item("fiq-scan-1", orjson.dumps(content | {"raw": {"note": letter * 40_000}}).decode())
    line = json_line(one)
    assert len(line) <= EVENT_BYTES
    assert orjson.loads(line)["raw"].endswith("…")


@pytest.mark.parametrize("kind", ["json", "leef"])
def test_records_arrive_once_each_as_they_are(sandbox: Sandbox, kind: str) -> None:
    values = sandbox.credentials("qradar") | {"format": kind}
    items = [
        item("qradar", scan(1)),
        item("qradar", hostile_scan(2)),
        item("qradar", scan(3, high_risk_count=20)),
    ]
    with opened("qradar", values) as connector:
        assert all(step.ok is not False for step in connector.check())
        assert outcomes(BatchDelivery(connector, items)) == ["delivered"] * 3
    assert [(one.key, one.copy) for one in sandbox.accepted()] == [(one.key, 1) for one in items]
    assert [one.severity for one in sandbox.accepted()] == ["high", "high", "critical"]


def test_a_wrong_header_value_is_named_and_nothing_is_taken(sandbox: Sandbox) -> None:
    values = sandbox.credentials("qradar") | {"auth_value": "Bearer sandbox-receiver-0001"}
    with opened("qradar", values) as connector:
        (receipt,) = BatchDelivery(connector, [item("qradar", scan(1))])
    assert "does not accept the header Authorization" in receipt.fault.message
    assert sandbox.accepted() == []


LONG = b'{"type":"t","id":"1","devTime":1795341600123,"severity":8,"text":"%b"}\n'


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"type":"t","id":"1","devTime":1795341600123,"severity":8}\n', "application/json", 200),
        (b'{"type":"t","id":"1","devTime":1795341600123,"severity":8}', "application/json", 400),
        (b'{"id":"1","type":"t","devTime":1795341600123,"severity":8}\n', "application/json", 400),
        (b'{"type":"t","id":"1","devTime":1795341600.1,"severity":8}\n', "application/json", 400),
        (b'{"type":"t","id":"1","devTime":1795341600123,"severity":11}\n', "application/json", 400),
        (b'{"type":"t","devTime":1795341600123,"severity":8}\n', "application/json", 400),
        (LONG % (b"x" * (EVENT_BYTES - len(LONG) + 3)), "application/json", 200),
        (LONG % (b"x" * (EVENT_BYTES - len(LONG) + 4)), "application/json", 400),
        (b"\n", "application/json", 400),
        (b"x\n", "application/xml", 415),
        (b"LEEF:2.0|a|b|1|e|x09|sev=8\tdevTime=1795341600123\texternalId=1\n", "text/plain", 200),
        (b"LEEF:2.0|a|b|1|e|f|x09|sev=8\tdevTime=1795341600123\texternalId=1\n", "text/plain", 400),
        (b"LEEF:2.0|a|b|1|e|x09|sev=0\tdevTime=1795341600123\texternalId=1\n", "text/plain", 400),
        (b"LEEF:2.0|a|b|1|e|x09|sev=8 devTime=1795341600123\n", "text/plain", 400),
        (b"\xff\n", "text/plain", 400),
    ],
)
def test_the_stand_in_takes_only_what_qradar_would_parse(
    sandbox: Sandbox, content: bytes, kind: str, status: int
) -> None:
    given = sandbox.credentials("qradar")
    headers = {"Authorization": given["auth_value"], "Content-Type": kind}
    answer = httpx.post(given["url"], content=content, headers=headers, trust_env=False)
    assert answer.status_code == status
    assert len(sandbox.accepted()) == (status == 200)


def test_the_stand_ins_console_is_no_receiver(sandbox: Sandbox) -> None:
    given = sandbox.credentials("qradar")
    with (
        opened("qradar", given | {"url": given["console_url"] + "/"}) as connector,
        pytest.raises(Exception) as told,
    ):
        list(connector.check())
    assert "console" in str(told.value)
    with opened("qradar", given | {"sec_token": "wrong"}) as connector:
        assert next(step.ok for step in connector.check() if step.name == "credentials") is False
    assert httpx.get(given["url"], trust_env=False).status_code == 405
    assert httpx.post(f"{sandbox.url}/qradar/elsewhere", trust_env=False).status_code == 404
