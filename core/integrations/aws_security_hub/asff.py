"""Pure: a mapped body → a finding in the AWS Security Finding Format, within every length it has."""

from collections.abc import Mapping
from typing import Any

import orjson

from core.platform.text import cut, cut_to_link, one_line, printable, web_link

# securityhub API reference, AwsSecurityFinding
TITLE_CHARS, DESCRIPTION_CHARS, ID_CHARS = 256, 1024, 512
TYPES_MAX, RESOURCES_MAX = 50, 32
# AWS Security Hub user guide, ProductFields
FIELDS_MAX, NAME_CHARS, VALUE_CHARS = 50, 128, 2048
RAW_FIELD = "footprintiq/raw"


def finding(body: Mapping[str, Any], key: str, *, account: str, product_arn: str) -> dict[str, Any]:
    """Under our key, so that the same record sent again is the same finding; empty texts are left out."""
    fields = dict(body.get("ProductFields") or {})
    if body.get("raw") is not None:
        fields[RAW_FIELD] = body["raw"]
    link = web_link(body.get("SourceUrl"))
    description = printable(str(body.get("Description") or "")).strip()
    resources = (body.get("Resources") or [{}])[:RESOURCES_MAX]
    own = {
        "SchemaVersion": "2018-10-08",
        "Id": cut(key, ID_CHARS),
        "ProductArn": product_arn,
        "AwsAccountId": account,
        "GeneratorId": one_line(str(body.get("GeneratorId") or ""), ID_CHARS) or "footprintiq",
        # the same on every try: AWS takes a later time for a change
        "UpdatedAt": body.get("UpdatedAt") or body["CreatedAt"],
        "Title": one_line(str(body.get("Title") or ""), TITLE_CHARS) or key,
        "Description": cut_to_link(description, DESCRIPTION_CHARS, link) or key,
        "Types": [one_line(str(kind), ID_CHARS) for kind in body.get("Types") or []][:TYPES_MAX],
        "Resources": [_resource(resource, key) for resource in resources],
        "SourceUrl": link,
        "ProductFields": _fields(fields),
    }
    kept = {name: value for name, value in body.items() if name != "raw" and name not in own}
    return kept | {name: value for name, value in own.items() if value}


def _resource(resource: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {"Type": "Other", **resource, "Id": one_line(str(resource.get("Id") or ""), ID_CHARS) or key}


def _fields(fields: Mapping[str, Any]) -> dict[str, str]:
    texts = {
        name[:NAME_CHARS]: _text(value)
        for name, value in fields.items()
        if name.strip() and value is not None
    }
    return dict([(name, text) for name, text in texts.items() if text.strip()][:FIELDS_MAX])


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return cut(printable(text), VALUE_CHARS)
