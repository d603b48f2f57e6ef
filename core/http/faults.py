"""What an answer or its absence means: status → fault, with the vendor's own words in the sentence."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpcore
import httpx

from core.connectors.base import (
    DeliveryError,
    Gone,
    InDoubt,
    Misconfigured,
    Rejected,
    Throttled,
    TooLarge,
    Unavailable,
)
from core.http.answer import Answer
from core.http.redaction import Redaction
from core.http.transport import Call

Faults = Mapping[int, type[DeliveryError]]

#: A vendor's `faults` go first. 405 and 407 depend on the address and the proxy, never on the record.
_FAULTS: Faults = {
    401: Misconfigured,
    403: Misconfigured,
    404: Misconfigured,
    405: Misconfigured,
    407: Misconfigured,
    408: InDoubt,
    410: Gone,
    413: TooLarge,
    425: Unavailable,
    429: Throttled,
    503: Unavailable,
    511: Misconfigured,
}
MAX_RETRY_AFTER_S = 24 * 3600.0
#: of an answer, kept with the fault: bulk answers list every item, and connectors read them
MAX_BODY_CHARS = 64 * 1024
_REASON_CHARS = 200
_REASON_KEYS = ("text", "message", "error_description", "error", "errorMessages", "errors", "description")
_MORE_REASON_KEYS = ("detail", "title", "reason")


def status_fault(
    call: Call, answer: Answer, safe: bool, faults: Faults, redaction: Redaction
) -> DeliveryError:
    """The fault for an answer that is not 2xx. `safe`: the request changes nothing, so is never in doubt."""
    text = redaction.clean(answer.text, whole=not answer.flaw)
    kind = faults.get(answer.status) or _kind(answer.status)
    if call.target.scheme == "http" and answer.status == 400 and "https" in text.lower():
        kind = Misconfigured  # "The plain HTTP request was sent to HTTPS port" (nginx, Go)
    return (Unavailable if safe and kind is InDoubt else kind)(
        _sentence(call, answer, redaction),
        status=answer.status,
        body=text[:MAX_BODY_CHARS],
        retry_after_s=retry_after_s(answer.headers.get("retry-after"), datetime.now(UTC)),
        headers=answer.headers,
    )


def answer_fault(call: Call, answer: Answer, safe: bool, wants_html: bool) -> DeliveryError | None:
    """The fault of a 2xx answer that cannot be used, or None."""
    if answer.flaw:
        after = "Nothing was changed by this call." if safe else "It may have been accepted."
        words = f"{call.vendor} answered {answer.status}, but the answer {answer.flaw}. {after}"
        return (Unavailable if safe else InDoubt)(words, status=answer.status)
    if answer.is_web_page and not wants_html:
        return Misconfigured(
            f"{call.vendor} answered {answer.status}: got a web page, not the API. "
            "Check the address, and whether a sign-in page is in between.",
            status=answer.status,
        )
    return None


def network_fault(call: Call, error: Exception, safe: bool, deadline_s: float, hint: str) -> DeliveryError:
    """The fault when no status was read."""
    if isinstance(error, httpcore.ProxyError):
        return _proxy_fault(call, str(error))
    if isinstance(error, httpcore.LocalProtocolError):
        return Misconfigured(
            f"{call.vendor}: a header holds a character that HTTP does not allow. "
            "Check the fields for line breaks."
        )
    what = _silence(call, error, deadline_s)
    if not call.sent:
        return Unavailable(f"{call.vendor}: {what}. Nothing was sent.")
    if safe:
        return Unavailable(f"{call.vendor}: {what}.{hint}")
    return InDoubt(f"{call.vendor}: sent, {what}: it may have arrived.{hint}")


def retry_after_s(value: str | None, now: datetime) -> float | None:
    """Seconds or an HTTP date, at most 24 h. Past, negative, NaN or unreadable counts as absent."""
    text = (value or "").strip()
    if not text or not text.isascii():  # float("٣") is 3.0
        return None
    wait_s = _seconds(text)
    if wait_s is None:
        wait_s = _until(text, now)
    if wait_s is None or math.isnan(wait_s) or wait_s < 0:
        return None
    return min(wait_s, MAX_RETRY_AFTER_S)


def reason(answer: Answer) -> str:
    """The vendor's own words: from a JSON body's usual fields, or plain text."""
    found = answer.json()
    if isinstance(found, dict | list):
        return _words(found)
    if answer.media_type in ("text/plain", "") and not answer.content.lstrip().startswith(b"<"):
        return answer.text
    return ""


def _kind(status: int) -> type[DeliveryError]:
    if 300 <= status < 400:
        return Misconfigured
    return _FAULTS.get(status) or (Rejected if 400 <= status < 500 else InDoubt)


def _sentence(call: Call, answer: Answer, redaction: Redaction) -> str:
    if 300 <= answer.status < 400:
        return _moved(call, answer, redaction)
    words = _one_line(redaction.clean(reason(answer), whole=not answer.flaw))
    return f"{call.vendor} answered {answer.status}{f' ({words})' if words else ''}."


def _moved(call: Call, answer: Answer, redaction: Redaction) -> str:
    """Only host and port of the new address: a path may be a secret, a sign-in page's query often is."""
    try:
        location = httpx.URL(answer.headers.get("location", ""))
    except httpx.InvalidURL:
        location = httpx.URL("")
    if not location.host:
        there = "another path on the same host"
    else:
        scheme, port = location.scheme or call.target.scheme, location.port
        there = redaction.clean(_cut(f"{scheme}://{location.host}{f':{port}' if port else ''}"))
    return (
        f"{call.vendor} answered {answer.status}: the address moved to {there}. "
        "The hub does not follow; if that is right, enter the new address."
    )


