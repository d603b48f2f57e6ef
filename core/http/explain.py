"""What a person reads about an answer: the vendor's own words, and the next step."""

from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from core.http.answer import Answer
from core.http.errors import (
    Contested,
    DeliveryError,
    Gone,
    InDoubt,
    Misconfigured,
    Rejected,
    Throttled,
    TooLarge,
    Unavailable,
)
from core.http.redaction import Redaction
from core.platform import durations

#: a signature or a token is refused when the clocks are minutes apart; up to a minute it is never the cause
MAX_SKEW_S = 60
_CLOCK_STATUSES = (400, 401, 403)
_REASON_CHARS = 200
_READ_CHARS = 16 * 1024
#: orjson takes some twelve times the text while it reads
_PARSED_BYTES = 64 * 1024
_REASON_KEYS = ("text", "message", "error_description", "error", "errorMessages", "errors", "description")
_MORE_REASON_KEYS = ("detail", "title", "reason")

_NEXT: dict[type[DeliveryError], str] = {
    Rejected: "Correct the record or the mapping, then replay.",
    Contested: "Something there stands in its way; the hub tries three times.",
    TooLarge: "",  # halved, or said by `settle` of the single record
    Unavailable: "What waits is tried again.",
    Misconfigured: "Correct the settings, then press Test.",
    Gone: "It asks for no more. Enter the address that took its place, then enable the connection.",
    InDoubt: "It may have been accepted.",
}
_ADDRESS = (
    "This address does not take what the hub sends. Correct it, or let the proxy in between pass everything."
)
#: where the status says more than its kind does
_NEXT_OF_STATUS = {
    401: "Enter the credentials again, then press Test.",
    402: "Look at the account's plan there, then press Test.",
    403: "Allow this account or key to do that there, or enter another one, then press Test.",
    404: "There is nothing at this address. Correct it, then press Test.",
    407: "The proxy wants a user name and password. Enter them in its address.",
    **dict.fromkeys((405, 406, 411, 414, 415, 417, 421, 426, 431, 501, 505), _ADDRESS),
    507: "It has no room left. Make room there; what waits is tried again.",
    511: "This network wants a sign-in first. Sign in, or go around it.",
}


def sentence(
    vendor: str,
    answer: Answer,
    kind: type[DeliveryError],
    redaction: Redaction,
    retry_after_s: float | None,
    now: datetime,
) -> tuple[str, str]:
    """(what happened, what to do next)."""
    told = one_line(redaction.clean(reason(answer)[:_READ_CHARS], whole=not answer.flaw))
    next_step = _next_step(answer, kind, retry_after_s)
    said = f"{vendor} answered {answer.status}{f' ({told})' if told else ''}."
    return said, f"{next_step}{skew_words(answer, now)}".strip()


def moved(vendor: str, answer: Answer, scheme: str, redaction: Redaction) -> str:
    """Only host and port of the new address: a path may be a secret, a sign-in page's query often is."""
    try:
        location = httpx.URL(answer.headers.get("location", ""))
    except httpx.InvalidURL:
        location = httpx.URL("")
    if not location.host:
        there = "another path on the same host"
    else:
        port = f":{location.port}" if location.port else ""
        there = redaction.clean(_cut(f"{location.scheme or scheme}://{location.host}{port}"))
    return (
        f"{vendor} answered {answer.status}: the address moved to {there}. "
        "The hub does not follow; if that is right, enter the new address."
    )


def refused_in_between(vendor: str, status: int) -> str:
    return (
        f"Something between the hub and {vendor} answered {status} with a web page. "
        "Correct the address, or let the proxy or firewall pass the hub through."
    )


def skew_words(answer: Answer, now: datetime) -> str:
    """A hint at this machine's clock, where a refusal's Date is more than a minute away from it."""
    if answer.status not in _CLOCK_STATUSES:
        return ""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
        ahead_s = now.timestamp() - theirs.timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return ""
    if abs(ahead_s) <= MAX_SKEW_S:
        return ""
    far = f"{durations.precise(abs(ahead_s))} {'fast' if ahead_s > 0 else 'slow'}"
    return f" By their clock this machine is {far}: set it, then press Test."


def reason(answer: Answer) -> str:
    """The vendor's own words: from a JSON body's usual fields, or plain text."""
    is_short = len(answer.content) <= _PARSED_BYTES and not answer.flaw
    found = answer.json() if is_short else None
    if isinstance(found, dict | list):
        return _words(found)
    if answer.media_type in ("text/plain", "") and not answer.content.lstrip().startswith(b"<"):
        return answer.start(_READ_CHARS)[0]
    return ""


def one_line(text: str) -> str:
    return _cut(" ".join("".join(c if c.isprintable() else " " for c in text).split()))


def _next_step(answer: Answer, kind: type[DeliveryError], retry_after_s: float | None) -> str:
    if kind is Throttled:
        pause = f" of {durations.precise(retry_after_s)}" if retry_after_s else ""
        return f"It asks for a pause{pause}; everything waits, nothing is lost."
    by_status = _NEXT_OF_STATUS.get(answer.status, "")
    return by_status if by_status and kind in (Misconfigured, Unavailable) else _NEXT.get(kind, "")


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


def _cut(text: str) -> str:
    return text if len(text) <= _REASON_CHARS else text[: _REASON_CHARS - 1] + "…"
