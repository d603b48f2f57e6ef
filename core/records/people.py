"""People and the records that are theirs: whoever is added or gets another name finds what came before, at once."""

from core import access, records
from core.access import Principal
from core.platform.secret import Secret
from core.storage import db
from core.storage.models import User

HEIRS = 500  # people in one transaction that makes up for others


@db.unit
def add(
    who: Principal, email: str, role: str, password: Secret | None, external_id: str | None = None
) -> tuple[User, int]:
    """Add a person, and return them with how many records were waiting for them; both or neither."""
    user = access.new_user(who, email, role, password, external_id)
    with db.session() as session:
        access.insert_user(session, who, user)
        return user, records.adopt(session, user)


@db.unit
def edit(who: Principal, email: str, external_id: str | None) -> tuple[User, int]:
    """Another external id, None for none, and how many records of that id were waiting; both or neither."""
    with db.session() as session:
        records.lock(session)  # before the person's row, as everybody who stores records does
        user = access.set_external_id(session, who, email, external_id)
        return user, records.adopt(session, user)


@db.unit
def make_up() -> int:
    """Give their records to people who were added without them. Cheap when there is nobody."""
    with db.reading() as session:
        if not records.heirs(session, limit=1):
            return 0
    with db.session() as session:
        return records.adopt(session, *records.heirs(session, limit=HEIRS))
