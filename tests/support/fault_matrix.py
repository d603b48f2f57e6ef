"""What the tests of the fault matrix stand on: a hub, a raw-socket vendor, and what must become of a record.

Each row: the vendor misbehaves once, `sync.run` is the only thing that is called, and everything an operator
could see is compared; then the vendor is well again, time passes, and the copies that it saw are counted.
"""

import base64
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, delete
from sqlmodel import SQLModel

from core import connections
from core.delivery import schedule, send
from core.http.errors import DeliveryError
from core.integrations import credentials
from core.platform import vault
from core.platform.settings import settings
from core.storage import db
from core.storage.models import Connection, Delivery
from tests.support.fault_server import FaultServer
from tests.support.workplace import Workplace

CREDENTIALS: dict[str, dict[str, str]] = {
    "webhook": {
        "url": "{server}/hook",
        "signing_secret": "whsec_" + base64.b64encode(b"a secret of 32 bytes for testing").decode(),
    },
    "slack": {"webhook_url": "{server}/services/T0000/B0000/canary-0123456789"},
    "splunk": {"url": "{server}", "token": "11111111-2222-4333-8444-555555555555"},
    "elastic": {"url": "{server}", "api_key": base64.b64encode(b"an-id:and-a-key-of-elastic").decode()},
    "jira": {
        "url": "{server}",
        "email": "hub@example.com",
        "api_token": "canary-token",
        "project_key": "SEC",
    },
}


#: for a call that tests what happens when it takes too long, and for all others
#: HEARD_S is for an answer that must have begun by then, on a busy machine too
HURRIED_S, HEARD_S, UNHURRIED_S = 0.3, 2.0, 10.0


@dataclass(frozen=True)
class Outcome:
    """A row of the matrix: what a single misbehaviour must lead to."""

    fault: str  # the class, "" when delivered
    state: str
    attempts: int
    wait_reason: str | None = None
    pause_s: tuple[float, float] = (0, 0)  # until the connection is called again
    failures: int = 0  # what the breaker counts
    needs_you: bool = False
    sent: int = 1  # how often the vendor was sent it in all, recovered
    sentence: str = ""

    def saying(self, sentence: str) -> "Outcome":
        return replace(self, sentence=sentence)


DELIVERED = Outcome("", "delivered", 1)
RETRY = Outcome("Unavailable", "retrying", 1, "backoff", (4, 6), failures=1, sent=2)
NOT_SENT = replace(RETRY, sent=1)
DOUBT = Outcome("InDoubt", "in_doubt", 1, "backoff", (4, 6), failures=1, sent=2)
GATEWAY = replace(DOUBT, pause_s=(60, 60))
THROTTLED = Outcome("Throttled", "pending", 0, "throttled", (60, 66), sent=2)
PAUSED = Outcome("Misconfigured", "pending", 0, "misconfigured", (900, 900), 1, needs_you=True, sent=2)
PAUSED_UNSENT = replace(PAUSED, sent=1)
GONE = replace(PAUSED, fault="Gone")
REJECTED = Outcome("Rejected", "dead", 1)
CONTESTED = Outcome("Contested", "retrying", 1, sent=2)


@dataclass(kw_only=True)
class Place(Workplace):
    """A person's hub without a sandbox; its vendors are raw sockets."""

    patch: pytest.MonkeyPatch
    faults: list[DeliveryError | None] = field(default_factory=list)

    def hurry(self, seconds: float) -> None:
        """A call may take so long, until `recover`; elsewhere it has time, for a busy machine is no finding."""
        self.patch.setattr("core.http.client.DEADLINE_S", seconds)

    def join(self, slug: str, server: str, **values: Any) -> None:
        given = {name: text.replace("{server}", server) for name, text in CREDENTIALS[slug].items()}
        self.ids[slug] = connections.create(
            self.who, slug, name=f"My {slug}", values=given | values, options={}
        )

    def fill(self, slug: str, number: int = 1) -> None:
        {"jira": self.cases, "webhook": self.alerts, "slack": self.alerts}.get(slug, self.scans)(number)

    def only(self, slug: str) -> Delivery:
        (row,) = self.deliveries(slug)
        return row

    def recover(self, slug: str) -> None:
        """Time passes and the scheduler comes by, until nothing waits any more."""
        self.hurry(UNHURRIED_S)
        for _ in range(6):
            if not self.row(slug).is_active:
                connections.enable(self.who, self.ids[slug])
            if not {"pending", "retrying", "in_doubt"} & set(self.states(slug)):
                return
            self.pass_time(hours=25)
            self.sync(slug, "scheduled")


