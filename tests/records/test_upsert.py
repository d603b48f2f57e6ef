"""The upsert on a real SQLite file and a real PostgreSQL."""

import math
import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select

from core import records
from core.records import Stored, storable
from core.records.owners import stand_in
from core.records.parse import looks_like
from core.records.storable import NOTES
from core.storage import db
from core.storage.models import UNASSIGNED, CatalogEntry, Category, Connection, Kind, User
from tests.conftest import A_UUID, People


def store(rows: list[dict[str, Any]], kind: Kind = Kind.SCAN, **owners: str) -> Stored:
    with db.session() as session:
        return records.store(session, kind, rows, **owners)


def changes(kind: Kind = Kind.SCAN, after: int = 0, owner_id: str | None = None) -> list[dict[str, Any]]:
    with db.reading() as session:
        return records.changes(session, kind, after=after, owner_id=owner_id, limit=10_000)


def one(kind: Kind = Kind.SCAN) -> dict[str, Any]:
    (found,) = changes(kind)
    return found


def counts(stored: Stored) -> tuple[int, int, int, int]:
    return stored.new, stored.changed, stored.same, len(stored.problems)


def test_columns_are_coerced_and_unknown_fields_kept(people: People) -> None:
    row = {
        "id": 7,
        "user_id": A_UUID.upper(),
        "privacy_score": "12",
        "high_risk_count": 3.0,
        "severity": " High ",
        "status": "Completed",
        "created_at": "2026-11-22T10:00:00+02:00",
        "updated_at": "2026-11-22 10:00:00",
        "tags": ["a", {"b": 1.5}],
        "revision": 99,
        "change_seq": -1,
    }
    assert counts(store([row])) == (1, 0, 0, 0)
    found = one()
    assert found["owner_id"] == people.a.user_id
    assert (found["id"], found["privacy_score"], found["high_risk_count"]) == ("7", 12, 3)
    assert (found["severity"], found["status"]) == ("high", "Completed")
    assert found["created_at"] == datetime(2026, 11, 22, 8, tzinfo=UTC)
    assert found["updated_at"] == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert found["extra"] == {"tags": ["a", {"b": 1.5}], "revision": 99, "change_seq": -1}
    assert (found["revision"], found["change_seq"]) == (1, 1)


def test_alert_columns_are_coerced(people: People) -> None:
    rows = [
        {"id": "1", "metadata": {"a": 1}, "is_read": "TRUE", "is_resolved": 0},
        {"id": "2", "metadata": '{"a": 2}'},
        {"id": "3", "metadata": [3]},
        {"id": "4", "metadata": "four"},
    ]
    assert counts(store(rows, Kind.ALERT)) == (4, 0, 0, 0)
    found = {row["id"]: row for row in changes(Kind.ALERT)}
    assert found["1"]["is_read"] is True
    assert found["1"]["is_resolved"] is found["2"]["is_read"] is False
    metadata = [found[id]["metadata"] for id in "1234"]
    assert metadata == [{"a": 1}, {"a": 2}, {"value": [3]}, {"value": "four"}]


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({}, "no id"),
        (7, "not an object"),
        ({"id": None, "status": "new"}, "no id"),
        ({"id": "  ", "status": "new"}, "no id"),
        ({"id": ["x"], "status": "new"}, "id must be text"),
        ({"id": math.nan, "status": "new"}, "no id"),
        ({"id": "1"}, "nothing but an id"),
        ({"id": "1", "alert_type": "data_breach", "title": "t", "severity": "high"}, "like an alert"),
        ({"id": "1", "title": "t", "priority": "high", "status": "open"}, "like a case"),
    ],
)
def test_a_row_that_cannot_be_kept_is_a_problem_and_the_others_go_in(
    people: People, row: dict[str, Any], words: str
) -> None:
    stored = store([{"id": "first", "status": "new"}, row, {"id": "last", "status": "new"}])
    assert counts(stored) == (2, 0, 0, 1)
    ((index, reason),) = stored.problems
    assert index == 1
    assert words in reason


