"""Which record is which: strangers with one id, a record by two doors, people who come later, hubs built again."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text
from sqlmodel import col

from core import access, connections, records
from core.access import LOCAL, Principal
from core.connections import changes
from core.delivery import history, housekeeping
from core.delivery.selection import keys_of
from core.platform.errors import Conflict, Forbidden, Invalid
from core.records import intake
from core.records.owners import stand_in
from core.records.parse import AHEAD
from core.records.people import add as add_person
from core.records.people import edit, make_up
from core.storage import db
from core.storage.models import RECORD_TABLES, UNASSIGNED, AuditEntry, Delivery, Kind, SiemEvent, State, User
from tests.conftest import People
from tests.support.workplace import Workplace, sandbox, workplace

__all__ = ["sandbox", "workplace"]
KEY = re.compile(r"fiq-(scan|case|alert)-[0-9a-f-]{36}-[0-9a-f]{8}")
EVA = "eva@example.org"
CASE = {"title": "Leaked", "status": "open", "priority": "high"}
SCAN = {"status": "completed", "high_risk_count": 7}


def all_of(kind: Kind) -> list[dict[str, Any]]:
    with db.reading() as session:
        return records.changes(session, kind, after=0, owner_id=None, limit=10_000)


def keys(kind: Kind) -> dict[str, str]:
    """What each record says of itself → its key."""
    with db.reading() as session:
        found = records.changes(session, kind, after=0, owner_id=None, limit=10_000)
        return dict(zip((row["title"] for row in found), keys_of(session, kind, found), strict=True))


def principal(user: User) -> Principal:
    return Principal(user.id, user.email, user.role)


@pytest.fixture
def boss(workplace: Workplace, people: People) -> Workplace:
    return Workplace(people.admin, workplace.sandbox)


# --- strangers ------------------------------------------------------------------------------------------


def test_strangers_with_one_id_each_keep_their_record(people: People) -> None:
    for name in ("One@example.net", "two@example.net", None):
        intake.store(LOCAL, Kind.CASE, [{"id": "1", "user_id": name, "title": f"of {name}"}])
    intake.store(LOCAL, Kind.CASE, [{"id": "1", "user_id": "ONE@example.net", "title": "of one, later"}])
    assert {row["title"] for row in all_of(Kind.CASE)} == {"of one, later", "of two@example.net", "of None"}
    assert intake.count(people.admin)[Kind.CASE] == 3
    for member in (people.a, people.b):
        assert intake.count(member)[Kind.CASE] == 0
        assert intake.listing(member, Kind.CASE) == []


def test_strangers_in_one_file_are_kept_apart(people: People) -> None:
    rows = [{"id": "1", "user_id": f"u{number % 300}", "title": "t"} for number in range(600)]
    done = intake.store(LOCAL, Kind.CASE, rows)
    assert (done.new, done.same, done.problems) == (300, 300, [])
    assert intake.store(LOCAL, Kind.CASE, rows).new == 0


def test_whoever_is_added_gets_their_records_and_nobody_elses(people: People) -> None:
    for name in (EVA, "max@example.org"):
        intake.store(LOCAL, Kind.CASE, [{"id": "1", "user_id": name, "title": f"of {name}"}])
    eva, adopted = add(EVA.upper())
    assert adopted == 1
    assert [row["title"] for row in intake.listing(principal(eva), Kind.CASE)] == [f"of {EVA}"]
    other = next(row for row in all_of(Kind.CASE) if row["owner_id"] != eva.id)
    assert other["owner_id"] == stand_in("max@example.org")


def add(email: str, external_id: str | None = None, who: Principal = LOCAL) -> tuple[User, int]:
    return add_person(who, email, "member", None, external_id)


def test_of_two_early_records_with_one_id_the_later_is_theirs(people: People) -> None:
    """By e-mail and by uuid: the person has one record of an id, and the other is not lost."""
    outside = str(uuid.uuid4())
    intake.store(LOCAL, Kind.CASE, [{"id": "1", "user_id": EVA, "title": "early"}])
    intake.store(LOCAL, Kind.CASE, [{"id": "1", "user_id": outside, "title": "later"}])
    eva, adopted = add(EVA, outside)
    assert adopted == 1
    assert intake.find(principal(eva), Kind.CASE, "1")["title"] == "later"
    assert intake.count(LOCAL)[Kind.CASE] == 2


@pytest.mark.parametrize("name", RECORD_TABLES)
def test_a_record_is_found_by_its_id_and_its_owners_by_theirs_without_reading_a_table(
    people: People, name: Kind
) -> None:
    table = RECORD_TABLES[name].__tablename__
    by_id = f"SELECT * FROM {table} WHERE id = 'x' ORDER BY -change_seq LIMIT 1"
    by_owner = f"SELECT DISTINCT owner_id FROM {table} WHERE owner_id IN ('a', 'b', 'c')"
    assert f"ix_{table}_id" in plan(by_id)
    assert re.search(f"{table}_1|ix_{table}_owner_change|uq_{table}_owner_id", plan(by_owner))


def plan(query: str) -> str:
    """How the database answers it; PostgreSQL would read a table as empty as this one whole."""
    with db.reading() as session:
        if session.get_bind().dialect.name == "sqlite":
            found = session.execute(text(f"EXPLAIN QUERY PLAN {query}"))
        else:
            session.execute(text("SET LOCAL enable_seqscan = off"))
            found = session.execute(text(f"EXPLAIN {query}"))
        return " ".join(str(row[-1]) for row in found)


# --- times that are ahead -------------------------------------------------------------------------------


def status(id: str) -> str:
    return str(intake.find(LOCAL, Kind.SCAN, id)["status"])


def scan(id: str, status: str, at: datetime | None) -> records.Stored:
    row = {"id": id, "status": status} | ({"updated_at": at.isoformat()} if at else {})
    return intake.store(LOCAL, Kind.SCAN, [row])


def test_a_time_in_the_future_is_kept_and_hides_no_change(people: People) -> None:
    now = datetime.now(UTC)
    far = datetime(2099, 1, 1, tzinfo=UTC)
    scan("1", "running", far)
    assert intake.find(LOCAL, Kind.SCAN, "1")["updated_at"] == far
    assert scan("1", "completed", now).changed == 1
    assert status("1") == "completed"
    assert scan("1", "running", now - timedelta(days=1)).same == 1  # from now on times count again
    assert status("1") == "completed"


def test_a_time_that_was_in_the_future_hides_nothing_when_it_is_reached(people: People) -> None:
    """A clock one hour ahead, and the correction arrives after that hour."""
    now = datetime.now(UTC)
    scan("1", "running", now + timedelta(hours=1))
    shift("scans", timedelta(hours=2))
    assert scan("1", "running", now - timedelta(hours=1)).same == 1  # read once more: it stays marked
    assert scan("1", "completed", now - timedelta(hours=1, minutes=30)).changed == 1


def test_clocks_that_differ_by_minutes_are_taken_at_their_word(people: People) -> None:
    now = datetime.now(UTC)
    scan("1", "completed", now + AHEAD - timedelta(minutes=1))
    assert scan("1", "running", now).same == 1
    assert status("1") == "completed"


def test_in_one_file_a_time_in_the_future_hides_no_later_line(people: People) -> None:
    rows = [
        {"id": "1", "status": "running", "updated_at": "2099-01-01"},
        {"id": "1", "status": "completed", "updated_at": "2026-11-01"},
    ]
    intake.store(LOCAL, Kind.SCAN, rows)
    assert status("1") == "completed"


def shift(table: str, by: timedelta) -> None:
    """Time goes by: what is stored is that much older."""
    with db.session() as session:
        model = next(each for each in RECORD_TABLES.values() if each.__tablename__ == table)
        for row in session.execute(select(model)).scalars():
            row.updated_at -= by  # type: ignore[attr-defined]


# --- people who come later ------------------------------------------------------------------------------


def test_a_person_and_their_records_are_added_together_or_not_at_all(
    people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    intake.store(LOCAL, Kind.SCAN, [{"id": "1", "user_id": EVA} | SCAN])

    def dies(*_: Any) -> int:
        raise ZeroDivisionError

    with monkeypatch.context() as patched, pytest.raises(ZeroDivisionError):
        patched.setattr("core.records.owners._adopt", dies)
        add(EVA)
    assert EVA not in [user.email for user in access.list_users(LOCAL)]
    assert add(EVA)[1] == 1


def test_who_was_added_without_their_records_gets_them_with_the_housekeeping(workplace: Workplace) -> None:
    intake.store(LOCAL, Kind.SCAN, [{"id": str(uuid.uuid4()), "user_id": EVA} | SCAN])
    housekeeping.housekeep()
    eva = access.add_user(LOCAL, EVA, "member", None)  # and killed here
    hers = Workplace(principal(eva), workplace.sandbox)
    hers.connect("splunk")
    housekeeping.housekeep()
    hers.sync("splunk")
    assert hers.states("splunk") == ["delivered"]
    assert make_up() == 0
    with db.reading() as session:
        assert records.heirs(session, 10) == []


def test_another_external_id_brings_the_records_of_that_id(people: People) -> None:
    outside = str(uuid.uuid4())
    intake.store(LOCAL, Kind.CASE, [{"id": "1", "user_id": outside.upper(), "title": "t"}])
    assert change(people.b.email, outside) == 1
    assert intake.count(people.b)[Kind.CASE] == 1
    assert change(people.b.email, "") == 0
    assert intake.count(people.b)[Kind.CASE] == 1  # what is theirs stays theirs
    with db.reading() as session:
        actions = select(AuditEntry).where(col(AuditEntry.action) == "user.edit").order_by(col(AuditEntry.id))
        told = [(row.subject, row.details) for row in session.execute(actions).scalars()]
    assert told == [(people.b.email, {"external_id": outside}), (people.b.email, {"external_id": None})]


def change(email: str, external_id: str, who: Principal = LOCAL) -> int:
    return edit(who, email, external_id)[1]


def test_an_external_id_is_one_persons_and_an_admin_gives_it(people: People) -> None:
    outside = str(uuid.uuid4())
    change(people.a.email, outside)
    with pytest.raises(Conflict, match="belongs to another user"):
        change(people.b.email, outside.upper())
    with pytest.raises(Forbidden):
        change(people.b.email, outside, people.b)
    with pytest.raises(Invalid, match="at most 64"):
        change(people.b.email, "x" * 65)
    change(people.a.email, outside)  # their own again


# --- the key of a record --------------------------------------------------------------------------------


def test_a_ticket_made_before_its_owner_was_known_is_not_made_again(boss: Workplace) -> None:
    intake.store(boss.who, Kind.CASE, [{"id": str(uuid.uuid4()), "user_id": EVA} | CASE])
    boss.connect("jira", scope="all")
    boss.sync("jira")
    before = boss.deliveries("jira")
    assert add(EVA)[1] == 1
    boss.sync("jira")
    assert [row.id for row in boss.deliveries("jira")] == [row.id for row in before]
    connections.delete(boss.who, boss.ids["jira"])
    boss.connect("jira", scope="all")
    boss.sync("jira")
    assert [row.key for row in boss.deliveries("jira")] == [row.key for row in before]
    assert len(boss.sandbox.accepted("jira")) == 1


@pytest.mark.parametrize("together", [True, False])
def test_a_case_by_two_doors_gets_one_ticket_and_says_so(
    workplace: Workplace, boss: Workplace, together: bool
) -> None:
    """Imported without a user_id it is nobody's; posted by a member it is theirs."""
    row = {"id": str(uuid.uuid4())} | CASE
    boss.connect("jira", scope="all")
    for who in (LOCAL, workplace.who):
        intake.store(who, Kind.CASE, [row])
        if not together:
            boss.sync("jira")
    boss.sync("jira")
    intake.store(workplace.who, Kind.CASE, [row | {"title": "Leaked again"}])
    boss.sync("jira")
    assert len(boss.sandbox.accepted("jira")) == len(boss.deliveries("jira")) == 1
    assert intake.count(boss.who)[Kind.CASE] == 2
    assert intake.count(workplace.who)[Kind.CASE] == 1
    (story,) = history.explain(boss.who, "case", str(row["id"])).connections
    assert story.state == "delivered"
    assert "twice, by two doors, and sends it once, under one key. Delivered at" in story.sentence


