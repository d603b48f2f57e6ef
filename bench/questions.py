"""What the hub asks of a log of any length: each function that reads or moves deliveries, called once.

Shared by the bench, which measures them at ten million rows, and by the test of their plans, which fails where one
of them looks at more rows than it needs. A new function
of `delivery.outbox` or `delivery.history` belongs here.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import func, literal, select
from sqlmodel import Session, col

from bench import archive
from core import connections, health, records
from core.access import Principal
from core.access.principal import principal_of
from core.delivery import history, journal, outbox, runs, schedule
from core.delivery.history import ReplayFilter, replays, search
from core.delivery.history.search import DeliveryFilter
from core.delivery.outbox import Claim
from core.delivery.outcome import InDoubtPolicy, Outcome, Row
from core.delivery.retention import sweep
from core.health.metrics import Metrics
from core.platform.errors import Conflict
from core.storage import db
from core.storage.models import Attempt, Delivery, Kind, Role, SiemEvent, SkippedBy, State, User

LOOK_UP = InDoubtPolicy("look_up", (60, 300, 900))


@dataclass(frozen=True)
class Place:
    """An archive, and who asks: `quiet` is a member whose deliveries are all old."""

    admin: Principal
    busy: Principal
    quiet: Principal
    siem: str  # two connections of the quiet one …
    tickets: str
    mine: str  # … and one of the busy one, a ticket system's
    busy_siem: str  # the admin's
    key: str  # of an old delivery
    record: str  # FootprintIQ's id of an old case
    oldest: int  # one of the quiet one's deliveries
    newest: int
    event: int  # the quiet one's last event
    now: datetime
    metrics: Metrics  # scraped before: the first time a process adds up all hours there are


def _asker(user: User) -> Principal:
    """Their owners are admins, as connections of everybody's records ask; but the first one asks as a member."""
    who = principal_of(user)
    return who if user.email == archive.person(0) else replace(who, role=Role.MEMBER)


def place() -> Place:
    metrics = Metrics()
    metrics.text()
    with db.reading() as session:
        people = {user.email: _asker(user) for user in session.execute(select(User)).scalars()}
        siem, tickets, mine = (archive.connection_id(n) for n in (archive.BUSY, archive.BUSY + 1, 1))
        old = session.get_one(Delivery, 101)
        events = select(col(SiemEvent.id)).where(col(SiemEvent.delivery_id) == 202)
        return Place(
            admin=people[archive.person(0)],
            busy=people[archive.person(1)],
            quiet=people[archive.person(archive.PEOPLE - 1)],
            siem=siem,
            tickets=tickets,
            mine=mine,
            busy_siem=archive.connection_id(0),
            key=old.key,
            record=str(records.by_local_id(session, Kind.CASE, [old.record_id])[old.record_id]["id"]),
            oldest=101,
            newest=session.execute(select(func.max(col(Delivery.id)))).scalar_one() or 0,
            event=session.execute(events).scalar() or 1,
            now=db.now(session),
            metrics=metrics,
        )


Ask = Callable[[Place], object]


