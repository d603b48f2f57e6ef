"""An event as others send it to PagerDuty."""

from typing import Any

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def alert(**more: Any) -> dict[str, Any]:
    return {"summary": "Critical: jane was exposed", "source": "FootprintIQ", "severity": "critical", **more}


def event(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    key = sandbox.credentials("pagerduty")["routing_key"]
    return {"routing_key": key, "event_action": "trigger", "dedup_key": KEY, "payload": alert(), **more}


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    url = sandbox.credentials("pagerduty")["endpoint_url"]
    return http.post(f"{url}/v2/enqueue", json=event(sandbox))
