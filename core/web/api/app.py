"""Puts the API together."""

from importlib.metadata import version

from fastapi import FastAPI

from core.web.api import catalog, connections, deliveries, health, records, replays, sync
from core.web.api.auth import Rate
from core.web.api.errors import handle_in
from core.web.api.middleware import Guard
from core.web.api.sync_threads import Syncs

SYNCS_PER_MINUTE = 30
ABOUT = """
Every answer is JSON. Send an API token as `Authorization: Bearer TOKEN`; `hub token create EMAIL` makes one.

An error is `{"error": {"code", "message", "details"}}`, and `details.fields` names each wrong field. A list is
`{"items": […], "next_cursor": …}`: send `next_cursor` back as `?cursor=` for the next page. What is not yours
answers exactly like what does not exist.
"""


def create_api(syncs: Syncs | None = None, rate: Rate | None = None) -> FastAPI:
    api = FastAPI(
        title="FootprintIQ Integration Hub",
        version=version("footprintiq-hub"),
        description=ABOUT.strip(),
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    api.state.syncs = syncs or Syncs()
    api.state.rate = rate or Rate(SYNCS_PER_MINUTE, 60.0)
    api.add_middleware(Guard)
    handle_in(api)
    for module in (sync, catalog, connections, deliveries, replays, records, health):
        api.include_router(module.routes)
    for routes in (connections.tests, connections.previews):
        api.include_router(routes)
    return api
