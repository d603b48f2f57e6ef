"""The database: its address, its migrations, its transactions; a sentence for everything that is wrong with it."""

import os
import stat
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg import errors
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlmodel import SQLModel, select

from core.platform.errors import Full, Unusable
from core.storage import db
from core.storage.models import AuditEntry, Counter


def test_the_migrations_make_the_tables_of_the_models(database: str) -> None:
    with db.engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []


def test_migrating_again_changes_nothing(database: str) -> None:
    with db.session() as session:
        session.add(Counter(name="kept", value=7))
    db.migrate()
    db.check_current()
    with db.reading() as session:
        assert session.get_one(Counter, "kept").value == 7


def test_an_exception_rolls_back_and_the_lock_is_free_again(database: str) -> None:
    with pytest.raises(ZeroDivisionError), db.session() as session:
        session.add(Counter(name="lost", value=1))
        session.flush()
        raise ZeroDivisionError
    with db.session() as session:
        assert session.get(Counter, "lost") is None


def test_the_clock_is_utc(database: str) -> None:
    with db.reading() as session:
        now = db.now(session)
    assert now.utcoffset() is not None
    assert now.utcoffset().total_seconds() == 0


@pytest.mark.parametrize("value", [[1, 2.5, None], {"é": [{}]}, {"half a pair": "\ud800"}])
def test_json_columns_keep_what_was_written_without_spaces(database: str, value: object) -> None:
    with db.session() as session:
        at = db.now(session)
        session.add(AuditEntry(at=at, actor="test", action="noted", details={"value": value, "and": 1}))
    with db.reading() as session:
        assert session.exec(select(AuditEntry.details)).one() == {"value": value, "and": 1}
        written = session.execute(text("SELECT CAST(details AS text) FROM audit_log")).scalar_one()
    assert ": " not in written


def test_a_new_sqlite_file_is_its_owners_alone_and_keeps_what_was_committed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "hub.db"
    db.configure(f"sqlite:///{path}")
    db.migrate()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with db.engine().connect() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2  # FULL
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1


def test_each_connection_of_the_pool_writes_to_the_disk_before_it_answers(
    sqlite_database: str,
) -> None:
    db.configure(sqlite_database)
    with ExitStack() as stack:
        opened = [stack.enter_context(db.engine(write).connect()) for write in (False, True) * 4]
        raw = [connection.connection.dbapi_connection for connection in opened]
        assert len({id(each) for each in raw}) == 8
        assert [each.execute("PRAGMA synchronous").fetchone()[0] for each in raw if each] == [2] * 8  # FULL


@pytest.mark.parametrize(
    ("fault", "kind", "sentence"),
    [
        (errors.DiskFull("could not extend file"), Full, "is full; nothing was written"),
        (errors.AdminShutdown("terminating connection"), Unusable, "cannot be used"),
        (errors.ReadOnlySqlTransaction("cannot execute UPDATE"), Unusable, "can only be read"),
    ],
)
def test_what_a_server_says_in_the_middle_is_a_sentence(
    database: str, fault: psycopg.Error, kind: type[Unusable], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence), db.session():
        raise DBAPIError.instance("UPDATE", {}, fault, psycopg.Error)  # type: ignore[misc]


def test_an_error_of_a_statement_passes_as_it_is(database: str) -> None:
    with pytest.raises(IntegrityError), db.session() as session:
        session.add_all([Counter(name="twice", value=1), Counter(name="other", value=2)])
        session.flush()
        session.execute(text("INSERT INTO counters (name, value) VALUES ('twice', 3)"))
    with pytest.raises(DBAPIError, match="no_such_table"), db.session() as session:
        session.execute(text("SELECT * FROM no_such_table"))


def test_a_file_that_is_gone_is_not_replaced_by_an_empty_one(sqlite_database: str, tmp_path: Path) -> None:
    db.configure(sqlite_database)
    (tmp_path / "hub.db").rename(tmp_path / "elsewhere")
    with pytest.raises(Unusable, match="unable to open database file"), db.session():
        pass
    assert not (tmp_path / "hub.db").exists()
    (tmp_path / "elsewhere").rename(tmp_path / "hub.db")
    db.check_current()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("nonsense", "HUB_DATABASE_URL is not a database address"),
        ("mysql://u:hunter2@h/d", "HUB_DATABASE_URL is not a database address"),
        ("sqlite://", "The hub's processes share one database file."),
        ("postgresql://u:hunter2@127.0.0.1:1/d", "cannot be used"),
    ],
)
def test_a_wrong_address_is_one_sentence_without_the_password(url: str, sentence: str) -> None:
    with pytest.raises(Unusable) as caught:
        db.configure(url)
        db.migrate()
    assert sentence in caught.value.message
    assert "hunter2" not in caught.value.message
    assert "\n" not in caught.value.message


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(os.urandom(8192))
    db.configure(f"sqlite:///{path}")
    with pytest.raises(Unusable, match="is not a SQLite database"):
        db.migrate()


def test_a_newer_database_is_left_alone(database: str) -> None:
    with db.session() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    for verb in (db.migrate, db.check_current):
        with pytest.raises(Unusable, match=r"made by a newer hub \(revision 9999\)"):
            verb()


def test_a_missing_database_leads_to_init(tmp_path: Path) -> None:
    db.configure(f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(Unusable, match="Run `hub init`"):
        db.check_current()


def test_the_versions_of_the_tables_are_alembics_own() -> None:
    steps = ScriptDirectory.from_config(db._alembic())
    assert db._known() == [step.revision for step in reversed(list(steps.walk_revisions()))]
    assert db._known()[-1] == steps.get_current_head()


def migrate_to(revision: str) -> None:
    """Back to an older release's tables."""
    with db.engine(write=True).begin() as connection:
        config = db._alembic()
        config.attributes["connection"] = connection
        command.downgrade(config, revision)


def test_a_step_back_and_forth_keeps_what_was_there(database: str) -> None:
    """Down to the release before notices and digests, and up again."""
    with db.session() as session:
        session.add(Counter(name="kept", value=7))
    migrate_to("0002")
    with pytest.raises(Unusable, match="older than this hub"):
        db.check_current()
    db.migrate()
    db.check_current()
    with db.engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, SQLModel.metadata) == []
    with db.reading() as session:
        assert session.get_one(Counter, "kept").value == 7
