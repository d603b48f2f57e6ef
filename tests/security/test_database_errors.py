"""What the database says when it refuses something stays out of logs: the values may be anybody's secret."""

import traceback

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from core import access
from core.access import LOCAL, sessions
from core.access.audit import audit
from core.platform.errors import Forbidden, Invalid
from core.platform.secret import Secret
from core.records import people
from core.storage import db
from core.storage.models import User

pytestmark = pytest.mark.security

CANARY = "canary-password-hash"


def logged(error: BaseException) -> str:
    """As `log.exception`, `errors.log` and a page's traceback write it, causes and all."""
    return "".join(traceback.format_exception(error))


def stranger(number: int, **fields: object) -> User:
    with db.reading() as session:
        now = db.now(session)
    known = {"id": f"u-{number}", "email": f"u{number}@example.com", "role": "member", "created_at": now}
    return User(**known | fields, password_hash=CANARY)


def test_a_refused_row_does_not_tell_its_values(database: str) -> None:
    """On PostgreSQL a row that misses a value is quoted whole ("Failing row contains …")."""
    for wrong in ({"email": None}, {"created_at": None}):
        with pytest.raises(IntegrityError) as caught, db.session() as session:
            session.add(stranger(1, **wrong))
        assert CANARY not in logged(caught.value)
        assert "users" in logged(caught.value)  # where it happened is told


def test_a_value_that_is_taken_is_not_quoted(database: str) -> None:
    with db.session() as session:
        session.add(stranger(1, email=f"{CANARY}@example.com"))
    with pytest.raises(IntegrityError, match="email") as caught, db.session() as session:
        session.add(stranger(2, email=f"{CANARY}@example.com"))
    assert CANARY not in logged(caught.value)


def test_a_statement_that_fails_does_not_tell_its_parameters(database: str) -> None:
    for statement in (
        "SELECT no_such_column + :secret FROM users",
        "SELECT * FROM users WHERE :secret @@@ 1",
    ):
        with pytest.raises(DBAPIError) as caught, db.reading() as session:
            session.execute(text(statement), {"secret": CANARY})
        assert CANARY not in logged(caught.value)


def test_a_value_that_the_database_cannot_read_is_not_quoted(postgres_database: str) -> None:
    """PostgreSQL quotes it in its first line: `invalid input syntax for type integer: "…"`."""
    db.configure(postgres_database)
    for statement in ("SELECT CAST(:secret AS integer)", "SELECT CAST(CAST(:secret AS text) AS json)"):
        with pytest.raises(DBAPIError) as caught, db.reading() as session:
            session.execute(text(statement), {"secret": CANARY})
        assert CANARY not in logged(caught.value)


@pytest.mark.parametrize("email", ["\x00", "ana@example.com\x00", "\x00' OR 1=1 --@example.com"])
def test_a_sign_in_with_a_nul_is_nobody(database: str, email: str) -> None:
    """PostgreSQL cannot compare a text with NUL: that was a 500."""
    access.add_user(LOCAL, "ana@example.com", "member", Secret("a long enough one"))
    for brake in sessions.BRAKES:
        brake.forget()
    with pytest.raises(Forbidden, match="not right"):
        access.sign_in(email, Secret("a long enough one"), "203.0.113.7")
    with db.reading() as session:
        noted = session.execute(
            text("SELECT actor FROM audit_log WHERE action = 'sign_in.refused'")
        ).scalar_one()
    assert "\x00" not in noted


def test_an_external_id_with_a_nul_is_refused_in_words(database: str) -> None:
    with pytest.raises(Invalid, match="external id"):
        access.add_user(LOCAL, "ana@example.com", "member", None, "a\x00b")
    access.add_user(LOCAL, "ana@example.com", "member", None)
    for line in ("a" * 65, "a\x00b"):
        with pytest.raises(Invalid, match="external id"):
            people.edit(LOCAL, "ana@example.com", line)


def test_no_text_in_the_audit_log_breaks_what_is_audited(database: str) -> None:
    with db.session() as session:
        audit(session, "a\x00b", "tried", "c\x00d", why="e\x00f")
    with db.reading() as session:
        row = session.execute(text("SELECT actor, subject FROM audit_log")).one()
    assert row == ("ab", "cd")
