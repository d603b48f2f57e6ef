"""Jira Cloud, REST v3: create an issue, read it back, search with a lagging index, a test's read-only calls.

Its search also has a GET form, which the hub does not use and this stand-in refuses.
"""

import base64
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from sandbox.contract import (
    Accepted,
    Answer,
    Kept,
    Request,
    Vendor,
    json_answer,
    key_in,
    read_json,
    text_answer,
)
from sandbox.vendors.jira import search as jira_search
from sandbox.vendors.jira.fields import (
    ISSUE_TYPES,
    PRIORITIES,
    PROJECTS,
    SCREEN,
    Malformed,
    check_fields,
    check_properties,
    named,
    project_of,
)
from sandbox.vendors.jira.issue import FIRST_ID, found, issue_types, priorities, shape

EMAIL = "hub@example.org"
TOKEN = "sandbox-jira-api-token-0001"  # noqa: S105 - the stand-in's own, good nowhere else
PERMISSIONS = ("BROWSE_PROJECTS", "CREATE_ISSUES", "ADD_COMMENTS", "TRANSITION_ISSUES", "EDIT_ISSUES")
SEVERITY = {"Highest": "critical", "High": "high", "Medium": "medium", "Low": "low", "Lowest": "info"}
REQUESTS_PER_WINDOW = 100  # the burst limit its headers speak of; nothing is counted

GONE = (
    "The requested API has been removed. Please migrate to the /rest/api/3/search/jql API. A full migration "
    "guideline is available at https://developer.atlassian.com/changelog/#CHANGE-2046"
)
PAYLOAD = "Invalid request payload. Refer to the REST API documentation and try again."
NOT_JSON = "There was an error parsing JSON. Check that your request body is valid."
NO_ISSUE = "Issue does not exist or you do not have permission to see it."


