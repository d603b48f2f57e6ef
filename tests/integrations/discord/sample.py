"""A message as others post it to Discord."""

from typing import Any

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def embed(**more: Any) -> dict[str, Any]:
    return {"title": "Critical: jane was exposed", "color": 15158332, "footer": {"text": KEY}, **more}


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    url = sandbox.credentials("discord")["webhook_url"]
    return http.post(f"{url}?wait=true", json={"embeds": [embed()], "allowed_mentions": {"parse": []}})
