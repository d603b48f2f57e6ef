"""The engine, transactions, and the database's clock; migrations by Alembic.

One database per process: from the settings, or from `configure(url)`. SQLite runs in WAL mode with
`synchronous=FULL`, so what was committed is on disk. A writing transaction starts with BEGIN IMMEDIATE,
because a read that becomes a write fails at once on SQLite, whatever the busy timeout
(https://sqlite.org/lang_transaction.html).
"""

import json
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from random import random
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import orjson
from sqlalchemy import URL, Connection, Engine, Result, create_engine, event, func, inspect, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    NoSuchModuleError,
    PendingRollbackError,
)
from sqlmodel import Session, SQLModel

from core.platform.errors import Busy, Unusable
from core.platform.settings import settings
from core.storage import db_errors

if TYPE_CHECKING:
    import psycopg
    from alembic.config import Config

P = ParamSpec("P")
T = TypeVar("T")
Model = TypeVar("Model", bound=SQLModel)
BUSY_TIMEOUT_MS = 10_000
#: Seconds, each varied by half: who met in a deadlock must not meet again. With three waits for a lock this is longer
#: than an idle transaction lives, so who waits for a writer that was stopped gets its turn.
AGAIN_S = (0.05, 0.2)


@dataclass(frozen=True)
class WaitLimits:
    """How long PostgreSQL lets one of the hub's sessions wait or hold on, in seconds; 0 is without end."""

    lock_s: float  # for a lock that another session holds
    statement_s: float  # for one statement in all
    idle_s: float  # inside a transaction without a word: then it is ended, and its locks are free


#: The others hold a lock for less than half a second (`core.records.intake.BATCH`). A statement that takes as long as a
#: lease is worth nothing to its run. A transaction of the hub talks all the time: one that is silent for so long
#: belongs to a process that was stopped, and loses nothing but its place.
WORKING = WaitLimits(lock_s=5, statement_s=60, idle_s=12)
#: One table waits so long for a step; behind the step wait all who come later, so it is short and tried again.
MIGRATING = WaitLimits(lock_s=1, statement_s=0, idle_s=0)
#: An index that is built beside the others stops nobody while it waits for them.
INDEXING = WaitLimits(lock_s=600, statement_s=0, idle_s=0)
MIGRATE_WITHIN_S = 120.0  # a step that found no gap by then says so
MIGRATE_PAUSE_S = 1.0  # as long as it was in the others' way
#: An advisory lock. Without a parameter: psycopg leaves the portal of a statement with parameters open, and with it
#: a snapshot, for which an index that is built beside the others would wait.
_ONE_MIGRATION = f"SELECT pg_try_advisory_xact_lock({0x4855_42})"
_MIGRATIONS = Path(__file__).parent / "migrations"
_TURNS = 0x4855_43  # the first half of our advisory locks by name
_engines: dict[str, Engine] = {}


def configure(url: str) -> None:
    """Point this process at the database at `url`. Raises Unusable when the address makes no sense."""
    _close()
    engine = create(url)
    _engines["read"] = engine.execution_options(hub_write=False)
    _engines["write"] = engine.execution_options(hub_write=True)


def engine(write: bool = False) -> Engine:
    if not _engines:
        configure(settings().database_url)
    return _engines["write" if write else "read"]


def unit(work: Callable[P, T]) -> Callable[P, T]:
    """A function that is one writing transaction: called again, twice at most, when PostgreSQL gave it up.

    For a deadlock, say. So before the commit it changes nothing but the database; what it does in memory it does
    after the `with`, or by `afterwards`. Raises Busy when the third time was no better.
    """

    @wraps(work)
    def repeated(*arguments: P.args, **named: P.kwargs) -> T:
        for wait_s in AGAIN_S:
            try:
                return work(*arguments, **named)
            except Busy:
                sleep(wait_s * (0.5 + random()))
        return work(*arguments, **named)

    return repeated


def afterwards(session: Session, change: Callable[[], None]) -> None:
    """Do `change`, in memory, when the session's transaction is committed; nothing when it is not."""
    event.listen(session, "after_commit", lambda _session: change())


@contextmanager
def session() -> Iterator[Session]:
    """One writing transaction: committed at the end, rolled back on any exception.

    Raises Busy, Full or Unusable when the database fails under it; an error of a statement passes as it is.
    """
    with _told(), _begin(write=True) as opened:
        yield opened
        opened.commit()


@contextmanager
def reading() -> Iterator[Session]:
    """One reading transaction; nothing is committed. Raises Unusable as `session` does."""
    with _told(), _begin(write=False) as opened:
        yield opened


def now(session: Session) -> datetime:
    """Read the time of the database's clock: all processes that share a database agree on it."""
    if session.get_bind().dialect.name == "sqlite":
        return datetime.now(UTC)  # an embedded database has this machine's clock
    moment: datetime = session.execute(select(func.clock_timestamp())).scalar_one()
    return moment.astimezone(UTC)


