"""The tables and their states. No queries.

The seed's six tables keep their names and columns (`integration_catalog`, `user_integrations`,
`integration_logs`, `webhook_deliveries`, `siem_events`, `ticket_integrations`). Times are UTC.
People, connections and catalog entries have UUIDs; tables that grow have integer primary keys.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    String,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlmodel import Field, SQLModel

#: owner of records whose `user_id` names nobody the hub knows: visible to admins only.
#: Not NULL, because NULLs are all different in a unique constraint and the import would not be idempotent.
UNASSIGNED = "00000000-0000-0000-0000-000000000000"


class Role(StrEnum):
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


class Kind(StrEnum):
    SCAN = "scan"
    CASE = "case"
    ALERT = "alert"


class Category(StrEnum):
    SIEM = "siem"
    TICKETING = "ticketing"
    COMMUNICATION = "communication"


class Said(StrEnum):
    """What the hub itself says: stands in `record_kind` where else the kind of a record does."""

    NOTICE = "notice"  # a connection fails; through the connection that its `notify_via` names
    DIGEST = "digest"  # many records as one message; their rows point at it with `digest_id`


class State(StrEnum):
    """A delivery's state. Only `core.outbox` writes it."""

    PENDING = "pending"  # waits for its first send, or again after a fault that was not the record's
    SENDING = "sending"  # claimed by an attempt; a byte may have left
    RETRYING = "retrying"  # certainly not delivered; next_attempt_at says when it is tried again
    IN_DOUBT = "in_doubt"  # may have been delivered; looked up or sent again under the same key
    DELIVERED = "delivered"
    DEAD = "dead"  # cannot be delivered, `reason` says why; a person may replay it
    HELD = "held"  # waits for a person (storm control, budget)
    SKIPPED = "skipped"  # no longer wanted (filter edited, connection deleted)


#: states that `core.outbox.claim` takes
WAITING = (State.PENDING, State.RETRYING, State.IN_DOUBT)
#: states of rows that a person decides about; one partial index has them
STUCK = (State.DEAD, State.HELD)


class RunStatus(StrEnum):
    RUNNING = "running"
    SUCCESS = "success"
    PARTIAL = "partial"
    FAILED = "failed"
    INTERRUPTED = "interrupted"


class AttemptOutcome(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    UNKNOWN = "unknown"  # its lease ran out before it was closed


class ReplayState(StrEnum):
    RUNNING = "running"  # worked off in steps
    PAUSED = "paused"  # a person stopped it; what is not back in the queue yet stays as it was
    DONE = "done"


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime on both databases. SQLite has no time zones: stored naive there, read aware."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone was given to the database")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


#: 64 bits on PostgreSQL; SQLite wants INTEGER for its row id
BigInt = BigInteger().with_variant(Integer, "sqlite")


def _time(**kw: Any) -> Any:
    return Field(sa_type=UtcDateTime, **kw)


def _big_pk() -> Any:
    return Field(default=None, primary_key=True, sa_type=BigInt)


def _connection_fk(**kw: Any) -> Any:
    return Field(sa_type=String(36), foreign_key="user_integrations.id", **kw)


# --- people ---------------------------------------------------------------------------------------


class User(SQLModel, table=True):
    __tablename__ = "users"
    id: str = Field(primary_key=True, max_length=36)
    email: str = Field(unique=True, max_length=254)
    external_id: str | None = Field(default=None, unique=True, max_length=64)  # FootprintIQ's user uuid
    role: str = Field(default=Role.MEMBER, max_length=10)
    password_hash: str | None = None
    created_at: datetime = _time()
    disabled_at: datetime | None = _time(default=None)


class ApiToken(SQLModel, table=True):
    """`token_hash` is SHA-256 of a 256-bit random token: nothing to guess, so no slow hash is needed."""

    __tablename__ = "api_tokens"
    id: str = Field(primary_key=True, max_length=36)
    user_id: str = Field(foreign_key="users.id", max_length=36, index=True)
    name: str = Field(default="", max_length=100)
    token_hash: str = Field(unique=True, max_length=64)
    created_at: datetime = _time()
    expires_at: datetime | None = _time(default=None)
    revoked_at: datetime | None = _time(default=None)
    last_used_at: datetime | None = _time(default=None)


