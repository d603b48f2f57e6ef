"""A receiver of Standard Webhooks: it believes a request by its signature and its time, and by nothing else."""

import base64
import hashlib
import hmac
from dataclasses import replace
from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, read_json

SECRET = "whsec_c2FuZGJveC13ZWJob29rLXNlY3JldC0wMDAx"  # noqa: S105 - the stand-in's own, good nowhere else
TOLERANCE_S = 300
ON_FAULT = {
    401: "unauthorized",
    403: "forbidden",
    429: "too many requests",
    500: "internal error",
    503: "unavailable",
}


class Webhook(Vendor):
    slug = "webhook"
    name = "Webhook"
    secrets = frozenset({"signing_secret"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"url": f"{base}/hooks/footprintiq", "signing_secret": SECRET}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        wait = (("Retry-After", f"{retry_after_s:.0f}"),) if status in (429, 503) else ()
        return json_answer(status, {"error": ON_FAULT[status]}, headers=wait)

    def answer(self, request: Request) -> Answer:
        if request.path != "/hooks/footprintiq":
            return json_answer(404, {"error": "no such hook"})
        if request.method == "OPTIONS":
            return Answer(204, headers=(("Allow", "POST, OPTIONS"),))
        if request.method != "POST":
            return json_answer(405, {"error": "POST only"}, headers=(("Allow", "POST, OPTIONS"),))
        fault = _unsigned(request)
        if fault:
            return json_answer(401, {"error": "the signature does not hold"}, reason=fault)
        try:
            event = read_json(request.body) if request.has_json_type() else None
        except ValueError:
            event = None
        answer = _taken(event, request.headers["webhook-id"])
        # what was seen is dropped, with the same answer
        seen = {kept.key for kept in request.arrived}
        return replace(answer, keep=tuple(kept for kept in answer.keep if kept.key not in seen))


def _unsigned(request: Request) -> str | None:
    id, at, given = (request.headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not id or "." in id:
        return "webhook-id is missing or has a dot in it"
    if not at.isdecimal() or abs(int(at) - request.at) > TOLERANCE_S:
        return "webhook-timestamp is no time within five minutes"
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{id}.{at}.".encode() + request.body
    wanted = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    signatures = [one.removeprefix("v1,") for one in given.split(" ") if one.startswith("v1,")]
    if not any(hmac.compare_digest(one.encode(), wanted.encode()) for one in signatures):
        return "no v1 signature over id.timestamp.body"
    return None


def _taken(event: Any, id: str) -> Answer:
    if not isinstance(event, dict) or not isinstance(event.get("data"), dict):
        return json_answer(400, {"error": "an event has type, timestamp and data"})
    if not all(isinstance(event.get(name), str) and event[name] for name in ("type", "timestamp")):
        return json_answer(400, {"error": "type and timestamp are strings"})
    data = event["data"]
    kept = Kept(id, str(data.get("title") or event["type"]), str(data.get("severity", "")), event)
    return Answer(204, keep=(kept,))
