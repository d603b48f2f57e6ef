"""What Zendesk checks in a new ticket, and what it answers for each field."""

import json
from collections.abc import Container
from typing import Any

from sandbox.contract import key_in

MEMBERS = frozenset(
    {"subject", "comment", "priority", "type", "external_id", "tags", "requester", "group_id", "status"}
)
PRIORITIES = ("low", "normal", "high", "urgent")
TYPES = ("problem", "incident", "question", "task")
SUBJECT_MAX, COMMENT_BYTES_MAX, TAG_MAX = 150, 65_535, 255


def check_ticket(ticket: Any, groups: Container[int]) -> dict[str, list[dict[str, str]]]:
    """`details` of a RecordInvalid answer; empty when the ticket can be made."""
    if not isinstance(ticket, dict):
        return _wrong("base", "The ticket is an object")
    unknown = sorted(ticket.keys() - MEMBERS)
    if unknown:
        return _wrong(unknown[0], "is not a member that the hub should send")
    comment = ticket.get("comment")
    if not isinstance(comment, dict) or not str(comment.get("body") or "").strip():
        return _wrong("comment", "Comment: cannot be blank")
    if len(comment["body"].encode()) > COMMENT_BYTES_MAX:
        return _wrong("comment", "Comment: is too long (64 KB)")
    if not isinstance(comment.get("public", True), bool):
        return _wrong("comment", "Public: is true or false")
    return _check_words(ticket) or _check_people(ticket, groups)


def key_of(ticket: dict[str, Any]) -> str:
    return str(ticket.get("external_id") or key_in(json.dumps(ticket), ticket))


def _check_words(ticket: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    if len(str(ticket.get("subject", ""))) > SUBJECT_MAX:
        return _wrong("subject", f"Subject: is too long (maximum is {SUBJECT_MAX} characters)")
    for name, words in (("priority", PRIORITIES), ("type", TYPES)):
        if name in ticket and ticket[name] not in words:
            return _wrong(name, f"{name.title()}: {ticket[name]} is not valid")
    for tag in ticket.get("tags", []):
        if not isinstance(tag, str) or not tag or len(tag) > TAG_MAX or any(c.isspace() for c in tag):
            return _wrong("tags", "Tags: contains an invalid character")
    return {}


def _check_people(ticket: dict[str, Any], groups: Container[int]) -> dict[str, list[dict[str, str]]]:
    requester = ticket.get("requester")
    if requester is not None and not (isinstance(requester, dict) and requester.get("name")):
        return _wrong("requester", "Requester: Name is too short (minimum one character)")
    if "group_id" in ticket and ticket["group_id"] not in groups:
        return _wrong("group", f"Group: {ticket['group_id']} is not valid")
    return {}


def _wrong(field: str, words: str) -> dict[str, list[dict[str, str]]]:
    return {field: [{"description": words, "error": "InvalidValue"}]}
