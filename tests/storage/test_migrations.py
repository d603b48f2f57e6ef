"""PostgreSQL's tables are migrated while others read and write them: nobody waits long, and nobody sees a stack."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace

import pytest
from alembic import command
from sqlalchemy import URL, Connection, NullPool, create_engine, text

from core.platform.errors import Busy, Unusable
from core.storage import db
from core.storage.models import Delivery, State
from tests.conftest import run_on
from tests.support.live import until
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database", ["postgres"], indirect=True),
]
BEFORE = "0002"  # columns and indexes of both growing tables come after it


@pytest.fixture
def older(database: str, workplace: Workplace) -> str:
    """A hub of an older version with a record on its way."""
    workplace.connect("slack")
    with db.session() as session:
        now = db.now(session)
        owner = {"user_id": workplace.who.user_id, "webhook_id": workplace.ids["slack"]}
        record = {"record_kind": "alert", "record_id": 1, "key": "k", "event_type": "e", "payload": "{}"}
        moments = {"wanted_at": now, "created_at": now}
        session.add(Delivery(**owner, **record, **moments, state=State.SENDING, attempt_id=1))
    with db.engine(write=True).connect() as connection:
        config = db._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, BEFORE)
    return database


@contextmanager
def reader(url: str, asked: str) -> Iterator[Connection]:
    """Somebody else's transaction that has read and is still open, as a backup's is."""
    engine = create_engine(url, poolclass=NullPool, isolation_level="REPEATABLE READ")
    with engine.connect() as connection:
        connection.execute(text(asked)).all()
        yield connection


def waits(url: str) -> Callable[[], bool]:
    """Whether some session waits for a lock on a table."""

    def looked() -> bool:
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            asked = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'"
            return bool(connection.execute(text(asked)).scalar())

    return looked


class Writer(threading.Thread):
    """What the hub does all day, in the words that it had before the migration."""

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self.engine = create_engine(url, poolclass=NullPool)
        self.done = 0
        self.trouble: list[str] = []
        self.ended = threading.Event()

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                with self.engine.begin() as connection:
                    connection.execute(text("INSERT INTO counters VALUES ('w', 1) ON CONFLICT DO NOTHING"))
                    connection.execute(text("UPDATE counters SET value = value + 1 WHERE name = 'w'"))
                    connection.execute(text("UPDATE webhook_deliveries SET look_ups = look_ups + 1"))
                self.done += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the test names it
                self.trouble.append(str(error))
            self.ended.wait(0.02)


def columns(url: str) -> set[str]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        asked = "SELECT column_name FROM information_schema.columns WHERE table_name = 'webhook_deliveries'"
        return set(connection.execute(text(asked)).scalars())


def test_a_long_reader_beside_a_migration_stops_nobody(older: str) -> None:
    writer = Writer(older)
    with ThreadPoolExecutor(1) as pool:
        with reader(older, "SELECT * FROM webhook_deliveries"):
            writer.start()
            migrating = pool.submit(db.migrate)
            until(waits(older), "the migration does not wait for the reader")
            before = writer.done
            until(lambda: writer.done > before + 20, "who writes waits as long as the reader reads")
            assert not migrating.done()
            assert "digest_id" not in columns(older)
        migrating.result(60)
    writer.ended.set()
    writer.join(10)
    assert writer.trouble == []
    db.check_current()
    with db.reading() as session:
        row = session.get_one(Delivery, 1)
    assert (row.state, row.attempt_id, row.digest_id) == (State.SENDING, 1, None)


def test_where_no_gap_is_found_a_sentence_says_so_and_the_next_time_goes_on(
    older: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "MIGRATE_WITHIN_S", 0.0)
    with (
        reader(older, "SELECT * FROM webhook_deliveries"),
        pytest.raises(Busy, match="could not be migrated: others read or write"),
    ):
        db.migrate()
    db.migrate()
    db.check_current()


def test_an_index_that_was_broken_off_is_built_again(older: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "MIGRATE_WITHIN_S", 0.0)
    monkeypatch.setattr(db, "INDEXING", replace(db.INDEXING, lock_s=0.2))
    with reader(older, "SELECT 1 FROM users"), pytest.raises(Busy):  # an older snapshot is in an index's way
        db.migrate()
    assert "digest_id" in columns(older)
    assert valid(older, "ix_user_integrations_failing") is False
    db.migrate()
    db.check_current()
    assert valid(older, "ix_user_integrations_failing") is True


def valid(url: str, name: str) -> bool | None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        asked = text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
        return connection.execute(asked, {"name": name}).scalar()


def test_a_server_that_falls_over_meanwhile_is_a_sentence(older: str, postgres: URL) -> None:
    with ThreadPoolExecutor(1) as pool, reader(older, "SELECT 1 FROM users"):
        migrating = pool.submit(db.migrate)
        until(lambda: valid(older, "ix_user_integrations_failing") is False, "no index is built")
        run_on(
            postgres, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '{BUILDING}'"
        )
        with pytest.raises(Unusable, match="cannot be used"):
            migrating.result(30)
    db.migrate()
    db.check_current()


BUILDING = "CREATE INDEX CONCURRENTLY%%"


def test_a_second_migration_waits_for_the_first_and_says_so(
    older: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "MIGRATE_WITHIN_S", 0.0)
    with db._alone(0.0), pytest.raises(Busy, match="Another process migrates the database"):
        db.migrate()
    db.migrate()
    db.check_current()
