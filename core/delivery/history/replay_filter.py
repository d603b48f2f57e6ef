"""Which deliveries a replay of many means: connection, state, kind, reason and time."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, and_, exists, func, not_, or_
from sqlmodel import Session, col

from core.delivery import outbox
from core.delivery.outbox.queries import in_state
from core.platform.errors import Invalid, did_you_mean
from core.storage.models import Delivery, Kind, State, TicketLink

#: what a person may replay; the rest is in the queue, or waits for a release
REPLAYABLE = (State.DEAD, State.SKIPPED, State.DELIVERED)
MAX_REASON = 500
_OPEN = timedelta(hours=1)  # no transaction of the hub is open for so long


@dataclass(frozen=True)
class ReplayFilter:
    connection: str | None = None  # id or name; None: every one that may be changed
    state: State = State.DEAD
    kind: Kind | None = None
    reason: str | None = None  # a part of the sentence that says why, in any case
    since: datetime | None = None  # queued then or later …
    until: datetime | None = None  # … and before this

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Read a filter from words, as a terminal, a request or a stored row has them. Raises Invalid that
        names the field."""
        reason = str(values.get("reason") or "").strip()
        if len(reason) > MAX_REASON:
            raise _wrong("reason", f"It is longer than {MAX_REASON} letters. Give a part of it.")
        since, until = (moment(name, values.get(name)) for name in ("since", "until"))
        if since and until and since >= until:
            raise _wrong("until", "It is not after since. Give the later time.")
        return cls(
            connection=values.get("connection") or None,
            state=State(_one_of("state", values.get("state") or State.DEAD, REPLAYABLE)),
            kind=Kind(_one_of("kind", values["kind"], tuple(Kind))) if values.get("kind") else None,
            reason=reason or None,
            since=since,
            until=until,
        )

    def stored(self) -> dict[str, str]:
        """Return the words that `of` reads again; the connection is in a column of its own."""
        times = {name: at.isoformat() for name in ("since", "until") if (at := getattr(self, name))}
        words = {name: str(word) for name in ("kind", "reason") if (word := getattr(self, name))}
        return {"state": str(self.state)} | words | times

    def fits(self) -> ColumnElement[bool]:
        """Where clause on deliveries; their connection is the caller's."""
        # of records: a digest's are replayed and not their list, and an old notice tells nobody anything
        clauses = [in_state(self.state), col(Delivery.record_kind).in_([str(kind) for kind in Kind])]
        if self.kind:
            clauses.append(col(Delivery.record_kind) == self.kind)
        if self.reason:
            clauses.append(func.lower(col(Delivery.reason)).contains(self.reason.lower(), autoescape=True))
        if self.since:
            clauses.append(col(Delivery.created_at) >= self.since)
        if self.until:
            clauses.append(col(Delivery.created_at) < self.until)
        return and_(*clauses)

    def span(self, session: Session) -> tuple[int, int | None]:
        """Find the first id that may fit, and the first one that is too late: rows are numbered as time goes on.

        For what was delivered alone; the rest is few, and looked through. Transactions that were open at the same
        time may have their numbers the other way round.
        """
        if self.state is not State.DELIVERED:
            return 0, None
        first = outbox.first_since(session, self.since - _OPEN) if self.since else 0
        return first, outbox.first_since(session, self.until + _OPEN) if self.until else None


def has_ticket() -> ColumnElement[bool]:
    """Where clause: a case whose ticket exists: it never gets a second one."""
    linked = exists().where(
        col(TicketLink.integration_id) == col(Delivery.webhook_id),
        col(TicketLink.case_local_id) == col(Delivery.record_id),
    )
    is_case = col(Delivery.record_kind) == Kind.CASE
    return and_(is_case, or_(col(Delivery.state) == State.DELIVERED, linked))


def without_ticket() -> ColumnElement[bool]:
    return not_(has_ticket())


def moment(name: str, value: Any) -> datetime | None:
    """Read a time as people write it; without a zone it is UTC. Raises Invalid that names the field."""
    if value is None or (isinstance(value, datetime) and value.tzinfo):
        return value
    try:
        read = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip())
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _wrong(name, f'"{str(value)[:40]}" is not a time. Write it like 2026-11-22T08:00Z.') from None


def _one_of(name: str, value: Any, words: tuple[Any, ...]) -> str:
    if str(value) not in words:
        hint = did_you_mean(str(value), words)
        raise _wrong(name, f'"{str(value)[:40]}" cannot be replayed.{hint} Choose {", ".join(words)}.')
    return str(value)


def _wrong(name: str, sentence: str) -> Invalid:
    return Invalid(f"{name}: {sentence}", {name: sentence})
