"""Zendesk's ticketing API: create under an idempotency key, list by external id, who am I, a group."""

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sandbox.contract import Accepted, Answer, Kept, Request, Vendor, json_answer, read_json, text_answer
from sandbox.vendors.zendesk.ticket import check_ticket, key_of

EMAIL = "hub@example.org"
TOKEN = "sandboxzendesktoken0001"  # noqa: S105 - the stand-in's own, good nowhere else
GROUPS = {360000000001: "Security"}
REMEMBERED_S = 2 * 3600
SEVERITY = {"urgent": "critical", "high": "high", "normal": "medium", "low": "low"}


class Zendesk(Vendor):
    slug = "zendesk"
    name = "Zendesk"
    secrets = frozenset({"api_token"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"url": base, "email": EMAIL, "api_token": TOKEN}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        wait = (("Retry-After", f"{retry_after_s:.0f}"),)
        if status == 429:
            return text_answer(429, "Too many requests", headers=wait)
        body: Any = {
            401: {"error": "Couldn't authenticate you"},
            403: {"error": "Forbidden", "description": "You do not have access to this page."},
            500: {"error": "InternalServerError"},
            503: {"error": "ServiceUnavailable", "description": "Database collision"},
        }[status]
        return json_answer(status, body, headers=wait if status == 503 else ())

    def answer(self, request: Request) -> Answer:
        path = request.path.removesuffix(".json")
        if not path.startswith("/api/v2/"):
            return json_answer(404, {"error": "InvalidEndpoint", "description": "Not found"})
        known = _is_known(request.headers.get("authorization"))
        if known is False:
            return self.refuse(401, 0)
        if path == "/api/v2/users/me" and request.method == "GET":
            return _me(known is True)
        if known is None:
            return self.refuse(401, 0)
        group = re.fullmatch(r"/api/v2/groups/(\d+)", path)
        if group and request.method == "GET":
            return _group(int(group[1]))
        if path == "/api/v2/tickets":
            return _created(request) if request.method == "POST" else _listed(request)
        return json_answer(404, {"error": "InvalidEndpoint", "description": "Not found"})

    def shown(self, path: str, arrived: Sequence[Accepted]) -> Accepted | None:
        match = re.fullmatch(r"/agent/tickets/(\d+)", path)
        return next((one for one in arrived if match and one.vendor_id == match[1]), None)


def _is_known(header: str | None) -> bool | None:
    """None without credentials: such a visitor is anonymous, not refused."""
    if header is None:
        return None
    scheme, _, token = header.partition(" ")
    wanted = base64.b64encode(f"{EMAIL}/token:{TOKEN}".encode()).decode()
    return scheme.lower() == "basic" and token == wanted


def _me(known: bool) -> Answer:
    user = {"id": 35436, "name": "Sandbox Hub", "email": EMAIL, "role": "agent", "suspended": False}
    nobody = {"id": None, "name": "Anonymous user", "email": "invalid@example.com", "role": "end-user"}
    return json_answer(200, {"user": user if known else nobody})


def _group(number: int) -> Answer:
    if number not in GROUPS:
        return json_answer(404, {"error": "RecordNotFound", "description": "Not found"})
    return json_answer(200, {"group": {"id": number, "name": GROUPS[number]}})


def _created(request: Request) -> Answer:
    if not request.has_json_type():
        return json_answer(415, {"error": "Unsupported content type"})
    key, digest = request.headers.get("idempotency-key", ""), hashlib.sha256(request.body).hexdigest()
    if len(key) > 255:
        return json_answer(400, {"error": "IdempotentRequestError", "description": "Key is too long"})
    first = _remembered(key, request)
    if first is not None:
        if first.body["digest"] != digest:
            words = "Request parameters don't match the given idempotency key"
            return json_answer(400, {"error": "IdempotentRequestError", "description": words})
        return _ticket_answer(request, first.vendor_id, first.body["ticket"], first.at, "hit")
    try:
        ticket = read_json(request.body)["ticket"]
    except (ValueError, KeyError, TypeError):
        words = 'The body is {"ticket": {…}}'
        return json_answer(400, {"error": "InvalidRequest", "description": words})
    details = check_ticket(ticket, GROUPS)
    if details:
        body = {"error": "RecordInvalid", "description": "Record validation errors", "details": details}
        return json_answer(422, body)
    number = str(len(request.arrived) + 1)
    content = {"ticket": ticket, "idempotency_key": key, "digest": digest}
    severity = SEVERITY.get(ticket.get("priority", ""), "info")
    kept = Kept(key_of(ticket), str(ticket.get("subject") or number), severity, content, vendor_id=number)
    return _ticket_answer(request, number, ticket, request.at, "miss" if key else "", keep=(kept,))


def _remembered(key: str, request: Request) -> Accepted | None:
    since = request.at - REMEMBERED_S
    of_key = (one for one in request.arrived if key and one.body["idempotency_key"] == key)
    return next((one for one in of_key if one.at > since), None)


def _ticket_answer(
    request: Request,
    number: str,
    ticket: dict[str, Any],
    at: float,
    look_up: str,
    keep: tuple[Kept, ...] = (),
) -> Answer:
    place = ("Location", f"{request.base}/api/v2/tickets/{number}.json")
    headers = (place, ("x-idempotency-lookup", look_up)) if look_up else (place,)
    body = {"ticket": _shape(number, ticket, at, request.base), "audit": {"id": 1000 + int(number)}}
    return json_answer(201, body, headers=headers, keep=keep)


def _listed(request: Request) -> Answer:
    wanted = request.query.get("external_id")
    found = [
        _shape(one.vendor_id, one.body["ticket"], one.at, request.base)
        for one in request.arrived
        if wanted is None or one.body["ticket"].get("external_id") == wanted
    ]
    return json_answer(200, {"tickets": found, "next_page": None, "previous_page": None, "count": len(found)})


def _shape(number: str, ticket: dict[str, Any], at: float, base: str) -> dict[str, Any]:
    moment = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "url": f"{base}/api/v2/tickets/{number}.json",
        "id": int(number),
        "external_id": ticket.get("external_id"),
        "subject": ticket.get("subject"),
        "description": ticket["comment"]["body"],
        "priority": ticket.get("priority"),
        "type": ticket.get("type"),
        "status": ticket.get("status", "new"),
        "tags": ticket.get("tags", []),
        "created_at": moment,
        "updated_at": moment,
    }
