"""What `make demo` shows: sample records and three connections to the sandbox, made once."""

from pathlib import Path

from core.errors import NotFound

OPTIONS = {"every": "1m", "scope": "all"}
#: one of each kind; the other stand-ins are there to be connected by hand
SHOWN = ("splunk", "jira", "slack")
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"


def connect(sandbox: str) -> list[str]:
    """Import the samples and connect what is not there yet, by name. Returns the names connected now."""
    from core import access, connections
    from core.sandbox import VENDORS

    wanted = {f"Sandbox {vendor.name}": vendor for vendor in VENDORS if vendor.slug in SHOWN}
    missing = {name: vendor for name, vendor in wanted.items() if not _exists(name)}
    if missing:
        _import()
    for name, vendor in missing.items():
        values = vendor.credentials(f"{sandbox}/{vendor.slug}")
        connections.create(access.LOCAL, vendor.slug, name=name, values=values, options=OPTIONS)
    return list(missing)


def _exists(name: str) -> bool:
    from core import access, connections

    try:
        connections.find(access.LOCAL, name)
    except NotFound:
        return False
    return True


def _import() -> None:
    from core import access, records
    from core.models import Kind

    for kind in Kind:
        for path in sorted(SAMPLES.glob(f"{kind}s.*")):
            records.import_file(access.LOCAL, kind, path)
