"""The stand-in of Splunk: what it takes, and in which words it refuses."""

import gzip
import json
from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from sandbox.vendors.splunk.stand_in import ACK_TOKEN, DISABLED_TOKEN
from tests.integrations.splunk.sample import event, to_splunk
from tests.sandbox.support import KEY, http, sandbox

__all__ = ["http", "sandbox"]


def test_splunk_takes_events_that_stand_one_after_another(sandbox: Sandbox, http: httpx.Client) -> None:
    answer = to_splunk(sandbox, http, event(), event(event="just a line", fields=...))
    assert (answer.status_code, answer.json()) == (200, {"text": "Success", "code": 0})
    first, second = sandbox.accepted("splunk")
    assert (first.key, first.title, first.severity) == (KEY, "Five exposures for jane", "high")
    assert second.title == "just a line"
    assert first.body == event()


@pytest.mark.parametrize("glue", ["", "\n", "\r\n\t "])
def test_splunk_does_not_care_what_space_stands_between(
    sandbox: Sandbox, http: httpx.Client, glue: str
) -> None:
    assert to_splunk(sandbox, http, glue + glue.join([json.dumps(event())] * 3) + glue).status_code == 200
    assert [one.copy for one in sandbox.accepted("splunk")] == [1, 2, 3]


def test_splunk_reads_gzip(sandbox: Sandbox, http: httpx.Client) -> None:
    url, token = f"{sandbox.url}/splunk/services/collector/event", sandbox.credentials("splunk")["token"]
    headers = {"Authorization": f"Splunk {token}", "Content-Encoding": "gzip"}
    packed = gzip.compress(json.dumps(event()).encode())
    assert http.post(url, content=packed, headers=headers).json()["code"] == 0
    assert http.post(url, content=packed[:-9], headers=headers).json()["code"] == 6
    assert http.post(url, content=b"plain", headers=headers).json()["code"] == 6
    bomb = gzip.compress(b" " * 20_000_000)
    assert http.post(url, content=bomb, headers=headers).json()["code"] == 6


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (event(event=...), 12),
        (event(event=None), 12),
        (event(event=""), 13),
        (event(event="  "), 13),
        (event(event={}), 13),
        (event(index="secret"), 7),
        (event(fields={"a": {"nested": "1"}}), 15),
        (event(fields=["a"]), 15),
        (json.dumps(event()).replace("1795341600.123", "1.795341600123e9"), 15),
        (event(time="yesterday"), 6),
        (event(time=True), 6),
        (event(host=7), 6),
        (event(surprise=1), 5),
        ([event()], 6),
        ("{'event': 1}", 6),
        ('{"event": NaN}', 6),
        ("[" * 100_000, 6),
        ('"text"', 6),
    ],
)
def test_splunk_names_the_first_bad_event_and_takes_none(
    sandbox: Sandbox, http: httpx.Client, bad: Any, code: int
) -> None:
    answer = to_splunk(sandbox, http, event(), bad, event())
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["invalid-event-number"] == 1
    assert sandbox.accepted() == []


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, 2),
        ("Bearer {token}", 401, 3),
        ("Splunk", 401, 3),
        ("Splunk 00000000-0000-0000-0000-000000000000", 403, 4),
        (f"Splunk {DISABLED_TOKEN}", 403, 1),
    ],
)
def test_splunk_refuses_wrong_credentials_in_its_own_words(
    sandbox: Sandbox, http: httpx.Client, header: str | None, status: int, code: int
) -> None:
    token = sandbox.credentials("splunk")["token"]
    headers = {"Authorization": header.format(token=token)} if header else {}
    answer = http.post(f"{sandbox.url}/splunk/services/collector/event", json={"event": "x"}, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert sandbox.accepted() == []


def test_splunk_refuses_a_token_in_the_address(sandbox: Sandbox, http: httpx.Client) -> None:
    token = sandbox.credentials("splunk")["token"]
    url = f"{sandbox.url}/splunk/services/collector/event?token={token}"
    assert http.post(url, json={"event": "x"}).json()["code"] == 16


def test_splunk_answers_an_empty_body_with_no_data_only_to_a_good_token(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    assert to_splunk(sandbox, http).json() == {"text": "No data", "code": 5}
    assert to_splunk(sandbox, http, Authorization="Splunk nope").json()["code"] == 4


def test_splunk_acknowledges_only_on_a_channel(sandbox: Sandbox, http: httpx.Client) -> None:
    token, channel = {"Authorization": f"Splunk {ACK_TOKEN}"}, "11111111-2222-3333-4444-555555555555"
    assert to_splunk(sandbox, http, event(), **token).json()["code"] == 10
    assert to_splunk(sandbox, http, event(), **token, X_Splunk_Request_Channel="one").json()["code"] == 11
    taken = to_splunk(sandbox, http, event(), **token, X_Splunk_Request_Channel=channel).json()
    url = f"{sandbox.url}/splunk/services/collector/ack?channel={channel}"
    asked = {"acks": [taken["ackId"], 99]}
    acks = http.post(url, json=asked, headers=token).json()["acks"]
    assert acks == {str(taken["ackId"]): True, "99": False}
    plain = {"Authorization": f"Splunk {sandbox.credentials('splunk')['token']}"}
    assert http.post(url, json=asked, headers=plain).json()["code"] == 14


def test_splunk_knows_its_paths_and_methods(sandbox: Sandbox, http: httpx.Client) -> None:
    base = f"{sandbox.url}/splunk"
    assert http.get(f"{base}/services/collector/health").json() == {"text": "HEC is healthy", "code": 17}
    assert http.get(f"{base}/services/collector/event").status_code == 405
    assert http.post(f"{base}/services/collect", json={}).status_code == 404
