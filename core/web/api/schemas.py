"""Connections as they go in and come out: secrets go in, masks come out."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from core.connections import ConnectionView

#: the largest credential is a service account's JSON (about 2.5 kB), the largest field a CA bundle
MAX_TABLE_BYTES = 262_144
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]


def _bounded(table: dict[str, Any]) -> dict[str, Any]:
    if len(orjson.dumps(table)) > MAX_TABLE_BYTES:
        raise ValueError(f"is over {MAX_TABLE_BYTES // 1024} KiB")
    return table


Table = Annotated[dict[Name, Any], AfterValidator(_bounded)]


class Body(BaseModel):
    """What a request may hold: nothing but these fields, and no text where a flag or a number is meant."""

    model_config = ConfigDict(extra="forbid", strict=True)


class NewConnection(Body):
    """`values` are the entry's fields, secrets among them; `GET /api/v1/catalog/{slug}` lists them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "slug": "splunk",
                    "name": "SOC prod",
                    "values": {
                        "url": "https://splunk.example.com:8088",
                        "token": "00000000-0000-0000-0000-0000",
                    },
                    "options": {"every": "5m", "high_risk_threshold": 5},
                }
            ]
        }
    )
    slug: Annotated[str, StringConstraints(min_length=1, max_length=40)] = Field(
        description="Of the catalog."
    )
    name: str = Field(max_length=200, description="1 to 100 printable characters, unique among yours.")
    values: Table
    options: Table = Field(
        default_factory=dict, description="Interval, filters, limits: docs/api.md lists them."
    )
    owner: str | None = Field(None, max_length=254, description="E-mail of its owner; admins only.")
    shared: bool = Field(False, description="Others see the connection, not its records.")


class ConnectionChange(Body):
    """What is given is changed, the rest stays, also the secrets. An empty value clears a field."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"options": {"every": "1m"}}]})
    name: str | None = Field(None, max_length=200)
    values: Table | None = None
    options: Table | None = None
    shared: bool | None = None
    owner: str | None = Field(None, max_length=254, description="E-mail of its next owner; admins only.")


class Credentials(Body):
    """The entry's secrets, and whatever belongs to them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"values": {"token": "the new token"}}]})
    values: Table = Field(min_length=1)


class Enabling(Body):
    """What becomes of more than 1,000 records that wait; without it the answer is then 409."""

    backlog: Literal["send", "skip"] | None = None


class Which(Body):
    """Without `delivery` all that is held."""

    delivery: int | None = Field(None, ge=1, lt=2**63, description="Id of one delivery.")


class Decided(BaseModel):
    records: int = Field(description="How many are on their way now, or are not sent.")


class PreviewWish(Body):
    limit: int = Field(3, ge=1, le=100, description="Records at most.")


@dataclass(frozen=True)
class Connected(ConnectionView):
    """`generated`: secrets the hub made because they were not given (a webhook's). Shown this once."""

    generated: dict[str, str] = field(default_factory=dict)


class Connections(BaseModel):
    items: list[ConnectionView]
    next_cursor: str | None


class TestStep(BaseModel):
    """`ok` null: could not be proven without a side effect; `text` says so.

    `warning`: it works, and how is worth knowing (plain http); `ok` is null, too.
    """

    model_config = ConfigDict(from_attributes=True)
    name: str
    ok: bool | None
    text: str
    warning: bool


class TestResult(BaseModel):
    ok: bool
    steps: list[TestStep]


class PreviewedRequest(BaseModel):
    """One request as it would be sent; `body` to the byte, credentials masked in the rest."""

    model_config = ConfigDict(from_attributes=True)
    method: str
    url: str
    headers: dict[str, str]
    body: str
    keys: list[str]


class Preview(BaseModel):
    requests: list[PreviewedRequest]
