"""ServiceNow's Table API: create and query incidents, look up groups and users.

ServiceNow cuts texts that are too long without a word; a hub that sends such is wrong, so they are refused here.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sandbox.contract import Accepted, Answer, Kept, Request, Vendor, json_answer, key_in, read_json

USER = "footprintiq.hub"
PASSWORD = "sandbox:only password"  # noqa: S105 - the stand-in's own, good nowhere else
#: fields of the table → how many characters they hold
INCIDENT = {
    "short_description": 160,
    "description": 4000,
    "impact": 40,
    "urgency": 40,
    "correlation_id": 100,
    "correlation_display": 100,
    "assignment_group": 80,
    "caller_id": 80,
    "state": 40,
    "work_notes": 4000,
    "comments": 4000,
    "category": 40,
}
GROUPS = {"Security Operations": "8a5055c9c61122780043563ef53438e3"}
USERS = {"FootprintIQ Hub": "46d44a4ac0a8016400a1d7fb05a9c4c1"}
SEVERITY = {("1", "1"): "critical", ("1", "2"): "high", ("2", "2"): "medium", ("2", "3"): "low"}


class ServiceNow(Vendor):
    slug = "servicenow"
    name = "ServiceNow"
    secrets = frozenset({"password"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"url": base, "username": USER, "password": PASSWORD}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        message, detail = {
            401: ("User Not Authenticated", "Required to provide Auth information"),
            403: (
                "Operation Failed",
                "ACL Exception Insert Failed due to security constraints",
            ),
            429: ("Rate limit exceeded", "Number of requests per hour is over the rate limit"),
            500: ("Internal error", "java.lang.NullPointerException"),
            503: ("Service unavailable", ""),
        }[status]
        wait = (("Retry-After", f"{retry_after_s:.0f}"),) if status in (429, 503) else ()
        return _error(status, message, detail, headers=wait)

    def answer(self, request: Request) -> Answer:
        found = re.fullmatch(r"/api/now(?:/v2)?/table/([a-z0-9_]+)(?:/([0-9a-f]{32}))?", request.path)
        if found is None:
            return _error(400, "Requested URI does not represent any resource", request.path)
        if not _is_known(request.headers.get("authorization", "")):
            return self.refuse(401, 0)
        table, sys_id = found[1], found[2]
        if table not in ("incident", "sys_user_group", "sys_user"):
            return _error(400, "Invalid table " + table, "")
        if request.method == "GET":
            return _found(request, table, sys_id)
        if request.method == "POST" and table == "incident" and not sys_id:
            return _created(request)
        return _error(405, "Method not supported", request.method)


def _is_known(header: str) -> bool:
    scheme, _, token = header.partition(" ")
    return scheme.lower() == "basic" and token == base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()


def _error(
    status: int, message: str, detail: str, headers: tuple[tuple[str, str], ...] = (), reason: str = ""
) -> Answer:
    body = {"error": {"message": message, "detail": detail}, "status": "failure"}
    return json_answer(status, body, headers=headers, reason=reason)


# --- create -------------------------------------------------------------------------------------------


def _created(request: Request) -> Answer:
    if not request.has_json_type():
        return _error(415, "Unsupported media type", "")
    try:
        body = read_json(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        return _error(400, "Exception while reading request", "The payload is not valid JSON")
    for name, value in body.items():
        if name in INCIDENT and not isinstance(value, str):
            return _error(400, "Invalid value", name, reason="values are strings")
        if name in INCIDENT and len(value.encode("utf-16-le")) // 2 > INCIDENT[name]:
            return _error(400, "Value too long", name, reason=f"{name} holds {INCIDENT[name]} characters")
    row = {name: value for name, value in body.items() if name in INCIDENT}  # others are ignored, as there
    by_name = request.query.get("sysparm_input_display_value") == "true"
    for name, known in (("assignment_group", GROUPS), ("caller_id", USERS)):
        if name in row:
            row[name] = _reference(row[name], known, by_name)
    number = f"INC{10_001 + len(request.arrived):07}"
    severity = SEVERITY.get((row.get("impact", "3"), row.get("urgency", "3")), "info")
    key = row.get("correlation_id") or key_in(str(row), row)
    kept = Kept(key, row.get("short_description", number), severity, row, vendor_id=number)
    shown = _shown(_row(number, row), request.query)
    return json_answer(201, {"result": shown}, headers=_location(request, number), keep=(kept,))


def _location(request: Request, number: str) -> tuple[tuple[str, str], ...]:
    return (("Location", f"{request.base}/api/now/table/incident/{_sys_id(number)}"),)


def _reference(value: str, known: Mapping[str, str], by_name: bool) -> str:
    """The sys_id; a name that is not found leaves the field empty."""
    return value if value in known.values() else known.get(value, "") if by_name else ""


def _sys_id(number: str) -> str:
    return hashlib.sha256(number.encode()).hexdigest()[:32]


def _row(number: str, row: Mapping[str, str]) -> dict[str, str]:
    empty = dict.fromkeys(INCIDENT, "")
    return {"sys_id": _sys_id(number), "number": number, **empty, "state": "1", **row}


# --- query --------------------------------------------------------------------------------------------


def _found(request: Request, table: str, sys_id: str | None) -> Answer:
    rows = _rows_of(table, request.arrived)
    if sys_id:
        row = next((row for row in rows if row["sys_id"] == sys_id), None)
        if row is None:
            return _error(
                404, "No Record found", "Record doesn't exist or ACL restricts the record retrieval"
            )
        return json_answer(200, {"result": _shown(row, request.query)})
    # a condition on a field that the table does not have is dropped, as an instance does by default
    for name, value in re.findall(r"(?:^|\^)([a-z_]+)=([^^]*)", request.query.get("sysparm_query", "")):
        if not rows or name in rows[0]:
            rows = [row for row in rows if row[name] == value]
    limit = request.query.get("sysparm_limit", "10000")
    if not limit.isdecimal():
        return _error(400, "Invalid sysparm_limit", limit)
    total = (("X-Total-Count", str(len(rows))),)
    return json_answer(
        200, {"result": [_shown(row, request.query) for row in rows[: int(limit)]]}, headers=total
    )


def _rows_of(table: str, arrived: Sequence[Accepted]) -> list[dict[str, str]]:
    if table == "incident":
        return [_row(one.vendor_id, one.body) for one in arrived]
    known = GROUPS if table == "sys_user_group" else USERS
    return [{"sys_id": sys_id, "name": name} for name, sys_id in known.items()]


def _shown(row: Mapping[str, Any], query: Mapping[str, str]) -> dict[str, Any]:
    wanted = [name for name in query.get("sysparm_fields", "").split(",") if name]
    return {name: value for name, value in row.items() if not wanted or name in wanted}
