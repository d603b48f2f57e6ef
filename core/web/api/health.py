"""Is everything arriving? The figures of the health page, of all connections or of one."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

from core import health
from core.access import Principal
from core.health import Overview, Strip, self_check
from core.records import source
from core.web.api.auth import Asker
from core.web.api.connections import known
from core.web.api.errors import documented
from core.web.api.route import router

routes = router("health")


class HealthSpan(BaseModel):
    model_config = ConfigDict(extra="forbid")
    hours: Literal["24", "168", "720"] = Field("24", description="How far back the figures go.")


class HealthFigure(BaseModel):
    """`before` is the same length of time before; null where nothing happened, and before the first run."""

    value: float | None
    before: float | None
    series: list[float | None]


class Figures(BaseModel):
    at: datetime
    since: datetime
    hours: int
    hours_per_value: int
    success_rate: HealthFigure
    delivered: HealthFigure
    delay_p95_s: HealthFigure
    scheduler_heartbeat_age_s: float | None
    scheduler_stopped: bool


class HealthStatus(BaseModel):
    """`state`: Healthy, Catching up, Late, Failing, Needs you, Paused or Not run yet.

    `waiting` are in the queue; `backlog` more are wanted and not yet taken, with `backlog_more` at least that many.
    """

    connection_id: str
    name: str
    vendor: str
    category: str
    state: str
    sentence: str
    needs_attention: bool
    last_sync: datetime | None
    waiting: int
    backlog: int
    backlog_more: bool


class HubTrouble(BaseModel):
    """`what`: disk, key, scheduler or workers, until which is over what is to be sent waits; source, until which is
    over no record comes from there; or clock, which is over."""

    model_config = ConfigDict(from_attributes=True)
    what: str
    sentence: str


class SourceHealth(BaseModel):
    """The FootprintIQ database that is pulled. What it had `lag_s` ago is in the hub; null: it was never read."""

    model_config = ConfigDict(from_attributes=True)
    address: str
    sentence: str
    is_pulling: bool
    every_s: int | None
    lag_s: float | None
    error: str | None
    new: int
    changed: int
    refused: int


class WorkersHealth(BaseModel):
    """Who runs what is due: `threads` runs at once in all, `queued` wait, the longest since `lag_s` seconds."""

    model_config = ConfigDict(from_attributes=True)
    number: int
    threads: int
    running: int
    queued: int
    lag_s: float


class Health(Figures):
    """`needs_attention` and the worst sixty of the connections, worst first; `trouble` is the hub's own."""

    trouble: list[HubTrouble]
    source: SourceHealth | None
    workers: WorkersHealth | None

    connections: int
    needs_attention: int
    standings: list[HealthStatus]


class ConnectionHealth(Figures):
    standing: HealthStatus


@routes.get("/health", response_model=Health, summary="Health of all")
def overview(span: Annotated[HealthSpan, Query()], who: Asker) -> Any:
    found = _overview(who, span)
    return _figures(found) | {
        "trouble": self_check.standing(),
        "source": source.state(),
        "workers": found.workers,
        "connections": found.connections,
        "needs_attention": len(found.needs_you),
        "standings": [_standing(strip) for strip in found.strips],
    }


@routes.get(
    "/connections/{id}/health",
    response_model=ConnectionHealth,
    summary="Health of a connection",
    responses=documented(404),
)
def of_connection(id: str, span: Annotated[HealthSpan, Query()], who: Asker) -> Any:
    found = _overview(who, span, known(who, id).id)
    if not found.strips:
        known(who, id)  # deleted since
    return _figures(found) | {"standing": _standing(found.strips[0])}


def _overview(who: Principal, span: HealthSpan, connection: str | None = None) -> Overview:
    return health.overview(who, int(span.hours), connection=connection)


def _figures(found: Overview) -> dict[str, Any]:
    return {
        "at": found.at,
        "since": found.since,
        "hours": found.hours,
        "hours_per_value": found.bucket_h,
        "success_rate": vars(found.success),
        "delivered": vars(found.delivered),
        "delay_p95_s": vars(found.delay_p95_s),
        "scheduler_heartbeat_age_s": found.scheduler.age_s,
        "scheduler_stopped": found.scheduler.is_stopped,
    }


def _standing(strip: Strip) -> dict[str, Any]:
    return {
        "connection_id": strip.connection_id,
        "name": strip.name,
        "vendor": strip.vendor,
        "category": strip.category,
        "state": strip.standing.word,
        "sentence": strip.standing.sentence,
        "needs_attention": strip.standing.needs_attention,
        "last_sync": strip.last_sync,
        "waiting": strip.facts.waiting,
        "backlog": strip.facts.backlog.number,
        "backlog_more": strip.facts.backlog.more,
    }
