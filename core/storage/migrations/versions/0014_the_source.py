"""who pulls the source, and how it went"""

import sqlalchemy as sa
from alembic import op

from core.storage import models

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    moments = ("lease_until", "began_at", "ended_at", "read_until")
    op.create_table(
        "source_pulls",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("address", sa.String(length=254), nullable=False),
        sa.Column("pull_id", sa.String(length=36), nullable=True),
        *(sa.Column(name, models.UtcDateTime(timezone=True), nullable=True) for name in moments),
        sa.Column("error", sa.Text(), nullable=True),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in ("new", "changed", "refused")),
        sa.Column("refused_reason", sa.Text(), nullable=True),
        sa.Column("refused_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("source"),
    )


def downgrade() -> None:
    op.drop_table("source_pulls")
