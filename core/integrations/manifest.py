"""Reads a manifest: `core/integrations/<slug>/manifest.toml`, or an operator's preset `data/catalog/<slug>.toml`.

`load` checks it by `manifest_rules`; `trusted` takes a built-in one as it is: the tests check those, and each start of
the dashboard and the scheduler does. To check all of them takes a command at a terminal a fifth of its time.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from core.integrations.limits import MessageLimit
from core.platform.errors import Invalid, Unusable, did_you_mean
from core.platform.secret import LONGEST_CHARS, LONGEST_PEM_CHARS
from core.storage.models import Category, Kind
from core.storage.models.words import KIND_OF

HERE = Path(__file__).parent
#: of an entry for people that does not say: a channel with more is not read any more
STORM = MessageLimit(messages=20, window_s=300)


@dataclass(frozen=True)
class Limits:
    """Of one call to the vendor; the hub never goes over them."""

    batch_items: int
    batch_bytes: int | None = None
    requests_per_minute: int | None = None
    in_flight: int = 1  # calls at the same time, of one connection


@dataclass(frozen=True)
class Manifest:
    """One integration: every word and number about it."""

    slug: str
    name: str
    category: Category
    icon: str
    provider: str
    summary: str
    description: str
    docs_url: str
    setup: tuple[str, ...]
    permissions: tuple[str, ...]
    config: dict[str, Any]  # JSON Schema of the config, secrets (`writeOnly`) and common fields included
    record: dict[str, Any]  # JSON Schema of the mapped body
    mapping: dict[Kind, dict[str, Any]]
    severity: dict[str, Any]  # our word → the vendor's
    limits: Limits
    in_doubt: Literal["native_key", "look_up", "may_repeat"]
    delivered_means: str
    known_limits: tuple[str, ...]
    tier: str
    cost_note: str
    look_up_after_s: tuple[int, ...] = ()
    place: tuple[str, ...] = ()  # of a tracker: the fields that say where its tickets are, the site first
    pinned_hosts: tuple[str, ...] = ()
    preset_of: str = ""  # the entry whose connector it uses, and whose words where it has none of its own
    storm: MessageLimit | None = None  # more messages than that become one digest

    @property
    def connector(self) -> str:
        """The name of its connector."""
        return self.preset_of or self.slug

    @property
    def kind(self) -> Kind:
        """What its connections export."""
        return KIND_OF[self.category]

    @property
    def one_by_one(self) -> bool:
        """Whether each record is a call of its own that knows nothing of the others; a ticket may have to be looked
        for first."""
        return self.limits.batch_items == 1 and self.category is not Category.TICKETING


def secret_fields(manifest: Manifest) -> frozenset[str]:
    return frozenset(n for n, field in manifest.config["properties"].items() if field.get("writeOnly"))


def planned_fields(manifest: Manifest) -> tuple[str, ...]:
    """Fields that are known and not used yet: nobody is asked for them, and whoever gives one is refused."""
    return tuple(name for name, field in manifest.config["properties"].items() if field.get("later"))


def load(path: Path) -> Manifest:
    """A built-in entry's manifest. Raises Unusable with the file, the key and what is wrong with it."""
    slug = path.parent.name
    try:
        return _checked(_on_base(_table(path), slug), slug)
    except Invalid as error:
        where = f"core/integrations/{slug}/{path.name}"
        raise Unusable(f"{where}: {error} Correct the file and start again.") from None


def trusted(path: Path) -> Manifest:
    """A built-in entry's manifest, unchecked. Raises Unusable, as `load`, when none can be made of the file."""
    try:
        content = _on_base(_table(path), path.parent.name)
        return _build(content, _with_common(content["config"]))
    except (Invalid, KeyError, TypeError, ValueError, AttributeError):
        return load(path)


def load_preset(path: Path) -> Manifest:
    """An operator's preset. Raises Invalid with the key and what is wrong with it."""
    own = _table(path)
    if "preset_of" not in own:
        raise Invalid('the key "preset_of" is missing; it names the entry whose connector is used.')
    made = _checked(_on_base(own, path.stem), path.stem)
    base = str(own["preset_of"])
    _check_same_fields(made.config, load(HERE / base / "manifest.toml").config, base)
    return made


