"""The FootprintIQ database that is pulled: when it is due, who pulls it, and how it went.

One pulls at a time, over all processes, by a lease in `source_pulls`; whoever slept past it stores nothing more.
`footprintiq` reads; what is read is stored here, and the cursor moves in the same transaction.
"""

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic, sleep

import structlog
from sqlalchemy import Update, update
from sqlmodel import Session, col

from core import records
from core.access import Principal
from core.access.audit import audit
from core.access.principal import require_admin
from core.platform.durations import duration
from core.platform.errors import Conflict, HubError, Invalid
from core.platform.secret import Secret
from core.platform.settings import settings
from core.records import Stored, footprintiq
from core.records.footprintiq import Position, Source
from core.storage import db, disk
from core.storage.models import Kind, SourcePull

LEASE_S = 60.0
RENEW_S = 15.0  # a first query may take minutes before it has a row to store
#: At most, after a full batch, for as long as it took: a writer that waits for SQLite looks again within 0.1 s, and
#: finds it free half of the time. Beside a first pull a sync waited 0.2 to 1.2 s for each of its transactions, with
#: this less than 0.1 s.
PAUSE_S = 0.2
TOLD_FOR = timedelta(days=1)  # that rows were refused
Pulled = dict[Kind, Stored]

log = structlog.get_logger("hub.source")


class Stopped(Exception):
    """The process ends: what was stored stays, and the next pull goes on from there."""


@dataclass(frozen=True)
class Lease:
    source: str
    pull_id: str


@dataclass(frozen=True)
class SourceState:
    """`lag_s`: whatever was committed there so long ago is here; None before the first pull that came through.

    `new` and `changed` are of the last pull, `refused` of the last that refused a row.
    """

    address: str
    every_s: int | None  # None: by hand only
    is_pulling: bool = False
    began_ago_s: float | None = None
    lag_s: float | None = None
    new: int = 0
    changed: int = 0
    refused: int = 0
    refused_ago_s: float | None = None
    refused_reason: str | None = None
    error: str | None = None

    @property
    def sentence(self) -> str:
        """How it stands, on pages, in the API and at a terminal."""
        return f"{self._standing()}{self._refusals()}"

    def _standing(self) -> str:
        if self.error and not self.address:
            return self.error
        name, again = f"FootprintIQ ({self.address})", self._again()
        if self.error:
            before = "it was never read yet" if self.lag_s is None else f"it was last read {_ago(self.lag_s)}"
            return f"{self.error} {again or 'Repeat `hub pull`'}; {before}."
        if self.is_pulling:
            return f"{name} is being read, for {duration(self.began_ago_s or 0)}."
        if self.lag_s is None:
            return f"{name} has not been read yet. {again or '`hub pull` reads it'}."
        counts = f"{self.new:,} new, {self.changed:,} changed"
        return f"{name} was read {_ago(self.lag_s)}: {counts}."

    def _again(self) -> str:
        if self.every_s is None:
            return ""
        tried = "It is tried again" if self.error else "The scheduler reads it"
        return f"{tried} every {duration(self.every_s)}"

    def _refusals(self) -> str:
        if not self.refused or self.refused_ago_s is None or self.refused_ago_s > TOLD_FOR.total_seconds():
            return ""
        rows = "1 row was" if self.refused == 1 else f"{self.refused:,} rows were"
        return f" {rows} refused {_ago(self.refused_ago_s)}: {self.refused_reason}."


def _ago(seconds: float) -> str:
    return f"{duration(seconds)} ago"


def pull(who: Principal, url: Secret | None) -> Pulled:
    """Read what is new, now. What was stored stays when a later table fails.

    Raises Forbidden, Invalid without an address, Conflict while somebody else reads, and Unusable in one sentence.
    """
    require_admin(who, "pull records")
    if url is None:
        raise Invalid(
            "HUB_SOURCE_URL is not set. Set it to the FootprintIQ database's address, read-only user."
        )
    lease = _begin(url)
    if lease is None:
        raise Conflict("The FootprintIQ database is being read already. Wait until that is done.")
    return _work(url, lease, who, lambda: False)


