"""The audit log can be added to, and nothing else."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import select

from core.access import LOCAL
from core.access.audit import audit
from core.storage import db
from core.storage.models import AuditEntry

pytestmark = pytest.mark.security


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET actor = 'nobody'", "DELETE FROM audit_log", "DELETE FROM audit_log WHERE id = 2"],
)
def test_an_entry_is_neither_changed_nor_removed(database: str, statement: str) -> None:
    with db.session() as session:
        for subject in ("first", "second"):
            audit(session, LOCAL, "user.add", subject)
    with pytest.raises(DBAPIError, match="append-only"), db.session() as session:
        session.execute(text(statement))
    with db.reading() as session:
        entries = session.exec(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert [(entry.actor, entry.subject) for entry in entries] == [
        (LOCAL.email, "first"),
        (LOCAL.email, "second"),
    ]


#: ways around the two that are named above
AROUND = {
    "sqlite": "REPLACE INTO audit_log (id, at, actor, action, subject, details) "
    "VALUES (1, '2026-01-01', 'nobody', 'a', 'b', '{}')",
    "postgresql": "TRUNCATE audit_log CASCADE",
}


def test_nor_by_a_statement_that_is_neither(database: str) -> None:
    with db.session() as session:
        audit(session, LOCAL, "user.add", "first")
        around = AROUND[session.get_bind().dialect.name]
    with pytest.raises(DBAPIError, match="append-only"), db.session() as session:
        session.execute(text(around))
    with db.reading() as session:
        assert session.exec(select(AuditEntry.subject)).all() == ["first"]


def test_what_is_old_enough_can_be_cut_off(database: str) -> None:
    with db.session() as session:
        now = db.now(session)
        session.add(AuditEntry(at=now - timedelta(days=31), actor="a", action="user.add"))
        session.add(AuditEntry(at=now, actor="a", action="user.add"))
    with db.session() as session:
        session.execute(text("DELETE FROM audit_log WHERE id = 1"))
