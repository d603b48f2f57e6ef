"""The record tables, and the numbers of their changes.

Whoever stores holds the counter `change_seq` until commit, so two imports never interleave, and a reader who
has seen number n will never meet a smaller one later.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import CursorResult, Table, bindparam, text, update
from sqlmodel import Session, SQLModel

from core.storage.models import RECORD_TABLES, Kind

Key = tuple[str, str]  # owner_id, id
_ALL = SQLModel.metadata.tables
TABLES: Mapping[Kind, Table] = {k: _ALL[str(table.__tablename__)] for k, table in RECORD_TABLES.items()}
USERS = _ALL["users"]
_TAKE = text("UPDATE counters SET value = value + :n WHERE name = 'change_seq' RETURNING value")
_HEAD = text("SELECT value FROM counters WHERE name = 'change_seq'")
_HOLD = text(f"{_HEAD.text} FOR UPDATE SKIP LOCKED")
_START = text("INSERT INTO counters (name, value) VALUES ('change_seq', 0) ON CONFLICT DO NOTHING")
#: rows by (owner, id), always by index. As an IN list SQLite reads the whole table for pairs, and PostgreSQL,
#: once the statement is prepared, compares every row of the owner with every id (measured: 450 ms for 500).
_PICK = {
    "sqlite": "SELECT {columns} FROM json_each(:keys) AS asked CROSS JOIN {table} AS found"
    " ON found.owner_id = json_extract(asked.value, '$[0]') AND found.id = json_extract(asked.value, '$[1]')",
    "postgresql": "SELECT {columns} FROM json_array_elements(CAST(:keys AS json)) AS asked(value)"
    " CROSS JOIN LATERAL (SELECT * FROM {table}"
    " WHERE owner_id = asked.value ->> 0 AND id = asked.value ->> 1 LIMIT 1) AS found",
}


def pick(session: Session, kind: Kind, keys: Collection[Key]) -> list[dict[str, Any]]:
    """Read the stored rows among `keys`."""
    table = TABLES[kind]
    columns = ", ".join(f"found.{name}" for name in table.columns.keys())  # noqa: SIM118
    query = text(_PICK[session.get_bind().dialect.name].format(columns=columns, table=table.name))
    asked = {"keys": json.dumps(list(keys))}
    return as_dicts(session.connection().execute(query.columns(*table.columns), asked))


def as_dicts(rows: CursorResult[Any]) -> list[dict[str, Any]]:
    # str(): SQLAlchemy calls `metadata` by a kind of string that orjson does not take as a key
    names = [str(name) for name in rows.keys()]  # noqa: SIM118
    return [dict(zip(names, row, strict=True)) for row in rows]


def lock(session: Session) -> None:
    """Lock storing until the commit: what is read now is what will be updated."""
    session.flush()
    _take(session, 0)


def head(session: Session) -> int:
    """Read the newest `change_seq` that is committed, of whatever kind."""
    return int(session.connection().execute(_HEAD).scalar_one_or_none() or 0)


def hold(session: Session) -> int | None:
    """The same, and from here to the commit nobody stores. None, at once, while somebody does."""
    connection = session.connection()
    asked = _HEAD if connection.dialect.name == "sqlite" else _HOLD  # there the whole transaction is a lock
    found = connection.execute(asked).scalar_one_or_none()
    if found is None and connection.execute(_HEAD).scalar_one_or_none() is None:  # nothing was ever stored
        connection.execute(_START)  # not while somebody stores: it would wait for them
        found = connection.execute(asked).scalar_one_or_none()
    return None if found is None else int(found)


def number(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Give each row the next `change_seq`, in order."""
    if not rows:
        return
    first = _take(session, len(rows)) - len(rows) + 1
    for seq, row in enumerate(rows, first):
        row["change_seq"] = seq


def update_all(session: Session, kind: Kind, rows: Sequence[Mapping[str, Any]]) -> None:
    """Each row holds new values of the same columns, and `at`, the `local_id` they are for."""
    table = TABLES[kind]
    if rows:
        session.connection().execute(update(table).where(table.c.local_id == bindparam("at")), list(rows))


def _take(session: Session, n: int) -> int:
    """The counter after `n` more, its row locked until commit."""
    taken = session.connection().execute(_TAKE, {"n": n}).scalar_one_or_none()
    if taken is not None:
        return int(taken)
    session.connection().execute(_START)
    return _take(session, n)
