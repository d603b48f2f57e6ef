"""Every route of the OpenAPI document, asked with what schemathesis makes up: no 5xx, no status that is not said."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from core.web.api import create_api
from tests.support.api_client import Api, api, on_sqlite
from tests.support.workplace import sandbox, workplace

__all__ = ["api", "on_sqlite", "sandbox", "workplace"]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 8  # for each route, and as many again for a connection and a delivery that exist


schema = schemathesis.openapi.from_dict(create_api().openapi())


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_whatever_is_sent_the_answer_is_one_that_is_documented(case: Any, api: Api) -> None:
    token = {"Authorization": api.a.headers["Authorization"]}
    case.call_and_validate(base_url=api.url, headers=token, checks=CHECKS)
    if "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = real(api, case.path)
        case.call_and_validate(base_url=api.url, headers=token, checks=CHECKS)


def real(api: Api, path: str) -> Any:
    """The id of a connection or a delivery of A's, made where the last example deleted it."""
    found = api.a.get("/api/v1/connections").json()["items"]
    id = found[0]["id"] if found else api.connect()
    if "/deliveries/" not in path:
        return id
    if not api.a.get("/api/v1/deliveries").json()["items"]:
        api.workplace.scans(1)
        api.sync(id)
    return api.a.get("/api/v1/deliveries").json()["items"][0]["id"]
