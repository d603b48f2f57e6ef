"""Reads a FootprintIQ PostgreSQL: incrementally, in one read-only transaction, one streamed query per table.

A row becomes visible at its commit, whatever time it carries, so times cannot say what is new. Of a table every row
is read whose transaction had not ended when the last read took its snapshot (`xmin` at or above the snapshot's): each
insert and update exactly, however late it was committed. The scan of the table that this takes was always needed,
for the latest of several times has no index.

A view has no `xmin`, nor has a table of which the hub's user may read some columns only. There a read starts two
minutes before the last change it saw, and alerts, which have no `updated_at`, are read again while the hub holds them
as unread: recent ones as a whole, older ones once they are read or resolved.

What is read twice is absorbed by `records.store`. When it is read, and what becomes of the rows: `source`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import URL, Connection, NullPool, RowMapping, create_engine, event, make_url, select, text
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlmodel import Session, col

from core.platform.errors import Invalid, Unusable
from core.platform.secret import Secret, redact
from core.storage.models import Alert, Kind, PullCursor

if TYPE_CHECKING:
    import psycopg

BATCH = 1_000
OVERLAP = timedelta(minutes=2)
CONNECT_S, STATEMENT_S = 10, 300
MAX_UNREAD = 50_000  # of the newest unread alerts: 50 look-ups of 1,000 ids each
#: a server that went away without a word is noticed after a minute (the system's own default is two hours)
_KEPT_ALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
RECENT = timedelta(days=7)  # alerts that may still change in more than being read
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: PostgreSQL compares transactions of 32 bits around a circle: half of it back is as far as it can look
FAR = 2**31
TABLE = {Kind.SCAN: "scans", Kind.CASE: "cases", Kind.ALERT: "monitoring_alerts"}
#: a row's change time is the latest of these, as far as its table has them
TIMES = {
    Kind.SCAN: ("created_at", "updated_at", "completed_at"),
    Kind.CASE: ("created_at", "updated_at", "closed_at"),
    Kind.ALERT: ("created_at", "updated_at"),
}
_COLUMNS = text(
    "SELECT attname, format_type(atttypid, NULL), CAST(attrelid AS bigint), attnum < 0 "
    "FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid "
    "WHERE attrelid = to_regclass(:name) AND NOT attisdropped AND (attnum > 0 OR attname = 'xmin' "
    "AND relkind IN ('r', 'p', 'm') AND has_column_privilege(attrelid, attnum, 'SELECT'))"
)
#: txid_… since they are in every version in use; a role needs no rights for them, and a standby has them too
_SNAPSHOT = text(
    "SELECT txid_snapshot_xmin(taken), txid_snapshot_xmax(taken) FROM txid_current_snapshot() AS taken"
)
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Position:
    """How far a table was read: up to a change, and whatever transactions below `horizon` did before."""

    changed_at: datetime
    last_id: str
    horizon: int
    table_id: int


@dataclass(frozen=True)
class Table:
    id: int
    columns: Mapping[str, str]  # name → type
    has_xmin: bool


@dataclass(frozen=True)
class Source:
    """An open FootprintIQ database; `name` is its key in `pull_cursors`."""

    name: str
    address: URL
    connection: Connection

    def batches(self, kind: Kind, since: Position | None) -> Iterator[tuple[Rows, Position]]:
        """Rows changed since then, oldest change first; each batch with the position it reaches.

        The last one is empty: only now is everything seen that this snapshot holds, and the horizon moves.
        """
        with _explained(self.address, TABLE[kind]):
            table = self._table(kind)
            horizon, newest = self.connection.execute(_SNAPSHOT).one()
            since = _usable(since, table, newest)
            at = since or Position(EPOCH, "", horizon, table.id)
            for part in self._changed(kind, table, since):
                reached = max(part[-1]["hub_changed_at"], at.changed_at)
                at = replace(at, changed_at=reached, last_id=str(part[-1]["id"]))
                yield [_plain(row) for row in part], at
            yield [], replace(at, horizon=horizon)

    def _changed(self, kind: Kind, table: Table, since: Position | None) -> Iterator[Sequence[RowMapping]]:
        times = [f"{name}::timestamptz" for name in TIMES[kind] if name in table.columns]
        # rows without any time, or with -infinity, come first and with every first read; one that is dated in the
        # future, or at infinity, changed now, and hides none that come before that date
        changed = f"least(greatest({', '.join(times)}, 'epoch'), now())"
        wanted = f"{changed} >= :since"
        given: dict[str, Any] = {"since": since.changed_at - OVERLAP if since else EPOCH}
        if since and table.has_xmin:
            # below 0 is what was written more than half a circle ago. SELECT: once, and not for each row
            wanted += (
                " OR (age(xmin) <= (SELECT age(CAST(CAST(:horizon AS text) AS xid))) AND age(xmin) >= 0)"
            )
            given |= {"horizon": str(since.horizon % 2**32)}
        query = text(
            f"SELECT *, {changed} AS hub_changed_at FROM {TABLE[kind]} WHERE {wanted} "  # noqa: S608
            "ORDER BY hub_changed_at, id"
        )
        found = self.connection.execute(query, given, execution_options={"yield_per": BATCH})
        yield from found.mappings().partitions(BATCH)

    def is_exact(self, kind: Kind) -> bool:
        """Tell whether `batches` sees every change, also one that leaves the times as they were."""
        with _explained(self.address, TABLE[kind]):
            return self._table(kind).has_xmin

    def again(self, ids: Iterable[str]) -> Iterator[Rows]:
        """Alerts among `ids` that are recent, or have been read or resolved."""
        with _explained(self.address, TABLE[Kind.ALERT]):
            columns = self._table(Kind.ALERT).columns
            flags = [name for name in ("is_read", "is_resolved") if name in columns]
            is_uuid = columns["id"] == "uuid"
            query = text(
                f"SELECT * FROM {TABLE[Kind.ALERT]} WHERE id = ANY(CAST(:ids AS {columns['id']}[])) "  # noqa: S608
                f"AND ({' OR '.join([*flags, 'created_at > now() - :recent'])})"
            )
            asked = (id for id in ids if not is_uuid or _is_uuid(id))
            while part := list(islice(asked, BATCH)):
                found = self.connection.execute(query, {"ids": part, "recent": RECENT}).mappings()
                yield [_plain(row) for row in found]

    def _table(self, kind: Kind) -> Table:
        """Raises Unusable when the table or a column that every read needs is missing."""
        table = TABLE[kind]
        rows = self.connection.execute(_COLUMNS, {"name": table}).all()
        columns = {str(name): str(type_name) for name, type_name, _, is_system in rows if not is_system}
        where = f"the FootprintIQ database {shown(self.address)}"
        if not columns:
            raise Unusable(
                f'There is no table "{table}" in {where}. Check the database HUB_SOURCE_URL names.'
            )
        for name in ("id", "created_at"):
            if name not in columns:
                raise Unusable(
                    f'Table "{table}" in {where} has no column "{name}". Check that it is FootprintIQ\'s.'
                )
        return Table(rows[0][2], columns, any(is_system for *_, is_system in rows))


@contextmanager
def connect(url: Secret) -> Iterator[Source]:
    """Opens the database at `url` read-only. Raises Unusable in one sentence, without the password."""
    address = address_of(url)
    engine = create_engine(
        address,
        poolclass=NullPool,
        # no prepared statements: a pooler between us (Supabase's) may change the connection under us
        connect_args={
            "connect_timeout": CONNECT_S,
            "prepare_threshold": None,
            "application_name": "hub pull",
            **_KEPT_ALIVE,
        },
    ).execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    event.listen(engine, "connect", _read_any_time)
    with _explained(address):
        connection = engine.connect()
    with connection:
        with _explained(address):
            connection.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_S}s'"))
            connection.execute(text("SET LOCAL TIME ZONE 'UTC'"))
        yield Source(name_of(address), address, connection)


def _read_any_time(raw: "psycopg.Connection", _record: Any) -> None:
    from core.records import loaders  # there is a server, so its driver is loaded already

    loaders.register(raw)


def position(session: Session, source: str, kind: Kind) -> Position | None:
    """None before the first read; after an older hub's, too, which may have missed rows."""
    cursor = session.get(PullCursor, (source, kind))
    if cursor is None or cursor.changed_at is None or cursor.horizon is None or cursor.table_id is None:
        return None
    return Position(cursor.changed_at, cursor.last_id or "", cursor.horizon, cursor.table_id)


