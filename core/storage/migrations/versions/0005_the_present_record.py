"""what waits follows its record: which change a body was mapped from, why a row was skipped, since when a record is wanted"""

import sqlalchemy as sa
from alembic import op

from core.storage import models

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_RECORDS = ("scans", "cases", "monitoring_alerts")
_FILTERED = "Skipped because the connection's filter was changed."


def upgrade() -> None:
    # added in place on both databases; an empty value means: look at the record once more
    op.add_column("webhook_deliveries", sa.Column("record_seq", models.BigInt, nullable=True))
    op.add_column("webhook_deliveries", sa.Column("skipped_by", sa.String(length=10), nullable=True))
    for table in _RECORDS:
        op.add_column(table, sa.Column("risen_at", models.UtcDateTime(timezone=True), nullable=True))
    rows = sa.table("webhook_deliveries", sa.column("state"), sa.column("reason"), sa.column("skipped_by"))
    op.execute(
        rows.update()
        .where(rows.c.state == "skipped")
        .values(skipped_by=sa.case((rows.c.reason == _FILTERED, "filter"), else_="person"))
    )


def downgrade() -> None:
    for table in _RECORDS:
        op.drop_column(table, "risen_at")
    op.drop_column("webhook_deliveries", "skipped_by")
    op.drop_column("webhook_deliveries", "record_seq")
