"""The hub's users: add, change, disable, never without an admin left."""

import re
import secrets
import uuid

from sqlalchemy import delete, func
from sqlmodel import Session, col, select

from core.access import passwords
from core.access.audit import audit
from core.access.principal import LOCAL, Principal, require_admin
from core.platform.errors import Conflict, Invalid, NotFound, did_you_mean
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import Role, SignIn, User

FIRST_EMAIL = "admin@hub.local"
_EXTERNAL_ID_CHARS = 64  # the width of the column
# What a header, a terminal and a CSV can carry; whether it exists only a mail can tell.
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f<>(),;:\"\\]{1,64}@[^@\s\x00-\x1f\x7f<>(),;:\"\\]{1,189}")


@db.unit
def add_user(
    who: Principal, email: str, role: str, password: Secret | None, external_id: str | None = None
) -> User:
    """Add a person, in a transaction of its own; `core.records.people.add` also gives them their records."""
    user = new_user(who, email, role, password, external_id)
    with db.session() as session:
        insert_user(session, who, user)
        session.expunge(user)
        return user


def new_user(
    who: Principal, email: str, role: str, password: Secret | None, external_id: str | None = None
) -> User:
    """Check the fields of a new person and return the row to insert. Without a password they cannot sign in
    until one is set.

    Apart from `insert_user`, because hashing takes long and no transaction should wait for it.
    """
    require_admin(who, "add people")
    email = checked_email(email)
    return User(
        id=str(uuid.uuid4()),
        email=email,
        external_id=_checked_external_id(external_id),
        role=_checked_role(role),
        password_hash=passwords.hashed(password, email) if password is not None else None,
    )


def insert_user(session: Session, who: Principal, user: User) -> None:
    """Insert a person. Raises Conflict when the e-mail or the external id is taken."""
    if session.exec(select(User.id).where(User.email == user.email)).first():
        raise Conflict(f'There is already a user "{user.email}". Choose another e-mail or change that one.')
    _refuse_taken(session, user.external_id, user.id)
    user.created_at = db.now(session)
    session.add(user)
    audit(session, who, "user.add", user.email, role=user.role)
    session.flush()


def set_external_id(session: Session, who: Principal, email: str, external_id: str | None) -> User:
    """Set what FootprintIQ calls the person; empty for nothing. Raises Conflict when it is someone else's."""
    require_admin(who, "change other people's external ids")
    user = find_user(session, email)
    user.external_id = _checked_external_id(external_id)
    _refuse_taken(session, user.external_id, user.id)
    session.add(user)
    audit(session, who, "user.edit", user.email, external_id=user.external_id)
    return user


@db.unit
def set_password(who: Principal, email: str, password: Secret) -> None:
    """Oneself, or anybody for an admin. Ends every session of that person."""
    email = checked_email(email)
    if email != who.email:
        require_admin(who, "change other people's passwords")
    password_hash = passwords.hashed(password, email)
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
    """Find a person by e-mail, whatever its case. Raises NotFound that names the nearest one."""
    user = user_of(session, email)
    if user is None:
        known = session.exec(select(User.email).order_by(col(User.email)).limit(1000)).all()
        raise NotFound(f'There is no user "{email}".{did_you_mean(email, known)} Run `hub user list`.')
    return user


def user_of(session: Session, email: str) -> User | None:
    """Return who has this e-mail, whatever its case. A NUL is nobody's: PostgreSQL could not even look for it."""
    email = email.strip().lower()
    return (
        session.exec(select(User).where(User.email == email)).one_or_none() if email.isprintable() else None
    )


def first_admin(password: Secret | None, email: str = FIRST_EMAIL) -> tuple[str, Secret] | None:
    """On an empty hub: make the admin and return (e-mail, password), to be shown once. Else None."""
    with db.reading() as session:
        if session.exec(select(User.id).limit(1)).first() is not None:
            return None
    password = password or Secret(secrets.token_urlsafe(12))
    user = add_user(LOCAL, email, Role.ADMIN, password)
    return user.email, password


def oldest_admin(session: Session) -> User | None:
    """Return the admin who may sign in and has been here longest; None when nobody is left."""
    admins = select(User).where(User.role == Role.ADMIN, col(User.disabled_at).is_(None))
    return session.exec(admins.order_by(col(User.created_at), col(User.email)).limit(1)).first()


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


def _checked_external_id(external_id: str | None) -> str | None:
    external_id = (external_id or "").strip()
    if len(external_id) > _EXTERNAL_ID_CHARS or not external_id.isprintable():
        sentence = (
            f"An external id has at most {_EXTERNAL_ID_CHARS} printable characters; "
            "it is the user uuid in FootprintIQ."
        )
        raise Invalid(sentence, {"external_id": sentence})
    return external_id or None


def _refuse_taken(session: Session, external_id: str | None, user_id: str) -> None:
    """Whatever its case: records find their owner whatever the case of their `user_id`."""
    if not external_id:
        return
    same = func.lower(User.external_id) == external_id.lower()
    with session.no_autoflush:
        if session.exec(select(User.id).where(same, User.id != user_id)).first():
            raise Conflict(
                f'The external id "{external_id}" belongs to another user. Check it in FootprintIQ.'
            )


def _keep_one_admin(session: Session, user: User) -> None:
    others = (User.role == Role.ADMIN, col(User.disabled_at).is_(None), User.id != user.id)
    if user.role == Role.ADMIN and not session.exec(select(func.count()).where(*others)).one():
        raise Conflict(f"{user.email} is the only admin left. Make somebody else an admin first.")


def end_sessions(session: Session, user: User) -> None:
    session.execute(delete(SignIn).where(col(SignIn.user_id) == user.id))
