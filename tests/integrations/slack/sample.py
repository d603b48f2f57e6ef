"""Messages as others send them to Slack."""

from typing import Any

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def message(*blocks: Any, **changes: Any) -> dict[str, Any]:
    return {"text": f"Critical: jane was exposed ({KEY})", "blocks": list(blocks)} | changes


def section(value: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": value}, **more}


def plain(value: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": value}


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    return http.post(sandbox.credentials("slack")["webhook_url"], json=message(section()))
