"""Splunk's HTTP Event Collector: tokens, one JSON object after another, numbered answers, acknowledgement.

Statuses, codes and texts are those of Splunk's own table. A batch is taken whole or not at all; whether
Splunk keeps the events before a bad one is documented nowhere.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, key_in, unpacked

TOKEN = "6a1f0c3e-5b7d-4e21-9c48-0d2f7a9b3e15"  # noqa: S105 - the stand-in's own, good nowhere else
ACK_TOKEN = "b8d94e70-21c6-4fa3-8e5d-6c0b1f2a7d39"  # noqa: S105 - its token with acknowledgement on
DISABLED_TOKEN = "f3c2e9a4-7810-4d6b-a5f1-92e4d08b6c77"  # noqa: S105 - its token that is switched off
INDEXES = frozenset({"main", "sec"})
MEMBERS = frozenset({"time", "host", "source", "sourcetype", "index", "event", "fields"})

TEXTS = {
    0: (200, "Success"),
    1: (403, "Token disabled"),
    2: (401, "Token is required"),
    3: (401, "Invalid authorization"),
    4: (403, "Invalid token"),
    5: (400, "No data"),
    6: (400, "Invalid data format"),
    7: (400, "Incorrect index"),
    8: (500, "Internal server error"),
    9: (503, "Server is busy"),
    10: (400, "Data channel is missing"),
    11: (400, "Invalid data channel"),
    12: (400, "Event field is required"),
    13: (400, "Event field cannot be blank"),
    14: (400, "ACK is disabled"),
    15: (400, "Error in handling indexed fields"),
    16: (400, "Query string authorization is not enabled"),
    17: (200, "HEC is healthy"),
    26: (429, "HEC queue is at capacity and cannot process any more requests"),
}
ON_FAULT = {401: 3, 403: 4, 429: 26, 500: 8, 503: 9}
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

SPACE = re.compile(r"[ \t\r\n]*")

EVENTS = ("/services/collector", "/services/collector/event", "/services/collector/event/1.0")
HEALTH = ("/services/collector/health", "/services/collector/health/1.0")


class Refused(Exception):
    """Splunk's code, the event it is about, and why, for people."""

    def __init__(self, code: int, reason: str = "", event: int | None = None) -> None:
        super().__init__(reason)
        self.code, self.reason, self.event = code, reason, event


class Exponent(float):
    """A number that was written with an exponent."""


