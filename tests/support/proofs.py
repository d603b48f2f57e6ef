"""A connector as the hub runs it: records through the catalog's mapping, values through its schema, real HTTP."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from core import integrations
from core.http import Egress, Rules, VendorClient
from core.integrations import mapping
from core.integrations.base import Connector, Item
from core.integrations.registry import connector
from core.platform.secret import Secret

OWNER = "5a0f5a0e-0000-4000-8000-000000000001"
HOSTILE = (
    '<!channel> {html}<script>alert(1)</script> " OR x ![x](javascript:alert(1)) \u202eevil \U0001f600 '
    'a\u2028b\x00c\x0bd |x09| sev=1\tcat=no\nLEEF:2.0|a|b|c|d|x09| ${jndi:ldap://x} {"create":{}}\n\ud800'
)


class Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def scan(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": f"3f2a9c4e-0000-4000-8000-{number:012}",
        "status": "completed",
        "scan_type": "username",
        "username": f"jane{number}",
        "high_risk_count": 7,
        "medium_risk_count": 2,
        "privacy_score": 41.5,
        "created_at": "2026-11-20T10:00:00Z",
    } | fields


def hostile_scan(number: int) -> dict[str, Any]:
    """Text that some vendor would take for markup or refuse, in every place, and a lot of it."""
    places = {"username": HOSTILE, "results": {"note": HOSTILE * 300, "list": list(range(2000))}}
    return scan(number, status="completed", **places)


def item(slug: str, record: Mapping[str, Any], *, include_raw: bool = True) -> Item:
    manifest = integrations.get(slug)
    mapper = mapping.compile(manifest.mapping[manifest.kind], manifest.record, manifest.severity)
    key = mapping.delivery_key(manifest.kind, record["id"], OWNER)
    hub = "https://hub.example.com"
    facts = mapping.facts(manifest.kind, record, key=key, hub_url=hub, include_raw=include_raw)
    return Item(key, mapper.body(facts))


@contextmanager
def opened(slug: str, values: Mapping[str, Any]) -> Iterator[Connector]:
    """`values` as a person enters them. What listens on this machine may be called."""
    manifest = integrations.get(slug)
    config, secret = integrations.check_config(manifest, values), integrations.secret_fields(manifest)
    made = connector(slug)
    given = {
        f.name: Secret(config[f.name]) if f.name in secret else config[f.name]
        for f in fields(made.Config)
        if f.name in config
    }
    rules = Rules(egress=Egress.parse("127.0.0.1"))
    pins = manifest.pinned_hosts
    with VendorClient(vendor=manifest.name, rules=rules, faults=made.faults, pinned_hosts=pins) as client:
        yield made(made.Config(**given), client, Clock())


def outcomes(receipts: Any) -> list[str]:
    """`delivered`, or the name of the fault."""
    return [type(receipt.fault).__name__ if receipt.fault else "delivered" for receipt in receipts]
