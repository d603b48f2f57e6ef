"""The idempotent upsert: rows in, a few statements per chunk, and what became of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from core.integrations.mapping import has_risen
from core.records.owners import find_owners, stand_in
from core.records.parse import COERCE, Unfit, content_hash, is_dated_ahead, is_older, merge, parse
from core.records.tables import TABLES, Key, lock, number, pick, update_all
from core.storage import db, due_times
from core.storage.models import UNASSIGNED, Kind

CHUNK = 500  # rows per statement
Columns = dict[str, Any]
_BLANK = {kind: {name: of(None) for name, of in COERCE[kind].items() if name != "id"} for kind in Kind}


@dataclass(frozen=True)
class Stored:
    """What became of the rows. `problems` are (index of the row, reason), `notes` (index, field → what was changed)."""

    new: int = 0
    changed: int = 0
    same: int = 0
    problems: list[tuple[int, str]] = field(default_factory=list)
    notes: list[tuple[int, dict[str, str]]] = field(default_factory=list)

    def plus(self, other: "Stored", offset: int = 0) -> "Stored":
        """Both together; `offset` is added to the other's row numbers."""
        moved = [(index + offset, reason) for index, reason in other.problems]
        noted = [(index + offset, notes) for index, notes in other.notes]
        return Stored(
            self.new + other.new,
            self.changed + other.changed,
            self.same + other.same,
            self.problems + moved,
            self.notes + noted,
        )


def store(
    session: Session,
    kind: Kind,
    rows: Sequence[Mapping[str, Any]],
    *,
    default_owner: str | None = None,
    only_owner: str | None = None,
) -> Stored:
    """Insert what is new and update what changed.

    `default_owner` gets the rows without a `user_id`; with `only_owner` the rows of anybody else are refused.
    Of a record that comes twice the last copy counts, unless its `updated_at` is older.
    """
    lock(session)
    now = db.now(session)
    total = Stored()
    for start in range(0, len(rows), CHUNK):
        parsed, problems, notes = _parse(kind, rows[start : start + CHUNK])
        owned, refused = _own(session, parsed, default_owner, only_owner, now)
        new, changed, awake = _upsert(session, kind, owned, now)
        same = len(parsed) - len(refused) - new - changed
        due_times.wake_realtime(session, kind, awake)
        noted = [(index, notes[index]) for index in sorted(notes.keys() - dict(refused).keys())]
        total = total.plus(Stored(new, changed, same, sorted(problems + refused), noted), start)
    return total


def _parse(
    kind: Kind, rows: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, Columns], list[tuple[int, str]], dict[int, dict[str, str]]]:
    """(rows as they are kept, why others are not, what was changed in those that are); by index."""
    parsed: dict[int, Columns] = {}
    problems: list[tuple[int, str]] = []
    noted: dict[int, dict[str, str]] = {}
    for index, row in enumerate(rows):
        try:
            parsed[index], notes = parse(kind, row)
        except Unfit as error:
            problems.append((index, str(error)))
            continue
        if notes:
            noted[index] = notes
    return parsed, problems, noted


def _own(
    session: Session,
    parsed: Mapping[int, Columns],
    default_owner: str | None,
    only_owner: str | None,
    now: datetime,
) -> tuple[dict[Key, Columns], list[tuple[int, str]]]:
    """One row per owner and id, later copies on top of earlier ones; and the rows that are refused."""
    owners = find_owners(session, {given["user_id"] for given in parsed.values() if given.get("user_id")})
    owned: dict[Key, Columns] = {}
    refused: list[tuple[int, str]] = []
    for index, given in parsed.items():
        name = given.get("user_id")
        owner = owners.get(name.lower()) or stand_in(name) if name else default_owner or UNASSIGNED
        if only_owner not in (None, owner):
            refused.append((index, "its user_id is not yours; only an admin may store records of others"))
            continue
        earlier = owned.get((owner, given["id"]))
        if earlier is None:
            owned[owner, given["id"]] = given
        elif not is_older(given, earlier, now):
            owned[owner, given["id"]] = merge(earlier, given)
    return owned, refused


def _upsert(
    session: Session, kind: Kind, owned: Mapping[Key, Columns], now: datetime
) -> tuple[int, int, set[str]]:
    """(new, changed, the owners of those)."""
    stored = _stored(session, kind, owned)
    fresh, updates, numbered = list[Columns](), list[Columns](), list[Columns]()
    awake: set[str] = set()
    changed = 0
    for (owner, id), given in owned.items():
        row = stored.get((owner, id)) or _came_early(stored, given)
        after = _after(kind, row, owner, given, now)
        if after is None:
            continue
        (updates if row else fresh).append(after)
        risen = row is None or owner != row["owner_id"] or has_risen(kind, row, after)
        after["risen_at"] = now if row is None or risen else row["risen_at"]
        is_changed = row is None or (after["revision"], owner) != (row["revision"], row["owner_id"])
        if row is None or is_changed or after.get("is_read") != row.get("is_read"):
            numbered.append(after)
        if is_changed:
            awake.add(owner)
            changed += row is not None
    number(session, numbered)
    _insert_all(session, kind, fresh, now)
    update_all(session, kind, updates)
    return len(fresh), changed, awake


def _stored(session: Session, kind: Kind, owned: Mapping[Key, Columns]) -> dict[Key, Columns]:
    """What is stored under these keys, and what of them came before its owner was known."""
    early = {(stand_in(given["user_id"]), id) for (_, id), given in owned.items() if given.get("user_id")}
    return {(row["owner_id"], row["id"]): row for row in pick(session, kind, {*owned, *early})}


def _came_early(stored: Mapping[Key, Columns], given: Columns) -> Columns | None:
    """This very record, if it came before the hub knew its owner."""
    name = given.get("user_id")
    return stored.get((stand_in(name), given["id"])) if name else None


def _after(kind: Kind, row: Columns | None, owner: str, given: Columns, now: datetime) -> Columns | None:
    """The row to write: all that sources give, and the hub's own columns. None when nothing differs."""
    if row is None:
        known = merge(_BLANK[kind], given)
        own = {"owner_id": owner, "content_hash": content_hash(known), "revision": 1}
        return known | own | {"dated_ahead": is_dated_ahead(known, {}, now)}
    if is_older(given, row, now):
        return None
    known = merge({name: row[name] for name in (*_BLANK[kind], "extra")}, given)
    digest = content_hash(known)
    known |= {"owner_id": owner, "content_hash": digest, "change_seq": row["change_seq"]}
    known["revision"] = row["revision"] + (digest != row["content_hash"])
    known["dated_ahead"] = is_dated_ahead(known, row, now)
    is_same = all(row[name] == value for name, value in known.items())
    return None if is_same else known | {"at": row["local_id"]}


def _insert_all(session: Session, kind: Kind, rows: Sequence[Columns], now: datetime) -> None:
    if rows:
        session.connection().execute(insert(TABLES[kind]), [row | {"received_at": now} for row in rows])