class Splunk(Vendor):
    slug = "splunk"
    name = "Splunk"
    secrets = frozenset({"token"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"url": base, "token": TOKEN}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        return _coded(ON_FAULT[status])  # Splunk documents no Retry-After

    def answer(self, request: Request) -> Answer:
        routes = dict.fromkeys(EVENTS, ("POST", _collect)) | dict.fromkeys(HEALTH, ("GET", _health))
        method, act = (routes | {"/services/collector/ack": ("POST", _acknowledge)}).get(
            request.path, ("", None)
        )
        if act is None:
            return json_answer(404, {"text": "The requested URL was not found on this server.", "code": 404})
        if request.method != method:
            return json_answer(405, {"text": "Method Not Allowed", "code": 405}, headers=(("Allow", method),))
        try:
            return act(request)
        except Refused as refused:
            return _coded(refused.code, event=refused.event, reason=refused.reason)


def _coded(code: int, *, event: int | None = None, reason: str = "") -> Answer:
    status, text = TEXTS[code]
    where = {} if event is None else {"invalid-event-number": event}
    return json_answer(status, {"text": text, "code": code, **where}, reason=reason)


def _health(request: Request) -> Answer:
    return _coded(17)


def _collect(request: Request) -> Answer:
    token = _token(request)
    channel = _channel(request) if token == ACK_TOKEN else None
    objects = _objects(_text(request))
    if not objects:
        raise Refused(5)
    keep = tuple(_event(number, found) for number, found in enumerate(objects))
    ack = {} if channel is None else {"ackId": _batches(request.arrived)}
    return json_answer(200, {"text": "Success", "code": 0, **ack}, keep=keep)


def _acknowledge(request: Request) -> Answer:
    if _token(request) != ACK_TOKEN:
        raise Refused(14)
    _channel(request)
    try:
        asked = json.loads(request.body)["acks"]
        return json_answer(
            200, {"acks": {str(int(ack)): int(ack) < _batches(request.arrived) for ack in asked}}
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(6, 'the body is {"acks": [0, 1]}') from error


def _batches(arrived: Any) -> int:
    return len({accepted.at for accepted in arrived})


def _token(request: Request) -> str:
    header = request.headers.get("authorization", "")
    if not header and "token" in request.query:
        raise Refused(16)
    if not header:
        raise Refused(2)
    scheme, _, token = header.partition(" ")
    if scheme != "Splunk" or not token:
        raise Refused(3, "the header is Authorization: Splunk TOKEN")
    if token == DISABLED_TOKEN:
        raise Refused(1)
    if token not in (TOKEN, ACK_TOKEN):
        raise Refused(4)
    return token


def _channel(request: Request) -> str:
    channel = request.headers.get("x-splunk-request-channel") or request.query.get("channel", "")
    if not channel:
        raise Refused(10)
    if not GUID.fullmatch(channel):
        raise Refused(11)
    return channel


def _text(request: Request) -> str:
    try:
        return unpacked(request).decode()
    except ValueError as error:
        raise Refused(6, str(error), event=0) from error


def _objects(text: str) -> list[Any]:
    """The values that stand one after another; anything that is not JSON refuses the event it stands for."""
    decoder = json.JSONDecoder(parse_float=_number, parse_constant=_no_constant)
    found: list[Any] = []
    at = _after_space(text, 0)
    while at < len(text):
        try:
            value, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            raise Refused(6, "not JSON", event=len(found)) from error
        found.append(value)
        at = _after_space(text, at)
    return found


def _after_space(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    return found.end() if found else at


def _number(text: str) -> float:
    return Exponent(text) if "e" in text.lower() else float(text)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _event(number: int, found: Any) -> Kept:
    if not isinstance(found, dict):
        raise Refused(6, "an event is a JSON object, and a batch is no array", event=number)
    _check_members(number, found)
    _check_fields(number, found.get("fields", {}))
    event = found["event"]
    facts: Mapping[str, Any] = event if isinstance(event, dict) else {"title": event}
    named = found.get("fields", {}).get("finding_id") or facts.get("id") or ""
    title = str(facts.get("title") or facts.get("text") or facts.get("type") or "event")
    key = str(named) or key_in(json.dumps(found), found)
    return Kept(key, title, str(facts.get("severity", "")), found)


def _check_members(number: int, found: dict[str, Any]) -> None:
    unknown = sorted(found.keys() - MEMBERS)
    if unknown:
        # splunkd answers "No data" to a member it does not know: opentelemetry-collector-contrib#36096
        raise Refused(5, f"unknown member {unknown[0]}", event=number)
    if "event" not in found or found["event"] is None:
        raise Refused(12, event=number)
    if found["event"] in ("", {}) or (isinstance(found["event"], str) and not found["event"].strip()):
        raise Refused(13, event=number)
    for name in ("host", "source", "sourcetype", "index"):
        if not isinstance(found.get(name, ""), str):
            raise Refused(6, f"{name} is a string", event=number)
    _check_time(number, found.get("time", 0))
    if found.get("index", "main") not in INDEXES:
        raise Refused(7, f"this token may write to {', '.join(sorted(INDEXES))}", event=number)


def _check_time(number: int, time: Any) -> None:
    if isinstance(time, Exponent) or re.fullmatch(r"[\d.]+[eE][+-]?\d+", str(time)):
        raise Refused(15, "time is a plain decimal, without an exponent", event=number)
    if isinstance(time, bool) or not re.fullmatch(r"\d+(\.\d+)?", str(time)):
        raise Refused(6, "time is epoch seconds", event=number)


def _check_fields(number: int, fields: Any) -> None:
    flat = isinstance(fields, dict) and all(
        isinstance(value, str) or (isinstance(value, list) and all(isinstance(part, str) for part in value))
        for value in fields.values()
    )
    if not flat:
        raise Refused(15, "fields is one flat object of strings and arrays of strings", event=number)
