"""The option `mapping`: bounded, compiled and tried when it is saved, and compiled again by each run."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from core.integrations import example, mapping
from core.integrations.manifest import Manifest
from core.integrations.mapping import MAX_BODY_BYTES, Mapper, Unmappable, refused
from core.integrations.mapping.template import is_regular
from core.storage.models.words import SEVERITIES

MAX_BYTES, MAX_RULES, MAX_DEPTH = 64 * 1024, 500, 20


def mapper(manifest: Manifest, rules: Mapping[str, Any]) -> Mapper:
    """The mapper of a connection with these rules. Raises Invalid for rules that no body can follow."""
    most_bytes = min(manifest.limits.batch_bytes or MAX_BODY_BYTES, MAX_BODY_BYTES)
    tree = manifest.mapping[manifest.kind]
    return mapping.compile(tree, manifest.record, manifest.severity, rules, most_bytes)


def check(manifest: Manifest, rules: Mapping[str, Any]) -> None:
    """Raise Invalid, in one sentence, for rules that cannot be kept or of which no record becomes a body."""
    _check_size(rules)
    mapper(manifest, rules)
    _try(manifest, rules)


def _check_size(rules: Mapping[str, Any]) -> None:
    for number, depth in enumerate(_depths(rules), 1):
        if depth > MAX_DEPTH:
            raise refused(f"is nested more than {MAX_DEPTH} levels deep; write it flatter.")
        if number > MAX_RULES:
            raise refused(f"has more than {MAX_RULES} rules; leave out what is as the hub maps it anyway.")
    try:
        written = orjson.dumps(rules)
    except TypeError:
        raise refused("holds something that JSON cannot keep; write texts, numbers and tables.") from None
    if len(written) > MAX_BYTES:
        raise refused(f"has more than {MAX_BYTES // 1024} KiB; shorten its texts.")
    if b"\\u0000" in written:
        raise refused("holds a NUL character, which no database keeps; take it out.")


def _depths(rules: Any) -> Iterator[int]:
    """How deep each rule stands, found without recursion: what is entered may be nested as deep as JSON goes."""
    left: list[tuple[Any, int]] = [(rules, 0)]
    while left:
        node, depth = left.pop()
        inside = list(node.values()) if isinstance(node, Mapping) else node
        if isinstance(inside, list):
            left += [(entry, depth + 1) for entry in inside]
        if depth:
            yield depth


def _try(manifest: Manifest, rules: Mapping[str, Any]) -> None:
    """Map a made-up record of each severity. What depends on a record's own fields shows with the records."""
    tried = mapper(manifest, _regular(rules))
    for severity in SEVERITIES:
        try:
            tried.body(example.facts(manifest.kind, severity, include_raw=True))
        except Unmappable as error:
            reasons = "; ".join(error.reasons)
            raise refused(f"makes no body that {manifest.name} takes: {reasons}. Correct it.") from None


def _regular(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The rules without those that name what only some records have."""
    kept = {name: _regular(value) if isinstance(value, Mapping) else value for name, value in rules.items()}
    return {name: value for name, value in kept.items() if is_regular(value)}