def locked(session: Session, table: type[Model], id: object) -> Model:
    """Lock a row until the commit and return it as it is now; others may still refer to it."""
    return session.get_one(table, id, with_for_update={"key_share": True}, populate_existing=True)


def affected(result: Result[Any]) -> int:
    """Return how many rows an UPDATE, DELETE or INSERT touched."""
    return int(getattr(result, "rowcount", 0))


def upsert(session: Session, table: Any) -> Any:
    """INSERT … ON CONFLICT as the session's database has it."""
    return insert_of(session.get_bind().dialect.name, table)


def insert_of(dialect: str, table: Any) -> Any:
    """`upsert` of a database by its name, for a statement that is made once."""
    return (sqlite if dialect == "sqlite" else postgresql).insert(table)


def take_turns(session: Session, name: str) -> None:
    """Wait until no other transaction has this name's turn, and have it until the end of this one.

    SQLite has one writer at a time anyway.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_TURNS, func.hashtext(name))))


def migrate() -> None:
    """Create the tables or bring them up to date. Safe to repeat, and from several processes at once.

    Raises Busy where others hold the tables too long; each step that was made stays, and the next call goes on.
    """
    _make_file(engine().url)
    with _explained():
        if engine().dialect.name == "postgresql":
            _migrate_beside_others(monotonic() + MIGRATE_WITHIN_S)
            return
        with engine(write=True).begin() as connection:
            _refuse_newer(connection)
            _upgrade(connection)


def limit(connection: Connection, limits: WaitLimits) -> None:
    """Give this session of PostgreSQL other limits, until it is given others again."""
    connection.exec_driver_sql(limiting(limits))


def is_made() -> bool:
    """Tell whether there is a database with the hub's tables, of whatever version."""
    url = engine().url
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        return False
    with _explained(), engine().connect() as connection:
        return _version(connection) is not None


def check_current() -> None:
    """Check the tables' version. Raises Unusable when they are missing or are of another version than this code."""
    url = engine().url
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        raise Unusable(f"There is no database at {url.database} yet. Run `hub init` to create it.")
    with _explained(), engine().connect() as connection:
        current = _refuse_newer(connection)
    if current != _known()[-1]:
        raise Unusable(
            f"The database {db_errors.address(url)} is older than this hub. Run `hub init` to migrate it."
        )


def shrink_log() -> int:
    """Move SQLite's write-ahead log into the database and empty it; how many bytes that freed."""
    url = engine().url
    if url.get_backend_name() != "sqlite" or not Path(str(url.database)).exists():
        return 0
    path = Path(f"{url.database}-wal")
    before = path.stat().st_size if path.exists() else 0
    with _explained(), engine().connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return max(0, before - (path.stat().st_size if path.exists() else 0))


def _migrate_beside_others(until: float) -> None:
    """On PostgreSQL, where the hub may be running: each step is tried until it finds a gap."""
    with _alone(until):
        while True:
            try:
                with _migrating() as connection:
                    return _upgrade(connection)
            except DBAPIError as error:
                if not db_errors.may_go_through(error):
                    raise
                if monotonic() >= until:
                    raise Busy(_in_the_way()) from error
            sleep(MIGRATE_PAUSE_S)


@contextmanager
def _alone(until: float) -> Iterator[None]:
    """One migration at a time, until its transaction ends. Asked for again and again: a statement that waits for the
    lock holds a snapshot, too."""
    with _migrating() as holder:
        while not holder.exec_driver_sql(_ONE_MIGRATION).scalar():
            holder.rollback()
            if monotonic() >= until:
                shown = db_errors.address(engine().url)
                raise Busy(f"Another process migrates the database {shown}. Try again when it has ended.")
            sleep(0.2)
        yield


@contextmanager
def _migrating() -> Iterator[Connection]:
    """A session of its own, which does not go back to the pool with these limits."""
    with engine(write=True).connect() as connection:
        try:
            limit(connection, MIGRATING)
            _refuse_newer(connection)
            connection.commit()
            yield connection
        finally:
            connection.invalidate()


def _upgrade(connection: Connection) -> None:
    from alembic import command  # slow to import, and most processes upgrade nothing

    config = _alembic()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _alembic() -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    return config


def _in_the_way() -> str:
    return (
        f"The database {db_errors.address(engine().url)} could not be migrated: others read or write its tables "
        "without a pause (a backup, or a transaction that was left open). End them or wait, then run `hub init` "
        "again; it goes on where it stopped."
    )


def _known() -> list[str]:
    """The versions of the tables that this code knows, oldest first: the first word of each step's file name."""
    return sorted(path.name.partition("_")[0] for path in _MIGRATIONS.glob("versions/[0-9]*.py"))


