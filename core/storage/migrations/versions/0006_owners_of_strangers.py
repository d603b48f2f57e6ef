"""a stranger's records have an owner of their own; how far a pull has read, by transactions"""

import uuid

import sqlalchemy as sa
from alembic import op

from core.storage import models
from core.storage.migrations import steps

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_RECORDS = ("scans", "cases", "monitoring_alerts")
_UNASSIGNED = "00000000-0000-0000-0000-000000000000"
_STAND_INS = uuid.UUID("6f4b2d0e-52c5-4a0c-9a5d-2c1f0a7d3e61")  # as in core.records.owners


def upgrade() -> None:
    # columns are added in place on both databases; the index is what `latest(id=…)` goes by from now on
    steps.add_columns("users", sa.Column("adopted_at", models.UtcDateTime(timezone=True), nullable=True))
    steps.add_columns(
        "pull_cursors",
        sa.Column("horizon", models.BigInt, nullable=True),
        sa.Column("table_id", models.BigInt, nullable=True),
    )
    for name in _RECORDS:
        ahead: sa.Column[bool] = sa.Column(
            "dated_ahead", sa.Boolean(), nullable=False, server_default=sa.false()
        )
        steps.add_columns(name, ahead)
        _part_strangers(op.get_bind(), name)
        _mark_ahead(op.get_bind(), name)
        steps.create_index(f"ix_{name}_id", name, ["id"])  # last: what moves need not go into it


def downgrade() -> None:
    for name in _RECORDS:
        op.drop_index(f"ix_{name}_id", name)
        op.drop_column(name, "dated_ahead")
    op.drop_column("pull_cursors", "table_id")
    op.drop_column("pull_cursors", "horizon")
    op.drop_column("users", "adopted_at")


def _part_strangers(bind: sa.Connection, name: str) -> None:
    """Rows of people the hub does not know shared one owner; each name gets its own. Two statements, by index."""
    theirs = "WHERE owner_id = :unassigned AND user_id <> ''"
    asked = {"unassigned": _UNASSIGNED}
    found = bind.execute(sa.text(f"SELECT DISTINCT user_id FROM {name} {theirs}"), asked).scalars()  # noqa: S608
    owners = [{"user_id": user_id, "owner": _owner(user_id)} for user_id in found]
    if not owners:
        return
    bind.execute(sa.text("CREATE TEMPORARY TABLE strangers (user_id TEXT PRIMARY KEY, owner_id TEXT)"))
    bind.execute(sa.text("INSERT INTO strangers VALUES (:user_id, :owner)"), owners)
    owner = f"SELECT strangers.owner_id FROM strangers WHERE strangers.user_id = {name}.user_id"  # noqa: S608
    bind.execute(sa.text(f"UPDATE {name} SET owner_id = ({owner}) {theirs}"), asked)  # noqa: S608
    bind.execute(sa.text("DROP TABLE strangers"))


def _owner(user_id: str) -> str:
    return str(uuid.uuid5(_STAND_INS, user_id.lower()))


def _mark_ahead(bind: sa.Connection, name: str) -> None:
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if bind.dialect.name == "sqlite" else "now()"
    bind.execute(sa.text(f"UPDATE {name} SET dated_ahead = true WHERE updated_at > {now}"))  # noqa: S608
