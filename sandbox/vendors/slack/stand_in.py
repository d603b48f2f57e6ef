"""Slack: by incoming webhook, whose address is the credential and whose answer is `ok`, and by bot.

Slack also takes a form with a `payload` member and a message without `text`; a hub that relies on either
is wrong, so both are refused here.
"""

import json
import re
from dataclasses import replace
from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, key_in, read_json, text_answer
from sandbox.vendors.slack import web_api
from sandbox.vendors.slack.blocks import check_blocks

TEAM, SERVICE = "T0SANDBOX", "B0SANDBOX"
TOKEN = "sandbox0hook0token0000001"  # noqa: S105 - the stand-in's own, good nowhere else
ATTACHMENTS_MAX = 100
TEXT_MAX = 40_000  # longer text is cut by Slack, not refused

#: what wakes people up; a finding must not be able to
MENTION = re.compile(r"<!(?:channel|here|everyone|subteam\^[^>]*)(?:\|[^>]*)?>|<@[UW][A-Z0-9]+(?:\|[^>]*)?>")
SEVERITY = re.compile(r"\b(critical|high|medium|low)\b", re.IGNORECASE)

ON_FAULT = {
    401: "invalid_auth",
    403: "invalid_token",
    429: "rate_limited",
    500: "rollup_error",
    503: "service_unavailable",
}


class Slack(Vendor):
    slug = "slack"
    name = "Slack"
    secrets = frozenset({"webhook_url"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"webhook_url": f"{base}/services/{TEAM}/{SERVICE}/{TOKEN}"}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        wait = (("Retry-After", f"{retry_after_s:.0f}"),) if status == 429 else ()
        return text_answer(status, ON_FAULT[status], headers=wait)

    def answer(self, request: Request) -> Answer:
        if web_api.is_method(request.path):
            return _by_bot(request)
        refused = _misplaced(request)
        if refused:
            return refused
        if not request.has_json_type():
            return text_answer(400, "invalid_payload", reason="the content type is application/json")
        try:
            message = read_json(request.body)
        except ValueError:
            return text_answer(400, "invalid_payload", reason="the body is not JSON")
        return _posted(message)


def _by_bot(request: Request) -> Answer:
    answer, message = web_api.call(request)
    if message is None:
        return answer
    judged = _posted(message)
    if judged.status == 200:
        return replace(answer, keep=judged.keep)
    return json_answer(200, {"ok": False, "error": judged.body.decode()}, reason=judged.reason)


def _misplaced(request: Request) -> Answer | None:
    parts = request.path.split("/")[1:]
    if len(parts) != 4 or parts[0] != "services":
        return text_answer(404, "no_active_hooks", reason="the path is /services/T…/B…/token")
    if request.method != "POST":
        return text_answer(405, "method_not_allowed", headers=(("Allow", "POST"),))
    _, team, service, token = parts
    if team != TEAM:
        return text_answer(404, "no_team")
    if service != SERVICE:
        return text_answer(404, "no_service")
    return None if token == TOKEN else text_answer(403, "invalid_token")


def _posted(message: Any) -> Answer:
    if not isinstance(message, dict):
        return text_answer(400, "invalid_payload", reason="the body is one JSON object")
    text = message.get("text", "")
    if not isinstance(text, str):
        return text_answer(400, "invalid_payload", reason="text is a string")
    if not text.strip():
        return text_answer(400, "no_text", reason="text is what a notification shows; it is never empty")
    attachments = message.get("attachments", [])
    if not isinstance(attachments, list) or not all(isinstance(part, dict) for part in attachments):
        return text_answer(400, "invalid_payload", reason="attachments is an array of objects")
    if len(attachments) > ATTACHMENTS_MAX:
        return text_answer(400, "too_many_attachments")
    for blocks in (message.get("blocks", []), *(part.get("blocks", []) for part in attachments)):
        fault = check_blocks(blocks)
        if fault:
            return text_answer(400, "invalid_blocks", reason=fault)
    return text_answer(200, "ok", keep=(_kept(message, text),))


def _kept(message: dict[str, Any], text: str) -> Kept:
    content = json.dumps(
        {name: message.get(name) for name in ("text", "blocks", "attachments")}, ensure_ascii=False
    )
    severity = SEVERITY.search(content)
    return Kept(
        key=key_in(content, message),
        title=text[:TEXT_MAX].strip().splitlines()[0],
        severity=severity[0].lower() if severity else "",
        body=message,
        mentions=len(MENTION.findall(content)),
    )
