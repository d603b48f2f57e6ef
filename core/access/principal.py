"""Who is asking, and in which role."""

import hashlib
from dataclasses import dataclass

from core.platform.errors import Forbidden
from core.storage.models import Role, User


@dataclass(frozen=True)
class Principal:
    user_id: str
    email: str
    role: str

    @property
    def is_admin(self) -> bool:
        return self.role == Role.ADMIN

    @property
    def is_viewer(self) -> bool:
        return self.role == Role.VIEWER


#: whoever can run commands on this machine can read its database and key file anyway
LOCAL = Principal("local", "operator at the terminal", Role.ADMIN)


def principal_of(user: User) -> Principal:
    return Principal(user.id, user.email, user.role)


def require_admin(who: Principal, what: str) -> None:
    if not who.is_admin:
        raise Forbidden(f"Only an admin may {what}. Ask one of yours.")


def require_member(who: Principal, what: str) -> None:
    """Refuse a viewer, who may look and nothing else."""
    if who.is_viewer:
        raise Forbidden(f"A viewer cannot {what}. Ask an admin for the role member.")


def digest(token: str) -> str:
    """SHA-256: a 256-bit random token leaves nothing to guess, so no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()
