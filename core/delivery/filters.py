"""What a connection wants: one answer for export, claim, preview, count and story."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Self

from sqlalchemy import ColumnElement, Table, and_, false, func, or_

from core.integrations import mapping
from core.integrations.mapping.values import as_count
from core.integrations.options import Options
from core.storage.models import Connection, Kind
from core.storage.models.words import SEVERITIES

#: fields of a vendor's config that say which records are wanted, as the options do
CONFIG_FIELDS = ("events",)


class Cause(StrEnum):
    """What keeps a record from a connection: a choice of its own, or the record's status."""

    SCOPE = "scope"
    START = "start_from"
    STATUS = "status"
    THRESHOLD = "high_risk_threshold"
    SEVERITY = "min_severity"
    EVENT = "events"


class LeftOut(NamedTuple):
    """`sentence` is the end of one: "Filtered: its severity is low, …"."""

    cause: Cause
    sentence: str


@dataclass(frozen=True)
class Filter:
    """One connection's wishes. `since` is compared with the time at which a record became wanted."""

    kind: Kind
    options: Options
    owner_id: str | None  # None: everybody's
    since: datetime | None
    events: tuple[str, ...] = ()

    @classmethod
    def of(cls, connection: Connection, kind: Kind, options: Options) -> Self:
        return cls(
            kind,
            options,
            owner_id=None if options.scope == "all" else connection.user_id,
            since=None if options.start_from == "all" else datetime.fromisoformat(options.start_from),
            events=tuple(connection.config.get("events", ())),
        )

    def wants(self, record: Mapping[str, Any]) -> bool:
        """Tell whether `record`, a row of its table, goes out."""
        return self.left_out(record) is None

    def why_not(self, record: Mapping[str, Any]) -> str | None:
        """Say why `record` does not go out, as the end of a sentence; None when it does."""
        found = self.left_out(record)
        return None if found is None else found.sentence

    def left_out(self, record: Mapping[str, Any]) -> LeftOut | None:
        """Find what keeps `record` back; None when it goes out."""
        if self.owner_id not in (None, record["owner_id"]):
            return LeftOut(
                Cause.SCOPE,
                "it is somebody else's, and the connection takes its owner's records only. "
                "With scope=all it would take it.",
            )
        if self.since is not None and wanted_since(record) < self.since:
            said = f"the connection takes records that became wanted from {self.options.start_from} on."
            return LeftOut(Cause.START, said)
        return _unfit(self.kind, record, self.options) or _unwanted_event(self.kind, record, self.events)

    def may_fit(self, table: Table) -> list[ColumnElement[bool]]:
        """Return the conditions that the database can judge, so that history is walked without reading it out:
        none that fits is missing, and `wants` says which of them do."""
        where: list[ColumnElement[bool]] = []
        if self.since is not None:
            where.append(func.coalesce(table.c.risen_at, table.c.received_at) >= self.since)
        if self.kind is Kind.ALERT:
            where += [table.c.is_read.is_(False), table.c.is_resolved.is_(False)]
        else:
            where.append(
                func.lower(func.coalesce(table.c.status, "")).in_(("", mapping.DUE_STATUS[self.kind]))
            )
        if self.kind is Kind.SCAN and self.options.high_risk_threshold > 0:
            where.append(table.c.high_risk_count >= self.options.high_risk_threshold)
        if self.unwanted_severities:
            own = table.c.priority if self.kind is Kind.CASE else table.c.severity
            where.append(func.lower(func.coalesce(own, "")).not_in(self.unwanted_severities))
        return where

    def may_be(self, table: Table, severity: str) -> list[ColumnElement[bool]]:
        """Return the conditions of `may_fit` for records of this severity alone; none of them is missing."""
        own = func.lower(func.coalesce(table.c.priority if self.kind is Kind.CASE else table.c.severity, ""))
        is_said = own == severity
        if self.kind is Kind.SCAN:
            least = mapping.LEAST_RISKS.get(severity, 0)
            by_count = and_(own.not_in(SEVERITIES), func.coalesce(table.c.high_risk_count, 0) >= least)
            return [*self.may_fit(table), or_(is_said, by_count)]
        unsaid = own.not_in(SEVERITIES) if severity == mapping.UNSAID else false()
        return [*self.may_fit(table), or_(is_said, unsaid)]

    @property
    def unwanted_severities(self) -> tuple[str, ...]:
        return SEVERITIES[: SEVERITIES.index(self.options.min_severity or SEVERITIES[0])]


def wanted_since(record: Mapping[str, Any]) -> datetime:
    """When `record` was completed, opened again or became more severe; at the latest when it was received."""
    moment: datetime = record["risen_at"] or record["received_at"]
    return moment


def why_not(kind: str, record: Mapping[str, Any], options: Options) -> str | None:
    """Say why a connection does not export the record, in a sentence; None when it does.

    Scans: completed, with enough high risks. Cases: open (that one has no ticket yet is checked in `selection`).
    Alerts: unread and not resolved. A record without a status is taken as due.
    """
    found = _unfit(kind, record, options)
    return None if found is None else found.sentence


def _unfit(kind: str, record: Mapping[str, Any], options: Options) -> LeftOut | None:
    if (reason := mapping.why_not_due(kind, record)) is not None:
        return LeftOut(Cause.STATUS, reason)
    risks, least = as_count(record.get("high_risk_count")) or 0, options.high_risk_threshold
    if kind == Kind.SCAN and risks < least:
        return LeftOut(Cause.THRESHOLD, f"it has {risks} high risks, and the threshold is {least}.")
    severity, wanted = mapping.severity_of(kind, record), options.min_severity
    if mapping.RANK[severity] < mapping.RANK[wanted or "low"]:
        said = f"its severity is {severity}, and the connection takes {wanted} and above."
        return LeftOut(Cause.SEVERITY, said)
    return None


def _unwanted_event(kind: str, record: Mapping[str, Any], events: Sequence[str]) -> LeftOut | None:
    """Why a connection that takes only `events` leaves the record out; None when it does not."""
    happened = mapping.event_type(kind, record)
    if not events or happened in events:
        return None
    return LeftOut(Cause.EVENT, f"its event is {happened}, and the connection takes {', '.join(events)}.")
