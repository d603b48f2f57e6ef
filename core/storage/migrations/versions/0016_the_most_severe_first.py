"""how severe what waits is, and how far a connection has looked for the most severe ahead of the rest"""

import sqlalchemy as sa
from alembic import op

from core.storage.migrations import steps

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_INDEX = "ix_webhook_deliveries_severity"
_DUE = "state IN ('pending', 'retrying', 'in_doubt')"
#: what may be sent still, as the partial indexes have it; what was delivered stays without
_UNSENT = (_DUE, "state = 'sending'", "state IN ('dead', 'held')", "state = 'skipped'")
_WORDS = "('low', 'medium', 'high', 'critical')"
#: by kind: the table, and core.integrations.mapping.severity of its rows as it was then
_SEVERITY = {
    "scan": (
        "scans",
        f"CASE WHEN lower(r.severity) IN {_WORDS} THEN lower(r.severity) WHEN r.high_risk_count >= 15 THEN 'critical' "
        "WHEN r.high_risk_count >= 5 THEN 'high' WHEN r.high_risk_count >= 1 THEN 'medium' ELSE 'low' END",
    ),
    "case": (
        "cases",
        f"CASE WHEN lower(r.priority) IN {_WORDS} THEN lower(r.priority) ELSE 'medium' END",
    ),
    "alert": (
        "monitoring_alerts",
        f"CASE WHEN lower(r.severity) IN {_WORDS} THEN lower(r.severity) ELSE 'medium' END",
    ),
}


def upgrade() -> None:
    steps.add_columns("webhook_deliveries", sa.Column("severity", sa.String(length=10), nullable=True))
    steps.add_columns(
        "user_integrations", sa.Column("ahead", sa.JSON(), nullable=False, server_default=sa.text("'{}'"))
    )
    for which in _UNSENT:
        _fill(which)
    steps.create_index(
        _INDEX, "webhook_deliveries", ["webhook_id", "severity", "next_attempt_at"], where=_DUE
    )
    if op.get_bind().dialect.name == "sqlite":  # 0011: what its planner believes
        op.execute(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) "
            f"VALUES ('webhook_deliveries', '{_INDEX}', '5000 100 25 1')"
        )
        op.execute("ANALYZE sqlite_schema")


def _fill(which: str) -> None:
    for kind, (table, severity) in _SEVERITY.items():
        op.execute(
            f"UPDATE webhook_deliveries SET severity = "  # noqa: S608 - the words above
            f"(SELECT {severity} FROM {table} r WHERE r.local_id = webhook_deliveries.record_id) "
            f"WHERE {which} AND record_kind = '{kind}'"
        )
    op.execute(
        "UPDATE webhook_deliveries SET severity = 'high' "  # noqa: S608 - the words above
        f"WHERE {which} AND record_kind IN ('notice', 'digest')"
    )


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"DELETE FROM sqlite_stat1 WHERE idx = '{_INDEX}'")  # noqa: S608
    op.drop_index(_INDEX, "webhook_deliveries")
    op.drop_column("user_integrations", "ahead")
    op.drop_column("webhook_deliveries", "severity")
