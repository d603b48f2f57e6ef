"""what the hub itself says: notices of failing connections, digests of storms"""

import sqlalchemy as sa
from alembic import op

from core.storage import models
from core.storage.migrations import steps

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_OF_CONNECTIONS = ("failing_since", "last_failure_at", "told_day", "lately", "digest_at")


def upgrade() -> None:
    op.create_table(
        "hub_messages",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("about_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        if_not_exists=True,
    )
    # added in place on both databases: rewriting the log of deliveries could take minutes
    moments = ("failing_since", "last_failure_at", "digest_at")
    steps.add_columns(
        "user_integrations",
        *(sa.Column(name, models.UtcDateTime(timezone=True), nullable=True) for name in moments),
        sa.Column("told_day", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("lately", sa.JSON(), nullable=False, server_default="[]"),
    )
    steps.add_columns("webhook_deliveries", sa.Column("digest_id", _BIG, nullable=True))
    steps.create_index(
        "ix_user_integrations_failing",
        "user_integrations",
        ["failing_since"],
        where="failing_since IS NOT NULL",
    )
    steps.create_index(
        "ix_webhook_deliveries_digest", "webhook_deliveries", ["digest_id"], where="digest_id IS NOT NULL"
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_deliveries_digest", "webhook_deliveries")
    op.drop_index("ix_user_integrations_failing", "user_integrations")
    op.drop_column("webhook_deliveries", "digest_id")
    for name in _OF_CONNECTIONS:
        op.drop_column("user_integrations", name)
    op.drop_table("hub_messages")
