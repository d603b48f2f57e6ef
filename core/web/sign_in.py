"""Sign-in and sign-out: one self-contained page, and the cookies that only the server can set."""

import secrets
from functools import partial
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core import access
from core.access import TooMany
from core.platform.errors import Forbidden, HubError
from core.platform.secret import Secret
from core.platform.settings import settings
from core.web import cookies, pools
from core.web.middleware import session_token
from core.web.next_page import SIGN_IN, safe_next
from core.web.origins import is_own_page
from core.web.proxies import address_of, subscriber_of
from core.web.sign_in_page import PAGE_POLICY, sign_in_page

MAX_FORM_BYTES = 8192


async def show(request: Request) -> Response:
    wanted = safe_next(request.query_params.get("next", ""))
    token = session_token(request.headers)
    try:
        who = await pools.AUTHENTICATION.run(subscriber_of(request), access.signed_in, token)
    except HubError as error:
        return _page(503, wanted, problem=error.message)
    return RedirectResponse(wanted, 303) if who else _page(200, wanted)


async def sign_in(request: Request) -> Response:
    form = await _form(request)
    if form is None:
        return _page(403, "/", problem="That did not come from this page. Sign in here.")
    wanted, email = safe_next(form.get("next", "")), form.get("email", "")
    device, address = cookies.read(request.headers, cookies.DEVICE), address_of(request)
    check = partial(access.sign_in, email, Secret(form.get("password", "")), address, device)
    try:
        token = await pools.SIGN_IN.run(subscriber_of(request), check)
        await _end_session(request)
    except TooMany as error:
        return _page(429, wanted, email, error.message, {"Retry-After": str(error.wait_s)})
    except Forbidden as error:
        return _page(401, wanted, email, error.message)
    except HubError as error:
        return _page(503, wanted, email, error.message)
    device = await pools.SIGN_IN.run(subscriber_of(request), access.device_cookie, token)
    return _signed_in(RedirectResponse(wanted, 303), token, device)


async def sign_out(request: Request) -> Response:
    if not is_own_page(request.headers, settings().public_url):
        return _page(403, "/", problem="That did not come from a page of this hub. You are still signed in.")
    try:
        await _end_session(request)
    except HubError as error:
        return _page(503, "/", problem=f"{error.message} You are still signed in.")
    answer = RedirectResponse(SIGN_IN, 303)
    cookies.drop(answer, cookies.SESSION)
    return answer


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a small form that one of our pages sent, or None."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or not is_own_page(request.headers, settings().public_url):
        return None
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM_BYTES:
                return None
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=10)
    except (ClientDisconnect, ValueError):
        return None
    return {name: values[0] for name, values in fields.items()}


async def _end_session(request: Request) -> None:
    token = session_token(request.headers)
    if token:
        await pools.AUTHENTICATION.run(subscriber_of(request), access.sign_out, token)


def _signed_in(answer: Response, token: str, device: str) -> Response:
    cookies.keep(answer, cookies.SESSION, token, access.ABSOLUTE)
    if device:
        cookies.keep(answer, cookies.DEVICE, device, access.DEVICE_KEPT)
    return answer


def _page(
    status: int,
    wanted: str,
    email: str = "",
    problem: str = "",
    headers: dict[str, str] | None = None,
) -> Response:
    nonce = secrets.token_urlsafe(16)
    safe = {"content-security-policy": PAGE_POLICY.format(nonce=nonce), "cache-control": "no-store"}
    return HTMLResponse(sign_in_page(nonce, wanted, email, problem), status, safe | (headers or {}))
