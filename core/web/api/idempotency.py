"""The same request twice is one: what was answered under an Idempotency-Key, for seven days."""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlmodel import Session, col

from core.access import Principal
from core.platform.errors import Conflict, Invalid
from core.storage import db
from core.storage.models import IdempotencyKey
from core.storage.models.journal import ANSWERS_KEPT

#: a first request that is not answered by then has died with its process; the next one takes its place
ABANDONED = timedelta(minutes=2)
_KEY = re.compile(r"[!-~]{1,255}")


@dataclass(frozen=True)
class KeptAnswer:
    status: int
    body: str


@db.unit
def begin(who: Principal, key: str, request: bytes) -> KeptAnswer | None:
    """The answer of the first such request, or None: this is the first, work and then `finish` it.

    Raises Invalid when the key came with another request, Conflict while the first is being worked on.
    """
    if not _KEY.fullmatch(key):
        sentence = "An Idempotency-Key has 1 to 255 visible ASCII characters. Send another one."
        raise Invalid(sentence, {"Idempotency-Key": sentence})
    digest = sha256(request).hexdigest()
    with db.session() as session:
        now = db.now(session)
        session.execute(
            delete(IdempotencyKey).where(_of(who, key), col(IdempotencyKey.created_at) < now - ANSWERS_KEPT)
        )
        row = {"owner_id": who.user_id, "key": key, "request_hash": digest, "created_at": now}
        statement = db.upsert(session, IdempotencyKey).values(**row).on_conflict_do_nothing()
        if session.execute(statement.returning(col(IdempotencyKey.key))).first() is not None:
            return None
        return _known(session, who, key, digest, now)


@db.unit
def finish(who: Principal, key: str, answer: KeptAnswer) -> None:
    """Keep the answer for whoever sends the request again."""
    with db.session() as session:
        session.execute(
            update(IdempotencyKey).where(_of(who, key)).values(status=answer.status, answer=answer.body)
        )


@db.unit
def forget(who: Principal, key: str) -> None:
    """Nothing came of the request: the same key may try again."""
    with db.session() as session:
        session.execute(delete(IdempotencyKey).where(_of(who, key), col(IdempotencyKey.status).is_(None)))


def _known(session: Session, who: Principal, key: str, digest: str, now: datetime) -> KeptAnswer | None:
    row = session.execute(select(IdempotencyKey).where(_of(who, key)).with_for_update()).scalar_one()
    if row.request_hash != digest:
        sentence = "This Idempotency-Key came with another request before. Send a new key for a new request."
        raise Invalid(sentence, {"Idempotency-Key": sentence})
    if row.status is not None:
        return KeptAnswer(row.status, row.answer or "")
    if row.created_at > now - ABANDONED:
        raise Conflict("The first request with this Idempotency-Key is not answered yet. Repeat it later.")
    row.created_at = now
    session.add(row)
    return None


def _of(who: Principal, key: str) -> ColumnElement[bool]:
    return and_(col(IdempotencyKey.owner_id) == who.user_id, col(IdempotencyKey.key) == key)