def test_two_doors_in_one_batch_make_one_event(workplace: Workplace, boss: Workplace) -> None:
    row = {"id": str(uuid.uuid4())} | SCAN
    for who in (LOCAL, workplace.who):
        intake.store(who, Kind.SCAN, [row])
    boss.connect("splunk", scope="all")
    assert boss.sync("splunk").metadata["exported"] == 1
    assert boss.states("splunk") == ["delivered"]
    with db.reading() as session:
        assert session.execute(select(func.count()).select_from(SiemEvent)).scalar_one() == 1


def test_a_copy_that_a_filter_left_out_does_not_stand_in_the_way_of_the_other(
    workplace: Workplace, boss: Workplace
) -> None:
    row = {"id": str(uuid.uuid4())} | SCAN
    cid = boss.connect("splunk", scope="all")
    boss.sandbox.fault("splunk", "503")
    intake.store(LOCAL, Kind.SCAN, [row | {"severity": "low"}])
    boss.sync("splunk")
    changes.edit(boss.who, cid, options={"min_severity": "high"})
    assert boss.states("splunk") == ["skipped"]
    boss.sandbox.clear_faults()
    intake.store(workplace.who, Kind.SCAN, [row | {"severity": "critical"}])
    boss.sync("splunk")
    (sent,) = boss.deliveries("splunk")
    assert (sent.state, sent.reason) == ("delivered", None)
    assert len(boss.sandbox.accepted("splunk")) == 1
    with db.reading() as session:
        assert session.execute(select(col(SiemEvent.severity))).scalars().all() == ["critical"]


