"""A manifest's template tree → a function that makes one body, compiled once and run for every record."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from core.integrations.mapping.record_facts import CONTAINERS, NAMES, REGULAR
from core.integrations.mapping.schema import Check, Schema, compile_check
from core.integrations.mapping.values import as_iso, as_moment, clean, many_lines, one_line
from core.platform.errors import HubError, Invalid, did_you_mean

Facts = Mapping[str, Any]
Look = Callable[[Facts], Any]

#: of a body, unless its vendor takes less: a template may name a record's largest field any number of times
MAX_BODY_BYTES = 1024 * 1024
_PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_JSON = orjson.OPT_UTC_Z | orjson.OPT_NAIVE_UTC
#: how control characters inside a raw record look in orjson's output. Backslashes and signs (£, °) of a text
#: match too; that only costs time
_SUSPECT = (b"\\u00", b"\\b", b"\\f", b"\x7f", b"\xc2")


class Unmappable(HubError):
    """The record cannot become a body; the caller puts it in the outbox as dead, with these reasons."""

    code = "unmappable"

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


class TooLong(Unmappable):
    """The body would pass its limit; what was made of it is thrown away."""

    def __init__(self, most_bytes: int) -> None:
        super().__init__((f"the body would be larger than {most_bytes:,} bytes",))


class Room:
    """What is left for one body, counted while it grows. A character has one byte at least."""

    __slots__ = ("left", "most_bytes")

    def __init__(self, most_bytes: int) -> None:
        self.left = self.most_bytes = most_bytes

    def take(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise TooLong(self.most_bytes)


Render = Callable[[Facts, Room], Any]


class Mapper:
    """One connection's mapping, ready to run; no body has more than `most_bytes`."""

    def __init__(self, render: Render, check: Check, most_bytes: int = MAX_BODY_BYTES) -> None:
        self._render = render
        self._check = check
        self._most_bytes = most_bytes

    def body(self, facts: Facts) -> str:
        """The body as JSON text, its fields in the template's order. Raises Unmappable, and its kind TooLong."""
        value = self._render(facts, Room(self._most_bytes))
        self._refuse_misfit(value)
        payload = _dump(value)
        if payload is None or any(mark in payload for mark in _SUSPECT):
            value = self._clean(value)
            payload = _dump(value)
        if payload is None:
            raise Unmappable(("it is nested too deeply to be JSON",))
        if len(payload) > self._most_bytes:
            raise TooLong(self._most_bytes)
        return payload.decode()

    def _clean(self, value: Any) -> Any:
        try:
            value = clean(value)
        except ValueError as error:
            raise Unmappable((str(error),)) from None
        self._refuse_misfit(value)
        return value

    def _refuse_misfit(self, value: Any) -> None:
        if reasons := self._check(value):
            raise Unmappable(reasons)


def compile(
    tree: Mapping[str, Any],
    record_schema: Schema,
    severity_map: Mapping[str, Any],
    overrides: Mapping[str, Any] | None = None,
    most_bytes: int = MAX_BODY_BYTES,
) -> Mapper:
    """The mapper of one connection. `overrides` replace the tree's fields by name; None removes one.

    `"{name}"` alone keeps the value's type; with text around it becomes text. What is no name prints as it
    was written, so `{0.__class__}` and `{{7*7}}` do nothing. Raises Invalid for a field the body does not
    have, for removing one it needs, and for a schema keyword that is not supported.
    """
    check = compile_check(record_schema)
    merged = _merge(tree, overrides or {}, record_schema, "")
    builder = _Builder(severity_map, weighs=_containers(merged) > 1)
    return Mapper(builder.render(merged, record_schema), check, most_bytes)


def _merge(
    tree: Mapping[str, Any], overrides: Mapping[str, Any], schema: Schema, path: str
) -> dict[str, Any]:
    merged = dict(tree)
    for name, value in overrides.items():
        where = f"{path}{name}"
        fields = schema.get("properties", {})
        if name not in fields and not schema.get("additionalProperties", True):
            raise refused(f'names "{where}", which the body does not have.{did_you_mean(name, fields)}')
        if value is None and name in schema.get("required", ()):
            raise refused(f'removes "{where}", which the body needs; give it a value.')
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            old = merged.get(name)
            inner = old if isinstance(old, Mapping) else {}
            merged[name] = _merge(inner, value, fields.get(name, {}), f"{where}.")
        else:
            merged[name] = value
    return merged


def refused(flaw: str) -> Invalid:
    """The mapping that a person wrote cannot be used; `flaw` ends the sentence."""
    sentence = f"The mapping {flaw}"
    return Invalid(sentence, {"mapping": sentence})


def is_regular(template: Any) -> bool:
    """Whether a value is the same for every source: it names nothing that only some records have."""
    if isinstance(template, list):
        return all(map(is_regular, template))
    return not isinstance(template, str) or REGULAR.issuperset(_PLACEHOLDER.findall(template))


