"""A made-up record of each kind: what the catalog shows of a body, and what a person's mapping is tried on."""

from typing import Any

from core.integrations import mapping
from core.storage.models import Kind

ID = "689eaef8-0da0-4e7e-a86b-efd7c0d1ae69"
HUB_URL = "https://hub.example.org"
_AT = "2026-11-20T10:00:00Z"
_RECORDS: dict[Kind, dict[str, Any]] = {
    Kind.SCAN: {
        "scan_type": "email",
        "email": "ines.novak@example.net",
        "privacy_score": 38,
        "high_risk_count": 7,
        "medium_risk_count": 3,
        "low_risk_count": 8,
        "status": "completed",
    },
    Kind.CASE: {
        "title": "Home address of Ines Novak is public",
        "description": "Found on a people search site.",
        "status": "open",
        "priority": "high",
    },
    Kind.ALERT: {
        "alert_type": "data_breach",
        "severity": "high",
        "title": "Ines Novak is in a breach: password hashes",
        "description": "Seen by the scheduled scan.",
    },
}


def facts(kind: Kind, severity: str | None = None, *, include_raw: bool = False) -> dict[str, Any]:
    """The names a template may use, of the record of this kind; with another severity than its own."""
    record = {"id": ID, "user_id": "ana@example.org", "created_at": _AT} | _RECORDS[kind]
    if severity is not None:
        record["priority" if kind is Kind.CASE else "severity"] = severity
    key = mapping.delivery_key(kind, ID, "")
    return mapping.facts(kind, record, key=key, hub_url=HUB_URL, include_raw=include_raw)
