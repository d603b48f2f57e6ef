"""What `hub init` makes: the database, the key file and the first admin. Safe to repeat."""

from dataclasses import dataclass
from pathlib import Path

from core.cli.operator import require_key
from core.secret import Secret

ADMIN = "admin@hub.local"


@dataclass(frozen=True)
class Made:
    """`password` is the first admin's where this call made it, to be shown once."""

    database: str
    key_file: Path | None
    admin: str
    password: Secret | None


def prepare(admin: str) -> Made:
    """Raises Unusable before anything is written where database address or key file cannot be used."""
    from core import connections, db
    from core.settings import settings
    from core.vault import Ring, create_key_file

    chosen = settings()
    db.engine()
    has_key = chosen.secret_keys is not None or chosen.secret_key_file.exists()
    if has_key:
        Ring.load(chosen)
    db.migrate()
    connections.publish_catalog()
    if not has_key:
        require_key()
        create_key_file(chosen.secret_key_file)
    email, password = _first_admin(admin)
    database = db.engine().url.render_as_string(hide_password=True)
    return Made(database, None if chosen.secret_keys else chosen.secret_key_file, email, password)


def _first_admin(email: str) -> tuple[str, Secret | None]:
    from core import access
    from core.settings import settings

    made = access.first_admin(settings().admin_password, email)
    if made is not None:
        return made
    people = access.list_users(access.LOCAL)
    return next((p.email for p in people if p.role == "admin"), people[0].email), None