def _containers(node: Any) -> int:
    """How many values of the body may be whole objects and lists of the record, and so of any size."""
    if isinstance(node, Mapping):
        return sum(map(_containers, node.values()))
    if isinstance(node, list):
        return sum(map(_containers, node))
    found = _PLACEHOLDER.fullmatch(node) if isinstance(node, str) else None
    return found is not None and (found[1] in CONTAINERS or found[1] not in NAMES)


@dataclass(frozen=True)
class _Builder:
    """`weighs`: objects and lists are counted, too; one alone is no larger than its record."""

    severity_map: Mapping[str, Any]
    weighs: bool

    def render(self, node: Any, schema: Schema) -> Render:
        if isinstance(node, Mapping):
            properties = schema.get("properties", {})
            return _object({k: self.render(v, properties.get(k, {})) for k, v in node.items()})
        if isinstance(node, list):
            return _list([self.render(entry, schema.get("items", {})) for entry in node])
        if isinstance(node, str):
            return self._string(node, schema)
        constant = _plain(node)
        return lambda facts, room: constant

    def _string(self, template: str, schema: Schema) -> Render:
        texts = _PLACEHOLDER.split(template)  # text, name, text, name, …, text
        finish = _finisher(schema)
        looks = [_look_up(name, self.severity_map) for name in texts[1::2]]
        if not looks:
            constant = finish(template)
            return lambda facts, room: constant
        if len(looks) == 1 and not any(texts[::2]):
            is_known = texts[1] in NAMES and texts[1] != "vendor_severity"
            limit = schema.get("maxLength", math.inf)
            return self._known(texts[1], finish, limit) if is_known else self._value(looks[0], finish)
        return _text(texts, looks, finish)

    def _known(self, name: str, finish: Callable[[Any], Any], limit: float) -> Render:
        """A name that every record has, which most of a template is: what needs no finish goes straight through."""
        rest = self._value(itemgetter(name), finish)

        def render(facts: Facts, room: Room) -> Any:
            value = facts.get(name)
            if value is None:
                return None
            if value.__class__ is str and len(value) <= limit and value.isprintable():
                room.take(len(value))
                return value
            return rest(facts, room)

        return render

    def _value(self, look: Look, finish: Callable[[Any], Any]) -> Render:
        weighs = self.weighs

        def render(facts: Facts, room: Room) -> Any:
            value = finish(look(facts))
            if isinstance(value, str):
                room.take(len(value))
            elif weighs and isinstance(value, dict | list):
                room.take(len(_dump(value) or b""))
            return value

        return render


def _object(fields: dict[str, Render]) -> Render:
    pairs = tuple(fields.items())

    def render(facts: Facts, room: Room) -> dict[str, Any]:
        return {name: value for name, make in pairs if (value := make(facts, room)) is not None}

    return render


def _list(entries: list[Render]) -> Render:
    def render(facts: Facts, room: Room) -> list[Any]:
        return [value for make in entries if (value := make(facts, room)) is not None]

    return render


def _text(texts: list[str], looks: list[Look], finish: Callable[[Any], Any]) -> Render:
    """Values with words around them: each is counted before the next is made."""

    def render(facts: Facts, room: Room) -> Any:
        filled = list(texts)
        for place, look in enumerate(looks):
            filled[2 * place + 1] = text = _as_text(look(facts))
            room.take(len(text))
        return finish("".join(filled))

    return render


def _look_up(name: str, severity_map: Mapping[str, Any]) -> Look:
    if name == "vendor_severity":
        return lambda facts: severity_map.get(facts["severity"])
    if name in NAMES:
        return lambda facts: facts.get(name)
    literal = f"{{{name}}}"
    return lambda facts: facts.get(name, literal)


def _finisher(schema: Schema) -> Callable[[Any], Any]:
    """What every value of a field goes through: cleaned, one line unless the schema says text/plain, cut."""
    tidy = many_lines if schema.get("contentMediaType") == "text/plain" else one_line
    limit = schema.get("maxLength")
    is_text = schema.get("type") == "string"

    def finish(value: Any) -> Any:
        if not isinstance(value, str):
            value = _plain(value)
            if is_text and isinstance(value, int | float):
                value = _as_text(value)
        if isinstance(value, str):
            value = value if value.isprintable() else tidy(value)
            if limit is not None and len(value) > limit:
                value = value[: limit - 1] + "…"
        return value

    return finish


def _plain(value: Any) -> Any:
    """A value JSON has a word for; None where it has none."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, int | dict | list):
        return value
    moment = as_moment(value)
    return as_iso(moment) if moment else str(value)


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    value = _plain(value)
    if value is None:
        return ""
    if isinstance(value, bool | dict | list):
        return (_dump(value) or b"").decode()
    return str(value)


def _dump(value: Any) -> bytes | None:
    """None when orjson cannot: a lone surrogate, more than 64 bits, more than 254 levels."""
    try:
        return orjson.dumps(value, default=str, option=_JSON)
    except TypeError:
        return None
