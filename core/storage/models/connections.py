"""The catalog's entries, and connections to them."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, Text, text
from sqlmodel import Field, SQLModel

from core.storage.models.columns import BigInt, utc


class CatalogEntry(SQLModel, table=True):
    __tablename__ = "integration_catalog"
    id: str = Field(primary_key=True, max_length=36)
    slug: str = Field(unique=True, max_length=40)
    name: str
    category: str = Field(max_length=20)
    provider: str
    description: str
    logo_url: str | None = None  # an operator's; the hub ships no vendor's logo
    icon: str | None = Field(default=None, max_length=40)  # of Material Symbols
    config_schema: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    is_active: bool = True  # an operator's: when off, it is hidden and not connected anew
    created_at: datetime = utc()


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
        # the newest of each tells whether the clock was ahead: core.delivery.clock
        Index(
            "ix_user_integrations_last_sync",
            "last_sync",
            sqlite_where=text("is_active AND deleted_at IS NULL"),
            postgresql_where=text("is_active AND deleted_at IS NULL"),
        ),
        Index(
            "ix_user_integrations_lease",
            "lease_until",
            sqlite_where=text("lease_until IS NOT NULL"),
            postgresql_where=text("lease_until IS NOT NULL"),
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
    options: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # core.integrations.options
    credentials_encrypted: str | None = Field(default=None, sa_type=Text)
    secret_names: list[str] = Field(default_factory=list, sa_type=JSON)  # which secrets are set
    scope: str = Field(default="mine", max_length=10)
    shared: bool = False
    is_active: bool = True
    problem: str | None = None  # the sentence of "Needs you"; None when nobody must act
    export_cursor: int = Field(default=0, sa_type=BigInt)
    ahead: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)  # core.delivery.selection
    next_sync_at: datetime | None = utc(default=None)
    next_call_at: datetime | None = utc(default=None)  # no call before this time …
    wait_reason: str | None = Field(
        default=None, max_length=20
    )  # … because: throttled | backoff | misconfigured
    next_wake_at: datetime | None = utc(default=None)
    rate_until: datetime | None = utc(default=None)  # when all calls so far fit the vendor's rate (GCRA)
    failures: int = 0  # calls that failed in a row; > 0 means: one probe at a time
    failing_since: datetime | None = utc(default=None)  # the first failed call after the last success
    last_failure_at: datetime | None = utc(default=None)
    told_day: int = 0  # of NOTICE_DAYS, the last one on which its owner was told
    lately: list[Any] = Field(default_factory=list, sa_type=JSON)  # messages of the storm window: [epoch]
    digest_at: datetime | None = utc(default=None)  # when the last digest was made
    batch_learned: int | None = None  # what 413 taught us; smaller than the manifest's batch
    run_id: str | None = Field(default=None, max_length=36)
    run_worker: str | None = Field(default=None, max_length=100)
    lease_until: datetime | None = utc(default=None)
    mixed: bool = False  # sends everybody's records, or once did: others' are in its log
    drain_to: int | None = Field(
        default=None, sa_type=BigInt
    )  # up to this change a person wants all sent now
    held_s: float = 0.0  # how long its last run held a worker
    recent: list[Any] = Field(default_factory=list, sa_type=JSON)  # last 60 runs: [epoch, status, records]
    last_sync: datetime | None = utc(default=None)
    last_success_at: datetime | None = utc(default=None)
    deleted_at: datetime | None = utc(default=None)
    created_at: datetime = utc()
    updated_at: datetime = utc()