DEEP: Any = [0]
for _ in range(300):
    DEEP = [DEEP]
SHALLOW: Any = None
for _ in range(storable.MAX_DEPTH):
    SHALLOW = [SHALLOW]


@pytest.mark.parametrize(
    ("field", "given", "kept", "note"),
    [
        ("username", "a\0b", "a\ufffdb", storable.NUL),
        ("username", "\ud83d lone \ude00", "\ufffd lone \ufffd", storable.HALF),
        ("username", "\0\udcff", "\ufffd\ufffd", f"{storable.NUL}; {storable.HALF}"),
        ("username", {"a": 1}, '{"a":1}', 'was no text; kept as {"a":1}'),
        ("username", math.nan, None, storable.NAN),
        ("note", "a\0b", "a\ufffdb", storable.NUL),
        (
            "note",
            {"deep": ["\ud800"], "k\0": 1},
            {"deep": ["\ufffd"], "k\ufffd": 1},
            f"{storable.HALF}; {storable.NUL}",
        ),
        ("note", math.nan, None, storable.NAN),
        ("note", {"deep": [math.inf, -math.inf, 1.5]}, {"deep": [None, None, 1.5]}, storable.NAN),
        ("note", 2**70, float(2**70), storable.BIG),
        ("note", DEEP, SHALLOW, storable.DEEP),
        ("privacy_score", "7.5", 8, '"7.5" is not a whole number; kept as 8'),
        ("privacy_score", True, None, '"True" is not a whole number; it is left empty'),
        ("privacy_score", "many", None, '"many" is not a whole number; it is left empty'),
        ("privacy_score", math.nan, None, '"nan" is not a whole number; it is left empty'),
        ("high_risk_count", 10**12, 2**31 - 1, '"1000000000000" is too large; kept as 2147483647'),
        ("high_risk_count", math.inf, 2**31 - 1, '"inf" is too large; kept as 2147483647'),
        pytest.param("high_risk_count", 10**5000, 2**31 - 1, '"inf" is too large; kept as', id="huge"),
        ("high_risk_count", -1, 0, '"-1" is below 0; kept as 0'),
        ("high_risk_count", "-7", 0, '"-7" is below 0; kept as 0'),
        (
            "created_at",
            "yesterday",
            None,
            '"yesterday" is not a date like 2026-11-22T10:00:00Z; it is left empty',
        ),
        (
            "created_at",
            1795341600,
            None,
            '"1795341600" is not a date like 2026-11-22T10:00:00Z; it is left empty',
        ),
        (
            "created_at",
            "0001-01-01T00:00:00+14:00",
            None,
            "is not a date like 2026-11-22T10:00:00Z; it is left empty",
        ),
        ("created_at", "2026-11-22\0", None, f'{storable.NUL}; "2026-11-22\ufffd" is not a date'),
        ("user_id", "x" * 255, "x" * 237 + "-bb4cb36ab5b30eb9", "was longer than 254 characters"),
        ("id", "x" * 201, "x" * 183 + "-07e2a2e5a1b4c7d7", "was longer than 200 characters"),
        ("id", "a\0b", "a\ufffdb", storable.NUL),
    ],
)
def test_what_cannot_be_kept_as_it_came_is_replaced_and_the_record_says_so(
    people: People, field: str, given: Any, kept: Any, note: str
) -> None:
    row = {"id": "1", "status": "completed", "high_risk_count": 9, field: given}
    told = store([row])
    assert counts(told) == (1, 0, 0, 0)
    ((index, notes),) = told.notes
    found = one()
    assert (index, found["extra"][NOTES]) == (0, notes)
    assert (list(notes), note in notes[field]) == ([field], True)
    if field not in ("id", "user_id") or "-" not in str(kept):
        assert found.get(field, found["extra"].get(field)) == kept
    else:
        assert (len(found[field]), found[field][:100]) == (len(kept), kept[:100])
    assert counts(store([row])) == (0, 0, 1, 0)  # the same again