class SignIn(SQLModel, table=True):
    """A browser session. The cookie holds the token, the row its SHA-256; deleting the row signs out."""

    __tablename__ = "sign_ins"
    token_hash: str = Field(primary_key=True, max_length=64)
    user_id: str = Field(foreign_key="users.id", max_length=36, index=True)
    created_at: datetime = _time()
    seen_at: datetime = _time()
    expires_at: datetime = _time()


# --- records in -----------------------------------------------------------------------------------


class RecordBase(SQLModel):
    local_id: int | None = _big_pk()
    owner_id: str = Field(max_length=36)  # a hub user, or UNASSIGNED; no foreign key because of that
    id: str = Field(max_length=200)  # FootprintIQ's own id
    user_id: str | None = Field(default=None, max_length=254)  # as it came
    extra: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    content_hash: str = Field(max_length=32)  # without timestamps and is_read
    revision: int = 1
    received_at: datetime = _time()
    change_seq: int = Field(sa_type=BigInt)
    created_at: datetime | None = _time(default=None)


def _record_args(name: str) -> tuple[Any, ...]:
    return (
        UniqueConstraint("owner_id", "id", name=f"uq_{name}_owner_id"),
        Index(f"ux_{name}_change_seq", "change_seq", unique=True),
        Index(f"ix_{name}_owner_change", "owner_id", "change_seq"),
    )


class Scan(RecordBase, table=True):
    __tablename__ = "scans"
    __table_args__ = _record_args("scans")
    scan_type: str | None = None
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    domain: str | None = None
    privacy_score: int | None = None
    total_sources_found: int | None = None
    high_risk_count: int | None = None
    medium_risk_count: int | None = None
    low_risk_count: int | None = None
    severity: str | None = None
    status: str | None = None
    workspace_id: str | None = None
    completed_at: datetime | None = _time(default=None)
    updated_at: datetime | None = _time(default=None)


class Case(RecordBase, table=True):
    __tablename__ = "cases"
    __table_args__ = _record_args("cases")
    scan_id: str | None = None
    title: str | None = None
    description: str | None = None
    status: str | None = None
    priority: str | None = None
    assigned_to: str | None = None
    updated_at: datetime | None = _time(default=None)
    closed_at: datetime | None = _time(default=None)


class Alert(RecordBase, table=True):
    __tablename__ = "monitoring_alerts"
    __table_args__ = _record_args("monitoring_alerts")
    schedule_id: str | None = None
    scan_id: str | None = None
    alert_type: str | None = None
    severity: str | None = None
    title: str | None = None
    description: str | None = None
    meta: dict[str, Any] | None = Field(default=None, sa_type=JSON, sa_column_kwargs={"name": "metadata"})
    is_read: bool = False
    is_resolved: bool = False
    updated_at: datetime | None = _time(default=None)


class Counter(SQLModel, table=True):
    """Named counters. Taking numbers locks the row until commit, so `change_seq` is commit-ordered."""

    __tablename__ = "counters"
    name: str = Field(primary_key=True, max_length=40)
    value: int = Field(default=0, sa_type=BigInt)


class PullCursor(SQLModel, table=True):
    """How far `hub pull` has read one source table; moves in the transaction that stores the rows."""

    __tablename__ = "pull_cursors"
    source: str = Field(primary_key=True, max_length=64)  # hash of the source's address
    kind: str = Field(primary_key=True, max_length=10)
    changed_at: datetime | None = _time(default=None)
    last_id: str | None = None


# --- connections ----------------------------------------------------------------------------------


class CatalogEntry(SQLModel, table=True):
    __tablename__ = "integration_catalog"
    id: str = Field(primary_key=True, max_length=36)
    slug: str = Field(unique=True, max_length=40)
    name: str
    category: str = Field(max_length=20)
    provider: str
    description: str
    logo_url: str | None = None
    config_schema: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    is_active: bool = True  # hidden from the catalog when off
    created_at: datetime = _time()


