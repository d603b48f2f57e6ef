"""A fourth vendor for the crash test: Slack's protocol, but the receiver drops a key that it already has."""

from dataclasses import replace

from core import catalog
from core.connectors import CONNECTORS

SLUG = "keyed"


def offer_keyed() -> None:
    """Put it into this process's catalog."""
    slack = catalog.get("slack")
    catalog.manifests()[SLUG] = replace(slack, slug=SLUG, name="Keyed", in_doubt="native_key")
    CONNECTORS[SLUG] = CONNECTORS["slack"]


def withdraw_keyed() -> None:
    del catalog.manifests()[SLUG], CONNECTORS[SLUG]
