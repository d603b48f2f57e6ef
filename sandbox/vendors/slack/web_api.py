"""Slack's Web API as far as a bot that posts needs it: always 200, and `ok` says whether it worked."""

import json
from typing import Any

from sandbox.contract import Answer, Request, json_answer, read_json

BOT_TOKEN = "xoxb-sandbox-bot-token-0000001"  # noqa: S105 - the stand-in's own, good nowhere else
CHANNEL, ARCHIVED, FOREIGN = "C0SANDBOX", "C0ARCHIVED", "C0FOREIGN"
FIRST_TS = 1_795_000_000


def is_method(path: str) -> bool:
    return path.startswith("/api/")


def call(request: Request) -> tuple[Answer, dict[str, Any] | None]:
    """The answer, and the message to keep where one was posted."""
    name = request.path.removeprefix("/api/")
    if name not in ("auth.test", "conversations.info", "chat.postMessage"):
        return _no("unknown_method"), None
    given = request.headers.get("authorization", "").partition(" ")
    if given[0] != "Bearer" or not given[2]:
        return _no("not_authed"), None
    if given[2] != BOT_TOKEN:
        return _no("invalid_auth"), None
    if name == "auth.test":
        return json_answer(
            200, {"ok": True, "team": "Sandbox", "user": "footprintiq", "bot_id": "B0SANDBOX"}
        ), None
    if name == "conversations.info":
        return _info(request.query.get("channel", "")), None
    return _post(request)


def _post(request: Request) -> tuple[Answer, dict[str, Any] | None]:
    try:
        message = read_json(request.body) if request.has_json_type() else None
    except ValueError:
        message = None
    if request.method != "POST" or not isinstance(message, dict):
        return _no("invalid_arguments"), None
    fault = _misplaced(message.get("channel"))
    if fault:
        return _no(fault), None
    metadata = message.get("metadata", {"event_type": "x", "event_payload": {}})
    if not isinstance(metadata, dict) or not isinstance(metadata.get("event_payload"), dict):
        return _no("invalid_metadata_format"), None
    ts = f"{FIRST_TS + len(request.arrived)}.000100"
    return json_answer(
        200, {"ok": True, "channel": CHANNEL, "ts": ts, "message": {"text": message.get("text")}}
    ), message


def _info(channel: str) -> Answer:
    if channel not in (CHANNEL, ARCHIVED, FOREIGN):
        return _no("channel_not_found")
    about = {
        "id": channel,
        "name": "alerts",
        "is_archived": channel == ARCHIVED,
        "is_member": channel == CHANNEL,
    }
    return json_answer(200, {"ok": True, "channel": about})


def _misplaced(channel: Any) -> str | None:
    return {CHANNEL: None, ARCHIVED: "is_archived", FOREIGN: "not_in_channel"}.get(
        str(channel), "channel_not_found"
    )


def _no(word: str) -> Answer:
    return Answer(200, json.dumps({"ok": False, "error": word}).encode())