class Connection(SQLModel, table=True):
    __tablename__ = "user_integrations"
    __table_args__ = (
        Index(
            "ux_user_integrations_name",
            "user_id",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index(
            "ix_user_integrations_wake",
            "next_wake_at",
            sqlite_where=text("is_active AND deleted_at IS NULL"),
            postgresql_where=text("is_active AND deleted_at IS NULL"),
        ),
        Index(
            "ix_user_integrations_failing",
            "failing_since",
            sqlite_where=text("failing_since IS NOT NULL"),
            postgresql_where=text("failing_since IS NOT NULL"),
        ),
    )
    id: str = Field(primary_key=True, max_length=36)
    user_id: str = Field(foreign_key="users.id", max_length=36)
    integration_id: str = Field(foreign_key="integration_catalog.id", max_length=36)
    name: str = Field(max_length=100)
    config: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    options: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # core.options
    credentials_encrypted: str | None = Field(default=None, sa_type=Text)
    secret_names: list[str] = Field(default_factory=list, sa_type=JSON)  # which secrets are set
    scope: str = Field(default="mine", max_length=10)
    shared: bool = False
    is_active: bool = True
    problem: str | None = None  # the sentence of "Needs you"; None when nobody must act
    export_cursor: int = Field(default=0, sa_type=BigInt)
    next_sync_at: datetime | None = _time(default=None)
    next_call_at: datetime | None = _time(default=None)  # no call before this time …
    wait_reason: str | None = Field(
        default=None, max_length=20
    )  # … because: throttled | backoff | misconfigured
    next_wake_at: datetime | None = _time(default=None)
    rate_until: datetime | None = _time(default=None)  # when all calls so far fit the vendor's rate (GCRA)
    failures: int = 0  # calls that failed in a row; > 0 means: one probe at a time
    failing_since: datetime | None = _time(default=None)  # the first failed call after the last success
    last_failure_at: datetime | None = _time(default=None)
    told_day: int = 0  # of NOTICE_DAYS, the last one on which its owner was told
    lately: list[Any] = Field(default_factory=list, sa_type=JSON)  # messages of the storm window: [epoch]
    digest_at: datetime | None = _time(default=None)  # when the last digest was made
    batch_learned: int | None = None  # what 413 taught us; smaller than the manifest's batch
    run_id: str | None = Field(default=None, max_length=36)
    run_worker: str | None = Field(default=None, max_length=100)
    lease_until: datetime | None = _time(default=None)
    recent: list[Any] = Field(default_factory=list, sa_type=JSON)  # last 60 runs: [epoch, status, records]
    last_sync: datetime | None = _time(default=None)
    last_success_at: datetime | None = _time(default=None)
    deleted_at: datetime | None = _time(default=None)
    created_at: datetime = _time()
    updated_at: datetime = _time()


# --- outbox, attempts and what they leave behind --------------------------------------------------

_STUCK = text("state IN ('dead', 'held')")  # few; lets the pages count them without reading the log
_DUE = text("state IN ('pending', 'retrying', 'in_doubt')")


class Delivery(SQLModel, table=True):
    """One record on its way to one connection: the outbox and the delivery log in one."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("webhook_id", "key", name="uq_webhook_deliveries_key"),
        Index(
            "ix_webhook_deliveries_due",
            "webhook_id",
            "next_attempt_at",
            sqlite_where=_DUE,
            postgresql_where=_DUE,
        ),
        Index("ix_webhook_deliveries_record", "record_kind", "record_id"),
        Index("ix_webhook_deliveries_stuck", "webhook_id", sqlite_where=_STUCK, postgresql_where=_STUCK),
        Index(
            "ix_webhook_deliveries_attempt",
            "attempt_id",
            sqlite_where=text("state = 'sending'"),
            postgresql_where=text("state = 'sending'"),
        ),
        Index(
            "ix_webhook_deliveries_digest",
            "digest_id",
            sqlite_where=text("digest_id IS NOT NULL"),
            postgresql_where=text("digest_id IS NOT NULL"),
        ),
    )
    id: int | None = _big_pk()
    user_id: str = Field(max_length=36)  # the connection's owner
    webhook_id: str = _connection_fk()
    record_kind: str = Field(max_length=10)  # Kind, or Said
    record_id: int = Field(sa_type=BigInt)  # local_id, or the id of what the hub said
    revision: int = 1
    key: str = Field(max_length=100)
    event_type: str = Field(max_length=40)
    payload: str | None = Field(default=None, sa_type=Text)
    state: str = Field(default=State.PENDING, max_length=10)
    reason: str | None = Field(default=None, sa_type=Text)
    attempt_id: int | None = Field(default=None, sa_type=BigInt)
    attempt_count: int = 0
    next_attempt_at: datetime | None = _time(default=None)
    in_doubt_since: datetime | None = _time(default=None)
    look_ups: int = 0
    digest_id: int | None = Field(default=None, sa_type=BigInt)  # the delivery in whose list this one went
    vendor_id: str | None = None
    response_status: int | None = None
    response_body: str | None = Field(default=None, sa_type=Text)
    wanted_at: datetime = _time()  # when the hub had both the record and the connection
    delivered_at: datetime | None = _time(default=None)
    created_at: datetime = _time()


class HubMessage(SQLModel, table=True):
    """What the hub itself said; its text is in the delivery's payload, and goes with that."""

    __tablename__ = "hub_messages"
    id: int | None = _big_pk()
    kind: str = Field(max_length=10)  # Said
    title: str
    about_id: str | None = Field(default=None, max_length=36)  # the connection that a notice is about
    created_at: datetime = _time()


class Attempt(SQLModel, table=True):
    """Written before a byte leaves; the fence by which a delivery may be closed."""

    __tablename__ = "delivery_attempts"
    __table_args__ = (
        Index(
            "ix_delivery_attempts_open",
            "lease_until",
            sqlite_where=text("outcome = 'open'"),
            postgresql_where=text("outcome = 'open'"),
        ),
        Index(
            "ix_delivery_attempts_delivery",
            "delivery_id",
            sqlite_where=text("delivery_id IS NOT NULL"),
            postgresql_where=text("delivery_id IS NOT NULL"),
        ),
    )
    id: int | None = _big_pk()
    connection_id: str = _connection_fk()
    run_id: str = Field(max_length=36)
    worker: str = Field(max_length=100)
    started_at: datetime = _time()
    lease_until: datetime = _time()
    closed_at: datetime | None = _time(default=None)
    outcome: str = Field(default=AttemptOutcome.OPEN, max_length=10)
    items: int = 0
    delivery_id: int | None = Field(default=None, sa_type=BigInt)  # if one item
    exchanges: list[Any] = Field(default_factory=list, sa_type=JSON)


class Replay(SQLModel, table=True):
    """Many deliveries of one connection once more: which, how far it is, and who asked."""

    __tablename__ = "replays"
    id: int | None = _big_pk()
    connection_id: str = _connection_fk()
    actor: str = Field(max_length=254)
    wanted: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # core.deliveries.wanted
    state: str = Field(default=ReplayState.RUNNING, max_length=10)
    total: int = 0  # rows that fitted when it began
    queued: int = 0  # of them back in the queue
    left_out: int = 0  # of them still without a body: they stay as they were
    cursor: int = Field(default=0, sa_type=BigInt)  # the last delivery that was looked at …
    last_id: int = Field(default=0, sa_type=BigInt)  # … and the last one there was when it began
    created_at: datetime = _time()
    finished_at: datetime | None = _time(default=None)


class SiemEvent(SQLModel, table=True):
    __tablename__ = "siem_events"
    __table_args__ = (UniqueConstraint("delivery_id", name="uq_siem_events_delivery"),)
    id: int | None = _big_pk()
    user_id: str = Field(max_length=36)
    integration_id: str = _connection_fk()
    delivery_id: int = Field(sa_type=BigInt)
    event_type: str = Field(max_length=40)
    severity: str = Field(max_length=10)
    source: str
    title: str
    description: str = Field(default="", sa_type=Text)
    raw_data: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    is_exported: bool = False
    exported_at: datetime | None = _time(default=None)
    created_at: datetime = _time()


class TicketLink(SQLModel, table=True):
    __tablename__ = "ticket_integrations"
    __table_args__ = (
        UniqueConstraint("integration_id", "case_id", name="uq_ticket_integrations_case"),
        UniqueConstraint("integration_id", "external_ticket_id", name="uq_ticket_integrations_ticket"),
    )
    id: int | None = _big_pk()
    user_id: str = Field(max_length=36)
    integration_id: str = _connection_fk()
    case_id: int = Field(sa_type=BigInt)  # the case's local_id
    external_ticket_id: str = Field(max_length=200)
    ticket_url: str | None = None
    status: str | None = None
    priority: str | None = None
    meta: dict[str, Any] = Field(default_factory=dict, sa_type=JSON, sa_column_kwargs={"name": "metadata"})
    created_at: datetime = _time()
    updated_at: datetime = _time()


# --- the journal ----------------------------------------------------------------------------------


class RunLog(SQLModel, table=True):
    __tablename__ = "integration_logs"
    __table_args__ = (
        Index("ix_integration_logs_connection", "user_integration_id", "created_at"),
        Index("ix_integration_logs_created", "created_at"),
    )
    id: int | None = _big_pk()
    user_integration_id: str = _connection_fk()
    run_id: str = Field(max_length=36, unique=True)
    sync_type: str = Field(max_length=20)  # manual | scheduled | webhook
    status: str = Field(default=RunStatus.RUNNING, max_length=12)
    records_synced: int = 0
    error_message: str | None = Field(default=None, sa_type=Text)
    meta: dict[str, Any] = Field(default_factory=dict, sa_type=JSON, sa_column_kwargs={"name": "metadata"})
    created_at: datetime = _time()
    finished_at: datetime | None = _time(default=None)


class HourlyFigures(SQLModel, table=True):
    """What the pages read. One row per connection and hour; buckets are counts at `core.journal.BOUNDS`."""

    __tablename__ = "hourly_figures"
    __table_args__ = (Index("ix_hourly_figures_hour", "hour"),)
    connection_id: str = Field(
        primary_key=True, max_length=36, sa_column_args=(ForeignKey("user_integrations.id"),)
    )
    hour: datetime = _time(primary_key=True)
    runs_ok: int = 0
    runs_partial: int = 0
    runs_failed: int = 0
    delivered: int = 0
    dead: int = 0
    retried: int = 0
    in_doubt: int = 0
    calls: int = 0
    bytes_out: int = Field(default=0, sa_type=BigInt)
    cost: float = 0.0
    call_ms: list[Any] = Field(default_factory=list, sa_type=JSON)  # histogram of call latencies
    delay_s: list[Any] = Field(default_factory=list, sa_type=JSON)  # histogram of wanted_at → delivered_at


class AuditEntry(SQLModel, table=True):
    """Append-only: who did what."""

    __tablename__ = "audit_log"
    id: int | None = _big_pk()
    at: datetime = _time()
    actor: str = Field(max_length=254)
    action: str = Field(max_length=60)
    subject: str = Field(default="", max_length=254)
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class Heartbeat(SQLModel, table=True):
    """One row per process name. The scheduler's own row is also its lease: a second one stands by."""

    __tablename__ = "heartbeats"
    name: str = Field(primary_key=True, max_length=40)
    owner: str = Field(max_length=100)
    beat_at: datetime = _time()
    started_at: datetime = _time()
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class IdempotencyKey(SQLModel, table=True):
    """What was answered under an Idempotency-Key; without `status` the first request is still being worked on."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created", "created_at"),)
    owner_id: str = Field(primary_key=True, max_length=36)  # whoever asked: keys of two people never meet
    key: str = Field(primary_key=True, max_length=255)
    request_hash: str = Field(max_length=64)
    status: int | None = None
    answer: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = _time()


RECORD_TABLES: dict[Kind, type[RecordBase]] = {Kind.SCAN: Scan, Kind.CASE: Case, Kind.ALERT: Alert}
