"""Write one line of the audit log: who did what to which thing."""

from typing import Any

from sqlmodel import Session

from core.access.principal import Principal
from core.platform.text import printable
from core.storage import db
from core.storage.models import AuditEntry


def audit(session: Session, who: Principal | str, action: str, subject: str, **details: Any) -> None:
    """Add the line to the transaction of what was done. `who` is a name where nobody signed in."""
    actor = who if isinstance(who, str) else who.email
    entry = AuditEntry(
        at=db.now(session), actor=printable(actor)[:254], action=action, subject=printable(subject)[:254]
    )
    entry.details = details
    session.add(entry)
