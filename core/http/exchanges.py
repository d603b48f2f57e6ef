"""What is kept of a call: no path, no query, no header; excerpts cut and redacted, what asks for a token withheld."""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # an exchange that was kept is read without a client
    import httpx

    from core.http.answer import Answer
    from core.http.redaction import Redaction
    from core.http.transport import Call

#: what a token's request and answer are kept as: both are credentials that no connection's secrets contain
WITHHELD = "(sign-in, not kept)"
EXCERPT_CHARS = 2000
#: bytes read for an excerpt of EXCERPT_CHARS: more, because redaction may shorten them by the longest secret (8 KiB)
EXCERPT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call as it may be stored: no path, no query, no header; excerpts cut and redacted."""

    method: str
    host: str
    status: int | None
    ms: int
    bytes_out: int
    bytes_in: int
    request: str
    answer: str
    key: str = ""  # of the one record that it was about, where a claim has several

    def stored(self) -> dict[str, Any]:
        """Return it as an attempt keeps it."""
        return {name: getattr(self, name) for name in self.__slots__}


def exchange_of(
    call: "Call", request: "httpx.Request", answer: "Answer | None", ms: int, redaction: "Redaction"
) -> Exchange:
    target = call.target
    usual = target.port == (443 if target.scheme == "https" else 80)
    return Exchange(
        method=request.method,
        host=target.host if usual else f"{target.host}:{target.port}",
        status=answer.status if answer else None,
        ms=ms,
        bytes_out=len(request.content),
        bytes_in=answer.bytes_in if answer else 0,
        request=WITHHELD if is_sign_in(request) else _request_excerpt(request, redaction),
        answer=_answer_excerpt(request, answer, redaction) if answer else "",
    )


def _request_excerpt(request: "httpx.Request", redaction: "Redaction") -> str:
    """Of a batch of a megabyte no more than the excerpt is read."""
    if request.headers.get("content-encoding") == "gzip":
        return redaction.excerpt(sent_text(request), EXCERPT_CHARS)
    start = request.content[:EXCERPT_BYTES]
    whole = len(start) == len(request.content)
    return redaction.excerpt(start.decode("utf-8", "replace").replace("\x00", ""), EXCERPT_CHARS, whole)


def _answer_excerpt(request: "httpx.Request", answer: "Answer", redaction: "Redaction") -> str:
    if is_sign_in(request) and answer.status < 300:
        return WITHHELD
    text, whole = answer.start(EXCERPT_BYTES)
    return redaction.excerpt(text, EXCERPT_CHARS, whole)


def is_sign_in(request: "httpx.Request") -> bool:
    return bool(request.extensions.get("sign_in"))


def sent_text(request: "httpx.Request") -> str:
    """Unpack a request's body, as the vendor reads it. Gzip is our own here, so it needs no bound."""
    body = request.content
    if request.headers.get("content-encoding") == "gzip":
        body = zlib.decompress(body, wbits=31)
    return body.decode("utf-8", "replace").replace("\x00", "")
