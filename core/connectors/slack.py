"""Slack's incoming webhook: one message per record, `ok` or a word that says why not."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.connectors.answers import READS_ONLY, foreign, is_foreign, one_by_one, reached
from core.connectors.base import (
    Connector,
    DeliveryError,
    Gone,
    Item,
    Misconfigured,
    Receipt,
    Rejected,
    Step,
    Throttled,
)
from core.connectors.text import cut, one_line, printable, web_link
from core.secret import Secret

# docs.slack.dev, Block Kit reference; text is cut at 40,000 and recommended to stay below 4,000
HEADER_CHARS, SECTION_CHARS, FIELD_CHARS, TEXT_CHARS, CONTEXT_CHARS = 150, 3000, 2000, 4000, 2000
FIELDS_MAX = 10
MARKS = {"low": "🔵", "medium": "🟡", "high": "🟠", "critical": "🔴"}

_NEW_HOOK = "Make a new webhook in Slack and enter its address."
#: api.slack.com changelog 2016-05-17, and words met since
WORDS: dict[str, tuple[type[DeliveryError], str]] = {
    "no_service": (Misconfigured, f"the webhook was removed. {_NEW_HOOK}"),
    "no_service_id": (Misconfigured, f"the address is not complete. {_NEW_HOOK}"),
    "no_active_hooks": (Misconfigured, f"the webhook is switched off. {_NEW_HOOK}"),
    "no_team": (Misconfigured, f"the workspace does not exist. {_NEW_HOOK}"),
    "team_disabled": (Misconfigured, "the workspace is switched off. Ask its owner."),
    "invalid_token": (Misconfigured, f"the address is not valid (any more). {_NEW_HOOK}"),
    "invalid_auth": (Misconfigured, f"the address is not accepted. {_NEW_HOOK}"),
    "channel_not_found": (Misconfigured, f"the channel does not exist (any more). {_NEW_HOOK}"),
    "channel_is_archived": (Gone, "the channel is archived. Unarchive it, or make a new webhook."),
    "action_prohibited": (Misconfigured, "an admin forbids this. Ask the workspace's admin to allow it."),
    "posting_to_general_channel_denied": (Misconfigured, "this webhook may not write there. " + _NEW_HOOK),
    "user_not_found": (Misconfigured, f"the person written to does not exist. {_NEW_HOOK}"),
    "invalid_payload": (Rejected, "the message could not be read. Correct the mapping, then replay."),
    "invalid_blocks": (Rejected, "the message's blocks are not valid. Correct the mapping, then replay."),
    "too_many_attachments": (Rejected, "the message has too many parts. Correct the mapping, then replay."),
    "msg_too_long": (Rejected, "the message is too long. Correct the mapping, then replay."),
    "no_text": (Rejected, "the message has no text. Correct the mapping, then replay."),
    "rate_limited": (Throttled, "too many messages. They wait."),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    webhook_url: Secret


class Slack(Connector):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._send)

    def check(self) -> Iterator[Step]:
        try:
            self._post({}, READS_ONLY)
        except Rejected as fault:
            yield from reached(self.config.webhook_url.reveal(), "Slack")
            yield Step(
                "credentials",
                True,
                f"The webhook is live: it refused an empty message ({_word(fault)}). "
                "Slack documents no test; this is known from experience.",
            )
            yield Step(
                "permission", None, "Whether people see it in the right channel shows the first message."
            )
            return
        raise Misconfigured(
            "Something accepted an empty message, which Slack never does. Correct the address."
        )

    def _send(self, item: Item) -> Receipt:
        self._post(message(item))
        return Receipt(item.key)

    def _post(self, body: Mapping[str, Any], extensions: dict[str, Any] | None = None) -> None:
        try:
            response = self.http.post(
                self.config.webhook_url.reveal(),
                content=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
                extensions=extensions,
            )
        except DeliveryError as fault:
            raise _explain(fault) from None
        if response.text.strip() != "ok":
            raise Misconfigured(
                f'Slack answered {response.status_code}, but not "ok": something else took the message. '
                "Compare the address with the webhook's address in Slack.",
                status=response.status_code,
            )


def message(item: Item) -> dict[str, Any]:
    """The blocks people read, and the text that notifications and screen readers use."""
    body = item.body
    severity, ref = str(body.get("severity", "")), str(body.get("ref") or item.key)
    title = one_line(str(body.get("title", "")), HEADER_CHARS) or ref
    mark = MARKS.get(severity, "")
    fallback = f"{mark} [{severity}] {title} ({ref})" if severity else f"{title} ({ref})"
    blocks: list[dict[str, Any]] = [{"type": "header", "text": _plain(f"{mark} {title}".strip())}]
    text = escape(str(body.get("text") or ""), SECTION_CHARS)
    if text.strip():  # nothing but invisible characters is nothing, which Slack refuses
        blocks.append({"type": "section", "text": _mrkdwn(text)})
    blocks += _facts(body.get("facts") or {})
    blocks.append({"type": "context", "elements": [_mrkdwn(part) for part in _context(ref, body.get("url"))]})
    # no preview is fetched for an address that stands in a finding
    quiet = {"unfurl_links": False, "unfurl_media": False}
    return {"text": escape(fallback, TEXT_CHARS), "blocks": blocks, **quiet}


def escape(text: str, limit: int) -> str:
    """At most `limit` units after escaping; `<!channel>`, `<@U1>`, links and @here stay letters."""
    inert = re.sub(r"@(?=(?:here|channel|everyone|group)\b)", "@\u200b", printable(text))
    escaped = inert.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # the cut may have left half an entity
    return re.sub(r"&[a-z]{0,3}…$", "…", cut(escaped, limit))


def _facts(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    shown = [(name, value) for name, value in facts.items() if value not in (None, "")][:FIELDS_MAX]
    fields = [_mrkdwn(escape(f"*{one_line(str(name), 75)}*\n{value}", FIELD_CHARS)) for name, value in shown]
    return [{"type": "section", "fields": fields}] if fields else []


def _context(ref: str, url: object) -> list[str]:
    link = web_link(url)
    if not link:
        return [escape(ref, CONTEXT_CHARS)]
    target = link.replace("&", "&amp;").replace("<", "%3C").replace(">", "%3E").replace("|", "%7C")
    linked = f"<{target}|Open in FootprintIQ>"
    # a link that would have to be cut is no link
    return (
        [linked, escape(ref, CONTEXT_CHARS)] if len(linked) <= CONTEXT_CHARS else [escape(ref, CONTEXT_CHARS)]
    )


def _plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": escape(text, HEADER_CHARS), "emoji": False}


def _mrkdwn(text: str) -> dict[str, Any]:
    # verbatim: Slack makes no links, mentions or channels of its own out of it
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _word(fault: DeliveryError) -> str:
    return fault.body.strip()[:100]


def _explain(fault: DeliveryError) -> DeliveryError:
    """The same fault by Slack's own word, where the answer is one."""
    if is_foreign(fault):
        return foreign(fault, "Slack")
    word = _word(fault)
    if word not in WORDS:
        return fault
    kind, words = WORDS[word]
    sentence = f"Slack answered {fault.status} ({word}): {words}"
    return kind(sentence, status=fault.status, body=fault.body, retry_after_s=fault.retry_after_s)
