"""The sandbox over real HTTP: what each stand-in takes and refuses, faults, the journal and the pages."""

import gzip
import json
import re
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from sandbox import VENDORS, Sandbox
from sandbox.tokens import token
from sandbox.vendors.splunk.stand_in import ACK_TOKEN, DISABLED_TOKEN
from tests.vendor_messages import SEND

KEY = "fiq-case-3f2a9c4e-0000-4000-8000-000000000001"
HOSTILE = "<script>alert(1)</script> & \"quoted\" 'too'"


def caller(**more: Any) -> httpx.Client:
    return httpx.Client(timeout=10, trust_env=False, verify=False, **more)  # reading the CA file takes 30 ms


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with caller() as client:
        yield client


# --- Splunk ---------------------------------------------------------------------------------------------


def event(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "time": 1795341600.123,
        "source": "hub",
        "sourcetype": "footprintiq:scan",
        "index": "main",
        "event": {"id": KEY, "severity": "high", "title": "Five exposures for jane"},
        "fields": {"finding_id": KEY},
    }
    body.update(changes)
    return {name: value for name, value in body.items() if value is not ...}


def to_splunk(sandbox: Sandbox, http: httpx.Client, *events: Any, **headers: str) -> httpx.Response:
    content = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in events)
    token = {"Authorization": f"Splunk {sandbox.credentials('splunk')['token']}"}
    url = f"{sandbox.url}/splunk/services/collector/event"
    return http.post(
        url, content=content, headers=token | {n.replace("_", "-"): v for n, v in headers.items()}
    )


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


# --- Jira -----------------------------------------------------------------------------------------------


def document(*texts: str) -> dict[str, Any]:
    content = [{"type": "paragraph", "content": [{"type": "text", "text": text}]} for text in texts]
    return {"type": "doc", "version": 1, "content": content}


def issue(**changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "project": {"key": "SEC"},
        "issuetype": {"name": "Task"},
        "summary": "Critical exposure of jane",
        "description": document("Found by the hub"),
        "labels": ["fiq", KEY],
        "priority": {"name": "Highest"},
    }
    fields.update(changes)
    kept = {name: value for name, value in fields.items() if value is not ...}
    return {"fields": kept, "properties": [{"key": "fiq.case", "value": {"case_id": "3f2a9c"}}]}


def jira(sandbox: Sandbox) -> httpx.Client:
    given = sandbox.credentials("jira")
    return caller(base_url=given["url"] + "/rest/api/3", auth=(given["email"], given["api_token"]))


def test_jira_creates_an_issue_and_gives_it_back(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        created = http.post("/issue", json=issue())
        assert created.status_code == 201
        assert created.json() == {
            "id": "10001",
            "key": "SEC-1",
            "self": f"{sandbox.url}/jira/rest/api/3/issue/10001",
        }
        assert created.headers["X-RateLimit-Limit"]
        for name in ("SEC-1", "10001"):
            fields = http.get(f"/issue/{name}").json()["fields"]
            assert (fields["summary"], fields["priority"]["name"]) == ("Critical exposure of jane", "Highest")
        assert http.post("/issue", json=issue(project={"key": "OPS"})).json()["key"] == "OPS-1"
        assert http.post("/issue", json=issue(project={"id": "10000"})).json()["key"] == "SEC-2"
        assert http.get("/issue/SEC-9").status_code == 404
    first, *_ = sandbox.accepted("jira")
    assert (first.key, first.severity, first.vendor_id) == (KEY, "critical", "SEC-1")
    assert [one.copy for one in sandbox.accepted("jira")] == [1, 2, 3]


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"description": "plain"}, "description", "Operation value must be an Atlassian Document"),
        ({"summary": ...}, "summary", "You must specify a summary"),
        ({"summary": "a\nb"}, "summary", "newline"),
        ({"summary": "x" * 256}, "summary", "255 characters"),
        ({"summary": 7}, "summary", "must be a string"),
        ({"labels": ["two words"]}, "labels", "contains spaces"),
        ({"labels": ["x" * 256]}, "labels", "255"),
        ({"labels": "fiq"}, "labels", "not an array"),
        ({"priority": {"name": "Urgent"}}, "priority", "invalid"),
        ({"priority": "High"}, "priority", "invalid"),
        ({"project": {"key": "NOPE"}}, "project", "valid project"),
        ({"project": ...}, "project", "valid project"),
        ({"issuetype": {"name": "Epic"}}, "issuetype", "valid issue type"),
        ({"issuetype": ...}, "issuetype", "valid issue type"),
        ({"severity": "high"}, "severity", "cannot be set"),
        ({"description": document("x" * 32_768)}, "description", "32,767"),
    ],
)
def test_jira_names_the_field_that_is_wrong(
    sandbox: Sandbox, changes: dict[str, Any], field: str, words: str
) -> None:
    with jira(sandbox) as http:
        answer = http.post("/issue", json=issue(**changes))
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert words in answer.json()["errors"][field]
    assert sandbox.accepted() == []


