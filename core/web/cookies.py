"""The cookies of a browser: who is signed in, and that somebody has signed in there before.

Behind https their names begin with `__Host-`: a browser then takes them only from this very host, over TLS and for
every path, so that no neighbour of the domain can plant one (RFC 6265bis, 4.1.3.2).
"""

from datetime import timedelta

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response

from core import access
from core.platform.settings import settings

SESSION, DEVICE = access.COOKIE, access.DEVICE_COOKIE


def name(cookie: str) -> str:
    return f"__Host-{cookie}" if _is_secure() else cookie


def read(headers: Headers, cookie: str) -> str:
    """What the browser sent; empty when it has none."""
    return cookie_parser(headers.get("cookie", "")).get(name(cookie), "")


def keep(answer: Response, cookie: str, value: str, age: timedelta) -> None:
    seconds = int(age.total_seconds())
    answer.set_cookie(name(cookie), value, seconds, httponly=True, samesite="lax", secure=_is_secure())


def drop(answer: Response, cookie: str) -> None:
    answer.delete_cookie(name(cookie), httponly=True, samesite="lax", secure=_is_secure())


def _is_secure() -> bool:
    return settings().public_url.startswith("https:")
