"""the audit log is append-only, also for whoever writes SQL: entries of the last 30 days are neither changed nor removed"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_SENTENCE = "The audit log is append-only: entries are never changed, and kept for 30 days at least."
_SQLITE = (
    f"""CREATE TRIGGER audit_log_unchanged BEFORE UPDATE ON audit_log
    BEGIN SELECT RAISE(ABORT, '{_SENTENCE}'); END""",
    f"""CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log
    WHEN OLD.at > datetime('now', '-30 days') AND OLD.at <= datetime('now', '+1 minute')
    BEGIN SELECT RAISE(ABORT, '{_SENTENCE}'); END""",
)
_POSTGRES = (
    f"""CREATE OR REPLACE FUNCTION audit_log_refuse() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{_SENTENCE}'; END $$""",
    """CREATE TRIGGER audit_log_unchanged BEFORE UPDATE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_refuse()""",
    """CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log
    FOR EACH ROW WHEN (OLD.at > now() - interval '30 days' AND OLD.at <= now() + interval '1 minute')
    EXECUTE FUNCTION audit_log_refuse()""",
)


def _statements() -> tuple[str, ...]:
    return _POSTGRES if op.get_bind().dialect.name == "postgresql" else _SQLITE


def upgrade() -> None:
    for statement in _statements():
        op.execute(statement)


def downgrade() -> None:
    on = " ON audit_log" if op.get_bind().dialect.name == "postgresql" else ""
    for name in ("audit_log_kept", "audit_log_unchanged"):
        op.execute(f"DROP TRIGGER {name}{on}")
    if on:
        op.execute("DROP FUNCTION audit_log_refuse()")
