"""An event as others send it to QRadar."""

import httpx

from sandbox import Sandbox
from tests.sandbox.support import KEY


def send(sandbox: Sandbox, http: httpx.Client) -> httpx.Response:
    given = sandbox.credentials("qradar")
    headers = {"Content-Type": "application/json", "Authorization": given["auth_value"]}
    line = f'{{"type":"t","id":"{KEY}","devTime":1795341600123,"severity":8}}\n'
    return http.post(given["url"], headers=headers, content=line)
