"""What a connection wants: one answer for export, claim, preview, count and story."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from core import mapping
from core.models import Connection, Kind
from core.options import SEVERITIES, Options


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
        """Whether `record`, a row of its table, goes out."""
        return self.why_not(record) is None

    def why_not(self, record: Mapping[str, Any]) -> str | None:
        """Why `record` does not go out, as the end of a sentence; None when it does."""
        if self.owner_id not in (None, record["owner_id"]):
            return (
                "it is somebody else's, and the connection takes its owner's records only. "
                "With scope=all it would take it."
            )
        if self.since is not None and wanted_since(record) < self.since:
            return f"the connection takes records that became wanted from {self.options.start_from} on."
        return mapping.why_not(self.kind, record, self.options) or mapping.unwanted_event(
            self.kind, record, self.events
        )

    @property
    def unwanted_severities(self) -> tuple[str, ...]:
        return SEVERITIES[: SEVERITIES.index(self.options.min_severity or SEVERITIES[0])]


def wanted_since(record: Mapping[str, Any]) -> datetime:
    """When `record` was completed, opened again or became more severe; at the latest when it was received."""
    moment: datetime = record["risen_at"] or record["received_at"]
    return moment
