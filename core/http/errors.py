"""How a call can fail: each fault names what the hub does next.

DeliveryError
├── Rejected        the record's fault: dead-letter it, carry on
│   ├── TooLarge    413: halve the batch; a single item is then Rejected
│   └── Contested   409: something there stands in its way now; tried three times, then Rejected
├── Unavailable     the vendor's fault, certainly not accepted: try again by the policy
│   └── Throttled   429: the whole connection waits, no attempt is spent
├── Misconfigured   the connection's fault: pause it, keep the queue, spend no attempt
│   └── Gone        410 and the vendor's words for it: disabled at once
├── InDoubt         sent, but no answer that says what became of it
└── NotTried        the batch stopped before this item: nothing left for it, nothing is spent
"""

from collections.abc import Mapping
from typing import Any

import orjson


class DeliveryError(Exception):
    """Why a call did not deliver. `message` is one sentence for people: no secret, no stack.

    `status` is the HTTP status if one was read; `body` the start of the answer (decoded, redacted);
    `retry_after_s` what the vendor asked for, in seconds; `headers` those of the answer, as they came:
    for the connector to read, never stored or shown.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        body: str = "",
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s
        self.headers = headers or {}

    def json(self) -> Any:
        """The answer's body as JSON, or an empty dict where it is none."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}


class Rejected(DeliveryError): ...


class TooLarge(Rejected): ...


class Contested(Rejected): ...


class Unavailable(DeliveryError): ...


class Throttled(Unavailable): ...


class Misconfigured(DeliveryError): ...


class Gone(Misconfigured): ...


class InDoubt(DeliveryError): ...


class NotTried(DeliveryError): ...
