"""What can be connected: the manifests of our folders, then an operator's presets; a broken preset is left out."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import structlog

from core.integrations.manifest import HERE, Manifest, load, load_preset, trusted
from core.platform.errors import Invalid, NotFound, did_you_mean

PRESETS = HERE.parents[1] / "data" / "catalog"
log = structlog.get_logger("hub.catalog")


@dataclass(frozen=True)
class Catalog:
    """Entries by slug, by name; and why a preset is none of them, by the name of its file."""

    entries: dict[str, Manifest]
    disabled: dict[str, str]


@cache
def read() -> Catalog:
    """Read every manifest and preset, once. Raises Unusable for a manifest of ours; a preset stops nobody."""
    found = {entry.slug: entry for entry in map(trusted, HERE.glob("*/manifest.toml"))}
    built_in, disabled = frozenset(found), {}
    for path in sorted(PRESETS.glob("[!_.]*.toml")):
        try:
            found[path.stem] = _preset(path, built_in)
        except Invalid as error:
            disabled[path.stem] = (
                f"data/catalog/{path.name} is not used: {error} Correct the file and restart the hub."
            )
    return Catalog(dict(sorted(found.items(), key=lambda pair: pair[1].name.lower())), disabled)


def _preset(path: Path, built_in: frozenset[str]) -> Manifest:
    if path.stem in built_in:
        raise Invalid(f'"{path.stem}" is built in; choose another slug.')
    return load_preset(path)


def manifests() -> dict[str, Manifest]:
    """Every entry by slug, by name. Raises Unusable when a built-in manifest is broken."""
    return read().entries


def disabled() -> dict[str, str]:
    """Say why a preset is not in the catalog, in a sentence, by slug."""
    return read().disabled


def get(slug: str) -> Manifest:
    """One entry. Raises NotFound with the nearest slug, or with what is wrong with its file."""
    known = manifests()
    if slug in disabled() and slug not in known:
        raise NotFound(disabled()[slug])
    if slug not in known:
        raise NotFound(
            f'The catalog has no "{slug}".{did_you_mean(slug, known)} It has {", ".join(sorted(known))}.'
        )
    return known[slug]


def secret_routes(manifest: Manifest) -> frozenset[str]:
    """Fields that decide where its secrets are sent; of a preset also those of its base."""
    return _marked(manifest, "secretGoesHere")


def staying_secrets(manifest: Manifest) -> frozenset[str]:
    """Secrets that are never sent: they sign, or open what comes in."""
    return _marked(manifest, "staysHere")


def _marked(manifest: Manifest, mark: str) -> frozenset[str]:
    both = (manifest, manifests().get(manifest.connector, manifest))
    return frozenset(
        name for each in both for name, field in each.config["properties"].items() if field.get(mark)
    )


def log_disabled() -> None:
    """Check every manifest at the start, and tell which presets are not used. Raises Unusable for one of ours."""
    for path in HERE.glob("*/manifest.toml"):
        load(path)
    for sentence in disabled().values():
        log.warning("preset not used", reason=sentence)
