"""A record → the names a template may use: computed ones first, then its columns and extra fields."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from core.integrations.mapping.lifecycle import event_type
from core.integrations.mapping.severity import severity_of
from core.integrations.mapping.values import as_count, as_iso, as_line, as_moment, as_score, many_lines
from core.storage.models import RECORD_TABLES, Kind

#: the hub's own columns: not part of the record that goes out
_BOOKKEEPING = {"local_id", "owner_id", "change_seq", "content_hash", "revision", "extra"} | {
    *("received_at", "risen_at", "dated_ahead")
}
_COUNTS = ("high_risk_count", "medium_risk_count", "low_risk_count", "total_sources_found")
_COMPUTED = {
    *("key", "kind", "id", "type", "event_type", "title", "text", "details", "subject", "url", "status"),
    *("severity", "priority", "vendor_severity", "created", "created_epoch", "created_text"),
    *("raw", "metadata"),
}
#: whole objects, as they came
CONTAINERS = frozenset({"raw", "metadata"})
_COLUMNS = {name for table in RECORD_TABLES.values() for name in table.model_fields}
#: a name outside these and outside the record's extra fields prints as it was written
NAMES = frozenset(_COMPUTED | _COLUMNS | set(_COUNTS))
#: … and of those, what every record has in the same form, whatever its source wrote
REGULAR = frozenset((_COMPUTED | set(_COUNTS) | {"privacy_score"}) - {"metadata"})
_SUBJECTS = ("username", "full_name", "email", "phone", "domain", "subject")


def facts(
    kind: str, record: Mapping[str, Any], *, key: str, hub_url: str, include_raw: bool
) -> dict[str, Any]:
    """What is known of a record, under the names a template may use.

    Computed names win over the record's columns, those over its extra fields: no record can forge its key.
    """
    extra = record.get("extra")
    columns = {name: value for name, value in record.items() if name not in _BOOKKEEPING}
    known: dict[str, Any] = {**extra, **columns} if isinstance(extra, dict) else columns
    raw = {name: value for name, value in known.items() if value is not None} if include_raw else None
    id = as_line(known.get("id")) or ""
    for name in _COUNTS:
        known[name] = as_count(known.get(name))
    known["privacy_score"] = as_score(known.get("privacy_score"))
    known |= _times(record)
    known |= {
        "key": key,
        "kind": str(kind),
        "id": id,
        "severity": severity_of(kind, record),
        "status": as_line(known.get("status")),
        "subject": _subject(known),
        "url": f"{hub_url}/records?kind={kind}&id={quote(id, safe='')}",
        "raw": raw,
        "event_type": event_type(kind, known),
    }
    known |= _DESCRIBE[Kind(kind)](known)
    known["details"] = _details(known) or known["text"]
    known["priority"] = known["severity"]
    return known


def message_facts(
    *, key: str, id: str, event_type: str, type: str, title: str, text: str, severity: str, **more: Any
) -> dict[str, Any]:
    """The same names for what the hub itself says to people: mapped like an alert. `more`: subject, url, created.

    What is not named here is None, and a template leaves it out.
    """
    known: dict[str, Any] = {**dict.fromkeys(NAMES), **_times({"created_at": more.get("created")})}
    said = {"key": key, "kind": "alert", "id": id, "event_type": event_type, "type": type}
    known |= said | {"title": title, "details": text, "severity": severity, "priority": severity}
    known |= {"subject": more.get("subject"), "url": more.get("url")}
    rows = _rows(("Severity", severity), ("Created", known["created_text"]), ("Link", known["url"]))
    return known | {"text": f"{text}\n\n{rows}"}


def _times(record: Mapping[str, Any]) -> dict[str, Any]:
    created = as_moment(record.get("created_at"), record.get("completed_at"), record.get("received_at"))
    if created is None:
        return {"created": None, "created_epoch": None, "created_text": None}
    iso = as_iso(created)
    # milliseconds: HEC reads no exponent, and no vendor keeps more
    epoch_s = round(created.timestamp(), 3)
    return {"created": iso, "created_epoch": epoch_s, "created_text": f"{iso[:10]} {iso[11:16]} UTC"}


def _subject(known: Mapping[str, Any]) -> str | None:
    """Who or what was scanned: the column the scan is named after, else the first that is filled."""
    meta = known.get("metadata")
    if isinstance(meta, dict):
        known = {**meta, **known}
    first = str(known.get("scan_type"))
    order = (first, *_SUBJECTS) if first in _SUBJECTS else _SUBJECTS
    for name in order:
        if found := _full_name(known) if name == "full_name" else as_line(known.get(name)):
            return found
    return None


def _full_name(known: Mapping[str, Any]) -> str | None:
    names = (as_line(known.get("first_name")), as_line(known.get("last_name")))
    return " ".join(part for part in names if part) or None


def _details(known: Mapping[str, Any]) -> str | None:
    description = known.get("description")
    return many_lines(description).strip() or None if isinstance(description, str) else None


def _words(value: Any) -> str | None:
    """`data_breach` → `Data breach`."""
    text = (as_line(value) or "").replace("_", " ").strip()
    return text[:1].upper() + text[1:] or None


def _rows(*rows: tuple[str, Any]) -> str:
    return "\n".join(f"{label}: {value}" for label, value in rows if value is not None)


def _describe_scan(known: Mapping[str, Any]) -> dict[str, Any]:
    high, medium, low, sources = (known[name] for name in _COUNTS)
    subject = known["subject"] or f"scan {known['id']}"
    type_ = _words(known.get("scan_type"))
    score = known["privacy_score"]
    levels = ((high, "high"), (medium, "medium"), (low, "low"))
    text = _rows(
        ("Subject", subject),
        ("Scan type", type_),
        ("Severity", known["severity"]),
        ("Risks", ", ".join(f"{count} {word}" for count, word in levels if count is not None) or None),
        ("Privacy score", None if score is None else f"{score} of 100"),
        ("Sources found", sources),
        ("Created", known["created_text"]),
        ("Link", known["url"]),
    )
    return {
        "title": _scan_title(high, subject),
        "text": text,
        "type": f"{type_} scan" if type_ else "Scan",
    }


def _scan_title(high_risks: int | None, subject: str) -> str:
    if high_risks is None:
        return f"Scan finished for {subject}"
    return f"{high_risks or 'No'} high risk{'' if high_risks == 1 else 's'} found for {subject}"


def _describe_case(known: Mapping[str, Any]) -> dict[str, Any]:
    """Without the link: a tracker's connector puts it below, in the tracker's own way, however long the text is."""
    text = _rows(
        ("Priority", known["severity"]),
        ("Status", known["status"]),
        ("Assigned to", as_line(known.get("assigned_to"))),
        ("Scan", as_line(known.get("scan_id"))),
        ("Created", known["created_text"]),
    )
    return {
        "title": as_line(known.get("title")) or f"Case {known['id']}",
        "text": "\n\n".join(part for part in (_details(known), text) if part),
        "type": "Case",
    }


def _describe_alert(known: Mapping[str, Any]) -> dict[str, Any]:
    word = _words(known.get("alert_type")) or "Alert"
    text = _rows(
        ("Type", word),
        ("Severity", known["severity"]),
        ("Subject", known["subject"]),
        ("Scan", as_line(known.get("scan_id"))),
        ("Created", known["created_text"]),
        ("Link", known["url"]),
    )
    subject = f" for {known['subject']}" if known["subject"] else ""
    return {
        "title": as_line(known.get("title")) or f"{word}{subject}",
        "text": "\n\n".join(part for part in (_details(known), text) if part),
        "type": word,
    }


_DESCRIBE = {Kind.SCAN: _describe_scan, Kind.CASE: _describe_case, Kind.ALERT: _describe_alert}
