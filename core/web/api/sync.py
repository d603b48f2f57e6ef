"""`POST /functions/v1/sync-integration`: run one connection's sync now."""

from typing import Any, Literal

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from core.platform.errors import NotFound
from core.web.api.auth import Editor
from core.web.api.errors import documented
from core.web.api.route import Rated, router
from core.web.api.schemas import Body

routes = router("sync", Rated, "/functions/v1")


class SyncRequest(Body):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"integration_id": "0b6f7b1e-5a44-4c39-9c1e-3f6d2f0c8a11", "action": "manual"}]
        }
    )
    integration_id: str = Field(min_length=1, max_length=200, description="Id of a connection.")
    action: Literal["manual", "scheduled", "webhook"] = "manual"
    drain: bool = Field(False, description="Send all that waits by now, however many; the scheduler goes on.")


class SyncResult(BaseModel):
    """`success` is false only for a fault of the whole connection; `count` is what was delivered."""

    success: bool
    count: int
    message: str
    metadata: dict[str, Any]


@routes.post(
    "/sync-integration",
    response_model=SyncResult,
    summary="Sync one connection now",
    responses=documented(403, 404, 409, 429),
)
async def sync_integration(body: SyncRequest, who: Editor, request: Request) -> Any:
    """Answers within 25 s, 200 also when the sync failed. `metadata.more`: the scheduler goes on."""
    try:
        done = await request.app.state.syncs.run(body.integration_id, body.action, who, drain=body.drain)
    except NotFound:
        raise NotFound("There is no such connection. GET /api/v1/connections lists yours.") from None
    return vars(done)
