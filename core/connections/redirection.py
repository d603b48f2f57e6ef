"""A saved secret goes nowhere else unasked: whoever changes where it is sent, or whose it is, enters it again."""

from collections.abc import Iterable, Mapping
from typing import Any

from core import integrations
from core.integrations import Manifest
from core.platform.errors import Invalid


def redirected(manifest: Manifest, saved: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Titles of the changed fields that decide where the secrets are sent."""
    fields = manifest.config["properties"]
    routes = integrations.secret_routes(manifest)
    return [
        fields[name]["title"] for name in fields if name in routes and saved.get(name) != config.get(name)
    ]


def require_again(
    manifest: Manifest, sealed: Iterable[str], given: Mapping[str, Any], changed: list[str]
) -> None:
    """Raise Invalid, with `fields`, for each of the `sealed` secrets that is not among `given`.

    `changed` says what is different, in titles; where nothing is, nothing is asked.
    """
    stays = integrations.staying_secrets(manifest)
    missing = [name for name in sealed if name not in stays and name not in given]
    if not changed or not missing:
        return
    fields = manifest.config["properties"]
    titles = ", ".join(fields[name]["title"] for name in missing if name in fields)
    sentence = (
        f"With another {' and '.join(changed)} the saved credentials are asked for again. Enter: {titles}."
    )
    raise Invalid(sentence, dict.fromkeys(missing, sentence))
