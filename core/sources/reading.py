"""What is stored, in the order of its changes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, func, literal, select, union_all
from sqlmodel import Session

from core.models import UNASSIGNED, Kind
from core.sources.tables import TABLES, USERS, as_dicts

CHUNK = 500  # ids per statement


def changes(
    session: Session, kind: Kind, *, after: int, owner_id: str | None, limit: int
) -> list[dict[str, Any]]:
    """Records with a `change_seq` above `after`, in its order, every column. None asks for all owners."""
    table = TABLES[kind]
    query = select(table).where(table.c.change_seq > after).order_by(table.c.change_seq).limit(limit)
    if owner_id is not None:
        query = query.where(table.c.owner_id == owner_id)
    return as_dicts(session.connection().execute(query))


def latest(
    session: Session,
    kind: Kind,
    *,
    owner_id: str | None,
    limit: int,
    before: int | None = None,
    id: str | None = None,
) -> list[dict[str, Any]]:
    """The newest changes first, with a `change_seq` below `before`; with `id` only that record."""
    table = TABLES[kind]
    query = select(table).order_by(table.c.change_seq.desc()).limit(limit)
    if owner_id is not None:
        query = query.where(table.c.owner_id == owner_id)
    if before is not None:
        query = query.where(table.c.change_seq < before)
    if id is not None:
        query = query.where(*_called(kind, id))
    return as_dicts(session.connection().execute(query))


def local_ids(session: Session, kind: Kind, id: str) -> list[int]:
    """Of the records that FootprintIQ calls so; several where two people have one of that id."""
    query = select(TABLES[kind].c.local_id).where(*_called(kind, id))
    return list(session.connection().execute(query).scalars())


def _called(kind: Kind, id: str) -> tuple[ColumnElement[bool], ...]:
    """Naming every owner makes both databases use the index (owner_id, id)."""
    table, everybody = TABLES[kind], union_all(select(USERS.c.id), select(literal(UNASSIGNED)))
    return table.c.id == id, table.c.owner_id.in_(everybody)


def by_local_id(session: Session, kind: Kind, local_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Local id → record, for those that are still there."""
    table = TABLES[kind]
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(local_ids), CHUNK):
        query = select(table).where(table.c.local_id.in_(local_ids[start : start + CHUNK]))
        found |= {row["local_id"]: row for row in as_dicts(session.connection().execute(query))}
    return found


def latest_seq(session: Session, kind: Kind) -> int:
    """The highest `change_seq` of this kind, 0 when there is none."""
    return int(session.connection().execute(select(func.max(TABLES[kind].c.change_seq))).scalar() or 0)


def count_others(session: Session, kind: Kind, owner_id: str, most: int) -> int:
    """Records of anybody else; not counted further than `most`."""
    table, found = TABLES[kind], 0
    for side in (table.c.owner_id < owner_id, table.c.owner_id > owner_id):  # each a range of an index
        some = select(table.c.local_id).where(side).limit(most - found).subquery()
        found += session.connection().execute(select(func.count()).select_from(some)).scalar_one()
    return found


def count(session: Session, kind: Kind, owner_id: str | None) -> int:
    query = select(func.count()).select_from(TABLES[kind])
    if owner_id is not None:
        query = query.where(TABLES[kind].c.owner_id == owner_id)
    return int(session.connection().execute(query).scalar_one())
