"""What is on its way: deliveries, their attempts, and what they leave behind."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Text, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from core.storage.models.columns import BigInt, big_pk, connection_fk, utc
from core.storage.models.words import AttemptOutcome, ReplayState, State

_STUCK = text("state IN ('dead', 'held')")  # few; lets the pages count them without reading the log
_SKIPPED = text("state = 'skipped'")
NOT_EXPORTED = text("NOT is_exported")
_DUE = text("state IN ('pending', 'retrying', 'in_doubt')")
_CASE = text("record_kind = 'case'")
#: Finished rows from which retention takes a text, each in an index by time. Why a row was skipped are the
#: hub's own words, and stay.
DELIVERED_TEXT = (
    "state = 'delivered' AND (payload IS NOT NULL OR response_body IS NOT NULL OR reason IS NOT NULL)"
)
STOPPED_TEXT = (
    "state IN ('dead', 'skipped') AND "
    "(payload IS NOT NULL OR response_body IS NOT NULL OR (reason IS NOT NULL AND state = 'dead'))"
)


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
        Index(
            "ix_webhook_deliveries_severity",
            "webhook_id",
            "severity",
            "next_attempt_at",
            sqlite_where=_DUE,
            postgresql_where=_DUE,
        ),
        Index("ix_webhook_deliveries_connection", "webhook_id", "id"),
        Index("ix_webhook_deliveries_record", "record_kind", "record_id"),
        Index(
            "ix_webhook_deliveries_case_key", "record_kind", "key", sqlite_where=_CASE, postgresql_where=_CASE
        ),
        Index("ix_webhook_deliveries_stuck", "webhook_id", sqlite_where=_STUCK, postgresql_where=_STUCK),
        Index(
            "ix_webhook_deliveries_skipped",
            "webhook_id",
            "id",
            sqlite_where=_SKIPPED,
            postgresql_where=_SKIPPED,
        ),
        Index(
            "ix_webhook_deliveries_sending",
            "webhook_id",
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
        Index(
            "ix_webhook_deliveries_delivered",
            "delivered_at",
            sqlite_where=text(DELIVERED_TEXT),
            postgresql_where=text(DELIVERED_TEXT),
        ),
        Index(
            "ix_webhook_deliveries_stopped",
            "created_at",
            sqlite_where=text(STOPPED_TEXT),
            postgresql_where=text(STOPPED_TEXT),
        ),
    )
    id: int | None = big_pk()
    user_id: str = Field(max_length=36)  # the connection's owner
    webhook_id: str = connection_fk()
    record_kind: str = Field(max_length=10)  # Kind, or HubMessageKind
    record_id: int = Field(sa_type=BigInt)  # the record's local_id, or a HubMessage's id
    revision: int = 1
    record_seq: int | None = Field(default=None, sa_type=BigInt)  # the change that `payload` was mapped from
    key: str = Field(max_length=100)
    event_type: str = Field(max_length=40)
    severity: str | None = Field(default=None, max_length=10)  # None: delivered before it was kept
    payload: str | None = Field(default=None, sa_type=Text)
    state: str = Field(default=State.PENDING, max_length=10)
    reason: str | None = Field(default=None, sa_type=Text)
    skipped_by: str | None = Field(default=None, max_length=10)  # SkippedBy, of a skipped row
    attempt_id: int | None = Field(default=None, sa_type=BigInt)  # the last one, as long as that is kept
    attempt_count: int = 0
    next_attempt_at: datetime | None = utc(default=None)
    in_doubt_since: datetime | None = utc(default=None)
    look_ups: int = 0
    digest_id: int | None = Field(default=None, sa_type=BigInt)  # the delivery in whose list this one went
    vendor_id: str | None = None
    place: str | None = None  # of a case: where its ticket is, or may be (core.delivery.outbox.tickets)
    response_status: int | None = None
    response_body: str | None = Field(default=None, sa_type=Text)
    wanted_at: datetime = utc()  # when the hub had both the record and the connection
    delivered_at: datetime | None = utc(default=None)
    created_at: datetime = utc()


class HubMessage(SQLModel, table=True):
    """What the hub itself said; its text is in the delivery's payload, and goes with that."""

    __tablename__ = "hub_messages"
    id: int | None = big_pk()
    kind: str = Field(max_length=10)  # HubMessageKind
    title: str
    about_id: str | None = Field(default=None, max_length=36)  # the connection that a notice is about
    created_at: datetime = utc()


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
    id: int | None = big_pk()
    connection_id: str = connection_fk()
    run_id: str = Field(max_length=36)
    worker: str = Field(max_length=100)
    started_at: datetime = utc()
    lease_until: datetime = utc()
    closed_at: datetime | None = utc(default=None)
    outcome: str = Field(default=AttemptOutcome.OPEN, max_length=10)
    items: int = 0
    delivery_id: int | None = Field(default=None, sa_type=BigInt)  # if one item
    exchanges: list[Any] = Field(default_factory=list, sa_type=JSON)


