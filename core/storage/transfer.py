"""A whole hub from one database into another, as from a SQLite file to PostgreSQL.

Table by table, in one reading transaction there and one writing transaction here: all or nothing. What the migrations
put into the new database gives way to what the old one has; numbers go on after the largest.
"""

from collections.abc import Callable

from sqlalchemy import Connection, func, select, text
from sqlmodel import SQLModel

from core.platform.errors import Conflict
from core.storage import db, db_errors
from core.storage.models import User

#: rows in a statement: reading and writing them takes well under the seconds that a silent transaction has
CHUNK = 5_000

#: (table, rows so far)
Progress = Callable[[str, int], None]


def transfer(target_url: str, progress: Progress | None = None) -> dict[str, int]:
    """Copy all tables into the database at `target_url`, which is made or migrated first; how many rows of each.

    Raises Conflict when somebody uses that one already, and Unusable when either cannot be used. From then on this
    process is at the new database.
    """
    db.check_current()
    source = db.create(db.engine().url.render_as_string(hide_password=False))
    db.configure(target_url)
    db.migrate()
    try:
        with source.connect() as old:
            return _copy(old, progress)
    finally:
        source.dispose()


@db.unit
def _copy(old: Connection, progress: Progress | None) -> dict[str, int]:
    tables = SQLModel.metadata.sorted_tables
    with db.session() as session:
        new = session.connection()
        if new.execute(select(func.count()).select_from(User)).scalar_one():
            shown = db_errors.address(db.engine().url)
            raise Conflict(f"The database {shown} has people in it already. Name an empty one.")
        for table in reversed(tables):
            if table.name != "audit_log":  # nobody may empty that one, and a new one is empty
                new.execute(table.delete())
        copied = {}
        for table in tables:
            copied[table.name] = 0
            for part in (
                old.execution_options(stream_results=True)
                .execute(table.select())
                .mappings()
                .partitions(CHUNK)
            ):
                new.execute(table.insert(), [dict(row) for row in part])
                copied[table.name] += len(part)
                if progress:
                    progress(table.name, copied[table.name])
        if new.dialect.name == "postgresql":
            _go_on_counting(new)
        return copied


def _go_on_counting(new: Connection) -> None:
    """The next number of each table is after the largest."""
    for table in SQLModel.metadata.sorted_tables:
        for column in table.primary_key.columns:
            named = {"table": table.name, "column": column.name}
            sequence = new.execute(text("SELECT pg_get_serial_sequence(:table, :column)"), named).scalar()
            if sequence:
                largest = new.execute(select(func.max(column))).scalar()
                new.execute(
                    text("SELECT setval(:name, :value, :is_used)"),
                    {"name": sequence, "value": largest or 1, "is_used": largest is not None},
                )
