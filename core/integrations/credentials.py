"""Seal and open the secrets of a connection, and say which connections a missing key has locked."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, func, not_, or_, select
from sqlmodel import Session, col

from core.http.errors import Misconfigured
from core.platform.errors import Locked, Unusable
from core.platform.settings import settings
from core.platform.vault import VERSION, Ring, Unreadable, kid_of
from core.storage.models import Connection

#: where the key's id stands in a token: v1.<kid>.…
_KID_AT, _KID_LENGTH = len(VERSION) + 1, 8
_TABLE, _COLUMN = "user_integrations", "credentials_encrypted"


@cache
def ring() -> Ring:
    """This process's key ring. Raises Unusable when there is none."""
    return Ring.load(settings())


def seal(secrets: Mapping[str, str], connection_id: str, owner: str) -> str | None:
    """Secret config fields → what the row keeps; bound to this row and owner."""
    if not secrets:
        return None
    plain = orjson.dumps(dict(secrets)).decode()
    return ring().seal(plain, table=_TABLE, row=connection_id, column=_COLUMN, owner=owner)


def unseal(connection: Connection) -> dict[str, str]:
    """Open the row's secrets. Raises Misconfigured: a person must enter them again; Locked: the key is missing."""
    if not connection.credentials_encrypted:
        return {}
    try:
        plain = _ring_for(connection).open(
            connection.credentials_encrypted,
            table=_TABLE,
            row=connection.id,
            column=_COLUMN,
            owner=connection.user_id,
        )
    except Unreadable as error:
        raise Misconfigured(
            f'The stored credentials of "{connection.name}" cannot be read ({error.message}) '
            "Enter them again, or start the hub with the key they were sealed with."
        ) from None
    opened: dict[str, str] = orjson.loads(plain)
    return opened


# --- locked: the key that sealed the credentials is not there --------------------------------------


_PUT_BACK = (
    "Put the key back from the backup (HUB_SECRET_KEY_FILE or HUB_SECRET_KEYS), "
    "or enter the credentials again."
)


@dataclass(frozen=True)
class Lock:
    """Connections that wait for one key. `problem` says why the ring has no keys at all, when it has none."""

    kid: str
    connections: int
    problem: str | None

    @property
    def sentence(self) -> str:
        locked = "1 connection is" if self.connections == 1 else f"{self.connections:,} connections are"
        why = f" {self.problem}" if self.problem else ""
        return (
            f"The key {self.kid} is missing: {locked} locked, and what is to be sent waits, untouched.{why} "
            f"{_PUT_BACK}"
        )


def locks(session: Session) -> tuple[Lock, ...]:
    """Find which keys are missing, and how many connections each of them locks. Nothing, when all is well."""
    token = col(Connection.credentials_encrypted)
    kid = func.substr(token, _KID_AT + 1, _KID_LENGTH)
    wanted = select(kid, func.count()).where(col(Connection.deleted_at).is_(None), not_(is_open()))
    found = session.execute(wanted.group_by(kid).order_by(kid)).all()
    return tuple(Lock(kid, number, _ring_problem()) for kid, number in found)


def lock_of(connection: Connection) -> str | None:
    """Say why a connection is locked; None when its key is there, or when it needs none."""
    kid = kid_of(connection.credentials_encrypted or "")
    if kid is None or kid in _kids():
        return None
    return f"The key {kid} that opens its credentials is missing: it waits, and nothing is lost. {_PUT_BACK}"


def is_open() -> ColumnElement[bool]:
    """Where clause: connections without credentials, or whose key is in the ring; also damaged ones, which a
    run finds and tells of."""
    token = col(Connection.credentials_encrypted)
    known = [token.like(f"{VERSION}.{kid}.%") for kid in _kids()]
    return or_(token.is_(None), token.not_like(f"{VERSION}.{'_' * _KID_LENGTH}.%"), *known)


def refresh() -> None:
    """Look at the key file again: somebody may have put the key back."""
    ring.cache_clear()


def _kids() -> tuple[str, ...]:
    try:
        return ring().kids
    except Unusable:
        return ()


def _ring_problem() -> str | None:
    """What is wrong with the key file, without its advice: that is for a hub which has no secrets yet."""
    try:
        ring()
    except Unusable as error:
        return error.message.partition(". ")[0].removesuffix(".") + "."
    return None


def _ring_for(connection: Connection) -> Ring:
    """The ring, when it has the connection's key. Raises Locked."""
    if lock_of(connection):
        refresh()
    sentence = lock_of(connection)
    if sentence:
        raise Locked(sentence)
    return ring()


def values(connection: Connection) -> dict[str, Any]:
    """Return the connection's whole config, secrets as plain strings. Raises Misconfigured and Locked as `unseal`."""
    return {**connection.config, **unseal(connection)}