def text(value: Any = "x", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": value, **more}


def link(href: str) -> dict[str, Any]:
    return text(marks=[{"type": "link", "attrs": {"href": href}}])


def node(kind: str, *content: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "content": list(content), **more}


def deep(levels: int) -> dict[str, Any]:
    inner = node("paragraph", text())
    for _ in range(levels):
        inner = node("bulletList", node("listItem", node("paragraph", text()), inner))
    return inner


GOOD_NODES = [
    node("paragraph", text(marks=[{"type": "strong"}, {"type": "em"}]), {"type": "hardBreak"}),
    node("paragraph"),
    node("paragraph", link("https://hub.example/records?id=1")),
    node("heading", text(), attrs={"level": 3}),
    node("codeBlock", text("{}"), attrs={"language": "json"}),
    node("panel", node("paragraph", text()), attrs={"panelType": "warning"}),
    node("table", node("tableRow", node("tableHeader", node("paragraph", text())))),
    {"type": "rule"},
    deep(3),
]
BAD_NODES = [
    node("paragraph", text("")),
    node("paragraph", text(None)),
    node("paragraph", text(7)),
    node("paragraph", {"type": "text"}),
    node("paragraph", text(colour="red")),
    node("paragraph", text(marks=[{"type": "blink"}])),
    node("paragraph", text(marks=[{"type": "code"}, {"type": "strong"}])),
    node("paragraph", link("javascript:alert(1)")),
    node("paragraph", text(marks=[{"type": "link"}])),
    node("paragraph", node("paragraph")),
    node("paragraph", "text"),
    node("heading", text()),
    node("heading", text(), attrs={"level": 7}),
    node("bulletList"),
    node("bulletList", node("paragraph")),
    node("bulletList", node("listItem", node("bulletList"))),
    node("codeBlock", text(marks=[{"type": "strong"}])),
    node("panel", node("paragraph"), attrs={"panelType": "loud"}),
    {"type": "paragraph", "content": "x"},
    {"type": "marquee"},
    {"type": "rule", "content": []},
    {"content": []},
    text(),
    deep(70),
]


@pytest.mark.parametrize("good", GOOD_NODES, ids=lambda good: json.dumps(good)[:60])
def test_jira_takes_a_right_document(sandbox: Sandbox, good: Any) -> None:
    description = {"type": "doc", "version": 1, "content": [good]}
    with jira(sandbox) as http:
        assert http.post("/issue", json=issue(description=description)).status_code == 201


@pytest.mark.parametrize("bad", BAD_NODES, ids=lambda bad: json.dumps(bad)[:60])
def test_jira_refuses_a_wrong_document_and_says_where(sandbox: Sandbox, bad: Any) -> None:
    description = {"type": "doc", "version": 1, "content": [node("paragraph", text()), bad]}
    with jira(sandbox) as http:
        answer = http.post("/issue", json=issue(description=description))
    assert (answer.status_code, answer.json()["errorMessages"]) == (400, ["INVALID_INPUT"])
    assert "$.content[1]" in answer.headers["X-Sandbox-Reason"]
    assert sandbox.accepted() == []


@pytest.mark.parametrize("root", [{"version": 2}, {"version": True}, {"version": None}, {"extra": 1}])
def test_jira_checks_the_root_of_a_document(sandbox: Sandbox, root: dict[str, Any]) -> None:
    with jira(sandbox) as http:
        answer = http.post("/issue", json=issue(description=document("x") | root))
    assert answer.json()["errorMessages"] == ["INVALID_INPUT"]


@pytest.mark.parametrize(
    "properties",
    [
        {"fiq.case": 1},
        [{"key": "a"}],
        [{"key": "k" * 256, "value": 1}],
        [{"key": "a", "value": "v" * 33_000}],
        [{"key": "a", "value": 1, "x": 2}],
    ],
)
def test_jira_takes_properties_only_as_an_array_of_keys_and_values(sandbox: Sandbox, properties: Any) -> None:
    with jira(sandbox) as http:
        answer = http.post("/issue", json=issue() | {"properties": properties})
    assert answer.status_code == 400
    assert "Invalid request payload" in answer.json()["errorMessages"][0]


def test_jira_refuses_what_is_not_a_json_object(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        header = {"Content-Type": "application/json"}
        assert "parsing JSON" in http.post("/issue", content="{", headers=header).text
        assert http.post("/issue", json=[1]).status_code == 400
        assert http.post("/issue", json={}).status_code == 400
        assert http.post("/issue", content=json.dumps(issue())).status_code == 415
        assert http.post("/issue", data={"a": "b"}).status_code == 415


@pytest.mark.parametrize("auth", [None, ("hub@example.org", "wrong"), ("else@example.org", "{token}")])
def test_jira_refuses_wrong_credentials_everywhere(
    sandbox: Sandbox, http: httpx.Client, auth: tuple[str, str] | None
) -> None:
    base, token = f"{sandbox.url}/jira/rest/api/3", sandbox.credentials("jira")["api_token"]
    http.auth = httpx.BasicAuth(auth[0], auth[1].format(token=token)) if auth else None
    for answer in (http.get(f"{base}/myself"), http.post(f"{base}/issue", json=issue())):
        assert answer.status_code == 401
        assert "must be authenticated" in answer.text
        assert answer.headers["X-Seraph-LoginReason"] == "AUTHENTICATED_FAILED"
    assert sandbox.accepted() == []


def test_jira_knows_its_paths_and_methods(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        assert http.get("/issues").status_code == 404
        assert http.get("/issue").status_code == 405
        assert http.put("/issue/SEC-1", json={}).status_code == 405
        assert http.get("/search/jql").status_code == 405
        for old in (http.get("/search?jql=project=SEC"), http.post("/search", json={"jql": "project = SEC"})):
            assert old.status_code == 410
            assert "/rest/api/3/search/jql" in old.json()["errorMessages"][0]


def test_jira_answers_what_a_connection_test_asks(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        assert http.get("/myself").json()["emailAddress"] == sandbox.credentials("jira")["email"]
        query = {"projectKey": "SEC", "permissions": "CREATE_ISSUES,BROWSE_PROJECTS"}
        granted = http.get("/mypermissions", params=query).json()["permissions"]
        assert [granted[name]["havePermission"] for name in granted] == [True, True]
        assert http.get("/mypermissions").status_code == 400
        assert http.get("/mypermissions", params=query | {"permissions": "FLY"}).status_code == 400
        assert http.get("/mypermissions", params=query | {"projectKey": "NOPE"}).status_code == 404
        types = http.get("/issue/createmeta/SEC/issuetypes").json()["issueTypes"]
        fields = http.get(f"/issue/createmeta/SEC/issuetypes/{types[0]['id']}").json()["fields"]
        assert {one["key"] for one in fields if one["required"]} == {"summary", "project", "issuetype"}
        assert http.get("/issue/createmeta/NOPE/issuetypes").status_code == 404
        assert http.get("/priority").json()[0]["name"] == "Highest"
        assert http.get("/project/SEC").json()["name"] == "Security"


def searched(http: httpx.Client, jql: str, **more: Any) -> httpx.Response:
    return http.post("/search/jql", json={"jql": jql, "fields": ["summary", "labels"], **more})


def test_jira_finds_an_issue_by_its_label(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        http.post("/issue", json=issue())
        http.post("/issue", json=issue(labels=["fiq", "fiq-case-other1"]))
        found = searched(http, f'project = SEC AND labels = "{KEY}" ORDER BY created ASC').json()
        assert [one["key"] for one in found["issues"]] == ["SEC-1"]
        assert set(found["issues"][0]["fields"]) == {"summary", "labels"}
        assert found["isLast"] is True
        assert searched(http, f'project = OPS AND labels = "{KEY}"').json()["issues"] == []
        both = searched(http, f"project in (SEC, OPS) and labels in ('{KEY}', fiq-case-other1)").json()
        assert len(both["issues"]) == 2
        not_one = searched(http, f'project = SEC AND labels != "{KEY}"').json()["issues"]
        assert [one["key"] for one in not_one] == ["SEC-2"]


def test_jira_gives_ids_only_where_no_fields_are_asked(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        http.post("/issue", json=issue())
        assert http.post("/search/jql", json={"jql": "project = SEC"}).json()["issues"] == [{"id": "10001"}]


def test_jira_search_gives_pages(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        for _ in range(5):
            http.post("/issue", json=issue())
        keys, token = [], {}
        while True:
            page = searched(http, "labels = fiq ORDER BY created ASC", maxResults=2, **token).json()
            keys += [one["key"] for one in page["issues"]]
            if page["isLast"]:
                break
            token = {"nextPageToken": page["nextPageToken"]}
        assert keys == [f"SEC-{number}" for number in range(1, 6)]


def test_jira_search_reads_relative_times(sandbox: Sandbox) -> None:
    with jira(sandbox) as http:
        http.post("/issue", json=issue())
        assert len(searched(http, 'labels = fiq AND updated >= "-15m"').json()["issues"]) == 1
        assert searched(http, 'labels = fiq AND updated < -15m AND project = "SEC"').json()["issues"] == []
        assert len(searched(http, 'labels = fiq AND created > "2020-01-01 10:00"').json()["issues"]) == 1


@pytest.mark.parametrize(
    ("jql", "words"),
    [
        ("", "Unbounded"),
        ("ORDER BY created DESC", "Unbounded"),
        ("project = NOPE", "does not exist for the field 'project'"),
        ("project = SEC OR labels = x", "OR"),
        ("project = SEC AND", "AND"),
        ("project SEC", "operator"),
        ("project =", "value"),
        ("project ~ SEC", "operator"),
        ("labels > 5", "not supported"),
        ("labels in ()", "empty"),
        ("flavour = sweet", "Field 'flavour' does not exist"),
        ('updated >= "soon"', "Date value 'soon' is invalid"),
        ('labels = "open', "not understood"),
    ],
)
def test_jira_refuses_a_query_it_cannot_run(sandbox: Sandbox, jql: str, words: str) -> None:
    with jira(sandbox) as http:
        answer = searched(http, jql)
    assert answer.status_code == 400
    assert words in answer.json()["errorMessages"][0]


@pytest.mark.parametrize(
    "more",
    [
        {"startAt": 0},
        {"maxResults": 0},
        {"maxResults": "9"},
        {"fields": "id"},
        {"fields": [1]},
        {"reconcileIssues": ["10001"]},
        {"reconcileIssues": list(range(51))},
        {"nextPageToken": "later"},
    ],
)
def test_jira_refuses_a_search_of_a_wrong_shape(sandbox: Sandbox, more: dict[str, Any]) -> None:
    with jira(sandbox) as http:
        assert searched(http, "project = SEC", **more).status_code == 400


def test_jira_search_sees_a_new_issue_only_after_the_index_lag(sandbox: Sandbox) -> None:
    sandbox.set_index_lag(300)
    with jira(sandbox) as http:
        http.post("/issue", json=issue())
        assert searched(http, f'labels = "{KEY}"').json()["issues"] == []
        assert http.get("/issue/SEC-1").status_code == 200
        known = searched(http, f'labels = "{KEY}"', reconcileIssues=[10001]).json()["issues"]
        assert [one["key"] for one in known] == ["SEC-1"]
        answer = http.post(f"{sandbox.url}/_sandbox/index_lag", json={"seconds": 0})
        assert answer.status_code == 200
        assert len(searched(http, f'labels = "{KEY}"').json()["issues"]) == 1


# --- Slack ----------------------------------------------------------------------------------------------


def message(*blocks: Any, **changes: Any) -> dict[str, Any]:
    return {"text": f"Critical: jane was exposed ({KEY})", "blocks": list(blocks)} | changes


def section(value: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": value}, **more}


def plain(value: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": value}


def actions(**more: Any) -> dict[str, Any]:
    return {"type": "actions", "elements": [{"type": "button", "text": plain("Open"), **more}]}


def test_slack_takes_a_message_and_says_ok(sandbox: Sandbox, http: httpx.Client) -> None:
    blocks = [
        {"type": "header", "text": plain("x" * 150)},
        section("x" * 3000),
        {"type": "section", "fields": [plain("x" * 2000)] * 10},
        {"type": "divider"},
        {"type": "context", "elements": [plain("x"), {"type": "image", "image_url": "x", "alt_text": "x"}]},
        actions(url="https://hub.example/records"),
    ]
    answer = http.post(sandbox.credentials("slack")["webhook_url"], json=message(*blocks))
    assert (answer.status_code, answer.text) == (200, "ok")
    (kept,) = sandbox.accepted("slack")
    assert (kept.key, kept.severity, kept.mentions) == (KEY, "critical", 0)
    assert kept.title.startswith("Critical: jane")


def test_slack_counts_what_would_wake_people_up(sandbox: Sandbox, http: httpx.Client) -> None:
    body = message(section("<@U0123> &lt;!channel&gt;"), text="<!channel> look, <!here|here>")
    http.post(sandbox.credentials("slack")["webhook_url"], json=body)
    assert sandbox.accepted("slack")[0].mentions == 3


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ([], "invalid_payload"),
        ({}, "no_text"),
        (message(text=" "), "no_text"),
        (message(text=5), "invalid_payload"),
        (message(attachments={}), "invalid_payload"),
        (message(attachments=[{}] * 101), "too_many_attachments"),
        (message(attachments=[{"blocks": [{"type": "x"}]}]), "invalid_blocks"),
        (message(blocks={}), "invalid_blocks"),
        (message(*[section()] * 51), "invalid_blocks"),
        (message("text"), "invalid_blocks"),
        (message({"type": "marquee"}), "invalid_blocks"),
        (message({"type": "section"}), "invalid_blocks"),
        (message(section("")), "invalid_blocks"),
        (message(section("x" * 3001)), "invalid_blocks"),
        (message(section(block_id="x" * 256)), "invalid_blocks"),
        (message({"type": "section", "text": "x"}), "invalid_blocks"),
        (message({"type": "section", "fields": [plain("x")] * 11}), "invalid_blocks"),
        (message({"type": "section", "fields": [plain("x" * 2001)]}), "invalid_blocks"),
        (message({"type": "header", "text": plain("x" * 151)}), "invalid_blocks"),
        (message({"type": "header", "text": {"type": "mrkdwn", "text": "x"}}), "invalid_blocks"),
        (message({"type": "context", "elements": [plain("x")] * 11}), "invalid_blocks"),
        (message({"type": "context", "elements": []}), "invalid_blocks"),
        (message({"type": "image", "image_url": "x"}), "invalid_blocks"),
        (message(actions(url="x" * 3001)), "invalid_blocks"),
        (message(actions(value="x" * 2001)), "invalid_blocks"),
        (message(actions(text=plain("x" * 76))), "invalid_blocks"),
        (message(actions(action_id="x" * 256)), "invalid_blocks"),
        (message({"type": "actions", "elements": [{"type": "image"}]}), "invalid_blocks"),
    ],
)
def test_slack_refuses_a_message_beyond_its_limits(
    sandbox: Sandbox, http: httpx.Client, body: Any, word: str
) -> None:
    answer = http.post(sandbox.credentials("slack")["webhook_url"], json=body)
    assert (answer.status_code, answer.text) == (400, word)
    assert sandbox.accepted() == []


@pytest.mark.parametrize(
    ("old", "new", "status", "word"),
    [
        ("T0SANDBOX", "T1", 404, "no_team"),
        ("B0SANDBOX", "B1", 404, "no_service"),
        ("/services/", "/workflows/", 404, "no_active_hooks"),
        ("0000001", "0000002", 403, "invalid_token"),
    ],
)
def test_slack_refuses_an_address_that_is_not_the_webhook(
    sandbox: Sandbox, http: httpx.Client, old: str, new: str, status: int, word: str
) -> None:
    answer = http.post(sandbox.credentials("slack")["webhook_url"].replace(old, new), json=message())
    assert (answer.status_code, answer.text) == (status, word)


def test_slack_takes_json_by_post_only(sandbox: Sandbox, http: httpx.Client) -> None:
    url = sandbox.credentials("slack")["webhook_url"]
    assert http.get(url).status_code == 405
    assert http.post(url, data={"payload": "{}"}).text == "invalid_payload"
    assert http.post(url, content="{", headers={"Content-Type": "application/json"}).text == "invalid_payload"
    assert sandbox.accepted() == []


# --- every vendor ---------------------------------------------------------------------------------------


def send(sandbox: Sandbox, http: httpx.Client, vendor: str) -> httpx.Response:
    given = sandbox.credentials(vendor)
    if vendor in SEND:
        return SEND[vendor](sandbox, http)
    if vendor == "splunk":
        return to_splunk(sandbox, http, event())
    if vendor == "jira":
        auth = (given["email"], given["api_token"])
        return http.post(f"{given['url']}/rest/api/3/issue", json=issue(), auth=auth)
    if vendor == "elastic":
        lines = [{"create": {"_id": KEY}}, {"@timestamp": "2026-11-20T10:00:00Z", "message": "Exposed"}]
        headers = {"Authorization": f"ApiKey {given['api_key']}", "Content-Type": "application/x-ndjson"}
        body = "".join(json.dumps(line) + "\n" for line in lines)
        return http.post(f"{given['url']}/logs-x-default/_bulk", content=body, headers=headers)
    if vendor == "aws_security_hub":
        return to_security_hub(http, given)
    if vendor == "qradar":
        line = f'{{"type":"t","id":"{KEY}","devTime":1795341600123,"severity":8}}\n'
        return http.post(given["url"], headers=JSON | {"Authorization": given["auth_value"]}, content=line)
    if vendor == "slack":
        return http.post(given["webhook_url"], json=message(section()))
    return SENDERS[vendor](given, http)


JSON = {"Content-Type": "application/json"}
#: vendors that know a record again and keep it once
KNOWING = {"elastic", "aws_security_hub", "pagerduty", "webhook"}


def to_security_hub(http: httpx.Client, given: dict[str, str]) -> httpx.Response:
    arn = "arn:aws:securityhub:eu-central-1:123456789012:product/123456789012/default"
    times = dict.fromkeys(("CreatedAt", "UpdatedAt"), "2026-11-20T10:00:00.000Z")
    texts = dict.fromkeys(("GeneratorId", "Title", "Description"), "Exposed")
    finding = {
        "SchemaVersion": "2018-10-08",
        "Id": KEY,
        "ProductArn": arn,
        "AwsAccountId": given["account_id"],
        "Severity": {"Label": "HIGH"},
        "Types": ["Effects/Data Exposure"],
        "Resources": [{"Type": "Other", "Id": "jane"}],
    }
    url = f"{given['endpoint_url']}/findings/import"
    body = json.dumps({"Findings": [finding | times | texts]})
    request = AWSRequest("POST", url, JSON, body.encode())
    keys = Credentials(given["access_key_id"], given["secret_access_key"])
    SigV4Auth(keys, "securityhub", given["region"]).add_auth(request)
    return http.post(url, content=body, headers=dict(request.headers))


def to_google(given: dict[str, str], http: httpx.Client) -> httpx.Response:
    place = f"projects/{given['project_id']}/locations/{given['location']}/instances/{given['instance_id']}"
    metadata = {"eventTimestamp": "2026-11-22T10:00:00Z", "eventType": "GENERIC_EVENT", "productLogId": KEY}
    body = {"inlineSource": {"events": [{"udm": {"metadata": metadata}}]}}
    headers = {"Authorization": f"Bearer {token('google_secops', time.time())}"}
    return http.post(f"{given['endpoint_url']}/v1/{place}/events:import", json=body, headers=headers)


def to_sentinel(given: dict[str, str], http: httpx.Client) -> httpx.Response:
    path = f"dataCollectionRules/{given['dcr_immutable_id']}/streams/{given['stream_name']}"
    headers = {"Authorization": f"Bearer {token('microsoft_sentinel', time.time())}"}
    rows = [{"TimeGenerated": "2026-11-22T10:00:00Z", "FindingId": KEY}]
    url = f"{given['endpoint_url']}/{path}?api-version=2023-01-01"
    return http.post(url, json=rows, headers=headers)


def to_servicenow(given: dict[str, str], http: httpx.Client) -> httpx.Response:
    body = {"short_description": "Leaked", "correlation_id": KEY}
    auth = (given["username"], given["password"])
    return http.post(f"{given['url']}/api/now/table/incident", json=body, auth=auth)


def to_zendesk(given: dict[str, str], http: httpx.Client) -> httpx.Response:
    """Without an idempotency key, so that a second one is a second ticket."""
    body = {"ticket": {"subject": "Leaked", "comment": {"body": "x"}, "external_id": KEY}}
    auth = (f"{given['email']}/token", given["api_token"])
    return http.post(f"{given['url']}/api/v2/tickets", json=body, auth=auth)


SENDERS = {
    "google_secops": to_google,
    "microsoft_sentinel": to_sentinel,
    "servicenow": to_servicenow,
    "zendesk": to_zendesk,
}
ALL = [vendor.slug for vendor in VENDORS]


@pytest.mark.parametrize("vendor", ALL)
@pytest.mark.parametrize("status", [401, 403, 429, 500, 503])
def test_a_fault_answers_with_that_status_once_and_keeps_nothing(
    sandbox: Sandbox, http: httpx.Client, vendor: str, status: int
) -> None:
    sandbox.fault(vendor, str(status), times=1, seconds=7)
    assert send(sandbox, http, vendor).status_code == status
    assert sandbox.accepted() == []
    assert send(sandbox, http, vendor).is_success
    assert len(sandbox.accepted(vendor)) == 1


@pytest.mark.parametrize("vendor", ["jira", "slack", "microsoft_sentinel", "servicenow", "zendesk"])
def test_a_429_says_how_long_to_wait_where_the_vendor_does(
    sandbox: Sandbox, http: httpx.Client, vendor: str
) -> None:
    sandbox.fault(vendor, "429", seconds=7)
    assert send(sandbox, http, vendor).headers["Retry-After"] == "7"


@pytest.mark.parametrize("vendor", ALL)
@pytest.mark.parametrize(("name", "kept"), [("lost_answer", 1), ("reset", 1), ("lost_before", 0)])
def test_an_answer_can_be_lost(
    sandbox: Sandbox, http: httpx.Client, vendor: str, name: str, kept: int
) -> None:
    sandbox.fault(vendor, name, times=1)
    with pytest.raises(httpx.ReadError if name == "reset" else httpx.RemoteProtocolError):
        send(sandbox, http, vendor)
    assert len(sandbox.accepted(vendor)) == kept
    assert send(sandbox, http, vendor).is_success
    copies = [1] if vendor in KNOWING else list(range(1, kept + 2))
    assert [one.copy for one in sandbox.accepted(vendor)] == copies


def test_a_lost_answer_is_not_spent_on_a_request_that_delivers_nothing(sandbox: Sandbox) -> None:
    sandbox.fault("jira", "lost_answer", times=1)
    with jira(sandbox) as http:
        assert http.get("/myself").status_code == 200
        assert searched(http, "project = SEC").status_code == 200
        assert http.post("/issue", json={}).status_code == 400
        with pytest.raises(httpx.RemoteProtocolError):
            http.post("/issue", json=issue())
        assert http.get("/issue/SEC-1").status_code == 200


def test_a_slow_vendor_accepts_at_once_and_answers_late(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.fault("slack", "slow", seconds=60)
    http.timeout = httpx.Timeout(0.2)
    with pytest.raises(httpx.ReadTimeout):
        send(sandbox, http, "slack")
    assert len(sandbox.accepted("slack")) == 1


def test_a_proxy_can_answer_with_its_sign_in_page(sandbox: Sandbox, http: httpx.Client) -> None:
    sandbox.fault("splunk", "html")
    answer = send(sandbox, http, "splunk")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert sandbox.accepted() == []


def test_a_share_of_requests_fails_in_the_same_order_for_the_same_seed(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    def statuses(seed: int) -> list[int]:
        sandbox.fault("slack", "503", share=0.4, seed=seed)
        return [send(sandbox, http, "slack").status_code for _ in range(40)]

    first = statuses(1)
    assert {200, 503} == set(first)
    assert statuses(1) == first
    assert statuses(2) != first


def test_a_fault_stays_until_it_is_cleared_and_touches_no_other_vendor(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    sandbox.fault("slack", "503")
    sandbox.fault("jira", "401")
    assert [send(sandbox, http, "slack").status_code for _ in range(3)] == [503] * 3
    assert send(sandbox, http, "splunk").status_code == 200
    sandbox.clear_faults("slack")
    assert send(sandbox, http, "slack").status_code == 200
    assert send(sandbox, http, "jira").status_code == 401
    sandbox.clear_faults()
    assert send(sandbox, http, "jira").status_code == 201


@pytest.mark.parametrize(
    ("vendor", "name", "more"),
    [
        ("nobody", "503", {}),
        ("slack", "418", {}),
        ("slack", "503", {"times": 0}),
        ("slack", "503", {"share": 1.5}),
        ("slack", "503", {"share": float("nan")}),
        ("slack", "503", {"times": 1, "share": 0.5}),
        ("slack", "slow", {"seconds": -1}),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(
    sandbox: Sandbox, vendor: str, name: str, more: dict[str, Any]
) -> None:
    with pytest.raises(ValueError):
        sandbox.fault(vendor, name, **more)


def test_a_body_over_six_megabytes_is_refused_and_the_sender_hears_it(
    sandbox: Sandbox, http: httpx.Client
) -> None:
    fits = json.dumps(event(event="x" * (6 * 1024 * 1024 - 500)))
    assert to_splunk(sandbox, http, fits).status_code == 200
    assert to_splunk(sandbox, http, fits + " " * 1000).status_code == 413
    assert len(sandbox.accepted()) == 1


def test_a_body_without_a_length_is_refused(sandbox: Sandbox, http: httpx.Client) -> None:
    chunks = iter([b'{"event":', b'"x"}'])
    assert http.post(f"{sandbox.url}/splunk/services/collector/event", content=chunks).status_code == 411


@pytest.fixture
def impatient_threads() -> Iterator[None]:
    """Threads take turns so often that a missing lock shows."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("impatient_threads")
def test_many_senders_at_once_lose_nothing_and_get_numbers_of_their_own(sandbox: Sandbox) -> None:
    def work() -> None:
        with jira(sandbox) as http:
            for _ in range(20):
                http.post("/issue", json=issue())

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    keys = [one.vendor_id for one in sandbox.accepted("jira")]
    assert keys == [f"SEC-{number}" for number in range(1, 161)]


def test_the_stop_ends_connections_that_were_kept_alive(http: httpx.Client) -> None:
    with Sandbox() as sandbox:
        assert send(sandbox, http, "slack").status_code == 200
    with pytest.raises(httpx.TransportError):
        send(sandbox, http, "slack")


# --- port and journal -----------------------------------------------------------------------------------


def test_a_used_port_is_refused_in_one_sentence(sandbox: Sandbox) -> None:
    port = int(sandbox.url.rpartition(":")[2])
    with pytest.raises(OSError, match=f"^Port {port} is already in use"):
        Sandbox(port)


def test_the_port_for_mail_is_taken_from_the_moment_it_is_chosen() -> None:
    """Chosen only, it was another program's now and then when the mail server came for it."""
    made = Sandbox(smtp_port=0)
    port = int(made.credentials("email")["port"])
    with pytest.raises(OSError, match=f"^Port {port} is already in use"):
        Sandbox(smtp_port=port)
    made.stop()
    Sandbox(smtp_port=port).stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.org", "::"])
def test_only_this_machine_can_be_listened_on(host: str) -> None:
    with pytest.raises(ValueError, match="this machine only"):
        Sandbox(host=host)


def test_what_was_accepted_outlives_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "run" / "sandbox.jsonl"
    for expected in (["SEC-1"], ["SEC-1", "SEC-2"]):
        with Sandbox(journal=journal) as sandbox, jira(sandbox) as http:
            http.post("/issue", json=issue())
            found = searched(http, f'labels = "{KEY}" ORDER BY created ASC').json()["issues"]
            assert [one["key"] for one in found] == expected
    assert [one.copy for one in sandbox.accepted("jira")] == [1, 2]
    assert [json.loads(line)["vendor_id"] for line in journal.read_text().splitlines()] == expected


def test_the_journal_is_written_before_the_answer(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"
    with Sandbox(journal=journal) as sandbox, caller() as http:
        sandbox.fault("splunk", "lost_answer")
        with pytest.raises(httpx.RemoteProtocolError):
            send(sandbox, http, "splunk")
        assert json.loads(journal.read_text())["key"] == KEY


def test_a_line_torn_by_a_crash_is_cut_off(tmp_path: Path) -> None:
    journal = tmp_path / "sandbox.jsonl"
    with Sandbox(journal=journal) as sandbox, caller() as http:
        send(sandbox, http, "slack")
    whole = journal.read_text()
    journal.write_text(whole + whole[:40])
    with Sandbox(journal=journal) as again:
        assert len(again.accepted()) == 1
    assert journal.read_text() == whole


def test_a_file_that_is_no_journal_is_refused_and_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "notes.txt"
    other.write_text("buy milk\n")
    with pytest.raises(ValueError, match="Line 1 of"):
        Sandbox(journal=other)
    assert other.read_text() == "buy milk\n"


# --- control API ----------------------------------------------------------------------------------------


def test_the_control_api_sets_and_clears_faults(sandbox: Sandbox, http: httpx.Client) -> None:
    url = f"{sandbox.url}/_sandbox/faults"
    assert http.post(url, json={"vendor": "jira", "fault": "429", "times": 2}).status_code == 200
    assert http.post(url, json={"vendor": "slack", "fault": "slow", "share": 0.5, "seed": 3}).is_success
    assert [one["fault"] for one in http.get(url).json()["items"]] == ["429", "slow"]
    assert send(sandbox, http, "jira").status_code == 429
    assert http.get(url, params={"vendor": "jira"}).json()["items"][0]["times"] == 1
    assert http.delete(url, params={"vendor": "jira"}).is_success
    assert [one["vendor"] for one in http.get(url).json()["items"]] == ["slack"]
    assert http.delete(url).is_success
    assert http.get(url).json()["items"] == []


@pytest.mark.parametrize(
    "order",
    [
        {},
        [],
        {"vendor": "jira"},
        {"vendor": "x", "fault": "503"},
        {"vendor": "jira", "fault": "503", "times": "a"},
        {"vendor": "jira", "fault": "503", "share": "a"},
    ],
)
def test_the_control_api_says_what_is_wrong(sandbox: Sandbox, http: httpx.Client, order: Any) -> None:
    answer = http.post(f"{sandbox.url}/_sandbox/faults", json=order)
    assert answer.status_code == 400
    assert answer.json()["error"].endswith(".")


def test_the_control_api_lists_what_arrived_and_counts(sandbox: Sandbox, http: httpx.Client) -> None:
    for vendor in ("slack", "slack", "splunk"):
        send(sandbox, http, vendor)
    to_splunk(sandbox, http, "no json")
    everything = http.get(f"{sandbox.url}/_sandbox/accepted").json()["items"]
    assert [one["vendor"] for one in everything] == ["slack", "slack", "splunk"]
    only = http.get(f"{sandbox.url}/_sandbox/accepted", params={"vendor": "splunk"}).json()["items"]
    assert [one["body"]["event"]["id"] for one in only] == [KEY]
    assert http.get(f"{sandbox.url}/_sandbox/accepted?vendor=x").status_code == 400
    stats = http.get(f"{sandbox.url}/_sandbox/stats").json()
    assert stats["slack"] == {
        "requests": 2,
        "refused": 0,
        "faults": 0,
        "accepted": 2,
        "keys": 1,
        "duplicates": 1,
    }
    assert stats["splunk"]["refused"] == 1


@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_another_site_can_neither_read_nor_change_the_sandbox(
    sandbox: Sandbox, http: httpx.Client, headers: dict[str, str]
) -> None:
    form = {"vendor": "jira", "fault": "503"}
    assert http.post(f"{sandbox.url}/_sandbox/faults", data=form, headers=headers).status_code == 403
    assert http.get(sandbox.url, headers=headers).status_code == 403
    assert send(sandbox, http, "jira").status_code == 201


# --- pages ----------------------------------------------------------------------------------------------


def test_the_page_shows_what_arrived_newest_first(sandbox: Sandbox, http: httpx.Client) -> None:
    assert http.get(sandbox.url).text.count("Nothing has arrived yet.") == len(VENDORS)
    with jira(sandbox) as client:
        for number in (1, 2):
            client.post("/issue", json=issue(summary=f"Finding number {number}"))
    shown = http.get(sandbox.url).text
    assert 0 < shown.index("Finding number 2") < shown.index("Finding number 1")
    assert "SEC-2" in shown
    assert "copy 2" in shown
    assert "critical" in shown
    assert '<meta http-equiv="refresh" content="5">' in shown
    assert 'http-equiv="refresh"' not in http.get(f"{sandbox.url}/?refresh=off").text


def hostile_splunk(sandbox: Sandbox, http: httpx.Client) -> None:
    to_splunk(
        sandbox,
        http,
        event(event={"id": HOSTILE, "title": HOSTILE, "severity": HOSTILE}, fields={HOSTILE: "x"}),
    )


def hostile_jira(sandbox: Sandbox, http: httpx.Client) -> None:
    with jira(sandbox) as client:
        labels = [re.sub(r"\s", "-", HOSTILE)]
        client.post("/issue", json=issue(summary=HOSTILE, labels=labels, description=document(HOSTILE)))


def hostile_slack(sandbox: Sandbox, http: httpx.Client) -> None:
    http.post(sandbox.credentials("slack")["webhook_url"], json=message(section(HOSTILE), text=HOSTILE))


@pytest.mark.parametrize("deliver", [hostile_splunk, hostile_jira, hostile_slack])
def test_hostile_text_is_shown_and_never_run(
    sandbox: Sandbox, http: httpx.Client, deliver: Callable[[Sandbox, httpx.Client], None]
) -> None:
    deliver(sandbox, http)
    assert len(sandbox.accepted()) == 1
    for path in ("/", "/accepted/1"):
        answer = http.get(sandbox.url + path)
        assert "&lt;script&gt;alert(1)" in answer.text
        assert "<script" not in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_the_detail_page_shows_the_body(sandbox: Sandbox, http: httpx.Client) -> None:
    send(sandbox, http, "slack")
    shown = http.get(f"{sandbox.url}/accepted/1").text
    assert KEY in shown
    assert "mrkdwn" in shown
    for nowhere in ("/accepted/2", "/accepted/0", "/accepted/x", "/nowhere", "/favicon.ico"):
        assert http.get(sandbox.url + nowhere).status_code == 404


def test_the_browse_link_of_a_ticket_opens_in_a_browser(sandbox: Sandbox, http: httpx.Client) -> None:
    send(sandbox, http, "jira")
    shown = http.get(f"{sandbox.url}/jira/browse/SEC-1")
    assert (shown.status_code, "Critical exposure of jane" in shown.text) == (200, True)
    assert http.get(f"{sandbox.url}/jira/browse/SEC-2").status_code == 404


def test_the_buttons_of_the_page_set_and_clear_a_fault(sandbox: Sandbox, http: httpx.Client) -> None:
    form = {"vendor": "jira", "times": "", "fault": "lost_answer"}
    answer = http.post(f"{sandbox.url}/_sandbox/faults", data=form, headers={"Origin": sandbox.url})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    shown = http.get(sandbox.url).text
    assert "<strong>lost_answer</strong>" in shown
    assert "until cleared" in shown
    http.post(f"{sandbox.url}/_sandbox/faults/clear", data={"vendor": "jira"})
    assert "<strong>lost_answer</strong>" not in http.get(sandbox.url).text


def test_the_connect_lines_say_how_to_reach_every_vendor(sandbox: Sandbox, http: httpx.Client) -> None:
    lines = sandbox.connect_lines()
    assert lines[[vendor.slug for vendor in VENDORS].index("splunk")].startswith(
        'hub connect splunk --name "Sandbox Splunk" --owner admin@hub.local --set url='
    )
    for vendor, line in zip(VENDORS, lines, strict=True):
        words = shlex.split(line)
        given = {pair.split("=", 1)[0]: pair.split("=", 1)[1] for pair in words[7:] if "=" in pair}
        assert given.pop("scope") == "all"
        assert given == sandbox.credentials(vendor.slug)
        secret = {words[at + 1].split("=")[0] for at, word in enumerate(words) if word == "--secret"}
        assert secret == vendor.secrets
    assert "In another terminal first" in " ".join(http.get(sandbox.url).text.split())
    assert "export HUB_EGRESS_ALLOW=127.0.0.1:" in http.get(sandbox.url).text


def test_the_connect_lines_call_the_hub_as_they_are_told(http: httpx.Client) -> None:
    with Sandbox(hub=".venv/bin/hub") as sandbox:
        assert all(line.startswith(".venv/bin/hub connect ") for line in sandbox.connect_lines())
        assert ".venv/bin/hub connect splunk" in http.get(sandbox.url).text


def test_what_is_kept_is_what_was_sent(sandbox: Sandbox, http: httpx.Client) -> None:
    body = message(section("ünïcode ☃ \u2028"))
    http.post(sandbox.credentials("slack")["webhook_url"], json=deepcopy(body))
    assert sandbox.accepted("slack")[0].body == body
