"""Values as sources send them → values that are safe to show, to count with and to put into JSON."""

import math
import re
from datetime import UTC, datetime
from typing import Any

from core.platform.text import mended

_CONTROL = re.compile("[\x01-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tab, line feed, carriage return
_BREAKS = re.compile("\r\n?|[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# control characters, and the bidirectional ones that make a line read otherwise than it is (CVE-2021-42574)
_HIDDEN = re.compile("[\x01-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def many_lines(text: str) -> str:
    """Readable text in which the only control character left is the line feed."""
    if text.replace("\n", "").isprintable():
        return text
    return _HIDDEN.sub("", _BREAKS.sub("\n", mended(text))).replace("\t", " ")


def one_line(text: str) -> str:
    return text if text.isprintable() else many_lines(text).replace("\n", " ")


def as_line(value: Any) -> str | None:
    """One clean line of a column, or None where there is nothing to show."""
    if value is None:
        return None
    if isinstance(value, str):
        return one_line(value).strip() or None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63
    return str(value) if is_number else None


def as_count(value: Any) -> int | None:
    """A count as a number; a source may send it as text."""
    if value.__class__ is int:  # nearly always, and no bool
        return value if 0 <= value < 2**53 else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_count else None


def as_score(value: Any) -> float | None:
    return value if isinstance(value, float) and math.isfinite(value) else as_count(value)


def is_on(value: Any) -> bool:
    return value is not None and str(value).lower() in ("true", "t", "yes", "1")


def as_moment(*values: Any) -> datetime | None:
    """The first that is a time, aware and in UTC. A time without a zone is UTC."""
    for value in values:
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else value
            if isinstance(moment, datetime):
                return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            continue
    return None


def as_iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


#: orjson itself stops at 254
_MAX_DEPTH = 200


def clean(value: Any, depth: int = 0) -> Any:
    """A nested value as JSON can carry it, its texts without control characters.

    Raises ValueError with the reason when it cannot be carried.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"it is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, str):
        return _CONTROL.sub("", mended(value))
    if isinstance(value, dict):
        return {clean(str(name)): clean(inner, depth + 1) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner, depth + 1) for inner in value]
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return _as_float(value)
    return value


def _as_float(value: int) -> float:
    """JSON readers keep a number of more than 64 bits as a float at best."""
    try:
        return float(value)
    except OverflowError:
        raise ValueError("it holds a number too large for JSON") from None