def test_alert_fields_that_cannot_be_kept_are_replaced_too(people: People) -> None:
    rows = [
        {"id": "1", "title": "t", "is_read": "maybe"},
        {"id": "2", "title": "t", "metadata": '{"a": "\\u0000", "b": NaN}'},
        {"id": "3", "title": "t", "metadata": '["\\ud800"]'},
        {"id": "4", "title": "t", "metadata": {"a": "\0"}},
    ]
    told = store(rows, Kind.ALERT)
    assert counts(told) == (4, 0, 0, 0)
    assert [index for index, _ in told.notes] == [0, 1, 2, 3]
    found = {row["id"]: row for row in changes(Kind.ALERT)}
    assert found["1"]["is_read"] is False  # unread: it is sent
    assert found["1"]["extra"][NOTES] == {"is_read": '"maybe" is neither true nor false; kept as False'}
    assert [found[id]["metadata"] for id in "234"] == [
        {"a": "\ufffd", "b": None},
        {"value": ["\ufffd"]},
        {"a": "\ufffd"},
    ]


def test_a_note_stays_as_long_as_what_it_is_about(people: People) -> None:
    store([{"id": "1", "status": "completed", "username": "a\0b", "note": math.nan}])
    store([{"id": "1", "status": "archived"}])
    assert one()["extra"] == {"note": None, NOTES: {"username": storable.NUL, "note": storable.NAN}}
    store([{"id": "1", "username": "ab"}])
    assert one()["extra"] == {"note": None, NOTES: {"note": storable.NAN}}
    store([{"id": "1", "note": 7, "email": "\ud800"}])
    assert one()["extra"] == {"note": 7, NOTES: {"email": storable.HALF}}
    store([{"id": "1", "email": "ana@example.org"}])
    assert one()["extra"] == {"note": 7}


SCAN = {
    "id": "1",
    "scan_type": "email",
    "email": "a@example.org",
    "high_risk_count": 3,
    "status": "completed",
}
CASE = {"id": "1", "title": "t", "status": "open", "priority": "high"}
ALERT = {"id": "1", "title": "t", "alert_type": "data_breach", "severity": "high", "is_read": False}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(("row", "looks"), [(SCAN, Kind.SCAN), (CASE, Kind.CASE), (ALERT, Kind.ALERT)])
def test_a_row_of_another_kind_is_told_from_one_of_its_own(
    row: dict[str, Any], looks: Kind, kind: Kind
) -> None:
    assert looks_like(kind, row) == (None if kind is looks else looks)


@pytest.mark.parametrize(
    ("kind", "row"),
    [
        (Kind.CASE, {"id": "1", "title": "t", "status": "open", "high_risk_count": 3}),
        (Kind.SCAN, {"id": "1", "username": "ana", "title": "t", "priority": "high"}),
        (Kind.ALERT, {"id": "1", "title": "t", "severity": "high", "privacy_score": 3}),
        (Kind.SCAN, {"id": "1", "status": "completed", "alert_type": None, "title": ""}),
        (Kind.ALERT, {"id": "1", "note": "n"}),
    ],
)
def test_a_field_of_another_kind_beside_its_own_is_just_unknown(kind: Kind, row: dict[str, Any]) -> None:
    assert looks_like(kind, row) is None


def test_the_same_again_changes_nothing(people: People) -> None:
    row = {"id": "1", "high_risk_count": 5, "note": {"b": 1, "a": 2}, "updated_at": "2026-11-01T00:00:00Z"}
    store([row])
    before = one()
    assert counts(store([dict(reversed(row.items()))])) == (0, 0, 1, 0)
    assert one() == before


