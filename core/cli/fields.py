"""`--set name=value` sorted into the vendor's fields and the hub's own options."""

from collections.abc import Mapping
from dataclasses import fields as dataclass_fields
from typing import TYPE_CHECKING, Any

from core.errors import Invalid, nearest

if TYPE_CHECKING:
    from core.catalog import Manifest

#: options that are written as a JSON object
TABLES = ("mapping", "retry")


def split(manifest: "Manifest", given: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(config values, options). A name that is neither is for the config's own check."""
    declared = manifest.config["properties"]
    names = option_names()
    values: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, text in given.items():
        if name in names and name not in declared:
            options[name] = _table(name, text) if name in TABLES else text
        elif name in declared or nearest(name, [*declared, *names]) not in names:
            values[name] = text
        else:
            meant = nearest(name, names)
            raise Invalid(
                f'There is no field or option "{name}". Did you mean "{meant}"? Nothing was changed.'
            )
    return values, options


def option_names() -> set[str]:
    from core.options import Options

    return {field.name for field in dataclass_fields(Options)} - {"every_s"} | {"every"}


def _table(name: str, text: str) -> Any:
    import orjson

    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Invalid(
            f'{name} is not a JSON object. Write it like {name}={{"name": "value"}}, quoted.'
        ) from None
