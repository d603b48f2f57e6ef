"""Pure: record + field rules → vendor body, or the reasons it cannot be.

`facts` turns a record into the names a template may use; `compile` turns a manifest's template tree into a
`Mapper`, once, and `Mapper.body` runs it for every record. Hostile text stays data: it is never expanded a
second time, and characters that nobody can see are taken out. Escaping for the vendor is the connector's.
"""

from core.integrations.mapping.keys import delivery_key
from core.integrations.mapping.lifecycle import DUE_STATUS, event_type, has_risen, why_not_due
from core.integrations.mapping.record_facts import facts, message_facts
from core.integrations.mapping.severity import LEAST_RISKS, RANK, UNSAID, severity_of, word_of
from core.integrations.mapping.template import MAX_BODY_BYTES, Mapper, TooLong, Unmappable, compile, refused

__all__ = [
    "DUE_STATUS",
    "LEAST_RISKS",
    "MAX_BODY_BYTES",
    "RANK",
    "UNSAID",
    "Mapper",
    "TooLong",
    "Unmappable",
    "compile",
    "delivery_key",
    "event_type",
    "facts",
    "has_risen",
    "message_facts",
    "refused",
    "severity_of",
    "why_not_due",
    "word_of",
]
