"""what retention finds old texts and hours by"""

import sqlalchemy as sa
from alembic import op

from core.storage.migrations import steps

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_DELIVERED = (
    "state = 'delivered' AND (payload IS NOT NULL OR response_body IS NOT NULL OR reason IS NOT NULL)"
)
_STOPPED = (
    "state IN ('dead', 'skipped') AND "
    "(payload IS NOT NULL OR response_body IS NOT NULL OR (reason IS NOT NULL AND state = 'dead'))"
)
#: index → (table, column, which rows)
_INDEXES = {
    "ix_webhook_deliveries_delivered": ("webhook_deliveries", "delivered_at", _DELIVERED),
    "ix_webhook_deliveries_stopped": ("webhook_deliveries", "created_at", _STOPPED),
    "ix_hourly_figures_unfolded": ("hourly_figures", "hour", "NOT is_day"),
}


def upgrade() -> None:
    steps.add_columns(
        "hourly_figures", sa.Column("is_day", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    for name, (table, column, which) in _INDEXES.items():
        steps.create_index(name, table, [column], where=which)
    op.execute("DELETE FROM counters WHERE name = 'retention_deliveries'")


def downgrade() -> None:
    for name, (table, _, _) in _INDEXES.items():
        op.drop_index(name, table)
    op.drop_column("hourly_figures", "is_day")
