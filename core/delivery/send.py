"""Claim what is due, call the vendor, close what it answered: before each further call, and at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from itertools import product
from random import random
from threading import RLock, Thread
from time import monotonic, sleep, time
from typing import Any

import structlog
from sqlmodel import Session

from core import integrations, records
from core.access import rights
from core.delivery import breaker, digests, journal, outbox, refresh, restored, runs
from core.delivery.batch import BatchDelivery, LeaseLost, not_tried
from core.delivery.journal import Tally
from core.delivery.outbox import Claim
from core.delivery.outcome import Outcome, Row, delivered, judge
from core.delivery.pace import CLAIM_S
from core.delivery.rate_limit import charge, room
from core.delivery.runs import LEASE_S, Run
from core.http import Exchange
from core.http.errors import DeliveryError, InDoubt, Misconfigured, NotTried, Unavailable
from core.integrations.base import Item, Receipt, Tracker
from core.integrations.client import Live
from core.platform.errors import Unusable
from core.storage import db, disk
from core.storage.models import Connection, HubMessageKind, State

#: a lease renewed so recently need not be renewed again; by the wall clock, which goes on while asleep
FRESH_S = 5.0
#: answers to messages are written together: so many, or those of so long
FLUSH_RECEIPTS, FLUSH_S = 50, 0.25
#: of a message whose claim ended before it began
TURN = "It goes out with the next ones."
#: a server restarts within seconds; with four busy timeouts of 10 s (SQLite), or four waits of 5 s for a lock
#: (PostgreSQL), this is still less than LEASE_S
CLOSE_WAITS_S = (0.5, 2.0, 5.0)

log = structlog.get_logger("hub.sync")


def deliver(begun: Run, live: Live) -> None:
    """Claim, call, close, until nothing is due or the connection has a fault."""
    while not begun.over():
        asked = time()  # before the lease is written: a worker may be stopped at any point after this
        claimed = claim(begun)
        if claimed is None:
            return
        restored.reach(claimed.attempt_id)
        call = Send(begun, live, claimed, asked)
        send(call)
        if claimed.is_last and all(map(_was_tried, call.receipts)):
            return  # another claim would find nothing; what comes meanwhile is due when the run ends


@db.unit
def claim(begun: Run) -> Claim | None:
    """Claim what is due first, brought up to date; None when nothing is, when the vendor may not be called now,
    and when new records are to be looked at before."""
    disk.require()  # before the attempt row: what cannot be closed must not be sent
    with db.session() as session:
        now = db.now(session)
        connection = runs.hold(session, begun)
        if not _may_send(session, begun, connection):
            return None
        if connection.next_call_at and connection.next_call_at > now:
            return None
        if begun.has_news(connection, records.head(session), now):
            begun.exports = begun.more = True
            return None
        limits = begun.manifest.limits
        calls, wait = room(connection.rate_until, limits.requests_per_minute, now)
        if calls == 0:
            connection.next_call_at, connection.wait_reason = wait, "rate"
            return None
        size = _size(begun, connection, calls)
        most = digests.due_together(begun.manifest, begun.options) or size
        dead = refresh.refresh(session, connection, begun.manifest, begun.options, most, now)
        digests.calm(session, connection, begun.manifest, begun.options, now)
        claimed = outbox.claim(
            session,
            connection_id=connection.id,
            run_id=begun.id,
            worker=runs.WORKER,
            limit=size,
            max_bytes=None if begun.manifest.one_by_one else limits.batch_bytes,
            lease_s=LEASE_S,
            now=now,
            target=begun.target,
            by_severity=begun.options.by_severity,
        )
        if claimed:
            planned = len(claimed.rows) if begun.manifest.one_by_one else 1
            connection.rate_until = charge(connection.rate_until, limits.requests_per_minute, planned, now)
            digests.note(connection, begun.manifest, begun.options, len(claimed.rows), now)
            if begun.logged:
                runs.keep(session, begun, now)
        if dead:
            journal.count(session, connection.id, Tally(dead=dead), now)
            db.afterwards(session, partial(begun.add, 0, 0, dead))
        if claimed or dead:
            runs.open_log(session, begun, now)
        return claimed


def _may_send(session: Session, begun: Run, connection: Connection) -> bool:
    """Whether nobody has paused, moved or deleted it, and its owner may still have it run."""
    if not connection.is_active or runs.is_edited(begun, connection):
        return False
    return not rights.lacks(session, [connection.id])


def _size(begun: Run, connection: Connection, calls: int | None) -> int:
    """How many rows the next claim may have."""
    if connection.failures > 0 or connection.problem is not None:  # exactly one probe
        return 1
    limits = begun.manifest.limits
    if begun.manifest.one_by_one:
        return begun.pace.messages if calls is None else min(begun.pace.messages, calls)
    return min(limits.batch_items, connection.batch_learned or limits.batch_items)


def send(call: "Send") -> None:
    """Call the vendor for every claimed row; what is known is closed before it is old (`Send.before`)."""
    with call.live.client.call(before=call.before) as call.exchanges:
        rows = _look_up(call)
        items = [Item(row.key, row.payload) for row in rows]
        if call.run.manifest.one_by_one:
            _send_messages(call, items)
            learned = None
        else:
            learned = _send_batch(call, items)
    call.close_patiently(learned)


def _look_up(call: "Send") -> list[Row]:
    """Settle rows whose ticket exists, or may exist and is looked for again; return those that may be sent."""
    connector, rows = call.live.connector, call.claim.rows
    if not isinstance(connector, Tracker):
        return list(rows)
    return [row for row in rows if not call.settle_found(connector, row)]


def _send_batch(call: "Send", items: list[Item]) -> int | None:
    """Send all in as few calls as the vendor takes; what it taught us about their size."""
    settlement = BatchDelivery(call.live.connector, items)
    for receipt in settlement:
        call.settle(receipt, call.answer)
    _tell(call, settlement)
    return settlement.learned


def _send_messages(call: "Send", items: list[Item]) -> None:
    """Send each in a call of its own, several at once where that pays, until the time of a claim or of the run is
    over, or one meets a fault that the others would meet too. Raises LeaseLost."""
    turns = _Turns(call, items)
    lanes = call.live.lanes(min(call.run.pace.lanes, len(items)))
    others = [Thread(target=turns.take, args=(lane, []), name="lane", daemon=True) for lane in lanes[1:]]
    for other in others:
        other.start()
    turns.take(call.live, call.exchanges)
    for other in others:
        other.join()
    turns.end()


@dataclass
class _Turns:
    """The messages of a claim, taken by the lanes one after the other."""

    call: "Send"
    items: list[Item]
    until: float = field(default_factory=lambda: monotonic() + CLAIM_S)
    begun: int = 0
    aside: list[Exchange] = field(
        default_factory=list
    )  # of the other lanes: the first one still reads its own
    ended_by: DeliveryError | None = None
    failed: BaseException | None = None  # what is no fault of a delivery: LeaseLost, a broken database

    def take(self, lane: Live, exchanges: list[Exchange]) -> None:
        """Send messages by this lane until there are none left for it."""
        try:
            with ExitStack() as stack:
                if lane is not self.call.live:
                    exchanges = stack.enter_context(lane.client.call(before=self.call.before))
                while (item := self._next()) is not None:
                    self._send(lane, item, exchanges)
        except BaseException as error:  # noqa: BLE001 - raised in the run's own thread when all lanes have ended
            self.failed = self.failed or error
        finally:
            if lane is not self.call.live:
                with self.call.lock:
                    self.aside += exchanges

    def end(self) -> None:
        """Settle those whose turn did not come. Raises what ended a lane."""
        if self.failed is not None:
            raise self.failed
        self.call.exchanges += self.aside
        self.call.ended_by = None if isinstance(self.ended_by, NotTried) else self.ended_by
        fault = not_tried(self.ended_by) if self.ended_by else NotTried(TURN)
        for item in self.items[self.begun :]:
            self.call.settle(Receipt(item.key, fault=fault), None)

    def _next(self) -> Item | None:
        with self.call.lock:
            if self.failed or self.ended_by or self.begun == len(self.items):
                return None
            if self.begun and self._is_over():
                return None
            self.begun += 1
            return self.items[self.begun - 1]

    def _is_over(self) -> bool:
        """Also without room on the disk: what cannot be closed must not be sent."""
        is_late = monotonic() >= self.until or self.call.run.over()
        return is_late or self.call.is_stopped or disk.lacking() is not None

    def _send(self, lane: Live, item: Item, exchanges: list[Exchange]) -> None:
        settlement, before = BatchDelivery(lane.connector, [item]), len(exchanges)
        for receipt in settlement:
            exchanges[before:] = [replace(each, key=item.key) for each in exchanges[before:]]
            self.call.settle(receipt, exchanges[-1] if len(exchanges) > before else None)
        self.ended_by = self.ended_by or settlement.ended_by
        _tell(self.call, settlement)


def _tell(call: "Send", settlement: BatchDelivery) -> None:
    if settlement.bug is not None:
        log.error("connector failed", connector=call.run.manifest.slug, exc_info=settlement.bug)


@dataclass
class Send:
    run: Run
    live: Live
    claim: Claim
    renewed: float  # when the lease was asked for, epoch s
    receipts: list[Receipt] = field(default_factory=list)
    open_receipts: list[tuple[Receipt, Exchange | None]] = field(default_factory=list)  # with its answer
    open_verdicts: list[Outcome] = field(default_factory=list)
    open_since: float | None = None  # of the oldest of these, monotonic s
    exchanges: list[Exchange] = field(default_factory=list)
    noted: list[Exchange] = field(default_factory=list)  # of messages: the calls that the attempt has already
    ended_by: DeliveryError | None = None  # of messages: the fault that the next one would meet too
    is_stopped: bool = False  # of messages: it may not send any more, as was seen when answers were written
    lock: Any = field(default_factory=RLock)  # of what is above: the lanes of a claim share it

    @db.unit
    def before(self) -> None:
        """Renew the leases before each byte leaves, or raise LeaseLost when they were taken over.

        What was answered is written, as long as the attempt is this one's, by the time there is much of it or the
        oldest is FLUSH_S old: a commit per answer would cost more than the call.
        """
        with self.lock:
            if not self._is_due() and abs(time() - self.renewed) < FRESH_S:
                return
            with db.session() as session:
                now = db.now(session)
                connection = db.locked(session, Connection, self.claim.connection_id)
                is_stopped = not _may_send(session, self.run, connection)
                is_kept = runs.keep(session, self.run, now)
                # nothing more is sent without the run: what is left is for whoever looks for dead attempts, at once
                if not outbox.renew(session, self.claim.attempt_id, LEASE_S if is_kept else 0.0, now):
                    raise LeaseLost
                self._note_calls(session)
                self._count(session, self._write(session, now), now)
            if not is_kept:
                raise LeaseLost
            self.renewed, self.is_stopped = time(), is_stopped

    def _note_calls(self, session: Session) -> None:
        """With the rows that are closed before their claim: it may never be."""
        if self.run.manifest.one_by_one and self.open_receipts:
            known = self.noted + [answer for _, answer in self.open_receipts if answer]
            outbox.note_calls(session, self.claim.attempt_id, known)
            db.afterwards(session, partial(setattr, self, "noted", known))

    def _is_due(self) -> bool:
        known = len(self.open_receipts) + len(self.open_verdicts)
        if not known or self.open_since is None:
            return False
        return (
            not self.run.manifest.one_by_one
            or known >= FLUSH_RECEIPTS
            or monotonic() - self.open_since >= FLUSH_S
        )

    def settle(self, receipt: Receipt, answer: Exchange | None) -> None:
        """Keep a receipt with the call by which it is known: a connector yields it right after that."""
        with self.lock:
            self.receipts.append(receipt)
            self.open_receipts.append((receipt, answer))
            self._opened()

    def _settled(self, verdict: Outcome) -> None:
        self.open_verdicts.append(verdict)
        self._opened()

    def _opened(self) -> None:
        if self.open_since is None:
            self.open_since = monotonic()

    @property
    def answer(self) -> Exchange | None:
        return self.exchanges[-1] if self.exchanges else None

    def settle_found(self, tracker: Tracker, row: Row) -> bool:
        """Look for the row's ticket as its claim says. False when it may be created now."""
        search = self.claim.searches.get(row.id)
        if search is None:
            return False
        if search.known is not None:
            known = Receipt.of(row.key, search.known)
            self._settled(delivered(row, known, self.run.doubt, self.claim.place))
            return True
        if any(self._looked(tracker, row, place, key) for place, key in product(search.places, search.keys)):
            return True
        if search.missing is not None:
            self._settled(search.missing)
        return search.missing is not None

    def _looked(self, tracker: Tracker, row: Row, place: str, key: str) -> bool:
        """Settle the row by one look. False when nothing is there."""
        is_here = place == self.claim.place
        there = tracker if is_here else tracker.at(**integrations.fields_of(self.run.manifest, place))
        try:
            ticket = there.find(key)
        except InDoubt as fault:  # a search changes nothing: asking again is safe
            self.settle(Receipt(row.key, fault=Unavailable(fault.message, status=fault.status)), self.answer)
            return True
        except DeliveryError as fault:
            if (
                isinstance(fault, Misconfigured) and not is_here
            ):  # of the old place: this one was just searched
                self._settled(outbox.held(row, place, fault.message))
            else:
                self.settle(Receipt(row.key, fault=fault), self.answer)
            return True
        if ticket is None:
            return False
        receipt = Receipt.of(row.key, ticket)
        self.receipts.append(receipt)
        self._settled(delivered(row, receipt, self.run.doubt, place, self.answer))
        return True

    def close(self, learned: int | None) -> None:
        """Close the claim, in its last transaction: rows, attempt, figures, and what the connection learned."""
        fault = self.ended_by or breaker.fault_of(self.receipts)
        with db.session() as session:
            now = db.now(session)
            connection = db.locked(session, Connection, self.claim.connection_id)
            if not outbox.end_attempt(session, self.claim.attempt_id, self.exchanges, now):
                raise LeaseLost
            tally = self._write(session, now)
            tally.add(_traffic(self.exchanges))
            if self.receipts:
                self._learn(session, connection, fault, now)
            if learned is not None:
                connection.batch_learned = learned
            per_minute = self.run.manifest.limits.requests_per_minute
            planned = len(self.claim.rows) if self.run.manifest.one_by_one else 1
            more = len(self.exchanges) - planned
            connection.rate_until = charge(connection.rate_until, per_minute, more, now)
            untried = sum(not _was_tried(receipt) for receipt in self.receipts)
            digests.unnote(connection, self.run.manifest, self.run.options, untried)
            self._count(session, tally, now)
        self.run.pace.learn([exchange.ms for exchange in self.exchanges])
        self.run.fault = fault

    def close_patiently(self, learned: int | None) -> None:
        """Close the claim, and wait for a database that is away for a moment: what the vendor answered is in
        memory alone.

        The waits and the busy timeouts together end within the lease. A commit whose answer was lost is not
        made twice: the fence finds the rows closed, and the run gives up.
        """
        for wait_s in CLOSE_WAITS_S:
            try:
                return self.close(learned)
            except Unusable as error:
                log.warning("answer not written yet", attempt=self.claim.attempt_id, reason=error.message)
                sleep(wait_s)
        self.close(learned)

    def _learn(
        self, session: Session, connection: Connection, fault: DeliveryError | None, now: datetime
    ) -> None:
        was_failing = connection.failures > 0
        breaker.learn(session, connection, fault, now, succeeded=breaker.took_something(self.receipts))
        if was_failing and fault is None:  # the probe went through: who waited for the vendor waits no longer
            outbox.recover(session, connection.id, now, doubtful=self.run.doubt.mode != "look_up")

    def _write(self, session: Session, now: datetime) -> Tally:
        """Close what is known, while it is this attempt's, and return what that adds up to. Raises LeaseLost."""
        rows = {row.key: row for row in self.claim.rows}
        verdicts = self.open_verdicts + [
            judge(
                rows[receipt.key],
                receipt,
                doubt=self.run.doubt,
                policy=self.run.policy,
                random=random(),
                now=now,
                place=self.claim.place,
                answer=answer,
            )
            for receipt, answer in self.open_receipts
        ]
        carried = outbox.members(
            session, [row.id for row in self.claim.rows if row.record_kind == HubMessageKind.DIGEST]
        )
        if outbox.close(session, self.claim, verdicts, now) < len(verdicts):
            raise LeaseLost
        if self.run.manifest.one_by_one and len(rows) > 1:
            failed = [each for each in self.open_receipts if _was_tried(each[0]) and each[0].fault]
            calls = {rows[receipt.key].id: answer for receipt, answer in failed}
            outbox.keep_failed(session, self.claim.attempt_id, calls, now)
        db.afterwards(session, self._forget)
        return self._tally(verdicts, now, carried)

    def _forget(self) -> None:
        self.open_receipts, self.open_verdicts, self.open_since = [], [], None

    def _tally(self, verdicts: list[Outcome], now: datetime, carried: Mapping[int, int]) -> Tally:
        """`carried`: a digest counts as the records in it."""
        tally, wanted = Tally(), {row.id: row.wanted_at for row in self.claim.rows}
        states: Counter[State] = Counter()
        for verdict in verdicts:
            states[verdict.state] += carried.get(verdict.id, 1)
        tally.delivered, tally.dead = states[State.DELIVERED], states[State.DEAD]
        tally.retried, tally.in_doubt = states[State.RETRYING], states[State.IN_DOUBT]
        tally.delay_s = [
            (now - wanted[verdict.id]).total_seconds()
            for verdict in verdicts
            if verdict.state is State.DELIVERED
        ]
        return tally

    def _count(self, session: Session, tally: Tally, now: datetime) -> None:
        journal.count(session, self.claim.connection_id, tally, now)
        db.afterwards(session, partial(self.run.tally.add, tally))


def _was_tried(receipt: Receipt) -> bool:
    return not isinstance(receipt.fault, NotTried)


def _traffic(exchanges: Sequence[Exchange]) -> Tally:
    return Tally(
        calls=len(exchanges),
        bytes_out=sum(exchange.bytes_out for exchange in exchanges),
        call_ms=[exchange.ms for exchange in exchanges],
    )
