"""The API: a connection's life, what is refused and how, and no secret in any answer."""

from typing import Any

import pytest

from core import connections
from core.platform.errors import Unusable
from core.storage import db
from core.storage.models import Connection
from core.web.api.auth import Rate
from core.web.api.errors import TooManyRequests
from tests.support.api_client import (
    CANARY,
    LISTS,
    OF_CONNECTION,
    OF_DELIVERY,
    V1,
    Api,
    api,
    ask,
    on_sqlite,
    refusal,
)
from tests.support.workplace import sandbox, workplace

__all__ = ["api", "on_sqlite", "sandbox", "workplace"]


def test_a_connection_is_made_looked_at_changed_and_deleted(api: Api) -> None:
    made = api.a.post(f"{V1}/connections", json=api.splunk(options={"every": "1m"}))
    id = made.json()["id"]
    assert (made.status_code, made.json()["options"]["every"]) == (201, "1m")
    assert api.a.get(f"{V1}/connections/{id}").json() == made.json()
    changed = api.a.patch(f"{V1}/connections/{id}", json={"name": "SOC test", "options": {"every": "2m"}})
    assert (changed.json()["name"], changed.json()["options"]["every"]) == ("SOC test", "2m")
    assert api.a.post(f"{V1}/connections/{id}/disable").json()["is_active"] is False
    assert api.a.post(f"{V1}/connections/{id}/enable").json()["is_active"] is True
    assert api.a.get(f"{V1}/connections/{id}/health").json()["standing"]["state"] == "Not run yet"
    deleted = api.a.delete(f"{V1}/connections/{id}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    refusal(api.a.get(f"{V1}/connections/{id}"), 404, "not_found")


def test_an_unusable_mapping_is_refused_at_each_door(api: Api) -> None:
    id = api.connect()
    options = {"mapping": {"event": {"severity": "urgent"}}}
    for answer in (
        api.a.post(f"{V1}/connections", json=api.splunk(name="More", options=options)),
        api.a.patch(f"{V1}/connections/{id}", json={"options": options}),
        api.a.patch(f"{V1}/connections/{id}", json={"options": {"mapping": {"event": {"x": "y" * 65_536}}}}),
    ):
        said = refusal(answer, 422, "invalid")
        assert said["message"].startswith("The mapping ")
        assert said["details"] == {"fields": {"mapping": said["message"]}}
    assert api.a.get(f"{V1}/connections/{id}").json()["options"]["mapping"] == {}


def test_what_is_planned_is_refused_and_says_so(api: Api) -> None:
    values = {
        "url": "https://x.atlassian.net",
        "email": "a@example.com",
        "api_token": "t",
        "project_key": "SEC",
    }
    body = {"slug": "jira", "name": "Cases", "values": values}
    id = api.a.post(f"{V1}/connections", json=body).json()["id"]
    wrong = body | {"name": "More", "values": values | {"webhook_secret": CANARY}}
    for answer in (
        api.a.post(f"{V1}/connections", json=wrong),
        api.a.post(f"{V1}/connections", json=body | {"name": "More", "options": {"two_way": "both"}}),
        api.a.patch(f"{V1}/connections/{id}", json={"values": {"done_transition": "D"}}),
        api.a.patch(f"{V1}/connections/{id}", json={"options": {"two_way": "in"}}),
        api.a.post(f"{V1}/connections/{id}/reauthorize", json={"values": {"webhook_secret": CANARY}}),
    ):
        assert "is planned" in refusal(answer, 422, "invalid")["message"]
        assert CANARY not in answer.text


def test_a_test_says_each_stage_and_a_preview_what_would_be_sent(api: Api) -> None:
    id = api.connect()
    assert api.a.post(f"{V1}/connections/{id}/test").json()["ok"] is True
    api.workplace.scans(2)
    shown = api.a.post(f"{V1}/connections/{id}/preview", json={"limit": 1}).json()["requests"]
    assert len(shown) == 1
    assert shown[0]["headers"]["authorization"] == "••••••"
    assert len(shown[0]["keys"]) == 1
    assert api.a.get(f"{V1}/deliveries").json()["items"] == []


def test_a_name_in_use_and_a_big_backlog_are_409_and_say_what_to_do(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = api.connect()
    refusal(api.a.post(f"{V1}/connections", json=api.splunk()), 409, "conflict")
    api.a.post(f"{V1}/connections/{id}/disable")
    monkeypatch.setattr("core.connections.changes.ASK_ABOVE", -1)
    assert "backlog=send" in refusal(api.a.post(f"{V1}/connections/{id}/enable"), 409, "conflict")["message"]
    assert api.a.post(f"{V1}/connections/{id}/enable", json={"backlog": "skip"}).status_code == 200


def test_credentials_that_cannot_be_read_are_a_sentence_and_no_failure(api: Api) -> None:
    id = api.connect()
    with db.session() as session:
        row = session.get_one(Connection, id)
        row.credentials_encrypted = (row.credentials_encrypted or "")[:-4] + "AAAA"
        session.add(row)
    assert api.a.post(f"{V1}/connections/{id}/test").json()["ok"] is False
    assert "credentials" in refusal(api.a.post(f"{V1}/connections/{id}/preview"), 409, "conflict")["message"]


# --- secrets --------------------------------------------------------------------------------------


def test_a_secret_goes_in_and_is_in_no_answer_that_ever_comes_out(api: Api) -> None:
    answers = [
        api.a.post(f"{V1}/connections", json=api.splunk(values=api.splunk()["values"] | {"token": CANARY}))
    ]
    id = answers[0].json()["id"]
    api.workplace.scans(1)
    for method, path, body in [
        *OF_CONNECTION[3:],
        *OF_CONNECTION[:2],
        *[("GET", path, None) for path in LISTS],
    ]:
        answers.append(ask(api.a, method, path, body, id))
    answers += [api.a.get(f"{V1}/deliveries/1"), api.a.get(f"{V1}/health")]
    values = api.splunk()["values"]
    wrong: list[Any] = [
        {"values": values | {"token": [CANARY]}},
        {"values": values | {"tokn": CANARY}},
        {"values": values | {"url": CANARY}},
        {"values": CANARY},
        {"slug": CANARY},
        {"name": [CANARY]},
        {"password": CANARY},
        {"options": {"every": {CANARY: 1}}},
    ]
    answers += [api.a.post(f"{V1}/connections", json=api.splunk(**changes)) for changes in wrong]
    answers.append(api.a.post(f"{V1}/connections/{id}/reauthorize", json={"values": {"token": CANARY * 400}}))
    answers.append(api.a.post(f"{V1}/connections", content='{"token": "' + CANARY))
    assert {answer.status_code for answer in answers} <= {200, 201, 404, 409, 415, 422}
    assert [answer.text for answer in answers[:-3] if CANARY in answer.text] == []


def test_a_secret_the_hub_makes_is_shown_once(api: Api) -> None:
    body = {"slug": "webhook", "name": "SOAR", "values": {"url": "https://hooks.example.com/fiq"}}
    made = api.a.post(f"{V1}/connections", json=body)
    assert made.status_code == 201
    secret = made.json()["generated"]["signing_secret"]
    assert secret.startswith("whsec_")
    later = api.a.get(f"{V1}/connections/{made.json()['id']}")
    assert secret not in later.text
    own = body | {"name": "Own", "values": body["values"] | {"signing_secret": secret}}
    assert "generated" not in api.a.post(f"{V1}/connections", json=own).json()


def test_reauthorize_takes_secrets_only_and_keeps_the_history(api: Api) -> None:
    id = api.connect()
    good = api.splunk()["values"]["token"]
    assert (
        api.a.post(f"{V1}/connections/{id}/reauthorize", json={"values": {"token": "wrong"}}).json()["ok"]
        is False
    )
    error = refusal(
        api.a.post(f"{V1}/connections/{id}/reauthorize", json={"values": {"url": "http://127.0.0.1"}}),
        422,
        "invalid",
    )
    assert list(error["details"]["fields"]) == ["url"]
    api.workplace.scans(1)
    assert api.sync(id).json()["success"] is False
    assert api.a.get(f"{V1}/connections/{id}").json()["problem"]
    assert (
        api.a.post(f"{V1}/connections/{id}/reauthorize", json={"values": {"token": good}}).json()["ok"]
        is True
    )
    assert api.a.get(f"{V1}/connections/{id}").json()["problem"] is None
    assert api.sync(id).json()["count"] == 1


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"owner_id": "x"}, "owner_id"),
        ({"is_admin": True}, "is_admin"),
        ({"user_id": "x"}, "user_id"),
        ({"shared": "yes"}, "shared"),
        ({"name": 5}, "name"),
        ({"values": []}, "values"),
        ({"slug": "splnk"}, "slug"),
        ({"name": "a\u0000b"}, None),
        ({"options": {"evry": "5m"}}, "evry"),
        ({"options": {"notify_via": "a\u0000b"}}, None),
        ({"values": {}}, "url"),
        ({"values": {"x" * 300: 1}}, None),
    ],
)
def test_a_wrong_field_is_named(api: Api, body: dict[str, Any], field: str | None) -> None:
    error = refusal(api.a.post(f"{V1}/connections", json=api.splunk(**body)), 422, "invalid")
    assert field is None or field in error["details"]["fields"]
    assert api.a.get(f"{V1}/connections").json()["items"] == []