def test_a_change_is_a_new_revision_with_a_new_number_and_keeps_other_fields(people: People) -> None:
    store([{"id": "1", "high_risk_count": 5, "username": "ana", "note": "n"}, {"id": "2", "status": "new"}])
    received_at = changes()[0]["received_at"]
    assert counts(store([{"id": "1", "high_risk_count": 6, "tag": "t"}])) == (0, 1, 0, 0)
    found = changes()[-1]
    assert (found["id"], found["revision"], found["change_seq"]) == ("1", 2, 3)
    assert (found["high_risk_count"], found["username"]) == (6, "ana")
    assert found["extra"] == {"note": "n", "tag": "t"}
    assert found["received_at"] == received_at


def test_null_empties_a_column_and_absence_does_not(people: People) -> None:
    store([{"id": "1", "username": "ana", "email": "a@example.org"}])
    store([{"id": "1", "username": None}])
    assert (one()["username"], one()["email"]) == (None, "a@example.org")


def test_a_later_timestamp_alone_is_no_change(people: People) -> None:
    store([{"id": "1", "updated_at": "2026-11-01T00:00:00Z"}])
    assert counts(store([{"id": "1", "updated_at": "2026-11-02T00:00:00Z"}])) == (0, 0, 1, 0)
    found = one()
    assert found["updated_at"] == datetime(2026, 11, 2, tzinfo=UTC)
    assert (found["revision"], found["change_seq"]) == (1, 1)


def test_an_older_copy_is_ignored(people: People) -> None:
    store([{"id": "1", "status": "closed", "updated_at": "2026-11-02T00:00:00Z"}], Kind.CASE)
    late = {"id": "1", "status": "open", "updated_at": "2026-11-01T00:00:00Z"}
    assert counts(store([late], Kind.CASE)) == (0, 0, 1, 0)
    assert one(Kind.CASE)["status"] == "closed"


def test_an_alert_that_is_read_is_numbered_anew_but_no_new_revision(people: People) -> None:
    store([{"id": "1", "title": "t"}, {"id": "2", "status": "new"}], Kind.ALERT)
    assert counts(store([{"id": "1", "is_read": True}], Kind.ALERT)) == (0, 0, 1, 0)
    found = changes(Kind.ALERT)[-1]
    assert (found["id"], found["is_read"], found["revision"], found["change_seq"]) == ("1", True, 1, 3)


def test_of_a_record_that_comes_twice_the_last_counts(people: People) -> None:
    rows = [
        {"id": "1", "status": "first", "note": "n"},
        {"id": "2", "status": "new"},
        {"id": "1", "status": "last"},
    ]
    assert counts(store(rows)) == (2, 0, 1, 0)
    found = {row["id"]: row for row in changes()}
    assert (found["1"]["status"], found["1"]["extra"], found["1"]["revision"]) == ("last", {"note": "n"}, 1)


def test_of_a_record_that_comes_twice_an_older_copy_does_not_count(people: People) -> None:
    new, old = "2026-11-02T00:00:00Z", "2026-11-01T00:00:00Z"
    store([{"id": "1", "status": "new", "updated_at": new}, {"id": "1", "status": "old", "updated_at": old}])
    assert one()["status"] == "new"


def test_owners_are_found_by_id_external_id_and_email(people: People) -> None:
    names = [people.a.user_id, A_UUID, "ANA@example.org", "ben@example.org", "nobody@example.org", None]
    store([{"id": str(number), "user_id": name} for number, name in enumerate(names)])
    found = {row["id"]: row["owner_id"] for row in changes()}
    a, b = people.a.user_id, people.b.user_id
    nobody = stand_in("nobody@example.org")
    assert [found[str(number)] for number in range(6)] == [a, a, a, b, nobody, UNASSIGNED]


def test_a_caller_may_own_what_names_nobody_and_keep_others_out(people: People) -> None:
    rows = [
        {"id": "1", "status": "new"},
        {"id": "2", "user_id": people.b.email},
        {"id": "3", "user_id": "nobody"},
    ]
    stored = store(rows, default_owner=people.a.user_id, only_owner=people.a.user_id)
    assert counts(stored) == (1, 0, 0, 2)
    assert [index for index, _ in stored.problems] == [1, 2]
    assert one()["owner_id"] == people.a.user_id


