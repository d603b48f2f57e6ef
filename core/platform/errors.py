"""Errors that a person can meet: one sentence that says what happened, to which thing, and what to do."""

import difflib
from collections.abc import Iterable, Mapping


class HubError(Exception):
    """Shown as it is, at a terminal, on a page and in an API answer."""

    code = "error"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class NotFound(HubError):
    """No such thing, or not the asker's: the same answer for both."""

    code = "not_found"


class Gone(NotFound):
    """It was there, and somebody deleted it. Said only to those who might see it."""


class Conflict(HubError):
    """The thing is in a state in which this cannot be done now."""

    code = "conflict"


class Forbidden(HubError):
    """The asker's role does not allow it."""

    code = "forbidden"


class Invalid(HubError):
    """What was given is wrong; `fields` names each wrong field with its own sentence."""

    code = "invalid"

    def __init__(self, message: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.fields = dict(fields or {})


class Unusable(HubError):
    """Something the hub stands on cannot be used: database, key file, port."""

    code = "unusable"


class Busy(Unusable):
    """Others hold what this needs: nothing was done, and the same may go through in a moment."""

    code = "busy"


class Full(Unusable):
    """The disk under the database has no room: nothing was written, and nothing is sent until it has."""

    code = "full"


class Locked(HubError):
    """The key that opens a connection's credentials is not in the key ring: it waits, untouched."""

    code = "locked"


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word a person probably meant, or None."""
    known = {candidate.lower(): candidate for candidate in words}
    found = difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return known[found[0]] if found else None


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """` Did you mean "x"?` or nothing."""
    found = nearest(word, words)
    return f' Did you mean "{found}"?' if found else ""
