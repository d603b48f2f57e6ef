"""Connectors by name: each folder here with a `connector.py` is one, imported when it is first used."""

from functools import cache
from importlib import import_module
from pathlib import Path

from core.integrations.base import Connector
from core.platform.errors import NotFound, did_you_mean

HERE = Path(__file__).parent


@cache
def slugs() -> tuple[str, ...]:
    """The names of all connectors, sorted."""
    return tuple(sorted(path.parent.name for path in HERE.glob("*/connector.py")))


@cache
def connector(slug: str) -> type[Connector]:
    """The one Connector that the folder's module defines. Raises NotFound that names the nearest folder."""
    if slug not in slugs():
        hint = did_you_mean(slug, slugs())
        raise NotFound(f'There is no connector "{slug}".{hint} There are: {", ".join(slugs())}.')
    module = import_module(f"core.integrations.{slug}.connector")
    made = [thing for thing in vars(module).values() if isinstance(thing, type)]
    found = [thing for thing in made if issubclass(thing, Connector) and thing.__module__ == module.__name__]
    if len(found) != 1:
        raise TypeError(f"{module.__name__} defines {len(found)} connectors; it must define one")
    return found[0]
