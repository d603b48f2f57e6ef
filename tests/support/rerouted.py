"""Clients that others wrote insist on https and on their vendor's names; this leads them to a stand-in."""

from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter


class Rerouted(HTTPAdapter):
    """Requests to one address go to another."""

    def __init__(self, base: str) -> None:
        super().__init__()
        self.base = base
        self.named = ""

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:  # type: ignore[override]
        asked = str(request.url)
        request.url = asked.replace(self.named, self.base, 1)
        response = super().send(request, **kwargs | {"proxies": {}})
        request.url = response.url = asked
        return response


def session(named: str, base: str) -> Session:
    """A session whose requests to `named` go to `base`."""
    made, adapter = Session(), Rerouted(base)
    made.trust_env = False
    adapter.named = named
    made.mount(named, adapter)
    return made
