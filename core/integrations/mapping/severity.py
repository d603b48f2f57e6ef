"""How severe a record is, in one of four words."""

from collections.abc import Mapping
from typing import Any

from core.integrations.mapping.values import as_count
from core.storage.models import Kind
from core.storage.models.words import SEVERITIES

RANK = {word: rank for rank, word in enumerate(SEVERITIES)}
_COLUMN = {Kind.SCAN: "severity", Kind.CASE: "priority", Kind.ALERT: "severity"}
#: high risks of a scan that has no severity of its own; fewer than the last are "low"
_SCAN_STEPS = ((15, "critical"), (5, "high"), (1, "medium"))
LEAST_RISKS = {word: least for least, word in _SCAN_STEPS}
#: of a case or alert without a word we know
UNSAID = "medium"


def word_of(spelt: Any, spellings: Mapping[str, Any]) -> str | None:
    """Find the word of the four that a vendor spells so (`spellings` is its manifest's [severity]), or None."""
    return next((word for word, own in spellings.items() if own == spelt), None)


def severity_of(kind: str, record: Mapping[str, Any]) -> str:
    """Find the severity of a record: low | medium | high | critical.

    A case or alert without a word we know is medium: it is not hidden, and nobody is woken.
    """
    own = str(record.get(_COLUMN[Kind(kind)]) or "").lower()
    if own in RANK:
        return own
    if kind != Kind.SCAN:
        return UNSAID
    risks = as_count(record.get("high_risk_count")) or 0
    return next((word for least, word in _SCAN_STEPS if risks >= least), "low")
