"""A manifest's [record] schema → the check of every body, and the reasons why a body is refused.

`fastjsonschema` turns the schema into a Python function, which costs a record 2 µs where a general validator
takes 60; it stops at the first fault, so `jsonschema` names them all once a body is refused. Only the schema of
a manifest gets here, which is a file of the installation: what a person enters is a body, never a schema. A
keyword without a sentence below is refused when the manifest is loaded, `$ref` too, which would be fetched.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from core.platform.errors import Invalid, did_you_mean

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

#: a body → why it is refused; nothing when it fits
Check = Callable[[Any], tuple[str, ...]]
Schema = Mapping[str, Any]

_TYPES = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}
_RULES = {
    "maxLength": "is longer than {} characters",
    "minLength": "is shorter than {} characters",
    "maximum": "is more than {}",
    "minimum": "is less than {}",
    "maxItems": "has more than {} entries",
    "minItems": "has fewer than {} entries",
    "maxProperties": "has more than {} fields",
    "enum": "is not one of {}",
}
_ANNOTATIONS = {"title", "description", "contentMediaType"}
KEYWORDS = frozenset(
    {"type", "properties", "required", "additionalProperties", "items"} | _RULES.keys() | _ANNOTATIONS
)


def compile_check(schema: Schema) -> Check:
    """The check of one schema. Raises Invalid for a keyword it would have to ignore."""
    return _compiled(orjson.dumps(schema))


@lru_cache(maxsize=256)  # there are as many as manifests; making one takes as long as checking 500 bodies
def _compiled(text: bytes) -> Check:
    import fastjsonschema  # slow to import, both, and most commands map nothing
    from jsonschema import Draft202012Validator

    schema = orjson.loads(text)
    _refuse_unknown(schema, "")
    try:
        fits = fastjsonschema.compile(schema, use_default=False, use_formats=False, detailed_exceptions=False)
    except fastjsonschema.JsonSchemaDefinitionException as error:
        raise Invalid(f"[record]: no body can fit it, {error}.") from None
    validator = Draft202012Validator(schema)

    def check(body: Any) -> tuple[str, ...]:
        try:
            fits(body)
        except fastjsonschema.JsonSchemaValueException:
            faults = validator.iter_errors(body)
            return tuple(dict.fromkeys(reason for fault in faults for reason in _reasons(fault)))
        return ()

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
    for name, field in schema.get("properties", {}).items():
        _refuse_unknown(field, _inside(path, name))
    if "items" in schema:
        _refuse_unknown(schema["items"], f"{path}[]")


def _reasons(fault: "ValidationError") -> Iterator[str]:
    """`event.severity is not one of low, high`. The numbers of a list's entries are left out."""
    path, rule = "", str(fault.validator)
    content: Any = fault.instance
    schema: Any = fault.schema
    for step in fault.absolute_path:
        path = f"{path}[]" if isinstance(step, int) else _inside(path, step)
    if rule == "required":
        yield from (f"{_inside(path, name)} is missing" for name in schema[rule] if name not in content)
    elif rule == "additionalProperties":
        known = schema.get("properties", {})
        yield from (
            f"{_inside(path, name)} is not a field of the body" for name in content if name not in known
        )
    else:
        yield f"{path or 'the body'} {_broken(rule, schema[rule])}"


def _broken(rule: str, limit: Any) -> str:
    if rule == "type":
        return f"is not {_TYPES[limit]}"
    return _RULES[rule].format(", ".join(map(str, limit)) if isinstance(limit, list) else limit)


def _inside(path: str, name: str) -> str:
    return f"{path}.{name}".lstrip(".")
