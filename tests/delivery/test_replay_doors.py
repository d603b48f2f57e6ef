"""Terminal, API and page count alike before a replay, and do the same: one verb behind three doors."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from typer.testing import CliRunner

from core import access, cli
from core.access import LOCAL
from core.delivery.history import replays
from core.storage import db
from core.storage.models import Connection, Kind, State, User
from core.web.api import create_api
from tests.support import sendings
from tests.support.api_client import client, listening, refusal
from tests.support.scenes import connect
from tests.support.visits import Visit, ana, own_hub, person, principal, said, visit
from tests.web.test_pages import splunk

__all__ = ["ana", "own_hub", "splunk", "visit"]

pytestmark = pytest.mark.slow


def fill(connection_id: str, state: State, number: int, **fields: Any) -> None:
    with db.session() as session:
        row = session.get_one(Connection, connection_id)
        for at in range(number):
            sendings.delivery(session, row, 10_000 + at, state, **fields)


def at_a_terminal(*words: str) -> Any:
    ended = CliRunner().invoke(cli.app, [*words, "--json"])
    assert ended.exit_code == 0, ended.stderr
    return json.loads(ended.stdout)


def by_api(who: User, path: str = "/replays", **body: Any) -> Any:
    token = access.create_token(LOCAL, who.email, "test", None)
    with listening(create_api()) as url, client(url, token) as asked:
        answer = asked.post(f"/api/v1{path}", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


def on_the_page(page: Any) -> dict[str, int]:
    """The numbers that a person reads in the dialog."""
    seen = said(page)
    (count,) = {int(n) for n in re.findall(r"(\d+) deliver(?:y|ies)\b", seen) if f'"Replay {n}"' in seen}
    doubt = re.search(r"(\d+) may have arrived", seen)
    tickets = re.search(r"(\d+) are left out", seen)
    return {
        "count": count,
        "in_doubt": int(doubt[1]) if doubt else 0,
        "tickets": int(tickets[1]) if tickets else 0,
    }


def test_three_doors_count_alike_and_the_replay_does_what_was_counted(
    ana: User, splunk: str, visit: Visit
) -> None:
    with db.session() as session:
        jira = connect(session, ana.id, "Tracker", "jira").id
        now = db.now(session)
    fill(splunk, State.DEAD, 3, ago=timedelta(hours=2))
    fill(splunk, State.DEAD, 2, in_doubt_since=now)
    fill(splunk, State.SKIPPED, 5)
    fill(jira, State.DELIVERED, 4, record_kind=Kind.CASE)
    terminal = at_a_terminal("replay", "--all", "--dry-run")["plan"]
    api = by_api(ana, dry_run=True)["plan"]
    for times in ("oldest_at", "newest_at"):
        assert terminal.pop(times)[:19] == api.pop(times)[:19]
    for one in (*terminal["connections"], *api["connections"]):
        for times in ("oldest_at", "newest_at"):
            one[times] = one[times][:19]
    assert terminal == api
    assert (api["count"], api["duplicates"], api["in_doubt"]) == (5, 2, 2)
    page = visit(ana, "deliveries")
    page.button(key="replay_many").click().run()
    assert not page.exception
    assert on_the_page(page) == {name: api[name] for name in ("count", "in_doubt", "tickets")}
    page.session_state["asked_replay"] = True  # AppTest draws the page again, a browser the dialog alone
    page.button(key="replay_go").click().run()
    (progress,) = replays.listing(principal(ana))
    assert (progress.total, progress.queued, progress.left) == (api["count"], api["count"], 0)
    assert by_api(ana, dry_run=True)["plan"]["count"] == 0


@pytest.mark.parametrize("state", ["skipped", "delivered"])
def test_each_door_takes_the_same_filters(ana: User, splunk: str, state: str) -> None:
    fill(splunk, State(state), 2, ago=timedelta(days=3))
    fill(splunk, State(state), 1)
    fill(splunk, State(state), 1, record_kind=Kind.ALERT)
    with db.reading() as session:
        day_ago = (db.now(session) - timedelta(days=1)).isoformat()
    for wanted, count in (({}, 4), ({"kind": "alert"}, 1), ({"since": day_ago}, 2), ({"until": day_ago}, 2)):
        words = [part for name, value in wanted.items() for part in (f"--{name}", value)]
        terminal = at_a_terminal("replay", splunk, "--state", state, "--dry-run", *words)["plan"]
        api = by_api(ana, connection=splunk, state=state, dry_run=True, **wanted)["plan"]
        assert terminal["count"] == api["count"] == count


def test_delivered_ones_need_a_yes_at_each_door(ana: User, splunk: str, visit: Visit) -> None:
    fill(splunk, State.DELIVERED, 2)
    ended = CliRunner().invoke(cli.app, ["replay", splunk, "--state", "delivered"])
    assert ended.exit_code == 1
    assert "sent twice" in ended.stderr
    token = access.create_token(LOCAL, ana.email, "test", None)
    with listening(create_api()) as url, client(url, token) as asked:
        refusal(asked.post("/api/v1/replays", json={"state": "delivered"}), 409, "conflict")
    page = visit(ana, "deliveries")
    page.session_state["replay_state"] = State.DELIVERED
    page.button(key="replay_many").click().run()
    assert page.button(key="replay_go").disabled
    assert replays.listing(LOCAL) == []
    assert at_a_terminal("replay", splunk, "--state", "delivered", "--again")["replays"][0]["queued"] == 2


def test_it_is_paused_and_resumed_at_each_door(
    ana: User, splunk: str, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "STEP", 1)
    fill(splunk, State.DEAD, 5)
    (begun,) = by_api(ana)["replays"]
    assert (begun["state"], begun["queued"], begun["left"]) == ("running", 1, 4)
    page = visit(ana, "deliveries")
    assert "1 of 5 are back in the queue" in said(page)
    page.button(key=f"replay_turn_{begun['id']}").click().run()
    assert replays.find(LOCAL, begun["id"]).state == "paused"
    assert "the rest stays as it was" in said(page)
    assert by_api(ana, f"/replays/{begun['id']}/resume")["state"] == "running"
    (paused,) = at_a_terminal("replays", "--pause", str(begun["id"]))
    assert (paused["state"], paused["left"]) == ("paused", 4)
    assert at_a_terminal("replays")[0]["state"] == "paused"


def test_anothers_replay_is_not_there(ana: User, splunk: str, visit: Visit) -> None:
    fill(splunk, State.DEAD, 1)
    (begun,) = by_api(ana)["replays"]
    ben = person("ben@example.org")
    token = access.create_token(LOCAL, ben.email, "test", None)
    with listening(create_api()) as url, client(url, token) as asked:
        for path in ("", "/pause", "/resume"):
            for id in (begun["id"], 987_654):
                method = "POST" if path else "GET"
                answer = asked.request(method, f"/api/v1/replays/{id}{path}")
                assert "There is no such replay" in refusal(answer, 404, "not_found")["message"]
        for id in (splunk, "00000000-0000-4000-8000-000000000000"):
            refusal(asked.post("/api/v1/replays", json={"connection": id}), 404, "not_found")
        assert asked.get("/api/v1/replays").json()["items"] == []
        assert asked.post("/api/v1/replays", json={}).json()["plan"]["count"] == 0
        error = refusal(asked.post("/api/v1/replays", json={"state": "daed"}), 422, "invalid")
        assert list(error["details"]["fields"]) == ["state"]


def test_a_viewer_may_look_at_replays_only(ana: User, splunk: str, visit: Visit) -> None:
    fill(splunk, State.DEAD, 1)
    access.set_role(LOCAL, ana.email, "viewer")
    page = visit(ana, "deliveries")
    assert "replay_many" not in {button.key for button in page.button}
    token = access.create_token(LOCAL, ana.email, "test", None)
    with listening(create_api()) as url, client(url, token) as asked:
        refusal(asked.post("/api/v1/replays", json={"dry_run": True}), 403, "forbidden")
        assert asked.get("/api/v1/replays").status_code == 200
