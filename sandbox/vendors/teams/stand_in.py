"""A Teams workflow's webhook: it says 202 to whatever starts it, and posts only what is a card it can post.

What the real workflow would fail on after its 202 (no card, over 28 KB) is answered 202 here too and not
kept; the reason travels as a header.
"""

from typing import Any

from sandbox.contract import Answer, Kept, Request, Vendor, json_answer, key_in, read_json
from sandbox.vendors.teams.cards import check_card, texts_of

WORKFLOW = "0123456789abcdef0123456789abcdef"
PATH = f"/powerautomate/automations/direct/workflows/{WORKFLOW}/triggers/manual/paths/invoke"
SIG = "sandbox-teams_sig000000000000000000001"
QUERY = "api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0"
#: learn.microsoft.com/connectors/teams: the post action's limit
MESSAGE_BYTES_MAX = 28 * 1024
CARD_TYPE = "application/vnd.microsoft.card.adaptive"
SEVERITY_OF = {"Attention": "critical", "Warning": "high", "Accent": "medium", "Default": "low"}

ON_FAULT = {
    401: "DirectApiAuthorizationRequired",
    403: "Forbidden",
    429: "TooManyRequests",
    500: "InternalServerError",
    503: "ServiceUnavailable",
}


class Teams(Vendor):
    slug = "teams"
    name = "Microsoft Teams"
    secrets = frozenset({"webhook_url"})

    def credentials(self, base: str) -> dict[str, str]:
        return {"webhook_url": f"{base}{PATH}?{QUERY}&sig={SIG}"}

    def refuse(self, status: int, retry_after_s: float) -> Answer:
        wait = (("Retry-After", f"{retry_after_s:.0f}"),) if status in (429, 503) else ()
        return _error(status, ON_FAULT[status], headers=wait)

    def answer(self, request: Request) -> Answer:
        if request.path in ("", "/"):
            return _error(404, "NotFound")
        if request.path != PATH:
            return _error(404, "WorkflowNotFound")
        if request.method != "POST":
            return _error(405, "MethodNotAllowed")
        if "api-version" not in request.query:
            return _error(400, "MissingApiVersionParameter")
        if request.query.get("sig") != SIG or request.query.get("sp") != "/triggers/manual/run":
            return _error(401, "DirectApiAuthorizationRequired")
        try:
            message = read_json(request.body)
        except ValueError:
            return _error(400, "InvalidRequestContent")
        if not request.has_json_type() or not isinstance(message, dict):
            return _error(400, "TriggerInputSchemaMismatch")
        return _run(message, len(request.body))


def _error(status: int, code: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    return json_answer(status, {"error": {"code": code, "message": f"{code}."}}, headers=headers)


def _run(message: dict[str, Any], size: int) -> Answer:
    fault = _fault(message, size)
    if fault:
        return Answer(202, reason=f"the run fails: {fault}")
    card = message["attachments"][0]["content"]
    texts = texts_of(card)
    color = next((run["color"] for run in _runs(card) if run.get("color")), "")
    kept = Kept(
        key=key_in("\n".join(texts), message),
        title=texts[0],
        severity=SEVERITY_OF.get(color, ""),
        body=message,
        mentions=len(card.get("msteams", {}).get("entities", [])),
    )
    return Answer(202, keep=(kept,))


def _fault(message: dict[str, Any], size: int) -> str | None:
    if size > MESSAGE_BYTES_MAX:
        return f"Request Entity too large: {size} bytes, at most {MESSAGE_BYTES_MAX} fit"
    if message.get("type") != "message":
        return 'type is "message"'
    attachments = message.get("attachments")
    if not isinstance(attachments, list) or not attachments:
        return (
            "The execution of template action 'Send_each_adaptive_card' failed: attachments is of type 'Null'"
        )
    for attachment in attachments:
        if not isinstance(attachment, dict) or attachment.get("contentType") != CARD_TYPE:
            return f"an attachment's contentType is {CARD_TYPE}"
        fault = check_card(attachment.get("content"))
        if fault:
            return fault
    return None


def _runs(card: dict[str, Any]) -> list[dict[str, Any]]:
    return [run for element in card["body"] for run in element.get("inlines", [element])]
