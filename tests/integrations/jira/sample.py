"""Issues as others create and look for them in Jira."""

from typing import Any

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY, caller


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


def searched(http: httpx.Client, jql: str, **more: Any) -> httpx.Response:
    return http.post("/search/jql", json={"jql": jql, "fields": ["summary", "labels"], **more})


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    given = sandbox.credentials("jira")
    auth = (given["email"], given["api_token"])
    return http.post(f"{given['url']}/rest/api/3/issue", json=issue(), auth=auth)
