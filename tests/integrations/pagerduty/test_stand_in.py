"""The stand-in of PagerDuty, by hand and by PagerDuty's own client."""

from typing import Any

import httpx
import pagerduty
import pytest

from sandbox import Sandbox
from tests.integrations.pagerduty.sample import alert, event
from tests.sandbox.support import KEY, http, sandbox

__all__ = ["http", "sandbox"]


def test_pagerdutys_own_client_gets_along_with_the_stand_in(sandbox: Sandbox) -> None:
    given = sandbox.credentials("pagerduty")
    client = pagerduty.EventsApiV2Client(given["routing_key"])
    client._url = given["endpoint_url"]  # its setter takes https:// only
    assert client.trigger("Leak", "FootprintIQ", severity="critical", dedup_key=KEY) == KEY
    assert client.resolve(KEY) == KEY
    (kept,) = sandbox.accepted("pagerduty")
    assert (kept.key, kept.title, kept.severity) == (KEY, "Leak", "critical")


@pytest.mark.parametrize(
    "change",
    [
        {"routing_key": "short"},
        {"routing_key": "x" * 32},
        {"event_action": "open"},
        {"dedup_key": "x" * 256},
        {"payload": None},
        {"payload": alert(summary=" ")},
        {"payload": alert(summary="x" * 1025)},
        {"payload": alert(severity="high")},
        {"payload": alert(source="")},
        {"payload": alert(custom_details="x")},
        {"links": [{"text": "x"}]},
        {"surprise": 1},
    ],
)
def test_pagerduty_names_what_is_wrong_with_an_event(
    sandbox: Sandbox, http: httpx.Client, change: dict[str, Any]
) -> None:
    url = sandbox.credentials("pagerduty")["endpoint_url"]
    answer = http.post(f"{url}/v2/enqueue", json=event(sandbox) | change)
    assert (answer.status_code, answer.json()["status"]) == (400, "invalid event")
    assert sandbox.accepted() == []


def test_pagerduty_refuses_more_than_512_kb(sandbox: Sandbox, http: httpx.Client) -> None:
    url = sandbox.credentials("pagerduty")["endpoint_url"]
    big = event(sandbox, payload=alert(custom_details={"x": "y" * 600_000}))
    assert http.post(f"{url}/v2/enqueue", json=big).status_code == 413
