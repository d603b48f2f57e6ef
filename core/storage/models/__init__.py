"""The tables and their states. No queries.

The seed's six tables keep their names and columns (`integration_catalog`, `user_integrations`,
`integration_logs`, `webhook_deliveries`, `siem_events`, `ticket_integrations`). Times are UTC.
People, connections and catalog entries have UUIDs; tables that grow have integer primary keys.
"""

from core.storage.models.columns import BigInt, UtcDateTime
from core.storage.models.connections import CatalogEntry, Connection
from core.storage.models.journal import AuditEntry, Heartbeat, HourlyFigures, IdempotencyKey, RunLog
from core.storage.models.outbox import (
    NOT_EXPORTED,
    Attempt,
    Delivery,
    HubMessage,
    Replay,
    SiemEvent,
    TicketLink,
)
from core.storage.models.people import ApiToken, SignIn, User
from core.storage.models.records import (
    RECORD_TABLES,
    Alert,
    Case,
    Counter,
    PullCursor,
    RecordBase,
    Scan,
    SourcePull,
)
from core.storage.models.words import (
    STUCK,
    UNASSIGNED,
    UNDELIVERED,
    WAITING,
    AttemptOutcome,
    Category,
    HubMessageKind,
    Kind,
    ReplayState,
    Role,
    RunStatus,
    SkippedBy,
    State,
)

__all__ = [
    "NOT_EXPORTED",
    "RECORD_TABLES",
    "STUCK",
    "UNASSIGNED",
    "UNDELIVERED",
    "WAITING",
    "Alert",
    "ApiToken",
    "Attempt",
    "AttemptOutcome",
    "AuditEntry",
    "BigInt",
    "Case",
    "CatalogEntry",
    "Category",
    "Connection",
    "Counter",
    "Delivery",
    "Heartbeat",
    "HourlyFigures",
    "HubMessage",
    "HubMessageKind",
    "IdempotencyKey",
    "Kind",
    "PullCursor",
    "RecordBase",
    "Replay",
    "ReplayState",
    "Role",
    "RunLog",
    "RunStatus",
    "Scan",
    "SiemEvent",
    "SignIn",
    "SkippedBy",
    "SourcePull",
    "State",
    "TicketLink",
    "User",
    "UtcDateTime",
]
