"""tickets in words for whoever reads the table: the case's own id, priority and status; the catalog's switch and icons"""

import hashlib
import re
from typing import Any

import orjson
import sqlalchemy as sa
from alembic import op

from core.storage import models
from core.storage.migrations import steps

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

CHUNK = 1000
_LINKS = sa.table(
    "ticket_integrations",
    *(sa.column(name) for name in ("id", "integration_id", "case_local_id", "case_id", "priority")),
    sa.column("metadata", sa.JSON),
)
_DELIVERIES = sa.table(
    "webhook_deliveries",
    *(sa.column(name) for name in ("webhook_id", "record_kind", "record_id", "key", "payload")),
)
_CASES = sa.table("cases", sa.column("local_id"), sa.column("id"))
#: priorities as the trackers' manifests spelt them, in lower case; ServiceNow's were not kept
_WORDS = {
    **{"low": "low", "medium": "medium", "normal": "medium", "high": "high"},
    **{"highest": "critical", "urgent": "critical"},
}
_OF_SERVICENOW = {("2", "3"): "low", ("2", "2"): "medium", ("1", "2"): "high", ("1", "1"): "critical"}
_KEY = re.compile("fiq-case-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-([0-9a-f]{8})")


def upgrade() -> None:
    steps.add_columns("integration_catalog", sa.Column("icon", sa.String(length=40), nullable=True))
    # an icon's name stood where an address belongs
    op.execute(
        "UPDATE integration_catalog SET icon = logo_url, logo_url = NULL "
        "WHERE logo_url NOT LIKE '%/%' AND length(logo_url) <= 40"
    )
    _name_the_local_id()
    steps.add_columns("ticket_integrations", sa.Column("case_id", sa.String(length=200), nullable=True))
    _tell_of_tickets()
    steps.create_index("ix_ticket_integrations_case_id", "ticket_integrations", ["case_id"])
    if op.get_bind().dialect.name == "sqlite":
        op.execute(
            "INSERT INTO sqlite_stat1 (tbl, idx, stat) "
            "VALUES ('ticket_integrations', 'ix_ticket_integrations_case_id', '3000000 2')"
        )
        op.execute("ANALYZE sqlite_schema")


def downgrade() -> None:
    op.execute("UPDATE integration_catalog SET logo_url = icon")
    op.drop_column("integration_catalog", "icon")
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DELETE FROM sqlite_stat1 WHERE idx = 'ix_ticket_integrations_case_id'")
    op.drop_index("ix_ticket_integrations_case_id", "ticket_integrations")
    op.drop_column("ticket_integrations", "case_id")
    op.execute("ALTER TABLE ticket_integrations RENAME COLUMN case_local_id TO case_id")


def _name_the_local_id() -> None:
    """In place on both databases; the unique constraint goes with the column."""
    there = {column["name"] for column in sa.inspect(op.get_bind()).get_columns("ticket_integrations")}
    if "case_local_id" not in there:
        op.execute("ALTER TABLE ticket_integrations RENAME COLUMN case_id TO case_local_id")


def _tell_of_tickets() -> None:
    after = 0
    while rows := op.get_bind().execute(_links(after)).all():
        op.get_bind().execute(
            _LINKS.update()
            .where(_LINKS.c.id == sa.bindparam("link"))
            .values(
                case_id=sa.bindparam("own"), priority=sa.bindparam("word"), metadata=sa.bindparam("told")
            ),
            [_told(row) for row in rows],
        )
        after = rows[-1].id


def _links(after: int) -> sa.Select[Any]:
    """Tickets of before, with what their deliveries and cases still say."""
    delivery = sa.and_(
        _DELIVERIES.c.webhook_id == _LINKS.c.integration_id,
        _DELIVERIES.c.record_kind == "case",
        _DELIVERIES.c.record_id == _LINKS.c.case_local_id,
    )
    return (
        sa.select(
            *(_LINKS.c.id, _LINKS.c.priority, _LINKS.c.metadata.label("told")),
            *(_CASES.c.id.label("own"), _DELIVERIES.c.key, _DELIVERIES.c.payload),
        )
        .select_from(_LINKS)
        .outerjoin(_CASES, _CASES.c.local_id == _LINKS.c.case_local_id)
        .outerjoin(_DELIVERIES, delivery)
        .where(_LINKS.c.id > after)
        .order_by(_LINKS.c.id)
        .limit(CHUNK)
    )


def _told(row: Any) -> dict[str, Any]:
    own = row.priority if row.priority is not None else _severity(row.payload)
    word = _OF_SERVICENOW.get(tuple(own.values())) if isinstance(own, dict) else _WORDS.get(str(own).lower())
    told = {} if own is None else {"priority": own}
    return {
        "link": row.id,
        "own": row.own or _id_in(row.key),
        "word": word or row.priority,
        "told": told | (row.told or {}),
    }


def _severity(payload: str | None) -> dict[str, str] | None:
    """Impact and urgency of a ticket at ServiceNow, as they were sent."""
    sent = orjson.loads(payload or "{}").get("severity")
    return (
        {name: str(sent.get(name)) for name in ("impact", "urgency")}
        if isinstance(sent, dict)
        else None
    )


def _id_in(key: str | None) -> str | None:
    """The case's own id, of a case that is not kept any more: a key holds it where it is a uuid."""
    found = _KEY.fullmatch(key or "")
    is_own = found and hashlib.sha256(found[1].encode()).hexdigest()[:8] == found[2]
    return found[1] if found and is_own else None
