"""A document as others send it to Elasticsearch."""

import json

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    given = sandbox.credentials("elastic")
    lines = [{"create": {"_id": KEY}}, {"@timestamp": "2026-11-20T10:00:00Z", "message": "Exposed"}]
    headers = {"Authorization": f"ApiKey {given['api_key']}", "Content-Type": "application/x-ndjson"}
    body = "".join(json.dumps(line) + "\n" for line in lines)
    return http.post(f"{given['url']}/logs-x-default/_bulk", content=body, headers=headers)