def _version(connection: Connection) -> str | None:
    """The version of the tables, as Alembic keeps it; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def _refuse_newer(connection: Connection) -> str | None:
    current = _version(connection)
    if current is not None and current not in _known():
        raise Unusable(
            f"The database {db_errors.address(engine().url)} was made by a newer hub (revision {current}). "
            "Install that version or restore an older copy of the database."
        )
    return current


@contextmanager
def _begin(write: bool) -> Iterator[Session]:
    bound = engine(write)
    with Session(bound, expire_on_commit=False) as opened:
        with _explained():
            opened.connection()
        yield opened


@contextmanager
def _explained() -> Iterator[None]:
    """A database that cannot be reached, opened or locked becomes one sentence, without the password."""
    try:
        yield
    except PendingRollbackError as error:  # Alembic's tidying met a connection that had broken before
        raise db_errors.reason(engine().url, error.__context__ or error) from error
    except (DBAPIError, OSError) as error:
        raise db_errors.reason(engine().url, error) from error


@contextmanager
def _told() -> Iterator[None]:
    """The same in the middle of a transaction, where a statement may also fail for reasons of its own."""
    try:
        yield
    except DBAPIError as error:
        if not db_errors.is_trouble(error):
            raise
        raise db_errors.reason(engine().url, error) from error


def create(url: str) -> Engine:
    """Make an engine for the database at `url`. Raises Unusable when the address makes no sense."""
    try:
        parsed = make_url(url)
        if parsed.drivername in ("postgres", "postgresql"):
            parsed = parsed.set(drivername="postgresql+psycopg")
        if parsed.get_backend_name() not in ("sqlite", "postgresql"):
            raise ArgumentError(parsed.get_backend_name())
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        made = create_engine(parsed, pool_pre_ping=True, pool_size=20, max_overflow=20, **_SHARED)
        event.listen(made, "connect", _prepare_postgres)
        event.listen(made, "handle_error", db_errors.leave_values_out)
        return made
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise Unusable(
            "HUB_DATABASE_URL is not a database address the hub can use. "
            "Write sqlite:///data/hub.db or postgresql+psycopg://user:password@host/name."
        ) from None


def _prepare_postgres(raw: "psycopg.Connection", _record: Any) -> None:
    """By a statement: poolers refuse the options of a start-up packet (pgbouncer.org, ignore_startup_parameters)."""
    raw.autocommit = True
    raw.execute(limiting(WORKING))
    raw.autocommit = False


def limiting(limits: WaitLimits) -> str:
    """Return the statements that give a session of PostgreSQL these limits."""
    named = {
        "lock_timeout": limits.lock_s,
        "statement_timeout": limits.statement_s,
        "idle_in_transaction_session_timeout": limits.idle_s,
    }
    return "; ".join(f"SET {name} = {round(seconds * 1000)}" for name, seconds in named.items())


def _from_json(text: str | bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # half a surrogate pair, say, as a vendor's answer may hold
        return json.loads(text)


class Json(str):
    """Text that is JSON already: a JSON column takes it as it is."""


def _to_json(value: Any) -> str:
    if isinstance(value, Json):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # half a surrogate pair, a number of more than 64 bits
        return json.dumps(value, separators=(",", ":"))


#: JSON columns are written without spaces, and read by orjson: a page spent half its time on reading them. What a
#: statement was given stays out of its errors, and so out of logs.
_SHARED: dict[str, Any] = {
    "hide_parameters": True,
    "json_serializer": _to_json,
    "json_deserializer": _from_json,
}


def _sqlite(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise Unusable(
            "The hub's processes share one database file. Write HUB_DATABASE_URL=sqlite:///data/hub.db."
        )
    threads = {"check_same_thread": False}
    made = create_engine(url, pool_size=20, max_overflow=40, connect_args=threads, **_SHARED)
    event.listen(made, "do_connect", _open_sqlite)
    event.listen(made, "connect", _prepare_sqlite)
    event.listen(made, "begin", _begin_sqlite)
    return made


def _open_sqlite(_dialect: Any, _record: Any, place: Any, options: Any) -> sqlite3.Connection:
    """Never make the file: where it is gone for a moment, an empty one in its place would look like all is lost."""
    address = f"{Path(place[0]).absolute().as_uri()}?mode=rw"
    opened: sqlite3.Connection = sqlite3.connect(address, uri=True, **options)
    return opened


def _prepare_sqlite(raw: sqlite3.Connection, _record: Any) -> None:
    raw.isolation_level = None  # BEGIN is ours, see _begin_sqlite
    raw.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    raw.execute("PRAGMA journal_mode = WAL")
    raw.execute("PRAGMA synchronous = FULL")
    raw.execute("PRAGMA foreign_keys = ON")
    raw.execute("PRAGMA wal_autocheckpoint = 4000")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("hub_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _make_file(url: URL) -> None:
    """A new database file is its owner's alone: it holds personal records."""
    if url.get_backend_name() != "sqlite" or not url.database:
        return
    with _explained():
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(url.database, os.O_CREAT | os.O_RDWR, 0o600))


def _close() -> None:
    for opened in _engines.values():
        opened.dispose()
    _engines.clear()
