"""What a connection would export now: walk the changes since its cursor, keep what it wants, map it.

Reads only: `core.delivery.export` queues the result and moves the cursor, `core.connections` previews it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from sqlalchemy import ColumnElement, and_, case
from sqlmodel import Session, col

from core import records
from core.delivery import outbox
from core.delivery.outbox import New
from core.delivery.profile import Profile
from core.integrations import mapping
from core.records.tables import TABLES
from core.storage.models import CatalogEntry, Connection, Kind
from core.storage.models.words import KIND_OF

PAGE = 500  # records looked at in one step
RANGE = 50_000  # … changes that one statement walks at most, …
STEP_S = 0.1  # … and seconds in one transaction, so that no writer waits long


@dataclass(frozen=True)
class Selection:
    """`rows` are new to the connection; `back` are deliveries that were skipped and are wanted again."""

    rows: list[New]
    back: list[int]
    cursor: int  # where the connection stands when both are queued
    more: bool  # whether more may be left


@dataclass
class _Found:
    rows: list[dict[str, Any]] = field(default_factory=list)
    back: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.rows) + len(self.back)


def select_new(session: Session, profile: Profile, limit: int) -> Selection:
    """Select at most `limit` records that a connection wants and does not have yet, mapped, oldest change first.

    Only what was committed before the first look counts: a record that changes meanwhile is seen next time.
    """
    start = profile.connection.export_cursor
    head, cursor, until = records.head(session), start, monotonic() + STEP_S
    found = _Found()
    while cursor < head:
        cursor, is_full = _step(session, profile, found, cursor, min(head, cursor + RANGE), limit)
        if is_full or monotonic() >= until:
            break
    keys = keys_of(session, profile.kind, found.rows)
    rows = [profile.mapped(record, key) for record, key in zip(found.rows, keys, strict=True)]
    return Selection(rows, found.back, max(cursor, start), cursor < head)


def count_new(session: Session, profile: Profile, most: int) -> int:
    """Count the records that `select_new` would find in all; not counted further than `most`."""
    head, cursor = records.head(session), profile.connection.export_cursor
    found, is_full = _Found(), False
    while cursor < head and not is_full:
        cursor, is_full = _step(session, profile, found, cursor, min(head, cursor + RANGE), most)
    return len(found)


def keys_of(session: Session, kind: Kind, stored: Sequence[dict[str, Any]]) -> list[str]:
    """Return the delivery key of each of `records`."""
    names = records.names_of(session, stored)
    return [
        mapping.delivery_key(kind, record["id"], name) for record, name in zip(stored, names, strict=True)
    ]


def _step(
    session: Session, profile: Profile, found: _Found, after: int, upto: int, limit: int
) -> tuple[int, bool]:
    """Look at the next page of changes; (how far it got, whether `found` holds `limit` and one more was seen)."""
    size = max(PAGE, min(limit, 10 * PAGE))
    wants = profile.wants
    may_fit = wants.may_fit(TABLES[profile.kind])
    page = records.changes(
        session, profile.kind, after=after, owner_id=wants.owner_id, limit=size, upto=upto, where=may_fit
    )
    wanted = [record for record in page if wants.wants(record)]
    known = outbox.known(
        session, profile.connection.id, profile.kind, [record["local_id"] for record in wanted]
    )
    for record in wanted:
        row = known.get(record["local_id"])
        if row is not None and not row.comes_back:
            continue
        if len(found) == limit:  # the first one left out is looked at again next time
            return record["change_seq"] - 1, True
        if row is None:
            found.rows.append(record)
        else:
            found.back.append(row.id)
    return (page[-1]["change_seq"] if len(page) == size else upto), False


def newest_seen() -> ColumnElement[int | None]:
    """Select the newest change that a connection sees, for a statement of Connection and CatalogEntry.

    A CASE, so that one index is asked for each, and no other.
    """
    sees_all = col(Connection.scope) == "all"
    wanted = [(col(CatalogEntry.category) == str(category), kind) for category, kind in KIND_OF.items()]
    own = [(which, records.newest(kind, col(Connection.user_id))) for which, kind in wanted]
    everybodys = [(and_(which, sees_all), records.newest(kind)) for which, kind in wanted]
    return case(*everybodys, *own)
