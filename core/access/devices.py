"""Browsers in which a person has signed in before: a signed cookie each, so that strangers' guesses do not slow them.

The cookie holds a random id, until when it counts, and a signature of both for one account and its present password:
it is worth nothing for another account, and nothing any more when the password was changed. It opens no door; it only
says by whose failures its holder is slowed: by that browser's own.
"""

import re
import secrets
import time
from datetime import timedelta

import orjson

from core.platform.errors import Unusable
from core.platform.settings import settings
from core.platform.vault import Ring
from core.storage.models import User

#: the cookie
COOKIE = "hub_device"
KEPT = timedelta(days=180)
_PURPOSE = "device"
_FORM = re.compile(r"([\w-]{22})\.(\d{10})\.([\w-]{43})", re.ASCII)


def cookie_for(user: User) -> str:
    """Make a cookie for who has just proved to be `user`; empty while the hub has no key to sign it with."""
    ring = _ring()
    if ring is None:
        return ""
    device, until = secrets.token_urlsafe(16), str(int(time.time() + KEPT.total_seconds()))
    return f"{device}.{until}.{ring.sign(_claim(device, until, user), _PURPOSE)}"


def known(cookie: str, user: User | None) -> str | None:
    """Return the id of a browser in which `user` has signed in before; None for everything else."""
    found = _FORM.fullmatch(cookie)
    ring = _ring() if found and user else None
    if found is None or user is None or ring is None:
        return None
    device, until, signature = found.groups()
    is_ours = ring.is_signed(_claim(device, until, user), signature, _PURPOSE)
    return device if is_ours and int(until) > time.time() else None


def _claim(device: str, until: str, user: User) -> str:
    return orjson.dumps([device, until, user.id, user.password_hash]).decode()


def _ring() -> Ring | None:
    """None where the key is gone: people sign in all the same, each browser as a stranger."""
    try:
        return Ring.load(settings())
    except Unusable:
        return None
