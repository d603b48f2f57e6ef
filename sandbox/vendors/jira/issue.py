"""Jira's shape of what the stand-in accepted: issues, issue types and priorities as its API shows them."""

from bisect import bisect_left
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

from sandbox.contract import Accepted, Request
from sandbox.vendors.jira.fields import ISSUE_TYPES, PRIORITIES, PROJECTS, named, project_of

FIRST_ID = 10_001
STATUS = {
    "id": "10000",
    "name": "To Do",
    "statusCategory": {"id": 2, "key": "new", "colorName": "blue-gray", "name": "To Do"},
}


def id_of(accepted: Accepted, arrived: Sequence[Accepted]) -> str:
    """An issue's number: its place among the accepted ones."""
    return str(FIRST_ID + bisect_left(arrived, accepted.number, key=attrgetter("number")))


def found(name: str, arrived: Sequence[Accepted]) -> Accepted | None:
    """The issue with this key or id."""
    if name.isdecimal():
        place = int(name) - FIRST_ID
        return arrived[place] if 0 <= place < len(arrived) else None
    return next((one for one in arrived if one.vendor_id == name.upper()), None)


def shape(accepted: Accepted, request: Request, only: Set[str] | None) -> dict[str, Any]:
    """An issue as GET and search show it; `only` names the fields wanted, None means all."""
    number = id_of(accepted, request.arrived)
    everything = _fields(accepted, request.base)
    fields = {name: value for name, value in everything.items() if only is None or name in only}
    return {
        "id": number,
        "key": accepted.vendor_id,
        "self": f"{request.base}/rest/api/3/issue/{number}",
        "fields": fields,
    }


def _fields(accepted: Accepted, base: str) -> dict[str, Any]:
    sent = accepted.body["fields"]
    project = str(project_of(sent))
    kind = str(named(sent["issuetype"], ISSUE_TYPES))
    priority = named(sent.get("priority", {}), PRIORITIES) or "Medium"
    moment = datetime.fromtimestamp(accepted.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
    return {
        "summary": sent["summary"],
        "description": sent.get("description"),
        "labels": sent.get("labels", []),
        "project": {"id": PROJECTS[project][0], "key": project, "name": PROJECTS[project][1]},
        "issuetype": {"id": ISSUE_TYPES[kind], "name": kind, "subtask": False},
        "priority": {"id": PRIORITIES[priority], "name": priority},
        "status": STATUS,
        "resolution": None,
        "created": moment,
        "updated": moment,
        **{name: sent[name] for name in ("duedate", "customfield_10050") if name in sent},
    }


def priorities(base: str) -> list[dict[str, Any]]:
    return [
        {"self": f"{base}/rest/api/3/priority/{number}", "id": number, "name": name, "description": ""}
        for name, number in PRIORITIES.items()
    ]


def issue_types(base: str) -> list[dict[str, Any]]:
    return [
        {
            "self": f"{base}/rest/api/3/issuetype/{number}",
            "id": number,
            "name": name,
            "subtask": False,
            "hierarchyLevel": 0,
        }
        for name, number in ISSUE_TYPES.items()
    ]