def _check_same_fields(config: dict[str, Any], base: dict[str, Any], slug: str) -> None:
    """Compare a preset's fields with its base's, whose connector takes them. Raises Invalid for one that it lacks,
    one that is secret here and not there, a header's name that is none here, and one that it needs."""
    mine, known = config["properties"], base["properties"]
    for name, field in mine.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise Invalid(f"[config.properties.{name}]: the connector of {slug} has no such field.{hint}")
        if known[name].get("format") == "header" != field.get("format"):
            raise Invalid(f'[config.properties.{name}] needs format = "header", as in {slug}.')
        if bool(field.get("writeOnly")) != bool(known[name].get("writeOnly")):
            said = "is" if known[name].get("writeOnly") else "is not"
            raise Invalid(
                f"[config.properties.{name}]: writeOnly must be as in {slug}, where it {said} a secret."
            )
    for name in base.get("required", ()):
        if name not in mine:
            raise Invalid(f"[config.properties.{name}] is missing; the connector of {slug} needs it.")


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Invalid(f"it cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(f"{error}.") from None


def _on_base(own: dict[str, Any], slug: str) -> dict[str, Any]:
    """What the file says; a preset's keys and tables stand in the place of those of its base."""
    if "preset_of" not in own:
        return own
    bases = {path.parent.name for path in HERE.glob("*/manifest.toml")} - {slug}
    base = str(own["preset_of"])
    if base not in bases:
        raise Invalid(f'preset_of names "{base}", which is no built-in entry.{did_you_mean(base, bases)}')
    content = _table(HERE / base / "manifest.toml")
    if "preset_of" in content:
        raise Invalid(f'preset_of names "{base}", which is a preset itself; name its base.')
    return content | own


def _checked(content: dict[str, Any], slug: str) -> Manifest:
    """The manifest whose file or folder is named `slug`. Raises Invalid."""
    from core.integrations import manifest_rules  # slow to import, as what it checks with

    manifest_rules.check_content(content, slug)
    config = _with_common(content["config"])
    manifest_rules.check_fields(content, config)
    return _build(content, config)


def _build(content: dict[str, Any], config: dict[str, Any]) -> Manifest:
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in content.items()
    }
    plain["category"] = Category(content["category"])
    plain["config"] = config
    plain["limits"] = Limits(**content["limits"])
    plain["storm"] = _storm(plain["category"], content.get("storm"))
    plain["mapping"] = {Kind(kind): tree for kind, tree in content["mapping"].items()}
    return Manifest(**plain)


def _storm(category: Category, given: dict[str, int] | None) -> MessageLimit | None:
    """`messages = 0`: each record goes by itself, however many there are."""
    if category is not Category.COMMUNICATION:
        return None
    if given is None:
        return STORM
    return MessageLimit(given["messages"], given["minutes"] * 60) if given["messages"] else None


@cache
def _common() -> dict[str, Any]:
    return tomllib.loads((HERE / "common.toml").read_text(encoding="utf-8"))


def _with_common(config: dict[str, Any]) -> dict[str, Any]:
    """The schema of the whole config. The vendor's fields come first, for the form."""
    common = _common()
    for name in config["properties"]:
        if name in common["properties"]:
            raise Invalid(f'[config.properties.{name}] is a field every entry has; leave "{name}" out.')
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [],
        **config,
        "properties": {
            name: _bounded(f) for name, f in (config["properties"] | common["properties"]).items()
        },
        "dependentRequired": config.get("dependentRequired", {}) | common["dependentRequired"],
    }


def _bounded(field: dict[str, Any]) -> dict[str, Any]:
    """A secret is looked for in every answer, so none is longer than a tool's can be, whatever a file allows."""
    is_pem = field.get("contentMediaType") == "application/x-pem-file"
    if not is_pem and not field.get("writeOnly"):
        return field
    most = LONGEST_PEM_CHARS if is_pem else LONGEST_CHARS
    return field | {"maxLength": min(field.get("maxLength", most), most)}
