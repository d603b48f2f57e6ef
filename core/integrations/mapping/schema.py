"""A manifest's [record] schema → a cheap check of every body.

A general JSON Schema validator takes longer per record than all the rest of an export, so the keywords below
are compiled here, and a schema that uses any other is refused when it is loaded.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

from core.platform.errors import Invalid, did_you_mean

#: (value, its path in the body, reasons found so far)
Check = Callable[[Any, str, list[str]], None]
Schema = Mapping[str, Any]

_ANNOTATIONS = {"title", "description", "contentMediaType"}


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and (isinstance(value, int) or math.isfinite(value))


_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("a text", lambda value: isinstance(value, str)),
    "integer": ("a whole number", lambda value: _is_number(value) and value == int(value)),
    "number": ("a number", _is_number),
    "boolean": ("true or false", lambda value: isinstance(value, bool)),
    "array": ("a list", lambda value: isinstance(value, list)),
    "object": ("an object", lambda value: isinstance(value, dict)),
}

#: keyword → (breaks the rule, what to say). A keyword says nothing about values of another type.
_RULES: dict[str, tuple[Callable[[Any, Any], bool], str]] = {
    "maxLength": (lambda v, limit: isinstance(v, str) and len(v) > limit, "is longer than {} characters"),
    "minLength": (lambda v, limit: isinstance(v, str) and len(v) < limit, "is shorter than {} characters"),
    "maximum": (lambda v, limit: _is_number(v) and v > limit, "is more than {}"),
    "minimum": (lambda v, limit: _is_number(v) and v < limit, "is less than {}"),
    "maxItems": (lambda v, limit: isinstance(v, list) and len(v) > limit, "has more than {} entries"),
    "minItems": (lambda v, limit: isinstance(v, list) and len(v) < limit, "has fewer than {} entries"),
    "maxProperties": (lambda v, limit: isinstance(v, dict) and len(v) > limit, "has more than {} fields"),
    "enum": (lambda v, words: v not in words, "is not one of {}"),
}
KEYWORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items"} | _RULES.keys() | _ANNOTATIONS
)


def compile_check(schema: Schema, path: str = "") -> Check:
    """The check of one schema. Raises Invalid for a keyword it would have to ignore."""
    _refuse_unknown(schema, path)
    checks = [_type_check(schema["type"])] if "type" in schema else []
    checks += [_rule_check(word, schema[word]) for word in _RULES if word in schema]
    if {"properties", "required", "additionalProperties"} & schema.keys():
        checks.append(_object_check(schema, path))
    if "items" in schema:
        checks.append(_items_check(schema["items"], path))
    if len(checks) == 1:
        return checks[0]

    def check(value: Any, path: str, reasons: list[str]) -> None:
        for each in checks:
            each(value, path, reasons)

    return check


def _refuse_unknown(schema: Schema, path: str) -> None:
    where = f'[record], field "{path}":' if path else "[record]:"
    for word in schema:
        if word not in KEYWORDS:
            raise Invalid(f'{where} "{word}" is not checked here.{did_you_mean(word, KEYWORDS)}')
    if schema.get("type", "object") not in list(_TYPES):  # a list of types cannot be looked up in a dict
        raise Invalid(f"{where} the type {schema['type']!r} is not one of {', '.join(_TYPES)}.")
    if not isinstance(schema.get("additionalProperties", True), bool):
        raise Invalid(f'{where} "additionalProperties" must be true or false.')


def _type_check(name: str) -> Check:
    words, fits = _TYPES[name]

    def check(value: Any, path: str, reasons: list[str]) -> None:
        if not fits(value):
            reasons.append(f"{path or 'the body'} is not {words}")

    return check


def _rule_check(word: str, limit: Any) -> Check:
    breaks, words = _RULES[word]
    said = words.format(", ".join(map(str, limit)) if isinstance(limit, list) else limit)

    def check(value: Any, path: str, reasons: list[str]) -> None:
        if breaks(value, limit):
            reasons.append(f"{path or 'the body'} {said}")

    return check


def _object_check(schema: Schema, path: str) -> Check:
    inner = {
        name: (f"{path}.{name}".lstrip("."), compile_check(field, f"{path}.{name}".lstrip(".")))
        for name, field in schema.get("properties", {}).items()
    }
    required = tuple(schema.get("required", ()))
    is_open = schema.get("additionalProperties", True)

    def check(value: Any, path: str, reasons: list[str]) -> None:
        if not isinstance(value, dict):
            return
        for name in required:
            if name not in value:
                reasons.append(f"{f'{path}.{name}'.lstrip('.')} is missing")
        for name, field in value.items():
            if name in inner:
                inner_path, inner_check = inner[name]
                inner_check(field, inner_path, reasons)
            elif not is_open:
                reasons.append(f"{f'{path}.{name}'.lstrip('.')} is not a field of the body")

    return check


def _items_check(schema: Schema, path: str) -> Check:
    item_check = compile_check(schema, f"{path}[]")

    def check(value: Any, path: str, reasons: list[str]) -> None:
        if isinstance(value, list):
            for item in value:
                item_check(item, f"{path}[]", reasons)

    return check
