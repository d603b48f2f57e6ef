"""Keeps credentials out of what is stored and shown, in every spelling a vendor may echo them."""

import base64
import re
from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl, urlsplit

import httpx

from core.http.spellings import Wanted
from core.platform.secret import MASK

_MIN_CHARS = 4
_MIN_PATH_CHARS = 8
_MIN_TOKEN_CHARS = 16
#: shorter ones are words like `true` or `nocheck`
_MIN_HEADER_CHARS = 8
_SECRET_HEADERS = re.compile("auth|token|key|secret|cookie|signature|password", re.IGNORECASE)


class Redaction:
    """The secrets of one client and their spellings."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._plain = frozenset(s for s in secrets if len(s) >= _MIN_CHARS)
        forms = sorted({form for s in self._plain for form in _forms(s)}, key=len, reverse=True)
        self._longest = len(forms[0]) if forms else 0
        self._wanted = [Wanted(form) for form in forms]

    def with_headers(self, headers: httpx.Headers) -> "Redaction":
        """Also what a request carries in its headers, as a vendor may echo it: `Authorization` above all."""
        found = {*_header_secrets(headers)} - self._plain
        return Redaction({*self._plain, *found}) if found else self

    def clean(self, text: str, whole: bool = True) -> str:
        """`text` with every secret masked. A text that broke off loses its end: it may hold half a secret."""
        for wanted in self._wanted:
            text = wanted.masked(text, MASK)
        return text if whole else text[: max(0, len(text) - self._longest)]

    def excerpt(self, text: str, chars: int, whole: bool = True) -> str:
        """The first `chars` characters of `text`, cleaned; of a long text no more than that is looked at."""
        room = chars + 2 * self._longest  # one secret may become a mask, and half of one is cut off
        return self.clean(text[:room], whole and len(text) <= room)[:chars]


def _header_secrets(headers: httpx.Headers) -> Iterator[str]:
    for name, value in headers.items():
        if _SECRET_HEADERS.search(name) and name.lower() != "idempotency-key":
            scheme, _, rest = value.partition(" ")
            yield from (part for part in (value, *rest.split()) if len(part) >= _MIN_HEADER_CHARS)
            if scheme.lower() == "basic":
                yield from _basic_parts(rest)


def _basic_parts(token: str) -> Iterator[str]:
    try:
        yield base64.b64decode(token).decode().partition(":")[2]
    except ValueError:
        return


def _forms(secret: str) -> Iterator[str]:
    """The secret, its base64 forms, and for a URL its path and query alone ("Cannot POST /services/…")."""
    yield secret
    raw = secret.encode("utf-8", "surrogatepass")
    for encoded in (base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        yield encoded.decode().rstrip("=")
    if secret.startswith(("https://", "http://")):
        parts = urlsplit(secret)
        yield from (part for part in (parts.path.strip("/"), parts.query) if len(part) >= _MIN_PATH_CHARS)
        # Discord names the token, Teams the sig, without the rest of the address
        words = (parts.path.rpartition("/")[2], *(value for _, value in parse_qsl(parts.query)))
        yield from (word for word in words if len(word) >= _MIN_TOKEN_CHARS)
