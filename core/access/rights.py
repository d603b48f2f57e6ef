"""What a connection may do because of whose it is, asked when it is used and not when it was made.

A disabled person's connections do nothing, and everybody's records go out for an admin only: an owner who lost that
role keeps the connection, and it waits.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Select, and_, bindparam, exists, or_, select
from sqlmodel import Session, col

from core.platform.errors import Conflict
from core.storage.models import Connection, Role, User


def may_run() -> ColumnElement[bool]:
    """Where clause: connections whose owner may have them run now."""
    return exists().where(col(User.id) == col(Connection.user_id), _may())


def _may() -> ColumnElement[bool]:
    is_admin = col(User.role) == Role.ADMIN
    return and_(col(User.disabled_at).is_(None), or_(col(Connection.scope) != "all", is_admin))


def lacks(session: Session, ids: Select[str] | Sequence[str]) -> dict[str, str]:
    """Say of each of the connections that may not run why, and what to do."""
    found = (
        session.execute(_LACKING.where(col(Connection.id).in_(ids)))
        if isinstance(ids, Select)
        else session.execute(_LACKING_OF, {"ids": list(ids)})
    )
    return {row.id: _said(row.email, is_disabled=row.disabled_at is not None) for row in found}


_LACKING = (
    select(col(Connection.id), col(User.email), col(User.disabled_at))
    .join(User, col(User.id) == col(Connection.user_id))
    .where(~_may())
)
#: made once: it is asked before each claim
_LACKING_OF = _LACKING.where(col(Connection.id).in_(bindparam("ids", expanding=True)))


def require(session: Session, connection_id: str) -> None:
    """Raise Conflict with what is to be done for a connection whose owner may not have it run now."""
    for sentence in lacks(session, [connection_id]).values():
        raise Conflict(sentence)


def _said(email: str, *, is_disabled: bool) -> str:
    if is_disabled:
        return (
            f"Its owner {email} is disabled, so nothing is sent. Give it another owner, or enable them again: "
            "what waits stays."
        )
    return (
        f"It sends everybody's records, which its owner {email} may not: only an admin may. Set scope=mine, or give "
        "it to an admin: what waits stays."
    )
