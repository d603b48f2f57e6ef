"""Elasticsearch: API keys, the bulk API with a verdict per item, a data stream that takes only what is new.

Statuses, error types and reasons are Elasticsearch's. Every name is a data stream if it looks like logs-*-*, else a
plain index; both exist as soon as they are written to.
"""

import base64
import json
import re
from datetime import datetime
from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, read_json, unpacked

KEY_ID, KEY_SECRET = "sandboxFootprintIQ01", "sandboxFootprintIQ0123"
API_KEY = base64.b64encode(f"{KEY_ID}:{KEY_SECRET}".encode()).decode()
#: may write, and may not make what does not exist
POOR_KEY = base64.b64encode(f"sandboxFootprintIQ02:{KEY_SECRET}".encode()).decode()
TYPES = ("application/json", "application/x-ndjson")
BULK = re.compile(r"/(?:([^/]+)/)?_bulk")
FORBIDDEN = re.compile(r'[\s\\/*?"<>|,#:]|^[-_+]')
STREAM = re.compile(r"logs-[^-]+-.+")
ON_FAULT = {
    401: ("security_exception", "unable to authenticate with provided credentials"),
    403: ("security_exception", "action [indices:data/write/bulk] is unauthorized for API key id"),
    429: ("circuit_breaking_exception", "[parent] Data too large, data for [<http_request>]"),
    500: ("exception", "sandbox failure"),
    503: ("cluster_block_exception", "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered];"),
}


