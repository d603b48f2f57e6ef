"""The hub as the crash test wants it, with a fourth vendor: Slack's protocol, but it drops a key it already has."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from core import connections, integrations
from core.integrations import credentials
from core.platform import vault
from core.platform.settings import settings

SLUG = "keyed"


def offer_keyed() -> None:
    """Put it into this process's catalog."""
    slack = integrations.get("slack")
    integrations.manifests()[SLUG] = replace(
        slack, slug=SLUG, preset_of="slack", name="Keyed", in_doubt="native_key"
    )


def withdraw_keyed() -> None:
    del integrations.manifests()[SLUG]


@contextmanager
def hub(monkeypatch: Any) -> Iterator[None]:
    """This process as a hub that may call 127.0.0.1 and knows the fourth vendor."""
    monkeypatch.setenv("HUB_EGRESS_ALLOW", "127.0.0.1/32")
    settings.cache_clear()
    vault.create_key_file(Path(settings().secret_key_file))
    credentials.ring.cache_clear()
    offer_keyed()
    connections.publish_catalog()
    yield
    withdraw_keyed()
    credentials.ring.cache_clear()
