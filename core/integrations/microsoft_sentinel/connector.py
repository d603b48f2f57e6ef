"""Microsoft Sentinel by the Logs Ingestion API: rows for a custom table, through a data collection rule."""

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson

from core.http.errors import DeliveryError, Misconfigured, Rejected
from core.integrations.answers import READS_ONLY, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.integrations.batches import batches, joined, too_large
from core.integrations.bearer import Bearer, TokenGrant
from core.integrations.microsoft_sentinel.faults import explain, explain_sign_in
from core.integrations.microsoft_sentinel.row import row
from core.platform.secret import Secret

#: 1 MB a call, before as well as after gzip (learn.microsoft.com, Logs ingestion API, limits)
MAX_BYTES = 990_000
VERSION = "2023-01-01"
#: where to sign in, and for what (learn.microsoft.com, national clouds; azure-monitor-ingestion)
CLOUDS = {
    "public": ("https://login.microsoftonline.com", "https://monitor.azure.com/.default"),
    "usgov": ("https://login.microsoftonline.us", "https://monitor.azure.us/.default"),
    "china": ("https://login.chinacloudapi.cn", "https://monitor.azure.cn/.default"),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    endpoint_url: str
    dcr_immutable_id: str
    stream_name: str
    tenant_id: str
    client_id: str
    client_secret: Secret
    cloud: str = "public"
    authority_url: str | None = None


class MicrosoftSentinel(Connector[Config]):
    Config = Config

    def check(self) -> Iterator[Step]:
        url = self._url  # an address of the old API is told before anything is sent
        self._bearer().renew()
        yield from reached(self._sign_in().url, "Microsoft's sign-in")
        yield Step("credentials", True, "Microsoft accepts the client secret.")
        told = "took an empty list"
        try:
            self._post(b"[]", READS_ONLY)
        except Rejected:
            told = "refused an empty list for being empty"
        host = httpx.URL(url).host
        # the role is asked for before the content is looked at; not tried on a real tenant
        yield Step("permission", True, f"{host} {told}: the app may write to {self.config.stream_name}.")
        yield Step(
            "target",
            None,
            "Whether the table takes every column shows minutes after the first rows: in the table DCRLogErrors.",
        )

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        for batch in batches(((item, orjson.dumps(row(item.body))) for item in items), MAX_BYTES):
            refused = too_large(batch, MAX_BYTES)
            if refused:
                yield refused
                continue
            self._post(b"[" + joined(batch) + b"]")
            for item, _ in batch:
                yield Receipt(item.key)

    def _post(self, rows: bytes, extensions: Mapping[str, Any] | None = None) -> None:
        headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
        # mtime 0: the same rows are the same bytes
        packed = gzip.compress(rows, mtime=0)
        try:
            answer = self._bearer().post(self._url, packed, headers, dict(extensions or {}))
        except DeliveryError as fault:
            raise explain(fault, self.config.dcr_immutable_id, self.config.stream_name) from None
        if answer.status_code != 204:
            raise Misconfigured(
                f"Sentinel answers 204, but {answer.status_code} came back: something else took the rows. "
                "Copy endpoint_url again from the data collection rule.",
                status=answer.status_code,
            )

    def _bearer(self) -> Bearer:
        return Bearer(self.http, self.tools.tokens, "Microsoft", self._sign_in, explain_sign_in)

    def _sign_in(self) -> TokenGrant:
        config = self.config
        authority, scope = CLOUDS[config.cloud]
        base = (config.authority_url or authority).rstrip("/")
        form = {
            "grant_type": "client_credentials",
            "client_id": config.client_id,
            "client_secret": config.client_secret.reveal(),
            "scope": scope,
        }
        return TokenGrant(f"{base}/{quote(config.tenant_id, safe='')}/oauth2/v2.0/token", form)

    @property
    def _url(self) -> str:
        config = self.config
        host = httpx.URL(config.endpoint_url).host
        if ".ods.opinsights." in host:
            raise Misconfigured(
                f"{host} is the HTTP Data Collector API, which Microsoft switched off on 2026-09-14. "
                "Make a data collection rule and enter its logs ingestion endpoint instead.",
                stage="target",
            )
        rule, stream = quote(config.dcr_immutable_id, safe=""), quote(config.stream_name, safe="")
        base = config.endpoint_url.rstrip("/")
        return f"{base}/dataCollectionRules/{rule}/streams/{stream}?api-version={VERSION}"
