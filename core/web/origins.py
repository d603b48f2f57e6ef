"""Which names this hub answers to, and which requests come from its own pages."""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers

#: RFC 9110, 7.2: an address of IPv6 in brackets, or a name; a port may follow
_HOST = re.compile(
    r"(?:\[(?P<ip>[0-9a-f:.]+)\]|(?P<name>[^\s:/?#@\[\]]+))(?::(?P<port>\d{0,5}))?", re.ASCII | re.I
)
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def host_names(public_url: str, host: str) -> frozenset[str]:
    """Host names a request may carry; any other is refused, so that no rebound DNS name reaches the pages."""
    public = urlsplit(public_url).hostname
    return LOOPBACK | {name.lower() for name in (public, host) if name}


def is_known_host(header: str | None, names: frozenset[str]) -> bool:
    """Read whole, not by urlsplit: that one takes `[::1].evil.example` for ::1."""
    found = _HOST.fullmatch(header or "")
    if found is None or int(found["port"] or 0) > 65535:
        return False
    return (found["ip"] or found["name"]).lower().removesuffix(".") in names


def is_own_page(headers: Headers, public_url: str) -> bool:
    """Does the browser say that a page of this hub sent the request? Without a word of it: no.

    `Sec-Fetch-Site` cannot be set by a page; plain-http addresses other than localhost do not get it,
    so `Origin` decides there. A proxy may have rewritten `Host`, hence the public address too.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site != "same-origin":
        return False
    origin = headers.get("origin")
    if origin is None:
        return site == "same-origin"
    return urlsplit(origin).netloc in {headers.get("host"), urlsplit(public_url).netloc} - {"", None}
