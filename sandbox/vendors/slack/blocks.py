"""Slack's Block Kit limits: the first thing wrong with a message's blocks, in words."""

from collections.abc import Callable
from typing import Any

BLOCKS_MAX = 50
IDS = {"block_id": 255, "action_id": 255}


def check_blocks(blocks: Any) -> str | None:
    """What is wrong with `blocks`, or None."""
    if not isinstance(blocks, list):
        return "blocks is an array"
    if len(blocks) > BLOCKS_MAX:
        return f"{len(blocks)} blocks, at most {BLOCKS_MAX} fit"
    for place, block in enumerate(blocks):
        fault = _block(block)
        if fault:
            return f"blocks[{place}]: {fault}"
    return None


def _block(block: Any) -> str | None:
    if not isinstance(block, dict):
        return "is not an object"
    check = CHECKS.get(str(block.get("type")))
    if check is None:
        return f"unknown type {block.get('type')!r}"
    return _ids(block) or check(block)


def _ids(thing: dict[str, Any]) -> str | None:
    for name, limit in IDS.items():
        value = thing.get(name, "")
        if not isinstance(value, str) or len(value) > limit:
            return f"{name} is a string of at most {limit} characters"
    return None


def _text(text: Any, limit: int, kinds: tuple[str, ...] = ("plain_text", "mrkdwn")) -> str | None:
    if not isinstance(text, dict) or text.get("type") not in kinds:
        return f"a text object is {' or '.join(kinds)}"
    value = text.get("text")
    if not isinstance(value, str) or not value:
        return "a text object has a text of at least one character"
    return f"text has {len(value)} characters, at most {limit} fit" if len(value) > limit else None


def _all(things: Any, limit: int, check: Callable[[Any], str | None], name: str) -> str | None:
    if not isinstance(things, list) or not 1 <= len(things) <= limit:
        return f"{name} is an array of 1 to {limit}"
    return next((fault for fault in map(check, things) if fault), None)


def _section(block: dict[str, Any]) -> str | None:
    if "text" not in block and "fields" not in block:
        return "a section has a text or fields"
    fault = _text(block["text"], 3000) if "text" in block else None
    if fault or "fields" not in block:
        return fault
    return _all(block["fields"], 10, lambda text: _text(text, 2000), "fields")


def _header(block: dict[str, Any]) -> str | None:
    return _text(block.get("text"), 150, ("plain_text",))


def _divider(block: dict[str, Any]) -> str | None:
    return None


def _image(block: dict[str, Any]) -> str | None:
    for name, limit in (("image_url", 3000), ("alt_text", 2000)):
        value = block.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= limit:
            return f"an image has {name} of at most {limit} characters"
    return None


def _context(block: dict[str, Any]) -> str | None:
    def element(part: Any) -> str | None:
        return _image(part) if isinstance(part, dict) and part.get("type") == "image" else _text(part, 3000)

    return _all(block.get("elements"), 10, element, "elements")


def _actions(block: dict[str, Any]) -> str | None:
    return _all(block.get("elements"), 25, _button, "elements")


def _button(part: Any) -> str | None:
    if not isinstance(part, dict) or part.get("type") != "button":
        return "an action here is a button"
    for name, limit in (("url", 3000), ("value", 2000)):
        value = part.get(name, "")
        if not isinstance(value, str) or len(value) > limit:
            return f"a button's {name} is a string of at most {limit} characters"
    return _ids(part) or _text(part.get("text"), 75, ("plain_text",))


CHECKS: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "section": _section,
    "header": _header,
    "divider": _divider,
    "image": _image,
    "context": _context,
    "actions": _actions,
}