def pull_due(stopping: Callable[[], bool] = lambda: False) -> Pulled | None:
    """Read what is new if it is due; None when it is not, when another process does, or when `stopping` says so."""
    url, every_s = settings().source_url, settings().source_every_s
    lease = _begin(url, every_s) if url and every_s else None
    if url is None or lease is None:
        return None
    try:
        return _work(url, lease, None, stopping)
    except Stopped:
        return None


def is_due() -> bool:
    """Tell whether the source wants to be read now. Raises Invalid when its address makes no sense."""
    url, every_s = settings().source_url, settings().source_every_s
    if url is None or every_s is None:
        return False
    name, _ = _known(url)
    with db.reading() as session:
        return _is_free(session.get(SourcePull, name), db.now(session), every_s)


def state() -> SourceState | None:
    """How the source stands; None where the hub has none."""
    url, every_s = settings().source_url, settings().source_every_s
    if url is None:
        return None
    try:
        name, address = _known(url)
    except Invalid as error:
        return SourceState("", every_s, error=error.message)
    with db.reading() as session:
        row, now = session.get(SourcePull, name), db.now(session)
    return SourceState(address, every_s) if row is None else _state(row, every_s, now)


def _state(row: SourcePull, every_s: int | None, now: datetime) -> SourceState:
    return SourceState(
        address=row.address,
        every_s=every_s,
        is_pulling=_is_held(row, now),
        began_ago_s=_since(row.began_at, now),
        lag_s=_since(row.read_until, now),
        new=row.new,
        changed=row.changed,
        refused=row.refused,
        refused_ago_s=_since(row.refused_at, now),
        refused_reason=row.refused_reason,
        error=row.error,
    )