def test_nobody_overwrites_the_record_of_another(people: People) -> None:
    store([{"id": "1", "user_id": people.a.email, "status": "a"}])
    store([{"id": "1", "user_id": people.b.email, "status": "b"}])
    assert {row["owner_id"]: row["status"] for row in changes()} == {
        people.a.user_id: "a",
        people.b.user_id: "b",
    }


def test_changes_are_walked_in_order_by_owner(people: People) -> None:
    store([{"id": str(n), "user_id": (people.a, people.b)[n % 2].email} for n in range(10)])
    mine = changes(owner_id=people.a.user_id)
    assert [row["id"] for row in mine] == ["0", "2", "4", "6", "8"]
    assert [row["id"] for row in changes(after=mine[3]["change_seq"], owner_id=people.a.user_id)] == ["8"]
    with db.reading() as session:
        assert records.head(session) == 10


def test_a_number_taken_first_is_committed_first(people: People) -> None:
    """A reader that saw n must never meet a smaller number later: the second writer waits for the first."""
    started, seen = threading.Event(), list[int]()

    def second() -> None:
        started.set()
        store([{"id": "second", "status": "new"}])
        seen.extend(row["change_seq"] for row in changes())

    with db.session() as session:
        records.store(session, Kind.SCAN, [{"id": "first", "status": "new"}])
        thread = threading.Thread(target=second)
        thread.start()
        started.wait()
        thread.join(0.2)
        assert not seen
    thread.join()
    assert seen == [1, 2]


def test_a_failed_transaction_stores_nothing(people: People) -> None:
    def fail() -> None:
        with db.session() as session:
            records.store(session, Kind.SCAN, [{"id": "1", "status": "new"}])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert changes() == []


def test_records_of_many_owners_and_chunks_are_each_found_again(people: People) -> None:
    with db.session() as session:
        session.add_all(new_user(f"u{number}@example.org") for number in range(700))
    rows = [{"id": f"r{number % 3}", "user_id": f"u{number}@example.org"} for number in range(700)]
    assert counts(store(rows)) == (700, 0, 0, 0)
    assert counts(store(rows)) == (0, 0, 700, 0)


# --- owners who come later ------------------------------------------------------------------------


def new_user(email: str, external_id: str | None = None) -> User:
    return User(id=str(uuid.uuid4()), email=email, external_id=external_id, created_at=datetime.now(UTC))


def add(user: User) -> User:
    with db.session() as session:
        session.add(user)
    return user


def test_a_new_user_adopts_what_came_before_them(people: People) -> None:
    external_id = str(uuid.uuid4())
    store(
        [
            {"id": "1", "user_id": "Eva@example.org"},
            {"id": "2", "user_id": external_id},
            {"id": "3", "user_id": "x"},
        ]
    )
    store([{"id": "c", "user_id": external_id}], Kind.CASE)
    with db.session() as session:
        eva = new_user("eva@example.org", external_id)
        session.add(eva)
        assert records.adopt(session, eva) == 3
    mine = changes(owner_id=eva.id)
    assert [(row["id"], row["revision"]) for row in mine] == [("1", 1), ("2", 1)]
    assert min(row["change_seq"] for row in mine) > 4
    assert len(changes(owner_id=stand_in("x"))) == 1


def test_adopting_leaves_what_the_user_already_has(people: People) -> None:
    store([{"id": "1", "user_id": "eva@example.org", "status": "early"}])
    eva = add(new_user("eva@example.org"))
    store([{"id": "1", "user_id": None, "status": "own"}], default_owner=eva.id)
    with db.session() as session:
        assert records.adopt(session, eva) == 0
    assert {row["status"] for row in changes()} == {"early", "own"}


