"""The hub's users: add, change, disable, never without an admin left."""

import re
import secrets
import uuid

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from core import db
from core.access import passwords
from core.access.principal import LOCAL, Principal, audit, require_admin
from core.errors import Conflict, Invalid, NotFound, did_you_mean
from core.models import Role, SignIn, User
from core.secret import Secret

FIRST_EMAIL = "admin@hub.local"
# What a header, a terminal and a CSV can carry; whether it exists only a mail can tell.
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f<>(),;:\"\\]{1,64}@[^@\s\x00-\x1f\x7f<>(),;:\"\\]{1,189}")


@db.unit
def add_user(
    who: Principal, email: str, role: str, password: Secret | None, external_id: str | None = None
) -> User:
    """A new person. Without a password they cannot sign in until one is set."""
    require_admin(who, "add people")
    email, role = checked_email(email), _checked_role(role)
    password_hash = passwords.hashed(password) if password is not None else None
    with db.session() as session:
        _refuse_taken(session, email, external_id)
        user = User(
            id=str(uuid.uuid4()),
            email=email,
            external_id=external_id or None,
            role=role,
            password_hash=password_hash,
            created_at=db.now(session),
        )
        session.add(user)
        audit(session, who, "user.add", email, role=role)
        session.flush()
        session.expunge(user)
        return user


@db.unit
def set_password(who: Principal, email: str, password: Secret) -> None:
    """Oneself, or anybody for an admin. Ends every session of that person."""
    if checked_email(email) != who.email:
        require_admin(who, "change other people's passwords")
    password_hash = passwords.hashed(password)
    with db.session() as session:
        user = find_user(session, email)
        user.password_hash = password_hash
        session.add(user)
        end_sessions(session, user)
        audit(session, who, "user.password", user.email)


@db.unit
def set_role(who: Principal, email: str, role: str) -> None:
    require_admin(who, "change roles")
    role = _checked_role(role)
    with db.session() as session:
        user = find_user(session, email)
        if role != Role.ADMIN:
            _keep_one_admin(session, user)
        user.role = role
        session.add(user)
        audit(session, who, "user.role", user.email, role=role)


@db.unit
def disable_user(who: Principal, email: str) -> None:
    """They lose access at once: pages, API tokens and sessions. Their connections stay."""
    require_admin(who, "disable people")
    with db.session() as session:
        user = find_user(session, email)
        _keep_one_admin(session, user)
        user.disabled_at = user.disabled_at or db.now(session)
        session.add(user)
        end_sessions(session, user)
        audit(session, who, "user.disable", user.email)


@db.unit
def enable_user(who: Principal, email: str) -> None:
    require_admin(who, "enable people")
    with db.session() as session:
        user = find_user(session, email)
        user.disabled_at = None
        session.add(user)
        audit(session, who, "user.enable", user.email)


def list_users(who: Principal) -> list[User]:
    """Everybody for an admin, oneself for others."""
    with db.reading() as session:
        query = select(User).order_by(col(User.email))
        users = list(session.exec(query if who.is_admin else query.where(User.id == who.user_id)))
        session.expunge_all()
        return users


def find_user(session: Session, email: str) -> User:
    """By e-mail, whatever its case. Raises NotFound that names the nearest one."""
    user = session.exec(select(User).where(User.email == email.strip().lower())).one_or_none()
    if user is None:
        known = session.exec(select(User.email).order_by(col(User.email)).limit(1000)).all()
        raise NotFound(f'There is no user "{email}".{did_you_mean(email, known)} Run `hub user list`.')
    return user


def first_admin(password: Secret | None, email: str = FIRST_EMAIL) -> tuple[str, Secret] | None:
    """On an empty hub: make the admin and return (e-mail, password), to be shown once. Else None."""
    with db.reading() as session:
        if session.exec(select(User.id).limit(1)).first() is not None:
            return None
    password = password or Secret(secrets.token_urlsafe(12))
    user = add_user(LOCAL, email, Role.ADMIN, password)
    return user.email, password


def checked_email(email: str) -> str:
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email):
        sentence = f'"{email[:100]}" is not an e-mail address; write it like ana@example.com.'
        raise Invalid(sentence, {"email": sentence})
    return email


def _checked_role(role: str) -> str:
    roles = [str(known) for known in Role]
    if role not in roles:
        sentence = f'"{role}" is not a role; choose {", ".join(roles)}.{did_you_mean(role, roles)}'
        raise Invalid(sentence, {"role": sentence})
    return str(role)


def _refuse_taken(session: Session, email: str, external_id: str | None) -> None:
    if session.exec(select(User.id).where(User.email == email)).first():
        raise Conflict(f'There is already a user "{email}". Choose another e-mail or change that one.')
    if external_id and session.exec(select(User.id).where(User.external_id == external_id)).first():
        raise Conflict(f'The external id "{external_id}" belongs to another user. Check it in FootprintIQ.')


def _keep_one_admin(session: Session, user: User) -> None:
    others = (User.role == Role.ADMIN, col(User.disabled_at).is_(None), User.id != user.id)
    if user.role == Role.ADMIN and not session.exec(select(func.count()).where(*others)).one():
        raise Conflict(f"{user.email} is the only admin left. Make somebody else an admin first.")


def end_sessions(session: Session, user: User) -> None:
    session.execute(delete(SignIn).where(col(SignIn.user_id) == user.id))
