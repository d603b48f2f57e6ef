"""An event as others send it to Google SecOps."""

import time

import httpx

from sandbox import Sandbox
from sandbox.tokens import token
from tests.sandbox.support import KEY


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    given = sandbox.credentials("google_secops")
    place = f"projects/{given['project_id']}/locations/{given['location']}/instances/{given['instance_id']}"
    metadata = {"eventTimestamp": "2026-11-22T10:00:00Z", "eventType": "GENERIC_EVENT", "productLogId": KEY}
    body = {"inlineSource": {"events": [{"udm": {"metadata": metadata}}]}}
    headers = {"Authorization": f"Bearer {token('google_secops', time.time())}"}
    return http.post(f"{given['endpoint_url']}/v1/{place}/events:import", json=body, headers=headers)
