"""What a migration does to tables that grow, while others read and write them.

On PostgreSQL an index is built beside readers and writers, which a transaction cannot do: whatever the step did
before is committed without it. So a step that calls `create_index` may run a second time after it was broken off,
and everything in it must bear that: columns by `add_columns`, tables with `if_not_exists=True`. On SQLite a whole
migration is one transaction, and these are the plain statements.
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from core.storage import db

_IS_VALID = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


def add_columns(table: str, *columns: "sa.Column[Any]") -> None:
    """Add the columns that are not there yet. A constant `server_default` rewrites no row on either database."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns(table)}
    for column in columns:
        if column.name not in there:
            op.add_column(table, column)


def create_index(
    name: str,
    table: str,
    columns: Sequence["str | sa.TextClause"],
    *,
    where: str | None = None,
    unique: bool = False,
) -> None:
    """Build an index, on PostgreSQL without stopping anybody (CONCURRENTLY); `where` makes it partial."""
    only = None if where is None else sa.text(where)
    if op.get_bind().dialect.name != "postgresql":
        op.create_index(name, table, columns, unique=unique, sqlite_where=only)
        return
    with op.get_context().autocommit_block():
        is_valid = op.get_bind().execute(_IS_VALID, {"name": name}).scalar()
        if is_valid:
            return
        db.limit(op.get_bind(), db.INDEXING)
        if is_valid is False:  # what a build that was broken off leaves: kept up to date, and never used
            op.drop_index(name, table, postgresql_concurrently=True)
        op.create_index(
            name, table, columns, unique=unique, postgresql_where=only, postgresql_concurrently=True
        )
        db.limit(op.get_bind(), db.MIGRATING)
