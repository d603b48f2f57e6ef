"""Who may use the hub, and how they are known."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from core.storage.models.columns import utc
from core.storage.models.words import Role


class User(SQLModel, table=True):
    __tablename__ = "users"
    id: str = Field(primary_key=True, max_length=36)
    email: str = Field(unique=True, max_length=254)
    external_id: str | None = Field(default=None, unique=True, max_length=64)  # FootprintIQ's user uuid
    role: str = Field(default=Role.MEMBER, max_length=10)
    password_hash: str | None = None
    created_at: datetime = utc()
    disabled_at: datetime | None = utc(default=None)
    adopted_at: datetime | None = utc(default=None)  # when they got the records that came before them


class ApiToken(SQLModel, table=True):
    """`token_hash` is SHA-256 of a 256-bit random token: nothing to guess, so no slow hash is needed."""

    __tablename__ = "api_tokens"
    id: str = Field(primary_key=True, max_length=36)
    user_id: str = Field(foreign_key="users.id", max_length=36, index=True)
    name: str = Field(default="", max_length=100)
    token_hash: str = Field(unique=True, max_length=64)
    created_at: datetime = utc()
    expires_at: datetime | None = utc(default=None)
    revoked_at: datetime | None = utc(default=None)
    last_used_at: datetime | None = utc(default=None)


class SignIn(SQLModel, table=True):
    """A browser session. The cookie holds the token, the row its SHA-256; deleting the row signs out."""

    __tablename__ = "sign_ins"
    token_hash: str = Field(primary_key=True, max_length=64)
    user_id: str = Field(foreign_key="users.id", max_length=36, index=True)
    created_at: datetime = utc()
    seen_at: datetime = utc()
    expires_at: datetime = utc()