def move(session: Session, source: str, kind: Kind, reached: Position) -> None:
    """Remember how far the read came; in the transaction that stores the rows."""
    session.merge(PullCursor(source=source, kind=kind, **asdict(reached)))


def _usable(since: Position | None, table: Table, newest: int) -> Position | None:
    """None, so that all is read: the table is another one, or its database was put back or is half a circle on."""
    if since is None or since.table_id != table.id:
        return None
    return since if 0 <= newest - since.horizon < FAR else None


def unread(session: Session) -> list[str]:
    """Ids of the alerts that the hub holds as unread, newest first."""
    query = select(col(Alert.id)).where(col(Alert.is_read).is_(False)).order_by(col(Alert.local_id).desc())
    return list(session.connection().execute(query.limit(MAX_UNREAD)).scalars())


def shown(address: URL) -> str:
    """`host:port/database`: what messages may show of the address."""
    host = address.host or address.query.get("host") or "localhost"
    return f"{host}:{address.port or 5432}/{address.database or address.username or ''}"


def name_of(address: URL) -> str:
    """Its key in `pull_cursors` and `source_pulls`."""
    return blake2b(shown(address).encode(), digest_size=16).hexdigest()


def address_of(url: Secret) -> URL:
    """Read the address. Raises Invalid when it is none of a PostgreSQL database."""
    try:
        address = make_url(url.reveal())
    except (ArgumentError, ValueError):
        address = URL.create("")
    if address.drivername.split("+")[0] not in ("postgres", "postgresql"):
        raise Invalid(
            "HUB_SOURCE_URL is not the address of a PostgreSQL database. "
            "Write it like postgresql://user:password@host:5432/database."
        )
    return address.set(drivername="postgresql+psycopg")


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in row.items() if name != "hub_changed_at"}


