"""Microsoft's sign-in for apps and the Logs Ingestion API with one data collection rule and one stream.

Azure drops columns that a stream does not declare without a word; a hub that sends such is wrong, so they are
refused here.
"""

import re
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from sandbox import tokens
from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, key_in, read_json, unpacked

TENANT = "11111111-2222-3333-4444-555555555555"
CLIENT = "66666666-7777-8888-9999-000000000000"
SECRET = "sandbox~only~client~secret~0001"  # noqa: S105 - the stand-in's own, good nowhere else
RULE = "dcr-0123456789abcdef0123456789abcdef"
STREAM = "Custom-FootprintIQ_CL"
SCOPE = re.compile(r"https://monitor\.azure\.(com|us|cn)//?\.default")
BYTES_MAX = 1024 * 1024
VALUE_BYTES_MAX = 64 * 1024
#: the stream's declaration
COLUMNS: dict[str, tuple[type, ...]] = {
    "TimeGenerated": (str,),
    "FindingId": (str,),
    "EventType": (str,),
    "Severity": (str,),
    "OriginalSeverity": (str,),
    "FindingTitle": (str,),
    "Description": (str,),
    "Subject": (str,),
    "Link": (str,),
    "HighRiskCount": (int,),
    "MediumRiskCount": (int,),
    "LowRiskCount": (int,),
    "PrivacyScore": (int, float),
    "Status": (str,),
    "RawRecord": (str,),
}


class MicrosoftSentinel(Vendor):
    slug = "microsoft_sentinel"
    name = "Microsoft Sentinel"
    secrets = frozenset({"client_secret"})

    def credentials(self, base: str) -> dict[str, str]:
        return {
            "endpoint_url": base,
            "dcr_immutable_id": RULE,
            "stream_name": STREAM,
            "tenant_id": TENANT,
            "client_id": CLIENT,
            "client_secret": SECRET,
            "authority_url": base,
        }

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        code, words = {
            401: ("InvalidToken", "The provided access token has expired or is invalid."),
            403: (
                "OperationFailed",
                "The authentication token provided does not have access to ingest data for the data collection "
                f"rule with immutable Id '{RULE}'.",
            ),
            429: ("TooManyRequests", "The number of requests or bytes of this rule is over its limit."),
            500: ("InternalServerError", "An internal error occurred."),
            503: ("ServiceUnavailable", "The service is not available. Try again later."),
        }[status]
        wait = (("Retry-After", f"{retry_after_s:.0f}"),) if status in (429, 503) else ()
        return _error(status, code, words, headers=wait)

    def answer(self, request: Request) -> Answer:
        signs_in = re.fullmatch(r"/([^/]+)/oauth2/v2\.0/token", request.path)
        if signs_in:
            return _sign_in(request, signs_in[1])
        found = re.fullmatch(r"/dataCollectionRules/([^/]+)/streams/([^/]+)", request.path)
        if found is None or request.method != "POST":
            return _error(404, "NotFound", "The resource was not found.", reason="POST to a rule's stream")
        if request.query.get("api-version") != "2023-01-01":
            return _error(400, "InvalidApiVersion", "The api-version is missing or not supported.")
        if not tokens.is_valid(self.slug, request.headers.get("authorization", ""), request.at):
            return self.refuse(401, 0)
        if found[1] != RULE:
            words = f"Data collection rule with immutable Id '{found[1]}' not found."
            return _error(404, "NotFound", words)
        if found[2] != STREAM:
            words = f"Stream '{found[2]}' was not found in the data collection rule."
            return _error(400, "InvalidStream", words)
        return _taken(request)


def _error(
    status: int, code: str, words: str, headers: tuple[tuple[str, str], ...] = (), reason: str = ""
) -> Answer:
    body = {"error": {"code": code, "message": words}}
    return json_answer(status, body, headers=(("x-ms-error-code", code), *headers), reason=reason)


# --- sign-in ------------------------------------------------------------------------------------------


def _sign_in(request: Request, tenant: str) -> Answer:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return _aadsts(400, "900144", "invalid_request", "The request body must be a form.")
    form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
    if tenant != TENANT:
        return _aadsts(400, "90002", "invalid_request", f"Tenant '{tenant}' not found.")
    if form.get("grant_type") != "client_credentials":
        return _aadsts(400, "70003", "unsupported_grant_type", "The app requested an unsupported grant type.")
    if form.get("client_id") != CLIENT:
        words = f"Application with identifier '{form.get('client_id')}' was not found in the directory."
        return _aadsts(400, "700016", "unauthorized_client", words)
    if form.get("client_secret") != SECRET:
        words = (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret "
            f"value, not the client secret ID, for a secret added to app '{CLIENT}'."
        )
        return _aadsts(401, "7000215", "invalid_client", words)
    if not SCOPE.fullmatch(form.get("scope", "")):
        return _aadsts(400, "70011", "invalid_scope", "The provided value for scope is not valid.")
    token = tokens.token("microsoft_sentinel", request.at)
    lasts = tokens.LASTS_S
    answer = {"token_type": "Bearer", "expires_in": lasts, "ext_expires_in": lasts, "access_token": token}
    return json_answer(200, answer)


def _aadsts(status: int, code: str, error: str, words: str) -> Answer:
    told = f"AADSTS{code}: {words} Trace ID: 00000000-0000-0000-0000-000000000000"
    return json_answer(status, {"error": error, "error_description": told, "error_codes": [int(code)]})


# --- rows ---------------------------------------------------------------------------------------------


def _taken(request: Request) -> Answer:
    if not request.has_json_type():
        return _error(415, "UnsupportedMediaType", "The content type is application/json.")
    try:
        plain = unpacked(request)
        if len(plain) > BYTES_MAX or len(request.body) > BYTES_MAX:
            words = f"Maximum allowed content length: {BYTES_MAX} bytes (1 MB). Provided content length: "
            return _error(413, "ContentLengthLimitExceeded", f"{words}{len(plain)} bytes.")
        rows = read_json(plain)
        kept = _rows(rows)
    except ValueError as error:
        return _error(400, "InvalidPayload", f"The payload is not valid: {error}.")
    return Answer(204, content_type="text/plain", keep=kept)


def _rows(rows: Any) -> tuple[Kept, ...]:
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("it is not an array of objects")
    return tuple(_row(row) for row in rows)


def _row(row: dict[str, Any]) -> Kept:
    for name, value in row.items():
        if name not in COLUMNS:
            raise ValueError(f"the stream declares no column {name}")
        if not isinstance(value, COLUMNS[name]) or isinstance(value, bool):
            raise ValueError(f"the column {name} takes another type")
        if isinstance(value, str) and len(value.encode()) > VALUE_BYTES_MAX:
            raise ValueError(f"the value of {name} would be cut at 64 KB")
    datetime.fromisoformat(row.get("TimeGenerated", ""))
    key = row.get("FindingId") or key_in(str(row), row)
    severity = row.get("OriginalSeverity") or row.get("Severity", "")
    return Kept(key, row.get("FindingTitle", key), severity.lower(), row)
