"""Alembic's entry: runs the steps on the connection that `core.storage.db.migrate` gives."""

from alembic import context
from sqlmodel import SQLModel

from core.storage import models

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    user_module_prefix="models.",
    render_as_batch=True,
    transaction_per_migration=True,  # on PostgreSQL; on SQLite the caller's transaction is around them all
)
assert models.Connection.__table__ is not None  # type: ignore[attr-defined]
with context.begin_transaction():
    context.run_migrations()
