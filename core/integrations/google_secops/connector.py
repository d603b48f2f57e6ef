"""Google SecOps (Chronicle API): UDM events, or raw logs of a type that the customer's own parser reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from core.http.errors import DeliveryError, Misconfigured, Rejected
from core.integrations.answers import READS_ONLY, json_answer, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.integrations.batches import batches, joined, too_large
from core.integrations.bearer import Bearer, TokenGrant
from core.integrations.google_secops.faults import explain
from core.integrations.google_secops.service_account import TOKEN_URL, explain_sign_in, read_key, sign_in
from core.integrations.google_secops.udm import log, udm
from core.platform.secret import Secret

VERSION = "v1"
#: 4 MB a request; Google's own scripts stop at 3.95 (chronicle/ingestion-scripts). The rest is for the frame
MAX_BYTES = 3_900_000
#: names the sender of logs; like other senders' it need not be registered (bindplane-otel-collector)
FORWARDER = "f1700717-0000-4000-8000-000000000001"


@dataclass(frozen=True, kw_only=True)
class Config:
    project_id: str
    location: str
    instance_id: str
    service_account_json: Secret
    mode: str = "udm"
    log_type: str | None = None
    endpoint_url: str | None = None
    token_url: str | None = None


class GoogleSecOps(Connector[Config]):
    Config = Config

    def check(self) -> Iterator[Step]:
        self._bearer().renew()
        yield from reached(self._token_url, "Google's sign-in")
        key = read_key(self.config.service_account_json.reveal())
        yield Step("credentials", True, f"Google accepts the key of {key['client_email']}.")
        told = "took an empty import"
        try:
            self._import(b"", READS_ONLY)
        except Rejected:
            told = "refused an empty import for being empty"
        # Google's APIs ask for the permission before they look at the content; not tried on a real instance
        yield Step("permission", True, f"Google SecOps {told}: the account may import into {self._instance}.")

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        encode = udm if self.config.mode == "udm" else log
        entries = ((item, orjson.dumps(encode(item.body))) for item in items)
        for batch in batches(entries, MAX_BYTES):
            refused = too_large(batch, MAX_BYTES)
            if refused:
                yield refused
                continue
            self._import(joined(batch))
            for item, _ in batch:
                yield Receipt(item.key)

    def _import(self, entries: bytes, extensions: dict[str, Any] | None = None) -> None:
        """All or nothing: a single bad event refuses the whole request, and `settle` halves it."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            answer = self._bearer().post(self._url, self._body(entries), headers, extensions)
            if answer.content.strip():  # {} or nothing
                json_answer(answer, "Google SecOps")
        except DeliveryError as fault:
            raise explain(fault, self._instance, self.config.log_type) from None

    def _body(self, entries: bytes) -> bytes:
        if self.config.mode == "udm":
            return b'{"inlineSource":{"events":[' + entries + b"]}}"
        forwarder = orjson.dumps(f"{self._instance}/forwarders/{FORWARDER}")
        return b'{"inlineSource":{"logs":[' + entries + b'],"forwarder":' + forwarder + b"}}"

    def _bearer(self) -> Bearer:
        return Bearer(self.http, self.tools.tokens, "Google", self._sign_in, explain_sign_in)

    def _sign_in(self) -> TokenGrant:
        key = read_key(self.config.service_account_json.reveal())
        return sign_in(key, self._token_url, int(self.tools.now().timestamp()))

    @property
    def _token_url(self) -> str:
        return self.config.token_url or TOKEN_URL

    @property
    def _instance(self) -> str:
        names = (self.config.project_id, self.config.location, self.config.instance_id)
        project, location, instance = (quote(name, safe="") for name in names)
        return f"projects/{project}/locations/{location}/instances/{instance}"

    @property
    def _url(self) -> str:
        config = self.config
        base = config.endpoint_url or f"https://chronicle.{config.location}.rep.googleapis.com"
        if config.mode == "udm":
            return f"{base.rstrip('/')}/{VERSION}/{self._instance}/events:import"
        if not config.log_type:
            raise Misconfigured(
                "The mode logs needs log_type: the name of your log type in Google SecOps.", stage="target"
            )
        log_type = quote(config.log_type, safe="")
        return f"{base.rstrip('/')}/{VERSION}/{self._instance}/logTypes/{log_type}/logs:import"
