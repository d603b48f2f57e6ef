"""A row as others send it to Microsoft Sentinel."""

import time

import httpx

from sandbox import Sandbox
from sandbox.tokens import token
from tests.sandbox.support import KEY


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    given = sandbox.credentials("microsoft_sentinel")
    path = f"dataCollectionRules/{given['dcr_immutable_id']}/streams/{given['stream_name']}"
    headers = {"Authorization": f"Bearer {token('microsoft_sentinel', time.time())}"}
    rows = [{"TimeGenerated": "2026-11-22T10:00:00Z", "FindingId": KEY}]
    url = f"{given['endpoint_url']}/{path}?api-version=2023-01-01"
    return http.post(url, json=rows, headers=headers)