def test_a_record_stored_before_its_owner_moves_when_it_comes_again(people: People) -> None:
    row = {"id": "1", "user_id": "eva@example.org"}
    store([row])
    eva = add(new_user("eva@example.org"))
    assert counts(store([row])) == (0, 1, 0, 0)
    found = one()
    assert (found["owner_id"], found["revision"], found["change_seq"]) == (eva.id, 1, 2)
    assert counts(store([row])) == (0, 0, 1, 0)


# --- realtime -------------------------------------------------------------------------------------


def connect(who: str, category: Category, realtime: bool, **fields: Any) -> str:
    id = str(uuid.uuid4())
    now = datetime.now(UTC)
    with db.session() as session:
        slug = f"test-{category}"
        entry = session.exec(select(CatalogEntry).where(CatalogEntry.slug == slug)).one_or_none()
        if entry is None:
            entry = CatalogEntry(
                id=str(uuid.uuid4()),
                slug=slug,
                name=slug,
                category=category,
                provider="",
                description="",
                created_at=now,
            )
            session.add(entry)
            session.flush()
        session.add(
            Connection(
                id=id,
                user_id=who,
                integration_id=entry.id,
                name=id,
                options={"realtime": realtime},
                created_at=now,
                updated_at=now,
                **fields,
            )
        )
    return id


def awake() -> set[str]:
    with db.reading() as session:
        return set(session.exec(select(Connection.id).where(col(Connection.next_wake_at).is_not(None))))


def test_new_records_wake_the_realtime_connections_that_see_them(people: People) -> None:
    a, b = people.a.user_id, people.b.user_id
    mine = connect(a, Category.SIEM, realtime=True)
    everybody = connect(people.admin.user_id, Category.SIEM, realtime=True, scope="all")
    connect(a, Category.SIEM, realtime=False)
    connect(a, Category.TICKETING, realtime=True)
    connect(b, Category.SIEM, realtime=True)
    connect(a, Category.SIEM, realtime=True, is_active=False)
    connect(a, Category.SIEM, realtime=True, deleted_at=datetime.now(UTC))
    store([{"id": "1", "user_id": people.a.email}])
    assert awake() == {mine, everybody}


def test_records_that_are_the_same_wake_nobody(people: People) -> None:
    store([{"id": "1", "user_id": people.a.email}])
    connect(people.a.user_id, Category.SIEM, realtime=True)
    store([{"id": "1", "user_id": people.a.email}])
    assert awake() == set()
    store([{"id": "1", "user_id": people.a.email, "status": "completed"}])
    assert len(awake()) == 1


def test_a_connection_that_is_due_earlier_stays_due(people: People) -> None:
    earlier = datetime.now(UTC) - timedelta(hours=1)
    id = connect(people.a.user_id, Category.SIEM, realtime=True, next_wake_at=earlier)
    store([{"id": "1", "user_id": people.a.email}])
    with db.reading() as session:
        connection = session.get(Connection, id)
        assert connection is not None
        assert connection.next_wake_at == earlier


# --- any rows -------------------------------------------------------------------------------------

TEXT = st.text(max_size=5) | st.sampled_from(["1", "2", "true", "2026-11-22", "\0", "\ud800"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=4,
)
FIELDS = (
    "id",
    "user_id",
    "privacy_score",
    "severity",
    "metadata",
    "is_read",
    "created_at",
    "updated_at",
    "note",
    "extra",
)
ROWS = st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON | TEXT, max_size=6), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ROWS, st.sampled_from(list(Kind)))
def test_any_rows_are_stored_or_explained_and_twice_is_once(
    people: People, rows: list[dict[str, Any]], kind: Kind
) -> None:
    stored = store(rows, kind)
    assert sum(counts(stored)) == len(rows)
    once = changes(kind)
    again = store(rows[-1:], kind)
    assert (again.new, again.changed) == (0, 0)
    assert [row["content_hash"] for row in changes(kind)] == [row["content_hash"] for row in once]
