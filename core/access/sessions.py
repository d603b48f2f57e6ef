"""Browser sessions: a random token in a cookie, its SHA-256 in `sign_ins`."""

import secrets
from datetime import timedelta

from sqlalchemy import delete, or_, update
from sqlmodel import col, select

from core.access import devices, passwords
from core.access.audit import audit
from core.access.login_limit import LoginLimit, network_of
from core.access.people import user_of
from core.access.principal import Principal, digest, principal_of
from core.platform.errors import Forbidden
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import SignIn, User

#: the cookie that holds the token
COOKIE = "hub_session"
IDLE, ABSOLUTE = timedelta(hours=8), timedelta(days=7)
#: a session is stamped as used at most this often: looking at pages should not write
TOUCH_EVERY = timedelta(minutes=1)

PAIRS = LoginLimit(free=5)  # one account, from one address
ADDRESSES = LoginLimit(free=20)  # an office or a proxy is one address for many people
ACCOUNTS = LoginLimit(free=100)  # one account, from many addresses
DEVICES = LoginLimit(free=5)  # one account, in a browser that has signed in to it before
BRAKES = (PAIRS, ADDRESSES, ACCOUNTS, DEVICES)


class TooMany(Forbidden):
    """Sign-in is refused for `wait_s` seconds, whatever the password."""

    code = "too_many"

    def __init__(self, wait_s: int) -> None:
        wait = f"{wait_s} seconds" if wait_s < 120 else f"{-(-wait_s // 60)} minutes"
        super().__init__(f"Too many failed sign-ins. Wait {wait}, then try again.")
        self.wait_s = wait_s


def sign_in(email: str, password: Secret, address: str, device: str = "") -> str:
    """Open a session and return its cookie token. Raises Forbidden, the same for every wrong pair, or TooMany.

    `device` is what `device_cookie` gave that browser before. An unknown e-mail costs the same hashing as a known
    one, so the time it takes tells nothing.
    """
    email = email.strip().lower()[:254]
    with db.reading() as session:
        user = user_of(session, email)
    brakes = _brakes(email, network_of(address), devices.known(device, user))
    wait_s = max(limit.wait_s(name) for limit, name in brakes)
    if wait_s:
        raise TooMany(wait_s)
    known = user.password_hash if user and not user.disabled_at else None
    if not passwords.is_right(known, password) or user is None:
        for limit, name in brakes:
            limit.fail(name)
        _note_refusal(email, address)
        raise Forbidden("The e-mail or the password is not right. Check both and try again.")
    for limit, name in brakes:
        if limit is not ADDRESSES:  # that one has guessed at others
            limit.forget(name)
    return _open_session(user, address)


def _brakes(email: str, address: str, device: str | None) -> tuple[tuple[LoginLimit, str], ...]:
    """By whose failures this try is slowed: strangers' where nobody knows the browser, else that browser's own."""
    if device:
        return ((DEVICES, device),)
    return ((PAIRS, f"{email} {address}"), (ADDRESSES, address), (ACCOUNTS, email))


def device_cookie(token: str) -> str:
    """The cookie by which this browser is known the next time, for whoever holds this session; empty for others."""
    user = _holder(token)
    return devices.cookie_for(user) if user else ""


@db.unit
def _note_refusal(email: str, address: str) -> None:
    with db.session() as session:
        audit(session, email, "sign_in.refused", address)


def signed_in(token: str | None) -> Principal | None:
    """Return who holds this session, with the role the database has now. Writes nothing."""
    user = _holder(token)
    return principal_of(user) if user else None


def _holder(token: str | None) -> User | None:
    if not token:
        return None
    with db.reading() as session:
        now = db.now(session)
        return session.exec(
            select(User)
            .join(SignIn, col(SignIn.user_id) == col(User.id))
            .where(SignIn.token_hash == digest(token), col(User.disabled_at).is_(None))
            .where(SignIn.expires_at > now, SignIn.seen_at > now - IDLE)
        ).one_or_none()


@db.unit
def stay_signed_in(token: str) -> None:
    """Note that the person did something. A page that refreshes itself does not call this."""
    with db.reading() as session:
        row = session.get(SignIn, digest(token))
        if row is None or row.seen_at > db.now(session) - TOUCH_EVERY:
            return
    with db.session() as session:
        here = col(SignIn.token_hash) == digest(token)
        session.execute(update(SignIn).where(here).values(seen_at=db.now(session)))


@db.unit
def sign_out(token: str) -> None:
    """End this session on the server: the cookie is worth nothing from now on."""
    with db.session() as session:
        row = session.get(SignIn, digest(token))
        if row is not None:
            user = session.get(User, row.user_id)
            session.delete(row)
            audit(session, user.email if user else row.user_id, "sign_out", "")


@db.unit
def _open_session(user: User, address: str) -> str:
    token = secrets.token_urlsafe(32)
    with db.session() as session:
        now = db.now(session)
        session.execute(
            delete(SignIn).where(or_(col(SignIn.expires_at) < now, col(SignIn.seen_at) < now - IDLE))
        )
        row = SignIn(
            token_hash=digest(token),
            user_id=user.id,
            created_at=now,
            seen_at=now,
            expires_at=now + ABSOLUTE,
        )
        session.add(row)
        audit(session, user.email, "sign_in", address)
    return token
