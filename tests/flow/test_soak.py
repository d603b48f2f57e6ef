"""Twenty-four days in the life of a hub: what it keeps for some days stops growing, what it keeps for good is known.

A day is over in a fraction of a second: the database's clock is moved. With NIGHTLY set it is fifty-six days
with five times as many records.
"""

import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import func, or_, select, text
from sqlmodel import SQLModel, col

from core.access import LOCAL
from core.connections import changes
from core.delivery import housekeeping, retention
from core.delivery.history import replays
from core.delivery.history.replay_filter import ReplayFilter
from core.platform.settings import settings
from core.records import source
from core.storage import db
from core.storage.models import Delivery, HourlyFigures, Kind, SiemEvent, SignIn, TicketLink
from core.web.api import idempotency
from tests.records.test_footprintiq import T0, FootprintIQ, footprintiq
from tests.support.workplace import Workplace, clock, sandbox, workplace

__all__ = ["clock", "footprintiq", "sandbox", "workplace"]

DAYS, TIMES = (56, 5) if "NIGHTLY" in os.environ else (24, 1)
KEPT_DAYS = 3
PERIOD = 8  # the same troubles come again after so many days
HOURS = (9, 15)  # from one run of a day to the next
#: of each record and connection a small row stays, so that nothing is sent twice
KEYS = tuple(str(table.__tablename__) for table in (Delivery, SiemEvent, TicketLink))
KEY_BYTES = 800  # all three, with their indexes
Move = Callable[[timedelta], None]


@dataclass
class Life:
    """A workplace whose days have their troubles."""

    workplace: Workplace
    source: FootprintIQ
    move: Move
    stored: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        retry = {"attempts": 2, "first_wait": "10s", "factor": 2, "cap": "1m"}
        self.workplace.connect("slack", drain=True, storm="3/5m")
        self.workplace.connect("splunk", drain=True)
        self.workplace.connect("jira", drain=True)
        self.workplace.connect("discord", drain=True, retry=retry, notify_via=self.workplace.ids["slack"])

    def day(self, number: int) -> None:
        self._records(number)
        for hours in HOURS:
            self.stored["splunk"] += len(self.workplace.scans(TIMES))
            self._trouble(number % PERIOD)
            for slug in self.workplace.ids:
                if self.workplace.row(slug).is_active:
                    self.workplace.sync(slug)
            self.workplace.sandbox.clear_faults()
            self.move(timedelta(hours=hours))
        self._people(number)
        housekeeping.housekeep()
        housekeeping.sweep()

    def _records(self, day: int) -> None:
        self.workplace.alerts(6 * TIMES)
        self.stored["jira"] += len(self.workplace.cases(2 * TIMES))
        # what is dated after the source's own now is read with each pull, and would come again when it was removed
        past = T0 - timedelta(days=1000 - day)
        self.source.add_scan(past, high_risk_count=7, status="completed")
        self.stored["splunk"] += source.pull(LOCAL, self.source.url)[Kind.SCAN].new

    def _trouble(self, part: int) -> None:
        """Discord is away for six days of eight: its owner is told, it is switched off, and on again."""
        if part < PERIOD - 2:
            self.workplace.sandbox.fault("discord", "503")
        slug, fault = {
            1: ("splunk", "503"),
            2: ("jira", "lost_answer"),
            3: ("splunk", "401"),
            4: ("slack", "500"),
        }.get(part, ("", ""))
        if fault:
            self.workplace.sandbox.fault(slug, fault, times=1)

    def _people(self, day: int) -> None:
        who, discord = self.workplace.who, self.workplace.ids["discord"]
        changes.edit(who, discord, name=f"Discord of day {day}")
        if day % PERIOD == PERIOD - 2:
            changes.enable(who, discord)
            replays.begin(who, ReplayFilter.of({"connection": discord, "state": "dead"}))
        replays.work_off()
        key = str(uuid.uuid4())
        assert idempotency.begin(who, key, b"") is None
        idempotency.finish(who, key, idempotency.KeptAnswer(200, "{}"))
        with db.session() as session:
            now = db.now(session)
            times = {"created_at": now, "seen_at": now, "expires_at": now + timedelta(days=1)}
            session.add(SignIn(token_hash=key, user_id=who.user_id, **times))


def sizes() -> dict[str, int]:
    """Rows of each table; deliveries that have a text; hours; and the bytes of a SQLite file."""
    has_text = or_(col(Delivery.payload).is_not(None), col(Delivery.response_body).is_not(None))
    with db.reading() as session:
        found = {
            name: session.execute(select(func.count()).select_from(table)).scalar_one()
            for name, table in SQLModel.metadata.tables.items()
        }
        for name, which in (("texts", has_text), ("hours", ~col(HourlyFigures.is_day))):
            found[name] = session.execute(select(func.count()).where(which)).scalar_one()
        if session.get_bind().dialect.name == "sqlite":
            pages = session.execute(text("PRAGMA page_count")).scalar_one()
            found["bytes"] = pages * session.execute(text("PRAGMA page_size")).scalar_one()
    return found


def test_after_some_days_nothing_grows_but_the_keys(
    workplace: Workplace, footprintiq: FootprintIQ, clock: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.platform.settings.AUDIT_KEPT_DAYS", 1)
    with db.session() as session:  # it goes by the machine's clock, and these days are of another time
        on = " ON audit_log" if session.get_bind().dialect.name == "postgresql" else ""
        session.execute(text(f"DROP TRIGGER audit_log_kept{on}"))
    for name in ("RETENTION", "AUDIT", "RECORD"):
        monkeypatch.setenv(f"HUB_{name}_DAYS", str(KEPT_DAYS))
    settings.cache_clear()
    monkeypatch.setattr(retention, "HOURS_KEPT", timedelta(days=KEPT_DAYS))
    monkeypatch.setattr(retention, "ANSWERS_KEPT", timedelta(days=KEPT_DAYS))
    life = Life(workplace, footprintiq, clock)
    life.begin()
    seen: dict[str, list[int]] = defaultdict(list)
    for day in range(DAYS):
        life.day(day)
        for name, size in sizes().items():
            seen[name].append(size)
    before, after = slice(DAYS - 2 * PERIOD, DAYS - PERIOD), slice(DAYS - PERIOD, DAYS)
    # the smallest of the period: what a stalled machine left open for a day is no growth, and a leak is
    grown = {name: min(sizes[after]) - min(sizes[before]) for name, sizes in seen.items()}
    kept = {name: grown.pop(name) for name in KEYS}
    days, size = grown.pop("hourly_figures"), grown.pop("bytes", 0)
    assert {name: more for name, more in grown.items() if more > 0} == {}
    assert days <= len(workplace.ids) * PERIOD
    assert size <= KEY_BYTES * kept["webhook_deliveries"]
    assert grown.keys() > {"texts", "hours", "audit_log", "hub_messages", "replays", "scans"}
    for slug, number in life.stored.items():  # and none of it twice
        keys = [arrived.key for arrived in workplace.sandbox.accepted(slug)]
        assert len(keys) == len(set(keys)) == number
