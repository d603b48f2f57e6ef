"""What a connection would export now: walk the changes since its cursor, keep what it wants, map it.

Reads only: `core.delivery.export` queues the result and moves the cursor, `core.connections` previews it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic
from typing import Any

from sqlalchemy import ColumnElement, and_, case
from sqlmodel import Session, col

from core import records
from core.delivery import outbox
from core.delivery.outbox import Known, New
from core.delivery.profile import Profile
from core.integrations import mapping
from core.records.tables import TABLES
from core.storage.models import CatalogEntry, Connection, Kind
from core.storage.models.words import KIND_OF, SEVERITIES

PAGE = 500  # records looked at in one step
RANGE = 50_000  # … changes that one statement walks at most, …
STEP_S = 0.1  # … and seconds in one transaction, so that no writer waits long


@dataclass(frozen=True)
class Selection:
    """`rows` are new to the connection; `back` are deliveries that were skipped and are wanted again; `regraded`
    says how severe the records of waiting ones have become.
    """

    rows: list[New]
    back: list[int]
    cursor: int  # where the connection stands when all is queued …
    ahead: dict[str, Any]  # … and where with the most severe, which were looked for ahead of the others
    head: int  # the newest change there was
    more: bool  # whether more may be left
    regraded: dict[int, str] = field(default_factory=dict)


@dataclass
class _Found:
    rows: list[dict[str, Any]] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    regraded: dict[int, str] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)  # local ids in `rows` and `back`

    def __len__(self) -> int:
        return len(self.rows) + len(self.back)


@dataclass
class _Look:
    """One look at what is new, and what it has found so far."""

    session: Session
    profile: Profile
    limit: int
    head: int
    until: float
    found: _Found = field(default_factory=_Found)
    is_full: bool = False  # `found` holds `limit`, and one more was seen

    def walk(self, after: int, severity: str | None = None) -> int:
        """Walk the changes, those of this severity alone if one is given, until `found` is full, or time is up, or
        the end is reached. Returns how far it got; at least one step."""
        while after < self.head and not self.is_full:
            after = self._step(after, min(self.head, after + RANGE), severity)
            if monotonic() >= self.until:
                break
        return after

    def _step(self, after: int, upto: int, severity: str | None) -> int:
        """Look at the next page of changes, up to `upto`. Returns how far it got."""
        size = max(PAGE, min(self.limit, 10 * PAGE))
        kind, wants = self.profile.kind, self.profile.wants
        fits = wants.may_fit(TABLES[kind]) if severity is None else wants.may_be(TABLES[kind], severity)
        page = records.changes(
            self.session, kind, after=after, owner_id=wants.owner_id, limit=size, upto=upto, where=fits
        )
        wanted = [record for record in page if self._is_wanted(record, severity)]
        ids = [record["local_id"] for record in wanted]
        known = outbox.known(self.session, self.profile.connection.id, kind, ids)
        for record in wanted:
            if not self._take(record, known.get(record["local_id"])):
                self.is_full = True  # the first one left out is looked at again next time
                return int(record["change_seq"]) - 1
        return int(page[-1]["change_seq"]) if len(page) == size else upto

    def _is_wanted(self, record: Mapping[str, Any], severity: str | None) -> bool:
        is_meant = severity is None or mapping.severity_of(self.profile.kind, record) == severity
        return is_meant and self.profile.wants.wants(record)

    def _take(self, record: dict[str, Any], row: Known | None) -> bool:
        """Keep what goes out. False when there is no room for it."""
        if row is not None and row.severity is not None:
            severity = mapping.severity_of(self.profile.kind, record)
            if severity != row.severity:
                self.found.regraded[row.id] = severity
        if record["local_id"] in self.found.seen or (row is not None and not row.comes_back):
            return True
        if len(self.found) == self.limit:
            return False
        self.found.seen.add(record["local_id"])
        if row is None:
            self.found.rows.append(record)
        else:
            self.found.back.append(row.id)
        return True


def select_new(session: Session, profile: Profile, limit: int) -> Selection:
    """Select at most `limit` records that a connection wants and does not have yet, mapped: the oldest change first,
    or the most severe first where there are more than `limit` and the connection wants it so.

    Only what was committed before the first look counts: a record that changes meanwhile is seen next time.
    """
    look = _Look(session, profile, limit, records.head(session), monotonic() + STEP_S)
    start, ahead = profile.connection.export_cursor, profile.connection.ahead
    if not (profile.options.by_severity and ahead):
        cursor = look.walk(start)
        if not (profile.options.by_severity and look.is_full):
            return _selection(look, max(cursor, start), {})
        look = replace(look, found=_Found(), is_full=False)
    return _most_severe_first(look, start, ahead)


def _most_severe_first(look: _Look, start: int, ahead: Mapping[str, int]) -> Selection:
    """Each severity has a cursor of its own ahead of the connection's, so that a change is looked at once for each and
    no more. The connection's passes every change, whatever its severity: what was queued ahead is known when it gets
    there, and what was not is queued then, so nothing is lost to a cursor that stands too far ahead. A record that
    becomes more severe is a new change.
    """
    reached: dict[str, int] = {}
    for severity in reversed(SEVERITIES[1:]):
        reached[severity] = look.walk(max(start, ahead.get(severity, start)), severity)
        if reached[severity] < look.head:  # neither room nor time is left for those that are less severe
            return _selection(look, start, {**ahead, **reached})
    return _selection(look, look.walk(start), reached)


def _selection(look: _Look, cursor: int, ahead: Mapping[str, int]) -> Selection:
    found, more = look.found, cursor < look.head
    keys = keys_of(look.session, look.profile.kind, found.rows)
    rows = [look.profile.mapped(record, key) for record, key in zip(found.rows, keys, strict=True)]
    return Selection(rows, found.back, cursor, dict(ahead) if more else {}, look.head, more, found.regraded)


def start_after(connection: Connection, change: int) -> None:
    """Let the connection look at all changes after this one, again or for the first time."""
    connection.export_cursor, connection.ahead = change, {}


def count_new(session: Session, profile: Profile, most: int) -> int:
    """Count the records that `select_new` would find in all; not counted further than `most`."""
    look = _Look(session, profile, most, records.head(session), inf)
    look.walk(profile.connection.export_cursor)
    return len(look.found)


def keys_of(session: Session, kind: Kind, stored: Sequence[dict[str, Any]]) -> list[str]:
    """Return the delivery key of each of `records`."""
    names = records.names_of(session, stored)
    return [
        mapping.delivery_key(kind, record["id"], name) for record, name in zip(stored, names, strict=True)
    ]


def newest_seen() -> ColumnElement[int | None]:
    """Select the newest change that a connection sees, for a statement of Connection and CatalogEntry.

    A CASE, so that one index is asked for each, and no other.
    """
    sees_all = col(Connection.scope) == "all"
    wanted = [(col(CatalogEntry.category) == str(category), kind) for category, kind in KIND_OF.items()]
    own = [(which, records.newest(kind, col(Connection.user_id))) for which, kind in wanted]
    everybodys = [(and_(which, sees_all), records.newest(kind)) for which, kind in wanted]
    return case(*everybodys, *own)