class Refused(Exception):
    """The status and error of a whole request or of one item."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.error = status, {"type": kind, "reason": reason}


class Elastic(Vendor):
    slug = "elastic"
    name = "Elasticsearch"
    secrets = frozenset({"api_key"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"url": base, "api_key": API_KEY}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        return _refusal(Refused(status, *ON_FAULT[status]))

    def answer(self, request: Request) -> Answer:
        try:
            return _route(request)
        except Refused as refused:
            return _refusal(refused)


def _refusal(refused: Refused) -> Answer:
    error = {"root_cause": [refused.error], **refused.error}
    reason = refused.error["reason"]
    return json_answer(refused.status, {"error": error, "status": refused.status}, reason=reason)


def _route(request: Request) -> Answer:
    user = _user(request)
    bulk = BULK.fullmatch(request.path)
    privileges = request.path == "/_security/user/_has_privileges"
    if not bulk and not privileges:
        words = f"no handler found for uri [{request.path}] and method [{request.method}]"
        return json_answer(400, {"error": words})
    if request.method not in ("POST", "PUT" if bulk else "GET"):
        words = f"Incorrect HTTP method for uri [{request.path}] and method [{request.method}]"
        return json_answer(405, {"error": words, "status": 405}, headers=(("Allow", "POST"),))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        return json_answer(406, {"error": f"Content-Type header [{kind}] is not supported", "status": 406})
    return _bulk(request, bulk[1], user) if bulk else _privileges(request, user)


def _user(request: Request) -> str:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if not given:
        raise Refused(
            401, "security_exception", f"missing authentication credentials for REST request [{request.path}]"
        )
    if scheme != "ApiKey" or given not in (API_KEY, POOR_KEY):
        words = "unable to authenticate with provided credentials and anonymous access is not allowed"
        raise Refused(401, "security_exception", f"{words} for this request")
    return "footprintiq" if given == API_KEY else "poor"


def _privileges(request: Request, user: str) -> Answer:
    try:
        asked = [(n, e["privileges"]) for e in read_json(request.body)["index"] for n in e["names"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(400, "parsing_exception", "Failed to parse privilege check") from error
    granted = {n: {p: user != "poor" or p == "create_doc" for p in asked_for} for n, asked_for in asked}
    complete = all(all(one.values()) for one in granted.values())
    answer = {"username": user, "has_all_requested": complete, "cluster": {}, "index": granted}
    return json_answer(200, answer | {"application": {}})


def _bulk(request: Request, target: str | None, user: str) -> Answer:
    try:
        body = unpacked(request)
    except ValueError as error:
        raise Refused(400, "parse_exception", str(error)) from error
    if not body.endswith(b"\n"):
        raise Refused(
            400, "illegal_argument_exception", "The bulk request must be terminated by a newline [\\n]"
        )
    keep: dict[str, Kept] = {}
    known = {one.key for one in request.arrived}
    items = [_item(one, known, keep, user) for one in _actions(body.decode("utf-8", "replace"), target)]
    failed = any("error" in result for item in items for result in item.values())
    return json_answer(
        200, {"errors": failed, "took": 3, "items": items}, keep=tuple(keep.values()), reason=_first(items)
    )


def _first(items: list[dict[str, Any]]) -> str:
    reasons = [r["error"]["reason"] for item in items for r in item.values() if "error" in r]
    return str(reasons[0]) if reasons else ""


def _actions(text: str, target: str | None) -> list[tuple[str, dict[str, Any], str]]:
    """(op, its metadata, source line) of every action; a line that is none refuses the whole request."""
    lines, found, at = text.split("\n")[:-1], [], 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        op, meta = _action(lines[at], at + 1)
        source = "" if op == "delete" else lines[at + 1] if at + 1 < len(lines) else ""
        found.append((op, {"_index": target, **meta}, source))
        at += 1 if op == "delete" else 2
    if not found:
        raise Refused(400, "parse_exception", "request body is required")
    return found


def _action(line: str, number: int) -> tuple[str, dict[str, Any]]:
    try:
        ((op, meta),) = read_json(line.encode()).items()
        if op in ("create", "index", "update", "delete") and isinstance(meta, dict):
            return op, meta
    except (ValueError, AttributeError):
        pass
    words = f"Malformed action/metadata line [{number}], expected START_OBJECT or one of the actions"
    raise Refused(400, "illegal_argument_exception", words)


def _item(
    action: tuple[str, dict[str, Any], str], known: set[str], keep: dict[str, Kept], user: str
) -> dict[str, Any]:
    op, meta, source = action
    index, id = str(meta.get("_index")), str(meta.get("_id") or f"auto-{len(known) + len(keep)}")
    result: dict[str, Any] = {"_index": index, "_id": id}
    try:
        document = _checked(op, index, id, source, user)
        if id in known or id in keep:
            words = f"[{id}]: version conflict, document already exists (current version [1])"
            raise Refused(409, "version_conflict_engine_exception", words)
        keep[id] = _kept(id, document)
    except Refused as refused:
        return {op: result | {"status": refused.status, "error": refused.error}}
    return {op: result | {"_version": 1, "result": "created", "_seq_no": 0, "status": 201}}


def _checked(op: str, index: str, id: str, source: str, user: str) -> dict[str, Any]:
    if FORBIDDEN.search(index) or index != index.lower() or index == "None":
        raise Refused(400, "invalid_index_name_exception", f"Invalid index name [{index}], must be lowercase")
    if user == "poor":
        words = "action [indices:admin/auto_create] is unauthorized for API key id"
        raise Refused(403, "security_exception", words)
    if op != "create":
        words = "only write ops with an op_type of create are allowed in data streams"
        raise Refused(400, "illegal_argument_exception", words)
    if len(id.encode()) > 512:
        raise Refused(400, "illegal_argument_exception", "id is too long, must be no longer than 512 bytes")
    try:
        document = read_json(source.encode())
    except ValueError as error:
        raise Refused(400, "document_parsing_exception", "[1:2] failed to parse") from error
    if not isinstance(document, dict):
        raise Refused(400, "document_parsing_exception", "[1:1] failed to parse: not an object")
    _check_fields(index, id, document)
    return document


def _check_fields(index: str, id: str, document: dict[str, Any]) -> None:
    at = document.get("@timestamp")
    if at is None and STREAM.fullmatch(index):
        raise Refused(
            400, "document_parsing_exception", "[1:2] data stream timestamp field [@timestamp] is missing"
        )
    if at is not None and not _is_date(at):
        raise Refused(400, "document_parsing_exception", _unfit("@timestamp", "date", id, at))
    event = document.get("event", {})
    if not isinstance(event, dict):
        raise Refused(400, "document_parsing_exception", _unfit("event", "object", id, event))
    severity = event.get("severity", 0)
    if isinstance(severity, bool) or not re.fullmatch(r"-?\d+(\.\d+)?", str(severity)):
        raise Refused(400, "document_parsing_exception", _unfit("event.severity", "long", id, severity))


def _unfit(field: str, kind: str, id: str, value: Any) -> str:
    return (
        f"[1:15] failed to parse field [{field}] of type [{kind}] in document with id '{id}'. "
        f"Preview of field's value: '{str(value)[:40]}'"
    )


def _is_date(value: Any) -> bool:
    """strict_date_optional_time, or milliseconds since 1970."""
    if isinstance(value, int) and not isinstance(value, bool):
        return True
    try:
        return isinstance(value, str) and bool(datetime.fromisoformat(value))
    except ValueError:
        return False


def _kept(id: str, document: dict[str, Any]) -> Kept:
    event = document.get("event", {})
    own = document.get("footprintiq")
    word = own.get("severity") if isinstance(own, dict) else None
    title = document.get("message") or json.dumps(document)[:80]
    return Kept(id, str(title), str(word or event.get("severity", "")), document, vendor_id=id)
