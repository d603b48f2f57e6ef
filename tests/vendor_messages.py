"""One acceptable message for each stand-in that takes messages, sent as its vendor's own users would."""

import base64
import hashlib
import hmac
import time
from typing import Any

import httpx
import orjson

from sandbox import Sandbox

KEY = "fiq-alert-3f2a9c4e-0000-4000-8000-000000000001"


def card(*body: Any, **more: Any) -> dict[str, Any]:
    title = {"type": "TextBlock", "text": f"Critical: jane was exposed ({KEY})", "color": "Attention"}
    return {"type": "AdaptiveCard", "version": "1.4", "body": [title, *body], **more}


def posted(card: Any) -> dict[str, Any]:
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def embed(**more: Any) -> dict[str, Any]:
    return {"title": "Critical: jane was exposed", "color": 15158332, "footer": {"text": KEY}, **more}


def alert(**more: Any) -> dict[str, Any]:
    return {"summary": "Critical: jane was exposed", "source": "FootprintIQ", "severity": "critical", **more}


def event(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    key = sandbox.credentials("pagerduty")["routing_key"]
    return {"routing_key": key, "event_action": "trigger", "dedup_key": KEY, "payload": alert(), **more}


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


def to_teams(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    return http.post(sandbox.credentials("teams")["webhook_url"], json=posted(card()))


def to_discord(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    url = sandbox.credentials("discord")["webhook_url"]
    return http.post(f"{url}?wait=true", json={"embeds": [embed()], "allowed_mentions": {"parse": []}})


def to_pagerduty(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    url = sandbox.credentials("pagerduty")["endpoint_url"]
    return http.post(f"{url}/v2/enqueue", json=event(sandbox))


def to_webhook(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    data = {"title": "Critical: jane was exposed", "severity": "critical"}
    content = orjson.dumps(
        {"type": "footprintiq.alert.data_breach", "timestamp": "2026-11-22T10:00:00Z", "data": data}
    )
    url = sandbox.credentials("webhook")["url"]
    return http.post(url, content=content, headers=signed(sandbox, content))


SEND = {"teams": to_teams, "discord": to_discord, "pagerduty": to_pagerduty, "webhook": to_webhook}
