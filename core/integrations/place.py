"""Where a tracker's tickets are, as one text: its site, and what narrows it (a project, a table).

`jira.example.com SEC`. Equal texts are one place, whatever connection they are of and however its address is
spelled; the words are those of the manifest's `place`.
"""

from collections.abc import Mapping
from typing import Any

from core.integrations.manifest import Manifest

_USUAL_PORTS = {"http": ":80", "https": ":443"}


def place_of(manifest: Manifest, config: Mapping[str, Any]) -> str | None:
    """The place that a connection with this config writes to; None for anything but a tracker."""
    if not manifest.place:
        return None
    address, *narrower = (str(config.get(name) or "") for name in manifest.place)
    return " ".join([_site(address), *narrower])


def site_of(place: str) -> str:
    """The part of `place` to which credentials belong."""
    return place.partition(" ")[0]


def fields_of(manifest: Manifest, place: str) -> dict[str, str]:
    """The config fields that lead to `place` on the same site."""
    return dict(zip(manifest.place[1:], place.split(" ")[1:], strict=True))


def _site(address: str) -> str:
    """Without scheme, usual port and last slash: with and without TLS it is the same tracker."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    usual = _USUAL_PORTS.get(scheme.lower(), "")
    return f"{host.lower().removesuffix(usual).rstrip('.')}{slash}{path}".rstrip("/")
