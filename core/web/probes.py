"""For machines that watch the hub: is it ready, and its figures for Prometheus."""

from functools import partial
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from core import access
from core.delivery import heartbeat
from core.health import metrics, self_check
from core.integrations import credentials
from core.platform.durations import duration
from core.platform.errors import Busy, Forbidden, HubError
from core.platform.settings import settings
from core.records import source
from core.storage import db, disk
from core.web import pools
from core.web.api import Unauthorized, problem
from core.web.api.auth import token_of
from core.web.origins import LOOPBACK
from core.web.proxies import address_of, subscriber_of


def routes() -> list[Route]:
    return [Route("/readyz", _ready), Route("/metrics", partial(_metrics, metrics.Metrics()))]


async def _ready(request: Request) -> Response:
    """Words only: anybody may ask."""
    try:
        checks = await pools.PROBES.run(subscriber_of(request), _checks)
        notes = await pools.PROBES.run(subscriber_of(request), _notes)
    except Busy as error:
        return problem(error)
    is_ready = all(word == "ok" for word in checks.values())
    status = 200 if is_ready else 503
    body = {"status": "ok" if is_ready else "not ready", "checks": checks, "notes": notes}
    return JSONResponse(body, status)


def _checks() -> dict[str, str]:
    try:
        db.check_current()
        with db.reading() as session:
            beat = heartbeat.read(session, db.now(session))
        found = {one.what for one in self_check.standing()}
    except HubError:
        return {"database": "cannot be used, or is not migrated", "scheduler": "unknown"}
    word = "stopped" if beat.is_stopped else "not heard of" if beat.is_silent else "ok"
    if word == "ok" and self_check.SCHEDULER in found:
        word = "cannot work; its log says why"
    lacks = {"workers": "none heard of"} if self_check.WORKERS in found else {}
    return {"database": "ok", "scheduler": word} | lacks | _words()


def _words() -> dict[str, str]:
    """Without paths and numbers of connections: anybody may ask."""
    room, words = disk.lacking(), {"disk": "ok"}
    if room:
        words["disk"] = f"nearly full, {-(-room.missing_bytes // disk.MIB):,} MiB are missing"
    with db.reading() as session:
        kids = [lock.kid for lock in credentials.locks(session)]
    return words | {"keys": f"{', '.join(kids)} missing" if kids else "ok"}


def _notes() -> dict[str, str]:
    """What makes no hub unready: while its source is away it sends what it has, and takes what is posted."""
    try:
        state = source.state()
    except HubError:  # the check of the database says so
        return {}
    if state is None:
        return {}
    read = "never read" if state.lag_s is None else f"read {duration(state.lag_s)} ago"
    return {"source": f"not read; last {read}" if state.error else read}


async def _metrics(figures: metrics.Metrics, request: Request) -> Response:
    try:
        await pools.AUTHENTICATION.run(subscriber_of(request), _admit, request)
        text = await pools.PROBES.run(subscriber_of(request), figures.text)
        return Response(text, media_type=metrics.CONTENT_TYPE)
    except HubError as error:
        return problem(error)


def _admit(request: Request) -> None:
    """An admin's token, or a program on this machine.

    Behind a proxy every request comes from this machine: as soon as the hub has a public address, only the
    token counts.
    """
    token = token_of(request)
    if not token and _is_local(request):
        return
    who = access.by_token(token) if token else None
    if who is None:
        raise Unauthorized("Send an admin's API token as `Authorization: Bearer TOKEN`.")
    if not who.is_admin:
        raise Forbidden("Only an admin's token may read the figures of all. Ask one of yours.")


def _is_local(request: Request) -> bool:
    return address_of(request) in LOOPBACK and urlsplit(settings().public_url).hostname in LOOPBACK
