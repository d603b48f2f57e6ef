"""Room on the disk under a SQLite database: how much there is, how much the hub wants, and its reserve.

The reserve ("ballast") is a file of really allocated blocks next to the database. On a full disk even a
delete fails, because it is written to the log first; giving the reserve back makes room to recover. A
PostgreSQL server minds its own disk: the hub hears of it by the server's error.
"""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import structlog

from core.platform.errors import Full
from core.platform.settings import settings
from core.storage import db, db_errors

MIB = 2**20

log = structlog.get_logger("hub.space")


@dataclass(frozen=True)
class Room:
    """Of the folder that the database, its log and its reserve are in."""

    folder: Path
    free_bytes: int
    wanted_bytes: int

    @property
    def missing_bytes(self) -> int:
        return max(0, self.wanted_bytes - self.free_bytes)

    @property
    def sentence(self) -> str:
        return (
            f"The disk under {self.folder} has {self.free_bytes // MIB:,} MiB free; "
            f"{-(-self.missing_bytes // MIB):,} MiB are missing to the {self.wanted_bytes // MIB:,} MiB that the "
            f"hub keeps (HUB_MIN_FREE_MB). Nothing is taken in or sent, and nothing is lost. {db_errors.MAKE_ROOM}"
        )


def room() -> Room | None:
    """None where the database is not a file of this machine, or its folder is not there."""
    folder = _folder()
    if folder is None or not folder.is_dir():
        return None
    return Room(folder, shutil.disk_usage(folder).free, settings().min_free_mb * MIB)


def lacking() -> Room | None:
    """The room, when there is too little of it."""
    found = room()
    return found if found and found.missing_bytes else None


def require() -> None:
    """Require room on the disk, before anything is taken in or sent. Raises Full."""
    found = lacking()
    if found:
        raise Full(found.sentence)


def ballast() -> Path | None:
    """Where the reserve is, or would be."""
    folder, url = _folder(), db.engine().url
    return None if folder is None else folder / f"{Path(str(url.database)).name}.ballast"


def keep_ballast() -> bool:
    """Make the reserve where it is missing and there is room for it as well. True when it is there."""
    path, found, size = ballast(), room(), settings().ballast_mb * MIB
    if path is None or found is None or size == 0:
        return False
    if path.exists():
        return True
    if found.free_bytes < found.wanted_bytes + size:
        return False
    try:
        _allocate(path, size)
    except OSError as error:  # the room went to somebody else meanwhile
        path.unlink(missing_ok=True)
        log.warning("the reserve could not be made", file=str(path), reason=error.strerror)
        return False
    return True


def give_back() -> int:
    """Remove the reserve; how many bytes that freed."""
    path = ballast()
    if path is None or not path.exists():
        return 0
    size = path.stat().st_blocks * 512
    path.unlink()
    return size


def _allocate(path: Path, size: int) -> None:
    """Real blocks: a file of zeros may be a hole, or compressed away."""
    with path.open("xb") as file:
        path.chmod(0o600)
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        if path.stat().st_blocks * 512 < size:
            chunk = os.urandom(MIB)
            for _ in range(size // MIB):
                file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _folder() -> Path | None:
    url = db.engine().url
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    return Path(url.database).absolute().parent
