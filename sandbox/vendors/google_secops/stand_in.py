"""Google SecOps: the sign-in by a signed JWT, events:import and logs:import of one instance in location eu."""

import base64
import binascii
import json
import re
from typing import Any
from urllib.parse import parse_qsl

from sandbox import tokens
from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, key_in, read_json
from sandbox.vendors.google_secops.service_account import EMAIL, KEY_ID, PUBLIC_KEY, service_account_json
from sandbox.vendors.google_secops.udm import Malformed, check_event, check_time, snake

PROJECT, LOCATION, INSTANCE = "sandbox-only", "eu", "01234567-89ab-cdef-0123-456789abcdef"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}/instances/{INSTANCE}"
LOG_TYPES = ("FOOTPRINTIQ", "OKTA")
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
BYTES_MAX = 4 * 1024 * 1024
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class GoogleSecOps(Vendor):
    slug = "google_secops"
    name = "Google SecOps"
    secrets = frozenset({"service_account_json"})

    def credentials(self, base: str) -> dict[str, str]:
        return {
            "project_id": PROJECT,
            "location": LOCATION,
            "instance_id": INSTANCE,
            "service_account_json": service_account_json(),
            "endpoint_url": base,
            "token_url": f"{base}/token",
        }

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        words = {
            401: "Request had invalid authentication credentials. Expected OAuth 2 access token.",
            403: f"Permission 'chronicle.events.import' denied on resource '//chronicle.googleapis.com/{PARENT}'",
            429: "Quota exceeded for quota metric 'Ingestion burst' of service 'chronicle.googleapis.com'.",
            500: "Internal error encountered.",
            503: "The service is currently unavailable.",
        }
        return _error(status, words[status])

    def answer(self, request: Request) -> Answer:
        if request.path == "/token":
            return _sign_in(request)
        found = re.fullmatch(r"/v1/(projects/.+?)/(?:logTypes/([^/]+)/logs|events):import", request.path)
        if found is None:
            return _error(404, "Requested entity was not found.", reason="no such path")
        if request.method != "POST":
            return json_answer(405, {"error": {"code": 405, "message": "Method Not Allowed"}})
        if not tokens.is_valid(self.slug, request.headers.get("authorization", ""), request.at):
            return self.refuse(401, 0)
        if found[1] != PARENT:
            return _error(403, "Permission denied on the resource, or it may not exist.", reason=PARENT)
        return _imported(request, found[2])


def _error(status: int, message: str, reason: str = "", details: Any = None) -> Answer:
    error = {"code": status, "message": message, "status": STATUS[status]}
    return json_answer(status, {"error": error | ({"details": details} if details else {})}, reason=reason)


# --- sign-in ------------------------------------------------------------------------------------------


def _sign_in(request: Request) -> Answer:
    if request.method != "POST" or not request.headers.get("content-type", "").startswith(
        "application/x-www-form-urlencoded"
    ):
        return _refused("invalid_request", "Bad Request", "a POST with a form")
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    if form.get("grant_type") != GRANT:
        return _refused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
    refusal = _flaw(form.get("assertion", ""), f"{request.base}/token")
    if refusal:
        return _refused("invalid_grant", refusal)
    token = tokens.token("google_secops", request.at)
    return json_answer(200, {"access_token": token, "expires_in": tokens.LASTS_S, "token_type": "Bearer"})


def _refused(error: str, words: str, reason: str = "") -> Answer:
    return json_answer(400, {"error": error, "error_description": words}, reason=reason)


def _flaw(assertion: str, address: str) -> str:
    """What is wrong with the JWT, in Google's words; the signature is really verified."""
    # slow to load, and needed for a sign-in only
    from google.auth import exceptions, jwt

    try:
        header = jwt.decode_header(assertion)
        if header.get("alg") != "RS256" or header.get("kid") != KEY_ID:
            return "Invalid JWT Signature."
        claims = jwt.decode(assertion, certs=PUBLIC_KEY)
    except exceptions.InvalidValue:
        return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    except (exceptions.GoogleAuthError, ValueError):
        return "Invalid JWT Signature."
    if claims.get("aud") != address:
        return "Invalid JWT: Failed audience check."
    if claims.get("iss") != EMAIL:
        return "Invalid grant: account not found"
    if claims.get("scope") != SCOPE:
        return "Invalid OAuth scope or ID token audience provided."
    if claims["exp"] - claims["iat"] > 3600:
        return "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe."
    return ""


