"""Lists a page at a time, and one delivery once more, on both databases."""

from typing import Any

from sqlalchemy import select

from core.delivery import outbox, sync
from core.storage import db
from core.storage.models import Delivery, State
from tests.support.api_client import V1, Api, api, refusal
from tests.support.workplace import sandbox, workplace

__all__ = ["api", "sandbox", "workplace"]


def test_lists_come_in_pages_that_miss_nothing_and_repeat_nothing(api: Api) -> None:
    id = api.connect(options={"batch_limit": 100})
    for number in range(6):
        api.connect(name=f"Other {number}")
    api.workplace.scans(7)
    api.sync(id)
    for path in ("/connections", "/deliveries", "/events", "/scans", f"/connections/{id}/deliveries"):
        seen, cursor = list[Any](), None
        while True:
            query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
            page = api.a.get(V1 + path, params=query).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert len(seen) == len(set(seen)) == 7, path
    other = api.a.get(f"{V1}/deliveries?limit=3").json()["next_cursor"]
    refusal(api.a.get(f"{V1}/events?cursor={other}"), 422, "invalid")


def test_lists_can_be_filtered(api: Api) -> None:
    id = api.connect()
    api.workplace.scans(1)
    api.sync(id)
    assert len(api.a.get(f"{V1}/deliveries?state=delivered&connection={id}").json()["items"]) == 1
    assert api.a.get(f"{V1}/deliveries?state=dead").json()["items"] == []
    assert api.a.get(f"{V1}/events?exported=false").json()["items"] == []
    assert api.a.get(f"{V1}/events?exported=true").json()["items"][0]["is_exported"] is True
    refusal(api.a.get(f"{V1}/deliveries?state=lost"), 422, "invalid")
    assert {each["slug"] for each in api.nobody.get(f"{V1}/catalog").json()["items"]} >= {
        "splunk",
        "jira",
        "slack",
    }
    assert "token" in api.nobody.get(f"{V1}/catalog/splunk").json()["config"]["properties"]


# --- once more ------------------------------------------------------------------------------------


def put(state: State, **values: Any) -> None:
    with db.session() as session:
        for row in session.execute(select(Delivery)).scalars():
            row.state = state
            for name, value in values.items():
                setattr(row, name, value)
            session.add(row)


def test_a_dead_delivery_is_sent_again_under_its_key(api: Api) -> None:
    id = api.connect()
    api.workplace.scans(1)
    api.sync(id)
    put(State.DEAD, attempt_count=15, reason="refused")
    before = api.a.get(f"{V1}/deliveries").json()["items"][0]
    done = api.a.post(f"{V1}/deliveries/{before['id']}/replay").json()
    assert (done["delivery"]["state"], done["delivery"]["attempt_count"]) == ("pending", 0)
    assert api.sync(id).json()["count"] == 1
    after = api.a.get(f"{V1}/deliveries").json()["items"]
    assert [(row["key"], row["state"]) for row in after] == [(before["key"], "delivered")]
    refusal(api.a.post(f"{V1}/deliveries/{before['id']}/replay"), 409, "conflict")
    assert api.a.post(f"{V1}/deliveries/{before['id']}/replay", json={"again": True}).status_code == 200
    assert api.sync(id).json()["count"] == 1
    put(State.HELD)
    refusal(api.a.post(f"{V1}/deliveries/{before['id']}/replay", json={"again": True}), 409, "conflict")


def test_a_ticket_is_never_made_twice_by_a_replay(api: Api) -> None:
    place = api.workplace
    id = place.connect("jira")
    place.cases(1)
    assert api.sync(id).json()["count"] == 1
    ticket = api.a.get(f"{V1}/tickets").json()["items"][0]
    delivery = api.a.get(f"{V1}/deliveries").json()["items"][0]
    assert (ticket["case_id"], ticket["ticket_url"]) == (delivery["record_id"], delivery["ticket_url"])
    error = refusal(
        api.a.post(f"{V1}/deliveries/{delivery['id']}/replay", json={"again": True}), 409, "conflict"
    )
    assert "second" in error["message"]
    with db.session() as session:
        then = db.now(session)
        assert not outbox.replay(session, delivery["id"], again=True, now=then)
    put(State.DEAD, in_doubt_since=then, look_ups=3, vendor_id=None)
    assert api.a.post(f"{V1}/deliveries/{delivery['id']}/replay").status_code == 200
    place.pass_time(hours=1)
    sync.run(id, "manual")
    assert api.a.get(f"{V1}/deliveries").json()["items"][0]["vendor_id"] == ticket["external_ticket_id"]
    assert len(api.a.get(f"{V1}/tickets").json()["items"]) == 1


def test_what_could_not_be_mapped_is_mapped_anew_or_says_why_not(api: Api) -> None:
    id = api.connect()
    api.workplace.scans(1)
    api.sync(id)
    put(State.DEAD, payload=None, reason="Cannot be mapped")
    assert api.a.post(f"{V1}/deliveries/1/replay").status_code == 200
    assert '"event"' in api.a.get(f"{V1}/deliveries/1").json()["payload"]
    put(State.DEAD, payload=None, record_id=10_000)
    assert "kept" in refusal(api.a.post(f"{V1}/deliveries/1/replay"), 409, "conflict")["message"]
    api.a.delete(f"{V1}/connections/{id}")
    refusal(api.a.post(f"{V1}/deliveries/1/replay"), 409, "conflict")
