"""Records: store, import a file, look at them. Opens the transactions."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from core import records
from core.access import LOCAL, Principal
from core.access.audit import audit
from core.access.principal import require_member
from core.platform.errors import NotFound
from core.records import Stored, files
from core.records.files import BadLine
from core.records.storable import said
from core.storage import db, disk
from core.storage.models import Kind

BATCH = 1_000  # rows per transaction: other writers wait for less than half a second
BAD_KEPT = 1_000  # reasons kept of one file; a million of the same help nobody
#: (bytes read, bytes in all or None, rows read)
Progress = Callable[[int, int | None, int], None]


@dataclass(frozen=True)
class Imported:
    """What became of a file. `bad` are the first (line, reason), `bad_count` is how many there were; `noted` are the
    first (line, what was changed in it), and their number."""

    total: int = 0
    new: int = 0
    changed: int = 0
    same: int = 0
    bad: list[tuple[int, str]] = field(default_factory=list)
    bad_count: int = 0
    noted: list[tuple[int, str]] = field(default_factory=list)
    noted_count: int = 0


def store(who: Principal, kind: Kind, rows: Sequence[Mapping[str, Any]]) -> Stored:
    """Rows as they come by POST. A member stores their own; an admin anybody's; a viewer none.

    Raises Full when the disk has too little room; what was stored before stays.
    """
    default_owner, only_owner = _owners(who)
    disk.require()
    total = Stored()
    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        total = total.plus(_store_part(Kind(kind), part, default_owner, only_owner), start)
    return total


@db.unit
def _store_part(
    kind: Kind, part: Sequence[Mapping[str, Any]], default_owner: str | None, only_owner: str | None
) -> Stored:
    with db.session() as session:
        return records.store(session, kind, part, default_owner=default_owner, only_owner=only_owner)


def import_file(
    who: Principal, kind: Kind, file: str | Path | BinaryIO, progress: Progress | None = None
) -> Imported:
    """Import a whole file, 1,000 rows per transaction; `-` is stdin. Safe to repeat. Bad lines do not stop it."""
    _owners(who)
    total = Imported()
    with _opened(file) as (stream, name):
        size = _size(stream)
        rows = files.read(stream, name)
        try:
            while part := list(islice(rows, BATCH)):
                total = _import_part(who, kind, part, total)
                if progress:
                    progress(stream.tell() if size is not None else 0, size, total.total)
        finally:  # broken off, too
            _note(who, kind, name, total)
    return total


@db.unit
def _note(who: Principal, kind: Kind, name: str, total: Imported) -> None:
    """In the audit log; a transaction of its own, for the file was many."""
    if not total.total:
        return
    counts = {"total": total.total, "new": total.new, "changed": total.changed, "same": total.same}
    with db.session() as session:
        audit(session, who, "records.import", name, kind=kind, refused=total.bad_count, **counts)


def find(who: Principal, kind: Kind, id: str) -> dict[str, Any]:
    """Find the record with FootprintIQ's `id`; the latest where several people have one. Raises NotFound."""
    with db.reading() as session:
        found = records.latest(session, Kind(kind), owner_id=_seen_by(who), limit=1, id=id)
    if not found:
        raise NotFound(f'There is no {kind} "{id}". Check the id, or import it first.')
    return found[0]


def listing(
    who: Principal, kind: Kind, *, limit: int = 50, before: int | None = None
) -> list[dict[str, Any]]:
    """List the latest changes first; the last one's `change_seq` is the next page's `before`."""
    with db.reading() as session:
        return records.latest(session, Kind(kind), owner_id=_seen_by(who), limit=limit, before=before)


def count(who: Principal) -> dict[Kind, int]:
    with db.reading() as session:
        return {kind: records.count(session, kind, _seen_by(who)) for kind in Kind}


def _seen_by(who: Principal) -> str | None:
    return None if who.is_admin else who.user_id


def _owners(who: Principal) -> tuple[str | None, str | None]:
    """(whose the rows without a `user_id` are, the only one whose rows are taken or None)."""
    require_member(who, "store records")
    default = None if who == LOCAL else who.user_id
    return default, None if who.is_admin else who.user_id


def _import_part(who: Principal, kind: Kind, part: list[files.Row], total: Imported) -> Imported:
    numbers = [number for number, row in part if not isinstance(row, BadLine)]
    stored = store(who, kind, [row for _, row in part if not isinstance(row, BadLine)])
    bad = [(row.number, row.reason) for _, row in part if isinstance(row, BadLine)]
    bad = sorted(bad + [(numbers[index], reason) for index, reason in stored.problems])
    return Imported(
        total=total.total + len(part),
        new=total.new + stored.new,
        changed=total.changed + stored.changed,
        same=total.same + stored.same,
        bad=(total.bad + bad)[:BAD_KEPT],
        bad_count=total.bad_count + len(bad),
        noted=(total.noted + [(numbers[index], said(notes)) for index, notes in stored.notes])[:BAD_KEPT],
        noted_count=total.noted_count + len(stored.notes),
    )


@contextmanager
def _opened(file: str | Path | BinaryIO) -> Iterator[tuple[BinaryIO, str]]:
    """Open a file or standard input. Returns the stream and the name that error messages give it."""
    if file == "-":
        file = sys.stdin.buffer
    if isinstance(file, str | Path):
        with files.open_file(Path(file)) as stream:
            yield stream, Path(file).name
    else:
        with nullcontext(file):
            yield file, str(getattr(file, "name", "the file"))


def _size(stream: BinaryIO) -> int | None:
    """Bytes in all; None for a pipe."""
    if not stream.seekable():
        return None
    at = stream.tell()
    size = stream.seek(0, os.SEEK_END)
    stream.seek(at)
    return size
