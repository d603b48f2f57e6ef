"""What `hub init` makes: the database, the key file and the first admin. Safe to repeat."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.cli.operator import require_key
from core.platform.errors import Invalid, Unusable
from core.platform.secret import Secret

if TYPE_CHECKING:
    from core.delivery.restored import Doubted

ADMIN = "admin@hub.local"


@dataclass(frozen=True)
class Made:
    """`admin` is the one this call made, else the oldest who may sign in, empty for nobody. `password` is the one
    that was made up for them, to be shown once; `is_given`: theirs is HUB_ADMIN_PASSWORD, which is shown to nobody.
    `doubted`: what is in doubt because the database was put back from a backup."""

    database: str
    key_file: Path | None
    admin: str
    password: Secret | None
    is_given: bool
    doubted: "Doubted | None" = None


def prepare(admin: str, *, may_be_locked: bool = False) -> Made:
    """Raises Unusable before anything is written where database address or key file cannot be used.

    With `may_be_locked` a hub whose key is gone or damaged starts all the same: what it opened waits.
    """
    from core import connections
    from core.delivery import restored, workers
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
    if workers.are_used():
        workers.work_queue().install()
    disk.keep_ballast()
    connections.publish_catalog()
    if not has_key and not is_locked:
        require_key()
        create_key_file(chosen.secret_key_file)
    made = _first_admin(admin)
    given = chosen.admin_password is not None and made is not None
    database = db.engine().url.render_as_string(hide_password=True)
    key_file = None if chosen.secret_keys else chosen.secret_key_file
    email, password = made or (_oldest_admin(), None)
    return Made(database, key_file, email, None if given else password, given, restored.notice())


def _is_locked() -> bool:
    """Connections are sealed with a key that is not there. A hub that is only being made is not locked."""
    from core.health import self_check
    from core.storage import db

    try:
        db.check_current()
    except Unusable:
        return False
    return any(found.what == self_check.KEY for found in self_check.standing())


def _first_admin(email: str) -> tuple[str, Secret] | None:
    from core import access
    from core.platform.settings import settings

    try:
        return access.first_admin(settings().admin_password, email)
    except Invalid as error:
        if "password" not in error.fields:
            raise
        raise Unusable(f"HUB_ADMIN_PASSWORD cannot be used. {error.message}") from None


def _oldest_admin() -> str:
    from core import access
    from core.storage import db

    with db.reading() as session:
        found = access.oldest_admin(session)
        return found.email if found else ""
