"""where what many are looked for in is found: pages by connection, skipped rows, SQLite's statistics"""

import sqlalchemy as sa
from alembic import op

from core.storage.migrations import steps

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

#: index → (table, columns, which rows)
_INDEXES: dict[str, tuple[str, list[str], str | None]] = {
    "ix_webhook_deliveries_connection": ("webhook_deliveries", ["webhook_id", "id"], None),
    "ix_webhook_deliveries_skipped": ("webhook_deliveries", ["webhook_id", "id"], "state = 'skipped'"),
    "ix_webhook_deliveries_sending": (
        "webhook_deliveries",
        ["webhook_id", "attempt_id"],
        "state = 'sending'",
    ),
    "ix_siem_events_connection": ("siem_events", ["integration_id", "id"], None),
    "ix_siem_events_waiting": ("siem_events", ["integration_id", "id"], "NOT is_exported"),
    "ix_ticket_integrations_connection": ("ticket_integrations", ["integration_id", "id"], None),
    "ix_integration_logs_newest": ("integration_logs", ["user_integration_id", "id"], None),
}

#: What SQLite's planner believes of the tables that grow: a large hub with fifty connections. Nobody runs ANALYZE
#: on a hub, and without statistics SQLite takes every index for as good as the next, a partial one with ten rows
#: for no better than one with ten million. They are written once and stay, so the plans do, too
#: (https://sqlite.org/queryplanner-ng.html#howtofix). First number: rows; then: rows with the same first column,
#: with the same first two …
_STATISTICS = {
    "webhook_deliveries": {
        "sqlite_autoindex_webhook_deliveries_1": "10000000 200000 1",  # webhook_id, key
        "ix_webhook_deliveries_connection": "10000000 200000 1",
        "ix_webhook_deliveries_record": "10000000 3300000 50",
        "ix_webhook_deliveries_due": "5000 100 1",
        "ix_webhook_deliveries_stuck": "5000 100",
        "ix_webhook_deliveries_skipped": "5000 100 1",
        "ix_webhook_deliveries_sending": "1000 50 20",
        "ix_webhook_deliveries_digest": "50000 50",
        "ix_webhook_deliveries_case_key": "3000000 3000000 2",
        "ix_webhook_deliveries_delivered": "9000000 100",
        "ix_webhook_deliveries_stopped": "5000 1",
    },
    "siem_events": {
        "sqlite_autoindex_siem_events_1": "3000000 1",  # delivery_id
        "ix_siem_events_connection": "3000000 200000 1",
        "ix_siem_events_waiting": "5000 200 1",
    },
    "ticket_integrations": {
        "sqlite_autoindex_ticket_integrations_1": "3000000 200000 1",  # integration_id, case_id
        "sqlite_autoindex_ticket_integrations_2": "3000000 200000 1",  # integration_id, external_ticket_id
        "ix_ticket_integrations_connection": "3000000 200000 1",
    },
    "delivery_attempts": {
        "ix_delivery_attempts_open": "20 1",
        "ix_delivery_attempts_delivery": "1000000 2",
    },
    "integration_logs": {
        "sqlite_autoindex_integration_logs_1": "1000000 1",  # run_id
        "ix_integration_logs_connection": "1000000 20000 1",
        "ix_integration_logs_created": "1000000 1",
        "ix_integration_logs_newest": "1000000 20000 1",
    },
    **{
        table: {
            f"sqlite_autoindex_{table}_1": "1000000 250000 1",  # owner_id, id
            f"ux_{table}_change_seq": "1000000 1",
            f"ix_{table}_owner_change": "1000000 250000 1",
            f"ix_{table}_id": "1000000 1",
        }
        for table in ("scans", "cases", "monitoring_alerts")
    },
}


def upgrade() -> None:
    for name, (table, columns, which) in _INDEXES.items():
        steps.create_index(name, table, columns, where=which)
    op.drop_index("ix_webhook_deliveries_attempt", "webhook_deliveries", if_exists=True)  # knew no connection
    if op.get_bind().dialect.name == "sqlite":
        _tell_the_planner()


def _tell_the_planner() -> None:
    op.execute("ANALYZE alembic_version")  # makes the table of statistics
    for table, indexes in _STATISTICS.items():
        op.execute(sa.text("DELETE FROM sqlite_stat1 WHERE tbl = :table").bindparams(table=table))
        for index, numbers in indexes.items():
            row = {"table": table, "index": index, "numbers": numbers}
            op.execute(
                sa.text(
                    "INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES (:table, :index, :numbers)"
                ).bindparams(**row)
            )
    op.execute("ANALYZE sqlite_schema")  # read now what was written


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1")
        op.execute("ANALYZE sqlite_schema")
    where = sa.text("state = 'sending'")
    op.create_index(
        "ix_webhook_deliveries_attempt",
        "webhook_deliveries",
        ["attempt_id"],
        sqlite_where=where,
        postgresql_where=where,
    )
    for name, (table, _, _) in _INDEXES.items():
        op.drop_index(name, table)
