"""What is stored, in the order of its changes."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import JSON, ColumnElement, ScalarSelect, SQLColumnExpression, Table, func, select
from sqlmodel import Session

from core.records.tables import TABLES, as_dicts
from core.storage.models import Kind

CHUNK = 500  # ids per statement


def changes(
    session: Session,
    kind: Kind,
    *,
    after: int,
    owner_id: str | None,
    limit: int,
    upto: int | None = None,
    where: Sequence[ColumnElement[bool]] = (),
    is_whole: bool = True,
) -> list[dict[str, Any]]:
    """Records with a `change_seq` above `after`, up to `upto`, in its order, every column. No owner: everybody's.

    `where`: conditions on that table, of those who know which of them may fit. Not `is_whole`: for whoever only
    judges them, without the columns that hold JSON.
    """
    table = TABLES[kind]
    query = (
        select(*_columns(table, is_whole))
        .where(table.c.change_seq > after)
        .order_by(table.c.change_seq)
        .limit(limit)
    )
    if owner_id is not None:
        query = query.where(table.c.owner_id == owner_id)
    if upto is not None:
        query = query.where(table.c.change_seq <= upto)
    return as_dicts(session.connection().execute(query.where(*where)))


def _columns(table: Table, is_whole: bool) -> list[ColumnElement[Any]]:
    return [column for column in table.c if is_whole or not isinstance(column.type, JSON)]


def latest(
    session: Session,
    kind: Kind,
    *,
    owner_id: str | None,
    limit: int,
    before: int | None = None,
    id: str | None = None,
    is_whole: bool = True,
) -> list[dict[str, Any]]:
    """List the newest changes first, with a `change_seq` below `before`; with `id` only that record."""
    table = TABLES[kind]
    query = select(*_columns(table, is_whole)).limit(limit)
    if owner_id is not None:
        query = query.where(table.c.owner_id == owner_id)
    if before is not None:
        query = query.where(table.c.change_seq < before)
    if id is None:
        query = query.order_by(table.c.change_seq.desc())
    else:
        # an order that no index has: PostgreSQL without statistics would walk every change to spare itself a sort
        query = query.where(table.c.id == id).order_by(-table.c.change_seq)
    return as_dicts(session.connection().execute(query))


def local_ids(session: Session, kind: Kind, id: str) -> list[int]:
    """Of the records that FootprintIQ calls so; several where two people have one of that id."""
    query = select(TABLES[kind].c.local_id).where(TABLES[kind].c.id == id)
    return list(session.connection().execute(query).scalars())


def beginning_with(session: Session, kind: Kind, start: str, most: int) -> list[int]:
    """Of the records whose FootprintIQ id begins so, at most so many.

    As a range of the index, up to letters that end every alphabet: PostgreSQL's may pass over all other signs.
    """
    id = TABLES[kind].c.id
    within = id.between(start, f"{start}zzzzzzzz")
    query = select(TABLES[kind].c.local_id).where(within, func.substr(id, 1, len(start)) == start)
    return list(session.connection().execute(query.limit(most)).scalars())


def by_local_id(session: Session, kind: Kind, local_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Local id → record, for those that are still there."""
    table = TABLES[kind]
    found: dict[int, dict[str, Any]] = {}
    for start in range(0, len(local_ids), CHUNK):
        query = select(table).where(table.c.local_id.in_(local_ids[start : start + CHUNK]))
        found |= {row["local_id"]: row for row in as_dicts(session.connection().execute(query))}
    return found


def newest(kind: Kind, owner_id: SQLColumnExpression[str] | None = None) -> ScalarSelect[int | None]:
    """Select the highest `change_seq` of this kind, for a larger statement; of one owner, or of all. By an index."""
    table = TABLES[kind]
    query = select(func.max(table.c.change_seq))
    return (query if owner_id is None else query.where(table.c.owner_id == owner_id)).scalar_subquery()


def count(session: Session, kind: Kind, owner_id: str | None) -> int:
    query = select(func.count()).select_from(TABLES[kind])
    if owner_id is not None:
        query = query.where(TABLES[kind].c.owner_id == owner_id)
    return int(session.connection().execute(query).scalar_one())
