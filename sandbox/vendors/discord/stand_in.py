"""Discord's webhook: read without an account, executed with a message whose limits are all checked."""

import re
from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, key_in, read_json

HOOK, CHANNEL, THREAD = "100000000000000001", "200000000000000001", "300000000000000001"
TOKEN = "sandbox0discord0token000000000000001"  # noqa: S105 - the stand-in's own, good nowhere else
PATH = re.compile(r"/api(?:/v\d+)?/webhooks/(\d+)/([\w-]+)")
FIRST_MESSAGE = 1_300_000_000_000_000_000
COLORS = {15158332: "critical", 15105570: "high", 15844367: "medium", 3447003: "low"}
#: discord.com/developers/docs/resources/message, Embed limits
TEXTS = {"title": 256, "description": 4096}
PINGS = re.compile(r"@(?:everyone|here)|<@[!&]?\d+>")
ON_FAULT = {
    401: (50027, "Invalid Webhook Token"),
    403: (50013, "Missing Permissions"),
    429: (0, "You are being rate limited."),
    500: (0, "500: Internal Server Error"),
    503: (0, "503: Service Unavailable"),
}


class Discord(Vendor):
    slug = "discord"
    name = "Discord"
    secrets = frozenset({"webhook_url"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"webhook_url": f"{base}/api/webhooks/{HOOK}/{TOKEN}"}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        code, message = ON_FAULT[status]
        if status != 429:
            return _error(status, code, message)
        body = {"message": message, "retry_after": retry_after_s, "global": False}
        return json_answer(429, body, headers=(("Retry-After", f"{retry_after_s:.0f}"),))

    def answer(self, request: Request) -> Answer:
        at = PATH.fullmatch(request.path)
        if at is None:
            return _error(404, 0, "404: Not Found")
        if at[1] != HOOK:
            return _error(404, 10015, "Unknown Webhook")
        if at[2] != TOKEN:
            return _error(401, 50027, "Invalid Webhook Token")
        if request.method == "GET":
            return json_answer(200, _hook())
        if request.method != "POST":
            return _error(405, 0, "405: Method Not Allowed")
        return _execute(request)


def _hook() -> dict[str, Any]:
    return {"id": HOOK, "type": 1, "name": "FootprintIQ", "channel_id": CHANNEL, "token": TOKEN}


def _error(status: int, code: int, message: str, reason: str = "") -> Answer:
    return json_answer(status, {"message": message, "code": code}, reason=reason)


def _execute(request: Request) -> Answer:
    if not request.headers.get("user-agent"):
        return _error(403, 40333, "internal network error")
    if request.query.get("thread_id", THREAD) != THREAD:
        return _error(404, 10003, "Unknown Channel")
    try:
        message = read_json(request.body) if request.has_json_type() else None
    except ValueError:
        message = None
    if not isinstance(message, dict):
        return _error(400, 50109, "The request body contains invalid JSON.")
    if not any(message.get(name) for name in ("content", "embeds")):
        return _error(400, 50006, "Cannot send an empty message")
    fault = _fault(message)
    if fault:
        return _error(400, 50035, "Invalid Form Body", fault)
    return _saved(request, message)


def _saved(request: Request, message: dict[str, Any]) -> Answer:
    number = str(FIRST_MESSAGE + len(request.arrived) + 1)
    embed = (message.get("embeds") or [{}])[0]
    texts = [str(message.get("content", "")), *map(str, _texts(embed))]
    mentioned = message.get("allowed_mentions", {"parse": ["everyone", "users", "roles"]})
    pings = PINGS.findall(str(message.get("content", ""))) if mentioned.get("parse") else []
    kept = Kept(
        key=key_in("\n".join(texts), message),
        title=str(embed.get("title") or texts[0]),
        severity=COLORS.get(embed.get("color"), ""),
        body=message,
        vendor_id=number,
        mentions=len(pings),
    )
    if request.query.get("wait") != "true":
        return Answer(204, keep=(kept,))
    body = {
        "id": number,
        "type": 0,
        "channel_id": CHANNEL,
        "webhook_id": HOOK,
        "embeds": message.get("embeds", []),
    }
    return json_answer(200, body, keep=(kept,))


def _fault(message: dict[str, Any]) -> str | None:
    content, embeds = message.get("content", ""), message.get("embeds", [])
    if not isinstance(content, str) or len(content) > 2000:
        return "content: 2000 or fewer in length"
    if not isinstance(embeds, list) or len(embeds) > 10 or not all(isinstance(one, dict) for one in embeds):
        return "embeds: an array of at most 10 objects"
    fault = next((fault for fault in map(_embed, embeds) if fault), None)
    total = sum(len(text) for embed in embeds for text in _texts(embed) if isinstance(text, str))
    return fault or (f"embeds: {total} characters in all, at most 6000 fit" if total > 6000 else None)


def _embed(embed: dict[str, Any]) -> str | None:
    for name, limit in TEXTS.items():
        if name in embed and not _fits(embed[name], limit):
            return f"embeds.{name}: 1 to {limit} characters"
    color = embed.get("color", 0)
    if not isinstance(color, int) or not 0 <= color <= 0xFFFFFF:
        return "embeds.color: a number up to 16777215"
    if not re.match("https?://|$", str(embed.get("url", ""))):
        return "embeds.url: Not a well formed URL."
    if "footer" in embed and not (
        isinstance(embed["footer"], dict) and _fits(embed["footer"].get("text"), 2048)
    ):
        return "embeds.footer.text: 1 to 2048 characters"
    fields = embed.get("fields", [])
    if not isinstance(fields, list) or len(fields) > 25:
        return "embeds.fields: at most 25"
    whole = all(
        isinstance(field, dict) and _fits(field.get("name"), 256) and _fits(field.get("value"), 1024)
        for field in fields
    )
    return None if whole else "embeds.fields: a name of 1 to 256 and a value of 1 to 1024 characters"


def _fits(text: Any, limit: int) -> bool:
    """Discord trims texts, and what is then empty is missing."""
    return isinstance(text, str) and len(text.strip()) >= 1 and len(text) <= limit


def _texts(embed: dict[str, Any]) -> list[Any]:
    footer = embed.get("footer") or {}
    fields = [part for field in embed.get("fields") or [] for part in (field.get("name"), field.get("value"))]
    return [embed.get("title", ""), embed.get("description", ""), footer.get("text", ""), *fields]