def _lists() -> dict[str, Ask]:
    d = history
    asked: dict[str, Ask] = {
        "deliveries": lambda p: d.listing(p.admin),
        "deliveries of a member": lambda p: d.listing(p.quiet),
        "deliveries of a busy member": lambda p: d.listing(p.busy),
        "deliveries of a member, next page": lambda p: d.listing(p.quiet, before=p.oldest),
        "deliveries of a connection": lambda p: d.listing(p.quiet, p.siem),
        "deliveries since": lambda p: d.listing(p.admin, since=p.now - timedelta(hours=24)),
        "deliveries of a member since": lambda p: d.listing(p.quiet, since=p.now - timedelta(hours=24)),
        "dead deliveries since": lambda p: d.listing(
            p.quiet, state=State.DEAD, since=p.now - timedelta(hours=24)
        ),
        "events": lambda p: d.events(p.admin),
        "events of a member": lambda p: d.events(p.quiet),
        "events of a member, next page": lambda p: d.events(p.quiet, before=p.event),
        "events of a connection": lambda p: d.events(p.quiet, p.siem),
        "tickets": lambda p: d.tickets(p.admin),
        "tickets of a member": lambda p: d.tickets(p.quiet),
        "runs": lambda p: d.logs(p.admin),
        "runs of a member": lambda p: d.logs(p.quiet),
        "one delivery": lambda p: d.one(p.quiet, p.oldest),
        "delivered since": lambda p: d.delivered_since(p.siem, p.now - timedelta(hours=24)),
        "explain": lambda p: d.explain(p.admin, "case", p.record),
        "search": lambda p: search.search(p.admin, DeliveryFilter()),
        "search of a member": lambda p: search.search(p.quiet, DeliveryFilter()),
        "search by key": lambda p: search.search(p.admin, DeliveryFilter(record=p.key)),
        "search by key of a member": lambda p: search.search(p.quiet, DeliveryFilter(record=p.key)),
        "search by record": lambda p: search.search(p.admin, DeliveryFilter(record=p.record)),
        "search by ticket": lambda p: search.search(p.admin, DeliveryFilter(record="T-101")),
        "search by beginning": lambda p: search.search(p.quiet, DeliveryFilter(record=p.record[:-2])),
        "search by words": lambda p: search.search(p.admin, DeliveryFilter(record="nobody")),
        "search by words of a member": lambda p: search.search(p.quiet, DeliveryFilter(record="nobody")),
        "search by hours": lambda p: search.search(p.admin, DeliveryFilter(hours=24)),
        "search by hours of a member": lambda p: search.search(p.quiet, DeliveryFilter(hours=24)),
        "search by connection": lambda p: search.search(p.admin, DeliveryFilter(connection=p.siem)),
        "upcoming": lambda p: search.upcoming(p.busy, p.mine),
        "title": lambda p: search.title(p.quiet, p.oldest),
    }
    for flag in (True, False):
        asked[f"events, exported {flag}"] = lambda p, flag=flag: d.events(p.admin, exported=flag)
        asked[f"events of a member, exported {flag}"] = lambda p, flag=flag: d.events(p.quiet, exported=flag)
    for state in State:
        asked[f"deliveries, {state}"] = lambda p, state=state: d.listing(p.admin, state=state)
        asked[f"deliveries of a member, {state}"] = lambda p, state=state: d.listing(p.quiet, state=state)
        asked[f"search, {state}"] = lambda p, state=state: search.search(p.admin, DeliveryFilter(state=state))
        asked[f"search by connection, {state}"] = lambda p, state=state: search.search(
            p.busy, DeliveryFilter(state=state, connection=p.mine)
        )
    return asked


def _pages() -> dict[str, Ask]:
    asked: dict[str, Ask] = {
        "connections": lambda p: connections.board(p.admin),
        "connections of a member": lambda p: connections.board(p.quiet),
        "list of connections": lambda p: connections.list_views(p.admin),
        "one connection": lambda p: connections.find(p.quiet, p.siem),
        "left out": lambda p: connections.left_out(p.quiet, p.tickets),
        "health": lambda p: health.overview(p.admin, 24),
        "health of a member": lambda p: health.overview(p.quiet, 24),
        "health, one connection": lambda p: health.overview(p.admin, 24, connection=p.siem),
        "metrics": lambda p: p.metrics.text(),
        "replays": lambda p: replays.listing(p.admin),
        "unfinished replays": lambda p: replays.unfinished(p.admin),
    }
    hour = timedelta(hours=1)
    for state in (State.DEAD, State.SKIPPED, State.DELIVERED):
        asked |= {
            f"replay plan, {state}": lambda p, state=state: history.plan(p.admin, ReplayFilter(state=state)),
            f"replay plan of a member, {state}": lambda p, state=state: history.plan(
                p.quiet, ReplayFilter(state=state)
            ),
            f"replay plan of a connection, {state}": lambda p, state=state: history.plan(
                p.busy, ReplayFilter(p.mine, state=state, reason="503")
            ),
            f"replay plan of an hour, {state}": lambda p, state=state: history.plan(
                p.admin, ReplayFilter(state=state, since=p.now - 48 * hour, until=p.now - 47 * hour)
            ),
        }
    return asked


#: read only
READ: dict[str, Ask] = _lists() | _pages()

Move = Callable[[Session, Place], object]


