"""PagerDuty's Events API v2: a record opens an alert under its own key, so sending twice changes nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from core.http.errors import DeliveryError, InDoubt, Misconfigured, Rejected
from core.integrations.answers import (
    READS_ONLY,
    body_of,
    foreign,
    is_foreign,
    json_answer,
    one_by_one,
    reached,
)
from core.integrations.base import Connector, Item, Receipt, Step
from core.platform.secret import Secret
from core.platform.text import cut, one_line, printable, web_link

# PagerDuty/developer-docs, Events API v2; the EU host is the vendor's own service region
ENDPOINTS = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}
SUMMARY_CHARS, EVENT_BYTES = 1024, 512 * 1024
TEXT_CHARS, FIELD_CHARS = 20_000, 255
NAMED = ("timestamp", "class", "component", "group")
TEST_KEY = "fiq-connection-test"
_WRONG_KEY = (
    "it is not the key of an Events API v2 integration. Copy the Integration Key (32 characters) from the "
    "service's Integrations tab."
)


@dataclass(frozen=True, kw_only=True)
class Config:
    routing_key: Secret
    region: str = "us"
    endpoint_url: str = ""
    webhook_secret: Secret | None = None


class PagerDuty(Connector[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        return one_by_one(items, self._trigger)

    def check(self) -> Iterator[Step]:
        """Resolving what was never opened does nothing; PagerDuty drops it, by its documentation."""
        self._enqueue({"event_action": "resolve", "dedup_key": TEST_KEY}, extensions=READS_ONLY)
        yield from reached(self._endpoint, "PagerDuty")
        words = "PagerDuty takes the key's form; that it belongs to your service shows the first alert."
        yield Step("credentials", None, words)

    def _trigger(self, item: Item) -> Receipt:
        answer = json_answer(self._enqueue(event(item)), "PagerDuty")
        if answer.get("status") != "success":
            raise InDoubt("PagerDuty answered 202, but not “success”. The event is sent again under its key.")
        return Receipt(item.key, vendor_id=item.key)

    def _enqueue(self, event: dict[str, Any], **more: Any) -> httpx.Response:
        content = orjson.dumps({"routing_key": self.config.routing_key.reveal(), **event})
        if len(content) > EVENT_BYTES:
            raise Rejected(
                "The event is larger than the 512 KB PagerDuty takes.", "Shorten the mapping, then replay."
            )
        try:
            return self.http.post(
                f"{self._endpoint}/v2/enqueue",
                content=content,
                headers={"Content-Type": "application/json"},
                **more,
            )
        except DeliveryError as fault:
            raise _explain(fault) from None

    @property
    def _endpoint(self) -> str:
        endpoint = self.config.endpoint_url or ENDPOINTS[self.config.region]
        return endpoint.rstrip("/")


def event(item: Item) -> dict[str, Any]:
    """A trigger under the record's key. Details that do not fit shrink to a cut text."""
    body = item.body
    payload = {
        "summary": one_line(str(body["summary"]), SUMMARY_CHARS) or item.key,
        "source": one_line(str(body.get("source") or "FootprintIQ"), SUMMARY_CHARS) or "FootprintIQ",
        "severity": body["severity"],
    }
    named = {name: one_line(str(body.get(name) or ""), FIELD_CHARS) for name in NAMED}
    payload |= {name: value for name, value in named.items() if value}
    details = {name: _clean(value) for name, value in (body.get("details") or {}).items()}
    details["reference"] = item.key
    if len(orjson.dumps(details)) > EVENT_BYTES // 2:
        text = cut(str(details.get("text") or ""), TEXT_CHARS)
        details = {"text": text, "cut": "The details were too long; open the record.", "reference": item.key}
    made = {
        "event_action": "trigger",
        "dedup_key": item.key,
        "payload": payload | {"custom_details": details},
        "client": "FootprintIQ",
    }
    link = web_link(body.get("url"))
    if link:
        made |= {"client_url": link, "links": [{"href": link, "text": "Open in FootprintIQ"}]}
    return made


def _clean(value: Any) -> Any:
    return printable(value) if isinstance(value, str) else value


def _explain(fault: DeliveryError) -> DeliveryError:
    if is_foreign(fault):
        return foreign(fault, "PagerDuty")
    words = orjson.dumps(body_of(fault).get("errors", [])).decode() + str(body_of(fault).get("message", ""))
    if fault.status in (401, 403) or (fault.status == 400 and "routing_key" in words):
        sentence = f"PagerDuty answered {fault.status} to the integration key: {_WRONG_KEY}"
        return Misconfigured(sentence, status=fault.status, body=fault.body, stage="credentials")
    return fault
