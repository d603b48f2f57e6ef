"""Discord's channel webhook: one embed per record, confirmed with the message's id; nobody is pinged."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from core.http.errors import DeliveryError, Gone, Misconfigured, Throttled
from core.integrations.answers import body_of, foreign, is_foreign, json_answer, one_by_one, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.platform.secret import Secret
from core.platform.text import cut, is_web_page, one_line, printable, web_link

# discord.com/developers/docs/resources/message, Embed limits; the sum is over all texts of all embeds
TITLE_CHARS, DESCRIPTION_CHARS, NAME_CHARS, VALUE_CHARS, FOOTER_CHARS, SUM_CHARS = (
    256,
    4096,
    256,
    1024,
    2048,
    6000,
)
FIELDS_MAX = 10  # Discord takes 25; ten at the sizes below leave room for the description
SHOWN_NAME_CHARS, SHOWN_VALUE_CHARS, SHOWN_REF_CHARS = 75, 250, 100
COLORS = {"critical": 0xE74C3C, "high": 0xE67E22, "medium": 0xF1C40F, "low": 0x3498DB}
MAX_WAIT_S = 24 * 3600.0

#: discord.com/developers/docs/topics/opcodes-and-status-codes, JSON error codes
CODES: dict[int, tuple[type[DeliveryError], str]] = {
    10015: (Gone, "the webhook was deleted. Make a new one and enter its URL."),
    10003: (Misconfigured, "the thread or channel does not exist (any more). Correct the thread."),
    50027: (Misconfigured, "the webhook's token is not valid. Copy its URL again."),
    220001: (Misconfigured, "this is a forum channel. Enter the id of a thread in it."),
    220003: (Misconfigured, "this channel cannot start threads. Leave the thread empty."),
    160005: (Misconfigured, "the thread is locked. Unlock it, or enter another."),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    webhook_url: Secret
    thread_id: str = ""


class Discord(Connector[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._send)

    def check(self) -> Iterator[Step]:
        """Reading a webhook by its own address changes nothing and needs no account."""
        hook = json_answer(self._call("GET"), "Discord")
        yield from reached(self.config.webhook_url.reveal(), "Discord")
        if not isinstance(hook.get("id"), str):
            words = "What answers there is no webhook of Discord. Copy its URL again."
            raise Misconfigured(words, stage="target")
        name = one_line(str(hook.get("name") or "without a name"), 80)
        yield Step("credentials", True, f"The webhook is “{name}”.")
        if self.config.thread_id:
            yield Step("target", None, "Whether the thread takes messages shows the first alert.")
        else:
            yield Step("target", True, f"It writes to the channel {hook.get('channel_id')}.")

    def _send(self, item: Item) -> Receipt:
        # without wait, Discord says 204 also for what it then does not keep
        params = {"wait": "true"} | ({"thread_id": self.config.thread_id} if self.config.thread_id else {})
        response = self._call("POST", params=params, content=orjson.dumps(message(item)))
        if response.status_code == 204:
            return Receipt(item.key)
        made = str(json_answer(response, "Discord").get("id"))
        return Receipt(item.key, vendor_id=made if made.isdecimal() else None)

    def _call(self, method: str, **more: Any) -> httpx.Response:
        url, headers = self.config.webhook_url.reveal(), {"Content-Type": "application/json"}
        try:
            return self.http.request(method, url, headers=headers if "content" in more else None, **more)
        except DeliveryError as fault:
            raise _explain(fault) from None


def message(item: Item) -> dict[str, Any]:
    """One embed, its description cut to what the other texts leave of the 6,000."""
    body = item.body
    ref = one_line(str(body.get("ref") or item.key), SHOWN_REF_CHARS)
    embed: dict[str, Any] = {
        "title": escape(one_line(str(body.get("title", "")), TITLE_CHARS), TITLE_CHARS) or ref,
        "color": COLORS.get(str(body.get("severity")), COLORS["low"]),
        "fields": _fields(body.get("facts") or {}),
        "footer": {"text": ref},
    }
    link = web_link(body.get("url"))
    if link and len(link) <= 2000:
        embed["url"] = link
    text = escape(
        printable(str(body.get("text") or "")).strip(), min(DESCRIPTION_CHARS, SUM_CHARS - length(embed))
    )
    if text:
        embed["description"] = text
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


def length(embed: Mapping[str, Any]) -> int:
    """What counts towards the 6,000, in UTF-16 units."""
    fields = [part for field in embed.get("fields", []) for part in (field["name"], field["value"])]
    texts = [embed.get("title", ""), embed.get("description", ""), embed["footer"]["text"], *fields]
    return sum(len(text.encode("utf-16-le")) // 2 for text in texts)


def escape(text: str, limit: int) -> str:
    """At most `limit` units; Markdown, masked links, mentions, emoji and times in `text` stay letters."""
    inert = re.sub(r"@(?=everyone|here)", "@\u200b", text)
    escaped = re.sub(r"([\\*_~`|>#\[\]()<:-])", r"\\\1", inert)
    # of a pair that the cut took apart, the \ would escape the mark
    return re.sub(r"(?<!\\)((?:\\\\)*)\\…$", r"\1…", cut(escaped, limit))


def _fields(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    named = [
        (
            escape(one_line(str(name), SHOWN_NAME_CHARS), SHOWN_NAME_CHARS),
            escape(one_line(str(value), SHOWN_VALUE_CHARS), SHOWN_VALUE_CHARS),
        )
        for name, value in facts.items()
        if value is not None
    ]
    shown = [(name, value) for name, value in named if name and value][:FIELDS_MAX]
    return [{"name": name, "value": value, "inline": True} for name, value in shown]


def _explain(fault: DeliveryError) -> DeliveryError:
    # 40333: the edge in front of Discord bans with a web page
    if is_foreign(fault) or (fault.status == 403 and is_web_page(fault.body)):
        return foreign(fault, "Discord")
    answer = body_of(fault)
    if isinstance(fault, Throttled):
        wait_s = answer.get("retry_after")
        if fault.retry_after_s is None and isinstance(wait_s, int | float) and 0 <= wait_s <= MAX_WAIT_S:
            fault.retry_after_s = float(wait_s)
        return fault
    code = answer.get("code")
    if fault.status == 404 and code not in CODES:
        code = 10015  # "a 404 webhook must not be called again": 10,000 such calls ban the address
    if not isinstance(code, int) or code not in CODES:
        return fault
    kind, words = CODES[code]
    return kind(f"Discord answered {fault.status} ({code}): {words}", status=fault.status, body=fault.body)