def _outbox() -> dict[str, Move]:
    """By the name of the function in `core.delivery.outbox`, and what follows a colon."""
    o = outbox
    claim = partial(o.claim, run_id="run", worker="bench", max_bytes=None, lease_s=60.0)
    return {
        "peek": lambda s, p: o.peek(s, p.mine, Kind.ALERT, 10),
        "peek: by severity": lambda s, p: o.peek(s, p.mine, Kind.ALERT, 10, by_severity=True),
        "stale: by severity": lambda s, p: o.stale(s, p.mine, Kind.ALERT, 500, p.now, by_severity=True),
        "loose: by severity": lambda s, p: o.loose(s, p.mine, 500, p.now, by_severity=True),
        "claim: by severity": lambda s, p: claim(
            s, connection_id=p.mine, limit=100, now=p.now, by_severity=True
        ),
        "regrade": lambda s, p: o.regrade(s, {p.oldest: "high", p.newest: "low"}),
        "stale": lambda s, p: o.stale(s, p.mine, Kind.ALERT, 500, p.now),
        "records": lambda s, p: o.records(s, p.mine, (State.PENDING, State.RETRYING, State.HELD)),
        "earliest": lambda s, p: s.execute(select(o.earliest(literal(p.mine)))).all(),
        "waiting": lambda s, p: s.execute(select(col(Delivery.id)).where(o.waiting(p.mine))).all(),
        "known": lambda s, p: o.known(s, p.tickets, Kind.CASE, list(range(1, 100))),
        "next_due_at": lambda s, p: o.next_due_at(s, p.mine),
        "count_waiting": lambda s, p: o.count_waiting(s, p.mine),
        "has_held": lambda s, p: o.has_held(s, p.mine, None),
        "has_held: since": lambda s, p: o.has_held(s, p.mine, p.now),
        "standing": lambda s, p: o.standing(s, [p.mine]),
        "standing: many": lambda s, p: o.standing(s, [archive.connection_id(n) for n in range(50)]),
        "loose": lambda s, p: o.loose(s, p.mine, 500, p.now),
        "members": lambda s, p: o.members(s, [1, 2, 3]),
        "expired": lambda s, p: o.expired(s, p.now),
        "claim": lambda s, p: claim(s, connection_id=p.mine, limit=100, now=p.now),
        "claim: cases": lambda s, p: claim(
            s,
            connection_id=p.tickets,
            limit=50,
            now=p.now,
            target=o.TicketTarget("jira.example.com SEC", LOOK_UP),
        ),
        "longest_lease": lambda s, p: s.execute(o.longest_lease()).all(),
        "shorten_leases": lambda s, p: o.shorten_leases(s, 60.0, p.now),
        "renew": lambda s, p: o.renew(s, 1, 60.0, p.now),
        "close": lambda s, p: o.close(s, Claim(7, p.tickets, (_row(s, p),)), [_verdict(p)], p.now),
        "end_attempt": lambda s, p: o.end_attempt(s, 7, [], p.now),
        "reap": lambda s, p: [
            (o.reap(s, attempt, lambda _: 60.0, p.now), o.give_up(s, attempt))
            for attempt, _ in o.expired(s, p.now)[:3]
        ],
        "give_up": lambda s, p: o.give_up(s, 7),
        "gather": lambda s, p: o.gather(s, [p.oldest], p.newest, "A digest."),
        "put_off": lambda s, p: o.put_off(s, p.mine, p.now, "Later.", p.now),
        "put": lambda s, p: o.put(
            s, connection_id=p.siem, user_id=p.quiet.user_id, siem=True, rows=[_new(p)], now=p.now
        ),
        "hasten": lambda s, p: o.hasten(s, p.mine, p.now),
        "recover": lambda s, p: o.recover(s, p.mine, p.now, doubtful=True),
        "release": lambda s, p: o.release(s, p.mine, p.now),
        "discard": lambda s, p: o.discard(s, p.mine, "No."),
        "skip": lambda s, p: o.skip(s, p.mine, "No.", SkippedBy.FILTER),
        "skip_rows": lambda s, p: o.skip_rows(s, {p.oldest: "No.", p.newest: "No."}, SkippedBy.FILTER),
        "note_calls": lambda s, p: o.note_calls(s, _attempt(s), []),
        "keep_failed": lambda s, p: o.keep_failed(s, _attempt(s), {p.oldest: None}, p.now),
        "bury": lambda s, p: o.bury(s, {p.oldest: "No."}),
        "settle_as_is": lambda s, p: o.settle_as_is(s, [p.oldest, p.newest]),
        "remap": lambda s, p: o.remap(s, {p.oldest: _new(p)}),
        "end": lambda s, p: o.end(s, p.mine),
        "settle_places": lambda s, p: o.settle_places(s, p.tickets, "jira.example.com SEC"),
        "put_right": lambda s, p: o.put_right(s, [p.mine], p.now),
        "highest_attempt": lambda s, p: o.highest_attempt(s),
        "keep_moment": lambda s, p: o.keep_moment(s, p.now),
        "restored_at": lambda s, p: o.restored_at(s),
        "uncertain": lambda s, p: o.uncertain(s, 0, 1000),
        "doubt": lambda s, p: o.doubt(s, [p.oldest, p.newest], p.now),
        "unskip_rows": lambda s, p: o.unskip_rows(s, [p.oldest, p.newest], p.now),
        "replay": lambda s, p: o.replay(s, p.oldest, again=True, now=p.now),
        "replay_rows": lambda s, p: o.replay_rows(s, [p.oldest, p.newest], State.DELIVERED, p.now),
        "first_since": lambda s, p: o.first_since(s, p.now - timedelta(hours=24)),
    }


