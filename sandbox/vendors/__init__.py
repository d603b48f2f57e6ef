"""A folder per vendor, whose `stand_in.py` defines one Vendor."""

from importlib import import_module
from pathlib import Path

from sandbox.contract import Vendor

HERE = Path(__file__).parent


def slugs() -> list[str]:
    """The names of all folders with a stand-in, sorted."""
    return sorted(path.parent.name for path in HERE.glob("*/stand_in.py"))


def over_http() -> tuple[Vendor, ...]:
    """A stand-in of each vendor that has a path on the HTTP port, by name."""
    found = [made() for made in map(_defined, slugs()) if made.over_http]
    return tuple(sorted(found, key=lambda vendor: vendor.name.lower()))


def _defined(slug: str) -> type[Vendor]:
    module = import_module(f"sandbox.vendors.{slug}.stand_in")
    made = [thing for thing in vars(module).values() if isinstance(thing, type)]
    found = [thing for thing in made if issubclass(thing, Vendor) and thing.__module__ == module.__name__]
    if len(found) != 1 or found[0].slug != slug:
        raise TypeError(f'{module.__name__} must define one Vendor, with the slug "{slug}"')
    return found[0]
