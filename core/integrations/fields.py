"""What a person entered → a config in the manifest's types, or one sentence for every field that is wrong.

No sentence repeats what was entered, unless the field is a choice: anything else may be a secret, also in the
wrong field.
"""

import base64
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import orjson

from core.http import headers
from core.integrations.manifest import Manifest, planned_fields
from core.platform.errors import Invalid, did_you_mean, nearest

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_ON, _OFF = ("true", "yes", "on", "1"), ("false", "no", "off", "0")
_SHOWN_CHARS = 60


def check_config(
    manifest: Manifest, given: Mapping[str, Any], saved: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The whole config, typed and with defaults; secrets are plain strings. Raises Invalid with `fields`.

    Texts become what the schema asks for: "true", "5", "a,b", JSON. An empty text or None is as if not given.
    With `saved` it is an edit: what is not given is taken from there, and an empty value clears any name.
    """
    config, problems = _judged(manifest, given, saved)
    if problems:
        raise Invalid(" ".join(problems.values()), problems)
    return {name: config[name] for name in manifest.config["properties"] if name in config}


def check_some(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, Any]:
    """The same of these fields alone, while others are still missing or wrong."""
    config, problems = _judged(manifest, given, None)
    if wrong := {name: problems[name] for name in given if name in problems}:
        raise Invalid(" ".join(wrong.values()), wrong)
    return {name: config[name] for name in given if name in config}


def _judged(
    manifest: Manifest, given: Mapping[str, Any], saved: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """(the config, what is wrong with it by field)."""
    fields = manifest.config["properties"]
    values = given if saved is None else {n: v for n, v in {**saved, **given}.items() if v not in (None, "")}
    problems = {name: _unknown(manifest, name) for name in values if name not in fields}
    problems |= {
        name: _planned(manifest, name)
        for name in planned_fields(manifest)
        if given.get(name) not in (None, "")
    }
    meant = {nearest(name, fields) for name in problems}
    config = {name: deepcopy(field["default"]) for name, field in fields.items() if "default" in field}
    for name, value in values.items():
        if name in fields and value is not None and value != "":
            try:
                config[name] = _coerce(fields[name], value)
                _refuse_traps(fields[name], config[name])
            except ValueError as error:
                problems[name] = f'"{name}" ({fields[name]["title"]}) {error}'
    for name, sentence in _faults(manifest, config):
        if name not in meant:
            problems.setdefault(name, sentence)
    return config, problems


def generated(manifest: Manifest, values: Mapping[str, Any]) -> dict[str, str]:
    """The secrets the hub makes because `values` lacks them. The caller saves them, and shows them once."""
    fields = manifest.config["properties"]
    missing = [name for name, field in fields.items() if "generated" in field and not values.get(name)]
    return {name: _MAKE[fields[name]["generated"]]() for name in missing}


def _whsec() -> str:
    """Standard Webhooks: 24 to 64 random bytes."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


_MAKE: dict[str, Callable[[], str]] = {"whsec": _whsec}


def _unknown(manifest: Manifest, name: str) -> str:
    fields = manifest.config["properties"]
    shown = "".join(char if char.isprintable() else "?" for char in name[:_SHOWN_CHARS])
    guess = did_you_mean(name, fields) or f" Its fields are {', '.join(fields)}."
    return f'{manifest.name} has no field "{shown}".{guess}'


def _planned(manifest: Manifest, name: str) -> str:
    title = manifest.config["properties"][name]["title"]
    return f'"{name}" ({title}) is planned: the hub does not use it yet. Leave it out.'


def _refuse_traps(field: Mapping[str, Any], value: Any) -> None:
    """Raises ValueError for a usual mistake, whose way out the manifest knows."""
    for text in value if isinstance(value, list) else [value]:
        for trap in field.get("traps", ()):
            if isinstance(text, str) and re.search(trap["pattern"], text):
                raise ValueError(trap["sentence"])


# --- texts to the types of the schema -----------------------------------------------------------------


def _coerce(field: Mapping[str, Any], value: Any) -> Any:
    """Raises ValueError with the rest of a sentence that begins with the field."""
    return _COERCE[field["type"]](field, value)


def _string(field: Mapping[str, Any], value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)  # a number in YAML or JSON where an id was meant
    if not isinstance(value, str):
        raise ValueError("must be a text.")
    text = value if field.get("format") == "password" else value.strip()
    if len(text) > field.get("maxLength", len(text)):  # first: what follows reads the whole of it
        raise ValueError(f"is longer than {field['maxLength']:,} characters.")
    is_long = "contentMediaType" in field
    if any(_is_control(char) and not (is_long and char in "\n\r\t") for char in text):
        raise ValueError("has a line break or another control character in it; copy it again without.")
    if field.get("format") == "header" and not headers.is_free(text):
        raise ValueError("is a header that the hub sets itself. Choose another one.")
    return text


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff"


def _boolean(field: Mapping[str, Any], value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _ON + _OFF:
        raise ValueError("is neither on nor off; write true or false.")
    return word in _ON


def _integer(field: Mapping[str, Any], value: Any) -> int:
    number = _number(field, value)
    if number != int(number):
        raise ValueError("must be a whole number.")
    return int(number)


def _number(field: Mapping[str, Any], value: Any) -> float:
    try:
        number = float(str(value).strip())
    except ValueError:
        number = float("nan")
    if isinstance(value, bool) or not abs(number) < 2**53:
        raise ValueError("must be a number, in digits.")
    return number


def _array(field: Mapping[str, Any], value: Any) -> list[Any]:
    if isinstance(value, str):
        value = _parsed(value) if value.lstrip().startswith("[") else value.split(",")
        value = [entry for entry in value if not isinstance(entry, str) or entry.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list; write it like a,b.")
    items = field.get("items")
    return [_entry(items, entry) for entry in value] if items else list(value)


def _entry(field: Mapping[str, Any], value: Any) -> Any:
    try:
        return _coerce(field, value)
    except ValueError as error:
        raise ValueError(f"has an entry that {error}") from None


def _object(field: Mapping[str, Any], value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, Mapping):
        raise ValueError(f"must be a JSON object; write it like {_example(field)}.")
    return _storable(dict(value))


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        raise ValueError("is not valid JSON; check its quotes and brackets.") from None


def _storable(value: dict[str, Any]) -> dict[str, Any]:
    """Through JSON once: what comes back is what the database gives back. PostgreSQL cannot keep a NUL."""
    try:
        payload = orjson.dumps(value)
    except TypeError:
        payload = b"\\u0000"
    if b"\\u0000" in payload:
        raise ValueError("holds something that JSON or the database cannot keep.")
    stored: dict[str, Any] = orjson.loads(payload)
    return stored


_COERCE: dict[str, Callable[[Mapping[str, Any], Any], Any]] = {
    "string": _string,
    "boolean": _boolean,
    "integer": _integer,
    "number": _number,
    "array": _array,
    "object": _object,
}

# --- faults of the schema as sentences ----------------------------------------------------------------


def _faults(manifest: Manifest, config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(field, sentence) of everything the schema says against the config."""
    from jsonschema import Draft202012Validator  # slow to import, and most commands enter nothing

    for fault in Draft202012Validator(manifest.config).iter_errors(config):
        if fault.absolute_path:
            name = str(fault.absolute_path[0])
            yield name, _about_value(name, manifest.config["properties"][name], fault)
        elif fault.validator == "required":
            yield from ((n, _needs(manifest, [n])) for n in fault.validator_value if n not in config)
        elif fault.validator == "anyOf":
            groups = [group["required"] for group in fault.validator_value]
            yield groups[0][0], _needs(manifest, *groups)
        elif fault.validator == "dependentRequired":
            yield from _partners(manifest, config, fault.validator_value)


def _needs(manifest: Manifest, *groups: list[str]) -> str:
    """`Splunk needs "token" (HEC token).`"""
    fields = manifest.config["properties"]
    ways = [" with ".join(f'"{name}" ({fields[name]["title"]})' for name in group) for group in groups]
    return f"{manifest.name} needs {', or '.join(ways)}."


def _partners(
    manifest: Manifest, config: Mapping[str, Any], needed: Mapping[str, list[str]]
) -> Iterator[tuple[str, str]]:
    for name, partners in needed.items():
        for partner in partners:
            if name in config and partner not in config:
                title = manifest.config["properties"][partner]["title"]
                yield partner, f'"{name}" goes with "{partner}" ({title}); give both or neither.'


def _about_value(name: str, field: Mapping[str, Any], fault: "ValidationError") -> str:
    subject = f'"{name}" ({field["title"]})'
    if len(fault.absolute_path) > 1:
        subject = f"An entry of {subject}"
    limit: Any = fault.validator_value
    match fault.validator:
        case "enum":
            guess = did_you_mean(str(fault.instance), map(str, limit)) if not field.get("writeOnly") else ""
            return f"{subject} must be one of {', '.join(map(str, limit))}.{guess}"
        case "minimum":
            return f"{subject} must be at least {limit:,}."
        case "maximum":
            return f"{subject} must be at most {limit:,}."
        case "maxItems":
            return f"{subject} must have at most {limit} entries."
        case _:
            return f"{subject} does not look right; write it like {_example(field)}."


def _example(field: Mapping[str, Any]) -> str:
    example = field["examples"][0]
    if isinstance(example, list):
        return ",".join(map(str, example))
    return example if isinstance(example, str) else orjson.dumps(example).decode()
