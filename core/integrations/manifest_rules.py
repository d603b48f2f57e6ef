"""What a manifest's file may say: its layout is `manifest.schema.json`; what that cannot say is checked here."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from core.integrations import mapping
from core.platform.errors import Invalid, did_you_mean
from core.storage.models import Category, Kind
from core.storage.models.words import KIND_OF

LAYOUT = Path(__file__).parent / "manifest.schema.json"


def check_content(content: dict[str, Any], slug: str) -> None:
    """Check the layout and what goes together. Raises Invalid."""
    _check_layout(content)
    if content["slug"] != slug:
        raise Invalid(f'slug is "{content["slug"]}", but its file or folder is named {slug}.')
    _check_kinds(content)


def check_fields(content: dict[str, Any], config: dict[str, Any]) -> None:
    """Check the whole config's fields with their samples, and the mapping. Raises Invalid."""
    _check_config(config, content.get("place", ()))
    _check_mapping(content)


@cache
def _layout() -> Draft202012Validator:
    schema = json.loads(LAYOUT.read_text(encoding="utf-8"))
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def _check_layout(content: dict[str, Any]) -> None:
    faults = sorted(_layout().iter_errors(content), key=lambda fault: len(fault.absolute_path))
    if faults:
        raise Invalid(_sentence(faults[0]))


def _sentence(fault: ValidationError) -> str:
    table = ".".join(map(str, fault.absolute_path))
    where = f" in [{table}]" if table else ""
    content: Any = fault.instance
    if fault.validator == "additionalProperties":
        schema: Any = fault.schema
        known = schema.get("properties", {})
        name = next(name for name in content if name not in known)
        return f'unknown key "{name}"{where}.{did_you_mean(name, known)}'
    if fault.validator == "required":
        needed: Any = fault.validator_value
        name = next(name for name in needed if name not in content)
        return f'the key "{name}" is missing{where}.'
    return f"{table}: {fault.message[:300]}."


def _check_kinds(content: dict[str, Any]) -> None:
    kind = KIND_OF[Category(content["category"])]
    if kind not in content["mapping"]:
        raise Invalid(f"[mapping.{kind}] is missing; entries of this category export {kind}s.")
    if "storm" in content and content["category"] != Category.COMMUNICATION:
        raise Invalid("[storm] is for entries of the category communication; leave it out.")
    if (content["in_doubt"] == "look_up") != bool(content.get("look_up_after_s")):
        raise Invalid('"look_up_after_s" goes with in_doubt = "look_up", and only with it.')
    if (kind is Kind.CASE) != ("place" in content):
        raise Invalid('"place" goes with category = "ticketing", and only with it.')


def _check_config(config: dict[str, Any], place: Sequence[str]) -> None:
    fields = config["properties"]
    groups = [config["required"], *(group["required"] for group in config.get("anyOf", []))]
    groups += [[name, *needed] for name, needed in config["dependentRequired"].items()]
    for name in (name for group in groups for name in group):
        if name not in fields:
            raise Invalid(f'[config] requires "{name}", which is no field of it.{did_you_mean(name, fields)}')
    for name in place:
        if name not in fields or fields[name].get("writeOnly"):
            raise Invalid(f'place names "{name}", which is no open field of [config].')
    for name, field in fields.items():
        _check_samples(name, field)


def _check_samples(name: str, field: Mapping[str, Any]) -> None:
    if field.get("writeOnly") and "default" in field:
        raise Invalid(f"[config.properties.{name}] is a secret and cannot have a default.")
    validator = Draft202012Validator(field)
    defaults = [field["default"]] if "default" in field else []
    for sample in (*field["examples"], *defaults):
        for fault in validator.iter_errors(sample):
            raise Invalid(f"[config.properties.{name}] does not accept its own example: {fault.message}.")


def _check_mapping(content: dict[str, Any]) -> None:
    """[record] is a JSON Schema; every template compiles, and names only fields that it has."""
    try:
        Draft202012Validator.check_schema(content["record"])
    except SchemaError as error:
        raise Invalid(f"[record] is no JSON Schema: {error.message[:300]}.") from None
    for tree in content["mapping"].values():
        mapping.compile({}, content["record"], content["severity"], tree)
