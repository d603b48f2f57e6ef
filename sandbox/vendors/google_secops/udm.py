"""What Google's Unified Data Model takes in an event: names, types, enumerated words, times.

A part of it, from docs.cloud.google.com (UDM field list and usage guide); a name outside it is refused, as
Google's JSON reader refuses what its messages do not have.
"""

import re
from datetime import datetime
from typing import Any

EVENT_TYPES = frozenset(
    {"GENERIC_EVENT", "STATUS_UPDATE", "RESOURCE_READ", "USER_RESOURCE_ACCESS", "USER_UNCATEGORIZED"}
    | {"SCAN_UNCATEGORIZED", "SCAN_HOST", "SCAN_FILE", "SCAN_NETWORK", "SCAN_PROCESS", "SCAN_VULN_HOST"}
)
SEVERITIES = frozenset(
    {"UNKNOWN_SEVERITY", "INFORMATIONAL", "ERROR", "NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL"}
)
TEXT, TEXTS, TIME, FREE = "text", "texts", "time", "free"
USER = {
    "userid": TEXT,
    "user_display_name": TEXT,
    "first_name": TEXT,
    "last_name": TEXT,
    "email_addresses": TEXTS,
    "phone_numbers": TEXTS,
}
NOUN = {"hostname": TEXT, "application": TEXT, "url": TEXT, "ip": TEXTS, "user": USER}
METADATA = {
    "id": TEXT,
    "event_timestamp": TIME,
    "collected_timestamp": TIME,
    "event_type": EVENT_TYPES,
    "vendor_name": TEXT,
    "product_name": TEXT,
    "product_version": TEXT,
    "product_event_type": TEXT,
    "product_log_id": TEXT,
    "description": TEXT,
    "url_back_to_product": TEXT,
}
RESULT = {
    "severity": SEVERITIES,
    "severity_details": TEXT,
    "summary": TEXT,
    "description": TEXT,
    "category_details": TEXTS,
    "url_back_to_product": TEXT,
    "rule_name": TEXT,
    "rule_id": TEXT,
}
EVENT = {
    "metadata": METADATA,
    "principal": NOUN,
    "target": NOUN,
    "observer": NOUN,
    "security_result": [RESULT],
    "additional": FREE,
}
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")


class Malformed(Exception):
    """Why the whole request is refused."""


def check_event(where: str, udm: Any) -> None:
    _check(where, udm, EVENT)
    for name in ("event_timestamp", "event_type"):
        if name not in udm.get("metadata", {}):
            raise Malformed(f"{where}.metadata.{name} is required.")


def check_time(where: str, value: Any) -> datetime:
    if not isinstance(value, str) or not RFC3339.fullmatch(value):
        raise Malformed(f"Invalid value at '{where}', \"{value}\": not a time of RFC 3339.")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise Malformed(f"Invalid value at '{where}', \"{value}\": no such day.") from None


def snake(value: Any) -> Any:
    """Names of members as the messages have them: their JSON may spell them either way."""
    if isinstance(value, list):
        return [snake(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        (own := re.sub("(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()): inner
        if own == "additional"
        else snake(inner)
        for name, inner in value.items()
    }


def _check(where: str, value: Any, shape: Any) -> None:
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            raise Malformed(f"Invalid value at '{where}': an object was expected.")
        for name, inner in value.items():
            if name not in shape:
                raise Malformed(f"Unknown name \"{name}\" at '{where}': Cannot find field.")
            _check(f"{where}.{name}", inner, shape[name])
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise Malformed(f"Invalid value at '{where}': an array was expected.")
        for at, entry in enumerate(value):
            _check(f"{where}[{at}]", entry, shape[0])
    else:
        _check_leaf(where, value, shape)


def _check_leaf(where: str, value: Any, shape: Any) -> None:
    if shape is TIME:
        check_time(where, value)
    elif shape is FREE:
        if not isinstance(value, dict):
            raise Malformed(f"Invalid value at '{where}': a struct was expected.")
    elif shape is TEXTS:
        _check(where, value, [TEXT])
    elif not isinstance(value, str):
        raise Malformed(f"Invalid value at '{where}' (TYPE_STRING), {value}")
    elif shape is not TEXT and value not in shape:
        raise Malformed(f"Invalid value at '{where}' (TYPE_ENUM), \"{value}\"")
