"""the scheduler's looks: how long a run held its worker, and times of a clock that was ahead by an index"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_WAKES = sa.text("is_active AND deleted_at IS NULL")
_LEASED = sa.text("lease_until IS NOT NULL")


def upgrade() -> None:
    op.add_column("user_integrations", sa.Column("held_s", sa.Float(), nullable=False, server_default="0"))
    op.create_index(
        "ix_user_integrations_last_sync",
        "user_integrations",
        ["last_sync"],
        sqlite_where=_WAKES,
        postgresql_where=_WAKES,
    )
    op.create_index(
        "ix_user_integrations_lease",
        "user_integrations",
        ["lease_until"],
        sqlite_where=_LEASED,
        postgresql_where=_LEASED,
    )


def downgrade() -> None:
    op.drop_index("ix_user_integrations_lease", "user_integrations")
    op.drop_index("ix_user_integrations_last_sync", "user_integrations")
    op.drop_column("user_integrations", "held_s")
