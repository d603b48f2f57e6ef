"""`data/catalog/*.toml` → Manifest, and what a person enters checked against its [config]."""

from core.integrations.fields import check_config, check_some, generated
from core.integrations.manifest import Limits, Manifest, get, load, manifests, planned_fields, secret_fields
from core.integrations.place import fields_of, place_of, site_of
from core.storage.models.words import KIND_OF

__all__ = [
    "KIND_OF",
    "Limits",
    "Manifest",
    "check_config",
    "check_some",
    "fields_of",
    "generated",
    "get",
    "load",
    "manifests",
    "place_of",
    "planned_fields",
    "secret_fields",
    "site_of",
]
