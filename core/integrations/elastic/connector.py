"""Elasticsearch's bulk API: a document per record, created under the record's key and judged one by one."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import httpx
import orjson

from core.http.errors import (
    CORRECT_MAPPING,
    DeliveryError,
    InDoubt,
    Misconfigured,
    Rejected,
    Throttled,
    Unavailable,
)
from core.integrations.answers import READS_ONLY, body_of, foreign, json_answer, reached
from core.integrations.base import Connector, Item, Receipt, Step
from core.integrations.batches import Encoded, batches, ends
from core.platform.secret import Secret
from core.platform.text import cut_bytes, is_web_page, one_line

BATCH_ITEMS, BATCH_BYTES = 500, 5_000_000
#: below Lucene's 32,766 bytes for one term, should an index of one's own index this field
ORIGINAL_BYTES = 30_000
PRIVILEGES = ["create_doc", "auto_configure"]
#: what is read of each item; without it 500 refusals pass 1 MiB
ANSWER = "errors,items.*._id,items.*.status,items.*.failure_store,items.*.error.type,items.*.error.reason"
#: as Elasticsearch makes them: the id of a key has 20 characters, the key without its id 22
HALF_KEY = re.compile(r"[\w-]{20}|[\w-]{22}|[^:]+:[^:]+")
#: errors of an item that every other record would meet too
OF_CONNECTION = frozenset(
    {"index_not_found_exception", "invalid_index_name_exception", "index_closed_exception"}
    | {"security_exception", "cluster_block_exception"}
)


@dataclass(frozen=True, kw_only=True)
class Config:
    url: str
    api_key: Secret
    target: str = "logs-footprintiq.scan-default"


class Elastic(Connector[Config]):
    Config = Config
    #: 406: some proxy changed the content type
    faults: ClassVar[Mapping[int, type[DeliveryError]]] = {406: Misconfigured}

    def deliver(self, items: Sequence[Item]) -> Iterator[Receipt]:
        for batch in batches(((item, _lines(item)) for item in items), BATCH_BYTES, BATCH_ITEMS):
            path = f"{quote(self.config.target, safe='')}/_bulk"
            content = b"".join(lines for _, lines in batch)
            answer = self._post(path, content, "application/x-ndjson", params={"filter_path": ANSWER})
            receipts = self._receipts(batch, answer.get("items"))
            yield from receipts
            if ends(receipts):
                return

    def check(self) -> Iterator[Step]:
        target = self.config.target
        asked = orjson.dumps({"index": [{"names": [target], "privileges": PRIVILEGES}]})
        try:
            answer = self._post("_security/user/_has_privileges", asked, extensions=READS_ONLY)
        except Rejected as fault:
            if "no handler" not in fault.body:
                raise
            yield from reached(self.config.url, "Elasticsearch")
            yield Step("credentials", None, "This server has no such check (OpenSearch, or security is off).")
            return
        yield from reached(self.config.url, "Elasticsearch")
        yield Step("credentials", True, f"Elasticsearch knows the key as {answer.get('username')}.")
        yield _check_privileges(answer, target)
        kind = "a data stream" if re.fullmatch(r"logs-[^-]+-.+", target) else "a plain index"
        yield Step("target", None, f"If {target} does not exist, the first record makes it: {kind}.")

    def _receipts(self, batch: Sequence[Encoded], results: Any) -> list[Receipt]:
        """The answer lists its items in the order of the request."""
        if not isinstance(results, list) or len(results) != len(batch):
            raise InDoubt("Elasticsearch answered without a result per record; they may have arrived.")
        judged = (_judge(entry, self.config.target) for entry in results)
        return [
            Receipt(item.key, vendor_id=None if fault else item.key, fault=fault)
            for (item, _), fault in zip(batch, judged, strict=True)
        ]

    def _post(self, path: str, content: bytes, kind: str = "application/json", **more: Any) -> dict[str, Any]:
        headers = {"Authorization": f"ApiKey {self._api_key()}", "Content-Type": kind}
        try:
            response = self.http.post(f"{self._base}/{path}", content=content, headers=headers, **more)
        except DeliveryError as fault:
            raise self._explain(fault) from None
        return json_answer(response, "Elasticsearch")

    def _api_key(self) -> str:
        key = self.config.api_key.reveal()
        if HALF_KEY.fullmatch(key):
            raise Misconfigured(
                "This is a part of an API key. Paste the value that Kibana calls Encoded (API: encoded).",
                stage="credentials",
            )
        return key

    @property
    def _base(self) -> str:
        return self.config.url.rstrip("/")

    def _explain(self, fault: DeliveryError) -> DeliveryError:
        words = None
        if isinstance(fault, Misconfigured | Rejected | InDoubt) and self._is_kibana(fault):
            return Misconfigured(
                f"{httpx.URL(self._base).host} is Kibana. Enter Elasticsearch's own address: on port 9200 "
                "unless changed, on Elastic Cloud the one with .es. in its name.",
                status=fault.status,
                body=fault.body,
                stage="target",
            )
        if isinstance(fault, Misconfigured | Rejected) and is_web_page(fault.body):
            return foreign(fault, "Elasticsearch")
        elif fault.status == 401:
            words = (
                "Elasticsearch does not accept the API key. Paste its Encoded value again, or make a new key."
            )
        elif fault.status == 403:
            words = (
                f"The API key may not write to {self.config.target}. "
                f"Give it {' and '.join(PRIVILEGES)} there, then press Test."
            )
        elif fault.status == 404:
            words = "There is no bulk API at this address (answer 404). Correct the address or the target."
        elif fault.status == 406:
            words = "The content type did not arrive. Let the proxy in between pass all headers through."
        return Misconfigured(words, status=fault.status, body=fault.body) if words else fault

    def _is_kibana(self, fault: DeliveryError) -> bool:
        address = httpx.URL(self._base)
        own_words = {"statusCode", "error", "message"} <= body_of(fault).keys()
        return own_words or address.port == 5601 or ".kb." in address.host


def _lines(item: Item) -> bytes:
    """`create` with the record's key as the id: sent again, it is refused as known and nothing is doubled."""
    document = item.body
    event = {**document.get("event", {}), "id": item.key}
    raw = document.pop("raw", None)
    if raw is not None:
        # as text: a scan's own fields would all become fields of the index
        event["original"] = cut_bytes(orjson.dumps(raw).decode(), ORIGINAL_BYTES)
    action = orjson.dumps({"create": {"_id": item.key}})
    return b"%b\n%b\n" % (action, orjson.dumps(document | {"event": event}))


