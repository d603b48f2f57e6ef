"""Pure: a mapped finding → an entry of Google SecOps' import: a UDM event, or a raw log in base64."""

import base64
import re
from collections.abc import Mapping
from typing import Any

import orjson

from core.platform.text import cut_bytes

PRODUCT = "FootprintIQ"
#: of the record inside an event: below the 4 MB of a request with room for the base64 of logs
RAW_BYTES = 1_000_000
#: members of UDM's own; the rest of a finding goes into `additional`
_PLACED = frozenset({"id", "type", "severity", "title", "text", "subject", "url", "time"})


def udm(body: Mapping[str, Any]) -> dict[str, Any]:
    """GENERIC_EVENT: a finding about a person is none of UDM's scans of hosts, files or networks."""
    metadata = {
        "eventTimestamp": body["time"],
        "eventType": "GENERIC_EVENT",
        "vendorName": PRODUCT,
        "productName": PRODUCT,
        "productEventType": body["type"],
        "productLogId": body["id"],
        "description": body["title"],
        "urlBackToProduct": body.get("url"),
    }
    result = {"severity": body["severity"], "summary": body["title"], "description": body.get("text")}
    more = {name: value for name, value in _bounded(body).items() if name not in _PLACED}
    event: dict[str, Any] = {"metadata": _given(metadata), "securityResult": [_given(result)]}
    if body.get("subject"):
        event["target"] = {"user": _user(str(body["subject"]))}
    return {"udm": event | ({"additional": more} if more else {})}


def log(body: Mapping[str, Any]) -> dict[str, Any]:
    """The finding as it is mapped. `collectionTime` may not lie before `logEntryTime`."""
    data = base64.b64encode(orjson.dumps(_bounded(body))).decode()
    return {"data": data, "logEntryTime": body["time"], "collectionTime": body["time"]}


def _bounded(body: Mapping[str, Any]) -> dict[str, Any]:
    """With the record inside as an object, or as the start of its text where it is too long."""
    bounded = dict(body)
    if body.get("raw") is not None:
        text = orjson.dumps(body["raw"]).decode()
        bounded["raw"] = body["raw"] if len(text.encode()) <= RAW_BYTES else cut_bytes(text, RAW_BYTES)
    return bounded


def _user(subject: str) -> dict[str, Any]:
    is_address = re.fullmatch(r"[^\s@]+@[^\s@]+", subject)
    return {"emailAddresses": [subject]} if is_address else {"userDisplayName": subject}


def _given(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}
