"""where a case's ticket is, or may be"""

import sqlalchemy as sa
from alembic import op

from core.storage.migrations import steps

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None

_CASE = "record_kind = 'case'"


def upgrade() -> None:
    steps.add_columns("webhook_deliveries", sa.Column("place", sa.String(), nullable=True))
    steps.create_index(
        "ix_webhook_deliveries_case_key", "webhook_deliveries", ["record_kind", "key"], where=_CASE
    )
    # '' is: wherever its connection writes. Cases alone have tickets, and are few beside scans and alerts
    op.execute(
        "UPDATE webhook_deliveries SET place = '' WHERE record_kind = 'case' "
        "AND (state IN ('sending', 'delivered') OR in_doubt_since IS NOT NULL)"
    )


def downgrade() -> None:
    op.drop_index("ix_webhook_deliveries_case_key", "webhook_deliveries")
    op.drop_column("webhook_deliveries", "place")
