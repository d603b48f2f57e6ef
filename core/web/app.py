"""Puts the app together: which path goes where, and what every request passes first."""

import asyncio
import gc
import importlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st
from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from streamlit import config
from streamlit.runtime.pages_manager import PagesManager

from core.platform.settings import settings
from core.web import openapi, pools, probes, sign_in
from core.web.api import Syncs, create_api
from core.web.middleware import OPEN, Gate, KnownHosts, SafeHeaders
from core.web.origins import host_names
from core.web.proxies import Proxies

DASHBOARD = Path(__file__).parents[2] / "dashboard.py"
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def create_app(routes: Sequence[BaseRoute] = ()) -> st.App:
    """`routes` come first. One process only: Streamlit keeps media and sessions in memory."""
    known, api = settings(), create_api()
    app = st.App(
        DASHBOARD,
        lifespan=partial(_living, api.state.syncs),
        routes=[*routes, *_api_routes(api), *_routes()],
        middleware=[
            Middleware(Proxies, trusted=known.trusted_networks),
            Middleware(SafeHeaders, public_url=known.public_url),
            Middleware(KnownHosts, names=host_names(known.public_url, known.host)),
            Middleware(Gate, public_url=known.public_url),
        ],
    )
    _configure_streamlit(known.public_url)
    return app


def _api_routes(api: FastAPI) -> list[BaseRoute]:
    """Whole paths, not mounts: the API's own 404 answers below its roots, and /openapi.json shows them all."""
    roots = ("/api/{rest:path}", "/functions/{rest:path}")
    return [*(Route(path, api) for path in roots), *openapi.routes(api), *probes.routes()]


def _routes() -> list[BaseRoute]:
    return [
        Route("/healthz", _alive),
        Route("/auth/login", sign_in.show, methods=["GET"]),
        Route("/auth/login", sign_in.sign_in, methods=["POST"]),
        Route("/auth/logout", sign_in.sign_out, methods=["POST"]),
        Route("/health", _home),
        *(
            Route(path, _no_such_path, methods=METHODS)
            for root in OPEN  # below these the gate asks nobody, so nothing of Streamlit may be there
            for path in (root, f"{root}/{{rest:path}}")
        ),
    ]


async def _alive(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _home(request: Request) -> Response:
    """Health is the home page, which Streamlit serves at / only."""
    query = request.url.query
    return RedirectResponse(f"/?{query}" if query else "/", 307)


async def _no_such_path(request: Request) -> Response:
    """Streamlit answers 200 and a page to any path; a mistyped API address must not look like success."""
    return JSONResponse({"error": {"code": "not_found", "message": f"There is no {request.url.path}."}}, 404)


def _configure_streamlit(public_url: str) -> None:
    # Until a script has called st.navigation, a process with a pages/ folder runs a deep link's file alone,
    # without dashboard.py (streamlit 1.67, PagesManager); this says from the start that it is not wanted.
    PagesManager.uses_pages_directory = False
    # With an address set, Streamlit does not ask an outside service for its own.
    config.set_option("browser.serverAddress", public_url.partition("://")[2].partition(":")[0])
    config.set_option("server.corsAllowedOrigins", [public_url])


def _warm_up() -> None:
    """Import what the first page needs, and spare the garbage collector what is there for good.

    It looks at everything once in a while, also in the middle of a large body; the imports alone took it 0.3 s.
    """
    importlib.import_module("core.web.ui.charts")
    gc.collect()
    gc.freeze()


@asynccontextmanager
async def _living(syncs: Syncs, app: st.App) -> AsyncIterator[dict[str, Any]]:
    """Warm up while nobody waits for it; at the end no sync is left behind.

    Streamlit has just set how many threads there are for its files; whoever has a place in a pool needs no other.
    """
    to_thread.current_default_thread_limiter().total_tokens += pools.SHARED_THREADS
    slow = asyncio.create_task(asyncio.to_thread(_warm_up))
    yield {}
    await slow
    await asyncio.to_thread(syncs.stop)
