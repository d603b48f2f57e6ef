"""Passwords: none that is guessed first, and kept as Argon2id hashes."""

import re
import threading
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from core.platform.errors import Invalid
from core.platform.secret import Secret

#: the longest is a bound on what a stranger can make us hash
SHORTEST, LONGEST = 12, 1024
#: zxcvbn's: below it fewer than 10^8 guesses find a password, its lists of common ones and their variations first
ENOUGH = 3
#: of a password that zxcvbn looks at: it takes the longer the more there is
_JUDGED_CHARS = 40
# OWASP's smallest Argon2id setting (19 MiB, 2 passes, 1 lane): about 0.1 s.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
# Two at a time: a hundred sign-ins at once must not take a hundred times 19 MiB and every core.
_TURNS = threading.BoundedSemaphore(2)


def hashed(password: Secret, email: str) -> str:
    """Hash the password of a person for storage. Raises Invalid when it is too short, too long or easily guessed."""
    plain = password.reveal()
    if not SHORTEST <= len(plain) <= LONGEST:
        sentence = f"A password has {SHORTEST} to {LONGEST:,} characters; this one has {len(plain)}."
        raise _refused(sentence)
    if not _is_hard_to_guess(plain, email):
        raise _refused(
            "This password is easily guessed: it is a common one, a variation, or made of the e-mail."
        )
    with _TURNS:
        return _HASHER.hash(plain)


def _refused(sentence: str) -> Invalid:
    return Invalid(
        f"{sentence} Choose another one, like four words that do not belong together.", {"password": sentence}
    )


def _is_hard_to_guess(plain: str, email: str) -> bool:
    from zxcvbn import zxcvbn  # its lists take 0.1 s and 20 MB, and few processes ever set a password

    name, parts = email.partition("@")[0], re.findall(r"\w+", email)
    about = [email, name, re.sub(r"\W", "", name), *parts, "footprintiq", "hub"]
    return bool(zxcvbn(plain[:_JUDGED_CHARS], user_inputs=about)["score"] >= ENOUGH)


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
