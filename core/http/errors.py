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
from typing import Any, Literal

import orjson

#: of a connection test, in their order; "answer": it was reached, and did not do what was asked
Stage = Literal["network", "tls", "credentials", "target", "permission", "answer"]
CORRECT_MAPPING = "Correct the mapping, then replay."


class DeliveryError(Exception):
    """Why a call did not deliver: `said` is what happened and `next_step` what follows for what was being sent,
    words for people with no secret and no stack.

    `status` is the HTTP status if one was read; `body` the start of the answer (decoded, redacted);
    `retry_after_s` what the vendor asked for, in seconds; `headers` those of the answer, as they came:
    for the connector to read, never stored or shown. `stage` is the stage of a connection test that fails by it,
    where the status does not say so (`core.integrations.stages`).
    """

    def __init__(
        self,
        said: str,
        next_step: str = "",
        *,
        status: int | None = None,
        body: str = "",
        retry_after_s: float | None = None,
        headers: Mapping[str, str] | None = None,
        stage: Stage | None = None,
    ) -> None:
        super().__init__(said)
        self.said = said
        self.next_step = next_step
        self.status = status
        self.body = body
        self.retry_after_s = retry_after_s
        self.headers = headers or {}
        self.stage = stage

    @property
    def message(self) -> str:
        """Both together: what a person reads of a delivery."""
        return f"{self.said} {self.next_step}".rstrip()

    def __str__(self) -> str:
        return self.message

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