def _since(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else max(0.0, (now - moment).total_seconds())


def _known(url: Secret) -> tuple[str, str]:
    """Its key in the tables, and what may be shown of it."""
    address = footprintiq.address_of(url)
    return footprintiq.name_of(address), footprintiq.shown(address)


# --- the lease ------------------------------------------------------------------------------------


def _is_held(row: SourcePull, now: datetime) -> bool:
    """A lease that runs out later than any may was given by a clock that was ahead."""
    until = row.lease_until
    return until is not None and now < until <= now + timedelta(seconds=LEASE_S)


def _is_free(row: SourcePull | None, now: datetime, every_s: int = 0) -> bool:
    """Nobody reads, and the last pull ended `every_s` ago, or in a future that a clock made up."""
    if row is None:
        return True
    rested_s = None if row.ended_at is None else (now - row.ended_at).total_seconds()
    return not _is_held(row, now) and (rested_s is None or not 0 <= rested_s < every_s)


@db.unit
def _begin(url: Secret, every_s: int = 0) -> Lease | None:
    """Take the source for oneself; None when somebody has it, or it is not due."""
    name, address = _known(url)
    with db.session() as session:
        now = db.now(session)
        first = db.upsert(session, SourcePull).values(source=name, address=address)
        session.execute(first.on_conflict_do_nothing())
        row = db.locked(session, SourcePull, name)
        if not _is_free(row, now, every_s):
            return None
        row.address, row.pull_id, row.began_at = address, str(uuid.uuid4()), now
        row.lease_until = now + timedelta(seconds=LEASE_S)
        session.add(row)
        return Lease(name, row.pull_id)


def _renew(session: Session, lease: Lease) -> bool:
    """Hold the source for longer. False when somebody else has it."""
    until = db.now(session) + timedelta(seconds=LEASE_S)
    return db.affected(session.execute(_mine(lease).values(lease_until=until))) > 0


def _mine(lease: Lease) -> Update:
    return update(SourcePull).where(
        col(SourcePull.source) == lease.source, col(SourcePull.pull_id) == lease.pull_id
    )


@contextmanager
def _renewing(lease: Lease) -> Iterator[None]:
    """Renew the lease in a thread of its own, for as long as this process lives."""
    done = threading.Event()

    def renew() -> None:
        while not done.wait(RENEW_S):
            try:
                _renew_now(lease)
            except HubError as error:
                log.warning("lease of the source not renewed", reason=error.message)

    keeper = threading.Thread(target=renew, name="source-lease", daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()


@db.unit
def _renew_now(lease: Lease) -> None:
    with db.session() as session:
        _renew(session, lease)


@db.unit
def _give_back(lease: Lease) -> None:
    """Free at once, and due again: the pull was broken off."""
    with db.session() as session:
        session.execute(_mine(lease).values(pull_id=None, lease_until=None))


@db.unit
def _end(lease: Lease, who: Principal | None, pulled: Mapping[Kind, Stored], error: str | None) -> None:
    """Keep how it went; in the audit log too, where a person asked for it."""
    problems = [reason for stored in pulled.values() for _, reason in stored.problems]
    new, changed = (sum(getattr(stored, name) for stored in pulled.values()) for name in ("new", "changed"))
    with db.session() as session:
        row, now = db.locked(session, SourcePull, lease.source), db.now(session)
        if row.pull_id == lease.pull_id:
            row.pull_id = row.lease_until = None
            row.ended_at, row.error, row.new, row.changed = now, error, new, changed
            if error is None:
                row.read_until = row.began_at
            if problems:
                row.refused, row.refused_reason, row.refused_at = len(problems), problems[0], now
            session.add(row)
        if who:
            told = {"new": new, "changed": changed, "refused": len(problems)}
            audit(session, who, "records.pull", row.address, **told, **({"error": error} if error else {}))


# --- the work -------------------------------------------------------------------------------------


def _work(url: Secret, lease: Lease, who: Principal | None, stopping: Callable[[], bool]) -> Pulled:
    pulled: Pulled = {}
    try:
        with _renewing(lease), footprintiq.connect(url) as source:
            for kind in Kind:
                _read(source, kind, lease, stopping, pulled)
    except Stopped:
        _give_back(lease)
        raise
    except BaseException as error:
        _end(lease, who, pulled, _words(error))
        raise
    _end(lease, who, pulled, None)
    return pulled


def _words(error: BaseException) -> str:
    if isinstance(error, HubError):
        return error.message
    if isinstance(error, KeyboardInterrupt):
        return "The pull was broken off; what was stored stays."
    return "The pull met something that the hub has no words for; its log has it."


def _read(source: Source, kind: Kind, lease: Lease, stopping: Callable[[], bool], pulled: Pulled) -> None:
    """Store what changed in one table, and add it to `pulled` as it is stored."""
    with db.reading() as session:
        since = footprintiq.position(session, source.name, kind)
    taken, pulled[kind] = 0, Stored()
    for rows, reached in _parts(source, kind, since):
        if stopping():
            raise Stopped
        began = monotonic()
        pulled[kind] = pulled[kind].plus(_store(source, kind, rows, reached, lease), taken)
        taken += len(rows)
        if len(rows) == footprintiq.BATCH:
            sleep(min(monotonic() - began, PAUSE_S))


def _parts(
    source: Source, kind: Kind, since: Position | None
) -> Iterator[tuple[footprintiq.Rows, Position | None]]:
    """What is new or changed, and then, where the source cannot tell what changed, the alerts that may have."""
    yield from source.batches(kind, since)
    if kind is Kind.ALERT and not source.is_exact(kind):
        with db.reading() as session:
            waiting = footprintiq.unread(session)
        yield from ((rows, None) for rows in source.again(waiting))


@db.unit
def _store(
    source: Source, kind: Kind, rows: footprintiq.Rows, reached: Position | None, lease: Lease
) -> Stored:
    disk.require()
    with db.session() as session:
        if not _renew(session, lease):
            raise Conflict("Another process has taken this pull over. Look at how it goes with `hub status`.")
        stored = records.store(session, kind, rows)
        if reached:
            footprintiq.move(session, source.name, kind, reached)
        return stored
