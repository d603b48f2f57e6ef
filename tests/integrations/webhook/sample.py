"""A signed webhook as others send it."""

import base64
import hashlib
import hmac
import time

import httpx
import orjson

from sandbox import Sandbox
from tests.sandbox.support import KEY


def signed(sandbox: Sandbox, content: bytes, id: str = KEY, at: int | None = None) -> dict[str, str]:
    stamp = str(int(time.time()) if at is None else at)
    key = base64.b64decode(sandbox.credentials("webhook")["signing_secret"].removeprefix("whsec_"))
    digest = hmac.new(key, f"{id}.{stamp}.".encode() + content, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    data = {"title": "Critical: jane was exposed", "severity": "critical"}
    content = orjson.dumps(
        {"type": "footprintiq.alert.data_breach", "timestamp": "2026-11-22T10:00:00Z", "data": data}
    )
    url = sandbox.credentials("webhook")["url"]
    return http.post(url, content=content, headers=signed(sandbox, content))
