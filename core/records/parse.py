"""Pure: one source row → the columns of its table, or the reason it cannot be stored.

A row is what FootprintIQ's table, an import file or a POST holds. Fields the table does not have are kept
in `extra`. A field that is absent says nothing (the stored value stays); a field that is null says "none".
"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import JSON, Boolean, Integer
from sqlmodel import SQLModel

from core.storage.models import RECORD_TABLES, Kind, UtcDateTime

MAX_ID_CHARS, MAX_USER_ID_CHARS = 200, 254  # the widths of the columns
MAX_INT = 2**31 - 1  # PostgreSQL's integer
#: given by the hub, never by a source: a field of such a name goes to `extra`
OWN_COLUMNS = frozenset(
    {"local_id", "owner_id", "extra", "content_hash", "revision", "change_seq"}
    | {"received_at", "risen_at", "dated_ahead"}
)
#: clocks differ by this much without being wrong
AHEAD = timedelta(minutes=5)
#: a change of these alone is no new revision: nothing a vendor was told has changed
NOT_CONTENT = OWN_COLUMNS - {"extra"} | {
    "created_at",
    "updated_at",
    "completed_at",
    "closed_at",
    "is_read",
}
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NO_NAN = (str, int, bool, type(None))  # most values: not worth a call each
_WORDS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), False
)


class Unfit(ValueError):
    """This row cannot be stored. The text says why; the caller reports it and takes the next row."""


def parse(kind: Kind, row: Mapping[str, Any]) -> dict[str, Any]:
    """Read the columns that `row` gives, coerced, and `extra`. Raises Unfit."""
    reason = unfit(row) if isinstance(row, Mapping) else "it is not an object of fields and values"
    if reason:
        raise Unfit(reason)
    known = COERCE[kind]
    other = looks_like(kind, row)
    if other:
        raise Unfit(f"it looks like {_A[other]}; import it with `hub import {other}s`")
    columns = {name: known[name](name, value) for name, value in row.items() if name in known}
    columns["id"] = _checked_id(columns.get("id"))
    if len(row) == 1:
        raise Unfit("it has nothing but an id")
    if len(columns.get("user_id") or "") > MAX_USER_ID_CHARS:
        raise Unfit(f"user_id is longer than {MAX_USER_ID_CHARS} characters")
    columns["extra"] = {name: value for name, value in row.items() if name not in known}
    return columns


def looks_like(kind: Kind, row: Mapping[str, Any]) -> Kind | None:
    """Find the other kind that `row` is one of: it has marks of that one, and no field that only `kind` has."""
    filled: set[str] | None = None
    for other, marks, own in _MISTAKABLE[kind]:
        if marks.isdisjoint(row):
            continue
        filled = filled or {name for name, value in row.items() if value not in (None, "")}
        if filled & marks and not filled & own:
            return other
    return None


def merge(stored: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Merge what is known after `given` arrived on top of `stored`."""
    return {**stored, **given, "extra": {**(stored.get("extra") or {}), **given["extra"]}}


def is_older(given: Mapping[str, Any], stored: Mapping[str, Any], now: datetime) -> bool:
    """Tell whether `given` is a late copy of a state that `stored` has left behind.

    A time that was in the future when it came is no argument, not even when that future is reached: one wrong
    clock would hide every change until then.
    """
    mine, theirs = given.get("updated_at"), stored.get("updated_at")
    if mine is None or theirs is None or stored.get("dated_ahead") or theirs > now + AHEAD:
        return False
    return bool(mine < theirs)


def is_dated_ahead(known: Mapping[str, Any], stored: Mapping[str, Any], now: datetime) -> bool:
    """Whether the `updated_at` of `known` was in the future when it came, now or with `stored`."""
    at = known.get("updated_at")
    if at is not None and at == stored.get("updated_at"):
        return bool(stored.get("dated_ahead"))
    return at is not None and bool(at > now + AHEAD)


def content_hash(columns: Mapping[str, Any]) -> str:
    """32 hex digits over what the record says. Null is as good as missing: a new column changes nothing."""
    content = {k: v for k, v in columns.items() if k not in NOT_CONTENT and v is not None}
    return blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def unfit(row: Any) -> str | None:
    """Say why no database could keep `row` and give it back the same, or None."""
    try:
        text = orjson.dumps(row)
    except TypeError as error:
        return _spoken(str(error))
    if b"\\u0000" in text and _ESCAPED_NUL.search(text):
        return "it holds a NUL character, which PostgreSQL cannot store"
    if _has_nan(row):
        return "it holds NaN or Infinity, which are not JSON"
    return None


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


