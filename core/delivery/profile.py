"""How one connection judges and maps records: built once, handed on."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

from sqlmodel import Session

from core import integrations
from core.delivery.filters import Filter, wanted_since
from core.delivery.outbox import New
from core.integrations import Manifest, mapping, own_mapping
from core.integrations import options as options_
from core.integrations.mapping import Mapper, TooLong, Unmappable
from core.integrations.options import Options
from core.platform.settings import settings
from core.storage.models import CatalogEntry, Connection, Kind

#: stands in an event where the record itself would make it larger than it may be
LEFT_OUT = {"left_out": "The record is larger than its event may be. It is in the hub."}


@dataclass(frozen=True)
class Profile:
    """`wants` judges, `mapped` makes bodies."""

    connection: Connection
    manifest: Manifest
    options: Options
    wants: Filter

    @classmethod
    def of(cls, connection: Connection, manifest: Manifest, options: Options) -> Self:
        return cls(connection, manifest, options, Filter.of(connection, manifest.kind, options))

    @classmethod
    def saved(cls, session: Session, connection: Connection) -> Self:
        """Build the profile of a connection as it is saved."""
        manifest = integrations.get(session.get_one(CatalogEntry, connection.integration_id).slug)
        return cls.of(connection, manifest, options_.parse(connection.options, manifest.category))

    @cached_property
    def mapper(self) -> Mapper:
        """Compiled when it is first needed: who only counts needs none. Raises Invalid for a mapping that names
        what the vendor's body does not have."""
        return own_mapping.mapper(self.manifest, self.options.mapping)

    @property
    def kind(self) -> Kind:
        return self.manifest.kind

    def mapped(self, record: Mapping[str, Any], key: str) -> New:
        """Map one row of a record table for the outbox, where it has this `key`.

        A record that cannot be mapped has no `payload`, and `reason` says why.
        """
        facts = mapping.facts(
            self.kind, record, key=key, hub_url=settings().public_url, include_raw=self.options.include_raw
        )
        payload, reason = None, None
        try:
            payload = self._body(facts)
        except Unmappable as error:
            reason = f"Cannot be mapped for {self.manifest.name}: {'; '.join(error.reasons)}"
        return New(
            kind=self.kind,
            record_id=record["local_id"],
            revision=record["revision"],
            record_seq=record["change_seq"],
            key=key,
            event_type=facts["event_type"],
            payload=payload,
            reason=reason,
            wanted_at=max(wanted_since(record), self.connection.created_at),
            severity=facts["severity"],
            title=facts["title"],
            description=facts["details"],
            made_at=record["created_at"] or record["received_at"],
        )

    def _body(self, facts: dict[str, Any]) -> str:
        """A record that is too large to be inside its event goes out without itself, rather than not at all."""
        try:
            return self.mapper.body(facts)
        except TooLong:
            if facts["raw"] is None:
                raise
        return self.mapper.body(facts | {"raw": LEFT_OUT})
