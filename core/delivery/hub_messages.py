"""A message of the hub's own into the outbox of a connection: mapped like an alert, delivered like one."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, insert
from sqlmodel import Session, col

from core.delivery import outbox
from core.delivery.profile import Profile
from core.integrations import Manifest, mapping
from core.integrations.options import Options
from core.storage.models import Connection, HubMessage, HubMessageKind


@dataclass(frozen=True)
class Words:
    """What is said. `type` is a word for people, `event_type` one for programs."""

    kind: HubMessageKind
    key: str
    event_type: str
    type: str
    title: str
    text: str
    severity: str
    subject: str
    url: str
    about_id: str | None = None


def queue(
    session: Session, via: Connection, manifest: Manifest, options: Options, words: Words, now: datetime
) -> int | None:
    """The id of the delivery; None, and nothing written, when that key was queued before. Raises Unmappable."""
    payload = Profile.of(via, manifest, options).mapper.body(_facts(words, now))
    kept = {"kind": words.kind, "title": words.title, "about_id": words.about_id, "created_at": now}
    message_id = session.execute(insert(HubMessage).values(**kept).returning(col(HubMessage.id))).scalar_one()
    assert message_id is not None
    row = outbox.New(
        kind=words.kind,
        record_id=message_id,
        revision=1,
        record_seq=None,
        key=words.key,
        event_type=words.event_type,
        payload=payload,
        reason=None,
        wanted_at=now,
        severity=words.severity,
        title=words.title,
    )
    queued = outbox.put(session, connection_id=via.id, user_id=via.user_id, siem=False, rows=[row], now=now)
    if not queued:
        session.execute(delete(HubMessage).where(col(HubMessage.id) == message_id))
    return next(iter(queued), None)


def _facts(words: Words, now: datetime) -> dict[str, object]:
    return mapping.message_facts(
        key=words.key,
        id=words.key,
        event_type=words.event_type,
        type=words.type,
        title=words.title,
        text=words.text,
        severity=words.severity,
        subject=words.subject,
        url=words.url,
        created=now,
    )
