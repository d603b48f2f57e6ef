"""Passwords as Argon2id hashes."""

import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.platform.errors import Invalid
from core.platform.secret import Secret

#: the longest is a bound on what a stranger can make us hash
SHORTEST, LONGEST = 10, 1024
# OWASP's smallest Argon2id setting (19 MiB, 2 passes, 1 lane): about 0.1 s.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Two at a time: a hundred sign-ins at once must not take a hundred times 19 MiB and every core.
_TURNS = threading.BoundedSemaphore(2)


def hashed(password: Secret) -> str:
    """Hash a password for storage. Raises Invalid when the password is too short or too long."""
    plain = password.reveal()
    if not SHORTEST <= len(plain) <= LONGEST:
        sentence = f"A password has {SHORTEST} to {LONGEST:,} characters; this one has {len(plain)}."
        raise Invalid(f"{sentence} Choose another one.", {"password": sentence})
    with _TURNS:
        return _HASHER.hash(plain)


def is_right(stored: str | None, password: Secret) -> bool:
    """Without a stored hash it still hashes: the answer's time must not tell whether the account exists."""
    plain = password.reveal()[: LONGEST + 1]
    with _TURNS:
        try:
            _HASHER.verify(stored or _nobody(), plain)
        except (VerificationError, InvalidHashError):
            return False
    return stored is not None and len(plain) <= LONGEST


@cache
def _nobody() -> str:
    return _HASHER.hash("nobody has this password")
