"""Who should have what, exactly once: a small model against every order of edits, records, owners and connections.

Records come and change, filters are edited (also while a run is at work), people become known, connections are
paused, deleted and made again. After each sync that the vendor takes, a connection has delivered just what the
model says. With NIGHTLY set there are six hundred examples, other ones each time.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)
from sqlalchemy import select
from sqlmodel import col

from core import access, connections, records
from core.access import LOCAL, Principal
from core.connections import changes
from core.delivery import export, sync
from core.integrations.options import OLDEST
from core.integrations.options import SEVERITY as SEVERITY_FIRST
from core.records import intake
from core.storage import db
from core.storage.models import Alert, Case, Delivery, Kind
from core.storage.models.words import SEVERITIES
from tests.support.state_machine import play
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]

pytestmark = pytest.mark.slow

KINDS = {"webhook": (Kind.ALERT, Alert, "severity"), "jira": (Kind.CASE, Case, "priority")}
ROOM = 2  # so few at once that the most severe are looked for ahead of the others
SEVERITY = st.sampled_from(SEVERITIES)
STRANGER = "eva"  # another person in each example, who becomes known in some of them
OWNERS = st.sampled_from(["admin@example.org", "ana@example.org", STRANGER, None])
numbers, ticks = itertools.count(1), itertools.count(1)


@dataclass
class Record:
    """What the model knows of one: `rose` is when it last became wanted, or more urgent."""

    id: str
    owner: str | None
    severity: str
    is_due: bool
    title: str
    rose: int


@dataclass
class Wish:
    """What the model knows of the connection."""

    least: str
    scope: str
    since: int = 0
    delivered: set[str] = field(default_factory=set)
    #: whose ticket is known from an earlier connection: nobody need be called for them to be delivered
    may_be_delivered: set[str] = field(default_factory=set)

    def wants(self, record: Record) -> bool:
        mine = self.scope == "all" or record.owner == "admin@example.org"
        severe = SEVERITIES.index(record.severity) >= SEVERITIES.index(self.least)
        return record.is_due and mine and severe and record.rose >= self.since


class Hub(RuleBasedStateMachine):
    place: Workplace
    boss: Principal

    @initialize(
        slug=st.sampled_from(sorted(KINDS)),
        least=SEVERITY,
        scope=st.sampled_from(["all", "mine"]),
        order=st.sampled_from([SEVERITY_FIRST, SEVERITY_FIRST, OLDEST]),
        first=st.lists(st.tuples(OWNERS, SEVERITY), min_size=4, max_size=8),
    )
    def connect(
        self, slug: str, least: str, scope: str, order: str, first: list[tuple[str | None, str]]
    ) -> None:
        self.order = order
        self.slug, (self.kind, self.table, self.severity) = slug, KINDS[slug]
        self.place.sandbox.clear_faults()
        self.records: dict[str, Record] = {}
        self.seen = len(self.place.sandbox.accepted(slug))
        self.wish, self.has_ticket = Wish(least, scope), set()
        self.eva, self.is_known = f"eva{next(numbers)}@example.org", False
        self._connect({})
        for owner, severity in first:
            self._add(owner, severity, is_due=True)

    def _connect(self, options: dict[str, str]) -> None:
        options = {"min_severity": self.wish.least, "scope": self.wish.scope, "order": self.order} | options
        self.id = connections.create(
            self.boss,
            self.slug,
            name=f"c{next(numbers)}",
            values=self.place.sandbox.credentials(self.slug),
            options=options
            | {"drain": True, "batch_limit": ROOM}
            | ({"storm": "off"} if self.slug == "webhook" else {}),
        )

    # --- what happens -------------------------------------------------------------------------------

    @rule(owners=st.lists(OWNERS, min_size=1, max_size=4), severity=SEVERITY, is_due=st.booleans())
    def add(self, owners: list[str | None], severity: str, is_due: bool) -> None:
        for owner in owners:
            self._add(owner, severity, is_due)

    def _add(self, owner: str | None, severity: str, is_due: bool) -> None:
        id = f"00000000-0000-4000-8000-{next(numbers):012d}"
        self.records[id] = Record(id, owner, severity, is_due, f"title {next(numbers)}", next(ticks))
        self._store(self.records[id])

    @precondition(lambda self: self.records)
    @rule(data=st.data(), severity=SEVERITY, is_due=st.booleans(), synced=st.booleans())
    def change(self, data: st.DataObject, severity: str, is_due: bool, synced: bool) -> None:
        record = data.draw(st.sampled_from(sorted(self.records.values(), key=lambda r: r.id)), label="which")
        rises = is_due and (
            not record.is_due or SEVERITIES.index(severity) > SEVERITIES.index(record.severity)
        )
        record.severity, record.is_due, record.title = severity, is_due, f"title {next(numbers)}"
        record.rose = next(ticks) if rises else record.rose
        self._store(record)
        if synced:
            self.sync()

    def _store(self, record: Record) -> None:
        row = {"id": record.id, "title": record.title, self.severity: record.severity}
        owner = self.eva if record.owner == STRANGER else record.owner
        row |= {"user_id": owner} if owner else {}
        due = (
            {"is_read": not record.is_due}
            if self.slug == "webhook"
            else {"status": "open" if record.is_due else "closed"}
        )
        assert intake.store(LOCAL, self.kind, [row | due]).problems == []

    @rule(least=SEVERITY, scope=st.sampled_from(["all", "mine"]), synced=st.booleans())
    def edit(self, least: str, scope: str, synced: bool) -> None:
        self._edit(least, scope)
        if synced:
            self.sync()

    def _edit(self, least: str, scope: str) -> None:
        self.wish.least, self.wish.scope = least, scope
        changes.edit(self.boss, self.id, options={"min_severity": least, "scope": scope})

    @rule(backlog=st.sampled_from(["send", "skip"]))
    def pause_and_enable(self, backlog: Any) -> None:
        changes.disable(self.boss, self.id)
        if backlog == "skip":
            self.wish.since = next(ticks)
        changes.enable(self.boss, self.id, backlog)

    @rule(start=st.sampled_from(["all", "now"]))
    def delete_and_connect(self, start: str) -> None:
        connections.delete(self.boss, self.id)
        since = next(ticks) if start == "now" else 0
        self.wish = Wish(self.wish.least, self.wish.scope, since)
        self._connect({"start_from": start})

    @precondition(lambda self: not self.is_known)
    @rule()
    def eva_becomes_known(self) -> None:
        self.is_known = True
        user = access.add_user(LOCAL, self.eva, "member", None)
        with db.session() as session:
            records.adopt(session, user)
        for record in self.records.values():
            record.rose = next(ticks) if record.owner == STRANGER else record.rose

    @rule(then=st.lists(SEVERITY, max_size=2), synced=st.booleans())
    def sync_while_the_vendor_is_away(self, then: list[str], synced: bool) -> None:
        """What is wanted now waits; edits may leave it out, and take it in again. A ticket that is there is found."""
        self.wish.may_be_delivered |= self.has_ticket & {
            record.id for record in self.records.values() if self.wish.wants(record)
        }
        self.place.sandbox.fault(self.slug, "503")
        sync.run(self.id, "manual")
        self.place.sandbox.clear_faults()
        for least in then:
            self._edit(least, self.wish.scope)
        if synced:
            self.sync()

    @rule(least=SEVERITY, scope=st.sampled_from(["mine", "all"]))
    def edit_while_a_run_is_at_work(self, least: str, scope: str) -> None:
        real, steps = sync.deliver, []

        def deliver(begun: Any, live: Any) -> None:
            real(begun, live)
            if not steps:
                steps.append(self._edit(least, scope))

        self._wanted_now(self.wish)  # this run's filter, or the next one's: both may send
        sync.deliver, export.TOGETHER = deliver, 500  # all of it is queued before the edit
        try:
            sync.run(self.id, "manual")
        finally:
            sync.deliver, export.TOGETHER = real, ROOM
        self.sync()

    @rule()
    def sync(self) -> None:
        expected = self.wish.delivered | self._wanted_now(self.wish)
        result = sync.run(self.id, "manual")
        assert result.success, result.message
        self._require(expected)

    # --- what must hold ------------------------------------------------------------------------------

    def _wanted_now(self, wish: Wish) -> set[str]:
        wanted = {record.id for record in self.records.values() if wish.wants(record)}
        wish.delivered |= wanted
        return wanted

    def _require(self, expected: set[str]) -> None:
        with db.reading() as session:
            found = session.execute(
                select(self.table.id, Delivery.state)
                .join(self.table, col(self.table.local_id) == col(Delivery.record_id))
                .where(col(Delivery.webhook_id) == self.id, col(Delivery.record_kind) == self.kind)
            ).all()
        delivered = [id for id, state in found if state == "delivered"]
        assert len(delivered) == len(set(delivered)), "has something twice"
        assert expected <= set(delivered), "has too little"
        assert set(delivered) <= expected | self.wish.may_be_delivered, "has too much"
        if self.slug == "jira":
            self.has_ticket |= set(delivered)
        assert {state for _, state in found} <= {"delivered", "skipped"}, "something is left over"
        self._require_copies()

    def _require_copies(self) -> None:
        arrived = self.place.sandbox.accepted(self.slug)[self.seen :]
        if self.slug == "jira":
            keys = [each.key for each in arrived]
            assert len(keys) == len(set(keys)), "a second ticket"

    def teardown(self) -> None:
        if not hasattr(self, "id"):
            return
        try:
            self.sync()
            sync.run(self.id, "manual")
            self._require(self.wish.delivered)
        finally:
            connections.delete(self.boss, self.id)
            for record in self.records.values():  # the next example is to know nothing of them
                record.is_due = False
                self._store(record)


@pytest.fixture
def machine(workplace: Workplace, people: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Hub]:
    monkeypatch.setattr(export, "TOGETHER", ROOM)

    def started() -> Hub:
        parts = {"place": workplace, "boss": people.admin}
        made: Hub = type("Machine", (Hub,), parts)()
        return made

    return started


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_everybody_has_what_they_should_exactly_once(machine: Callable[[], Hub]) -> None:
    play(machine, by_day=(12, 30), at_night=(600, 25))
