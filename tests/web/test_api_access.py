"""Two people, a viewer and an admin ask the API: who sees what, and who may change what."""

import uuid
from typing import Any

import httpx

from core import access, connections
from core.access import LOCAL
from core.platform.secret import Secret
from tests.conftest import People
from tests.support.api_client import (
    LISTS,
    OF_CONNECTION,
    OF_DELIVERY,
    OF_REPLAY,
    V1,
    Api,
    api,
    ask,
    client,
    refusal,
    routes,
)
from tests.support.workplace import sandbox, workplace

NEVER = str(uuid.uuid4())
PASSWORD = Secret("a long enough one")

__all__ = ["api", "sandbox", "workplace"]


def test_anothers_thing_answers_exactly_like_one_that_never_was(api: Api) -> None:
    id = api.connect()
    api.workplace.scans(2)
    assert api.sync(id).json()["count"] == 2
    delivery = api.a.get(f"{V1}/deliveries").json()["items"][0]["id"]
    replay = api.a.post(f"{V1}/replays", json={"state": "delivered", "again": True}).json()["replays"][0][
        "id"
    ]
    for wanted, theirs, never in (
        (OF_CONNECTION, id, NEVER),
        (OF_DELIVERY, delivery, 999_999),
        (OF_REPLAY, replay, 999_999),
    ):
        for method, path, body in wanted:
            known, unknown = (ask(api.b, method, path, body, each) for each in (theirs, never))
            assert known.status_code == 404, f"{method} {path}: {known.text}"
            assert (known.status_code, known.content) == (unknown.status_code, unknown.content)
            assert known.headers.keys() == unknown.headers.keys()
    after = api.a.get(f"{V1}/connections/{id}").json()
    assert (after["name"], after["is_active"]) == ("SOC prod", True)
    assert all(api.b.get(V1 + path).json()["items"] == [] for path in LISTS)
    assert api.b.get(f"{V1}/health").json()["connections"] == 0


def test_every_route_that_names_a_thing_is_among_those_asked_above() -> None:
    named = {path for _, path in routes() if "{id}" in path}
    assert named == {
        V1 + path
        for _, path, _ in OF_CONNECTION + OF_DELIVERY + OF_REPLAY
        if path.startswith("/") and "{id}" in path.partition("?")[0]
    }


def test_nobody_and_wrong_tokens_get_401_everywhere_but_in_the_catalog(api: Api) -> None:
    with httpx.Client(base_url=api.url, headers={"Cookie": f"{access.COOKIE}=x"}, trust_env=False) as cookie:
        strangers = [
            api.nobody,
            client(api.url, "hub_" + "x" * 43),
            client(api.url, "ünïcode".encode()),
            cookie,
        ]
        for method, path in routes():
            for stranger in strangers:
                answer = stranger.request(method, path.replace("{id}", "1").replace("{slug}", "splunk"))
                assert (
                    (answer.status_code == 200)
                    if path.startswith(f"{V1}/catalog")
                    else refusal(answer, 401, "unauthorized")
                )
                assert path.startswith(f"{V1}/catalog") or answer.headers["www-authenticate"] == "Bearer"


def test_a_session_cookie_opens_nothing_because_other_sites_send_it_too(api: Api, people: People) -> None:
    access.set_password(LOCAL, people.a.email, PASSWORD)
    cookie = {access.COOKIE: access.sign_in(people.a.email, PASSWORD, "here")}
    with httpx.Client(base_url=api.url, cookies=cookie, trust_env=False) as browser:
        refusal(browser.get(f"{V1}/connections"), 401, "unauthorized")


def test_a_revoked_token_and_a_disabled_person_are_out_at_once(api: Api, people: People) -> None:
    assert api.b.get(f"{V1}/connections").status_code == 200
    access.disable_user(LOCAL, people.b.email)
    refusal(api.b.get(f"{V1}/connections"), 401, "unauthorized")


def test_a_viewer_looks_and_changes_nothing(api: Api) -> None:
    id = api.connect(shared=True)
    for method, path in routes():
        if method == "GET":
            continue
        body: Any = {"integration_id": id} if path.startswith("/functions") else None
        body = {"values": {"token": "x"}} if path.endswith("reauthorize") else body
        body = api.splunk() if path == f"{V1}/connections" else body
        body = {} if method == "PATCH" else body
        body = [{"id": "1"}] if path.endswith(("scans", "cases", "alerts")) else body
        answer = api.viewer.request(
            method, path.replace("{id}", id if "connections" in path else "1"), json=body
        )
        refusal(answer, 403, "forbidden")
    assert api.viewer.get(f"{V1}/connections").json()["items"][0]["id"] == id
    assert connections.find(LOCAL, id).is_active


def test_a_shared_connection_is_shown_but_neither_changed_nor_its_records_shown(api: Api) -> None:
    id = api.connect(shared=True)
    api.workplace.scans(1)
    api.sync(id)
    assert api.b.get(f"{V1}/connections/{id}").json()["config"]["token"] == "••••••"
    assert len(api.b.get(f"{V1}/connections/{id}/logs").json()["items"]) == 1
    assert api.b.get(f"{V1}/connections/{id}/deliveries").json()["items"] == []
    assert api.b.get(f"{V1}/events").json()["items"] == []
    for method, path, body in OF_CONNECTION[1:8]:
        refusal(ask(api.b, method, path, body, id), 403, "forbidden")
    refusal(api.sync(id, api.b), 404, "not_found")
    assert api.a.get(f"{V1}/connections/{id}").json()["is_active"]


def test_an_admin_sees_and_changes_everything(api: Api) -> None:
    id = api.connect()
    assert api.admin.post(f"{V1}/connections/{id}/disable").json()["is_active"] is False
    made = api.admin.post(f"{V1}/connections", json=api.splunk(name="For Ben", owner="Ben@example.org"))
    assert made.json()["owner"] == "ben@example.org"
    assert api.b.get(f"{V1}/connections").json()["items"][0]["name"] == "For Ben"


def test_only_an_admin_names_an_owner_a_scope_or_a_proxy(api: Api) -> None:
    known = api.b.post(f"{V1}/connections", json=api.splunk(owner="ana@example.org"))
    unknown = api.b.post(f"{V1}/connections", json=api.splunk(owner="anna@example.org"))
    assert refusal(known, 403, "forbidden") == refusal(unknown, 403, "forbidden")
    refusal(api.b.post(f"{V1}/connections", json=api.splunk(options={"scope": "all"})), 403, "forbidden")
    values = api.splunk()["values"] | {"proxy": "http://127.0.0.1:3128"}
    refusal(api.b.post(f"{V1}/connections", json=api.splunk(values=values)), 403, "forbidden")