# --- import -------------------------------------------------------------------------------------------


def _imported(request: Request, log_type: str | None) -> Answer:
    if not request.has_json_type():
        return _error(400, "Invalid JSON payload received.", reason="the content type is application/json")
    if len(request.body) > BYTES_MAX:
        return _error(400, f"Request payload size exceeds the limit: {BYTES_MAX} bytes.")
    if log_type is not None and log_type not in LOG_TYPES:
        return _error(400, f"invalid log type: {log_type}")
    try:
        source = _source(request.body)
        kept = _logs(source, log_type) if log_type else _events(source)
    except (ValueError, Malformed) as error:
        return _error(400, f"Invalid JSON payload received. {error}")
    if not kept:
        return _error(400, "Request contains an invalid argument.", reason="nothing to import")
    return json_answer(200, {}, keep=kept)


def _source(body: bytes) -> dict[str, Any]:
    found = snake(read_json(body))
    if not isinstance(found, dict) or set(found) != {"inline_source"}:
        raise Malformed("The body has one member, inlineSource.")
    source = found["inline_source"]
    if not isinstance(source, dict):
        raise Malformed("inlineSource is an object.")
    return source


def _events(source: dict[str, Any]) -> tuple[Kept, ...]:
    if set(source) != {"events"} or not isinstance(source["events"], list):
        raise Malformed("inlineSource has an array of events.")
    return tuple(_event(f"inline_source.events[{at}]", found) for at, found in enumerate(source["events"]))


def _event(where: str, found: Any) -> Kept:
    if not isinstance(found, dict) or set(found) != {"udm"}:
        raise Malformed(f"{where} has one member, udm.")
    udm = found["udm"]
    check_event(f"{where}.udm", udm)
    result = (udm.get("security_result") or [{}])[0]
    title = result.get("summary") or udm["metadata"].get("description") or udm["metadata"]["event_type"]
    key = str(udm["metadata"].get("product_log_id") or key_in(json.dumps(udm), udm))
    return Kept(key, str(title), str(result.get("severity", "")).lower(), udm)


def _logs(source: dict[str, Any], log_type: str) -> tuple[Kept, ...]:
    if set(source) != {"logs", "forwarder"} or not isinstance(source["logs"], list):
        raise Malformed("inlineSource has an array of logs and a forwarder.")
    if not re.fullmatch(rf"{PARENT}/forwarders/[0-9a-f-]+", str(source["forwarder"])):
        raise Malformed("forwarder is the name of one below the instance.")
    return tuple(_log(f"inline_source.logs[{at}]", log, log_type) for at, log in enumerate(source["logs"]))


def _log(where: str, log: Any, log_type: str) -> Kept:
    if not isinstance(log, dict) or set(log) - {"data", "log_entry_time", "collection_time", "labels"}:
        raise Malformed(f"{where} has an unknown member.")
    try:
        text = base64.b64decode(log["data"], validate=True).decode()
    except (KeyError, TypeError, binascii.Error, UnicodeDecodeError):
        raise Malformed(f"{where}.data is base64 of a text.") from None
    entry = check_time(f"{where}.log_entry_time", log.get("log_entry_time"))
    if check_time(f"{where}.collection_time", log.get("collection_time")) < entry:
        raise Malformed(f"{where}: collection_time lies before log_entry_time.")
    facts = json.loads(text) if text.startswith("{") else {"title": text}
    key = str(facts.get("id") or key_in(text, facts))
    return Kept(key, str(facts.get("title")), str(facts.get("severity", "")).lower(), facts, log_type)
