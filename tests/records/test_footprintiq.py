"""`hub pull` against a real PostgreSQL that has FootprintIQ's three tables."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, Engine, create_engine, select, text
from sqlalchemy.exc import InternalError
from sqlmodel import col

from core import records
from core.access import LOCAL
from core.platform.errors import Conflict, Invalid, Unusable
from core.platform.secret import Secret
from core.records import footprintiq as feed
from core.records import intake, source
from core.records.storable import NOTES
from core.storage import db
from core.storage.models import UNASSIGNED, Kind, PullCursor
from tests.conftest import A_UUID, People, run_on

pytestmark = pytest.mark.postgres
T0 = datetime(2026, 11, 1, tzinfo=UTC)
TABLES = """
CREATE TABLE scans (
  id uuid PRIMARY KEY, user_id uuid, scan_type text, username text, privacy_score numeric, high_risk_count int,
  status text, results jsonb, labels text[], created_at timestamptz, completed_at timestamptz, updated_at timestamptz
);
CREATE TABLE cases (
  id uuid PRIMARY KEY, user_id uuid, scan_id uuid, title text, status text, priority text,
  created_at timestamp DEFAULT now(), updated_at timestamp, closed_at timestamp
);
CREATE TABLE monitoring_alerts (
  id uuid PRIMARY KEY, user_id uuid, schedule_id uuid, scan_id uuid, alert_type text, severity text, title text,
  description text, metadata jsonb, is_read boolean DEFAULT false, is_resolved boolean DEFAULT false,
  created_at timestamptz DEFAULT now()
);
"""


class FootprintIQ:
    """A FootprintIQ database to write to, as the product itself would."""

    def __init__(self, address: URL) -> None:
        self.engine: Engine = create_engine(address)
        self.url = Secret(address.render_as_string(hide_password=False))

    def run(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def add_scan(self, at: datetime | None = T0, connection: Connection | None = None, **values: Any) -> str:
        row = {"id": str(uuid.uuid4()), "user_id": A_UUID, "created_at": at} | values
        statement = text(
            f"INSERT INTO scans ({', '.join(row)}) VALUES ({', '.join(':' + name for name in row)})"
        )
        if connection is not None:
            connection.execute(statement, row)
        else:
            self.run(str(statement), **row)
        return str(row["id"])

    def add_alert(self, at: datetime = T0, **values: Any) -> str:
        row = {"id": str(uuid.uuid4()), "user_id": A_UUID, "created_at": at, "title": "t"} | values
        self.run(
            f"INSERT INTO monitoring_alerts ({', '.join(row)}) VALUES ({', '.join(':' + name for name in row)})",
            **row,
        )
        return str(row["id"])

    def pull(self) -> dict[Kind, records.Stored]:
        return source.pull(LOCAL, self.url)

    def counts(self, kind: Kind = Kind.SCAN) -> tuple[int, int, int]:
        stored = self.pull()[kind]
        assert stored.problems == []
        return stored.new, stored.changed, stored.same


@pytest.fixture
def footprintiq(postgres: URL) -> Iterator[FootprintIQ]:
    name = f"fiq_{uuid.uuid4().hex}"
    run_on(postgres, f"CREATE DATABASE {name}")
    source = FootprintIQ(postgres.set(database=name))
    source.run(TABLES)
    yield source
    source.engine.dispose()
    run_on(postgres, f"DROP DATABASE {name} WITH (FORCE)")


def stored(kind: Kind = Kind.SCAN) -> dict[str, dict[str, Any]]:
    with db.reading() as session:
        found = records.changes(session, kind, after=0, owner_id=None, limit=10_000)
    return {row["id"]: row for row in found}


def test_all_three_tables_are_read_with_their_types(footprintiq: FootprintIQ, people: People) -> None:
    scan = footprintiq.add_scan(
        privacy_score=12, high_risk_count=7, status="completed", results='{"sites": [1.5]}', labels=["x"]
    )
    case, alert = str(uuid.uuid4()), footprintiq.add_alert(metadata='{"a": 1}', is_read=True)
    footprintiq.run(
        "INSERT INTO cases (id, title, scan_id, created_at) VALUES (:id, 't', :scan, :at)",
        id=case,
        scan=scan,
        at="2026-11-01 12:00",
    )
    assert {kind: done.new for kind, done in footprintiq.pull().items()} == dict.fromkeys(Kind, 1)
    row = stored()[scan]
    assert (row["owner_id"], row["privacy_score"], row["high_risk_count"]) == (people.a.user_id, 12, 7)
    assert (row["created_at"], row["extra"]) == (T0, {"results": {"sites": [1.5]}, "labels": ["x"]})
    assert stored(Kind.CASE)[case]["scan_id"] == scan
    assert stored(Kind.CASE)[case]["owner_id"] == UNASSIGNED
    assert stored(Kind.CASE)[case]["created_at"] == T0 + timedelta(hours=12)
    assert stored(Kind.ALERT)[alert]["metadata"] == {"a": 1}
    assert stored(Kind.ALERT)[alert]["is_read"] is True


def test_a_second_pull_reads_what_changed_since(footprintiq: FootprintIQ, people: People) -> None:
    ids = [footprintiq.add_scan(T0 + timedelta(hours=hour)) for hour in range(5)]
    assert footprintiq.counts() == (5, 0, 0)
    assert footprintiq.counts() == (0, 0, 1)  # the last one, within the overlap
    footprintiq.run(
        "UPDATE scans SET status = 'completed', updated_at = :at WHERE id = :id",
        id=ids[1],
        at=T0 + timedelta(days=1),
    )
    footprintiq.add_scan(T0 + timedelta(days=2))
    assert footprintiq.counts() == (1, 1, 1)
    assert stored()[ids[1]]["revision"] == 2


def test_more_rows_than_a_batch_and_equal_times_are_all_read(
    footprintiq: FootprintIQ, people: People
) -> None:
    footprintiq.run(
        "INSERT INTO scans (id, created_at) SELECT gen_random_uuid(), :at FROM generate_series(1, 2500)",
        at=T0,
    )
    footprintiq.run("INSERT INTO scans (id) SELECT gen_random_uuid() FROM generate_series(1, 3)")
    assert footprintiq.counts() == (2_503, 0, 0)


def test_a_row_committed_late_is_not_missed(footprintiq: FootprintIQ, people: People) -> None:
    with footprintiq.engine.begin() as slow:
        late = footprintiq.add_scan(T0 - timedelta(seconds=90), connection=slow)
        footprintiq.add_scan(T0)
        assert footprintiq.counts() == (1, 0, 0)
    assert footprintiq.counts() == (1, 0, 1)
    assert late in stored()


def test_a_row_dated_in_the_future_hides_nothing(footprintiq: FootprintIQ, people: People) -> None:
    footprintiq.add_scan(datetime(2099, 1, 1, tzinfo=UTC))
    assert footprintiq.counts() == (1, 0, 0)
    footprintiq.add_scan(datetime.now(UTC))
    assert footprintiq.counts() == (1, 0, 1)


# --- what times do not tell -----------------------------------------------------------------------


@pytest.fixture
def grantee(postgres: URL, footprintiq: FootprintIQ) -> Iterator[FootprintIQ]:
    """A user who may read the three tables and see nothing of what others do."""
    run_on(postgres, "CREATE ROLE grantee LOGIN")
    footprintiq.run("GRANT SELECT ON scans, cases, monitoring_alerts TO grantee")
    yield FootprintIQ(footprintiq.engine.url.set(username="grantee"))
    footprintiq.run("DROP OWNED BY grantee")
    run_on(postgres, "DROP ROLE grantee")


@pytest.mark.parametrize("late", [timedelta(minutes=3), timedelta(days=400)])
def test_a_row_that_carries_an_old_time_is_not_missed(
    footprintiq: FootprintIQ, grantee: FootprintIQ, people: People, late: timedelta
) -> None:
    footprintiq.add_scan(T0)
    assert grantee.counts() == (1, 0, 0)
    row = footprintiq.add_scan(T0 - late)
    timeless = footprintiq.add_scan(None)
    assert grantee.counts() == (2, 0, 1)
    assert {row, timeless} < set(stored())
    assert grantee.counts() == (0, 0, 1)


def test_a_transaction_that_is_open_over_several_pulls_is_not_missed(
    footprintiq: FootprintIQ, grantee: FootprintIQ, people: People
) -> None:
    footprintiq.add_scan(T0)
    early = footprintiq.add_scan(T0 - timedelta(days=3))
    with footprintiq.engine.begin() as slow:
        late = footprintiq.add_scan(T0 - timedelta(days=2), connection=slow)
        with slow.begin_nested():
            nested = footprintiq.add_scan(T0 - timedelta(days=2), connection=slow)
        slow.execute(text("UPDATE scans SET status = 'completed' WHERE id = :id"), {"id": early})
        assert grantee.counts() == (2, 0, 0)
        footprintiq.add_scan(T0)
        for _ in range(3):
            grantee.pull()
        assert len(stored()) == 3
    assert grantee.counts()[:2] == (2, 1)
    assert {late, nested} < set(stored())
    assert stored()[early]["status"] == "completed"


def test_what_was_changed_without_a_time_is_read_again(
    footprintiq: FootprintIQ, grantee: FootprintIQ, people: People
) -> None:
    """Alerts have no `updated_at`: a severity that is raised, also of one that was read long ago."""
    ids = [footprintiq.add_alert(T0 + timedelta(hours=hour), severity="low") for hour in range(3)]
    grantee.pull()
    footprintiq.run("UPDATE monitoring_alerts SET severity = 'critical' WHERE id = :id", id=ids[0])
    footprintiq.run("UPDATE monitoring_alerts SET is_read = true WHERE id = :id", id=ids[1])
    assert grantee.counts(Kind.ALERT)[:2] == (0, 1)  # that one was read is no new revision
    found = stored(Kind.ALERT)
    assert [(found[id]["severity"], found[id]["is_read"]) for id in ids] == [
        ("critical", False),
        ("low", True),
        ("low", False),
    ]


def test_a_read_that_was_killed_is_made_up_for(
    footprintiq: FootprintIQ, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The horizon moves with the last row only: what the dead one had not come to is still above it."""
    monkeypatch.setattr(feed, "BATCH", 1)
    footprintiq.add_scan(T0)
    footprintiq.pull()
    late = [footprintiq.add_scan(T0 - timedelta(days=day)) for day in (3, 2, 1)]
    with feed.connect(footprintiq.url) as source:
        with db.reading() as session:
            since = feed.position(session, source.name, Kind.SCAN)
        batches = source.batches(Kind.SCAN, since)
        rows, reached = next(batches)
        with db.session() as session:
            records.store(session, Kind.SCAN, rows)
            feed.move(session, source.name, Kind.SCAN, reached)
        batches.close()  # killed here
    assert footprintiq.counts() == (2, 0, 2)
    assert set(late) < set(stored())


