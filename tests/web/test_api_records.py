"""Records by POST: a result per item, safe to repeat, one's own only, and one row however often it is sent."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from core.platform.errors import Conflict, Unusable
from core.records import intake
from core.records.storable import DEEP, HALF, NAN, NOTES, NUL
from core.storage import db
from core.storage.models import IdempotencyKey, Scan
from core.web.api import idempotency
from tests.conftest import People
from tests.support.api_client import V1, Api, api, refusal
from tests.support.workplace import sandbox, workplace

__all__ = ["api", "sandbox", "workplace"]
SCAN = {"id": "s-1", "scan_type": "email", "high_risk_count": 7, "status": "completed"}


def post(client: httpx.Client, rows: Any, path: str = "scans", **headers: str) -> httpx.Response:
    return client.post(
        f"{V1}/{path}", json=rows, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def count(table: Any = Scan) -> int:
    with db.reading() as session:
        return int(session.execute(select(func.count()).select_from(table)).scalar_one())


def test_one_object_is_stored_and_stored_once(api: Api) -> None:
    first, again = post(api.a, SCAN).json(), post(api.a, SCAN).json()
    assert (first["new"], again["same"], count()) == (1, 1, 1)
    assert first["items"] == [{"index": 0, "id": "s-1", "status": "stored", "reason": None}]
    assert post(api.a, SCAN | {"high_risk_count": 8}).json()["changed"] == 1
    listed = api.a.get(f"{V1}/scans").json()["items"]
    assert [(row["id"], row["high_risk_count"], row["revision"]) for row in listed] == [("s-1", 8, 2)]
    assert not {"owner_id", "local_id", "content_hash", "change_seq"} & listed[0].keys()


@pytest.mark.parametrize("path", ["scans", "cases", "alerts"])
def test_in_an_array_each_item_has_its_own_result(api: Api, path: str) -> None:
    rows = [
        {"id": "1", "colour": "red"},
        {"title": "no id"},
        "text",
        {"id": "2", "created_at": "soon"},
        {"id": "a\u0000b", "colour": "\u0000"},
    ]
    answer = post(api.a, rows, path)
    assert (answer.status_code, answer.json()["new"], answer.json()["refused"]) == (200, 3, 2)
    items = answer.json()["items"]
    assert [item["status"] for item in items] == ["stored", "refused", "refused", "stored", "stored"]
    assert [bool(item["reason"]) for item in items] == [False, True, True, False, False]
    assert [item["id"] for item in items] == ["1", None, None, "2", "a\ufffdb"]
    told = [item.get("notes") for item in items]
    date = '"soon" is not a date like 2026-11-22T10:00:00Z; it is left empty'
    assert told == [None, None, None, {"created_at": date}, {"id": NUL, "colour": NUL}]
    listed = api.a.get(f"{V1}/{path}").json()["items"]
    assert [row["extra"] for row in reversed(listed)] == [
        {"colour": "red"},
        {NOTES: told[3]},
        {"colour": "\ufffd", NOTES: told[4]},
    ]


ODD = b'{"id": "%d", "high_risk_count": 9, "status": "completed", "username": "ana", "note": %s}'


@pytest.mark.parametrize(
    ("written", "note"),
    [
        (b'"\\u0000"', NUL),
        (b'"\0"', NUL),
        (b'"\\ud800"', HALF),
        (b'"\xff"', HALF),
        (b"NaN", NAN),
        (b"[1e400]", NAN),
        (b"9" * 5000, NAN),
        (b"[" * 300 + b"]" * 300, DEEP),
    ],
)
def test_no_character_keeps_a_record_out_nor_the_others_beside_it(
    api: Api, written: bytes, note: str
) -> None:
    body = b"[" + ODD % (1, b"7") + b"," + ODD % (2, written) + b"]"
    answer = api.a.post(f"{V1}/scans", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["new"], answer.json()["refused"]) == (200, 2, 0)
    assert [item.get("notes") for item in answer.json()["items"]] == [None, {"note": note}]
    api.connect()
    (connection,) = api.a.get(f"{V1}/connections").json()["items"]
    assert api.sync(connection["id"]).json()["count"] == 2
    arrived = api.workplace.sandbox.accepted("splunk")
    assert [("hub_notes" in str(one.body)) for one in arrived] == [False, True]


def test_a_single_object_that_is_refused_is_an_error(api: Api) -> None:
    error = refusal(post(api.a, {"created_at": "2026-11-22T10:00:00Z"}), 422, "invalid")
    assert "no id" in error["message"]
    assert count() == 0


def test_a_thousand_fit_into_one_request_and_no_more(api: Api) -> None:
    rows = [{"id": str(number), "status": "completed"} for number in range(1_001)]
    assert "1,000" in refusal(post(api.a, rows), 422, "invalid")["message"]
    assert post(api.a, rows[:1_000]).json()["new"] == 1_000
    assert post(api.a, []).json()["new"] == 0


def test_a_member_stores_their_own_records_only_an_admin_anybodys(api: Api, people: People) -> None:
    theirs = SCAN | {"user_id": people.a.email}
    assert post(api.b, [theirs]).json()["refused"] == 1
    assert post(api.admin, [theirs]).json()["new"] == 1
    assert post(api.b, [SCAN]).json()["new"] == 1  # the same id, but B's own
    assert post(api.b, [SCAN | {"owner_id": people.a.user_id, "id": "s-2"}]).json()["new"] == 1
    for client, seen in ((api.a, 1), (api.b, 2), (api.admin, 3)):
        assert len(client.get(f"{V1}/scans").json()["items"]) == seen


# --- Idempotency-Key ------------------------------------------------------------------------------


def test_the_same_key_and_body_get_the_first_answer_again(api: Api) -> None:
    first = post(api.a, [SCAN], Idempotency_Key="k-1")
    again = post(api.a, [SCAN], Idempotency_Key="k-1")
    assert (first.json()["new"], again.status_code, again.content) == (1, 200, first.content)


def test_the_same_key_with_another_request_is_refused(api: Api) -> None:
    post(api.a, [SCAN], Idempotency_Key="k-1")
    refusal(post(api.a, [SCAN | {"id": "s-2"}], Idempotency_Key="k-1"), 422, "invalid")
    refusal(post(api.a, [SCAN], "cases", Idempotency_Key="k-1"), 422, "invalid")
    assert count() == 1
    assert (
        post(api.b, [SCAN | {"id": "s-2"}], Idempotency_Key="k-1").json()["new"] == 1
    )  # keys are per person


def test_many_at_once_make_one_row_and_one_answer(api: Api) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(api.a, [SCAN], Idempotency_Key="k-1"), range(16)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    done = {answer.content for answer in answers if answer.status_code == 200}
    assert len(done) == 1
    assert (count(), count(IdempotencyKey)) == (1, 1)


def test_while_the_first_is_worked_on_the_second_is_told_to_come_later(people: People) -> None:
    assert idempotency.begin(people.a, "k", b"x") is None
    with pytest.raises(Conflict, match="not answered yet"):
        idempotency.begin(people.a, "k", b"x")
    age(idempotency.ABANDONED + timedelta(seconds=1))
    assert idempotency.begin(people.a, "k", b"x") is None  # its process died: this one takes its place
    idempotency.finish(people.a, "k", idempotency.KeptAnswer(200, "done"))
    assert idempotency.begin(people.a, "k", b"x") == idempotency.KeptAnswer(200, "done")
    age(idempotency.ANSWERS_KEPT + timedelta(seconds=1))
    assert idempotency.begin(people.a, "k", b"y") is None


def test_what_failed_may_be_sent_again_under_its_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise Unusable("The database is busy. Try again in a moment.")

    with monkeypatch.context() as patch:
        patch.setattr(intake, "store", away)
        refusal(post(api.a, [SCAN], Idempotency_Key="k-1"), 503, "unusable")
    refusal(post(api.a, {"id": ""}, Idempotency_Key="k-2"), 422, "invalid")
    assert post(api.a, [SCAN], Idempotency_Key="k-1").json()["new"] == 1
    assert post(api.a, [SCAN], Idempotency_Key="k-2").json()["same"] == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\u00e4"])
def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    headers = {b"Idempotency-Key": key.encode()}
    refusal(api.a.post(f"{V1}/scans", json=[SCAN], headers=headers), 422, "invalid")  # type: ignore[arg-type]


def age(by: timedelta) -> None:
    with db.session() as session:
        for row in session.execute(select(IdempotencyKey)).scalars().all():
            values = {"created_at": row.created_at - by}
            session.execute(update(IdempotencyKey).where(col(IdempotencyKey.key) == row.key).values(**values))
