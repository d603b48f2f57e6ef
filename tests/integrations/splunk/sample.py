"""Events as others send them to Splunk."""

import json
from typing import Any

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def event(**changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "time": 1795341600.123,
        "source": "hub",
        "sourcetype": "footprintiq:scan",
        "index": "main",
        "event": {"id": KEY, "severity": "high", "title": "Five exposures for jane"},
        "fields": {"finding_id": KEY},
    }
    body.update(changes)
    return {name: value for name, value in body.items() if value is not ...}


def to_splunk(sandbox: Sandbox, http: httpx.Client, *events: Any, **headers: str) -> httpx.Response:
    content = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in events)
    token = {"Authorization": f"Splunk {sandbox.credentials('splunk')['token']}"}
    url = f"{sandbox.url}/splunk/services/collector/event"
    return http.post(
        url, content=content, headers=token | {n.replace("_", "-"): v for n, v in headers.items()}
    )


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    return to_splunk(sandbox, http, event())
