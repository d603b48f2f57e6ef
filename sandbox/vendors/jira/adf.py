"""Atlassian Document Format, checked node by node; Jira's own OpenAPI document leaves it untyped."""

from typing import Any
from urllib.parse import urlsplit

TEXT_MAX = 32_767  # characters of one field, as Jira counts them
DEPTH_MAX = 60

LISTS = frozenset({"bulletList", "orderedList"})
INLINE = frozenset({"text", "hardBreak", "inlineCard", "emoji"})
IN_CELL = LISTS | {"paragraph", "heading", "codeBlock", "panel", "blockquote", "rule"}

#: node -> what may stand in it; an empty set is a leaf
CONTENT: dict[str, frozenset[str]] = {
    "doc": IN_CELL | {"table"},
    "paragraph": INLINE,
    "heading": INLINE,
    "codeBlock": frozenset({"text"}),
    "bulletList": frozenset({"listItem"}),
    "orderedList": frozenset({"listItem"}),
    "listItem": LISTS | {"paragraph", "codeBlock"},
    "blockquote": LISTS | {"paragraph", "codeBlock"},
    "panel": LISTS | {"paragraph", "heading"},
    "table": frozenset({"tableRow"}),
    "tableRow": frozenset({"tableCell", "tableHeader"}),
    "tableCell": IN_CELL,
    "tableHeader": IN_CELL,
    "rule": frozenset(),
    "text": frozenset(),
    "hardBreak": frozenset(),
    "inlineCard": frozenset(),
    "emoji": frozenset(),
}
#: may stand with no content at all
MAY_BE_EMPTY = frozenset({"doc", "paragraph", "heading", "codeBlock"})
#: node -> the attributes it cannot be without
ATTRS: dict[str, tuple[str, ...]] = {
    "heading": ("level",),
    "panel": ("panelType",),
    "inlineCard": ("url",),
    "emoji": ("shortName",),
}
PANELS = frozenset({"info", "note", "tip", "warning", "error", "success", "custom"})
MARKS = frozenset({"strong", "em", "code", "link", "strike", "underline", "subsup", "textColor"})
SCHEMES = frozenset({"http", "https", "mailto"})


def looks_like_document(value: Any) -> bool:
    """Whether Jira takes it for a document at all; if not, it says "Operation value must be …"."""
    return isinstance(value, dict) and value.get("type") == "doc"


def check_document(value: dict[str, Any]) -> str | None:
    """The first thing wrong with the document, with its place, or None."""
    if value.get("version") != 1 or isinstance(value["version"], bool):
        return "$: version is 1"
    if "content" not in value:
        return "$: a doc has content"
    if value.keys() - {"type", "version", "content"}:
        return "$: a doc has type, version and content, nothing else"
    return _content(value, "$", 0)


def text_of(node: Any) -> str:
    """All text of a checked document, a line per paragraph."""
    if node.get("type") == "text":
        return str(node["text"])
    if node.get("type") == "hardBreak":
        return "\n"
    parts = [text_of(child) for child in node.get("content", [])]
    return ("" if node.get("type") in ("paragraph", "heading", "codeBlock") else "\n").join(parts)


def _node(node: Any, allowed: frozenset[str], parent: str, at: str, depth: int) -> str | None:
    if not isinstance(node, dict) or not isinstance(node.get("type"), str):
        return f"{at}: a node is an object with a type"
    kind = node["type"]
    if kind not in allowed:
        return f"{at}: {kind} may not stand in {parent}"
    unknown = node.keys() - _members(kind)
    if unknown:
        return f"{at}: {kind} has no member {min(unknown)}"
    fault = _attrs(node, at)
    if fault:
        return fault
    return _text(node, parent, at) if kind == "text" else _content(node, at, depth)


def _members(kind: str) -> set[str]:
    if kind == "text":
        return {"type", "text", "marks"}
    return {"type", "attrs"} | ({"content"} if CONTENT[kind] else set())


def _content(node: dict[str, Any], at: str, depth: int) -> str | None:
    kind = node["type"]
    children = node.get("content", [])
    if depth > DEPTH_MAX:
        return f"{at}: nested too deeply"
    if not isinstance(children, list):
        return f"{at}: content is an array"
    if CONTENT[kind] and not children and kind not in MAY_BE_EMPTY:
        return f"{at}: {kind} is empty"
    if kind == "listItem" and isinstance(children[0], dict) and children[0].get("type") in LISTS:
        return f"{at}: a listItem begins with a paragraph"
    for place, child in enumerate(children):
        fault = _node(child, CONTENT[kind], kind, f"{at}.content[{place}]", depth + 1)
        if fault:
            return fault
    return None


def _attrs(node: dict[str, Any], at: str) -> str | None:
    attrs = node.get("attrs", {})
    if not isinstance(attrs, dict):
        return f"{at}: attrs is an object"
    missing = [name for name in ATTRS.get(node["type"], ()) if name not in attrs]
    if missing:
        return f"{at}: {node['type']} needs attrs.{missing[0]}"
    if node["type"] == "heading" and (type(attrs["level"]) is not int or not 1 <= attrs["level"] <= 6):
        return f"{at}: a heading's level is 1 to 6"
    if node["type"] == "panel" and attrs["panelType"] not in PANELS:
        return f"{at}: panelType is one of {', '.join(sorted(PANELS))}"
    if node["type"] == "inlineCard" and not _is_link(attrs["url"]):
        return f"{at}: url is an http, https or mailto link"
    return None


def _text(node: dict[str, Any], parent: str, at: str) -> str | None:
    if not isinstance(node.get("text"), str) or not node["text"]:
        return f"{at}: a text node's text is a string of at least one character"
    marks = node.get("marks", [])
    if not isinstance(marks, list):
        return f"{at}: marks is an array"
    if marks and parent == "codeBlock":
        return f"{at}: text in a codeBlock has no marks"
    return next((fault for mark in marks if (fault := _mark(mark, at))), None) or _together(marks, at)


def _mark(mark: Any, at: str) -> str | None:
    if not isinstance(mark, dict) or mark.get("type") not in MARKS:
        return f"{at}: a mark is one of {', '.join(sorted(MARKS))}"
    if mark.keys() - {"type", "attrs"} or not isinstance(mark.get("attrs", {}), dict):
        return f"{at}: a mark has type and attrs, nothing else"
    if mark["type"] == "link" and not _is_link(mark.get("attrs", {}).get("href")):
        return f"{at}: a link's href is an http, https or mailto link"
    return None


def _together(marks: list[dict[str, Any]], at: str) -> str | None:
    kinds = [mark["type"] for mark in marks]
    if len(set(kinds)) < len(kinds):
        return f"{at}: the same mark twice"
    return f"{at}: code goes with link only" if "code" in kinds and set(kinds) - {"code", "link"} else None


def _is_link(value: Any) -> bool:
    try:
        return isinstance(value, str) and urlsplit(value).scheme in SCHEMES
    except ValueError:
        return False
