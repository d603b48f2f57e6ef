"""What a connection would export now: walk the changes since its cursor, keep what it wants, map it.

Reads only: `core.sync` queues the result and moves the cursor, `core.connections` previews it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlmodel import Session

from core import db, mapping, outbox, sources
from core.catalog import KIND_OF, Manifest
from core.mapping import Mapper, Unmappable
from core.models import Category, Connection, Kind, State
from core.options import Options
from core.outbox import New
from core.settings import settings
from core.storm import HELD, HOLD_ABOVE

PAGE = 500  # records looked at in one step
FILTERED = "Skipped because the connection's filter was changed."
MANY = 10_000  # nobody needs a larger number more exactly than this
MAX_PAGES = 20  # … and steps in one transaction, so that no writer waits long


@dataclass(frozen=True)
class Selection:
    rows: list[New]
    cursor: int  # where the connection stands when `rows` are queued
    more: bool  # whether more may be left


def select_new(
    session: Session, connection: Connection, manifest: Manifest, options: Options, limit: int
) -> Selection:
    """At most `limit` records that `connection` wants and does not have yet, mapped, oldest change first."""
    kind = KIND_OF[manifest.category]
    owner = None if options.scope == "all" else connection.user_id
    mapper = mapper_of(manifest, options)
    size = max(PAGE, min(limit, 10 * PAGE))
    rows: list[New] = []
    cursor = connection.export_cursor
    for _ in range(MAX_PAGES):
        page = sources.changes(session, kind, after=cursor, owner_id=owner, limit=size)
        fresh = _fresh(session, connection, kind, options, page)
        room = limit - len(rows)
        rows += [_new(connection, manifest, options, mapper, record) for record in fresh[:room]]
        if len(fresh) > room:  # the first one left out is looked at again next time
            return Selection(rows, fresh[room]["change_seq"] - 1, True)
        cursor = page[-1]["change_seq"] if page else cursor
        if len(page) < size:
            return Selection(rows, cursor, False)
    return Selection(rows, cursor, True)


def mapper_of(manifest: Manifest, options: Options) -> Mapper:
    kind = KIND_OF[manifest.category]
    return mapping.compile(manifest.mapping[kind], manifest.record, manifest.severity, options.mapping)


def _fresh(
    session: Session, connection: Connection, kind: Kind, options: Options, page: Iterable[dict[str, Any]]
) -> list[dict[str, Any]]:
    """The records in `page` that the connection wants and does not have yet."""
    wanted = [r for r in page if _in_scope(r, None, options) and _is_wanted(connection, kind, r, options)]
    known = outbox.known(session, connection.id, kind, [record["local_id"] for record in wanted])
    return [record for record in wanted if record["local_id"] not in known]


def _new(
    connection: Connection,
    manifest: Manifest,
    options: Options,
    mapper: Mapper,
    record: dict[str, Any],
) -> New:
    """One outbox row; a record that cannot be mapped is born dead with the reason."""
    kind = KIND_OF[manifest.category]
    key = mapping.delivery_key(kind, record["owner_id"], record["id"])
    facts = mapping.facts(
        kind, record, key=key, hub_url=settings().public_url, include_raw=options.include_raw
    )
    payload, reason = None, None
    try:
        payload = mapper.body(facts)
    except Unmappable as error:
        reason = f"Cannot be mapped for {manifest.name}: {'; '.join(error.reasons)}"
    return New(
        kind=kind,
        record_id=record["local_id"],
        revision=record["revision"],
        key=key,
        event_type=facts["event_type"],
        payload=payload,
        reason=reason,
        wanted_at=max(record["received_at"], connection.created_at),
        severity=facts["severity"],
        title=facts["title"],
    )


def left_out(session: Session, connection: Connection, kind: Kind) -> int:
    """Records that the connection's scope leaves out: they belong to others, or to nobody yet; at most MANY."""
    if connection.scope == "all":
        return 0
    return sources.count_others(session, kind, connection.user_id, MANY)


def refilter(session: Session, connection: Connection, manifest: Manifest, options: Options) -> None:
    """After the filters changed: what waits and is not wanted any more is skipped, and the other way round."""
    kind = KIND_OF[manifest.category]
    waiting = outbox.records(session, connection.id, (State.PENDING, State.RETRYING, State.HELD))
    skipped = outbox.records(session, connection.id, (State.SKIPPED,), FILTERED)
    records = sources.by_local_id(session, kind, sorted({*waiting.values(), *skipped.values()}))
    owner = None if options.scope == "all" else connection.user_id
    wanted = {
        local_id
        for local_id, record in records.items()
        if _in_scope(record, owner, options) and _is_wanted(connection, kind, record, options)
    }
    unwanted = [row for row, record in waiting.items() if record not in wanted]
    outbox.skip_rows(session, unwanted, FILTERED)
    again = [row for row, record in skipped.items() if record in wanted]
    many = manifest.category is Category.TICKETING and len(again) > HOLD_ABOVE
    outbox.unskip_rows(session, again, db.now(session), held=HELD if many else None)


def _is_wanted(connection: Connection, kind: Kind, record: dict[str, Any], options: Options) -> bool:
    events = connection.config.get("events", ())
    return mapping.is_wanted(kind, record, options) and not mapping.unwanted_event(kind, record, events)


def _in_scope(record: dict[str, Any], owner: str | None, options: Options) -> bool:
    since = None if options.start_from == "all" else datetime.fromisoformat(options.start_from)
    return owner in (None, record["owner_id"]) and (since is None or record["received_at"] >= since)
