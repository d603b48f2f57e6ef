"""What Teams takes of an Adaptive Card: the first thing wrong with one, in words."""

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

VERSIONS = ("1.0", "1.1", "1.2", "1.3", "1.4", "1.5")
COLORS = ("Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention")
#: what a workflow's card may do: nothing that would need somebody to answer
ACTIONS = ("Action.OpenUrl", "Action.ShowCard", "Action.ToggleVisibility")


def check_card(card: Any) -> str | None:
    """What is wrong with `card`, or None."""
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard":
        return "content is an object of type AdaptiveCard"
    if card.get("version") not in VERSIONS:
        return f"version is one of {', '.join(VERSIONS)}"
    body, actions = card.get("body"), card.get("actions", [])
    if not isinstance(body, list) or not body:
        return "body is an array with at least one element"
    if not isinstance(actions, list):
        return "actions is an array"
    faults = [(f"body[{n}]", _element(part)) for n, part in enumerate(body)]
    faults += [(f"actions[{n}]", _action(part)) for n, part in enumerate(actions)]
    return next((f"{where}: {fault}" for where, fault in faults if fault), None)


def texts_of(card: dict[str, Any]) -> list[str]:
    """All texts of a card that `check_card` accepts, from top to bottom."""
    found: list[str] = []
    for element in card["body"]:
        if element["type"] == "FactSet":
            found += [f"{fact['title']} {fact['value']}" for fact in element["facts"]]
        elif element["type"] == "RichTextBlock":
            found.append("".join(run if isinstance(run, str) else run["text"] for run in element["inlines"]))
        else:
            found.append(element["text"])
    return found


def _element(part: Any) -> str | None:
    if not isinstance(part, dict):
        return "is not an object"
    check = ELEMENTS.get(str(part.get("type")))
    return check(part) if check else f"unknown type {part.get('type')!r}"


def _text(part: dict[str, Any]) -> str | None:
    if not isinstance(part.get("text"), str) or not part["text"]:
        return "text is a string of at least one character"
    return None if part.get("color", "Default") in COLORS else f"color is one of {', '.join(COLORS)}"


def _rich(part: dict[str, Any]) -> str | None:
    runs = part.get("inlines")
    if not isinstance(runs, list) or not runs:
        return "inlines is an array with at least one run"
    for run in runs:
        if isinstance(run, str):
            continue
        if not isinstance(run, dict) or run.get("type") != "TextRun":
            return "an inline is a string or a TextRun"
        fault = _text(run)
        if fault:
            return fault
    return None


def _facts(part: dict[str, Any]) -> str | None:
    facts = part.get("facts")
    if not isinstance(facts, list) or not facts:
        return "facts is an array with at least one fact"
    whole = all(
        isinstance(fact, dict) and all(isinstance(fact.get(name), str) for name in ("title", "value"))
        for fact in facts
    )
    return None if whole else "a fact has a title and a value, both strings"


def _action(part: Any) -> str | None:
    if not isinstance(part, dict) or part.get("type") not in ACTIONS:
        return f"an action is one of {', '.join(ACTIONS)}"
    if part["type"] == "Action.OpenUrl":
        url = part.get("url")
        if (
            not isinstance(url, str)
            or urlsplit(url).scheme not in ("http", "https")
            or not urlsplit(url).netloc
        ):
            return "the url of Action.OpenUrl is absolute"
    return None


ELEMENTS: dict[str, Callable[[dict[str, Any]], str | None]] = {
    "TextBlock": _text,
    "RichTextBlock": _rich,
    "FactSet": _facts,
}
