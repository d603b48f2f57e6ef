"""What Jira checks in the fields of a new issue, and the sentence it answers for each."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from sandbox.vendors.jira.adf import TEXT_MAX, check_document, looks_like_document, text_of

PROJECTS = {"SEC": ("10000", "Security"), "OPS": ("10001", "Operations")}
ISSUE_TYPES = {"Task": "10002", "Bug": "10004", "Incident": "10007"}
PRIORITIES = {"Highest": "1", "High": "2", "Medium": "3", "Low": "4", "Lowest": "5"}
#: field -> (name, schema type, required)
SCREEN = {
    "summary": ("Summary", "string", True),
    "issuetype": ("Issue Type", "issuetype", True),
    "project": ("Project", "project", True),
    "description": ("Description", "string", False),
    "labels": ("Labels", "array", False),
    "priority": ("Priority", "priority", False),
    "duedate": ("Due date", "date", False),
    "customfield_10050": ("Finding source", "string", False),
}
SUMMARY_MAX = 255
LABEL_MAX = 255
PROPERTY_KEY_MAX = 255
PROPERTY_BYTES_MAX = 32_768

NO_DOCUMENT = "Operation value must be an Atlassian Document (see the Atlassian Document Format)"


class Malformed(Exception):
    """The request is refused as a whole: Jira's words, and what is wrong, for people."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(reason)
        self.message, self.reason = message, reason


def named(value: Any, table: Mapping[str, str], *, by: str = "name") -> str | None:
    """The name of what `{"name": …}` or `{"id": …}` means in `table` (name to id), or None."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get(by), str):
        return value[by] if value[by] in table else None
    return next((name for name, known in table.items() if known == value.get("id")), None)


def project_of(fields: Mapping[str, Any]) -> str | None:
    return named(fields.get("project"), {key: number for key, (number, _) in PROJECTS.items()}, by="key")


def check_fields(fields: Mapping[str, Any]) -> dict[str, str]:
    """Field to Jira's sentence about it; empty when the issue can be created. Malformed for bad ADF."""
    errors = {
        name: f"Field '{name}' cannot be set. It is not on the appropriate screen, or unknown."
        for name in fields
        if name not in SCREEN
    }
    for name, check in CHECKS.items():
        if name in fields or SCREEN[name][2]:
            fault = check(fields.get(name))
            if fault:
                errors[name] = fault
    return errors


def check_properties(properties: Any) -> None:
    """Raise Malformed unless it is an array of keys and values."""
    payload = "Invalid request payload. Refer to the REST API documentation and try again."
    if not isinstance(properties, list):
        raise Malformed(payload, "properties is an array of key and value")
    for entry in properties:
        if not isinstance(entry, dict) or entry.keys() != {"key", "value"}:
            raise Malformed(payload, "a property has key and value, nothing else")
        if not isinstance(entry["key"], str) or not 1 <= len(entry["key"]) <= PROPERTY_KEY_MAX:
            raise Malformed(payload, f"a property's key is a string of at most {PROPERTY_KEY_MAX} characters")
        if len(json.dumps(entry["value"]).encode()) > PROPERTY_BYTES_MAX:
            raise Malformed(payload, "a property's value is at most 32 KB")


def _project(value: Any) -> str | None:
    return None if project_of({"project": value}) else "Specify a valid project ID or key"


def _issue_type(value: Any) -> str | None:
    return None if named(value, ISSUE_TYPES) else "Specify a valid issue type"


def _priority(value: Any) -> str | None:
    return None if named(value, PRIORITIES) else "The priority selected is invalid."


def _summary(value: Any) -> str | None:
    if value is None or value == "":
        return "You must specify a summary of the issue."
    if not isinstance(value, str):
        return "Operation value must be a string"
    if "\n" in value or "\r" in value:
        return "The summary is invalid because it contains newline characters."
    if not value.strip():
        return "You must specify a summary of the issue."
    return "Summary can't exceed 255 characters." if len(value) > SUMMARY_MAX else None


def _description(value: Any) -> str | None:
    if value is None:
        return None
    if not looks_like_document(value):
        return NO_DOCUMENT
    fault = check_document(value)
    if fault:
        raise Malformed("INVALID_INPUT", fault)
    if len(text_of(value)) > TEXT_MAX:
        return f"The entered text is too long. It exceeds the allowed limit of {TEXT_MAX:,} characters."
    return None


def _labels(value: Any) -> str | None:
    if not isinstance(value, list):
        return "data was not an array"
    for label in value:
        if not isinstance(label, str) or not label:
            return "string expected at index 0"
        if any(letter.isspace() for letter in label):
            return f"The label '{label}' contains spaces which is invalid."
        if len(label) > LABEL_MAX:
            return f"The label '{label}' exceeds the maximum length for a single label of 255 characters."
    return None


def _string(value: Any) -> str | None:
    return None if value is None or isinstance(value, str) else "Operation value must be a string"


CHECKS: dict[str, Callable[[Any], str | None]] = {
    "project": _project,
    "issuetype": _issue_type,
    "summary": _summary,
    "description": _description,
    "labels": _labels,
    "priority": _priority,
    "duedate": _string,
    "customfield_10050": _string,
}
