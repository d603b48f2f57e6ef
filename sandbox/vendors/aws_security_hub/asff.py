"""What Security Hub demands of a finding: AWS's own field names, lengths and words."""

import re
from typing import Any

REQUIRED = (
    *("SchemaVersion", "Id", "ProductArn", "GeneratorId", "AwsAccountId", "CreatedAt", "UpdatedAt"),
    *("Title", "Description", "Resources"),
)
LENGTHS = {"Id": 512, "GeneratorId": 512, "Title": 256, "Description": 1024}
MEMBERS = frozenset({*REQUIRED, "Types", "Severity", "SourceUrl", "ProductFields", "FindingProviderFields"})
LABELS = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:?\d\d)")
#: the namespaces of a finding's type
TYPES = re.compile(
    "(Software and Configuration Checks|TTPs|Effects|Unusual Behaviors|Sensitive Data Identifications)"
    "(/[^/]+){0,2}"
)


def fault_of(finding: Any) -> str:
    """Why Security Hub refuses the finding, in its own manner; empty when it does not."""
    if not isinstance(finding, dict):
        return "should be object"
    missing = [name for name in REQUIRED if name not in finding]
    if missing:
        return f"should have required property '{missing[0]}'"
    unknown = sorted(finding.keys() - MEMBERS)
    if unknown:
        return f"should NOT have additional property '{unknown[0]}'"
    return _texts(finding) or _severity(finding) or _resources(finding["Resources"]) or _fields(finding)


def _texts(finding: dict[str, Any]) -> str:
    for name in REQUIRED[:-1]:
        value = finding[name]
        if not isinstance(value, str) or not value.strip():
            return f"{name} should be a non-empty string"
        if len(value) > LENGTHS.get(name, 10_000):
            return f"{name} should NOT be longer than {LENGTHS[name]} characters"
    if finding["SchemaVersion"] != "2018-10-08":
        return "SchemaVersion should be equal to '2018-10-08'"
    late = [name for name in ("CreatedAt", "UpdatedAt") if not TIME.fullmatch(finding[name])]
    return f"{late[0]} should match format date-time" if late else ""


def _severity(finding: dict[str, Any]) -> str:
    given = finding.get("FindingProviderFields", finding)
    severity, types = given.get("Severity"), given.get("Types")
    if severity is None or types is None:
        return "should have required property 'FindingProviderFields' or 'Severity' and 'Types'"
    if not isinstance(severity, dict) or severity.get("Label") not in LABELS:
        return f"Severity.Label should be equal to one of {', '.join(LABELS)}"
    if not isinstance(types, list) or len(types) > 50:
        return "Types should NOT have more than 50 items"
    wrong = [kind for kind in types if not isinstance(kind, str) or not TYPES.fullmatch(kind)]
    return "Types should match namespace/category/classifier" if wrong else ""


def _resources(resources: Any) -> str:
    if not isinstance(resources, list) or not 1 <= len(resources) <= 32:
        return "Resources should have 1 to 32 items"
    for resource in resources:
        if not isinstance(resource, dict) or not _short(resource.get("Id"), 512):
            return "Resources.Id should be a string of at most 512 characters"
        if not _short(resource.get("Type"), 256):
            return "Resources.Type should be a string"
    return ""


def _fields(finding: dict[str, Any]) -> str:
    link = finding.get("SourceUrl", "https://x")
    if not isinstance(link, str) or not re.match(r"https?://", link):
        return "SourceUrl should match format uri"
    fields = finding.get("ProductFields", {})
    if not isinstance(fields, dict) or len(fields) > 50:
        return "ProductFields should NOT have more than 50 properties"
    fits = all(_short(name, 128) and _short(value, 2048) for name, value in fields.items())
    return "" if fits else "ProductFields should be strings: names of 128, values of 2048 characters"


def _short(value: Any, limit: int) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= limit
