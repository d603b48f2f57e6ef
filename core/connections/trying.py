"""Try a connection: staged test, and the exact requests that the next sync would send."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core import catalog, db, opening, options, outbox
from core.access import Principal
from core.catalog import Manifest
from core.connections.creating import guard_proxy, split
from core.connections.views import row_of
from core.connectors.base import Connector, DeliveryError, Item, Step
from core.http import Previewed, Recorder
from core.secret import MASK, redact
from core.selection import select_new

#: headers that carry a credential, whatever the vendor
_SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization", "x-api-key")


@dataclass(frozen=True)
class PreviewRequest:
    """One request as it would be sent, to the byte but for the credentials in it, which are masked."""

    method: str
    url: str
    headers: dict[str, str]
    body: str
    keys: list[str]  # of the records inside


def test_draft(who: Principal, slug: str, values: Mapping[str, Any]) -> list[Step]:
    """Test a config before it is saved. Raises Invalid for a wrong one; a failed stage is a Step."""
    manifest = catalog.get(slug)
    checked = catalog.check_config(manifest, values)
    guard_proxy(who, split(manifest, checked)[0])
    return _steps(manifest, checked)


def test(who: Principal, ref: str) -> list[Step]:
    """Test a saved connection. When all is well, what was wrong with it is forgotten and it goes on."""
    with db.reading() as session:
        row, slug, _ = row_of(session, who, ref, to_change=True)
    try:
        values = opening.values(row)
    except DeliveryError as fault:
        return [Step("credentials", False, fault.message)]
    steps = _steps(catalog.get(slug), values)
    if all(step.ok is not False for step in steps):
        _forgive(who, row.id)
    return steps


def preview(who: Principal, ref: str, limit: int = 3) -> list[PreviewRequest]:
    """The requests that the next sync would send for at most `limit` records. Sends and changes nothing."""
    with db.reading() as session:
        row, slug, _ = row_of(session, who, ref)
        manifest = catalog.get(slug)
        chosen = options.parse(row.options, manifest.category)
        items = [Item(key, payload) for key, payload in outbox.peek(session, row.id, limit)]
        if len(items) < limit:
            new = select_new(session, row, manifest, chosen, limit - len(items)).rows
            items += [Item(each.key, each.payload) for each in new if each.payload is not None]
    values = opening.values(row)
    secrets = [str(values[name]) for name in catalog.secret_fields(manifest) if values.get(name)]
    with opening.recorded(manifest, values) as (connector, recorder):
        size = manifest.limits.batch_items
        batches = [items[start : start + size] for start in range(0, len(items), size)]
        return [request for batch in batches for request in _requests(connector, recorder, batch, secrets)]


def _steps(manifest: Manifest, values: Mapping[str, Any]) -> list[Step]:
    """Every stage up to the first that fails; a raised fault is the last one."""
    steps: list[Step] = []
    try:
        with opening.live(manifest, values) as live:
            steps.extend(_until_failed(live.connector.check()))
    except DeliveryError as fault:
        steps.append(Step("network" if not steps else "answer", False, fault.message))
    return steps


def _until_failed(stages: Iterator[Step]) -> Iterator[Step]:
    for step in stages:
        yield step
        if step.ok is False:
            return


def _forgive(who: Principal, connection_id: str) -> None:
    with db.session() as session:
        row, _, _ = row_of(session, who, connection_id, to_change=True)
        row.problem = row.next_call_at = row.wait_reason = None
        row.failures, row.next_wake_at = 0, db.now(session)
        session.add(row)


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
            redact(request.content.decode("utf-8", "replace"), secrets),  # PagerDuty's key is in the body
            [item.key for item in batch],
        )
