"""What happened: runs, figures, audit, heartbeats."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text, text
from sqlmodel import Field, SQLModel

from core.storage.models.columns import BigInt, big_pk, connection_fk, utc
from core.storage.models.words import RunStatus


class RunLog(SQLModel, table=True):
    __tablename__ = "integration_logs"
    __table_args__ = (
        Index("ix_integration_logs_connection", "user_integration_id", "created_at"),
        Index("ix_integration_logs_created", "created_at"),
        Index("ix_integration_logs_newest", "user_integration_id", "id"),
    )
    id: int | None = big_pk()
    user_integration_id: str = connection_fk()
    run_id: str = Field(max_length=36, unique=True)
    sync_type: str = Field(max_length=20)  # manual | scheduled | webhook
    status: str = Field(default=RunStatus.RUNNING, max_length=12)
    records_synced: int = 0
    error_message: str | None = Field(default=None, sa_type=Text)
    meta: dict[str, Any] = Field(default_factory=dict, sa_type=JSON, sa_column_kwargs={"name": "metadata"})
    created_at: datetime = utc()
    finished_at: datetime | None = utc(default=None)


class HourlyFigures(SQLModel, table=True):
    """What the pages read: one row per connection and hour with work, after some weeks one per day.

    Buckets are counts at `core.delivery.journal.BOUNDS_MS` and `BOUNDS_S`.
    """

    __tablename__ = "hourly_figures"
    __table_args__ = (
        Index("ix_hourly_figures_hour", "hour"),
        Index(
            "ix_hourly_figures_unfolded",
            "hour",
            sqlite_where=text("NOT is_day"),
            postgresql_where=text("NOT is_day"),
        ),
    )
    connection_id: str = Field(
        primary_key=True, max_length=36, sa_column_args=(ForeignKey("user_integrations.id"),)
    )
    hour: datetime = utc(primary_key=True)
    is_day: bool = False  # stands for the whole day that begins with `hour`
    runs_ok: int = 0
    runs_partial: int = 0
    runs_failed: int = 0
    runs_blocked: int = 0
    delivered: int = 0
    dead: int = 0
    retried: int = 0
    in_doubt: int = 0
    calls: int = 0
    bytes_out: int = Field(default=0, sa_type=BigInt)
    cost: float = 0.0  # planned: nothing counts it yet
    call_ms: list[Any] = Field(default_factory=list, sa_type=JSON)  # histogram of call latencies
    delay_s: list[Any] = Field(default_factory=list, sa_type=JSON)  # histogram of wanted_at → delivered_at


class AuditEntry(SQLModel, table=True):
    """Append-only: who did what."""

    __tablename__ = "audit_log"
    id: int | None = big_pk()
    at: datetime = utc()
    actor: str = Field(max_length=254)
    action: str = Field(max_length=60)
    subject: str = Field(default="", max_length=254)
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


class Heartbeat(SQLModel, table=True):
    """One row per process name. The scheduler's own row is also its lease: a second one stands by."""

    __tablename__ = "heartbeats"
    name: str = Field(primary_key=True, max_length=40)
    owner: str = Field(max_length=100)
    beat_at: datetime = utc()
    started_at: datetime = utc()
    details: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)


#: how long an answer is given again
ANSWERS_KEPT = timedelta(days=7)


class IdempotencyKey(SQLModel, table=True):
    """What was answered under an Idempotency-Key; without `status` the first request is still being worked on."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("ix_idempotency_keys_created", "created_at"),)
    owner_id: str = Field(primary_key=True, max_length=36)  # whoever asked: keys of two people never meet
    key: str = Field(primary_key=True, max_length=255)
    request_hash: str = Field(max_length=64)
    status: int | None = None
    answer: str | None = Field(default=None, sa_type=Text)
    created_at: datetime = utc()
