"""The stand-in of Jira: issues, documents, searches, and what it refuses."""

import json
from typing import Any

import httpx
import pytest

from sandbox import Sandbox
from tests.integrations.jira.sample import document, issue, jira, searched
from tests.sandbox.support import KEY, http, sandbox

__all__ = ["http", "sandbox"]


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