def _checked_id(value: str | None) -> str:
    text = (value or "").strip()
    if not text:
        raise Unfit("it has no id")
    if len(text) > MAX_ID_CHARS:
        raise Unfit(f"its id is longer than {MAX_ID_CHARS} characters")
    return text


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise Unfit(f"{name} must be text, not a list or an object")


def _severity(name: str, value: Any) -> str | None:
    text = _text(name, value)
    return text and text.strip().lower()


def _integer(name: str, value: Any) -> int | None:
    if value is None or value == "" or (type(value) is int and 0 <= value <= MAX_INT):
        return None if value == "" else value
    try:
        number = float(value) if not isinstance(value, int) else value
        if isinstance(value, bool) or number != int(number):
            raise ValueError
    except (ValueError, TypeError, OverflowError):
        raise Unfit(f"{name} {_quoted(value)} is not a whole number") from None
    if abs(number) > MAX_INT:
        raise Unfit(f"{name} {_quoted(value)} is too large")
    if number < 0:
        raise Unfit(f"{name} {_quoted(value)} is below 0")
    return int(number)


def _flag(name: str, value: Any) -> bool:
    if value is None or value == "":
        return False
    known = _WORDS.get(str(value).strip().lower())
    if known is None:
        raise Unfit(f"{name} {_quoted(value)} is neither true nor false")
    return known


def _time(name: str, value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        moment = _moment(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise Unfit(f"{name} {_quoted(value)} is not a date; write it like 2026-11-22T10:00:00Z") from None


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, str):
        raise TypeError
    return datetime.fromisoformat(value.strip())


def _table(name: str, value: Any) -> dict[str, Any] | None:
    """A JSON object; anything else JSON has is kept under `value`."""
    if isinstance(value, str):
        try:
            value = orjson.loads(value) if value.strip() else None
        except orjson.JSONDecodeError:
            return {"value": value}
    return value if value is None or isinstance(value, dict) else {"value": value}


def _quoted(value: Any) -> str:
    text = str(value)
    return f'"{text[:40]}…"' if len(text) > 40 else f'"{text}"'


def _coercers(kind: Kind) -> dict[str, Callable[[str, Any], Any]]:
    by_type: list[tuple[type, Callable[[str, Any], Any]]] = [
        (UtcDateTime, _time),
        (Boolean, _flag),
        (Integer, _integer),
        (JSON, _table),
    ]
    found: dict[str, Callable[[str, Any], Any]] = {}
    for column in SQLModel.metadata.tables[str(RECORD_TABLES[kind].__tablename__)].columns:
        if column.name not in OWN_COLUMNS:
            # str(): SQLAlchemy's own kind of name, which orjson does not take as a key
            found[str(column.name)] = next((c for t, c in by_type if isinstance(column.type, t)), _text)
    if "severity" in found:
        found["severity"] = _severity
    return found


#: FootprintIQ's columns of each kind, and how a value becomes one
COERCE: Mapping[Kind, Mapping[str, Callable[[str, Any], Any]]] = {kind: _coercers(kind) for kind in Kind}

_A = {Kind.SCAN: "a scan", Kind.CASE: "a case", Kind.ALERT: "an alert"}
#: fields by which a record of a kind is known; a field of one kind may be an unknown field of another
_MARKS = {
    Kind.SCAN: {"scan_type", "privacy_score", "total_sources_found"}
    | {"high_risk_count", "medium_risk_count", "low_risk_count"},
    Kind.CASE: {"priority", "assigned_to", "closed_at", "title"},
    Kind.ALERT: {"alert_type", "schedule_id", "is_read", "is_resolved"},
}
#: per kind: (another kind, marks of that one, fields that this kind has and that one has not)
_MISTAKABLE = {
    kind: [
        (other, frozenset(_MARKS[other] - COERCE[kind].keys()), COERCE[kind].keys() - COERCE[other].keys())
        for other in (Kind.ALERT, Kind.SCAN, Kind.CASE)
        if other is not kind
    ]
    for kind in Kind
}
