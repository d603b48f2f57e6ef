"""Jira's `POST /search/jql`: bounded queries over an index that sees a new issue only after a while."""

from typing import Any

from sandbox.contract import Accepted, Request, read_json
from sandbox.vendors.jira.fields import PROJECTS
from sandbox.vendors.jira.issue import id_of, shape
from sandbox.vendors.jira.jql import JqlError, Query, parse

#: SearchAndReconcileRequestBean of Atlassian's OpenAPI document: member -> its type
MEMBERS: dict[str, type | tuple[type, ...]] = {
    "jql": str,
    "fields": list,
    "maxResults": int,
    "nextPageToken": str,
    "reconcileIssues": list,
    "expand": str,
    "properties": list,
    "fieldsByKeys": bool,
}
PAYLOAD = "Invalid request payload. Refer to the REST API documentation and try again."
RECONCILE_MAX = 50
PAGE_MAX = 5000


class Refused(Exception):
    """Jira's sentence, and what the sandbox adds for people."""

    def __init__(self, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.message, self.reason = message, reason


def search(request: Request) -> dict[str, Any]:
    asked = _asked(request)
    query = _query(asked.get("jql", ""))
    start, size = _page(asked)
    hits = [one for one in request.arrived if _is_hit(one, query, request, asked.get("reconcileIssues", []))]
    if query.newest_first:
        hits.reverse()
    page = hits[start : start + size]
    more = start + size < len(hits)
    issues = [_shown(one, request, asked.get("fields", ["id"])) for one in page]
    return {"issues": issues, "isLast": not more, **({"nextPageToken": str(start + size)} if more else {})}


def _asked(request: Request) -> dict[str, Any]:
    try:
        asked = read_json(request.body)
    except ValueError:
        raise Refused("There was an error parsing JSON. Check that your request body is valid.") from None
    if not isinstance(asked, dict):
        raise Refused(PAYLOAD, "the body is an object")
    for name, value in asked.items():
        wanted = MEMBERS.get(name)
        if wanted is None or not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
            raise Refused(PAYLOAD, f"{name} is unknown or of a wrong type")
    ids = asked.get("reconcileIssues", [])
    if len(ids) > RECONCILE_MAX or not all(type(number) is int for number in ids):
        raise Refused(PAYLOAD, f"reconcileIssues is at most {RECONCILE_MAX} issue ids")
    if not all(isinstance(name, str) for name in asked.get("fields", [])):
        raise Refused(PAYLOAD, "fields is an array of strings")
    return asked


def _query(jql: str) -> Query:
    try:
        query = parse(jql)
    except JqlError as error:
        raise Refused(error.message, error.reason) from error
    for project in query.values_of("project"):
        if project.upper() not in PROJECTS and project not in {number for number, _ in PROJECTS.values()}:
            raise Refused(f"The value '{project}' does not exist for the field 'project'.")
    return query


def _page(asked: dict[str, Any]) -> tuple[int, int]:
    size, token = asked.get("maxResults", 50), asked.get("nextPageToken", "0")
    if not 1 <= size <= PAGE_MAX:
        raise Refused(PAYLOAD, f"maxResults is 1 to {PAGE_MAX}")
    if not token.isdecimal():
        raise Refused("The provided next page token is invalid or expired.")
    return int(token), size


def _is_hit(accepted: Accepted, query: Query, request: Request, reconcile: list[int]) -> bool:
    seen = accepted.at <= request.at - request.index_lag_s
    if not seen and int(id_of(accepted, request.arrived)) not in reconcile:
        return False
    return query.matches(_words(accepted, request), accepted.at, request.at)


def _words(accepted: Accepted, request: Request) -> dict[str, frozenset[str]]:
    fields = shape(accepted, request, None)["fields"]
    project = fields["project"]
    return {
        "key": frozenset({accepted.vendor_id, accepted.vendor_id.lower()}),
        "id": frozenset({id_of(accepted, request.arrived)}),
        "project": frozenset({project["id"], project["key"].lower(), project["name"].lower()}),
        "labels": frozenset(fields["labels"]),
        "issuetype": frozenset({fields["issuetype"]["id"], fields["issuetype"]["name"].lower()}),
        "priority": frozenset({fields["priority"]["id"], fields["priority"]["name"].lower()}),
        "status": frozenset({fields["status"]["id"], fields["status"]["name"].lower()}),
    }


def _shown(accepted: Accepted, request: Request, fields: list[str]) -> dict[str, Any]:
    """Without `fields`, or with `id` alone, Jira gives ids and nothing else."""
    if fields in ([], ["id"]):
        return {"id": id_of(accepted, request.arrived)}
    everything = "*all" in fields or "*navigable" in fields
    return shape(accepted, request, None if everything else set(fields))
