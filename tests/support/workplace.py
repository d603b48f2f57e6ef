"""A hub with three sandbox vendors, for tests of the flow; shared by the tests that name `workplace`."""

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import SQLModel, col

from core import connections
from core.access import Principal
from core.delivery import sync
from core.integrations import credentials
from core.platform import vault
from core.platform.settings import settings
from core.records import intake
from core.storage import db
from core.storage.models import Attempt, Connection, Delivery, Kind
from sandbox import Sandbox

CREATED = "2026-11-20T10:00:00Z"
START = datetime(2026, 10, 24, 12, 0, tzinfo=UTC)


@dataclass
class Workplace:
    """One person's hub: connect to the sandbox, put records in, sync, and look at what became of them."""

    who: Principal
    sandbox: Sandbox
    ids: dict[str, str] = field(default_factory=dict)

    def connect(self, slug: str, **options: Any) -> str:
        return self.connect_at(self.sandbox.url, slug, **options)

    def connect_at(self, url: str, slug: str, **options: Any) -> str:
        """To a server that stands at `url` in place of the sandbox."""
        given = self.sandbox.credentials(slug)
        self.ids[slug] = connections.create(
            self.who,
            slug,
            name=f"My {slug} {uuid.uuid4().hex[:6]}",
            values={name: value.replace(self.sandbox.url, url) for name, value in given.items()},
            options=options,
        )
        return self.ids[slug]

    def scans(self, number: int, **fields: Any) -> list[str]:
        return self._store(Kind.SCAN, number, {"high_risk_count": 7, "status": "completed"} | fields)

    def cases(self, number: int, **fields: Any) -> list[str]:
        return self._store(
            Kind.CASE, number, {"title": "Leaked", "status": "open", "priority": "high"} | fields
        )

    def alerts(self, number: int, **fields: Any) -> list[str]:
        alert = {"title": "New exposure", "severity": "high", "alert_type": "new_exposure"}
        return self._store(Kind.ALERT, number, alert | fields)

    def _store(self, kind: Kind, number: int, fields: dict[str, Any]) -> list[str]:
        ids = [str(uuid.uuid4()) for _ in range(number)]
        rows = [{"id": id, "user_id": self.who.user_id, "created_at": CREATED} | fields for id in ids]
        stored = intake.store(self.who, kind, rows)
        assert (stored.new, stored.problems) == (number, [])
        return ids

    def sync(self, slug: str, action: str = "manual") -> sync.Result:
        return sync.run(self.ids[slug], action)

    def row(self, slug: str) -> Connection:
        with db.reading() as session:
            return session.get_one(Connection, self.ids[slug])

    def deliveries(self, slug: str) -> list[Delivery]:
        with db.reading() as session:
            wanted = (
                select(Delivery).where(col(Delivery.webhook_id) == self.ids[slug]).order_by(col(Delivery.id))
            )
            return list(session.execute(wanted).scalars())

    def states(self, slug: str) -> list[str]:
        return [row.state for row in self.deliveries(slug)]

    def pass_time(self, **by: float) -> None:
        """Let time go by for everything that waits: all stored times move into the past."""
        pass_time(timedelta(**by))


def pass_time(step: timedelta) -> None:
    moved: dict[type[SQLModel], tuple[str, ...]] = {
        Connection: (
            *("next_sync_at", "next_call_at", "next_wake_at", "lease_until", "rate_until"),
            *("failing_since", "last_failure_at", "last_success_at", "digest_at"),
        ),
        Attempt: ("lease_until",),
        Delivery: ("next_attempt_at", "in_doubt_since", "created_at", "wanted_at"),
    }
    with db.session() as session:
        for table, columns in moved.items():
            key = next(iter(table.__table__.primary_key.columns))  # type: ignore[attr-defined]
            for found in session.execute(select(key, *[getattr(table, name) for name in columns])).all():
                values = {
                    name: moment - step
                    for name, moment in zip(columns, found[1:], strict=True)
                    if moment is not None
                }
                if values:
                    session.execute(update(table).where(key == found[0]).values(**values))
        for connection in session.execute(select(Connection)).scalars():
            connection.lately = [at - step.total_seconds() for at in connection.lately]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    stand_ins = Sandbox(smtp_port=0)
    stand_ins.start()
    yield stand_ins
    stand_ins.stop()


@pytest.fixture
def workplace(
    database: str, people: Any, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    monkeypatch.setenv("HUB_EGRESS_ALLOW", "127.0.0.1/32")
    settings.cache_clear()
    vault.create_key_file(Path(settings().secret_key_file))
    credentials.ring.cache_clear()
    connections.publish_catalog()
    yield Workplace(people.a, sandbox)
    credentials.ring.cache_clear()


@pytest.fixture
def clock(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Moves the database's clock, on either database."""
    moved = [START]
    monkeypatch.setattr(db, "now", lambda session: moved[0])

    def move(step: timedelta) -> None:
        moved[0] += step

    return move
