"""Pure: one source row → the columns of its table, or the reason it cannot be stored.

A row is what FootprintIQ's table, an import file or a POST holds. Fields the table does not have are kept
in `extra`. A field that is absent says nothing (the stored value stays); a field that is null says "none".

What is in a field never keeps its record out: what a column cannot hold is replaced by what it can, and a note in
`extra` says so (NOTES).
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from typing import Any

import orjson
from sqlalchemy import JSON, Boolean, Integer
from sqlmodel import SQLModel

from core.platform.text import mended
from core.records.storable import NOTES, as_float, read_json, storable
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
_WORDS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "off", "0"), False
)


class Unfit(ValueError):
    """This row cannot be stored. The text says why; the caller reports it and takes the next row."""


class Misfit(ValueError):
    """This value is none of its column's. The text says why, `instead` is what stands in its place."""

    def __init__(self, reason: str, instead: Any = None) -> None:
        super().__init__(f"{reason}; {'it is left empty' if instead is None else f'kept as {instead}'}")
        self.instead = instead


def parse(kind: Kind, row: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the columns that `row` gives, coerced, and `extra`; and what had to be changed, by field. Raises Unfit."""
    if not isinstance(row, Mapping):
        raise Unfit("it is not an object of fields and values")
    kept, notes = storable(row)
    other = looks_like(kind, kept)
    if other:
        raise Unfit(f"it looks like {_A[other]}; import it with `hub import {other}s`")
    _require_id(kept.get("id"))
    if len(row) == 1:
        raise Unfit("it has nothing but an id")
    columns = _columns(kind, row, kept, notes)
    columns["extra"] = {name: value for name, value in kept.items() if name not in COERCE[kind]}
    if notes:
        columns["extra"][NOTES] = notes
    return columns, notes


def _columns(
    kind: Kind, row: Mapping[str, Any], kept: Mapping[str, Any], notes: dict[str, str]
) -> dict[str, Any]:
    known, columns = COERCE[kind], dict[str, Any]()
    for name, value in kept.items():
        if (coerced := known.get(name)) is None:
            continue
        if coerced is _integer and name in notes:
            value = row[name]  # "too large" says more than "empty"
            del notes[name]
        try:
            columns[name] = coerced(value)
        except Misfit as misfit:
            columns[name] = misfit.instead
            notes[name] = "; ".join([*filter(None, [notes.get(name)]), str(misfit)])
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
    """Merge what is known after `given` arrived on top of `stored`. A note stays as long as its field does."""
    before, now = stored.get("extra") or {}, given["extra"]
    extra = {**before, **now}
    if isinstance(before.get(NOTES), dict):
        notes = {field: note for field, note in before[NOTES].items() if field not in given | now}
        extra.pop(NOTES)
        if notes := notes | now.get(NOTES, {}):
            extra[NOTES] = notes
    return {**stored, **given, "extra": extra}


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


def _require_id(value: Any) -> None:
    if value is None or not str(value).strip():
        raise Unfit("it has no id")
    if not isinstance(value, str | int | float):
        raise Unfit("id must be text, not a list or an object")


def _id(value: Any) -> str:
    return _fitted(str(_text(value)).strip(), MAX_ID_CHARS)


def _user_id(value: Any) -> str | None:
    text = _text(value)
    return text and _fitted(text, MAX_USER_ID_CHARS)


def _fitted(text: str, limit: int) -> str:
    """No two of those that are too long become one."""
    if len(text) <= limit:
        return text
    end = blake2b(text.encode(), digest_size=8).hexdigest()
    raise Misfit(f"was longer than {limit} characters", f"{text[: limit - 1 - len(end)]}-{end}")


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise Misfit("was no text", orjson.dumps(value, default=str).decode())


def _severity(value: Any) -> str | None:
    text = _text(value)
    return text and text.strip().lower()


def _integer(value: Any) -> int | None:
    if value is None or value == "" or (type(value) is int and 0 <= value <= MAX_INT):
        return None if value == "" else value
    try:
        number = as_float(value) if isinstance(value, int) else float(value)
    except (ValueError, TypeError):
        number = math.nan
    if isinstance(value, bool) or math.isnan(number):
        raise Misfit(f"{_quoted(value)} is not a whole number")
    if number > MAX_INT:
        raise Misfit(f"{_quoted(value)} is too large", MAX_INT)
    if number < 0:
        raise Misfit(f"{_quoted(value)} is below 0", 0)
    if number != int(number):
        raise Misfit(f"{_quoted(value)} is not a whole number", math.ceil(number))
    return int(number)


def _flag(value: Any) -> bool:
    if value is None or value == "":
        return False
    known = _WORDS.get(str(value).strip().lower())
    if known is None:
        raise Misfit(f"{_quoted(value)} is neither true nor false", False)
    return known


def _time(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        moment = _moment(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        raise Misfit(f"{_quoted(value)} is not a date like 2026-11-22T10:00:00Z") from None


def _moment(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, str):
        raise TypeError
    return datetime.fromisoformat(value.strip())


def _table(value: Any) -> dict[str, Any] | None:
    """A JSON object; anything else JSON has is kept under `value`."""
    if not isinstance(value, str):
        return value if value is None or isinstance(value, dict) else {"value": value}
    if not value.strip():
        return None
    try:
        found = read_json(value.encode()) if value.lstrip()[0] in "{[" else orjson.loads(value)
    except orjson.JSONDecodeError:
        return {"value": value}
    kept, notes = storable({"value": found})
    table = kept["value"] if isinstance(kept["value"], dict) else dict(kept)
    if notes:
        raise Misfit(notes["value"], table)
    return table


def _quoted(value: Any) -> str:
    is_huge = isinstance(value, int) and abs(value) > 2**64  # Python writes no more than 4,300 digits
    text = mended(str(as_float(value) if is_huge else value))
    return f'"{text[:40]}…"' if len(text) > 40 else f'"{text}"'


def _coercers(kind: Kind) -> dict[str, Callable[[Any], Any]]:
    by_type: list[tuple[type, Callable[[Any], Any]]] = [
        (UtcDateTime, _time),
        (Boolean, _flag),
        (Integer, _integer),
        (JSON, _table),
    ]
    found: dict[str, Callable[[Any], Any]] = {}
    for column in SQLModel.metadata.tables[str(RECORD_TABLES[kind].__tablename__)].columns:
        if column.name not in OWN_COLUMNS:
            # str(): SQLAlchemy's own kind of name, which orjson does not take as a key
            found[str(column.name)] = next((c for t, c in by_type if isinstance(column.type, t)), _text)
    if "severity" in found:
        found["severity"] = _severity
    return found | {"id": _id, "user_id": _user_id}


#: FootprintIQ's columns of each kind, and how a value becomes one
COERCE: Mapping[Kind, Mapping[str, Callable[[Any], Any]]] = {kind: _coercers(kind) for kind in Kind}

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
