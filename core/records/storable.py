"""Pure: what no database could keep and give back the same → what it can, and a note of what was changed.

A record is never refused for a character in it: whoever can put one there could keep it out of a SIEM.
"""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from core.platform.text import mended

#: the field of `extra` with the notes: field → what was changed in it
NOTES = "hub_notes"
MAX_DEPTH = 100  # orjson itself stops at 254, and what a record is mapped to adds some
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NO_NAN = (str, int, bool, type(None))  # most values: not worth a call each

NUL = "held a NUL character; U+FFFD stands in its place"
HALF = "held half a character (a lone surrogate, or bytes that are no UTF-8); U+FFFD stands in its place"
NAN = "held NaN or Infinity, which are not JSON; null stands in its place"
BIG = "held a whole number of more than 64 bits; it is kept as JSON readers keep it, as a float"
DEEP = f"was nested more than {MAX_DEPTH} levels deep; null stands for what was deeper"
ALIEN = "held a value that JSON does not have; it is kept as text"


def unfit(row: Any) -> str | None:
    """Say why no database could keep `row` and give it back the same, or None."""
    try:
        text = orjson.dumps(row)
    except TypeError as error:
        return _spoken(str(error))
    if b"\\u0000" in text and _ESCAPED_NUL.search(text):
        return "it holds a NUL character, which PostgreSQL cannot store"
    if b"null" in text and _has_nan(row):  # which orjson writes NaN as
        return "it holds NaN or Infinity, which are not JSON"
    return None


def storable(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], dict[str, str]]:
    """Return (`row` as it can be kept, what was changed by field). Most rows are returned as they are."""
    if unfit(row) is None:
        return row, {}
    kept: dict[str, Any] = {}
    notes: dict[str, str] = {}
    for name, value in row.items():
        changes: dict[str, None] = {}
        field = _text(str(name), changes)
        kept[field] = _kept(value, 1, changes)
        if changes:
            notes[field] = "; ".join(changes)
    return kept, notes


def said(notes: Mapping[str, str]) -> str:
    """The notes of one record in a line."""
    return "; ".join(f"{field} {note}" for field, note in notes.items())


def read_json(raw: bytes) -> Any:
    """Read JSON as other writers have it, too: with NaN, NULs, half characters and bytes that are no UTF-8.

    Raises orjson.JSONDecodeError, in the strict reader's words, where it is none.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        try:
            return LENIENT.decode(raw.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            raise error from None


def _number(digits: str) -> int | float:
    """As orjson reads it: what has more than 64 bits is a float. Python refuses to read 4,300 digits."""
    return int(digits) if len(digits) < 19 else float(digits)


LENIENT = json.JSONDecoder(strict=False, parse_int=_number)


def _kept(value: Any, depth: int, changes: dict[str, None]) -> Any:
    """`value` as JSON and both databases keep it; what had to be changed is noted in `changes`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value, changes)
    if isinstance(value, int | float):
        return _finite(value, changes)
    if isinstance(value, Mapping | list | tuple):
        return _inner(value, depth, changes)
    return _alien(value, changes)


def _inner(value: Any, depth: int, changes: dict[str, None]) -> Any:
    if depth > MAX_DEPTH:
        changes[DEEP] = None
        return None
    if isinstance(value, Mapping):
        return {_text(str(name), changes): _kept(part, depth + 1, changes) for name, part in value.items()}
    return [_kept(part, depth + 1, changes) for part in value]


def _text(value: str, changes: dict[str, None]) -> str:
    whole = mended(value)
    if whole != value:
        changes |= dict.fromkeys([NUL] if "\0" in value else [])
        changes |= dict.fromkeys([HALF] if whole != value.replace("\0", "\ufffd") else [])
    return whole


def _finite(value: int | float, changes: dict[str, None]) -> int | float | None:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        changes[BIG] = None
        value = as_float(value)
    if isinstance(value, float) and not math.isfinite(value):
        changes[NAN] = None
        return None
    return value


def as_float(value: int) -> float:
    """Infinity where it is too large for that."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _alien(value: Any, changes: dict[str, None]) -> Any:
    """Dates and UUIDs, which orjson writes, stay as they are: their columns read them."""
    try:
        orjson.dumps(value)
        return value
    except TypeError:
        changes[ALIEN] = None
        return _text(str(value), changes)


def _spoken(cause: str) -> str:
    if "UTF-8" in cause:
        return "it holds text that is not valid UTF-8"
    if "64-bit" in cause:
        return "it holds a number of more than 64 bits"
    if "ecursion" in cause:
        return "it is nested too deeply"
    return f"it holds a value that JSON does not have ({cause})"


def _has_nan(value: Any) -> bool:
    """orjson writes NaN as null, so it has to be looked for."""
    if isinstance(value, float):
        return not math.isfinite(value)
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return any(_has_nan(part) for part in inner if not isinstance(part, _NO_NAN))
