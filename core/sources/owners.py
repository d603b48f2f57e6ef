"""Whose record it is: the hub user whose id, external id or e-mail is its `user_id`."""

from collections.abc import Collection

from sqlalchemy import exists, func, or_, select
from sqlmodel import Session

from core import db
from core.models import UNASSIGNED, Kind, User
from core.sources.tables import TABLES, USERS, lock, number, update_all, wake


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


def adopt(session: Session, user: User) -> int:
    """Give `user` the records that came before them, numbered anew: no connection of theirs has seen them."""
    lock(session)
    return sum(_adopt(session, kind, user) for kind in Kind)


def _adopt(session: Session, kind: Kind, user: User) -> int:
    table, theirs = TABLES[kind], TABLES[kind].alias()
    names = {name.lower() for name in (user.id, user.email, user.external_id) if name}
    query = (
        select(table.c.local_id)
        .where(table.c.owner_id == UNASSIGNED, func.lower(table.c.user_id).in_(names))
        .where(~exists().where(theirs.c.owner_id == user.id, theirs.c.id == table.c.id))
        .order_by(table.c.change_seq)
    )
    now = db.now(session)
    moved = [
        {"at": at, "owner_id": user.id, "risen_at": now}
        for at in session.connection().execute(query).scalars()
    ]
    number(session, moved)
    update_all(session, kind, moved)
    wake(session, kind, {user.id} if moved else ())
    return len(moved)
