"""Where did it go? Runs, deliveries, SIEM events and tickets; and one delivery once more."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from operator import attrgetter
from typing import Annotated, Any

from fastapi import Path, Query
from pydantic import BaseModel, Field

from core.access import Principal
from core.delivery import history
from core.delivery.history.views import DeliveryDetails, DeliveryView, EventView, RunView, TicketView
from core.platform.errors import NotFound
from core.storage.models import State
from core.web.api.auth import Asker, Editor
from core.web.api.connections import known
from core.web.api.errors import documented
from core.web.api.paging import Page, PageQuery, before, paged
from core.web.api.route import router
from core.web.api.schemas import Body

routes = router("deliveries")
DeliveryId = Annotated[int, Path(ge=1, lt=2**63)]
_by_id = attrgetter("id")


class OfConnection(Page):
    connection: str | None = Field(None, max_length=200, description="Id of a connection.")


class OfState(Page):
    state: State | None = Field(None, description="Only those in this state.")


class DeliveryQuery(OfConnection, OfState): ...


class EventQuery(OfConnection):
    exported: bool | None = Field(None, description="Only those the SIEM has, or has not.")


class Runs(BaseModel):
    items: list[RunView]
    next_cursor: str | None


class Deliveries(BaseModel):
    items: list[DeliveryView]
    next_cursor: str | None


class Events(BaseModel):
    items: list[EventView]
    next_cursor: str | None


class Tickets(BaseModel):
    items: list[TicketView]
    next_cursor: str | None


class ReplayRequest(Body):
    """A delivered one is sent twice only when `again` says so; a ticket never."""

    again: bool = False


class Replayed(BaseModel):
    message: str
    delivery: DeliveryView


@routes.get(
    "/connections/{id}/logs", response_model=Runs, summary="Runs of a connection", responses=documented(404)
)
def logs(id: str, page: PageQuery, who: Asker) -> Any:
    ref = known(who, id).id
    found = history.logs(who, ref, limit=page.limit + 1, before=before(page, "logs"))
    return paged(page, "logs", found, _by_id)


@routes.get(
    "/connections/{id}/deliveries",
    response_model=Deliveries,
    summary="Deliveries of a connection",
    responses=documented(404),
)
def of_connection(id: str, page: Annotated[OfState, Query()], who: Asker) -> Any:
    return _listed(who, page, known(who, id).id)


@routes.get("/deliveries", response_model=Deliveries, summary="List deliveries", responses=documented(404))
def listing(page: Annotated[DeliveryQuery, Query()], who: Asker) -> Any:
    return _listed(who, page, _ref(who, page))


@routes.get(
    "/deliveries/{id}", response_model=DeliveryDetails, summary="One delivery", responses=documented(404)
)
def one(id: DeliveryId, who: Asker) -> Any:
    with _named():
        return history.one(who, id)


@routes.post(
    "/deliveries/{id}/replay",
    response_model=Replayed,
    summary="Replay a delivery",
    responses=documented(403, 404, 409),
)
def replay(id: DeliveryId, who: Editor, body: ReplayRequest | None = None) -> Any:
    """Same key, attempts from 0. A ticket that may exist is looked for before it is created."""
    with _named():
        message = history.replay_one(who, id, again=bool(body and body.again))
        return {"message": message, "delivery": history.one(who, id)}


@routes.get("/events", response_model=Events, summary="What SIEMs were given", responses=documented(404))
def events(page: Annotated[EventQuery, Query()], who: Asker) -> Any:
    find = partial(history.events, who, _ref(who, page), exported=page.exported)
    return paged(page, "events", find(limit=page.limit + 1, before=before(page, "events")), _by_id)


@routes.get(
    "/tickets", response_model=Tickets, summary="Which case is which ticket", responses=documented(404)
)
def tickets(page: Annotated[OfConnection, Query()], who: Asker) -> Any:
    find = partial(history.tickets, who, _ref(who, page))
    return paged(page, "tickets", find(limit=page.limit + 1, before=before(page, "tickets")), _by_id)


def _listed(who: Principal, page: OfState, ref: str | None) -> Any:
    find = partial(history.listing, who, ref, state=page.state)
    return paged(page, "deliveries", find(limit=page.limit + 1, before=before(page, "deliveries")), _by_id)


def _ref(who: Principal, page: OfConnection) -> str | None:
    return known(who, page.connection).id if page.connection is not None else None


@contextmanager
def _named() -> Iterator[None]:
    """The same words for someone else's delivery as for one that never was."""
    try:
        yield
    except NotFound:
        raise NotFound("There is no such delivery. GET /api/v1/deliveries lists yours.") from None