def _check_privileges(answer: Mapping[str, Any], target: str) -> Step:
    granted = (answer.get("index") or {}).get(target) or {}
    missing = [name for name in PRIVILEGES if not granted.get(name)]
    if missing:
        text = f"The API key lacks {' and '.join(missing)} on {target}. Give it these, then press Test."
        return Step("permission", False, text)
    return Step("permission", True, f"The API key may write to {target} and create it.")


def _judge(entry: Any, target: str) -> DeliveryError | None:
    """What an item's result says; None where its document is in the index, now or since an earlier try."""
    result: dict[str, Any] = next(iter(entry.values()), {}) if isinstance(entry, dict) else {}
    status, error = result.get("status"), result.get("error") or {}
    if result.get("failure_store") == "used":
        return Rejected(
            f"{target} could not take the document; Elasticsearch put it into the failure store.",
            "Correct the field's mapping here or there, then replay.",
            status=status,
        )
    if not isinstance(status, int):
        return InDoubt("Elasticsearch gave no status for this record; it may have arrived.", status=200)
    if 200 <= status < 300 or status == 409:
        return None
    kind = _kind(status, str(error.get("type")))
    told = one_line(f"{error.get('type')}: {error.get('reason')}", 400)
    return kind(f"Elasticsearch answered {status} for {target} ({told}).", _NEXT[kind], status=status)


_NEXT: dict[type[DeliveryError], str] = {
    Rejected: CORRECT_MAPPING,
    Misconfigured: "Correct the target or the key's privileges, then press Test.",
    Throttled: "The records wait.",
    Unavailable: "The records wait and are sent again.",
}


def _kind(status: int, error: str) -> type[DeliveryError]:
    if status == 429:  # before the types: a full disk is a cluster block, and passes
        return Throttled
    if status in (401, 403, 404) or error in OF_CONNECTION:
        return Misconfigured
    return Rejected if status < 500 else Unavailable
