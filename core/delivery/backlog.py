"""Records that a connection wants and has not taken yet: after its cursor, beyond what one sync takes.

They are in no queue, so nothing else counts them. Exact up to MOST; nobody needs a larger number more exactly.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from time import monotonic

from cachetools import LRUCache
from sqlalchemy import Select, select
from sqlmodel import Session, col

from core import integrations, records
from core.delivery import outbox, runs
from core.delivery.filters import Filter
from core.delivery.selection import newest_seen
from core.integrations import Manifest
from core.records.tables import TABLES
from core.storage.models import CatalogEntry, Connection

MOST = 1_000
#: so many candidates are judged at most; a filter that only the hub can judge may refuse them all
JUDGED = 10 * MOST
#: while records come in all the time, a count this old is shown again instead of counting at each look
FRESH_S = 5.0


@dataclass(frozen=True)
class Backlog:
    number: int  # at least, when there is `more`
    more: bool = False

    def __bool__(self) -> bool:
        return self.number > 0 or self.more

    @property
    def text(self) -> str:
        """`128`, or `more than 1,000`."""
        return f"more than {self.number:,}" if self.more else f"{self.number:,}"


NONE = Backlog(0)


@dataclass(frozen=True)
class _Basis:
    """What a count rests on: while it is the same, so is the count."""

    database: str
    connection_id: str
    cursor: int
    chosen: str


@dataclass(frozen=True)
class _Counted:
    newest: int
    at: float  # monotonic seconds
    backlog: Backlog


_counted: LRUCache[_Basis, _Counted] = LRUCache(10_000)
_lock = Lock()  # looking one up moves it to the end


def read(
    session: Session, ids: Select[str] | Sequence[str], connections: Iterable[Connection]
) -> dict[str, Backlog]:
    """Count for each of `connections`, which `ids` selects; one that has none is missing from the answer.

    One statement where nothing is new.
    """
    by_id, found = {row.id: row for row in connections}, {}
    for connection_id, slug, newest in _behind(session, ids):
        manifest = integrations.manifests().get(slug)
        if manifest is not None:
            found[connection_id] = _of(session, by_id[connection_id], manifest, newest)
    return {connection_id: backlog for connection_id, backlog in found.items() if backlog}


def forget() -> None:
    """As after a start: everything is counted again."""
    with _lock:
        _counted.clear()


def _behind(session: Session, ids: Select[str] | Sequence[str]) -> list[tuple[str, str, int]]:
    """(id, slug, newest change of its kind and owner) of those that have not looked at everything."""
    newest = newest_seen().label("newest")
    found = session.execute(
        select(col(Connection.id), col(CatalogEntry.slug), newest)
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .where(col(Connection.id).in_(ids), newest > col(Connection.export_cursor))
    )
    return [(row.id, row.slug, row.newest) for row in found]


def _of(session: Session, connection: Connection, manifest: Manifest, newest: int) -> Backlog:
    chosen = f"{connection.options} {connection.config.get('events')} {connection.scope} {connection.ahead}"
    url = str(session.get_bind().engine.url)
    basis = _Basis(url, connection.id, connection.export_cursor, chosen)
    with _lock:
        known = _counted.get(basis)
    if known and (known.newest == newest or monotonic() - known.at < FRESH_S):
        return known.backlog
    found = _count(session, connection, manifest)
    with _lock:
        _counted[basis] = _Counted(newest, monotonic(), found)
    return found


def _count(session: Session, connection: Connection, manifest: Manifest) -> Backlog:
    kind = manifest.kind
    wants = Filter.of(connection, kind, runs.options_of(connection, manifest)[0])
    table, cursor, number, judged = TABLES[kind], connection.export_cursor, 0, 0
    new = (*wants.may_fit(table), outbox.is_new(connection.id, kind, table.c.local_id))
    while judged < JUDGED:
        page = records.changes(
            session, kind, after=cursor, owner_id=wants.owner_id, limit=MOST + 1, where=new, is_whole=False
        )
        number += sum(wants.wants(record) for record in page)
        if number > MOST or len(page) <= MOST:
            return Backlog(min(number, MOST), number > MOST)
        cursor, judged = page[-1]["change_seq"], judged + len(page)
    return Backlog(number, more=True)