def _silence(call: Call, error: Exception, deadline_s: float) -> str:
    if isinstance(error, Unavailable):
        return error.message
    if isinstance(error, httpcore.PoolTimeout):
        return "all its connections are busy"
    if isinstance(error, httpcore.TimeoutException):
        return (
            f"the answer trickled and was cut at {deadline_s:g} s"
            if call.heard
            else f"no answer within {deadline_s:g} s"
        )
    if isinstance(error, httpcore.RemoteProtocolError) and call.heard:
        return "the answer is not proper HTTP"
    return "the connection broke without an answer"


def _proxy_fault(call: Call, said: str) -> DeliveryError:
    """httpcore says `407 Proxy Authentication Required`; the vendor was not reached: no doubt."""
    status = said[:3]
    if status == "407":
        return Misconfigured(
            f"{call.vendor}: the proxy wants a user name and password. Enter them in its address."
        )
    if status.startswith("5"):
        return Unavailable(f"{call.vendor}: the proxy could not reach {call.target.host} (answer {status}).")
    return Misconfigured(
        f"{call.vendor}: the proxy refuses to connect to {call.target.host} (answer {status})."
    )


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _until(text: str, now: datetime) -> float | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _words(found: Any, depth: int = 3) -> str:
    if isinstance(found, str):
        return found
    if depth and isinstance(found, list):
        return "; ".join(filter(None, (_words(part, depth - 1) for part in found[:3])))
    if depth and isinstance(found, dict):
        said = (_words(found.get(key), depth - 1) for key in (*_REASON_KEYS, *_MORE_REASON_KEYS))
        return next(filter(None, said), "") or _field_words(found)
    return ""


def _field_words(found: dict[str, Any]) -> str:
    """Jira and Zendesk list what is wrong by field: {"summary": "You must specify a summary"}."""
    told = [f"{name}: {text}" for name, text in found.items() if isinstance(text, str)]
    return "; ".join(told[:3])


def _one_line(text: str) -> str:
    return _cut(" ".join("".join(c if c.isprintable() else " " for c in text).split()))


def _cut(text: str) -> str:
    return text if len(text) <= _REASON_CHARS else text[: _REASON_CHARS - 1] + "…"
