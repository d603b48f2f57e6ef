"""`data/catalog/*.toml` → Manifest, and what a person enters checked against its [config]."""

from core.catalog.entries import check_config, generated
from core.catalog.manifest import KIND_OF, Limits, Manifest, get, load, manifests, secret_fields

__all__ = [
    "KIND_OF",
    "Limits",
    "Manifest",
    "check_config",
    "generated",
    "get",
    "load",
    "manifests",
    "secret_fields",
]
