"""Try a connection, saved or not: staged test, how much it would send, and the exact first requests.

A draft is a config and options that nobody has saved. With `ref` it is an edit of that connection: what is
not given is taken from it, secrets included.
"""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlmodel import Session

from core import integrations, records
from core.access import Principal, rights
from core.access.audit import audit
from core.access.principal import require_member
from core.access.scope import row_of, row_to_change
from core.connections.creation import checked_options, guard_proxy, split
from core.connections.redirection import redirected, require_again
from core.delivery import breaker, outbox, refresh
from core.delivery.filters import CONFIG_FIELDS, Filter
from core.delivery.profile import Profile
from core.delivery.selection import select_new
from core.http import Previewed, Recorder, sent_text
from core.http.errors import DeliveryError, Misconfigured
from core.integrations import Manifest, client, credentials, options
from core.integrations.base import Connector, Item, Step
from core.integrations.options import Options
from core.integrations.stages import stages as stages_of
from core.platform.errors import Locked
from core.platform.secret import MASK, redact
from core.storage import db, due_times
from core.storage.models import Connection

#: headers that carry a credential, whatever the vendor
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key")
#: the newest records that are looked at to count: a form must answer while somebody types
COUNTED = 10_000
_PAGE = 1000


@dataclass(frozen=True)
class PreviewRequest:
    """One request as it would be sent, to the byte (unpacked) but for the credentials, which are masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    keys: list[str]  # of the records inside


@dataclass(frozen=True)
class MatchCount:
    """How many stored records a connection would send; without `is_all`, of the newest COUNTED only.

    `others`: that many more it would send if it took everybody's; an admin is told, nobody else.
    """

    records: int
    is_all: bool
    others: int = 0


# --- the staged test ----------------------------------------------------------------------------------


def test_draft(who: Principal, slug: str, values: Mapping[str, Any]) -> list[Step]:
    """Test a config before it is saved. Raises Invalid for a wrong one; a failed stage is a Step."""
    return list(stages_draft(who, slug, values))


def stages_draft(
    who: Principal, slug: str, values: Mapping[str, Any], ref: str | None = None
) -> Iterator[Step]:
    """`test_draft`, each stage as soon as it is known."""
    manifest = integrations.get(slug)
    checked = _checked(who, manifest, values, ref)
    yield from _noted(who, ref, slug, stages_of(manifest, checked))


def test(who: Principal, ref: str) -> list[Step]:
    """Test a saved connection. When all is well, what was wrong with it is forgotten and it goes on."""
    return list(stages(who, ref))


def stages(who: Principal, ref: str) -> Iterator[Step]:
    """`test`, each stage as soon as it is known."""
    with db.reading() as session:
        row, slug, _ = row_of(session, who, ref, to_change=True)
    try:
        values = credentials.values(row)
    except DeliveryError as fault:
        closed = Step("credentials", False, fault.message)
        yield from _noted(who, row.id, slug, [closed])
        return
    yield from _noted(who, row.id, slug, stages_of(integrations.get(slug), values), is_saved=True)


def _noted(
    who: Principal, ref: str | None, slug: str, stages: Iterable[Step], *, is_saved: bool = False
) -> Iterator[Step]:
    """The stages; at their end, or where they are left, one row in the audit log."""
    seen: list[Step] = []
    is_over = False
    try:
        for step in stages:
            seen.append(step)
            yield step
        is_over = True
    finally:
        passed = is_over and all(step.ok is not False for step in seen)
        _conclude(who, ref, slug, seen, passed=passed, goes_on=passed and is_saved)


@db.unit
def _conclude(
    who: Principal, ref: str | None, slug: str, seen: Sequence[Step], *, passed: bool, goes_on: bool
) -> None:
    """Write down who tested what, and, with `goes_on`, let the connection go on."""
    failed = [step.name for step in seen if step.ok is False]
    details = {"passed": passed, "steps": len(seen)} | ({"failed": failed[0]} if failed else {})
    with db.session() as session:
        if goes_on and ref is not None:
            _forgive(session, row_to_change(session, who, ref)[0])
        _audit(session, who, "connection.test", ref, slug, **details)


def _forgive(session: Session, row: Connection) -> None:
    now = db.now(session)
    breaker.forgive(row)
    outbox.hasten(session, row.id, now)
    due_times.wake(row, now)
    session.add(row)


def _audit(session: Session, who: Principal, action: str, ref: str | None, slug: str, **details: Any) -> None:
    """About the connection, or about the tool of one that nobody has saved."""
    if ref is None:
        return audit(session, who, action, slug, **details)
    row, _, _ = row_of(session, who, ref)
    audit(session, who, action, row.id, name=row.name, **details)


# --- the first requests -------------------------------------------------------------------------------


def preview(who: Principal, ref: str, limit: int = 3) -> list[PreviewRequest]:
    """The requests that the next sync would send for at most `limit` records. Sends and changes nothing."""
    with db.reading() as session:
        row, slug, _ = row_of(session, who, ref)
        rights.require(session, row.id)
        manifest = integrations.get(slug)
        items = _next(session, row, manifest, options.parse(row.options, manifest.category), limit)
    found = _recorded(manifest, credentials.values(row), items)
    _note_preview(who, row.id, slug, len(items))
    return found


def count_next(who: Principal, ref: str, most: int) -> int:
    """How many records, at most `most`, a preview without a limit would show."""
    with db.reading() as session:
        row, slug, _ = row_of(session, who, ref)
        manifest = integrations.get(slug)
        return len(_next(session, row, manifest, options.parse(row.options, manifest.category), most))


@db.unit
def _note_preview(who: Principal, ref: str | None, slug: str, records: int) -> None:
    with db.session() as session:
        _audit(session, who, "connection.preview", ref, slug, records=records)


def preview_draft(
    who: Principal,
    slug: str,
    values: Mapping[str, Any],
    options: Mapping[str, Any],
    limit: int = 3,
    ref: str | None = None,
    *,
    is_drawn_again: bool = False,
) -> list[PreviewRequest]:
    """The same for a draft. Raises Invalid for a wrong field or option.

    With `is_drawn_again`, for a form that shows it after each choice, it is the same act as before.
    """
    manifest = integrations.get(slug)
    checked = _checked(who, manifest, values, ref)
    with db.reading() as session:
        row, chosen = _draft(session, who, manifest, options, ref)
        row.config, _ = split(manifest, checked)
        items = _next(session, row, manifest, chosen, limit)
    found = _recorded(manifest, checked, items)
    if not is_drawn_again:
        _note_preview(who, ref, slug, len(items))
    return found


def count_wanted(
    who: Principal,
    slug: str,
    options: Mapping[str, Any],
    ref: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> MatchCount:
    """How many of the stored records the options let through, sent already or not.

    Of `values`, the fields as they are filled in so far, only those that filter are looked at.
    """
    manifest = integrations.get(slug)
    filters = {name: value for name, value in (values or {}).items() if name in CONFIG_FIELDS}
    with db.reading() as session:
        row, chosen = _draft(session, who, manifest, options, ref)
        row.config = row.config | integrations.check_some(manifest, filters)
        wants = Filter.of(row, manifest.kind, chosen)
        found = _matching(session, wants)
        if wants.owner_id is None or not who.is_admin:
            return found
        everybodys = _matching(session, replace(wants, owner_id=None))
    return replace(found, others=max(0, everybodys.records - found.records))


def _matching(session: Session, wants: Filter) -> MatchCount:
    wanted, before = 0, None
    for _ in range(COUNTED // _PAGE):
        page = records.latest(
            session, wants.kind, owner_id=wants.owner_id, limit=_PAGE, before=before, is_whole=False
        )
        wanted += sum(wants.wants(record) for record in page)
        if len(page) < _PAGE:
            return MatchCount(wanted, is_all=True)
        before = page[-1]["change_seq"]
    return MatchCount(wanted, is_all=False)


def _next(session: Session, row: Connection, manifest: Manifest, chosen: Options, limit: int) -> list[Item]:
    """What waits, as its records are now, then what is new."""
    profile = Profile.of(row, manifest, chosen)
    waiting = outbox.peek(session, row.id, profile.kind, limit, by_severity=chosen.by_severity)
    new = refresh.of(session, profile, [waits for waits, payload in waiting if payload is None]).mapped
    bodies = [
        (waits.key, payload or new[waits.id].payload)
        for waits, payload in waiting
        if payload or waits.id in new
    ]
    if len(bodies) < limit:
        bodies += [
            (each.key, each.payload) for each in select_new(session, profile, limit - len(bodies)).rows
        ]
    return [Item(key, payload) for key, payload in bodies if payload is not None]


def _recorded(manifest: Manifest, values: Mapping[str, Any], items: Sequence[Item]) -> list[PreviewRequest]:
    secrets = [str(values[name]) for name in integrations.secret_fields(manifest) if values.get(name)]
    with client.recorded(manifest, values) as (connector, recorder):
        size = manifest.limits.batch_items
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        return [request for batch in batches for request in _requests(connector, recorder, batch, secrets)]


def _requests(
    connector: Connector, recorder: Recorder, batch: Sequence[Item], secrets: Sequence[str]
) -> Iterator[PreviewRequest]:
    seen = len(recorder.requests)
    try:
        for _ in connector.deliver(batch):
            continue
    except Previewed:
        pass  # the request was kept; nothing is there to answer it
    for request in recorder.requests[seen:]:
        yield PreviewRequest(
            request.method,
            redact(str(request.url), secrets),
            {
                name: MASK if name.lower() in _SECRET_HEADERS else redact(value, secrets)
                for name, value in request.headers.items()
            },
            redact(sent_text(request), secrets),  # PagerDuty's key is in the body
            [item.key for item in batch],
        )


# --- drafts -------------------------------------------------------------------------------------------


def _checked(who: Principal, manifest: Manifest, given: Mapping[str, Any], ref: str | None) -> dict[str, Any]:
    """The draft's whole config, secrets as plain strings."""
    require_member(who, "connect anything")
    saved = _saved(who, ref) if ref else {}
    checked = integrations.check_config(manifest, given, saved if ref else None)
    if ref:  # a test is a call, too
        sealed = [name for name in integrations.secret_fields(manifest) if saved.get(name)]
        require_again(manifest, sealed, given, redirected(manifest, saved, checked))
    if ref is None or "proxy" in given:
        guard_proxy(who, split(manifest, checked)[0])
    return checked


def _saved(who: Principal, ref: str) -> dict[str, Any]:
    with db.reading() as session:
        row, _, _ = row_of(session, who, ref, to_change=True)
    try:
        return credentials.values(row)
    except (Misconfigured, Locked):
        return dict(row.config)  # the secrets cannot be read any more: they are what is being entered


def _draft(
    session: Session, who: Principal, manifest: Manifest, given: Mapping[str, Any], ref: str | None
) -> tuple[Connection, Options]:
    """A row that is in no table, as saving would make it."""
    now = db.now(session)
    saved = row_of(session, who, ref, to_change=True)[0] if ref is not None else None
    chosen = options.parse(checked_options(session, who, manifest, given, now, saved), manifest.category)
    row = Connection(
        id=saved.id if saved else str(uuid.uuid4()),
        user_id=saved.user_id if saved else who.user_id,
        integration_id="",
        name="",
        config=saved.config if saved else {},
        export_cursor=0,
        created_at=saved.created_at if saved else now,
        updated_at=now,
    )
    return row, chosen
