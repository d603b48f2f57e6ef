"""Once more: a person puts one delivery back in the queue, under the same key."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from sqlmodel import Session

from core import catalog, db, mapping, outbox, sources
from core import options as options_
from core.access import Principal
from core.access.principal import audit
from core.deliveries.listing import row_and_name
from core.errors import Conflict, Forbidden
from core.mapping import Unmappable
from core.models import CatalogEntry, Connection, Delivery, Kind, Role, Said, State
from core.selection import mapper_of
from core.settings import settings


@db.unit
def replay_one(who: Principal, delivery_id: int, *, again: bool = False) -> str:
    """Put a dead or skipped delivery back; a delivered one only with `again`, a ticket never.

    Returns the sentence for the person. Raises NotFound, Forbidden, and Conflict where it cannot be replayed.
    """
    with db.session() as session:
        row, _ = row_and_name(session, who, delivery_id)
        if who.role == Role.VIEWER:
            raise Forbidden("A viewer cannot replay a delivery. Ask an admin for the role member.")
        before, now = row.state, db.now(session)
        connection = db.locked(session, Connection, row.webhook_id)
        _refuse(row, connection, again)
        payload = None if row.payload is not None else _mapped(session, row, connection)
        if not outbox.replay(session, delivery_id, again=again, payload=payload, now=now):
            raise Conflict("The delivery has just changed its state. Look at it again.")
        connection.next_wake_at = now
        session.add(connection)
        audit(session, who, "delivery.replay", str(delivery_id), connection=connection.id, before=before)
    if not connection.is_active:
        return f'Queued. "{connection.name}" is paused: enable it to send the delivery.'
    return f'Queued; it is sent with the next run of "{connection.name}".'


def bodies(session: Session, connection: Connection, rows: Sequence[Delivery]) -> dict[int, str]:
    """Delivery id → its body, mapped anew; rows that still cannot be mapped are missing."""
    anew, made = _Anew.of(session, connection), {}
    records = sources.by_local_id(session, anew.kind, [row.record_id for row in rows])
    for row in rows:
        record = records.get(row.record_id)
        if record is None or row.id is None:
            continue
        try:
            made[row.id] = anew.body(row, record)
        except Unmappable:
            continue  # it stays as it was, and its reason says what is wrong with the record
    return made


@dataclass(frozen=True)
class _Anew:
    """How a connection maps records now."""

    manifest: catalog.Manifest
    options: options_.Options
    mapper: mapping.Mapper

    @classmethod
    def of(cls, session: Session, connection: Connection) -> Self:
        manifest = catalog.get(session.get_one(CatalogEntry, connection.integration_id).slug)
        chosen = options_.parse(connection.options, manifest.category)
        return cls(manifest, chosen, mapper_of(manifest, chosen))

    @property
    def kind(self) -> Kind:
        return catalog.KIND_OF[self.manifest.category]

    def body(self, row: Delivery, record: dict[str, Any]) -> str:
        """Raises Unmappable."""
        raw, hub_url = self.options.include_raw, settings().public_url
        return self.mapper.body(
            mapping.facts(self.kind, record, key=row.key, hub_url=hub_url, include_raw=raw)
        )


def _refuse(row: Delivery, connection: Connection, again: bool) -> None:
    if connection.deleted_at:
        raise Conflict("The connection was deleted; connect the tool again to send the record anew.")
    if row.record_kind == Said.DIGEST:
        raise Conflict("A digest is not sent twice: its records are replayed instead, one by one or all.")
    if row.payload is None and row.record_kind == Said.NOTICE:
        raise Conflict("The text of this notice is not kept any more. Look at the connection itself.")
    if row.state == State.DELIVERED and row.record_kind == Kind.CASE:
        raise Conflict(
            "The case has its ticket already; a second one is never made. Change it in the tracker."
        )
    if row.state == State.DELIVERED and not again:
        raise Conflict("It was delivered. Sending it twice must be said: again=true.")
    if row.state not in (State.DEAD, State.SKIPPED, State.DELIVERED):
        raise Conflict(f"It is {row.state} and needs no replay: it is in the queue, or waits for a release.")


def _mapped(session: Session, row: Delivery, connection: Connection) -> str:
    """The body of a row that has none, because it could not be mapped or because its time was over."""
    anew, kind = _Anew.of(session, connection), Kind(row.record_kind)
    record = sources.by_local_id(session, kind, [row.record_id]).get(row.record_id)
    if record is None:
        raise Conflict(f"Neither its body nor its {kind} is kept any more. Import the {kind} again.")
    try:
        return anew.body(row, record)
    except Unmappable as error:
        name, reasons = anew.manifest.name, "; ".join(error.reasons)
        raise Conflict(f"It still cannot be mapped for {name}: {reasons}. Correct the {kind}.") from None