def database_now() -> datetime:
    with db.reading() as session:
        return db.now(session)


def assert_outcome(place: Place, slug: str, expected: Outcome) -> None:
    """Sync once and compare everything that an operator could see."""
    before = database_now()
    result = place.sync(slug, "scheduled")
    after = database_now()
    row, connection = place.only(slug), place.row(slug)
    fault = place.faults[-1]
    assert (type(fault).__name__ if fault else "") == expected.fault, row.reason
    assert (row.state, row.attempt_count) == (expected.state, expected.attempts)
    assert (connection.wait_reason, connection.failures) == (expected.wait_reason, expected.failures)
    assert_pause(connection, expected.pause_s, before, after)
    assert (row.reason or "") == expected.sentence
    assert result.success is (connection.wait_reason is None)
    assert_standing(connection, expected, str(fault.message if fault else ""))
    due = {"retrying", "in_doubt", "pending"}
    assert (row.state in due) is (row.next_attempt_at is not None)


def assert_pause(
    connection: Connection, pause_s: tuple[float, float], before: datetime, after: datetime
) -> None:
    if not pause_s[1]:
        assert connection.next_call_at is None
        return
    assert connection.next_call_at is not None
    low, high = (timedelta(seconds=seconds) for seconds in pause_s)
    assert before + low <= connection.next_call_at <= after + high


def assert_standing(connection: Connection, expected: Outcome, message: str) -> None:
    assert connection.problem == (message if expected.needs_you else None)
    assert connection.is_active is (expected.fault != "Gone")


def copies(server: FaultServer, place: Place, slug: str = "webhook") -> int:
    """How often the server read a request with this record's key, and no other key ever."""
    key = place.only(slug).key.encode()
    assert all(key in request for request in server.requests if b"POST" in request[:4])
    return sum(key in request for request in server.requests)


def assert_recovers(place: Place, server: FaultServer, expected: Outcome, slug: str = "webhook") -> None:
    """The vendor is well again: delivered unless refused, and sent as often as the matrix says."""
    place.recover(slug)
    assert place.only(slug).state == ("dead" if expected.state == "dead" else "delivered")
    assert copies(server, place, slug) == expected.sent
    connection = place.row(slug)
    assert (connection.problem, connection.wait_reason, connection.failures) == (None, None, 0)
    assert schedule.due(5) == [] or expected.state == "dead"


@pytest.fixture(scope="session")
def engines(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Engine]]:
    """One SQLite database for the whole table: with a new one for each row, most of the time is statements
    being compiled again. What the database does with a verdict is shown on both databases elsewhere."""
    path = tmp_path_factory.mktemp("matrix") / "hub.db"
    shutil.copy(sqlite_template, path)
    before = dict(db._engines)
    db.configure(f"sqlite:///{path}")
    made = dict(db._engines)
    db._engines.clear()
    db._engines.update(before)
    yield made
    made["write"].dispose()


@pytest.fixture
def database(engines: dict[str, Engine], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HUB_DATABASE_URL", engines["write"].url.render_as_string())
    settings.cache_clear()
    monkeypatch.setattr(db, "_engines", engines)
    yield
    with db.session() as session:
        for table in reversed(SQLModel.metadata.sorted_tables):
            if table.name == "audit_log":  # nobody empties it
                continue
            session.execute(delete(table))


@pytest.fixture
def place(database: None, people: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """`faults` is what each receipt carried."""
    monkeypatch.setenv("HUB_EGRESS_ALLOW", "127.0.0.1/32")
    settings.cache_clear()
    vault.create_key_file(Path(settings().secret_key_file))
    credentials.ring.cache_clear()
    connections.publish_catalog()
    made = Place(who=people.a, sandbox=None, patch=monkeypatch)  # type: ignore[arg-type]
    made.hurry(UNHURRIED_S)
    real = send.judge

    def noting(row: Any, receipt: Any, **more: Any) -> Any:
        made.faults.append(receipt.fault)
        return real(row, receipt, **more)

    monkeypatch.setattr(send, "judge", noting)
    yield made
    credentials.ring.cache_clear()
