"""replays of many deliveries"""

import sqlalchemy as sa
from alembic import op

from core.storage import models

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "replays",
        sa.Column("id", models.BigInt, nullable=False),
        sa.Column("connection_id", sa.String(length=36), nullable=False),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("wanted", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("cursor", models.BigInt, nullable=False),
        sa.Column("last_id", models.BigInt, nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["connection_id"], ["user_integrations.id"]),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    op.drop_table("replays")
