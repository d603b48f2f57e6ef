"""A database that was put back from a backup: noticed by itself, or said by `hub restored`.

What was sent after the backup was made, the database does not know of. So what it believes to wait is in doubt
from then on: nothing is sent a second time that can be looked for, or kept apart by its key.
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from threading import Lock

from sqlalchemy import Engine, select
from sqlmodel import Session, col

from core import integrations
from core.access import Principal
from core.access.audit import audit
from core.access.principal import require_admin
from core.delivery import outbox
from core.platform.settings import settings
from core.storage import db, due_times
from core.storage.models import CatalogEntry, Connection
from core.storage.models import Counter as Number
from core.storage.watermark import Watermark

CHUNK = 1000  # rows per transaction, so that no writer waits long
#: by this number a database is known in the run folder, also after it was put back
_DATABASE = "database"
_turn = Lock()


@dataclass(frozen=True)
class Doubted:
    """How many deliveries are in doubt from now on, by what becomes of them."""

    at: datetime
    looked_for: int
    same_key: int
    may_repeat: int

    @property
    def deliveries(self) -> int:
        return self.looked_for + self.same_key + self.may_repeat


def notice() -> Doubted | None:
    """Compare this database with what was sent from this machine; what is in doubt because it is older, or None.

    Before the first record leaves. Done once by each process for each database it is pointed at.
    """
    return _watch()[1]


def reach(attempt_id: int) -> None:
    """Write the mark that lets the call of this attempt leave."""
    _watch()[0].reach(attempt_id)


def doubt(who: Principal) -> Doubted:
    """The same because a person says so. Safe to repeat: what is in doubt is looked for from the beginning."""
    require_admin(who, "say that the database was put back")
    return _doubt(who)


def count() -> int:
    """Count the deliveries that `doubt` would put in doubt."""
    return sum(len(part) for part in _uncertain())


def _watch() -> tuple[Watermark, Doubted | None]:
    """No thread sends before the first one has compared. Two processes may both do it, which is as good."""
    with _turn:
        return _compared(db.engine())


@lru_cache(maxsize=1)
def _compared(engine: Engine) -> tuple[Watermark, Doubted | None]:
    mark = Watermark(settings().run_folder, _database())
    reached = mark.read()  # before the database is asked: other processes may go on sending
    highest = _highest()
    if reached <= highest:
        return mark, None
    found = _doubt("the hub")
    mark.put_back(highest)
    return mark, found


def _highest() -> int:
    with db.reading() as session:
        return outbox.highest_attempt(session)


@db.unit
def _database() -> int:
    """The number by which this database is known, in every copy of it."""
    with db.reading() as session:
        known = session.get(Number, _DATABASE)
    if known is not None:
        return known.value
    with db.session() as session:
        drawn = db.upsert(session, Number).values(name=_DATABASE, value=secrets.randbits(62))
        session.execute(drawn.on_conflict_do_nothing())
        return session.get_one(Number, _DATABASE).value


def _uncertain() -> Iterator[list[tuple[int, str]]]:
    after = 0
    while True:
        with db.reading() as session:
            part = outbox.uncertain(session, after, CHUNK)
        if not part:
            return
        yield part
        after = part[-1][0]


def _doubt(actor: Principal | str) -> Doubted:
    """Step by step, and from the beginning if it was broken off: what is queued meanwhile is in doubt as well."""
    now = _keep_moment()
    rows: Counter[str] = Counter()
    for part in _uncertain():
        rows += _doubt_part(part, now)
    return _told(actor, rows, now)


@db.unit
def _keep_moment() -> datetime:
    with db.session() as session:
        now = db.now(session)
        outbox.keep_moment(session, now)
        return now


@db.unit
def _doubt_part(part: list[tuple[int, str]], now: datetime) -> Counter[str]:
    """How many of these deliveries are of each connection."""
    connections = Counter(connection for _, connection in part)
    with db.session() as session:
        due_times.wake_all(
            session, sorted(connections), now
        )  # its row before its deliveries, as everybody does
        outbox.doubt(session, [delivery for delivery, _ in part], now)
    return connections


@db.unit
def _told(actor: Principal | str, rows: Counter[str], now: datetime) -> Doubted:
    with db.session() as session:
        found = _by_doubt(session, rows, now)
        audit(session, actor, "database.restored", "", deliveries=found.deliveries)
        return found


def _by_doubt(session: Session, rows: Counter[str], now: datetime) -> Doubted:
    of = select(col(Connection.id), col(CatalogEntry.slug)).join(
        CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id)
    )
    modes: Counter[str] = Counter()
    for connection, slug in session.execute(of):
        manifest = integrations.manifests().get(slug)  # None where somebody took a preset's file away
        modes[manifest.in_doubt if manifest else "may_repeat"] += rows[connection]
    return Doubted(now, modes["look_up"], modes["native_key"], modes["may_repeat"])
