"""What every request passes: a known host name, a signed-in person, safe headers on the way out.

Plain ASGI, because Streamlit's pages live on a websocket, which other middleware does not see.
"""

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import streamlit as st
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import access
from core.platform.errors import HubError
from core.web import cookies, pools
from core.web.next_page import sign_in_address
from core.web.origins import is_known_host, is_own_page
from core.web.proxies import subscriber_of

#: these check for themselves who asks; everything else needs a session
OPEN = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/auth",
    "/api",
    "/functions",
    "/hooks",
    "/docs",
    "/openapi.json",
)
#: a container's health check asks these by address
PROBES = ("/healthz", "/readyz")
#: parts of a page; a person never opens them, so they get no redirect
PARTS = ("/_stcore", "/static", "/media", "/component", "/app")


def inline_scripts() -> str:
    """The one script inside Streamlit's own page, by its hash: no other inline script may run."""
    page = (Path(st.__file__).parent / "static" / "index.html").read_text(encoding="utf-8")
    hashes = (
        sha256(script.encode()).digest() for script in re.findall(r"<script>(.*?)</script>", page, re.S)
    )
    return " ".join(f"'sha256-{b64encode(found).decode()}'" for found in hashes)


# Vega compiles its expressions (unsafe-eval), Streamlit styles by <style> elements (unsafe-inline) and loads the
# script of a component from a blob, which only a script that runs already can make.
PAGE_POLICY = "; ".join(
    (
        "default-src 'self'",
        f"script-src 'self' 'unsafe-eval' blob: {inline_scripts()}",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # not no-referrer: browsers then send `Origin: null` with forms, and sign-in checks it
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
#: of what is said to one person, or is true for a moment: the API and all else that a page is not made of
NOT_KEPT = {"cache-control": "no-store"}
HSTS = {"strict-transport-security": "max-age=31536000"}


class SafeHeaders:
    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app = app
        self.headers = HEADERS | (HSTS if public_url.startswith("https:") else {})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = self.headers | (NOT_KEPT if _is_under(scope.get("path", ""), OPEN) else {})

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in given.items():
                    headers.setdefault(name, value)
            await send(message)

        await self.app(scope, receive, add if scope["type"] == "http" else send)


class KnownHosts:
    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self.app, self.names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_checked = scope["type"] in ("http", "websocket") and scope["path"] not in PROBES
        if not is_checked or is_known_host(Headers(scope=scope).get("host"), self.names):
            return await self.app(scope, receive, send)
        sentence = "This hub does not answer to that host name. Set HUB_PUBLIC_URL to the address people use."
        await _refuse(PlainTextResponse(sentence, 400), scope, receive, send)


class Gate:
    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app, self.public_url = app, public_url

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        refusal = await (self._page(scope) if scope["type"] == "http" else self._socket(scope))
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await _refuse(refusal, scope, receive, send)

    async def _page(self, scope: Scope) -> Response | None:
        path = scope["path"]
        if _is_under(path, OPEN):
            return None
        refusal = await _refusal(scope)
        is_opened = scope["method"] in ("GET", "HEAD") and not _is_under(path, PARTS)
        if refusal is not None and refusal.status_code == 401 and is_opened:
            return RedirectResponse(sign_in_address(path, scope["query_string"].decode("latin-1")), 303)
        return refusal

    async def _socket(self, scope: Scope) -> Response | None:
        # Checked before Streamlit does: for a strange origin it asks an outside service for its own address.
        if not is_own_page(Headers(scope=scope), self.public_url):
            return PlainTextResponse("not from a page of this hub", 403)
        return await _refusal(scope)


def session_token(headers: Headers) -> str:
    return cookies.read(headers, cookies.SESSION)


async def _refusal(scope: Scope) -> Response | None:
    try:
        asker = subscriber_of(HTTPConnection(scope))
        who = await pools.AUTHENTICATION.run(asker, access.signed_in, session_token(Headers(scope=scope)))
    except HubError as error:
        return PlainTextResponse(error.message, 503)
    return None if who else JSONResponse({"error": "Sign in first."}, 401)


async def _refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await answer(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008, "reason": ""})


def _is_under(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)
