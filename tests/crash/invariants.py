"""After a run: what the vendors hold against what the hub believes. Each promise yields a line per breach."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select, text
from sqlmodel import col

from core.storage import db
from core.storage.models import (
    RECORD_TABLES,
    Attempt,
    Connection,
    Delivery,
    HourlyFigures,
    Kind,
    RunLog,
    SiemEvent,
    TicketLink,
)
from tests.crash.roles import PER_BATCH, ids_of
from tests.crash.transitions import Transition, read_transitions
from tests.crash.vendors import Copy, slug_of, vendor_of

KIND_OF = {"splunk": Kind.SCAN, "jira": Kind.CASE, "slack": Kind.ALERT, "keyed": Kind.ALERT}


@dataclass
class Evidence:
    """Everything that is compared, read once."""

    ids: dict[str, str]  # connection's name → id
    batches: int  # begun
    promised: set[int]
    copies: list[Copy]
    grace: timedelta  # between a byte's leaving and its being read, by the run's clock

    def __post_init__(self) -> None:
        with db.reading() as session:
            self.rows = list(session.execute(select(Delivery)).scalars())
            self.attempts = {a.id: a for a in session.execute(select(Attempt)).scalars()}
        self.transitions = read_transitions()
        self.of_row: dict[int, list[Transition]] = defaultdict(list)
        for change in self.transitions:
            self.of_row[change.delivery].append(change)
        self.given: dict[tuple[str, str], list[Copy]] = defaultdict(list)
        for copy in self.copies:
            self.given[copy.vendor, copy.key].append(copy)
        self.name_of = {id: name for name, id in self.ids.items()}

    def in_doubt(self) -> int:
        return len({change.delivery for change in self.transitions if change.doubted})


def breaches(seen: Evidence) -> list[str]:
    checks = (_promised, _whole, _finished, _copies, _keys, _traced, _closed, _steps, _counted, _sound)
    return [line for check in checks for line in check(seen)]


def breaches_restored(seen: Evidence) -> list[str]:
    """What must hold after a backup was put back: its log of steps ends where it was made."""
    return [line for check in (_promised, _finished, _tickets) for line in check(seen)]


def _promised(seen: Evidence) -> Iterator[str]:
    """I1a: what was promised is stored and queued for every connection. I1b: no batch is there in part."""
    with db.reading() as session:
        for kind, table in RECORD_TABLES.items():
            stored = set(session.execute(select(col(table.id))).scalars())
            for batch in range(seen.batches):
                here = sum(id in stored for id in ids_of(kind, batch))
                if here not in (0, PER_BATCH):
                    yield f"half a batch: {here} of batch {batch} of {kind}"
                if batch in seen.promised and here == 0:
                    yield f"lost before the queue: batch {batch} of {kind}"
            for name in (name for name in seen.ids if KIND_OF[slug_of(name)] is kind):
                queued = sum(row.webhook_id == seen.ids[name] for row in seen.rows)
                if queued != len(stored):
                    yield f"{name}: {len(stored)} records, {queued} rows"


def _whole(seen: Evidence) -> Iterator[str]:
    """I1b: what belongs to one transaction is there together. I6: changes are numbered without a gap."""
    with db.reading() as session:
        events = dict(session.execute(select(col(SiemEvent.delivery_id), col(SiemEvent.is_exported))).all())
        linked = select(col(TicketLink.integration_id), col(TicketLink.case_local_id))
        links = {(connection, case) for connection, case in session.execute(linked)}
        numbers = sorted(
            number
            for table in RECORD_TABLES.values()
            for number in session.execute(select(col(table.change_seq))).scalars()
        )
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        yield f"the numbers of {len(numbers)} changes have gaps"
    for row in seen.rows:
        name = seen.name_of[row.webhook_id]
        if slug_of(name) == "splunk" and events.get(row.id) is not (row.state == "delivered"):
            yield f"{name}: {row.key} and its event differ"
        link = (row.webhook_id, row.record_id) in links
        if slug_of(name) == "jira" and link != (row.state == "delivered"):
            yield f"{name}: {row.key} and its ticket link differ"


def _finished(seen: Evidence) -> Iterator[str]:
    """I1c: delivered means accepted. I1d, e: nothing is stuck or dead."""
    for row in seen.rows:
        name = seen.name_of[row.webhook_id]
        if row.state != "delivered":
            yield f"{name}: {row.key} is {row.state}: {row.reason}"
        elif not seen.given[vendor_of(name), row.key]:
            yield f"{name}: {row.key} lost, though it is called delivered"


def _copies(seen: Evidence) -> Iterator[str]:
    """I2: one copy, and one more per attempt in doubt; of a ticket one in any case."""
    for row in seen.rows:
        name = seen.name_of[row.webhook_id]
        copies = len(seen.given[vendor_of(name), row.key])
        doubts = sum(change.doubted for change in seen.of_row[row.id or 0])
        if copies > 1 + doubts and slug_of(name) != "jira":
            yield f"{name}: {row.key} came {copies} times, {doubts} attempts were in doubt"
    yield from _tickets(seen)


def _tickets(seen: Evidence) -> Iterator[str]:
    """I2: of a case there is one ticket, however many connections write to its project."""
    for (vendor, key), copies in seen.given.items():
        if vendor == "jira" and len(copies) > 1:
            yield f"jira: {key} has {len(copies)} tickets"


def _keys(seen: Evidence) -> Iterator[str]:
    """I3: each record has one key, with every vendor."""
    known = {(vendor_of(seen.name_of[row.webhook_id]), row.key) for row in seen.rows}
    yield from (f"{name}: the hub knows no {key}" for name, key in seen.given if (name, key) not in known)


def _traced(seen: Evidence) -> Iterator[str]:
    """I4: each copy has its attempt, written before. I7: none came after another had taken over."""
    took = {(change.delivery, change.attempt_after) for change in seen.transitions}
    rows: dict[tuple[str, str], list[int | None]] = defaultdict(list)
    for row in seen.rows:
        rows[vendor_of(seen.name_of[row.webhook_id]), row.key].append(row.id)
    for copy in seen.copies:
        attempt = seen.attempts.get(copy.attempt)
        if attempt is None or not any((id, copy.attempt) in took for id in rows[copy.vendor, copy.key]):
            yield f"{copy.vendor}: {copy.key} came without an attempt row"
        elif copy.at < attempt.started_at - timedelta(seconds=1):
            yield f"{copy.vendor}: {copy.key} came before attempt {copy.attempt} was written"
        elif attempt.closed_at and copy.at > attempt.closed_at + seen.grace:
            yield f"{copy.vendor}: {copy.key} came after attempt {copy.attempt} was taken over"


def _closed(seen: Evidence) -> Iterator[str]:
    """I5: no attempt, run or lease is open. I8: the last attempt of what was delivered was a good one."""
    yield from (f"attempt {id} is open" for id, a in seen.attempts.items() if a.outcome == "open")
    with db.reading() as session:
        running = session.execute(select(func.count()).where(col(RunLog.status) == "running")).scalar_one()
        leased = session.execute(select(func.count()).where(col(Connection.run_id).is_not(None))).scalar_one()
    if running or leased:
        yield f"{running} runs never ended, {leased} connections are leased"
    for row in seen.rows:
        name, last = seen.name_of[row.webhook_id], seen.attempts.get(row.attempt_id)
        accepted = {copy.attempt for copy in seen.given[vendor_of(name), row.key]}
        tickets = {copy.ticket for copy in seen.given[vendor_of(name), row.key]}
        # a message that was answered is closed before its claim, which may never be
        answered = last is not None and any(call.get("key") == row.key for call in last.exchanges)
        if last is None or (last.outcome != "closed" and not answered):
            yield f"{name}: the last attempt of {row.key} was never closed"
        elif row.state == "delivered" and slug_of(name) != "jira" and row.attempt_id not in accepted:
            yield f"{name}: {row.key} is delivered by attempt {row.attempt_id}, which the vendor never saw"
        elif row.state == "delivered" and slug_of(name) == "jira" and row.vendor_id not in tickets:
            yield f"jira: {row.key} names {row.vendor_id}, which is someone else's"


def _steps(seen: Evidence) -> Iterator[str]:
    """The state table; and I7: a row is only ever closed by the attempt that took it."""
    for changes in seen.of_row.values():
        holder: int | None = None
        for change in changes:
            if not change.is_legal:
                yield f"delivery {change.delivery} went from {change.before} to {change.after}"
            if change.after == "sending":
                holder = change.attempt_after
            elif change.before == "sending" and change.attempt_after != holder:
                yield f"delivery {change.delivery} was closed by another attempt than {holder}"
        if sum(change.after == "delivered" for change in changes) > 1:
            yield f"delivery {changes[0].delivery} was delivered more than once"


def _counted(seen: Evidence) -> Iterator[str]:
    """The figures that the pages read are those of the rows: counted in the same transaction."""
    delivered = Counter(row.webhook_id for row in seen.rows if row.state == "delivered")
    with db.reading() as session:
        totals = select(col(HourlyFigures.connection_id), func.sum(col(HourlyFigures.delivered)))
        figures = dict(session.execute(totals.group_by(col(HourlyFigures.connection_id))).all())
    for name, connection in seen.ids.items():
        if figures.get(connection, 0) != delivered[connection]:
            yield f"{name}: {delivered[connection]} delivered, {figures.get(connection, 0)} counted"


def _sound(seen: Evidence) -> Iterator[str]:
    """I9: the database itself."""
    with db.reading() as session:
        if session.get_bind().dialect.name == "sqlite":
            said = session.execute(text("PRAGMA integrity_check")).scalar_one()
            orphans = session.execute(text("PRAGMA foreign_key_check")).all()
            if said != "ok" or orphans:
                yield f"the database is damaged: {said}, {len(orphans)} orphans"
    keys = Counter((row.webhook_id, row.key) for row in seen.rows)
    yield from (f"{key} stands twice in the queue" for (_, key), number in keys.items() if number > 1)
