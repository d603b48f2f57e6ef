"""Records in: one object or an array, a result per item, on disk before the answer. And what is there."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from anyio import to_thread
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from core.access import Principal
from core.platform.errors import Invalid
from core.platform.text import mended
from core.records import Stored, intake
from core.records.parse import COERCE
from core.storage.models import Kind
from core.web.api import idempotency
from core.web.api.auth import Asker, Editor
from core.web.api.errors import documented
from core.web.api.idempotency import KeptAnswer
from core.web.api.paging import PageQuery, before, paged
from core.web.api.route import Raw, router

MOST = 1_000
routes = router("records", Raw)
KEY_HEADER = "Idempotency-Key"
#: of a stored record; the hub's own columns are not the caller's business
INNER = frozenset({"local_id", "owner_id", "content_hash", "change_seq", "risen_at", "dated_ahead"})


class StoredItem(BaseModel):
    """`stored`: on disk, also when nothing was new. `refused`: `reason` says why.

    `notes` is there when something could not be stored as it came: field → what was changed. The record has the same
    in its `extra`, under `hub_notes`.
    """

    index: int
    id: str | None
    status: str
    reason: str | None = None
    notes: dict[str, str] | None = None


class StoredItems(BaseModel):
    new: int
    changed: int
    same: int
    refused: int
    items: list[StoredItem]


class Records(BaseModel):
    """Source fields as they came; what the hub has no column for is in `extra`."""

    items: list[dict[str, Any]]
    next_cursor: str | None


def _example(kind: Kind) -> dict[str, Any]:
    common = {"id": "0b6f7b1e-5a44-4c39-9c1e-3f6d2f0c8a11", "created_at": "2026-11-22T10:00:00Z"}
    own: dict[Kind, dict[str, Any]] = {
        Kind.SCAN: {
            "scan_type": "email",
            "email": "ana@example.org",
            "high_risk_count": 7,
            "status": "completed",
        },
        Kind.CASE: {"title": "Leaked password", "priority": "high", "status": "open"},
        Kind.ALERT: {"title": "New exposure", "severity": "high", "alert_type": "new_exposure"},
    }
    return common | own[kind]


def _schema(kind: Kind) -> dict[str, Any]:
    """Of the request's body, which is read by hand: checking 1,000 items twice would cost more than storing."""
    names = ", ".join(sorted(COERCE[kind]))
    record = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^\S+$"}},
        "description": f"Known fields: {names}. Any other is kept as it is.",
    }
    many = {"type": "array", "items": record, "maxItems": MOST}
    content = {"schema": {"anyOf": [record, many]}, "example": [_example(kind)]}
    key = {
        "name": KEY_HEADER,
        "in": "header",
        "required": False,
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
        "description": "The same key and body again within 7 days: the first answer again.",
    }
    return {"requestBody": {"required": True, "content": {"application/json": content}}, "parameters": [key]}


def _add(kind: Kind) -> None:
    path = f"/{kind}s"

    @routes.post(
        path,
        name=f"store_{kind}s",
        response_model=StoredItems,
        summary=f"Store {kind}s",
        description=f"One {kind} or an array of at most {MOST:,}; safe to repeat, by `id`. "
        "A single object that is refused is a 422; in an array each item has its own result. What cannot be stored as "
        "it came (NUL, NaN, half a character, a date that is none) is replaced, and `notes` say so.",
        responses=documented(403, 409),
        openapi_extra=_schema(kind),
    )
    async def store(request: Request, who: Editor) -> Response:
        key = request.headers.get(KEY_HEADER)
        work = partial(_store, who, kind, request.state.given)
        if key is not None:
            work = partial(_once, who, key, path.encode() + b"\n" + await request.body(), work)
        done = await to_thread.run_sync(work)
        return Response(done.body, done.status, media_type="application/json")

    @routes.get(
        path, name=f"list_{kind}s", response_model=Records, summary=f"{kind.title()}s, newest change first"
    )
    def listing(page: PageQuery, who: Asker) -> Any:
        found = intake.listing(who, kind, limit=page.limit + 1, before=before(page, path))
        shown = paged(page, path, found, lambda record: record["change_seq"])
        return shown | {"items": [_shown(record) for record in shown["items"]]}


for _kind in Kind:
    _add(_kind)


def _once(who: Principal, key: str, request: bytes, work: Callable[[], KeptAnswer]) -> KeptAnswer:
    known = idempotency.begin(who, key, request)
    if known is not None:
        return known
    try:
        done = work()
    except BaseException:
        idempotency.forget(who, key)
        raise
    idempotency.finish(who, key, done)
    return done


def _store(who: Principal, kind: Kind, given: Any) -> KeptAnswer:
    if isinstance(given, dict):
        return _one(intake.store(who, kind, [given]), given)
    if not isinstance(given, list):
        raise _wrong(f"Send one {kind} as an object, or an array of them.")
    if len(given) > MOST:
        raise _wrong(f"{len(given):,} items are too many; send at most {MOST:,} in one request.")
    return KeptAnswer(200, _told(intake.store(who, kind, given), given))


def _one(stored: Stored, given: Mapping[str, Any]) -> KeptAnswer:
    if stored.problems:
        raise _wrong(f"It cannot be stored: {stored.problems[0][1]}.")
    return KeptAnswer(200, _told(stored, [given]))


def _told(stored: Stored, given: Sequence[Any]) -> str:
    reasons, notes = dict(stored.problems), dict(stored.notes)
    items = [
        {
            "index": index,
            "id": _id(row),
            "status": "refused" if index in reasons else "stored",
            "reason": reasons.get(index),
        }
        | ({"notes": notes[index]} if index in notes else {})
        for index, row in enumerate(given)
    ]
    counts = {"new": stored.new, "changed": stored.changed, "same": stored.same, "refused": len(reasons)}
    return orjson.dumps(counts | {"items": items}).decode()


def _id(row: Any) -> str | None:
    id = row.get("id") if isinstance(row, Mapping) else None
    return mended(str(id))[:200] if isinstance(id, str | int) and not isinstance(id, bool) else None


def _shown(record: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in record.items() if name not in INNER}


def _wrong(sentence: str) -> Invalid:
    return Invalid(sentence, {"body": sentence})
