"""A card as others post it to Teams."""

from typing import Any

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def card(*body: Any, **more: Any) -> dict[str, Any]:
    title = {"type": "TextBlock", "text": f"Critical: jane was exposed ({KEY})", "color": "Attention"}
    return {"type": "AdaptiveCard", "version": "1.4", "body": [title, *body], **more}


def posted(card: Any) -> dict[str, Any]:
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    return http.post(sandbox.credentials("teams")["webhook_url"], json=posted(card()))
