"""The catalog: what can be connected, and which fields each entry takes. No token needed."""

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel

from core import connections
from core.integrations import Manifest
from core.web.api.errors import documented
from core.web.api.paging import PageQuery, sliced
from core.web.api.route import Open, router

routes = router("catalog", Open)


class Entry(BaseModel):
    slug: str
    name: str
    category: str
    icon: str
    provider: str
    summary: str
    tier: str


class Entries(BaseModel):
    items: list[Entry]
    next_cursor: str | None


class Detail(Entry):
    """`config` is the JSON Schema of a connection's `values`; a field with `writeOnly` is a secret."""

    description: str
    docs_url: str
    setup: list[str]
    permissions: list[str]
    config: dict[str, Any]
    record: dict[str, Any]
    severity: dict[str, Any]
    limits: dict[str, Any]
    in_doubt: str
    delivered_means: str
    known_limits: list[str]
    cost_note: str


@routes.get("/catalog", response_model=Entries, summary="List the catalog")
def entries(page: PageQuery) -> Any:
    every = [_shown(entry) for entry in connections.offered().values()]
    return sliced(page, "catalog", every, lambda entry: [entry["name"].lower(), entry["slug"]])


@routes.get("/catalog/{slug}", response_model=Detail, summary="One entry", responses=documented(404))
def entry(slug: str) -> Any:
    return _shown(connections.offer(slug))


def _shown(manifest: Manifest) -> dict[str, Any]:
    shown = asdict(manifest)
    return {name: shown[name] for name in Detail.model_fields}