def cursor() -> PullCursor:
    with db.reading() as session:
        found = session.execute(select(PullCursor).where(col(PullCursor.kind) == Kind.SCAN))
        return found.scalar_one()


def put_cursor(**values: Any) -> None:
    with db.session() as session:
        for each in session.execute(select(PullCursor)).scalars():
            each.sqlmodel_update(values)


@pytest.mark.parametrize(
    "other", [{"horizon": None}, {"horizon": 10**8}, {"horizon": -3 * 2**30}, {"table_id": 7}]
)
def test_a_cursor_of_another_time_or_table_is_none(
    footprintiq: FootprintIQ, people: People, other: dict[str, Any]
) -> None:
    """An older hub's, a source that was put back from a backup, a table that was made again: all is read again."""
    footprintiq.add_scan(T0)
    footprintiq.add_scan(T0 - timedelta(days=9))
    footprintiq.pull()
    before = cursor()
    assert footprintiq.counts() == (0, 0, 1)
    put_cursor(**other)
    assert footprintiq.counts() == (0, 0, 2)
    assert (cursor().table_id, cursor().changed_at) == (before.table_id, before.changed_at)
    assert footprintiq.counts() == (0, 0, 1)


def test_numbers_that_have_gone_around_the_circle_are_compared(
    footprintiq: FootprintIQ, people: People
) -> None:
    footprintiq.add_scan(T0)
    footprintiq.add_scan(T0 - timedelta(days=9))
    footprintiq.pull()
    seen = cursor().horizon or 0
    for horizon, (new, changed, same) in ((seen - 2**31 + 10_000, (0, 0, 2)), (seen, (0, 0, 1))):
        put_cursor(horizon=horizon)
        assert footprintiq.counts() == (new, changed, same)


