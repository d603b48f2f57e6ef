"""Microsoft Teams through a workflow's webhook: one Adaptive Card per record, accepted but never confirmed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from core.http.errors import DeliveryError, Misconfigured
from core.integrations.answers import STATUS_IS_ALL, body_of, foreign, is_foreign, one_by_one, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.platform.secret import Secret
from core.platform.text import cut_bytes, one_line, printable, web_link

#: 28 KB for the whole message (learn.microsoft.com/connectors/teams); beyond it the workflow fails after it
#: has said 202, so the hub stays below
MESSAGE_BYTES = 24 * 1024
TITLE_CHARS, NAME_CHARS, FACT_CHARS, URL_CHARS = 250, 75, 300, 2000
FACTS_MAX, LINES_MAX = 10, 60
COLORS = {"critical": "Attention", "high": "Warning", "medium": "Accent", "low": "Default"}

_AGAIN = "Open the workflow, copy its URL again and enter it."
#: error codes of the trigger (Power Automate, Logic Apps) and what to do
CODES = {
    "DirectApiAuthorizationRequired": "it wants a sign-in. Set its trigger's “Who can trigger the flow?” to "
    "Anyone, then copy the URL again: it must contain sig=.",
    "DirectApiInvalidAuthorizationScheme": f"its URL is not complete. {_AGAIN}",
    "MissingApiVersionParameter": f"its URL is not complete. {_AGAIN}",
    "TriggerInputSchemaMismatch": "it expects another body. Make it from the template “Post to a channel when a "
    "webhook request is received”.",
    "WorkflowNotFound": "it was deleted. Make a new one and enter its URL.",
    "WorkflowDisabled": "it is turned off. Turn it on in Power Automate, then press Test.",
}


@dataclass(frozen=True, kw_only=True)
class Config:
    webhook_url: Secret


class Teams(Connector[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._send)

    def check(self) -> Iterator[Step]:
        """Calling a workflow's address runs it, so only its host is asked."""
        url = httpx.URL(self.config.webhook_url.reveal())
        try:
            self.http.get(f"{url.scheme}://{url.netloc.decode()}/")
        except DeliveryError as fault:
            if fault.status is None:
                raise
        yield from reached(str(url), "Microsoft")
        if url.host.endswith(".logic.azure.com"):
            words = "Power Automate left logic.azure.com on 30 November 2025: "
            words += (
                "only a Logic App of your own in Azure still answers there. Else copy the workflow's new URL."
            )
            yield Step("target", None, words)
        words = (
            "A workflow cannot be tried without posting. After the first alert, look into its run history."
        )
        yield Step("credentials", None, words)

    def _send(self, item: Item) -> Receipt:
        try:
            self.http.post(
                self.config.webhook_url.reveal(),
                content=orjson.dumps(message(item)),
                headers={"Content-Type": "application/json"},
                extensions=STATUS_IS_ALL,
            )
        except DeliveryError as fault:
            raise _explain(fault) from None
        return Receipt(item.key)  # nothing names the message, and 202 does not say that it was posted


def message(item: Item) -> dict[str, Any]:
    """The message around the card; its text is cut until the whole fits."""
    text = printable(str(item.body.get("text") or ""))
    built = _message(item, text)
    while text and (over := len(orjson.dumps(built)) - MESSAGE_BYTES) > 0:
        text = cut_bytes(text, max(0, len(text.encode()) - over - 8))
        built = _message(item, text)
    return built


def _message(item: Item, text: str) -> dict[str, Any]:
    body = item.body
    ref, severity = str(body.get("ref") or item.key), str(body.get("severity", ""))
    title = one_line(str(body.get("title", "")), TITLE_CHARS) or ref
    color = {"color": COLORS.get(severity, "Default")}
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",  # every Teams client shows it
        "body": [
            _line([_run(title, weight="Bolder", size="Large", **color)]),
            *_paragraphs(text),
            *_facts(body.get("facts") or {}),
            _line([_run(one_line(ref, 200), size="Small", isSubtle=True)], separator=True),
        ],
    }
    link = web_link(body.get("url"))
    if link and len(link) <= URL_CHARS:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Open in FootprintIQ", "url": link}]
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def _paragraphs(text: str) -> list[dict[str, Any]]:
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    shown = lines if len(lines) <= LINES_MAX else [*lines[: LINES_MAX - 1], "…"]
    return [_line([_run(line)], spacing="Small") for line in shown]


def _facts(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    named = [
        (one_line(str(n), NAME_CHARS), one_line(str(v), FACT_CHARS))
        for n, v in facts.items()
        if v is not None
    ]
    shown = [(name, value) for name, value in named if name and value][:FACTS_MAX]
    return [
        _line([_run(f"{name}: ", weight="Bolder"), _run(value)], spacing="Small") for name, value in shown
    ]


def _line(runs: list[dict[str, Any]], **style: Any) -> dict[str, Any]:
    """Rich text and not a TextBlock: a TextRun has no Markdown, so nothing in a finding is markup."""
    return {"type": "RichTextBlock", **style, "inlines": runs}


def _run(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextRun", "text": text, **style}


def _explain(fault: DeliveryError) -> DeliveryError:
    if is_foreign(fault):
        return foreign(fault, "Teams")
    error = body_of(fault).get("error")
    code = str(error.get("code", "")) if isinstance(error, dict) else ""
    words = CODES.get(code)
    if words is None and fault.status in (401, 403):
        words = CODES["DirectApiAuthorizationRequired"]
    if words is None and fault.status == 404:
        words = "it was deleted or turned off, or its owner left. Turn it on, or make a new one."
    if words is None:
        return fault
    named = f" ({code})" if code else ""
    sentence = f"The Teams workflow answered {fault.status}{named}: {words}"
    return Misconfigured(sentence, status=fault.status, body=fault.body)