def _others() -> dict[str, Move]:
    return {
        "changes": lambda s, p: records.changes(s, Kind.SCAN, after=0, owner_id=p.quiet.user_id, limit=500),
        "latest": lambda s, p: records.latest(s, Kind.SCAN, owner_id=p.quiet.user_id, limit=50),
        "latest: everybody's": lambda s, p: records.latest(s, Kind.SCAN, owner_id=None, limit=50),
        "latest: one": lambda s, p: records.latest(s, Kind.CASE, owner_id=None, limit=1, id=p.record),
        "head": lambda s, p: records.head(s),
        "newest": lambda s, p: s.execute(select(records.newest(Kind.ALERT, literal(p.quiet.user_id)))).all(),
        "retention": lambda s, p: sweep(s, p.now, 90),
        "begin a run": lambda s, p: journal.begin(s, p.mine, "run", "manual", p.now),
        "interrupt a run": lambda s, p: journal.interrupt(s, "log-7", p.now),
        "find a run's connection": lambda s, p: runs.find(s, p.mine, p.busy),
        "reap": lambda s, p: runs.reap(s, 7, p.mine, p.now, worker="nobody"),
        "deleted ones for which something waits": lambda s, p: runs.of_deleted(s),
        "release a worker's runs": lambda s, p: runs.release(s, "nobody", p.now),
        "next wake": lambda s, p: schedule.next_wake(s, runs.find(s, p.mine, p.busy)[0], p.now),
    }


#: a session is given, and rolled back
MOVE: dict[str, Move] = {f"outbox.{name}": move for name, move in _outbox().items()} | _others()

#: whole verbs that commit, in this order
WRITE: dict[str, Ask] = {
    "edit a filter": lambda p: connections.edit(p.admin, p.mine, options={"min_severity": "low"}),
    "edit it back": lambda p: connections.edit(p.admin, p.mine, options={"min_severity": "high"}),
    "replay one": lambda p: history.replay_one(p.quiet, p.oldest + 1, again=True),
    "replay the dead": lambda p: replays.begin(p.quiet, ReplayFilter(p.tickets)),
    "replay the skipped": lambda p: replays.begin(p.busy, ReplayFilter(p.mine, state=State.SKIPPED)),
    "replay what was delivered": lambda p: replays.begin(
        p.admin,
        ReplayFilter(p.busy_siem, state=State.DELIVERED, since=p.now - timedelta(hours=24)),
        again=True,
    ),
    "replay what nothing fits": lambda p: replays.begin(
        p.busy, ReplayFilter(p.mine, state=State.DELIVERED, reason="nothing"), again=True
    ),
    "a step of the replays": lambda p: replays.work_off(),
    "release": lambda p: _quietly(history.release, p.admin, p.mine),
    "discard": lambda p: _quietly(history.discard, p.admin, p.tickets),
    "enable without a backlog": lambda p: connections.enable(p.busy, p.mine, "skip"),
    "delete": lambda p: connections.delete(p.busy, p.mine),
}


def rolled_back(move: Move) -> Ask:
    def asked(here: Place) -> None:
        with db.session() as session:
            move(session, here)
            session.flush()
            session.rollback()

    return asked


def _quietly(verb: Callable[..., object], *given: object) -> None:
    """Also where nothing is held."""
    with suppress(Conflict):
        verb(*given)


def _attempt(session: Session) -> int:
    return int(session.execute(select(func.max(col(Attempt.id)))).scalar_one())


def _row(session: Session, p: Place) -> Row:
    fields = [getattr(Delivery, name) for name in Row.__dataclass_fields__]
    found: Any = session.execute(select(*fields).where(col(Delivery.id) == p.oldest)).one()
    return Row(*found)


def _verdict(p: Place) -> Outcome:
    return Outcome(p.oldest, State.DELIVERED, 1)


def _new(p: Place) -> outbox.New:
    return outbox.New(
        kind=Kind.SCAN,
        record_id=1,
        revision=1,
        record_seq=1,
        key="fiq-scan-new",
        event_type="footprintiq.scan",
        payload="{}",
        reason=None,
        wanted_at=p.now,
        severity="high",
        title="A scan",
    )


ASKED: dict[str, Ask] = READ | {name: rolled_back(move) for name, move in MOVE.items()} | WRITE
