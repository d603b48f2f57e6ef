"""IBM QRadar's HTTP Receiver: one event a line, as JSON or LEEF; it takes the whole call or nothing of it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from core.http.errors import DeliveryError, Misconfigured, Rejected, Unavailable
from core.integrations.answers import READS_ONLY, json_answer, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.integrations.batches import batches
from core.platform.secret import Secret
from core.platform.text import cut_bytes, is_web_page, one_line

# our choice: QRadar documents no count; its Max POST Length is asked for in the setup
BATCH_ITEMS, BATCH_BYTES = 500, 1_000_000
#: Max Payload Length of a log source goes up to 32,767; what is longer becomes several events
EVENT_BYTES = 32_767
#: together, and written as JSON, they stay below one event
FIELD_BYTES = {"name": 1000, "text": 8000, "subject": 1000, "url": 2000}
OTHER_BYTES = 200
TYPES = {"json": "application/json", "leef": "text/plain; charset=utf-8"}
RECEIVER = "Enter the address and port of the log source of type HTTP Receiver (port 12469 unless changed)."
CONSOLE = f"This is not QRadar's HTTP Receiver but a web page, likely the console. {RECEIVER}"


@dataclass(frozen=True, kw_only=True)
class Config:
    url: str
    format: str = "json"
    auth_header: str = "Authorization"
    auth_value: Secret | None = None
    console_url: str | None = None
    sec_token: Secret | None = None


class QRadar(Connector[Config]):
    Config = Config

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        write = leef_line if self.config.format == "leef" else json_line
        headers = {"Content-Type": TYPES[self.config.format], **self._authorization()}
        for batch in batches(((item, write(item)) for item in items), BATCH_BYTES, BATCH_ITEMS):
            content = b"".join(line + b"\n" for _, line in batch)
            self._receive("POST", content=content, headers=headers)
            for item, _ in batch:
                yield Receipt(item.key)

    def check(self) -> Iterator[Step]:
        config = self.config
        if config.console_url and _origin(config.console_url) == _origin(config.url):
            raise Misconfigured(CONSOLE, stage="target")
        self._knock()
        yield from reached(config.url, "QRadar's HTTP Receiver")
        if config.console_url and config.sec_token:
            yield self._check_console(config.console_url.rstrip("/"), config.sec_token)
        yield Step(
            "credentials",
            None,
            "Whether the receiver accepts the header and the events shows the first event; "
            "a test would itself be an event.",
        )
        yield Step(
            "target", None, "Whether a call of many events is cut apart is set in QRadar: Event Per Line."
        )

    def _knock(self) -> None:
        """Call the receiver with GET: any answer shows that it can be reached. Only an event could show more."""
        try:
            self._receive("GET", headers=self._authorization())
        except DeliveryError as fault:
            if fault.status not in (400, 405, 411, 415, 501):
                raise

    def _check_console(self, base: str, token: Secret) -> Step:
        headers = {"SEC": token.reveal(), "Accept": "application/json"}
        try:
            answer = self.http.get(f"{base}/api/system/about", headers=headers, extensions=READS_ONLY)
            about = json_answer(answer, "QRadar's console")
        except DeliveryError as fault:
            if fault.status not in (401, 403):
                raise
            text = f"The console does not accept the token (answer {fault.status}). Make a new one"
            return Step(
                "credentials", False, f"{text} under Admin > Authorized Services, then deploy changes."
            )
        version = one_line(str(about.get("external_version")), 40)
        return Step("credentials", True, f"The console is QRadar {version} and accepts the token.")

    def _receive(self, method: str, **more: Any) -> None:
        try:
            self.http.request(method, self.config.url, **more)
        except DeliveryError as fault:
            raise self._explain(fault) from None

    def _authorization(self) -> dict[str, str]:
        """QRadar compares the whole value, so it goes out as entered: no Bearer in front."""
        value = self.config.auth_value
        return {self.config.auth_header: value.reveal()} if value else {}

    def _explain(self, fault: DeliveryError) -> DeliveryError:
        status, host = fault.status or 0, httpx.URL(self.config.url).host
        is_page = isinstance(fault, Misconfigured | Rejected) and is_web_page(fault.body)
        if is_page or 300 <= status < 400:
            return Misconfigured(CONSOLE, status=status, body=fault.body, stage="target")
        if status in (401, 403):
            words = (
                f"QRadar answered {status}: the log source does not accept the header "
                f"{self.config.auth_header}. Compare its name and value with the log source; a receiver "
                "without such a setting needs a newer HTTP Receiver protocol."
            )
            return Misconfigured(words, status=status, body=fault.body, stage="credentials")
        if status == 404:
            return Misconfigured(
                f"{host} answered 404: no HTTP Receiver is there. {RECEIVER}", status=status, body=fault.body
            )
        if isinstance(fault, Unavailable) and not status:
            hint = "For a new log source, run Deploy Changes in QRadar and open its port in the firewall."
            return Unavailable(f"{fault.said} {hint}", fault.next_step, stage=fault.stage)
        return fault


def json_line(item: Item) -> bytes:
    """`type` stands first, always: a log source that does not cut by lines finds the next event by it."""
    event = _event(item)
    raw = event.pop("raw", None)
    line = orjson.dumps(event)
    if raw is None:
        return line
    whole = orjson.dumps(event | {"raw": raw})
    text, room = orjson.dumps(raw).decode(), EVENT_BYTES - len(line)
    while len(whole) > EVENT_BYTES and room > 0:
        whole = orjson.dumps(event | {"raw": cut_bytes(text, room)})
        room = room * 3 // 4  # written as text its quotes take two bytes, so a cut may not be enough
    return whole if len(whole) <= EVENT_BYTES else line


def leef_line(item: Item) -> bytes:
    """LEEF 2.0 with a tab between attributes. Neither tab nor line break nor | can come out of a text."""
    event = _event(item)
    code = re.sub(r"[|\t]", " ", str(event.pop("type")))
    known = {
        "cat": "footprintiq",
        "sev": event.pop("severity", None),
        "devTime": event.pop("devTime", None),
        "externalId": event.pop("id"),
    }
    raw = event.pop("raw", None)
    if raw is not None:
        event["raw"] = orjson.dumps(raw).decode()
    pairs = [f"{name}={_flat(value)}" for name, value in (known | event).items() if value is not None]
    head = f"LEEF:2.0|FootprintIQ|Integration Hub|1|{code}|x09|"
    return cut_bytes(head + "\t".join(pairs), EVENT_BYTES).encode()


def _event(item: Item) -> dict[str, Any]:
    body = item.body
    time, kind = body.pop("time", None), str(body.pop("type", "footprintiq"))
    event: dict[str, Any] = {"type": one_line(kind, OTHER_BYTES), "id": item.key}
    if time is not None:
        event["devTime"] = round(time * 1000)
    body.pop("id", None)
    return event | {name: _fitted(name, value) for name, value in body.items()}


def _fitted(name: str, value: Any) -> Any:
    return cut_bytes(value, FIELD_BYTES.get(name, OTHER_BYTES)) if isinstance(value, str) else value


def _flat(value: Any) -> str:
    return one_line(str(value), EVENT_BYTES)


def _origin(url: str) -> Mapping[str, Any]:
    address = httpx.URL(url)
    return {"host": address.host, "port": address.port, "path": address.path.rstrip("/")}
