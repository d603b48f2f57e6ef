"""API tokens: shown once, kept as SHA-256, worth what their user is worth at each call."""

import secrets
import uuid
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlmodel import col, select

from core.access.audit import audit
from core.access.people import checked_email, find_user
from core.access.principal import Principal, digest, principal_of, require_admin
from core.platform.errors import Invalid, NotFound
from core.storage import db
from core.storage.models import ApiToken, User

PREFIX = "hub_"
TOUCH_EVERY = timedelta(minutes=1)


@db.unit
def create_token(who: Principal, email: str, name: str, expires_days: int | None) -> str:
    """Create an API token for that user, to be shown once. Admins make them for anybody, others for themselves."""
    if checked_email(email) != who.email:
        require_admin(who, "make tokens for other people")
    if expires_days is not None and not 1 <= expires_days <= 3650:
        raise Invalid("A token lives from 1 to 3,650 days. Choose a number in between.")
    token = PREFIX + secrets.token_urlsafe(32)
    with db.session() as session:
        user, now = find_user(session, email), db.now(session)
        row = ApiToken(
            id=str(uuid.uuid4()),
            user_id=user.id,
            name=name.strip()[:100],
            token_hash=digest(token),
            created_at=now,
            expires_at=now + timedelta(days=expires_days) if expires_days else None,
        )
        session.add(row)
        audit(session, who, "token.create", user.email, token=row.id, name=row.name)
    return token


def list_tokens(who: Principal) -> list[ApiToken]:
    """Everybody's for an admin, one's own for others; newest first."""
    with db.reading() as session:
        query = select(ApiToken).order_by(col(ApiToken.created_at).desc(), col(ApiToken.id))
        tokens = list(session.exec(query if who.is_admin else query.where(ApiToken.user_id == who.user_id)))
        session.expunge_all()
        return tokens


@db.unit
def revoke_token(who: Principal, token_id: str) -> None:
    with db.session() as session:
        row = session.get(ApiToken, token_id)
        if row is None or not (who.is_admin or row.user_id == who.user_id):
            raise NotFound(f'There is no token "{token_id}". Run `hub token list`.')
        row.revoked_at = row.revoked_at or db.now(session)
        session.add(row)
        audit(session, who, "token.revoke", row.id)


def by_token(token: str) -> Principal | None:
    """Return who holds this API token; None when it is unknown, expired or revoked, or its user is disabled."""
    if not token.startswith(PREFIX):
        return None
    with db.reading() as session:
        now = db.now(session)
        row = session.exec(select(ApiToken).where(ApiToken.token_hash == digest(token))).one_or_none()
        if row is None or row.revoked_at or (row.expires_at and row.expires_at <= now):
            return None
        user = session.get(User, row.user_id)
    if user is None or user.disabled_at:
        return None
    _note_use(row, now)
    return principal_of(user)


@db.unit
def _note_use(row: ApiToken, now: datetime) -> None:
    if row.last_used_at is None or row.last_used_at < now - TOUCH_EVERY:
        with db.session() as session:
            session.execute(update(ApiToken).where(col(ApiToken.id) == row.id).values(last_used_at=now))
