"""the audit log is append-only, also for the statements that fire no UPDATE or DELETE trigger: REPLACE on SQLite
(https://sqlite.org/lang_conflict.html: without recursive_triggers), TRUNCATE on PostgreSQL"""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_SENTENCE = "The audit log is append-only: entries are never changed, and kept for 30 days at least."
_SQLITE = f"""CREATE TRIGGER audit_log_not_replaced BEFORE INSERT ON audit_log
    WHEN EXISTS (SELECT 1 FROM audit_log WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, '{_SENTENCE}'); END"""
_POSTGRES = """CREATE TRIGGER audit_log_not_emptied BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuse()"""


def _is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def upgrade() -> None:
    op.execute(_POSTGRES if _is_postgres() else _SQLITE)


def downgrade() -> None:
    op.execute(
        "DROP TRIGGER audit_log_not_emptied ON audit_log"
        if _is_postgres()
        else "DROP TRIGGER audit_log_not_replaced"
    )
