"""What is shown of runs, deliveries, SIEM events and tickets: the same for page, API and terminal."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from core.storage.models import State


@dataclass(frozen=True, slots=True)
class RunView:
    id: int
    connection: str
    connection_id: str
    action: str
    status: str
    records: int
    error: str | None
    metadata: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One call, or one batch; `exchanges` are its requests and answers, redacted."""

    started_at: datetime
    closed_at: datetime | None
    outcome: str
    items: int
    worker: str
    exchanges: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """One record on its way to one connection; `key` is the same in every attempt.

    `record_id` is FootprintIQ's own, while the record is kept. `kind` is notice or digest for what the hub itself says;
    `digest_id` is the delivery in whose list it went.
    """

    id: int
    connection: str
    connection_id: str
    kind: str
    record_id: str | None
    key: str
    event_type: str
    digest_id: int | None
    state: State
    reason: str | None
    attempt_count: int
    next_attempt_at: datetime | None
    vendor_id: str | None
    ticket_url: str | None
    response_status: int | None
    delivered_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DeliveryDetails(DeliveryView):
    """With the mapped body and each attempt's requests and answers, redacted.

    `next_attempts`: when it is tried again, and then again if that fails; rough, each wait is varied. `holding` says
    why nothing leaves for its connection right now; empty when something would.
    """

    payload: str | None
    attempts: list[AttemptView]
    next_attempts: list[datetime]
    holding: str


@dataclass(frozen=True, slots=True)
class EventView:
    id: int
    connection: str
    connection_id: str
    delivery_id: int
    event_type: str
    severity: str
    source: str
    title: str
    description: str
    raw_data: dict[str, Any] | None
    is_exported: bool
    exported_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TicketView:
    """`status` is open, in_progress, resolved or closed, `priority` low to critical, by the tracker's first answer;
    `metadata` has both in its own words. `case_id` is FootprintIQ's own."""

    id: int
    connection: str
    connection_id: str
    case_id: str | None
    external_ticket_id: str
    ticket_url: str | None
    status: str | None
    priority: str | None
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class ConnectionStory:
    """What became of a record with one connection. Without `delivery` it is not queued there."""

    connection: str
    connection_id: str
    state: str
    sentence: str
    delivery: DeliveryDetails | None = None


@dataclass(frozen=True, slots=True)
class RecordStory:
    kind: str
    id: str
    title: str
    severity: str
    received_at: datetime
    revision: int
    connections: list[ConnectionStory]