def test_what_a_person_discarded_no_other_copy_brings_back(workplace: Workplace, boss: Workplace) -> None:
    row = {"id": str(uuid.uuid4())} | SCAN
    boss.connect("splunk", scope="all")
    boss.sandbox.fault("splunk", "503")
    intake.store(LOCAL, Kind.SCAN, [row])
    boss.sync("splunk")
    with db.session() as session:
        for sent in session.execute(select(Delivery)).scalars():
            sent.state, sent.reason = State.SKIPPED, "Discarded by admin@example.org."
    intake.store(workplace.who, Kind.SCAN, [row])
    boss.sync("splunk")
    assert boss.states("splunk") == ["skipped"]


def test_people_with_the_same_number_are_both_told(workplace: Workplace, people: People) -> None:
    """Ids as a CSV has them are two people's; neither may be taken for the other's."""
    rows = [
        {"id": "1", "user_id": name} | SCAN for name in (people.a.email, people.b.email, "stranger", None)
    ]
    intake.store(LOCAL, Kind.SCAN, rows)
    for who in (people.a, people.b, people.admin):
        intake.store(who, Kind.SCAN, [{"id": "2"} | SCAN])
    boss = Workplace(people.admin, workplace.sandbox)
    boss.connect("splunk", scope="all")
    boss.sync("splunk")
    sent = [row.key for row in boss.deliveries("splunk")]
    assert len(set(sent)) == len(sent) == 7
    assert all(KEY.fullmatch(key) for key in sent)


