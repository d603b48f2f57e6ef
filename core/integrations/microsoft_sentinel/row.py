"""Pure: a mapped finding → a row of a Log Analytics table: flat, with column names and values it takes."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from core.http.errors import Misconfigured
from core.platform.text import cut_bytes

#: a longer value is cut without a word at 64 KB (learn.microsoft.com, Azure Monitor service limits)
VALUE_BYTES = 64_000
#: learn.microsoft.com, Create a custom table
COLUMN = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,44}")
RESERVED = frozenset({"_resourceid", "id", "_subscriptionid", "tenantid", "type", "uniqueid", "title"})


def row(body: Mapping[str, Any]) -> dict[str, Any]:
    """Raises Misconfigured for a column that no table can have: the mapping is wrong for every record."""
    for name in body:
        if not COLUMN.fullmatch(name) or name.lower() in RESERVED:
            shown = "".join(char if char.isprintable() else "?" for char in name[:60])
            raise Misconfigured(
                f'The mapping names a column "{shown}", which no table can have: a letter first, then at most '
                f"44 letters, digits or _, and none of {', '.join(sorted(RESERVED))}. Correct the mapping."
            )
    return {name: _value(value) for name, value in body.items()}


def _value(value: Any) -> Any:
    """Lists and objects become JSON text: a column holds one value, and KQL's parse_json reads it."""
    if isinstance(value, dict | list):
        value = orjson.dumps(value).decode()
    return cut_bytes(value, VALUE_BYTES) if isinstance(value, str) else value
