"""A ticket as others create it in Zendesk."""

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    """Without an idempotency key, so that a second one is a second ticket."""
    given = sandbox.credentials("zendesk")
    body = {"ticket": {"subject": "Leaked", "comment": {"body": "x"}, "external_id": KEY}}
    auth = (f"{given['email']}/token", given["api_token"])
    return http.post(f"{given['url']}/api/v2/tickets", json=body, auth=auth)