def test_a_retry_keeps_the_key_that_its_row_has(workplace: Workplace) -> None:
    """A row queued by an older hub, which made keys in another way."""
    workplace.connect("splunk")
    workplace.sandbox.fault("splunk", "503")
    workplace.scans(1)
    workplace.sync("splunk")
    old = f"fiq-scan-{uuid.uuid4()}-7ac1b8d7"
    with db.session() as session:
        for row in session.execute(select(Delivery)).scalars():
            row.key, row.payload = old, str(row.payload).replace(row.key, old)
    workplace.sandbox.clear_faults()
    workplace.sync("splunk")
    assert [one.key for one in workplace.sandbox.accepted("splunk")] == [old]
    assert workplace.states("splunk") == ["delivered"]


def test_a_hub_built_anew_has_the_same_keys(people: People) -> None:
    """Same people and records, other user ids: a tool that keeps records by their key has each once."""
    outside = str(uuid.uuid4())
    ids = [str(uuid.uuid4()), "1"]

    def filled() -> dict[str, str]:
        with db.session() as session:
            for table in RECORD_TABLES.values():
                session.execute(delete(table))
            session.execute(delete(User))
        eva, _ = add(EVA, outside)
        for id in ids:
            names = (EVA, outside, "stranger", None)
            rows = [{"id": f"{id}{n or ''}", "user_id": n, "title": f"{id} of {n}"} for n in names]
            intake.store(LOCAL, Kind.CASE, rows)
            intake.store(principal(eva), Kind.CASE, [{"id": id, "title": f"{id} posted"}])
        return keys(Kind.CASE)

    first = filled()
    assert filled() == first
    assert len(first) == 10


# --- a hub of before ------------------------------------------------------------------------------------


def test_strangers_of_an_older_hub_are_parted(database: str) -> None:
    """Rows as the release before left them: all strangers under one owner."""
    from tests.storage.test_db import migrate_to

    migrate_to("0004")
    with db.session() as session:
        for seq, (id, name) in enumerate([("1", "Eva@example.org"), ("2", "max"), ("3", None), ("4", "")], 1):
            row = {"seq": seq, "id": id, "name": name, "owner": UNASSIGNED, "ahead": "2099-01-01 00:00:00"}
            session.execute(
                text(
                    "INSERT INTO scans (owner_id, id, user_id, extra, content_hash, revision, received_at, change_seq,"
                    " updated_at) VALUES (:owner, :id, :name, '{}', 'x', 1, '2026-01-01 00:00:00', :seq, :ahead)"
                ),
                row,
            )
    db.migrate()
    owners = {row["id"]: row["owner_id"] for row in all_of(Kind.SCAN)}
    assert owners == {"1": stand_in(EVA), "2": stand_in("max"), "3": UNASSIGNED, "4": UNASSIGNED}
    assert all(row["dated_ahead"] is True for row in all_of(Kind.SCAN))
    assert add(EVA)[1] == 1