# --- where there is no xmin -----------------------------------------------------------------------


@pytest.fixture
def views(footprintiq: FootprintIQ) -> FootprintIQ:
    """What FootprintIQ shows the hub are views of its tables."""
    for name in ("scans", "cases", "monitoring_alerts"):
        footprintiq.run(
            f"ALTER TABLE {name} RENAME TO {name}_kept; CREATE VIEW {name} AS SELECT * FROM {name}_kept"
        )
    return footprintiq


@pytest.fixture
def some_columns(postgres: URL, footprintiq: FootprintIQ) -> Iterator[FootprintIQ]:
    run_on(postgres, "CREATE ROLE narrow LOGIN")
    footprintiq.run("GRANT SELECT ON scans, cases TO narrow")
    names = "id, user_id, schedule_id, scan_id, alert_type, severity, title, description, metadata, is_read"
    footprintiq.run(f"GRANT SELECT ({names}, is_resolved, created_at) ON monitoring_alerts TO narrow")
    yield FootprintIQ(footprintiq.engine.url.set(username="narrow"))
    footprintiq.run("DROP OWNED BY narrow")
    run_on(postgres, "DROP ROLE narrow")


@pytest.mark.parametrize("how", ["views", "some_columns"])
def test_without_xmin_unread_alerts_are_read_again(
    request: pytest.FixtureRequest, people: People, footprintiq: FootprintIQ, how: str
) -> None:
    """Recent ones as a whole, older ones once they are read."""
    source: FootprintIQ = request.getfixturevalue(how)
    now = datetime.now(UTC)
    recent, old, read = (
        footprintiq.add_alert(at, severity="low") for at in (now - timedelta(hours=9), T0, T0)
    )
    footprintiq.add_alert(now)
    source.pull()
    footprintiq.run(
        "UPDATE monitoring_alerts SET severity = 'high' WHERE id IN (:one, :two)", one=recent, two=old
    )
    footprintiq.run("UPDATE monitoring_alerts SET is_read = true WHERE id = :id", id=read)
    intake.store(LOCAL, Kind.ALERT, [{"id": "not a uuid", "title": "came by another way"}])
    source.pull()
    found = stored(Kind.ALERT)
    assert [found[id]["severity"] for id in (recent, old)] == ["high", "low"]
    assert found[read]["is_read"] is True


