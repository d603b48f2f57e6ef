"""What can be connected: the manifests, and what a person enters checked against their [config]."""

from core.integrations.catalog import disabled, get, log_disabled, manifests, secret_routes, staying_secrets
from core.integrations.fields import check_config, check_some, generated
from core.integrations.manifest import Limits, Manifest, load, planned_fields, secret_fields
from core.integrations.place import fields_of, place_of, site_of
from core.storage.models.words import KIND_OF

__all__ = [
    "KIND_OF",
    "Limits",
    "Manifest",
    "check_config",
    "check_some",
    "disabled",
    "fields_of",
    "generated",
    "get",
    "load",
    "log_disabled",
    "manifests",
    "place_of",
    "planned_fields",
    "secret_fields",
    "secret_routes",
    "site_of",
    "staying_secrets",
]
