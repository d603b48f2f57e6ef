"""What `hub init` makes: the database, the key file and the first admin. Safe to repeat."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli.operator import require_key
from core.platform.errors import Unusable
from core.platform.secret import Secret

if TYPE_CHECKING:
    from core.delivery.restored import Doubted

ADMIN = "admin@hub.local"


@dataclass(frozen=True)
class Made:
    """`password` is the first admin's where this call made it, to be shown once; `doubted`, what is in doubt
    because the database was put back from a backup."""

    database: str
    key_file: Path | None
    admin: str
    password: Secret | None
    doubted: "Doubted | None" = None


def prepare(admin: str, *, may_be_locked: bool = False) -> Made:
    """Raises Unusable before anything is written where database address or key file cannot be used.

    With `may_be_locked` a hub whose key is gone or damaged starts all the same: what it opened waits.
    """
    from core import connections
    from core.delivery import restored
    from core.platform.settings import settings
    from core.platform.vault import Ring, create_key_file
    from core.storage import db, disk

    chosen = settings()
    db.engine()
    has_key = chosen.secret_keys is not None or chosen.secret_key_file.exists()
    is_locked = may_be_locked and _is_locked()
    if has_key and not is_locked:
        Ring.load(chosen)
    db.migrate()
    disk.keep_ballast()
    connections.publish_catalog()
    if not has_key and not is_locked:
        require_key()
        create_key_file(chosen.secret_key_file)
    email, password = _first_admin(admin)
    database = db.engine().url.render_as_string(hide_password=True)
    key_file = None if chosen.secret_keys else chosen.secret_key_file
    return Made(database, key_file, email, password, restored.notice())


def _is_locked() -> bool:
    """Connections are sealed with a key that is not there. A hub that is only being made is not locked."""
    from core.health import self_check
    from core.storage import db

    try:
        db.check_current()
    except Unusable:
        return False
    return any(found.what == self_check.KEY for found in self_check.standing())


def _first_admin(email: str) -> tuple[str, Secret | None]:
    from core import access
    from core.platform.settings import settings

    made = access.first_admin(settings().admin_password, email)
    if made is not None:
        return made
    people = access.list_users(access.LOCAL)
    return next((p.email for p in people if p.role == "admin"), people[0].email), None