class Jira(Vendor):
    slug = "jira"
    name = "Jira"
    secrets = frozenset({"api_token"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"url": base, "email": EMAIL, "api_token": TOKEN, "project_key": "SEC", "issue_type": "Task"}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        wait = ("Retry-After", f"{retry_after_s:.0f}")
        if status == 401:
            return _unauthenticated()
        if status == 429:
            return _errors(
                429, "Rate limit exceeded.", headers=(wait, ("RateLimit-Reason", "jira-burst-based"))
            )
        words = {
            403: "You do not have permission to create issues in this project.",
            500: "Internal server error",
        }
        return _errors(
            status, words.get(status, "Service unavailable"), headers=(wait,) if status == 503 else ()
        )

    def answer(self, request: Request) -> Answer:
        for pattern, methods in ROUTES:
            match = re.fullmatch(pattern, request.path)
            if match:
                return _routed(request, methods, match.groups())
        words = {"message": f"null for uri: {request.base}{request.path}", "status-code": 404}
        return json_answer(404, words)

    def shown(self, path: str, arrived: Sequence[Accepted]) -> Accepted | None:
        match = re.fullmatch(r"/browse/([A-Z]+-\d+)", path)
        return found(match[1], arrived) if match else None


Act = Callable[..., Answer]


def _routed(request: Request, methods: dict[str, Act], words: tuple[str, ...]) -> Answer:
    if request.method not in methods:
        allow = (("Allow", ", ".join(methods)),)
        return json_answer(405, {"message": "Method Not Allowed", "status-code": 405}, headers=allow)
    if not _is_known(request.headers.get("authorization", "")):
        return _unauthenticated()
    if request.method == "POST" and not request.has_json_type():
        return json_answer(415, {"message": "Unsupported Media Type", "status-code": 415})
    return methods[request.method](request, *words)


def _is_known(header: str) -> bool:
    scheme, _, token = header.partition(" ")
    return scheme.lower() == "basic" and token == base64.b64encode(f"{EMAIL}:{TOKEN}".encode()).decode()


def _unauthenticated() -> Answer:
    return text_answer(
        401,
        "Client must be authenticated to access this resource.",
        headers=(
            ("WWW-Authenticate", 'OAuth realm="http%3A%2F%2F127.0.0.1"'),
            ("X-Seraph-LoginReason", "AUTHENTICATED_FAILED"),
        ),
        reason="Basic authentication with the account's e-mail and an API token",
    )


def _errors(
    status: int,
    *messages: str,
    errors: dict[str, str] | None = None,
    headers: tuple[tuple[str, str], ...] = (),
    reason: str = "",
) -> Answer:
    body = {"errorMessages": list(messages), "errors": errors or {}}
    return json_answer(status, body, headers=headers, reason=reason)


def _ok(request: Request, value: Any, status: int = 200, keep: tuple[Kept, ...] = ()) -> Answer:
    reset = datetime.fromtimestamp(request.at + 60, UTC).strftime("%Y-%m-%dT%H:%MZ")
    limits = (
        ("X-RateLimit-Limit", str(REQUESTS_PER_WINDOW)),
        ("X-RateLimit-Remaining", str(REQUESTS_PER_WINDOW - 1)),
        ("X-RateLimit-Reset", reset),
    )
    return json_answer(status, value, headers=limits, keep=keep)


def _create(request: Request) -> Answer:
    try:
        body = read_json(request.body)
    except ValueError:
        return _errors(400, NOT_JSON)
    if not isinstance(body, dict) or not isinstance(body.get("fields", {}), dict):
        return _errors(400, PAYLOAD, reason="the body is an object with an object `fields`")
    try:
        check_properties(body.get("properties", []))
        errors = check_fields(body.get("fields", {}))
    except Malformed as malformed:
        return _errors(400, malformed.message, reason=malformed.reason)
    return _errors(400, errors=errors) if errors else _created(request, body)


def _created(request: Request, body: dict[str, Any]) -> Answer:
    fields = body["fields"]
    project = str(project_of(fields))
    last = next((one for one in reversed(request.arrived) if one.vendor_id.startswith(f"{project}-")), None)
    key = f"{project}-{int(last.vendor_id.rpartition('-')[2]) + 1 if last else 1}"
    number = str(FIRST_ID + len(request.arrived))
    labels = " ".join(fields.get("labels", []))
    priority = named(fields.get("priority", {}), PRIORITIES) or "Medium"
    kept = Kept(key_in(labels, body), fields["summary"], SEVERITY[priority], body, vendor_id=key)
    return _ok(
        request,
        {"id": number, "key": key, "self": f"{request.base}/rest/api/3/issue/{number}"},
        status=201,
        keep=(kept,),
    )


def _issue(request: Request, name: str) -> Answer:
    accepted = found(name, request.arrived)
    if accepted is None:
        return _errors(404, NO_ISSUE)
    return _ok(request, shape(accepted, request, None))


def _search(request: Request) -> Answer:
    try:
        return _ok(request, jira_search.search(request))
    except jira_search.Refused as refused:
        return _errors(400, refused.message, reason=refused.reason)


def _gone(request: Request) -> Answer:
    return _errors(410, GONE)


def _myself(request: Request) -> Answer:
    return _ok(
        request,
        {
            "self": f"{request.base}/rest/api/3/user?accountId=5b10a2844c20165700ede21g",
            "accountId": "5b10a2844c20165700ede21g",
            "accountType": "atlassian",
            "emailAddress": EMAIL,
            "displayName": "Sandbox Hub",
            "active": True,
            "timeZone": "Etc/UTC",
            "locale": "en_US",
        },
    )


def _permissions(request: Request) -> Answer:
    asked = [name for name in request.query.get("permissions", "").split(",") if name]
    if not asked:
        return _errors(400, "The 'permissions' query parameter is required.")
    unknown = [name for name in asked if name not in PERMISSIONS]
    if unknown:
        return _errors(400, f"Unrecognized permission: {unknown[0]}")
    project = request.query.get("projectKey")
    if project is not None and project not in PROJECTS:
        return _errors(404, f"No project could be found with key '{project}'.")
    granted = {
        name: {
            "id": str(10 + PERMISSIONS.index(name)),
            "key": name,
            "name": name.replace("_", " ").title(),
            "type": "PROJECT",
            "havePermission": True,
        }
        for name in asked
    }
    return _ok(request, {"permissions": granted})


def _priorities(request: Request) -> Answer:
    return _ok(request, priorities(request.base))


def _issue_types(request: Request, project: str) -> Answer:
    if project not in PROJECTS:
        return _errors(404, f"No project could be found with key '{project}'.")
    types = issue_types(request.base)
    return _ok(request, {"startAt": 0, "maxResults": 50, "total": len(types), "issueTypes": types})


def _issue_type_fields(request: Request, project: str, number: str) -> Answer:
    if project not in PROJECTS or number not in ISSUE_TYPES.values():
        return _errors(404, "The project or the issue type was not found.")
    fields = [
        {
            "fieldId": field,
            "key": field,
            "name": name,
            "required": required,
            "hasDefaultValue": field == "priority",
            "operations": ["set"],
            "schema": {"type": kind, "system": field},
            **({"allowedValues": priorities(request.base)} if field == "priority" else {}),
        }
        for field, (name, kind, required) in SCREEN.items()
    ]
    return _ok(request, {"startAt": 0, "maxResults": 50, "total": len(fields), "fields": fields})


def _project(request: Request, key: str) -> Answer:
    if key not in PROJECTS:
        return _errors(404, f"No project could be found with key '{key}'.")
    number, name = PROJECTS[key]
    return _ok(request, {"id": number, "key": key, "name": name, "issueTypes": issue_types(request.base)})


API = "/rest/api/3"
ROUTES: tuple[tuple[str, dict[str, Act]], ...] = (
    (f"{API}/issue", {"POST": _create}),
    (f"{API}/issue/createmeta/([^/]+)/issuetypes", {"GET": _issue_types}),
    (f"{API}/issue/createmeta/([^/]+)/issuetypes/([^/]+)", {"GET": _issue_type_fields}),
    (f"{API}/issue/([^/]+)", {"GET": _issue}),
    (f"{API}/search/jql", {"POST": _search}),
    (f"{API}/search", {"GET": _gone, "POST": _gone}),
    (f"{API}/myself", {"GET": _myself}),
    (f"{API}/mypermissions", {"GET": _permissions}),
    (f"{API}/priority", {"GET": _priorities}),
    (f"{API}/project/([^/]+)", {"GET": _project}),
)
