"""Many deliveries once more: count first, then begin, pause and resume."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any

from fastapi import Path, Response
from pydantic import BaseModel, ConfigDict, Field

from core.delivery.history import ReplayFilter, plan, replays
from core.delivery.history.replay_plan import Plan, Share
from core.delivery.history.replays import Progress
from core.platform.errors import NotFound
from core.storage.models import State
from core.web.api.auth import Asker, Editor
from core.web.api.connections import changing
from core.web.api.errors import documented
from core.web.api.paging import PageQuery, before, paged
from core.web.api.route import router
from core.web.api.schemas import Body

routes = router("replays")
ReplayId = Annotated[int, Path(ge=1, lt=2**63)]
_by_id = attrgetter("id")


class ReplayMany(Body):
    """Which deliveries; with `dry_run` they are only counted. Delivered ones need `again`, tickets never go."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"state": "dead", "dry_run": True}]})
    connection: str | None = Field(
        None, max_length=200, description="Id of a connection; without: all yours."
    )
    state: str = Field("dead", max_length=20, description="dead, skipped or delivered.")
    kind: str | None = Field(None, max_length=20, description="scan, case or alert.")
    reason: str | None = Field(None, max_length=500, description="A part of the reason, in any case.")
    since: str | None = Field(None, max_length=40, description="Queued at this time or later (ISO 8601).")
    until: str | None = Field(None, max_length=40, description="Queued before this time (ISO 8601).")
    again: bool = False
    dry_run: bool = False


class Counts(BaseModel):
    """`count` go back in the queue; `duplicates` of them the tool may have: `delivered` and `in_doubt`.

    `tickets` are left out because their ticket exists, `without_body` are mapped again. `seconds` is the time
    at the tool's rate, null where nothing tells it. With `more` these are the newest alone: of what was
    delivered no more than a thousand are counted, and all are replayed.
    """

    count: int
    oldest_at: datetime | None
    newest_at: datetime | None
    duplicates: int
    delivered: int
    in_doubt: int
    tickets: int
    without_body: int
    seconds: float | None
    more: bool


class OfOne(Counts):
    connection_id: str
    connection: str
    is_active: bool


class Planned(Counts):
    state: State
    connections: list[OfOne]


class ReplayProgress(BaseModel):
    """`queued` are back in the queue, `left` not yet, `left_out` still cannot be mapped and stay as they were."""

    id: int
    connection_id: str
    connection: str
    is_active: bool
    actor: str
    wanted: dict[str, Any]
    state: str
    total: int
    queued: int
    left: int
    left_out: int
    created_at: datetime
    finished_at: datetime | None


class Replays(BaseModel):
    items: list[ReplayProgress]
    next_cursor: str | None


class Begun(BaseModel):
    dry_run: bool
    plan: Planned
    replays: list[ReplayProgress]


@routes.post(
    "/replays", response_model=Begun, summary="Replay many deliveries", responses=documented(403, 404, 409)
)
def begin(body: ReplayMany, who: Editor, response: Response) -> Any:
    """One replay per connection, worked off in steps. 201 when one began; 200 for a dry run or nothing to do."""
    with changing(who, body.connection) if body.connection is not None else nullcontext():
        wanted = ReplayFilter.of(body.model_dump())
        if body.dry_run:
            return {"dry_run": True, "plan": _planned(plan(who, wanted)), "replays": []}
        begun = replays.begin(who, wanted, again=body.again)
    response.status_code = 201 if begun.replays else 200
    return {"dry_run": False, "plan": _planned(begun.plan), "replays": [_shown(r) for r in begun.replays]}


@routes.get("/replays", response_model=Replays, summary="List replays")
def listing(page: PageQuery, who: Asker) -> Any:
    found = replays.listing(who, limit=page.limit + 1, before=before(page, "replays"))
    shown = paged(page, "replays", found, _by_id)
    return shown | {"items": [_shown(progress) for progress in shown["items"]]}


@routes.get("/replays/{id}", response_model=ReplayProgress, summary="One replay", responses=documented(404))
def one(id: ReplayId, who: Asker) -> Any:
    with _named():
        return _shown(replays.find(who, id))


@routes.post(
    "/replays/{id}/pause",
    response_model=ReplayProgress,
    summary="Pause a replay",
    responses=documented(403, 404, 409),
)
def pause(id: ReplayId, who: Editor) -> Any:
    """What is in the queue is sent; the rest stays as it was until somebody resumes."""
    with _named():
        return _shown(replays.pause(who, id))


@routes.post(
    "/replays/{id}/resume",
    response_model=ReplayProgress,
    summary="Resume a replay",
    responses=documented(403, 404, 409),
)
def resume(id: ReplayId, who: Editor) -> Any:
    with _named():
        return _shown(replays.resume(who, id))


def _counts(found: Plan | Share) -> dict[str, Any]:
    return {name: getattr(found, name) for name in Counts.model_fields}


def _planned(found: Plan) -> dict[str, Any]:
    shares = [
        _counts(share)
        | {
            "connection_id": share.connection_id,
            "connection": share.connection,
            "is_active": share.is_active,
        }
        for share in found.shares
    ]
    return _counts(found) | {"state": found.state, "connections": shares}


def _shown(progress: Progress) -> dict[str, Any]:
    return vars(progress) | {"left": progress.left}


@contextmanager
def _named() -> Iterator[None]:
    """The same words for someone else's replay as for one that never was."""
    try:
        yield
    except NotFound:
        raise NotFound("There is no such replay. GET /api/v1/replays lists yours.") from None
