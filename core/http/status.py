"""What an answer or its absence means: status → fault, with the vendor's own words in the sentence."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpcore

from core.http import explain
from core.http.answer import KEPT_BYTES, Answer
from core.http.errors import (
    Contested,
    DeliveryError,
    Gone,
    InDoubt,
    Misconfigured,
    Rejected,
    Stage,
    Throttled,
    TooLarge,
    Unavailable,
)
from core.http.redaction import Redaction
from core.http.transport import Call

Faults = Mapping[int, type[DeliveryError]]

#: A vendor's `faults` go first. Misconfigured: what depends on the address, the account or a proxy, and every
#: other record would meet too. 423, 425, 503 and 507 say that nothing was done.
_FAULTS: Faults = {
    **dict.fromkeys((401, 402, 403, 404, 405, 406, 407, 411, 414, 415, 417, 421, 426, 431), Misconfigured),
    **dict.fromkeys((501, 505, 511), Misconfigured),
    **dict.fromkeys((423, 425, 503, 507), Unavailable),
    408: InDoubt,
    409: Contested,
    410: Gone,
    413: TooLarge,
    429: Throttled,
}
#: a gateway gave up waiting (522, 524: Cloudflare's); what stands behind it may be at work still
_GATEWAY, GATEWAY_WAIT_S = frozenset({502, 504, 522, 524}), 60.0
MAX_RETRY_AFTER_S = 24 * 3600.0
#: of an answer, kept with the fault: bulk answers list every item, and connectors read them
MAX_BODY_CHARS = 64 * 1024


def status_fault(
    call: Call, answer: Answer, safe: bool, faults: Faults, redaction: Redaction
) -> DeliveryError:
    """The fault for an answer that is not 2xx. `safe`: the request changes nothing, so is never in doubt."""
    text, now = kept_body(answer, redaction), datetime.now(UTC)
    kind = faults.get(answer.status) or _kind(answer.status)
    if _is_tls_port(call, answer):
        kind = Misconfigured
    kind = Unavailable if safe and kind is InDoubt else kind
    wait_s = retry_after_s(answer.headers.get("retry-after"), now)
    said, next_step = _sentence(call, answer, kind, redaction, wait_s, now)
    return kind(
        said,
        next_step,
        status=answer.status,
        body=text,
        retry_after_s=max(wait_s or 0, GATEWAY_WAIT_S) if answer.status in _GATEWAY else wait_s,
        headers=answer.headers,
        stage=_stage(call, answer, kind),
    )


def _stage(call: Call, answer: Answer, kind: type[DeliveryError]) -> Stage | None:
    """Where the status alone would name another stage of a test: somebody else answered, or the scheme is wrong."""
    if _is_tls_port(call, answer):
        return "tls"
    return "network" if _is_from_between(answer, kind) else None


def _is_tls_port(call: Call, answer: Answer) -> bool:
    """ "The plain HTTP request was sent to HTTPS port" (nginx, Go)."""
    is_plain = call.target.scheme == "http" and answer.status == 400
    return is_plain and b"https" in answer.content[:KEPT_BYTES].lower()


def _is_from_between(answer: Answer, kind: type[DeliveryError]) -> bool:
    """A proxy or firewall speaks, in HTML, or asks for its own password."""
    refuses = answer.status in (403, 405, 406) and answer.is_web_page
    return kind is Misconfigured and (refuses or answer.status in (407, 511))


def kept_body(answer: Answer, redaction: Redaction) -> str:
    """The start of the answer as a connector may read it and a row may keep it."""
    text, whole = answer.start(KEPT_BYTES)
    return redaction.excerpt(text, MAX_BODY_CHARS, whole)


def answer_fault(
    call: Call, answer: Answer, safe: bool, *, wants_html: bool = False, status_is_all: bool = False
) -> DeliveryError | None:
    """The fault of a 2xx answer that cannot be used, or None.

    `status_is_all`: the receiver said all there is to say with its status, whatever becomes of the body.
    """
    if answer.is_web_page and not wants_html:
        return Misconfigured(
            f"{call.vendor} answered {answer.status}: got a web page, not the API. "
            "Check the address, and whether a sign-in page is in between.",
            status=answer.status,
        )
    if answer.flaw and not status_is_all:
        after = "Nothing was changed by this call." if safe else "It may have been accepted."
        told = f"{call.vendor} answered {answer.status}, but the answer {answer.flaw}."
        return (Unavailable if safe else InDoubt)(told, after, status=answer.status)
    return None


def network_fault(call: Call, error: Exception, safe: bool, deadline_s: float, hint: str) -> DeliveryError:
    """The fault when no status was read."""
    if isinstance(error, httpcore.ProxyError):
        return _proxy_fault(call, str(error))
    if isinstance(error, httpcore.LocalProtocolError):
        return Misconfigured(
            f"{call.vendor}: a header holds a character that HTTP does not allow. "
            "Check the fields for line breaks.",
            stage="credentials",
        )
    what = _silence(call, error, deadline_s)
    if not call.sent:
        return Unavailable(
            f"{call.vendor}: {what}.",
            "Nothing was sent; what waits is tried again.",
            stage=error.stage if isinstance(error, Unavailable) else None,
        )
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


def _kind(status: int) -> type[DeliveryError]:
    if 300 <= status < 400:
        return Misconfigured
    return _FAULTS.get(status) or (Rejected if 400 <= status < 500 else InDoubt)


def _sentence(
    call: Call,
    answer: Answer,
    kind: type[DeliveryError],
    redaction: Redaction,
    wait_s: float | None,
    now: datetime,
) -> tuple[str, str]:
    if 300 <= answer.status < 400:
        return explain.moved(call.vendor, answer, call.target.scheme, redaction), ""
    if kind is Misconfigured and answer.status in (403, 405, 406) and answer.is_web_page:
        return explain.refused_in_between(call.vendor, answer.status), ""
    return explain.sentence(call.vendor, answer, kind, redaction, wait_s, now)


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
