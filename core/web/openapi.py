"""`/openapi.json` and its page `/docs`, for people who signed in and for holders of a token."""

import secrets
from functools import partial

import orjson
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from core import access
from core.platform.errors import HubError
from core.platform.settings import settings
from core.web import pools
from core.web.api import Unauthorized, problem
from core.web.api.auth import token_of
from core.web.docs_page import docs_page
from core.web.middleware import session_token
from core.web.next_page import sign_in_address
from core.web.proxies import subscriber_of
from core.web.sign_in_page import PAGE_POLICY


def routes(api: FastAPI) -> list[Route]:
    return [Route("/openapi.json", partial(_document, api)), Route("/docs", partial(_page, api))]


async def _document(api: FastAPI, request: Request) -> Response:
    try:
        await pools.AUTHENTICATION.run(subscriber_of(request), _admit, request)
    except HubError as error:
        return problem(error)
    return Response(orjson.dumps(api.openapi()), media_type="application/json")


async def _page(api: FastAPI, request: Request) -> Response:
    try:
        await pools.AUTHENTICATION.run(subscriber_of(request), _admit, request)
    except Unauthorized as error:
        is_browser = "text/html" in request.headers.get("accept", "")
        return RedirectResponse(sign_in_address("/docs", ""), 303) if is_browser else problem(error)
    except HubError as error:
        return problem(error)
    nonce = secrets.token_urlsafe(16)
    page = docs_page(api.openapi(), settings().public_url, nonce)
    return HTMLResponse(page, headers={"content-security-policy": PAGE_POLICY.format(nonce=nonce)})


def _admit(request: Request) -> None:
    """Reading only: here a session's cookie is as good as a token."""
    token = token_of(request)
    who = access.by_token(token) if token else access.signed_in(session_token(request.headers))
    if who is None:
        raise Unauthorized("Sign in, or send an API token as `Authorization: Bearer TOKEN`.")
