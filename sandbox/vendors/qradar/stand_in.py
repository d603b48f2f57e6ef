"""IBM QRadar: a log source of type HTTP Receiver, and the console's API with its login page.

A real receiver keeps a line that it cannot parse as an unknown event, or cuts a long one in two, and says nothing. A
hub that relies on either is wrong, so both are refused here.
"""

import re
from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, html_answer, json_answer, read_json, text_answer

HEADER_VALUE = "sandbox-receiver-0001"
SEC_TOKEN = "6a1f0c3e-5b7d-4e21-9c48-0d2f7a9b3e16"  # noqa: S105 - the stand-in's own, good nowhere else
EVENT_BYTES = 32_767
POST_BYTES = 5 * 1024 * 1024
LOGIN = "<!DOCTYPE html><html><head><title>IBM QRadar</title></head><body>Log In</body></html>"
#: QRadar finds the next event by it where it does not cut by lines
FIRST = '{"type":"'
LEEF = re.compile(r"LEEF:2\.0\|[^|\t]+\|[^|\t]+\|[^|\t]+\|[^|\t]+\|x09\|(.*)")
WORDS = {"3": "low", "5": "medium", "8": "high", "10": "critical"}
REASONS = {401: "Unauthorized", 403: "Forbidden", 429: "Too Many Requests"}
ON_FAULT = {500: "Internal Server Error", 503: "Service Unavailable"} | REASONS


class QRadar(Vendor):
    slug = "qradar"
    name = "IBM QRadar"
    secrets = frozenset({"auth_value", "sec_token"})

    def credentials(self, base: str) -> dict[str, str]:
        return {
            "url": f"{base}/receiver",
            "auth_value": HEADER_VALUE,
            "console_url": f"{base}/console",
            "sec_token": SEC_TOKEN,
        }

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        return text_answer(status, ON_FAULT[status])

    def answer(self, request: Request) -> Answer:
        if request.path == "/console" or request.path.startswith("/console/"):
            return _console(request)
        if request.path.partition("/")[2].partition("/")[0] != "receiver":
            return text_answer(404, "Not Found")
        if request.method != "POST":
            return text_answer(405, "Method Not Allowed", headers=(("Allow", "POST"),))
        if request.headers.get("authorization") != HEADER_VALUE:
            return text_answer(401, REASONS[401], reason="the header is compared as a whole")
        return _receive(request)


def _console(request: Request) -> Answer:
    if request.path != "/console/api/system/about":
        return html_answer(200, LOGIN)
    if request.headers.get("sec") != SEC_TOKEN:
        words = "You are unauthorized to access the requested resource."
        refused = {
            "http_response": {"code": 401, "message": words},
            "code": 18,
            "description": "",
            "message": words,
        }
        return json_answer(401, refused)
    about = {
        "external_version": "7.5.0",
        "release_name": "7.5.0 UpdatePackage 10",
        "build_version": "2021.6.10",
    }
    return json_answer(200, about | {"fips_enabled": False})


def _receive(request: Request) -> Answer:
    if len(request.body) > POST_BYTES:
        return text_answer(413, "Payload Too Large")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("application/json", "text/plain"):
        return text_answer(415, "Unsupported Media Type")
    if not request.body.endswith(b"\n"):
        return text_answer(400, "Bad Request", reason="every event ends with a line feed")
    try:
        keep = tuple(_event(line, kind) for line in request.body[:-1].split(b"\n"))
    except ValueError as error:
        return text_answer(400, "Bad Request", reason=str(error))
    return Answer(200, b"", "text/plain", keep=keep)


def _event(line: bytes, kind: str) -> Kept:
    if len(line) > EVENT_BYTES:
        raise ValueError(f"an event has at most {EVENT_BYTES} bytes; a longer one becomes two")
    text = line.decode()
    return _json(text) if kind == "application/json" else _leef(text)


def _json(text: str) -> Kept:
    event = read_json(text.encode())
    if not isinstance(event, dict) or not text.startswith(FIRST):
        raise ValueError(f"an event is an object that begins with {FIRST}")
    severity = event.get("severity")
    if not isinstance(severity, int) or not 0 <= severity <= 10:
        raise ValueError("severity is a whole number from 0 to 10")
    time = event.get("devTime")
    if not isinstance(time, int) or not 10**11 < time < 10**14:
        raise ValueError("devTime is in milliseconds since 1970")
    return _kept(event.get("id"), event.get("name"), severity, event)


def _leef(text: str) -> Kept:
    found = LEEF.fullmatch(text)
    if not found:
        raise ValueError("an event is LEEF:2.0|vendor|product|version|event|x09| and attributes")
    pairs = [pair.partition("=") for pair in found[1].split("\t")]
    if not all(re.fullmatch(r"\w+", name) and sign for name, sign, _ in pairs):
        raise ValueError("attributes are name=value, with a tab between")
    event: dict[str, Any] = {name: value for name, _, value in pairs}
    severity, time = str(event.get("sev")), str(event.get("devTime"))
    if not re.fullmatch(r"[1-9]|10", severity) or not re.fullmatch(r"\d{12,14}", time):
        raise ValueError("sev is 1 to 10, devTime milliseconds since 1970")
    return _kept(event.get("externalId"), event.get("name"), severity, event)


def _kept(id: Any, name: Any, severity: Any, event: dict[str, Any]) -> Kept:
    if not isinstance(id, str) or not id:
        raise ValueError("an event carries its id")
    word = event.get("severityLabel") or WORDS.get(str(severity), "")
    return Kept(id, str(name or "event"), str(word), event)
