"""Slack, by bot or by incoming webhook: one message per record, and a word that says why not."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from core.http.errors import DeliveryError, Misconfigured, Rejected
from core.integrations.answers import READS_ONLY, json_answer, one_by_one, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.integrations.slack.faults import explain_hook, refusal
from core.platform.secret import Secret
from core.platform.text import cut, one_line, printable, web_link

# docs.slack.dev, Block Kit reference; text is cut at 40,000 and recommended to stay below 4,000
HEADER_CHARS, SECTION_CHARS, FIELD_CHARS, TEXT_CHARS, CONTEXT_CHARS = 150, 3000, 2000, 4000, 2000
FIELDS_MAX = 10
MARKS = {"low": "🔵", "medium": "🟡", "high": "🟠", "critical": "🔴"}

# docs.slack.dev, chat.postMessage
API = "https://slack.com/api"


@dataclass(frozen=True, kw_only=True)
class Config:
    webhook_url: Secret | None = None
    bot_token: Secret | None = None
    channel: str = ""
    endpoint_url: str = API


class Slack(Connector[Config]):
    """By bot when there is a token, since its answer names the message; else by webhook."""

    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._post_message if self.config.bot_token else self._post_to_hook)

    def check(self) -> Iterator[Step]:
        return self._check_bot() if self.config.bot_token else self._check_hook()

    def _post_message(self, item: Item) -> Receipt:
        # the key comes back with the message for whoever reads the channel's history by API
        metadata = {"event_type": "fiq_alert", "event_payload": {"key": item.key}}
        body = {"channel": self.config.channel, **message(item), "metadata": metadata}
        answer = self._call("POST", "chat.postMessage", body)
        ts = str(answer.get("ts"))
        return Receipt(item.key, vendor_id=ts if re.fullmatch(r"\d+\.\d+", ts) else None)

    def _call(self, method: str, name: str, body: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """A Web API method; `ok: false` in a 200 is the fault its word means."""
        sent = {"params": body} if method == "GET" else {"content": orjson.dumps(body)}
        response = self.http.request(
            method,
            f"{self.config.endpoint_url.rstrip('/')}/{name}",
            headers={
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json; charset=utf-8",
            },
            **sent,
            **more,
        )
        answer = json_answer(response, "Slack")
        if answer.get("ok") is not True:
            raise refusal(answer.get("error"))
        return answer

    @property
    def _token(self) -> str:
        assert self.config.bot_token is not None
        return self.config.bot_token.reveal()

    @property
    def _hook(self) -> str:
        assert self.config.webhook_url is not None  # the manifest wants it where there is no bot
        return self.config.webhook_url.reveal()

    def _check_bot(self) -> Iterator[Step]:
        me = self._call("POST", "auth.test", {}, extensions=READS_ONLY)
        yield from reached(self.config.endpoint_url, "Slack")
        yield Step("credentials", True, f"Slack knows the bot as {me.get('user')} in {me.get('team')}.")
        try:
            found = self._call("GET", "conversations.info", {"channel": self.config.channel})
        except DeliveryError as fault:
            if "missing_scope" not in fault.message:
                raise
            words = (
                "The bot may not look at channels (scope channels:read): the first message shows the rest."
            )
            yield Step("target", None, words)
            return
        yield from _check_channel(found.get("channel") or {})

    def _check_hook(self) -> Iterator[Step]:
        try:
            self._post({}, READS_ONLY)
        except Rejected as fault:
            yield from reached(self._hook, "Slack")
            yield Step(
                "credentials",
                True,
                f"The webhook is live: it refused an empty message ({fault.body.strip()[:100]}). "
                "Slack documents no test; this is known from experience.",
            )
            yield Step(
                "permission", None, "Whether people see it in the right channel shows the first message."
            )
            return
        words = "Something accepted an empty message, which Slack never does. Correct the address."
        raise Misconfigured(words, stage="target")

    def _post_to_hook(self, item: Item) -> Receipt:
        self._post(message(item))
        return Receipt(item.key)

    def _post(self, body: Mapping[str, Any], extensions: dict[str, Any] | None = None) -> None:
        try:
            response = self.http.post(
                self._hook,
                content=orjson.dumps(body),
                headers={"Content-Type": "application/json"},
                extensions=extensions,
            )
        except DeliveryError as fault:
            raise explain_hook(fault) from None
        if response.text.strip() != "ok":
            raise Misconfigured(
                f'Slack answered {response.status_code}, but not "ok": something else took the message. '
                "Compare the address with the webhook's address in Slack.",
                status=response.status_code,
            )


def _check_channel(channel: Mapping[str, Any]) -> Iterator[Step]:
    name = channel.get("name") or channel.get("id")
    if channel.get("is_archived"):
        yield Step("target", False, f"The channel #{name} is archived. Unarchive it, or enter another.")
        return
    yield Step("target", True, f"The channel is #{name}.")
    if channel.get("is_member"):
        yield Step("permission", True, "The bot is in the channel.")
    else:
        words = "The bot is not in the channel. Invite it, unless it has the scope chat:write.public."
        yield Step("permission", None, words)


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