def test_no_body_takes_a_field_it_does_not_know(api: Api) -> None:
    id = api.connect()
    for method, path, body in OF_CONNECTION + OF_DELIVERY:
        if method in ("POST", "PATCH") and not path.endswith(("test", "disable")):
            body = {"values": {"token": "x"}} if path.endswith("reauthorize") else body
            error = refusal(
                ask(api.a, method, path, (body or {}) | {"is_admin": True}, id if "conn" in path else 1),
                422,
                "invalid",
            )
            assert "is_admin" in error["details"]["fields"]


STRANGE = (
    "[" * 10_000,
    '{"name": ' + "[" * 500 + "]" * 500 + "}",
    '{"name": NaN}',
    '{"name": 1e400}',
    '{"name": ' + "9" * 5000 + "}",
    '{"name": "\\ud800"}',
    '{"name": "\\u0000"}',
    '{"a": 1, "a": 2}',
    '{"name": "x"',
    "null",
    '"text"',
    "{}{}",
    b"\xff\xfe{",
    "",
)


def test_no_json_is_so_strange_that_the_hub_fails(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    for path in ("/api/v1/connections", "/functions/v1/sync-integration", "/api/v1/scans"):
        for content in STRANGE:
            refusal(api.a.post(path, content=content, headers=headers), 422, "invalid")


def test_a_body_that_is_too_large_compressed_or_no_json_is_told_so(api: Api) -> None:
    big = b'[{"id": "' + b"x" * 5 * 2**20 + b'"}]'
    as_json = {"Content-Type": "application/json"}
    for path in ("/api/v1/scans", "/functions/v1/sync-integration"):
        refusal(api.a.post(path, content=big, headers=as_json), 413, "too_large")
        chunks = (big[at : at + 65_536] for at in range(0, len(big), 65_536))
        refusal(api.a.post(path, content=chunks, headers=as_json), 413, "too_large")
        zipped = as_json | {"Content-Encoding": "gzip"}
        refusal(api.a.post(path, content=b"\x1f\x8b", headers=zipped), 415, "wrong_type")
        for kind in (
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "application/xml",
        ):
            refusal(
                api.a.post(path, content=b'[{"id": "1"}]', headers={"Content-Type": kind}), 415, "wrong_type"
            )
    assert api.a.get("/api/v1/scans").json()["items"] == []


def test_a_wrong_query_is_422(api: Api) -> None:
    queries = ("limit=0", "limit=201", "limit=x", "limt=5", "cursor=x", "cursor=WzEsMl0", "cursor=%ff")
    for path in LISTS:
        for query in queries:
            refusal(api.a.get(f"{V1}{path}?{query}"), 422, "invalid")


def test_nul_and_quotes_in_an_address_find_nothing_and_break_nothing(api: Api) -> None:
    for hostile in ("%00", "'%20OR%201=1--", "%25", "..%2F..", "ä", "9" * 400, "-1", "1e3"):
        for path in (
            "/connections/",
            "/catalog/",
            "/deliveries/",
            "/connections?cursor=",
            "/deliveries?state=",
        ):
            assert api.a.get(f"{V1}{path}{hostile}").status_code in (404, 422)


def test_wrong_paths_and_methods_are_json_too(api: Api) -> None:
    for path in ("/api/v1/nope", "/api/v1/", "/api/v1/connections/", "/functions/v1/nope"):
        refusal(api.a.get(path), 404, "not_found")
    answer = api.a.put("/api/v1/connections")
    refusal(answer, 405, "method_not_allowed")
    assert "allow" in answer.headers


def test_a_failure_of_the_hub_is_an_apology_without_details(
    api: Api, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError(f"insert failed with parameters {CANARY}")

    monkeypatch.setattr(connections, "list_views", fail)
    assert refusal(api.a.get(f"{V1}/connections"), 500, "internal")["details"] == {}
    assert CANARY not in "".join(capfd.readouterr())

    def away(*_: Any) -> None:
        raise Unusable("The database is busy. Try again in a moment.")

    monkeypatch.setattr(connections, "list_views", away)
    assert "busy" in refusal(api.a.get(f"{V1}/connections"), 503, "unusable")["message"]


# --- the rate limit alone -------------------------------------------------------------------------


def test_a_token_may_ask_so_often_and_then_must_wait_as_long_as_it_is_told() -> None:
    now = [1000.0]
    rate = Rate(2, 60.0, clock=lambda: now[0])
    rate.take("one")
    now[0] += 20
    rate.take("one")
    rate.take("two")
    with pytest.raises(TooManyRequests) as caught:
        rate.take("one")
    assert 40 <= caught.value.retry_after_s <= 41
    now[0] += caught.value.retry_after_s
    rate.take("one")
