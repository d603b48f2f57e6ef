"""A route of the API: first the token, then the body as JSON, then the verb."""

from collections.abc import Callable, Coroutine
from typing import Any

import orjson
from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from core.platform.errors import Invalid
from core.records.storable import unfit
from core.storage import disk
from core.web.api.auth import BEARER, admit, token_of
from core.web.api.errors import WrongType, documented

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
TAKES_BODY = frozenset({"POST", "PATCH", "PUT"})
WRITES = TAKES_BODY | {"DELETE"}


class Open(APIRoute):
    """No token is asked for."""

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            await self.admit(request)
            if request.method in WRITES:
                self.require_room()
            if request.method in TAKES_BODY:
                await self.read(request)
            return await inner(request)

        return handle

    async def admit(self, request: Request) -> None: ...

    def require_room(self) -> None:
        """Raises Full before anything is written to a disk that is nearly full."""
        disk.require()

    async def read(self, request: Request) -> None:
        """Parsed here, not by FastAPI: orjson refuses NaN, lone surrogates and a thousand brackets."""
        body = await raw_body(request)
        if body:
            value = parse(body)
            reason = unfit(value)
            if reason:
                raise Invalid(f"The body cannot be kept: {reason}. Correct it and send it again.")
            request._json = value


class Checked(Open):
    """Needs a token."""

    async def admit(self, request: Request) -> None:
        request.state.who = await admit(request)


class Rated(Checked):
    """Needs a token that has not asked too often."""

    async def admit(self, request: Request) -> None:
        await super().admit(request)
        request.app.state.rate.take(token_of(request))

    def require_room(self) -> None:
        """A sync answers 200 and says itself why it sent nothing."""


class Raw(Checked):
    """Needs a token, and parses its body itself."""

    async def read(self, request: Request) -> None: ...


def router(tag: str, kind: type[Open] = Checked, prefix: str = "/api/v1") -> APIRouter:
    """The routes of one noun. Which statuses each of them may answer is in the OpenAPI document."""
    is_open = kind is Open
    return APIRouter(
        prefix=prefix,
        tags=[tag],
        route_class=kind,
        dependencies=[] if is_open else [Depends(BEARER)],
        responses=documented(413, 415, 422, 503, 507)
        if is_open
        else documented(401, 413, 415, 422, 503, 507),
    )


async def raw_body(request: Request) -> bytes:
    """The body of a request that says it is JSON; empty when there is none."""
    body = await request.body()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and kind != "application/json":
        raise WrongType("Send the body as JSON, with Content-Type: application/json.")
    return body


def parse(body: bytes, read: Callable[[bytes], Any] = orjson.loads) -> Any:
    """What a body says. Raises Invalid with the place where it is not JSON."""
    try:
        return read(body)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        sentence = f"The body is not JSON at {place}. Correct it and send it again."
        raise Invalid(sentence, {"body": sentence}) from None