def _plain_value(value: Any) -> Any:
    """What JSON has; everything else as PostgreSQL would write it."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(name): _plain_value(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_value(inner) for inner in value]
    return value.hex() if isinstance(value, bytes) else str(value)


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


@contextmanager
def _explained(address: URL, table: str = "") -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        cause = redact(str(error.orig), [address.password or ""])
        state = getattr(error.orig, "sqlstate", None) or ""
        raise Unusable(_sentence(address, table, state, cause)) from None


def _sentence(address: URL, table: str, state: str, cause: str) -> str:
    where = f"The FootprintIQ database {shown(address)}"
    if state.startswith("28") or "authentication failed" in cause or "no password supplied" in cause:
        return f'{where} refused the user "{address.username}". Correct user and password in HUB_SOURCE_URL.'
    if state == "3D000" or ("database" in cause and "does not exist" in cause):
        return f"{where} does not exist on that server. Correct the database name in HUB_SOURCE_URL."
    if state == "42501":
        return f'{where} does not let "{address.username}" read {table}. Grant it SELECT on that table.'
    if state == "57014":
        return f"{where} took longer than {STATEMENT_S} s to read {table}. Pull again when it is less busy."
    if state and not state.startswith(("08", "57")):
        return f"{where} cannot be read ({cause.splitlines()[0]}). Check that {table} is FootprintIQ's table."
    reason = cause.strip().splitlines()[0].rsplit("failed: ", 1)[-1].rsplit("error: ", 1)[-1]
    return f"{where} cannot be reached ({reason}). Check HUB_SOURCE_URL and that the server is up."
