"""What comes in: scans, cases and alerts with FootprintIQ's column names."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from core.storage.models.columns import BigInt, big_pk, utc
from core.storage.models.words import Kind


class RecordBase(SQLModel):
    local_id: int | None = big_pk()
    owner_id: str = Field(max_length=36)  # a hub user, or a stand-in; no foreign key because of that
    id: str = Field(max_length=200)  # FootprintIQ's own id
    user_id: str | None = Field(default=None, max_length=254)  # as it came
    extra: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    content_hash: str = Field(max_length=32)  # without timestamps and is_read
    revision: int = 1
    received_at: datetime = utc()
    risen_at: datetime | None = utc(default=None)  # when it last became wanted; empty: when it was received
    change_seq: int = Field(sa_type=BigInt)
    dated_ahead: bool = False  # `updated_at` was in the future when it came, so it puts nothing in its shade
    created_at: datetime | None = utc(default=None)


def _record_args(name: str) -> tuple[Any, ...]:
    return (
        UniqueConstraint("owner_id", "id", name=f"uq_{name}_owner_id"),
        Index(f"ux_{name}_change_seq", "change_seq", unique=True),
        Index(f"ix_{name}_owner_change", "owner_id", "change_seq"),
        Index(f"ix_{name}_id", "id"),  # for those who do not know the owner
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
    completed_at: datetime | None = utc(default=None)
    updated_at: datetime | None = utc(default=None)


class Case(RecordBase, table=True):
    __tablename__ = "cases"
    __table_args__ = _record_args("cases")
    scan_id: str | None = None
    title: str | None = None
    description: str | None = None
    status: str | None = None
    priority: str | None = None
    assigned_to: str | None = None
    updated_at: datetime | None = utc(default=None)
    closed_at: datetime | None = utc(default=None)


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
    updated_at: datetime | None = utc(default=None)


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
    changed_at: datetime | None = utc(default=None)
    last_id: str | None = None
    horizon: int | None = Field(
        default=None, sa_type=BigInt
    )  # every transaction below it had ended and was seen
    table_id: int | None = Field(default=None, sa_type=BigInt)  # the table (its oid) that this is true of


class SourcePull(SQLModel, table=True):
    """The source that is pulled: who reads it (the lease), and how the last pulls went."""

    __tablename__ = "source_pulls"
    source: str = Field(primary_key=True, max_length=64)  # as in `pull_cursors`
    address: str = Field(max_length=254)  # host, port and database: what may be shown
    pull_id: str | None = Field(default=None, max_length=36)  # of the pull under way
    lease_until: datetime | None = utc(default=None)
    began_at: datetime | None = utc(default=None)
    ended_at: datetime | None = utc(default=None)
    read_until: datetime | None = utc(default=None)  # when the last pull began that came through
    error: str | None = Field(default=None, sa_type=Text)  # why the last one did not
    new: int = 0
    changed: int = 0
    refused: int = 0  # by the last pull that refused any
    refused_reason: str | None = Field(default=None, sa_type=Text)
    refused_at: datetime | None = utc(default=None)


RECORD_TABLES: dict[Kind, type[RecordBase]] = {Kind.SCAN: Scan, Kind.CASE: Case, Kind.ALERT: Alert}
