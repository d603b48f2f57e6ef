"""the scheduler's looks: how long a run held its worker, and times of a clock that was ahead by an index"""

import sqlalchemy as sa
from alembic import op

from core.storage.migrations import steps

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_WAKES = "is_active AND deleted_at IS NULL"
_LEASED = "lease_until IS NOT NULL"


def upgrade() -> None:
    steps.add_columns(
        "user_integrations", sa.Column("held_s", sa.Float(), nullable=False, server_default="0")
    )
    steps.create_index("ix_user_integrations_last_sync", "user_integrations", ["last_sync"], where=_WAKES)
    steps.create_index("ix_user_integrations_lease", "user_integrations", ["lease_until"], where=_LEASED)


def downgrade() -> None:
    op.drop_index("ix_user_integrations_lease", "user_integrations")
    op.drop_index("ix_user_integrations_last_sync", "user_integrations")
    op.drop_column("user_integrations", "held_s")
