"""`POST /functions/v1/sync-integration`: its answers, and that it answers in time whatever the vendor does."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from core.delivery import sync
from core.storage.models import RunStatus
from core.web.api import Syncs, create_api
from core.web.api.auth import Rate
from core.web.pools import Pool
from tests.conftest import People
from tests.support.api_client import Api, api, client, listening, on_sqlite, refusal
from tests.support.workplace import sandbox, workplace

__all__ = ["api", "on_sqlite", "sandbox", "workplace"]


@contextmanager
def another(api: Api, **parts: Any) -> Iterator[Api]:
    """The same hub behind an API with other limits."""
    with ExitStack() as stack:
        url = stack.enter_context(listening(create_api(**parts)))
        tokens = [
            each.headers["Authorization"].partition(" ")[2] for each in (api.a, api.b, api.viewer, api.admin)
        ]
        clients = [stack.enter_context(client(url, token)) for token in (*tokens, None)]
        yield Api(url, *clients, api.workplace)


def test_a_sync_answers_what_was_delivered(api: Api) -> None:
    id = api.connect()
    api.workplace.scans(12)
    first = api.sync(id)
    assert first.status_code == 200
    assert set(first.json()) == {"success", "count", "message", "metadata"}
    assert (first.json()["success"], first.json()["count"], first.json()["metadata"]["more"]) == (
        True,
        10,
        True,
    )
    assert [api.sync(id).json()["count"] for _ in range(2)] == [2, 0]


@pytest.mark.parametrize("action", ["manual", "scheduled", "webhook"])
def test_the_log_says_who_asked(api: Api, action: str) -> None:
    id = api.connect()
    api.workplace.scans(1)
    assert api.sync(id, action=action).json()["count"] == 1
    assert api.a.get(f"/api/v1/connections/{id}/logs").json()["items"][0]["action"] == action


def test_a_sync_that_failed_is_a_200_that_says_why(api: Api) -> None:
    values = api.splunk()["values"] | {"token": "00000000-0000-0000-0000-000000000000"}
    id = api.connect(values=values)
    api.workplace.scans(1)
    answer = api.sync(id)
    assert (answer.status_code, answer.json()["success"], answer.json()["count"]) == (200, False, 0)
    assert "token" in answer.json()["message"]


def test_each_wrong_call_has_its_status(api: Api) -> None:
    id = api.connect()
    refusal(api.sync(id, api.nobody), 401, "unauthorized")
    refusal(api.sync(id, api.b), 404, "not_found")
    refusal(api.sync("nope"), 404, "not_found")
    refusal(api.sync("My splunk"), 404, "not_found")
    refusal(api.sync(id, api.viewer), 403, "forbidden")
    for wrong in ({"action": "now"}, {"integration_id": 5}, {"integration_id": ""}, {"who": "admin"}):
        refusal(api.sync(id, **wrong), 422, "invalid")
    refusal(api.a.post("/functions/v1/sync-integration", json={}), 422, "invalid")
    api.a.post(f"/api/v1/connections/{id}/disable")
    assert "paused" in refusal(api.sync(id), 409, "conflict")["message"]


def test_over_the_rate_limit_is_429_with_a_time_for_that_person_alone(api: Api) -> None:
    id = api.connect()
    with another(api, rate=Rate(2, 60.0)) as limited:
        assert [limited.sync("nope").status_code for _ in range(2)] == [404, 404]
        answer = limited.sync(id)
        refusal(answer, 429, "too_many")
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert limited.sync(id, limited.admin).status_code == 200
        assert limited.a.get("/api/v1/connections").status_code == 200


# --- while it runs --------------------------------------------------------------------------------


class Held:
    """Holds every run just before its first call, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.inside, self.go = threading.Event(), threading.Event()
        self.threads: list[threading.Thread] = []
        real = sync.deliver

        def deliver(*arguments: Any) -> None:
            self.threads.append(threading.current_thread())
            self.inside.set()
            self.go.wait(20)
            real(*arguments)

        monkeypatch.setattr(sync, "deliver", deliver)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    gate = Held(monkeypatch)
    yield gate
    gate.go.set()
    for thread in gate.threads:  # on to the end, while its database and its vendor are there
        if thread is not threading.current_thread():
            thread.join(30)


def wait_until(is_so: Any, patience_s: float = 10) -> None:
    until = time.monotonic() + patience_s
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    assert is_so()


def test_a_sync_that_takes_long_is_answered_in_time_and_nothing_is_lost(api: Api, held: Held) -> None:
    id = api.connect()
    api.workplace.scans(1)
    with another(api, syncs=Syncs(answer_s=0.3)) as quick:
        begun = time.monotonic()
        answer = quick.sync(id)
        assert time.monotonic() - begun < 3
        assert (answer.status_code, answer.json()["success"], answer.json()["count"]) == (200, True, 0)
        assert answer.json()["metadata"]["more"] is True
        assert "running" in refusal(quick.sync(id), 409, "conflict")["message"]
        held.go.set()
        logs = f"/api/v1/connections/{id}/logs"
        # its time was over before its first call
        wait_until(lambda: quick.a.get(logs).json()["items"][0]["status"] == RunStatus.INTERRUPTED)
        sync.run(id, "scheduled")  # what the run left over, if anything, is the scheduler's
        assert len(api.workplace.sandbox.accepted("splunk")) == 1


def test_only_so_many_syncs_run_at_once(api: Api, held: Held) -> None:
    ids = [api.connect(name=f"Number {number}") for number in range(3)]
    api.workplace.scans(1)
    with another(api, syncs=Syncs(0.2, Pool("syncs", size=2, share=2, wait_s=0))) as small:
        assert [small.sync(id).status_code for id in ids[:2]] == [200, 200]
        answer = small.sync(ids[2])
        refusal(answer, 503, "busy")
        assert int(answer.headers["retry-after"]) > 0


def test_when_the_server_ends_what_runs_is_in_doubt_at_once_and_the_connection_free(
    api: Api, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.web.api.sync_threads.GRACE_S", 0.2)
    id = api.connect()
    api.workplace.scans(1)
    syncs = Syncs(0.2, Pool("syncs", size=2, share=2, wait_s=0))
    with another(api, syncs=syncs) as ending:
        assert ending.sync(id).json()["metadata"]["running"] is True
        syncs.stop()
        refusal(ending.sync(id), 503, "busy")
        api.workplace.ids["splunk"] = id
        assert api.workplace.row("splunk").lease_until is None


def test_the_real_wait_leaves_time_for_the_answer_within_25_s(people: People) -> None:
    assert 20 < Syncs().answer_s < 25