class Replay(SQLModel, table=True):
    """Many deliveries of one connection once more: which, how far it is, and who asked."""

    __tablename__ = "replays"
    id: int | None = big_pk()
    connection_id: str = connection_fk()
    actor: str = Field(max_length=254)
    wanted: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # core.delivery.history.replay_filter
    state: str = Field(default=ReplayState.RUNNING, max_length=10)
    total: int = 0  # rows that fitted when it began
    queued: int = 0  # of them back in the queue
    left_out: int = 0  # of them still without a body: they stay as they were
    cursor: int = Field(default=0, sa_type=BigInt)  # the last delivery that was looked at …
    last_id: int = Field(default=0, sa_type=BigInt)  # … and the last one there was when it began
    created_at: datetime = utc()
    finished_at: datetime | None = utc(default=None)


class SiemEvent(SQLModel, table=True):
    __tablename__ = "siem_events"
    __table_args__ = (
        UniqueConstraint("delivery_id", name="uq_siem_events_delivery"),
        Index("ix_siem_events_connection", "integration_id", "id"),
        Index(
            "ix_siem_events_waiting",
            "integration_id",
            "id",
            sqlite_where=NOT_EXPORTED,
            postgresql_where=NOT_EXPORTED,
        ),
    )
    id: int | None = big_pk()
    user_id: str = Field(max_length=36)
    integration_id: str = connection_fk()
    delivery_id: int = Field(sa_type=BigInt)
    event_type: str = Field(max_length=40)
    severity: str = Field(max_length=10)
    source: str
    title: str
    description: str = Field(default="", sa_type=Text)
    raw_data: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    is_exported: bool = False
    exported_at: datetime | None = utc(default=None)
    created_at: datetime = utc()


class TicketLink(SQLModel, table=True):
    __tablename__ = "ticket_integrations"
    __table_args__ = (
        UniqueConstraint("integration_id", "case_local_id", name="uq_ticket_integrations_case"),
        UniqueConstraint("integration_id", "external_ticket_id", name="uq_ticket_integrations_ticket"),
        Index("ix_ticket_integrations_connection", "integration_id", "id"),
        Index("ix_ticket_integrations_case_id", "case_id"),  # for whoever looks into the table
    )
    id: int | None = big_pk()
    user_id: str = Field(max_length=36)
    integration_id: str = connection_fk()
    case_id: str | None = Field(
        default=None, max_length=200
    )  # the case's own; two people may have one of that id
    case_local_id: int = Field(sa_type=BigInt)
    external_ticket_id: str = Field(max_length=200)
    ticket_url: str | None = None
    status: str | None = None  # open | in_progress | resolved | closed, by the tracker's first answer
    priority: str | None = None  # one of SEVERITIES, or the tracker's word where it stands for none of them
    #: `status` and `priority` in the tracker's own words
    meta: dict[str, Any] = Field(default_factory=dict, sa_type=JSON, sa_column_kwargs={"name": "metadata"})
    created_at: datetime = utc()
    updated_at: datetime = utc()
