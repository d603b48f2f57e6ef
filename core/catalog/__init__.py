"""`data/catalog/*.toml` → Manifest, and what a person enters checked against its [config]."""

from core.catalog.entries import check_config, generated
from core.catalog.manifest import Limits, Manifest, get, load, manifests, secret_fields
from core.catalog.place import fields_of, place_of, site_of
from core.models.words import KIND_OF

__all__ = [
    "KIND_OF",
    "Limits",
    "Manifest",
    "check_config",
    "fields_of",
    "generated",
    "get",
    "load",
    "manifests",
    "place_of",
    "secret_fields",
    "site_of",
]
