"""Which connections somebody may see or change, and one of them by its id or name."""

from typing import Any

from sqlalchemy import ColumnElement, Select, false, or_, select, true
from sqlmodel import Session, col

from core.access.principal import Principal
from core.platform.errors import Gone, Invalid, NotFound, did_you_mean
from core.storage import db
from core.storage.models import CatalogEntry, Connection, Role, User


def visible(who: Principal) -> ColumnElement[bool]:
    """Where clause: the connections they may look at."""
    return true() if who.is_admin else or_(col(Connection.user_id) == who.user_id, col(Connection.shared))


def changeable(who: Principal) -> ColumnElement[bool]:
    """Where clause: the connections they may change or run."""
    if who.is_admin:
        return true()
    return col(Connection.user_id) == who.user_id if who.role == Role.MEMBER else false()


def may_change(who: Principal, owner: str) -> bool:
    """The same for one connection; `owner` is the id or the e-mail of whoever has it."""
    return who.is_admin or (who.role == Role.MEMBER and owner in (who.user_id, who.email))


#: of a shared connection: the tool's own words, which may quote a record, are for those who may see the record
WITHHELD = "Something is wrong with it: its owner sees what the tool answered."


def may_read(who: Principal, owner_id: str) -> bool:
    """Whether they may see the records that go through a connection; `shared` shows the connection alone."""
    return who.is_admin or owner_id == who.user_id


def row_of(
    session: Session, who: Principal, ref: str, *, to_change: bool = False
) -> tuple[Connection, str, str]:
    """(connection, slug, owner's e-mail) by id or name."""
    base = connections(who, to_change)
    for wanted in (base.where(col(Connection.id) == ref), base.where(col(Connection.name) == ref)):
        found = session.execute(wanted.limit(2)).all()
        if len(found) > 1:
            raise Invalid(f'Several connections are called "{ref}". Use the id, from `hub connections`.')
        if found:
            return found[0][0], found[0][1], found[0][2]
    deleted = select(col(Connection.name)).where(
        col(Connection.id) == ref, col(Connection.deleted_at).is_not(None), visible(who)
    )
    name = session.execute(deleted).scalar()
    if name is not None:
        raise _gone(name)
    names = session.execute(select(col(Connection.name)).where(*mine(who, to_change))).scalars()
    raise NotFound(
        f'There is no connection "{ref}".{did_you_mean(ref, names)} List yours with `hub connections`.'
    )


def row_to_change(session: Session, who: Principal, ref: str) -> tuple[Connection, str]:
    """(connection, slug), locked until commit: what a run or another person changes meanwhile waits, and is read."""
    found, slug, _ = row_of(session, who, ref, to_change=True)
    row = db.locked(session, Connection, found.id)
    if row.deleted_at is not None:
        raise _gone(row.name)
    return row, slug


def _gone(name: str) -> Gone:
    return Gone(f'"{name}" was deleted. List yours with `hub connections`.')


def mine(who: Principal, to_change: bool) -> tuple[Any, ...]:
    return col(Connection.deleted_at).is_(None), changeable(who) if to_change else visible(who)


def connections(who: Principal, to_change: bool = False) -> Select[Connection, str, str]:
    return (
        select(Connection, col(CatalogEntry.slug), col(User.email))
        .join(CatalogEntry, col(CatalogEntry.id) == col(Connection.integration_id))
        .join(User, col(User.id) == col(Connection.user_id))
        .where(*mine(who, to_change))
    )
