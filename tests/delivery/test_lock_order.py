"""Whoever locks several things takes them in one order, read off the statements: then nobody waits in a circle."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import Connection as Opened
from sqlalchemy import event

from core import connections
from core.delivery import history, housekeeping, send, sync
from core.delivery.history import ReplayFilter, replays
from core.delivery.outbox import LOCK_ORDER
from core.storage import db
from core.storage.models import State
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]
pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database", ["postgres"], indirect=True),
]
#: what waits for others: a change, a deletion, a lock, and an INSERT that may meet a row of the same key
_LOCKS = re.compile(
    r"(?:UPDATE|DELETE FROM|INSERT INTO(?=.* ON CONFLICT)) (?P<changed>\w+)"
    r"|FROM (?P<read>\w+).* FOR (?:NO KEY )?UPDATE",
    re.DOTALL,
)


@dataclass
class Watch:
    """The tables that each transaction locked, in the order of the first lock."""

    transactions: list[list[str]] = field(default_factory=list)
    open: dict[int, list[str]] = field(default_factory=dict)

    def begin(self, connection: Opened) -> None:
        self.open[id(connection)] = []
        self.transactions.append(self.open[id(connection)])

    def saw(self, connection: Opened, _cursor: Any, statement: str, *_: Any) -> None:
        found = _LOCKS.match(statement) or (_LOCKS.search(statement) if "FOR " in statement else None)
        table = found and (found["changed"] or found["read"])
        locked = self.open.get(id(connection), [])
        if table in LOCK_ORDER and table not in locked:
            locked.append(table)

    def out_of_order(self) -> list[list[str]]:
        return [seen for seen in self.transactions if seen != sorted(seen, key=LOCK_ORDER.index)]


@pytest.fixture
def watch(workplace: Workplace) -> Iterator[Watch]:
    watching, engine = Watch(), db.engine(write=True)
    event.listen(engine, "begin", watching.begin)
    event.listen(engine, "before_cursor_execute", watching.saw)
    yield watching
    event.remove(engine, "begin", watching.begin)
    event.remove(engine, "before_cursor_execute", watching.saw)


def test_everybody_locks_in_one_order(watch: Watch, workplace: Workplace) -> None:
    live_a_day(workplace)
    assert watch.out_of_order() == []
    together = {tuple(seen) for seen in watch.transactions}
    assert set(LOCK_ORDER) == {table for seen in together for table in seen}, (
        "vacuous: some table was not met"
    )
    assert any(len(seen) > 4 for seen in together), "vacuous: nothing large was seen"


def test_the_watch_sees_a_wrong_order(watch: Watch, workplace: Workplace) -> None:
    workplace.connect("slack")
    with db.session() as session:
        raw = session.connection()
        raw.exec_driver_sql("UPDATE webhook_deliveries SET look_ups = 0")
        raw.exec_driver_sql("SELECT id FROM user_integrations WHERE true FOR NO KEY UPDATE")
    assert watch.out_of_order() == [["webhook_deliveries", "user_integrations"]]


def live_a_day(workplace: Workplace) -> None:
    """Everything that a hub does with its queue."""
    who = workplace.who
    for slug, options in (("splunk", {"realtime": True}), ("jira", {"drain": True}), ("slack", {})):
        workplace.connect(slug, **options)
    workplace.scans(3)
    workplace.cases(3)
    workplace.alerts(25)  # a digest
    for slug in workplace.ids:
        assert workplace.sync(slug).count > 0
    tell_and_fail(workplace)
    leave_open(workplace, "jira")
    hold(workplace)
    for slug, wanted in (("splunk", {"min_severity": "critical"}), ("splunk", {"min_severity": "low"})):
        connections.edit(who, workplace.ids[slug], options=wanted)
    connections.edit(who, workplace.ids["slack"], values=workplace.sandbox.credentials("slack"))
    connections.test(who, workplace.ids["splunk"])
    replays.begin(who, ReplayFilter(connection=workplace.ids["splunk"], state=State.DELIVERED), again=True)
    replays.work_off()
    workplace.sync("splunk")
    history.replay_one(who, workplace.deliveries("splunk")[0].id or 0, again=True)
    connections.disable(who, workplace.ids["splunk"])
    connections.enable(who, workplace.ids["splunk"], "skip")
    housekeeping.housekeep()
    housekeeping.sweep()
    housekeeping.abandon()
    connections.delete(who, workplace.ids["splunk"])


def tell_and_fail(workplace: Workplace) -> None:
    """A vendor that is away, and back."""
    workplace.scans(2)
    workplace.sandbox.fault("splunk", "503", times=1)
    workplace.sync("splunk", "scheduled")
    workplace.pass_time(minutes=10)
    workplace.sync("splunk", "scheduled")


def leave_open(workplace: Workplace, slug: str) -> None:
    """A worker dies with a call open, and its run is taken over."""
    workplace.cases(1)
    begun = sync._start(workplace.ids[slug], "manual", None, lambda: False, 60.0)
    sync.export(begun)
    assert send.claim(begun) is not None
    workplace.pass_time(minutes=2)
    housekeeping.housekeep()
    workplace.pass_time(hours=1)
    workplace.sync(slug)


def hold(workplace: Workplace) -> None:
    workplace.cases(51)
    workplace.sync("jira")
    (first, *_) = [row for row in workplace.deliveries("jira") if row.state == State.HELD]
    history.release(workplace.who, workplace.ids["jira"], first.id)
    history.discard(workplace.who, workplace.ids["jira"])
    workplace.sync("jira")
