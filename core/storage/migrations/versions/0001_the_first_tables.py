"""the first tables"""

import sqlalchemy as sa
from alembic import op

from core.storage import models

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=254), nullable=False),
        sa.Column("action", sa.String(length=60), nullable=False),
        sa.Column("subject", sa.String(length=254), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "cases",
        sa.Column("local_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.String(length=254), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("received_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("change_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("scan_id", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("priority", sa.String(), nullable=True),
        sa.Column("assigned_to", sa.String(), nullable=True),
        sa.Column("updated_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("closed_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("local_id"),
        sa.UniqueConstraint("owner_id", "id", name="uq_cases_owner_id"),
    )
    with op.batch_alter_table("cases", schema=None) as batch_op:
        batch_op.create_index("ix_cases_owner_change", ["owner_id", "change_seq"], unique=False)
        batch_op.create_index("ux_cases_change_seq", ["change_seq"], unique=True)

    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "heartbeats",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("beat_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("started_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "integration_catalog",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("slug", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("category", sa.String(length=20), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("description", sa.String(), nullable=False),
        sa.Column("logo_url", sa.String(), nullable=True),
        sa.Column("config_schema", sa.JSON(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slug"),
    )
    op.create_table(
        "monitoring_alerts",
        sa.Column("local_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.String(length=254), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("received_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("change_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("schedule_id", sa.String(), nullable=True),
        sa.Column("scan_id", sa.String(), nullable=True),
        sa.Column("alert_type", sa.String(), nullable=True),
        sa.Column("severity", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=True),
        sa.Column("description", sa.String(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=True),
        sa.Column("is_read", sa.Boolean(), nullable=False),
        sa.Column("is_resolved", sa.Boolean(), nullable=False),
        sa.Column("updated_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("local_id"),
        sa.UniqueConstraint("owner_id", "id", name="uq_monitoring_alerts_owner_id"),
    )
    with op.batch_alter_table("monitoring_alerts", schema=None) as batch_op:
        batch_op.create_index("ix_monitoring_alerts_owner_change", ["owner_id", "change_seq"], unique=False)
        batch_op.create_index("ux_monitoring_alerts_change_seq", ["change_seq"], unique=True)

    op.create_table(
        "pull_cursors",
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("changed_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_id", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("source", "kind"),
    )
    op.create_table(
        "scans",
        sa.Column("local_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner_id", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("user_id", sa.String(length=254), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.Column("content_hash", sa.String(length=32), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("received_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("change_seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("scan_type", sa.String(), nullable=True),
        sa.Column("username", sa.String(), nullable=True),
        sa.Column("first_name", sa.String(), nullable=True),
        sa.Column("last_name", sa.String(), nullable=True),
        sa.Column("email", sa.String(), nullable=True),
        sa.Column("phone", sa.String(), nullable=True),
        sa.Column("domain", sa.String(), nullable=True),
        sa.Column("privacy_score", sa.Integer(), nullable=True),
        sa.Column("total_sources_found", sa.Integer(), nullable=True),
        sa.Column("high_risk_count", sa.Integer(), nullable=True),
        sa.Column("medium_risk_count", sa.Integer(), nullable=True),
        sa.Column("low_risk_count", sa.Integer(), nullable=True),
        sa.Column("severity", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("workspace_id", sa.String(), nullable=True),
        sa.Column("completed_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("updated_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("local_id"),
        sa.UniqueConstraint("owner_id", "id", name="uq_scans_owner_id"),
    )
    with op.batch_alter_table("scans", schema=None) as batch_op:
        batch_op.create_index("ix_scans_owner_change", ["owner_id", "change_seq"], unique=False)
        batch_op.create_index("ux_scans_change_seq", ["change_seq"], unique=True)

    op.create_table(
        "users",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("email", sa.String(length=254), nullable=False),
        sa.Column("external_id", sa.String(length=64), nullable=True),
        sa.Column("role", sa.String(length=10), nullable=False),
        sa.Column("password_hash", sa.String(), nullable=True),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
        sa.UniqueConstraint("external_id"),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("token_hash"),
    )
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_api_tokens_user_id"), ["user_id"], unique=False)

    op.create_table(
        "sign_ins",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("seen_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("expires_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    with op.batch_alter_table("sign_ins", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sign_ins_user_id"), ["user_id"], unique=False)

    op.create_table(
        "user_integrations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("integration_id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("config", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("credentials_encrypted", sa.Text(), nullable=True),
        sa.Column("secret_names", sa.JSON(), nullable=False),
        sa.Column("scope", sa.String(length=10), nullable=False),
        sa.Column("shared", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("problem", sa.String(), nullable=True),
        sa.Column("export_cursor", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("next_sync_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("next_call_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("wait_reason", sa.String(length=20), nullable=True),
        sa.Column("next_wake_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("rate_until", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("batch_learned", sa.Integer(), nullable=True),
        sa.Column("run_id", sa.String(length=36), nullable=True),
        sa.Column("run_worker", sa.String(length=100), nullable=True),
        sa.Column("lease_until", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("recent", sa.JSON(), nullable=False),
        sa.Column("last_sync", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("last_success_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("deleted_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["integration_catalog.id"],
        ),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("user_integrations", schema=None) as batch_op:
        batch_op.create_index(
            "ix_user_integrations_wake",
            ["next_wake_at"],
            unique=False,
            sqlite_where=sa.text("is_active AND deleted_at IS NULL"),
            postgresql_where=sa.text("is_active AND deleted_at IS NULL"),
        )
        batch_op.create_index(
            "ux_user_integrations_name",
            ["user_id", "name"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "delivery_attempts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("connection_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("worker", sa.String(length=100), nullable=False),
        sa.Column("started_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("lease_until", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("closed_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.String(length=10), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("exchanges", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["user_integrations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("delivery_attempts", schema=None) as batch_op:
        batch_op.create_index(
            "ix_delivery_attempts_delivery",
            ["delivery_id"],
            unique=False,
            sqlite_where=sa.text("delivery_id IS NOT NULL"),
            postgresql_where=sa.text("delivery_id IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_delivery_attempts_open",
            ["lease_until"],
            unique=False,
            sqlite_where=sa.text("outcome = 'open'"),
            postgresql_where=sa.text("outcome = 'open'"),
        )

    op.create_table(
        "hourly_figures",
        sa.Column("connection_id", sa.String(length=36), nullable=False),
        sa.Column("hour", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("runs_ok", sa.Integer(), nullable=False),
        sa.Column("runs_partial", sa.Integer(), nullable=False),
        sa.Column("runs_failed", sa.Integer(), nullable=False),
        sa.Column("delivered", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.Column("retried", sa.Integer(), nullable=False),
        sa.Column("in_doubt", sa.Integer(), nullable=False),
        sa.Column("calls", sa.Integer(), nullable=False),
        sa.Column("bytes_out", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("cost", sa.Float(), nullable=False),
        sa.Column("call_ms", sa.JSON(), nullable=False),
        sa.Column("delay_s", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["user_integrations.id"],
        ),
        sa.PrimaryKeyConstraint("connection_id", "hour"),
    )
    with op.batch_alter_table("hourly_figures", schema=None) as batch_op:
        batch_op.create_index("ix_hourly_figures_hour", ["hour"], unique=False)

    op.create_table(
        "integration_logs",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_integration_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("sync_type", sa.String(length=20), nullable=False),
        sa.Column("status", sa.String(length=12), nullable=False),
        sa.Column("records_synced", sa.Integer(), nullable=False),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("finished_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["user_integration_id"],
            ["user_integrations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id"),
    )
    with op.batch_alter_table("integration_logs", schema=None) as batch_op:
        batch_op.create_index(
            "ix_integration_logs_connection", ["user_integration_id", "created_at"], unique=False
        )
        batch_op.create_index("ix_integration_logs_created", ["created_at"], unique=False)

    op.create_table(
        "siem_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("integration_id", sa.String(length=36), nullable=False),
        sa.Column("delivery_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("event_type", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=10), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("raw_data", sa.JSON(), nullable=True),
        sa.Column("is_exported", sa.Boolean(), nullable=False),
        sa.Column("exported_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["user_integrations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("delivery_id", name="uq_siem_events_delivery"),
    )
    op.create_table(
        "ticket_integrations",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("integration_id", sa.String(length=36), nullable=False),
        sa.Column("case_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("external_ticket_id", sa.String(length=200), nullable=False),
        sa.Column("ticket_url", sa.String(), nullable=True),
        sa.Column("status", sa.String(), nullable=True),
        sa.Column("priority", sa.String(), nullable=True),
        sa.Column("metadata", sa.JSON(), nullable=False),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("updated_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["user_integrations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("integration_id", "case_id", name="uq_ticket_integrations_case"),
        sa.UniqueConstraint("integration_id", "external_ticket_id", name="uq_ticket_integrations_ticket"),
    )
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("webhook_id", sa.String(length=36), nullable=False),
        sa.Column("record_kind", sa.String(length=10), nullable=False),
        sa.Column("record_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=False),
        sa.Column("event_type", sa.String(length=40), nullable=False),
        sa.Column("payload", sa.Text(), nullable=True),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("attempt_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=True),
        sa.Column("attempt_count", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("in_doubt_since", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("look_ups", sa.Integer(), nullable=False),
        sa.Column("vendor_id", sa.String(), nullable=True),
        sa.Column("response_status", sa.Integer(), nullable=True),
        sa.Column("response_body", sa.Text(), nullable=True),
        sa.Column("wanted_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.Column("delivered_at", models.UtcDateTime(timezone=True), nullable=True),
        sa.Column("created_at", models.UtcDateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["webhook_id"],
            ["user_integrations.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("webhook_id", "key", name="uq_webhook_deliveries_key"),
    )
    with op.batch_alter_table("webhook_deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_webhook_deliveries_attempt",
            ["attempt_id"],
            unique=False,
            sqlite_where=sa.text("state = 'sending'"),
            postgresql_where=sa.text("state = 'sending'"),
        )
        batch_op.create_index(
            "ix_webhook_deliveries_due",
            ["webhook_id", "next_attempt_at"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending', 'retrying', 'in_doubt')"),
            postgresql_where=sa.text("state IN ('pending', 'retrying', 'in_doubt')"),
        )
        batch_op.create_index("ix_webhook_deliveries_record", ["record_kind", "record_id"], unique=False)
        batch_op.create_index(
            "ix_webhook_deliveries_stuck",
            ["webhook_id"],
            unique=False,
            sqlite_where=sa.text("state IN ('dead', 'held')"),
            postgresql_where=sa.text("state IN ('dead', 'held')"),
        )


def downgrade() -> None:
    with op.batch_alter_table("webhook_deliveries", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_webhook_deliveries_stuck",
            sqlite_where=sa.text("state IN ('dead', 'held')"),
            postgresql_where=sa.text("state IN ('dead', 'held')"),
        )
        batch_op.drop_index("ix_webhook_deliveries_record")
        batch_op.drop_index(
            "ix_webhook_deliveries_due",
            sqlite_where=sa.text("state IN ('pending', 'retrying', 'in_doubt')"),
            postgresql_where=sa.text("state IN ('pending', 'retrying', 'in_doubt')"),
        )
        batch_op.drop_index(
            "ix_webhook_deliveries_attempt",
            sqlite_where=sa.text("state = 'sending'"),
            postgresql_where=sa.text("state = 'sending'"),
        )

    op.drop_table("webhook_deliveries")
    op.drop_table("ticket_integrations")
    op.drop_table("siem_events")
    with op.batch_alter_table("integration_logs", schema=None) as batch_op:
        batch_op.drop_index("ix_integration_logs_created")
        batch_op.drop_index("ix_integration_logs_connection")

    op.drop_table("integration_logs")
    with op.batch_alter_table("hourly_figures", schema=None) as batch_op:
        batch_op.drop_index("ix_hourly_figures_hour")

    op.drop_table("hourly_figures")
    with op.batch_alter_table("delivery_attempts", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_delivery_attempts_open",
            sqlite_where=sa.text("outcome = 'open'"),
            postgresql_where=sa.text("outcome = 'open'"),
        )
        batch_op.drop_index(
            "ix_delivery_attempts_delivery",
            sqlite_where=sa.text("delivery_id IS NOT NULL"),
            postgresql_where=sa.text("delivery_id IS NOT NULL"),
        )

    op.drop_table("delivery_attempts")
    with op.batch_alter_table("user_integrations", schema=None) as batch_op:
        batch_op.drop_index(
            "ux_user_integrations_name",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_user_integrations_wake",
            sqlite_where=sa.text("is_active AND deleted_at IS NULL"),
            postgresql_where=sa.text("is_active AND deleted_at IS NULL"),
        )

    op.drop_table("user_integrations")
    with op.batch_alter_table("sign_ins", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sign_ins_user_id"))

    op.drop_table("sign_ins")
    with op.batch_alter_table("api_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_api_tokens_user_id"))

    op.drop_table("api_tokens")
    op.drop_table("users")
    with op.batch_alter_table("scans", schema=None) as batch_op:
        batch_op.drop_index("ux_scans_change_seq")
        batch_op.drop_index("ix_scans_owner_change")

    op.drop_table("scans")
    op.drop_table("pull_cursors")
    with op.batch_alter_table("monitoring_alerts", schema=None) as batch_op:
        batch_op.drop_index("ux_monitoring_alerts_change_seq")
        batch_op.drop_index("ix_monitoring_alerts_owner_change")

    op.drop_table("monitoring_alerts")
    op.drop_table("integration_catalog")
    op.drop_table("heartbeats")
    op.drop_table("counters")
    with op.batch_alter_table("cases", schema=None) as batch_op:
        batch_op.drop_index("ux_cases_change_seq")
        batch_op.drop_index("ix_cases_owner_change")

    op.drop_table("cases")
    op.drop_table("audit_log")
