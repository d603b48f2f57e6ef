"""Splunk's HTTP Event Collector (HEC): a batch of events in one request, judged by Splunk's own codes."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from core.http.errors import (
    CORRECT_MAPPING,
    DeliveryError,
    InDoubt,
    Misconfigured,
    Rejected,
    Stage,
    Throttled,
    Unavailable,
)
from core.integrations.answers import READS_ONLY, body_of, foreign, is_foreign, json_answer, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.platform.secret import Secret

EVENT, HEALTH = "/services/collector/event", "/services/collector/health"
HOST = "footprintiq-hub"
#: the refused events are taken out one call at a time; a batch with more is given back
MAX_BAD = 10
#: 24 and 25: accepted, and Splunk asks to slow down; its queue answers 26 when it is full
ACCEPTED = (0, 24, 25)
NO_DATA = 5
PORTS = {8089: "management port", 8000: "web port"}

_TOKENS = "Settings > Data inputs > HTTP Event Collector"
#: help.splunk.com, HEC reply codes
CODES: dict[int, tuple[type[DeliveryError], str]] = {
    1: (Misconfigured, f"the token is disabled. Enable it under {_TOKENS}, then press Test."),
    2: (Misconfigured, "no token arrived. Let the proxy in between pass the Authorization header."),
    3: (Misconfigured, f"the token was not understood. Copy its value again from {_TOKENS}."),
    4: (Misconfigured, f"the token is not known. Copy its value again from {_TOKENS}, then press Test."),
    5: (Rejected, "no event was found in the request."),
    6: (Rejected, "the event could not be read."),
    7: (Misconfigured, "the token may not write to {index}. Allow that index for the token, or change it."),
    8: (Unavailable, "Splunk failed inside."),
    9: (Unavailable, "Splunk is busy."),
    10: (Misconfigured, "the token has indexer acknowledgement on. Switch it on here, or use another token."),
    11: (Misconfigured, "the channel is not accepted. Enter a GUID as the channel, or leave it empty."),
    12: (Rejected, "the event has no content."),
    13: (Rejected, "the event is blank."),
    14: (
        Misconfigured,
        "the token has indexer acknowledgement off. Switch it off here, or use another token.",
    ),
    15: (Rejected, "an indexed field is not accepted."),
    16: (Misconfigured, "the token is expected in the header only. Take it out of the address."),
    18: (Unavailable, "Splunk's queues are full."),
    19: (Unavailable, "Splunk's acknowledgement service is away."),
    20: (Unavailable, "Splunk's queues are full and its acknowledgement service is away."),
    21: (Misconfigured, f"the token is not known. Copy its value again from {_TOKENS}, then press Test."),
    22: (Misconfigured, f"the token is disabled. Enable it under {_TOKENS}, then press Test."),
    23: (Unavailable, "Splunk is shutting down."),
    26: (Throttled, "Splunk's queue is full."),
    27: (Throttled, "Splunk's acknowledgement channel is full."),
}
_NEXT: dict[type[DeliveryError], str] = {
    Rejected: CORRECT_MAPPING,
    Unavailable: "The events wait and are sent again.",
    Throttled: "The events wait.",
}
#: what fails in a connection test by a code, where the status of the answer does not say so
STAGES: dict[int, Stage] = {
    **dict.fromkeys((1, 2, 3, 4, 16, 21, 22), "credentials"),
    7: "permission",
    **dict.fromkeys((10, 11, 14), "target"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    url: str
    token: Secret
    index: str | None = None
    source: str = "footprintiq"
    sourcetype: str = "footprintiq:scan"
    use_ack: bool = False
    channel: str | None = None


class Splunk(Connector[Config]):
    Config = Config

    def check(self) -> Iterator[Step]:
        self._call("GET", HEALTH)
        yield from reached(self.config.url, "Splunk's HTTP Event Collector")
        yield self._check_token()
        yield Step(
            "permission",
            None,
            f"Whether the token may write to {self._index} shows with the first event; "
            "Splunk has no way to ask without sending one.",
        )

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        left = list(items)
        while left and len(items) - len(left) < MAX_BAD:
            try:
                answer = self._call("POST", EVENT, b"\n".join(map(self._event, left)))
            except Rejected as fault:
                bad = _bad_event(fault, len(left))
                if bad is None:
                    raise  # the batch as a whole: `settle` halves it
                yield Receipt(left.pop(bad).key, fault=fault)
                continue
            self._require_accepted(answer)
            # an acknowledgement id names the whole request: queued, and not yet indexed
            ack = answer.get("ackId")
            for item in left:
                yield Receipt(item.key, vendor_id=None if ack is None else str(ack))
            return

    def _event(self, item: Item) -> bytes:
        body, config = item.body, self.config
        envelope: dict[str, Any] = {}
        if body.get("time") is not None:
            # always a plain decimal: 1.7953416e9 is refused with code 15
            envelope["time"] = orjson.Fragment(f"{body['time']:.3f}")
        envelope |= {"host": HOST, "source": config.source, "sourcetype": config.sourcetype}
        if config.index:
            envelope["index"] = config.index
        return orjson.dumps(envelope | {"event": body["event"], "fields": {"finding_id": item.key}})

    def _check_token(self) -> Step:
        """An empty request: `No data` is said only to a good token, and nothing is indexed."""
        try:
            self._call("POST", EVENT, b"")
        except DeliveryError as fault:
            if _code(body_of(fault)) == NO_DATA:
                return Step("credentials", True, "Splunk accepts the token.")
            raise
        words = "Something accepted an empty request, which Splunk never does. Correct the address."
        raise Misconfigured(words, stage="target")

    def _call(self, method: str, path: str, content: bytes = b"") -> dict[str, Any]:
        reads_only = {} if content else READS_ONLY
        try:
            response = self.http.request(
                method, self._base + path, content=content, headers=self._headers(), extensions=reads_only
            )
            return json_answer(response, "Splunk")
        except DeliveryError as fault:
            raise self._explain(fault) from None

    def _headers(self) -> dict[str, str]:
        config = self.config
        headers = {"Authorization": f"Splunk {config.token.reveal()}", "Content-Type": "application/json"}
        if config.use_ack or config.channel:
            # any GUID will do, as long as it stays the same
            channel = config.channel or str(uuid.uuid5(uuid.NAMESPACE_URL, self._base))
            headers["X-Splunk-Request-Channel"] = channel
        return headers

    @property
    def _base(self) -> str:
        # people paste the whole collector address
        return self.config.url.split("/services/collector")[0].rstrip("/")

    @property
    def _index(self) -> str:
        return f'index "{self.config.index}"' if self.config.index else "its default index"

    def _require_accepted(self, answer: dict[str, Any]) -> None:
        code = _code(answer)
        if code in ACCEPTED:
            return
        fault = InDoubt(f"Splunk answered 200 with code {code}; the events may have arrived.", status=200)
        raise self._judged(code, fault) or fault

    def _explain(self, fault: DeliveryError) -> DeliveryError:
        """The same fault by Splunk's own code, where the answer has one."""
        judged = self._judged(_code(body_of(fault)), fault)
        if judged:
            return judged
        address = httpx.URL(self._base)
        if address.port in PORTS and isinstance(fault, Misconfigured | Rejected | InDoubt):
            return Misconfigured(
                f"{address.host}:{address.port} is Splunk's {PORTS[address.port]}; the HTTP Event Collector "
                "listens on 8088 unless changed. Correct the port in the address.",
                status=fault.status,
                stage="target",
            )
        if fault.status == 404:
            return Misconfigured(
                f"There is no HTTP Event Collector at {address.host} (answer 404). Correct the address; "
                "the collector listens on port 8088 unless changed.",
                status=404,
                body=fault.body,
            )
        return foreign(fault, "Splunk") if is_foreign(fault) else fault

    def _judged(self, code: int | None, fault: DeliveryError) -> DeliveryError | None:
        if code is None or code not in CODES:
            return None
        kind, words = CODES[code]
        sentence = words.format(index=self._index) if code == 7 else words
        return kind(
            f"Splunk answered {fault.status} (code {code}): {sentence}",
            _NEXT.get(kind, ""),
            status=fault.status,
            body=fault.body,
            retry_after_s=fault.retry_after_s,
            stage=STAGES.get(code),
        )


def _code(answer: Mapping[str, Any]) -> int | None:
    code = answer.get("code")
    return code if isinstance(code, int) else None


def _bad_event(fault: DeliveryError, count: int) -> int | None:
    """Which event of the request Splunk objects to, where it says so."""
    number = body_of(fault).get("invalid-event-number")
    return number if type(number) is int and 0 <= number < count else None
