"""An incident as others create it in ServiceNow."""

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    given = sandbox.credentials("servicenow")
    body = {"short_description": "Leaked", "correlation_id": KEY}
    auth = (given["username"], given["password"])
    return http.post(f"{given['url']}/api/now/table/incident", json=body, auth=auth)
