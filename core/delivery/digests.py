"""Storm control: more messages than people read become one digest with the list.

Looked at before each claim, in its transaction: what was sent lately and what is due now. The digest, the rows
it takes in and the claim are written together or not at all.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlmodel import Session

from core import records
from core.delivery import outbox
from core.delivery.hub_messages import Words, queue
from core.integrations import Manifest, mapping
from core.integrations.limits import MessageLimit
from core.integrations.mapping import Unmappable
from core.integrations.options import Options
from core.platform.durations import precise
from core.platform.settings import settings
from core.storage.models import Connection, HubMessageKind, Kind
from core.storage.models.words import SEVERITIES

#: rows of one digest; more than that wait for the next one, so that no transaction is long
MOST_ROWS = 1000
#: below the shortest text a messenger takes (Slack: 2,500)
LIST_LINES, LIST_CHARS = 25, 2000


def limit_of(manifest: Manifest, options: Options) -> MessageLimit | None:
    return MessageLimit.parse(options.storm) if options.storm else manifest.storm


def due_together(manifest: Manifest, options: Options) -> int | None:
    """Return how many rows `calm` may put into one message; None where each goes by itself."""
    return MOST_ROWS if limit_of(manifest, options) else None


def calm(
    session: Session, connection: Connection, manifest: Manifest, options: Options, now: datetime
) -> None:
    """Gather rows into a digest or put them off, when more are due than may go out one by one; before a claim."""
    limit = limit_of(manifest, options)
    if limit is None:
        return
    room = limit.room(connection.lately, now.timestamp())
    due = outbox.loose(session, connection.id, MOST_ROWS, now, by_severity=options.by_severity)
    if len(due) <= room:
        return
    until = _waits_until(connection, limit, len(due), now)
    if until is not None:
        reason = f"Held back for a digest: more than {limit.words} would go out."
        outbox.put_off(session, connection.id, until, reason, now)
    else:
        _gather(session, connection, manifest, options, limit, due, now)


def note(connection: Connection, manifest: Manifest, options: Options, messages: int, now: datetime) -> None:
    """Count the messages that a claim sends, for the limit."""
    limit = limit_of(manifest, options)
    if limit is not None:
        at = now.timestamp()
        connection.lately = [*limit.recent(connection.lately, at), *[at] * messages]


def unnote(connection: Connection, manifest: Manifest, options: Options, messages: int) -> None:
    """Take back what `note` counted for messages that were not tried."""
    if messages and limit_of(manifest, options) is not None:
        connection.lately = connection.lately[:-messages]


def _waits_until(connection: Connection, limit: MessageLimit, due: int, now: datetime) -> datetime | None:
    """None when a digest may be made now: one per window, and never of a single record."""
    if connection.digest_at is not None:
        next_one = connection.digest_at + timedelta(seconds=limit.window_s)
        if next_one > now:
            return next_one
    if due > 1:
        return None
    oldest = min(limit.recent(connection.lately, now.timestamp()))
    return datetime.fromtimestamp(oldest + limit.window_s, UTC)


def _gather(
    session: Session,
    connection: Connection,
    manifest: Manifest,
    options: Options,
    limit: MessageLimit,
    due: dict[int, int],
    now: datetime,
) -> None:
    stored = records.by_local_id(session, manifest.kind, sorted(due.values()))
    words = _words(manifest.kind, limit, len(due), list(stored.values()))
    try:
        digest_id = queue(session, connection, manifest, options, words, now)
    except Unmappable:
        return  # its own mapping takes no digest: each record goes by itself
    assert digest_id is not None, "a key that was just made is taken"
    outbox.gather(session, list(due), digest_id, f"Goes out in a digest of {len(due):,} {manifest.kind}s.")
    connection.digest_at = now


def _words(kind: Kind, limit: MessageLimit, number: int, stored: Sequence[dict[str, Any]]) -> Words:
    key = f"fiq-digest-{uuid.uuid4()}"
    url = f"{settings().public_url}/deliveries?record={key}"
    worst_first = sorted(stored, key=lambda record: -_rank(kind, record))
    worst = mapping.severity_of(kind, worst_first[0]) if worst_first else "medium"
    counts = Counter(mapping.severity_of(kind, record) for record in stored)
    counted = ", ".join(f"{counts[word]:,} {word}" for word in reversed(SEVERITIES) if counts[word])
    return Words(
        kind=HubMessageKind.DIGEST,
        key=key,
        event_type="footprintiq.hub.digest",
        type="Digest",
        title=f"{number:,} {kind}s in one message: {counted}" if counted else f"{number:,} {kind}s",
        text=_text(kind, limit, number, worst_first, url),
        severity=worst,
        subject=f"{number:,} {kind}s",
        url=url,
    )


def _text(kind: Kind, limit: MessageLimit, number: int, stored: Sequence[dict[str, Any]], url: str) -> str:
    """The worst ones by name, the rest by number."""
    lines = [
        f"More than {limit.messages} {kind}s were due within {precise(limit.window_s)}, so these come as one message."
    ]
    for record in stored[:LIST_LINES]:
        line = _line(kind, record)
        if sum(map(len, lines)) + len(line) > LIST_CHARS:
            break
        lines.append(line)
    left_out = number - (len(lines) - 1)
    if left_out:
        lines.append(f"… and {left_out:,} more: {url}")
    return "\n".join(lines)


def _line(kind: Kind, record: dict[str, Any]) -> str:
    facts = mapping.facts(kind, record, key="", hub_url="", include_raw=False)
    about = f" ({facts['subject']})" if facts["subject"] and facts["subject"] not in facts["title"] else ""
    line = f"• {facts['severity']}: {facts['title']}{about}"
    return line if len(line) <= 160 else line[:159] + "…"


def _rank(kind: Kind, record: dict[str, Any]) -> int:
    return SEVERITIES.index(mapping.severity_of(kind, record))
