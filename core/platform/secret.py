"""A string that does not print itself."""

import hmac
from collections.abc import Iterable
from typing import NoReturn

MASK = "••••••"
#: of one credential: the longest of any vendor is a session token of 4 kB; and of a certificate or key as PEM text
LONGEST_CHARS, LONGEST_PEM_CHARS = 8_192, 65_536


class Secret:
    """Holds a credential; only `reveal()` gives it back.

    `str`, `repr`, formatting, logging and f-strings show a mask. It cannot be pickled or
    serialised by accident: json and orjson do not know the type and refuse it.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled; seal it with core.platform.vault")


def redact(text: str, secrets: Iterable[str]) -> str:
    """Replace every given plain secret in `text` by the mask, longest first; shorter than 4 is left alone."""
    for value in sorted({s for s in secrets if len(s) >= 4}, key=len, reverse=True):
        text = text.replace(value, MASK)
    return text
