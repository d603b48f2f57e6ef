"""Whose record it is: the hub user whose id, external id or e-mail is its `user_id`, or a stand-in."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import exists, func, or_, select, update
from sqlmodel import Session, col

from core.records.tables import TABLES, USERS, lock, number, update_all
from core.storage import db, due_times
from core.storage.models import UNASSIGNED, Kind, User

#: in the database for ever, so never another one
_STAND_INS = uuid.UUID("6f4b2d0e-52c5-4a0c-9a5d-2c1f0a7d3e61")


@lru_cache(maxsize=4096)  # an import asks for the same few people row by row
def stand_in(user_id: str | None) -> str:
    """Return the owner of records whose `user_id` names nobody the hub knows: one for each name, always the same.

    Two strangers may have a record of one id, and neither must overwrite the other's.
    """
    return str(uuid.uuid5(_STAND_INS, user_id.lower())) if user_id else UNASSIGNED


def find_owners(session: Session, names: Collection[str]) -> dict[str, str]:
    """Lower-case id, external id or e-mail → the hub user's id, for those of `names` that the hub knows."""
    if not names:
        return {}
    asked = {name.lower() for name in names}
    columns = (USERS.c.email, USERS.c.external_id, USERS.c.id)  # the last wins: a user's own id
    query = select(*columns).where(or_(*(func.lower(column).in_(asked) for column in columns)))
    found: dict[str, str] = {}
    for user in session.connection().execute(query):
        found |= {name.lower(): user.id for name in user if name and name.lower() in asked}
    return found


def names_of(session: Session, records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Whose each record says it is: its `user_id`, else its owner's e-mail; empty for nobody's.

    Text that a hub built again finds again, unlike the ids of its users.
    """
    silent = {record["owner_id"] for record in records if not record["user_id"]} - {UNASSIGNED}
    query = select(USERS.c.id, USERS.c.email).where(USERS.c.id.in_(silent))
    emails = {row.id: row.email for row in session.connection().execute(query)} if silent else {}
    return [record["user_id"] or emails.get(record["owner_id"], "") for record in records]


def heirs(session: Session, limit: int) -> list[User]:
    """People who were not given the records that came before them: their process died, or an older hub's did."""
    late = select(User).where(col(User.adopted_at).is_(None)).order_by(col(User.id)).limit(limit)
    return list(session.execute(late).scalars())


def adopt(session: Session, *users: User) -> int:
    """Give `users` the records that came before them, numbered again: no connection of theirs has seen them."""
    lock(session)
    adopted = 0
    for kind in Kind:
        waiting = _waiting(session, kind, [owner for user in users for owner in _stand_ins(user)])
        for user in users:
            adopted += _adopt(session, kind, user, waiting & _stand_ins(user))
    done = update(User).where(col(User.id).in_([user.id for user in users]))
    session.execute(done.values(adopted_at=db.now(session)))
    return adopted


def _stand_ins(user: User) -> set[str]:
    return {stand_in(name) for name in (user.id, user.email, user.external_id) if name}


def _waiting(session: Session, kind: Kind, owners: Collection[str]) -> set[str]:
    """Those of `owners` who have records."""
    owner = TABLES[kind].c.owner_id
    return set(session.connection().execute(select(owner).where(owner.in_(owners)).distinct()).scalars())


def _adopt(session: Session, kind: Kind, user: User, owners: Collection[str]) -> int:
    """Of two early records with one id, under two of the person's names, the later; the other stays early."""
    if not owners:
        return 0
    table, theirs = TABLES[kind], TABLES[kind].alias()
    query = (
        select(table.c.id, table.c.local_id)
        .where(table.c.owner_id.in_(owners))
        .where(~exists().where(theirs.c.owner_id == user.id, theirs.c.id == table.c.id))
        .order_by(table.c.change_seq)
    )
    latest = {row.id: row.local_id for row in session.connection().execute(query)}
    now = db.now(session)
    moved = [{"at": at, "owner_id": user.id, "risen_at": now} for at in latest.values()]
    number(session, moved)
    update_all(session, kind, moved)
    due_times.wake_realtime(session, kind, {user.id} if moved else ())
    return len(moved)
