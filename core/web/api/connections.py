"""Connections: create, look, change, test, preview, pause, delete. Secrets go in and never come out."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from fastapi import Response

from core import connections, integrations
from core.access import Principal
from core.connections import ConnectionView
from core.delivery import history
from core.integrations import secret_fields
from core.integrations.base import Step
from core.platform.errors import Forbidden, Invalid, NotFound
from core.web.api.auth import Asker, Editor
from core.web.api.errors import documented
from core.web.api.paging import PageQuery, sliced
from core.web.api.route import Checked, Previews, Tests, router
from core.web.api.schemas import (
    Connected,
    ConnectionChange,
    Connections,
    Credentials,
    Decided,
    Enabling,
    NewConnection,
    Preview,
    PreviewWish,
    TestResult,
    Which,
)

routes, tests, previews = (router("connections", kind) for kind in (Checked, Tests, Previews))
CHANGES = documented(403, 404, 409)


@routes.get("/connections", response_model=Connections, summary="List connections")
def connections_(page: PageQuery, who: Asker) -> Any:
    return sliced(page, "connections", connections.list_views(who), lambda view: [view.name, view.id])


@routes.post(
    "/connections",
    response_model=Connected,
    response_model_exclude_defaults=True,  # no `generated` where nothing was
    status_code=201,
    summary="Connect a tool",
    responses=documented(403, 409),
)
def create(body: NewConnection, who: Editor) -> Any:
    """Saved without a test: call `…/test` next, and `…/preview` to see what would be sent."""
    offered = connections.offered()
    if body.slug not in offered:  # what was sent is not repeated: it may be a secret in the wrong place
        sentence = f"The catalog has no such entry. It has {', '.join(sorted(offered))}."
        sentence = connections.why_off(body.slug) or sentence
        raise Invalid(sentence, {"slug": sentence})
    owner = body.owner.strip().lower() if body.owner else None
    if owner is not None and owner != who.email and not who.is_admin:
        raise Forbidden("Only an admin may connect for somebody else. Leave `owner` out.")
    generated = integrations.generated(offered[body.slug], body.values)
    try:
        made = connections.create(
            who,
            body.slug,
            name=body.name,
            values={**body.values, **generated},
            options=body.options,
            owner=owner,
            shared=body.shared,
        )
    except NotFound:
        sentence = "There is no user with this e-mail. Add them first, or leave `owner` out."
        raise Invalid(sentence, {"owner": sentence}) from None
    return Connected(**vars(connections.find(who, made)), generated=generated)


@routes.get(
    "/connections/{id}", response_model=ConnectionView, summary="One connection", responses=documented(404)
)
def one(id: str, who: Asker) -> Any:
    return known(who, id)


@routes.patch(
    "/connections/{id}", response_model=ConnectionView, summary="Change a connection", responses=CHANGES
)
def change(id: str, body: ConnectionChange, who: Editor) -> Any:
    with changing(who, id) as view:
        given = body.model_dump()
        connections.edit(who, view.id, **given)
    return connections.find(who, view.id)


@routes.delete("/connections/{id}", status_code=204, summary="Delete a connection", responses=CHANGES)
def delete(id: str, who: Editor) -> Response:
    """The secret is destroyed; keys and ticket links stay, so that nothing is ever sent twice."""
    with changing(who, id) as view:
        connections.delete(who, view.id)
    return Response(status_code=204)


@tests.post(
    "/connections/{id}/test", response_model=TestResult, summary="Test a connection", responses=CHANGES
)
def test(id: str, who: Editor) -> Any:
    """Stages up to the first that fails. When all is well, the connection goes on."""
    with changing(who, id) as view:
        return tested(connections.test(who, view.id))


@previews.post(
    "/connections/{id}/preview", response_model=Preview, summary="What would be sent", responses=CHANGES
)
def preview(id: str, who: Editor, body: PreviewWish | None = None) -> Any:
    """The exact requests of the next sync, credentials masked. Sends nothing and changes nothing."""
    with changing(who, id) as view:
        _refuse_others(who, view)
        return {"requests": connections.preview(who, view.id, (body or PreviewWish(limit=3)).limit)}


@routes.post(
    "/connections/{id}/enable",
    response_model=ConnectionView,
    summary="Resume a connection",
    responses=CHANGES,
)
def enable(id: str, who: Editor, body: Enabling | None = None) -> Any:
    with changing(who, id) as view:
        connections.enable(who, view.id, body.backlog if body else None)
    return connections.find(who, view.id)


@routes.post(
    "/connections/{id}/disable",
    response_model=ConnectionView,
    summary="Pause a connection",
    responses=CHANGES,
)
def disable(id: str, who: Editor) -> Any:
    """A call in flight is finished; records go on waiting."""
    with changing(who, id) as view:
        connections.disable(who, view.id)
    return connections.find(who, view.id)


@routes.post(
    "/connections/{id}/release", response_model=Decided, summary="Send what is held", responses=CHANGES
)
def release(id: str, who: Editor, body: Which | None = None) -> Any:
    """A sync that would create more than 50 tickets holds them until somebody says go."""
    with changing(who, id) as view:
        return {"records": history.release(who, view.id, body.delivery if body else None)}


@routes.post(
    "/connections/{id}/discard", response_model=Decided, summary="Do not send what is held", responses=CHANGES
)
def discard(id: str, who: Editor, body: Which | None = None) -> Any:
    """They are skipped, and can be replayed one by one."""
    with changing(who, id) as view:
        return {"records": history.discard(who, view.id, body.delivery if body else None)}


@tests.post(
    "/connections/{id}/reauthorize",
    response_model=TestResult,
    summary="New credentials, same history",
    responses=CHANGES,
)
def reauthorize(id: str, body: Credentials, who: Editor) -> Any:
    """Seals the new secrets and tests with them. Nothing that waits is lost."""
    with changing(who, id) as view:
        _refuse_plain(view, body)
        connections.edit(who, view.id, values=body.values)
        return tested(connections.test(who, view.id))


def known(who: Principal, id: str) -> ConnectionView:
    """The connection, by id alone. The same answer for someone else's as for one that never was."""
    try:
        return connections.find(who, str(UUID(id)))
    except (ValueError, NotFound):
        raise NotFound("There is no such connection. GET /api/v1/connections lists yours.") from None


@contextmanager
def changing(who: Principal, id: str) -> Iterator[ConnectionView]:
    """A connection that is about to be changed. Who may only look at it gets 403, not a wrong 404."""
    view = known(who, id)
    try:
        yield view
    except NotFound:
        known(who, id)
        raise Forbidden(
            "This connection is shared with you to look at. Ask its owner to change it."
        ) from None


def tested(steps: Sequence[Step]) -> dict[str, Any]:
    return {"ok": all(step.ok is not False for step in steps), "steps": steps}


def _refuse_others(who: Principal, view: ConnectionView) -> None:
    """A preview shows records, and `shared` does not share these."""
    if not who.is_admin and view.owner != who.email:
        raise Forbidden(
            "This connection is shared with you, its records are not. Ask its owner for a preview."
        )


def _refuse_plain(view: ConnectionView, body: Credentials) -> None:
    secret = secret_fields(integrations.get(view.slug))
    fields = {name: "This is no secret; change it with PATCH." for name in body.values if name not in secret}
    if fields:
        raise Invalid(f"Only secrets belong here: {', '.join(sorted(secret))}.", fields)
