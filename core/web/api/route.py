"""A route of the API: first the token, then the role, then a place for the work, then the body, then the verb."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any, ClassVar

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute

from core.records.storable import read_json
from core.storage import disk
from core.web import pools
from core.web.api import body
from core.web.api.auth import BEARER, admit, require_editor
from core.web.api.errors import documented
from core.web.pools import Pool
from core.web.proxies import subscriber_of

Handler = Callable[[Request], Coroutine[Any, Any, Response]]
TAKES_BODY = frozenset({"POST", "PATCH", "PUT"})
WRITES = TAKES_BODY | {"DELETE"}


class Open(APIRoute):
    """No token is asked for."""

    #: where its changes are made; None where the verb takes a place itself
    writes_in: ClassVar[Pool | None] = pools.REQUESTS
    bounds: ClassVar[body.Bounds] = body.ORDINARY

    def get_route_handler(self) -> Handler:
        inner = super().get_route_handler()

        async def handle(request: Request) -> Response:
            person = await self.admit(request)
            if request.method in WRITES:
                self.require_room()
            async with self.received(request, person), self.place(request, person):
                if request.method in TAKES_BODY:
                    await self.read(request, person)
                return await inner(request)

        return handle

    async def admit(self, request: Request) -> str:
        """Who asks, in the words of the pools."""
        return subscriber_of(request)

    def require_room(self) -> None:
        """Raises Full before anything is written to a disk that is nearly full."""
        disk.require()

    @asynccontextmanager
    async def received(self, request: Request, person: str) -> AsyncIterator[None]:
        """The body in memory, a large one in one of a few places. Before any other: how fast it comes is not ours."""
        is_large = request.method in TAKES_BODY and body.is_large(request)
        async with pools.BODIES.place(person) if is_large else nullcontext():
            if request.method in TAKES_BODY:
                await body.receive(request, self.bounds.bytes)
            yield

    def place(self, request: Request, person: str) -> AbstractAsyncContextManager[None]:
        pool = self.writes_in if request.method in WRITES else pools.REQUESTS
        return pool.place(person) if pool else nullcontext()

    async def read(self, request: Request, person: str) -> None:
        """Parsed here, not by FastAPI: within bounds, and not on the event loop."""
        given = await body.value(request, partial(body.fit, bounds=self.bounds), person)
        if await request.body():
            request._json = given


class Checked(Open):
    """Needs a token, and to change anything the role."""

    async def admit(self, request: Request) -> str:
        who = request.state.who = await admit(request)
        if request.method in WRITES:
            require_editor(who)
        return who.user_id


class Tests(Checked):
    """Asks a vendor, which may be silent for long."""

    writes_in = pools.TESTS


class Previews(Checked):
    """Maps records without sending them."""

    writes_in = pools.PREVIEWS


class Rated(Checked):
    """Needs a person who has not asked too often."""

    writes_in = None

    async def admit(self, request: Request) -> str:
        person = await super().admit(request)
        request.app.state.rate.take(person)
        return person

    def require_room(self) -> None:
        """A sync answers 200 and says itself why it sent nothing."""


class Raw(Checked):
    """Takes records, `request.state.given`; whether one can be kept is a result of its own."""

    writes_in = pools.INGEST
    bounds = body.OF_RECORDS

    async def read(self, request: Request, person: str) -> None:
        request.state.given = await body.value(
            request, partial(body.parsed, bounds=self.bounds, read=read_json), person
        )


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
