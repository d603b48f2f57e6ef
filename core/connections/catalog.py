"""What can be connected in this hub: the manifests, less what an operator has switched off in `integration_catalog`."""

import uuid
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from core import integrations
from core.integrations import Manifest
from core.platform.errors import NotFound
from core.storage import db
from core.storage.models import CatalogEntry

#: the catalog's ids are the same in every hub
_NAMESPACE = uuid.UUID("6f0e2c1a-5c0d-4d5e-9a59-0b7a7c1f3e10")


def entry_id(slug: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, slug))


@db.unit
def publish_catalog() -> None:
    """Write the manifests to `integration_catalog`; an entry whose manifest is gone stays.

    `is_active` and `logo_url` are an operator's: they are written once, with a new entry.
    """
    with db.session() as session:
        now = db.now(session)
        rows = {row.slug: row for row in session.execute(select(CatalogEntry)).scalars()}
        for slug, manifest in integrations.manifests().items():
            row = rows.get(slug) or CatalogEntry(
                id=entry_id(slug), slug=slug, created_at=now, **_words(manifest)
            )
            for name, value in _words(manifest).items():
                setattr(row, name, value)
            session.add(row)


def publish_new(slug: str) -> None:
    """Write the catalog for a manifest that was added since `hub init`."""
    with db.reading() as session:
        known = session.get(CatalogEntry, entry_id(slug))
    if known is None:
        publish_catalog()


def offered() -> dict[str, Manifest]:
    """Every entry that may be connected, by slug, by name."""
    off = _switched_off()
    return {slug: manifest for slug, manifest in integrations.manifests().items() if slug not in off}


def offer(slug: str) -> Manifest:
    """One entry that may be connected. Raises NotFound with the nearest slug, or because it is switched off."""
    manifest = integrations.get(slug)
    reason = why_off(slug)
    if reason is not None:
        raise NotFound(reason)
    return manifest


def why_off(slug: str) -> str | None:
    """Say why nobody connects an entry anew; None for one that is offered, and for one that there is not."""
    if slug not in integrations.manifests() or slug not in _switched_off():
        return None
    return (
        f"{integrations.get(slug).name} is switched off in this hub: what is connected goes on, and nothing new is "
        "connected. Whoever runs the hub allows it again by is_active in the table integration_catalog."
    )


def _switched_off() -> set[str]:
    with db.reading() as session:
        found = session.execute(select(col(CatalogEntry.slug)).where(col(CatalogEntry.is_active).is_(False)))
        return set(found.scalars())


def _words(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "category": manifest.category,
        "provider": manifest.provider,
        "description": manifest.summary,
        "icon": manifest.icon,
        "config_schema": manifest.config,
    }
