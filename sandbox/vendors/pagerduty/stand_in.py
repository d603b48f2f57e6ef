"""PagerDuty's Events API v2: takes an event in any order it can process, and opens one alert per key."""

from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, read_json

ROUTING_KEY = "sandbox0pagerduty0routing0key001"
EVENT_BYTES_MAX = 512 * 1024
ACTIONS = ("trigger", "acknowledge", "resolve")
SEVERITIES = {"critical": "critical", "error": "high", "warning": "medium", "info": "low"}
MEMBERS = frozenset(
    {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
)
ON_FAULT = {
    401: "Unauthorized",
    403: "Forbidden",
    429: "Rate limit exceeded",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class PagerDuty(Vendor):
    slug = "pagerduty"
    name = "PagerDuty"
    secrets = frozenset({"routing_key"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"routing_key": ROUTING_KEY, "endpoint_url": base}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        """No Retry-After: PagerDuty promises none."""
        return json_answer(status, {"status": "error", "message": ON_FAULT[status]})

    def answer(self, request: Request) -> Answer:
        if request.path != "/v2/enqueue":
            return json_answer(404, {"status": "error", "message": "Not Found"})
        if request.method != "POST":
            return json_answer(405, {"status": "error", "message": "Method Not Allowed"})
        if len(request.body) > EVENT_BYTES_MAX:
            return json_answer(413, {"status": "error", "message": "Request entity too large"})
        try:
            event = read_json(request.body) if request.has_json_type() else None
        except ValueError:
            event = None
        if not isinstance(event, dict):
            return _invalid(["JSON cannot be parsed"])
        errors = _errors(event)
        return _invalid(errors) if errors else _processed(event, {kept.key for kept in request.arrived})


def _invalid(errors: list[str]) -> Answer:
    body = {"status": "invalid event", "message": "Event object is invalid", "errors": errors}
    return json_answer(400, body, reason=errors[0])


def _processed(event: dict[str, Any], open_keys: set[str]) -> Answer:
    """A key that is open is updated, which keeps nothing new here.

    Resolving and acknowledging what is not open is dropped, as PagerDuty does it, with the same answer.
    """
    payload = event.get("payload", {})
    key = str(event.get("dedup_key") or f"made-{abs(hash(str(payload)))}")
    body = {"status": "success", "message": "Event processed", "dedup_key": key}
    if event["event_action"] != "trigger" or key in open_keys:
        return json_answer(202, body)
    kept = Kept(key, payload["summary"], SEVERITIES[payload["severity"]], event, vendor_id=key)
    return json_answer(202, body, keep=(kept,))


def _errors(event: dict[str, Any]) -> list[str]:
    found = [f"'{name}' is not a member of an event" for name in event.keys() - MEMBERS]
    key = event.get("routing_key")
    if not isinstance(key, str) or len(key) != 32:
        found.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    elif key != ROUTING_KEY:
        found.append("'routing_key' is unknown")
    if event.get("event_action") not in ACTIONS:
        found.append(f"'event_action' is one of {', '.join(ACTIONS)}")
    dedup_key = event.get("dedup_key")
    if not (dedup_key is None or (isinstance(dedup_key, str) and 1 <= len(dedup_key) <= 255)):
        found.append("'dedup_key' has 1 to 255 characters")
    if event.get("event_action") == "trigger":
        found += _payload_errors(event.get("payload"))
    elif dedup_key is None:
        found.append("'dedup_key' is missing")
    links = event.get("links", [])
    if not isinstance(links, list) or not all(
        isinstance(one, dict) and _is_text(one.get("href")) for one in links
    ):
        found.append("'links' is an array of objects with href")
    return found


def _payload_errors(payload: Any) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing"]
    found = [
        f"'payload.{name}' is missing or blank"
        for name in ("summary", "source")
        if not _is_text(payload.get(name))
    ]
    if len(str(payload.get("summary", ""))) > 1024:
        found.append("'payload.summary' has at most 1024 characters")
    if payload.get("severity") not in SEVERITIES:
        found.append(f"'payload.severity' is invalid (must be one of: {', '.join(SEVERITIES)})")
    for name in ("timestamp", "component", "group", "class"):
        if name in payload and not isinstance(payload[name], str):
            found.append(f"'payload.{name}' is a string")
    if not isinstance(payload.get("custom_details", {}), dict):
        found.append("'payload.custom_details' is an object")
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())
