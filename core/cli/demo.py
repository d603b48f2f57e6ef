"""What `make demo` shows: sample records and connections to the sandbox, made once."""

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import orjson

from core.platform.errors import NotFound

if TYPE_CHECKING:
    from sandbox.contract import Vendor

#: one of each category; the sandbox stands in for more
SHOWN = ("splunk", "jira", "slack", "elastic")
#: this one is away at first, for so many calls: three to four minutes
AWAY, AWAY_CALLS = "elastic", 4
OPTIONS = {"every": "1m", "scope": "all"}
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"
LOCAL_START = "http://127.0.0.1:"


def wanted() -> dict[str, "Vendor"]:
    """The demo's connections, by name."""
    from sandbox import VENDORS

    return {f"Sandbox {vendor.name}": vendor for vendor in VENDORS if vendor.slug in SHOWN}


def connect(sandbox: str) -> list[str]:
    """Import the samples and connect what is not there yet, by name. Returns the names connected now."""
    from core import access, connections
    from core.delivery import sample_history

    missing = {name: vendor for name, vendor in wanted().items() if _stored(name) is None}
    if missing:
        _import()
    for seed, (name, vendor) in enumerate(missing.items()):
        values = vendor.credentials(f"{sandbox}/{vendor.slug}")
        made = connections.create(access.LOCAL, vendor.slug, name=name, values=values, options=OPTIONS)
        sample_history.back_date(made, seed)
    if any(vendor.slug == AWAY for vendor in missing.values()):
        _send_away(sandbox)
    return list(missing)


def _send_away(sandbox: str) -> None:
    """Have one tool of the sandbox refuse its first calls: how that looks, and how it ends."""
    order = {"vendor": AWAY, "fault": "503", "times": AWAY_CALLS}
    headers = {"Content-Type": "application/json"}
    request = Request(f"{sandbox}/_sandbox/faults", orjson.dumps(order), headers)  # noqa: S310 - our own, on loopback
    with urlopen(request, timeout=10):  # noqa: S310
        return


def repoint(sandbox: str) -> list[str]:
    """Give the demo's connections the sandbox's address where it has another port now. Returns their names."""
    from core import access, connections

    moved = []
    for name, vendor in wanted().items():
        stored = _stored(name) or {}
        values = {
            field: value
            for field, value in vendor.credentials(f"{sandbox}/{vendor.slug}").items()
            if value.startswith(LOCAL_START) and _is_elsewhere(stored.get(field), value)
        }
        if values:
            values = vendor.credentials(
                f"{sandbox}/{vendor.slug}"
            )  # another address wants its credentials again
            connections.edit(access.LOCAL, name, values=values)
            moved.append(name)
    return moved


def _is_elsewhere(stored: Any, address: str) -> bool:
    """Another local port; an address that somebody entered for a real tool is theirs."""
    return isinstance(stored, str) and stored.startswith(LOCAL_START) and stored != address


def _stored(name: str) -> dict[str, Any] | None:
    """The connection's fields with its secrets: an incoming webhook's address is one."""
    from core import access
    from core.access.scope import row_of
    from core.http.errors import Misconfigured
    from core.integrations import credentials
    from core.storage import db

    try:
        with db.reading() as session:
            return credentials.values(row_of(session, access.LOCAL, name)[0])
    except NotFound:
        return None
    except Misconfigured:
        return {}  # it is there, but its secret does not open: its own page says so


def _import() -> None:
    from core import access
    from core.records import intake
    from core.storage.models import Kind

    for kind in Kind:
        for path in sorted(SAMPLES.glob(f"{kind}s.*")):
            intake.import_file(access.LOCAL, kind, path)