def test_a_view_is_read_by_its_times(views: FootprintIQ, people: People) -> None:
    ids = [views.add_scan(T0 + timedelta(hours=hour)) for hour in range(3)]
    assert views.counts() == (3, 0, 0)
    late = views.add_scan(T0 + timedelta(hours=2) - timedelta(seconds=90))
    assert views.counts() == (1, 0, 1)
    assert {late, *ids} == set(stored())


def test_the_cursor_moves_with_the_rows_it_has_read(
    footprintiq: FootprintIQ, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "BATCH", 10)
    for hour in range(25):
        footprintiq.add_scan(T0 + timedelta(hours=hour))
    with feed.connect(footprintiq.url) as source:
        batches = source.batches(Kind.SCAN, None)
        for _ in range(2):
            rows, reached = next(batches)
            with db.session() as session:
                records.store(session, Kind.SCAN, rows)
                feed.move(session, source.name, Kind.SCAN, reached)
        batches.close()  # killed here
        with db.reading() as session:
            position = feed.position(session, source.name, Kind.SCAN)
    assert position is not None
    assert position.changed_at == T0 + timedelta(hours=19)
    assert footprintiq.counts() == (5, 0, 1)


def test_the_source_cannot_be_written_to(footprintiq: FootprintIQ, people: People) -> None:
    footprintiq.add_scan()
    with feed.connect(footprintiq.url) as source, pytest.raises(InternalError, match="read-only transaction"):
        source.connection.execute(text("DELETE FROM scans"))


def test_optional_columns_may_be_missing(footprintiq: FootprintIQ, people: People) -> None:
    footprintiq.run("ALTER TABLE scans DROP COLUMN updated_at, DROP COLUMN completed_at, DROP COLUMN status")
    footprintiq.run(
        "ALTER TABLE monitoring_alerts DROP COLUMN is_read, DROP COLUMN is_resolved, DROP COLUMN metadata"
    )
    footprintiq.add_scan()
    footprintiq.add_alert()
    assert footprintiq.pull()[Kind.ALERT].new == 1
    assert footprintiq.counts() == (0, 0, 1)


def test_what_a_column_holds_keeps_no_record_out(footprintiq: FootprintIQ, people: People) -> None:
    """PostgreSQL's json has NULs and half characters, its numbers have NaN, its times have infinity."""
    footprintiq.run("ALTER TABLE scans ADD COLUMN told json, ADD COLUMN share float8, ADD COLUMN until date")
    odd = {
        "score": footprintiq.add_scan(privacy_score=7.5),
        "nan": footprintiq.add_scan(privacy_score="NaN", share="Infinity"),
        "json": footprintiq.add_scan(told=r'{"a": "\u0000", "b": "\ud800", "c": 1e999}'),
        "endless": footprintiq.add_scan(completed_at="infinity", updated_at="-infinity", until="infinity"),
    }
    footprintiq.add_scan()
    done = footprintiq.pull()[Kind.SCAN]
    assert (done.new, done.problems, len(done.notes)) == (5, [], 4)
    found = {name: stored()[id] for name, id in odd.items()}
    assert found["score"]["privacy_score"] == 8
    assert (found["nan"]["privacy_score"], found["nan"]["extra"]["share"]) == (None, None)
    assert found["json"]["extra"]["told"] == {"a": "\ufffd", "b": "\ufffd", "c": None}
    assert (found["endless"]["completed_at"], found["endless"]["updated_at"]) == (None, None)
    assert found["endless"]["extra"]["until"] == "infinity"
    assert all(row["extra"][NOTES] for row in found.values())
    footprintiq.add_scan(T0 + timedelta(minutes=1))
    assert footprintiq.counts()[0] == 1


