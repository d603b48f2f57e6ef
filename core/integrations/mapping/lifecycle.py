"""Whether a record is in a state that goes out at all, which event that is, and whether a change made it worse."""

import re
from collections.abc import Mapping
from typing import Any

from core.integrations.mapping.severity import RANK, severity_of
from core.integrations.mapping.values import as_count, is_on
from core.storage.models import Kind

#: the status in which a record goes out; alerts have none
DUE_STATUS = {Kind.SCAN: "completed", Kind.CASE: "open"}
#: `Delivery.event_type` holds 40 characters, 18 of them "footprintiq.alert."
_ALERT_TYPE_CHARS = 22


def why_not_due(kind: str, record: Mapping[str, Any]) -> str | None:
    """Why no connection exports the record, whatever its filters."""
    if kind == Kind.ALERT:
        if is_on(record.get("is_read")) or is_on(record.get("is_resolved")):
            return "the alert is already read or resolved."
        return None
    status = str(record.get("status") or DUE_STATUS[Kind(kind)]).lower()
    if status == DUE_STATUS[Kind(kind)]:
        return None
    return f"its status is {status}, and only {DUE_STATUS[Kind(kind)]} {kind}s are sent."


def event_type(kind: str, record: Mapping[str, Any]) -> str:
    """What happened, as one word for machines: `footprintiq.alert.data_breach`."""
    if kind == Kind.ALERT:
        word = str(record.get("alert_type") or "other").lower()
        return "footprintiq.alert." + re.sub("[^a-z0-9_]+", "_", word)[:_ALERT_TYPE_CHARS]
    return "footprintiq.scan.high_risk" if kind == Kind.SCAN else "footprintiq.case.opened"


def has_risen(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether by this change a record became wanted, or would by a connection that takes fewer: it was completed
    or opened again, has more high risks, a higher severity or another event."""
    if why_not_due(kind, after):
        return False
    if why_not_due(kind, before) or event_type(kind, before) != event_type(kind, after):
        return True
    return any(now > then for then, now in zip(_rank(kind, before), _rank(kind, after), strict=True))


def _rank(kind: str, record: Mapping[str, Any]) -> tuple[int, int]:
    return RANK[severity_of(kind, record)], as_count(record.get("high_risk_count")) or 0
