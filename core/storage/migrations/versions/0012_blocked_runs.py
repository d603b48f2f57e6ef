"""runs that could not call anybody are counted apart; a backlog can be sent at once; whose log has others' records"""

import sqlalchemy as sa
from alembic import op

from core.storage.migrations import steps

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    steps.add_columns(
        "hourly_figures", sa.Column("runs_blocked", sa.Integer(), nullable=False, server_default="0")
    )
    steps.add_columns(
        "user_integrations",
        sa.Column("drain_to", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("mixed", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.execute(sa.text("UPDATE user_integrations SET mixed = true WHERE scope = 'all'"))


def downgrade() -> None:
    op.drop_column("user_integrations", "mixed")
    op.drop_column("user_integrations", "drain_to")
    op.drop_column("hourly_figures", "runs_blocked")
