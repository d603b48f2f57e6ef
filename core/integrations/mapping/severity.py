"""What the hub decides about a record: how severe it is, whether it goes out, under which key."""

import hashlib
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from core.integrations.mapping.values import as_count, is_on
from core.integrations.options import Options
from core.storage.models import Kind
from core.storage.models.words import SEVERITIES

_RANK = {word: rank for rank, word in enumerate(SEVERITIES)}
_SEVERITY_COLUMN = {Kind.SCAN: "severity", Kind.CASE: "priority", Kind.ALERT: "severity"}
#: the status in which a record goes out; alerts have none
DUE_STATUS = {Kind.SCAN: "completed", Kind.CASE: "open"}
#: high risks of a scan that has no severity of its own; fewer than the last are "low"
_SCAN_STEPS = ((15, "critical"), (5, "high"), (1, "medium"))
_UUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
#: `Delivery.event_type` holds 40 characters, 18 of them "footprintiq.alert."
_ALERT_TYPE_CHARS = 22
_END_CHARS = 8


def severity_of(kind: str, record: Mapping[str, Any]) -> str:
    """low | medium | high | critical.

    A case or alert without a word we know is medium: it is not hidden, and nobody is woken.
    """
    own = str(record.get(_SEVERITY_COLUMN[Kind(kind)]) or "").lower()
    if own in _RANK:
        return own
    if kind != Kind.SCAN:
        return "medium"
    risks = as_count(record.get("high_risk_count")) or 0
    return next((word for least, word in _SCAN_STEPS if risks >= least), "low")


def has_risen(kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether by this change a record became wanted, or would by a connection that takes fewer: it was completed
    or opened again, has more high risks, a higher severity or another event."""
    if _why_not_due(kind, after):
        return False
    if _why_not_due(kind, before) or event_type(kind, before) != event_type(kind, after):
        return True
    return any(now > then for then, now in zip(_rank(kind, before), _rank(kind, after), strict=True))


def _rank(kind: str, record: Mapping[str, Any]) -> tuple[int, int]:
    return _RANK[severity_of(kind, record)], as_count(record.get("high_risk_count")) or 0


def why_not(kind: str, record: Mapping[str, Any], options: Options) -> str | None:
    """Why a connection does not export the record, in a sentence; None when it does.

    Scans: completed, with enough high risks. Cases: open (that one has no ticket yet is checked elsewhere).
    Alerts: unread and not resolved. A record without a status is taken as due.
    """
    if (reason := _why_not_due(kind, record)) is not None:
        return reason
    risks = as_count(record.get("high_risk_count")) or 0
    if kind == Kind.SCAN and risks < options.high_risk_threshold:
        return f"it has {risks} high risks, and the threshold is {options.high_risk_threshold}."
    severity = severity_of(kind, record)
    if _RANK[severity] < _RANK[options.min_severity or "low"]:
        return f"its severity is {severity}, and the connection takes {options.min_severity} and above."
    return None


def _why_not_due(kind: str, record: Mapping[str, Any]) -> str | None:
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


def unwanted_event(kind: str, record: Mapping[str, Any], events: Sequence[str]) -> str | None:
    """Why a connection that takes only `events` leaves the record out; None when it does not."""
    happened = event_type(kind, record)
    if not events or happened in events:
        return None
    return f"its event is {happened}, and the connection takes {', '.join(events)}."


def delivery_key(kind: str, id: str, name: str) -> str:
    """The key of a record with every vendor, for ever: `fiq-scan-<uuid>-<8 hex digits>`.

    A uuid is the record's own, whoever owns it, and by whichever door it came. Any other id, as "1" in a CSV, may
    be two people's: `name`, the `user_id` it came with, tells them apart, in whatever case. Never the owner: the
    hub may learn only later who that is, and a hub built anew knows its people by other ids.
    """
    if _UUID.fullmatch(id):
        return f"fiq-{kind}-{id}-{hashlib.sha256(id.encode()).hexdigest()[:_END_CHARS]}"
    name = name.lower()
    both = f"{len(name)}:{name}{id}".encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(both).hexdigest()  # 160 bits of it: two people meet never
    return f"fiq-{kind}-{uuid.UUID(digest[:32])}-{digest[32 : 32 + _END_CHARS]}"
