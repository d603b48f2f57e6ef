"""The verbs: who may store and see what, and whole files."""

import io
import json
import sys
import threading
from pathlib import Path

import pytest

from core import records
from core.access import LOCAL, Principal
from core.platform.errors import Forbidden, Invalid, NotFound
from core.records import intake
from core.records.owners import stand_in
from core.records.storable import NUL
from core.storage import db
from core.storage.models import UNASSIGNED, Kind
from tests.conftest import A_UUID, People


def owner_of(id: str) -> str:
    return str(intake.find(LOCAL, Kind.SCAN, id)["owner_id"])


def test_a_member_stores_their_own_records_only(people: People) -> None:
    rows = [
        {"id": "1", "status": "new"},
        {"id": "2", "user_id": A_UUID},
        {"id": "3", "user_id": people.b.email},
        {"id": "4", "user_id": "x"},
    ]
    stored = intake.store(people.a, Kind.SCAN, rows)
    assert stored.new == 2
    assert [index for index, _ in stored.problems] == [2, 3]
    assert owner_of("1") == owner_of("2") == people.a.user_id
    with pytest.raises(NotFound):
        intake.find(LOCAL, Kind.SCAN, "3")


def test_two_members_may_have_a_record_of_the_same_id(people: People) -> None:
    intake.store(people.a, Kind.SCAN, [{"id": "1", "status": "of a"}])
    intake.store(people.b, Kind.SCAN, [{"id": "1", "status": "of b"}])
    assert intake.find(people.a, Kind.SCAN, "1")["status"] == "of a"
    assert intake.find(people.b, Kind.SCAN, "1")["status"] == "of b"
    assert [intake.count(who)[Kind.SCAN] for who in (people.a, people.b, people.admin)] == [1, 1, 2]


def test_an_admin_stores_for_anybody(people: People) -> None:
    rows = [
        {"id": "1", "user_id": A_UUID},
        {"id": "2", "user_id": "BEN@Example.org"},
        {"id": "3", "user_id": "x"},
        {"id": "4", "status": "new"},
    ]
    assert intake.store(people.admin, Kind.SCAN, rows).new == 4
    assert owner_of("1") == people.a.user_id
    assert owner_of("2") == people.b.user_id
    assert owner_of("3") == stand_in("x")
    assert owner_of("4") == people.admin.user_id


def test_what_nobody_owns_only_an_admin_sees(people: People) -> None:
    intake.store(LOCAL, Kind.CASE, [{"id": "1", "status": "new"}])
    assert intake.find(people.admin, Kind.CASE, "1")["owner_id"] == UNASSIGNED
    with pytest.raises(NotFound, match='no case "1"'):
        intake.find(people.a, Kind.CASE, "1")


def test_a_viewer_stores_nothing(people: People) -> None:
    viewer = Principal(people.b.user_id, people.b.email, "viewer")
    with pytest.raises(Forbidden):
        intake.store(viewer, Kind.SCAN, [{"id": "1", "status": "new"}])
    with pytest.raises(Forbidden):
        intake.import_file(viewer, Kind.SCAN, io.BytesIO(b'{"id": 1, "status": "new"}'))


def test_a_listing_is_paged_newest_first(people: People) -> None:
    intake.store(people.a, Kind.SCAN, [{"id": str(number), "status": "new"} for number in range(5)])
    intake.store(people.b, Kind.SCAN, [{"id": "other", "status": "new"}])
    first = intake.listing(people.a, Kind.SCAN, limit=3)
    rest = intake.listing(people.a, Kind.SCAN, limit=3, before=first[-1]["change_seq"])
    assert [row["id"] for row in first + rest] == ["4", "3", "2", "1", "0"]


def test_an_import_takes_what_it_can_and_names_the_bad_lines(people: People, tmp_path: Path) -> None:
    lines = [
        '{"id": "1", "status": "new"}',
        "{",
        "",
        '{"id": "", "status": "new"}',
        '{"id": "2", "privacy_score": "much", "status": "n\\u0000w"}',
        '["no object"]',
        '{"id": "3", "status": "new"}',
    ]
    file = tmp_path / "scans.ndjson"
    file.write_text("\n".join(lines))
    done = intake.import_file(people.a, Kind.SCAN, file)
    assert (done.total, done.new, done.bad_count, done.noted_count) == (6, 3, 3, 1)
    assert [line for line, _ in done.bad] == [2, 4, 6]
    assert done.bad[1:] == [(4, "it has no id"), (6, "it is not an object of fields and values")]
    changed = 'privacy_score "much" is not a whole number; it is left empty'
    assert done.noted == [(5, f"status {NUL}; {changed}")]


def test_an_import_repeated_changes_nothing(people: People) -> None:
    data = b"".join(b'{"id": "%d", "note": "n"}\n' % number for number in range(2_500))
    assert intake.import_file(people.a, Kind.SCAN, io.BytesIO(data)).new == 2_500
    again = intake.import_file(people.a, Kind.SCAN, io.BytesIO(data))
    assert (again.new, again.changed, again.same, again.bad) == (0, 0, 2_500, [])


def test_an_import_reports_its_progress(people: People) -> None:
    data = b'{"id": "1", "status": "new"}\n' * 2_001
    seen: list[tuple[int, int | None, int]] = []
    intake.import_file(people.a, Kind.SCAN, io.BytesIO(data), lambda *at: seen.append(at))
    assert [rows for _, _, rows in seen] == [1_000, 2_000, 2_001]
    assert seen[-1] == (len(data), len(data), 2_001)


def test_an_import_reads_stdin(people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"id,status\n1,completed\n")))
    assert intake.import_file(people.a, Kind.SCAN, "-").new == 1


def test_a_missing_file_is_one_sentence(people: People) -> None:
    with pytest.raises(Invalid, match="There is no file"):
        intake.import_file(people.a, Kind.SCAN, "/nowhere/scans.csv")


def test_many_bad_lines_do_not_fill_the_memory(people: People) -> None:
    done = intake.import_file(
        people.a, Kind.SCAN, io.BytesIO(b'{"id": "1", "status": "new"}\n' + b"{\n" * 5_000)
    )
    assert (len(done.bad), done.bad_count) == (intake.BAD_KEPT, 5_000)


def test_two_imports_at_once_lose_and_double_nothing(people: People) -> None:
    data = "".join(
        json.dumps({"id": str(number), "status": "new"}) + "\n" for number in range(3_000)
    ).encode()
    done: list[intake.Imported] = []

    def run() -> None:
        done.append(intake.import_file(people.a, Kind.SCAN, io.BytesIO(data)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.new for each in done) == 3_000
    assert sum(each.same for each in done) == 6_000
    with db.reading() as session:
        found = records.changes(session, Kind.SCAN, after=0, owner_id=None, limit=9_000)
    assert len({row["id"] for row in found}) == len(found) == 3_000
