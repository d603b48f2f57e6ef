"""What waits follows its record: mapped from the present revision, and only while it is wanted.

A row that may have arrived keeps its body, because what is sent again must be what was sent before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel import Session

from core import records
from core.delivery import outbox
from core.delivery.filters import Cause, LeftOut
from core.delivery.outbox import New, Waiting
from core.delivery.profile import Profile
from core.integrations import Manifest
from core.integrations.options import Options
from core.storage.models import Connection, SkippedBy, State

FILTERED = "Skipped because the connection's filter was changed."
_BODILESS = "Neither its body nor its record is kept any more; it cannot be sent."


@dataclass
class Present:
    """Delivery id → what its record asks for now. A row that is in none of them stays as it is."""

    mapped: dict[int, New] = field(default_factory=dict)
    unwanted: dict[int, str] = field(default_factory=dict)  # why
    dead: dict[int, str] = field(default_factory=dict)  # why


def refresh(
    session: Session, connection: Connection, manifest: Manifest, options: Options, most: int, now: datetime
) -> int:
    """Bring the `most` rows that are due first up to date before they are claimed; how many of them are dead.

    Mapping happens here and never in the claim: whatever becomes of one row, the others go out.
    """
    dead = 0
    ask = partial(
        outbox.stale, session, connection.id, manifest.kind, most, now, by_severity=options.by_severity
    )
    while stale := ask():
        found = of(session, Profile.of(connection, manifest, options), stale)
        outbox.remap(session, found.mapped)
        outbox.settle_as_is(session, [row.id for row in stale if _stays(row, found)])
        outbox.skip_rows(session, found.unwanted, SkippedBy.FILTER)
        outbox.bury(session, found.dead)
        dead += len(found.dead)
    return dead


def of(session: Session, profile: Profile, rows: Sequence[Waiting], *, anyway: bool = False) -> Present:
    """Judge and map `rows` by their records as they are now; with `anyway` a person wants them sent."""
    stored, found = records.by_local_id(session, profile.kind, [row.record_id for row in rows]), Present()
    for row in rows:
        record = stored.get(row.record_id)
        reason = None if record is None or anyway else profile.wants.why_not(record)
        if record is None and not row.has_body:
            found.dead[row.id] = _BODILESS
        elif reason is not None:
            found.unwanted[row.id] = f"Not wanted any more: {reason}"
        elif record is not None:
            new = profile.mapped(record, row.key)
            if new.payload is None:
                found.dead[row.id] = str(new.reason)
            else:
                found.mapped[row.id] = new
    return found


def foreign(session: Session, profile: Profile, rows: Sequence[Any]) -> dict[int, str]:
    """Delivery id → why it is not sent again, of `rows` (id, record_id) whose record is none of the connection's."""
    if profile.wants.owner_id is None:
        return {}
    stored = records.by_local_id(session, profile.kind, [row.record_id for row in rows])
    found = {row.id: profile.wants.left_out(stored[row.record_id]) for row in rows if row.record_id in stored}
    return {id: f"Not sent: {why.sentence}" for id, why in found.items() if why and _is_foreign(why)}


def refilter(session: Session, profile: Profile) -> None:
    """Skip what waits and is not wanted any more, after the filters changed.

    What was skipped and is wanted again comes back when the export walks the changes once more.
    """
    waiting = outbox.records(session, profile.connection.id, (State.PENDING, State.RETRYING, State.HELD))
    doubtful = outbox.records(session, profile.connection.id, (State.IN_DOUBT,))
    stored = records.by_local_id(session, profile.kind, sorted({*waiting.values(), *doubtful.values()}))
    why = {local_id: profile.wants.left_out(record) for local_id, record in stored.items()}
    unwanted = {row for row, record in waiting.items() if record not in why or why[record] is not None}
    # what may have arrived is sent or looked for again, but not to where somebody else's records must not go
    unwanted |= {row for row, record in doubtful.items() if _is_foreign(why.get(record))}
    outbox.skip_rows(session, dict.fromkeys(unwanted, FILTERED), SkippedBy.FILTER)


def _is_foreign(why: LeftOut | None) -> bool:
    return why is not None and why.cause is Cause.SCOPE


def _stays(row: Waiting, found: Present) -> bool:
    """Its record is gone, but its body is there."""
    return not any(row.id in part for part in (found.mapped, found.unwanted, found.dead))