def test_two_pulls_at_once_store_each_row_once(footprintiq: FootprintIQ, people: People) -> None:
    footprintiq.run(
        "INSERT INTO scans (id, created_at) SELECT gen_random_uuid(), :at FROM generate_series(1, 1500)",
        at=T0,
    )
    done: list[int] = []

    def pull() -> None:
        with suppress(Conflict):  # the other one reads
            done.append(footprintiq.counts()[0])

    threads = [threading.Thread(target=pull) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (sum(done), len(stored())) == (1_500, 1_500)


# --- what cannot be read is one sentence ----------------------------------------------------------


def sentence(url: Secret) -> str:
    with pytest.raises((Unusable, Invalid)) as raised:
        source.pull(LOCAL, url)
    return raised.value.message


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("DROP TABLE monitoring_alerts", 'no table "monitoring_alerts"'),
        ("ALTER TABLE cases RENAME created_at TO made_at", 'Table "cases" in .* has no column "created_at"'),
        ("ALTER TABLE scans DROP COLUMN id", 'has no column "id"'),
        (
            "ALTER TABLE scans ALTER created_at TYPE text USING 'never'",
            "Check that scans is FootprintIQ's table",
        ),
    ],
)
def test_a_table_that_is_not_footprintiqs_is_named(
    footprintiq: FootprintIQ, people: People, statement: str, words: str
) -> None:
    footprintiq.add_scan()
    footprintiq.run(statement)
    with pytest.raises(Unusable, match=words):
        footprintiq.pull()


def test_what_was_stored_before_a_table_failed_stays(footprintiq: FootprintIQ, people: People) -> None:
    scan = footprintiq.add_scan()
    footprintiq.run("DROP TABLE cases")
    assert "cases" in sentence(footprintiq.url)
    assert scan in stored()


@pytest.fixture
def locked(postgres: URL, footprintiq: FootprintIQ) -> Iterator[URL]:
    """An address whose user needs a password and may read nothing."""
    with footprintiq.engine.connect() as connection:
        rules = Path(connection.execute(text("SHOW hba_file")).scalar_one())
    before = rules.read_text()
    rules.write_text("local all locked scram-sha-256\n" + before)
    run_on(postgres, "CREATE ROLE locked LOGIN PASSWORD 'right-horse'")
    run_on(postgres, "SELECT pg_reload_conf()")
    yield footprintiq.engine.url.set(username="locked")
    rules.write_text(before)
    run_on(postgres, "DROP ROLE locked")


def test_wrong_credentials_are_said_without_the_password(locked: URL, people: People) -> None:
    for password in ("wrong-horse", None):
        url = locked.set(password=password)
        said = sentence(Secret(url.render_as_string(hide_password=False)))
        assert 'refused the user "locked"' in said
        assert "horse" not in said


def test_a_missing_right_names_the_table(locked: URL, people: People) -> None:
    said = sentence(Secret(locked.set(password="right-horse").render_as_string(hide_password=False)))
    assert 'does not let "locked" read scans' in said
    assert "horse" not in said


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql://ana:horse@127.0.0.1:1/x", r"127\.0\.0\.1:1/x cannot be reached .*refused"),
        ("postgres://ana:horse@nowhere.invalid/x", r"nowhere\.invalid:5432/x cannot be reached"),
        ("mysql://ana:horse@h/x", "not the address of a PostgreSQL database"),
        ("horse", "not the address of a PostgreSQL database"),
        ("postgresql://ana:horse@h:port/x", "not the address of a PostgreSQL database"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_sentence(people: People, url: str, words: str) -> None:
    with pytest.raises((Unusable, Invalid), match=words) as raised:
        source.pull(LOCAL, Secret(url))
    assert "horse" not in raised.value.message
    assert "\n" not in raised.value.message


def test_a_database_that_does_not_exist_is_said(footprintiq: FootprintIQ, people: People) -> None:
    url = footprintiq.engine.url.set(database="gone")
    assert "gone does not exist" in sentence(Secret(url.render_as_string(hide_password=False)))
