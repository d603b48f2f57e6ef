"""Whose address a request has: the peer's, or behind proxies of ours what they say.

`X-Forwarded-For` is a header like any other: whoever asks can write it. It counts as far back as the one who wrote
each part of it is a proxy that HUB_TRUSTED_PROXIES names.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from core.platform.settings import Network

#: peers of which the log says that their word does not count; more would fill it
TOLD = 8
_SCHEMES = {"http": "ws", "https": "wss"}

log = structlog.get_logger("hub.web")


def address_of(request: HTTPConnection) -> str:
    return request.client.host if request.client else ""


def subscriber_of(request: HTTPConnection) -> str:
    return subscriber(address_of(request))


@lru_cache(4_096)
def subscriber(address: str) -> str:
    """Who has this address, where they are counted: of IPv6 one line is given 2**64 of them (RFC 6177)."""
    found = _address(address)
    return str(ipaddress.ip_network(f"{found}/64", strict=False)) if ":" in found else found or address


def believed(peer: str, forwarded: str, trusted: Sequence[Network]) -> str:
    """The address of whoever asks: from `peer` backwards, as long as the one who names the next is trusted."""
    for part in reversed(forwarded.split(",")):
        named = _address(part)
        if not is_trusted(peer, trusted) or not named:
            break
        peer = named
    return peer


def is_trusted(peer: str, trusted: Sequence[Network]) -> bool:
    address = _address(peer)
    return bool(address) and any(ipaddress.ip_address(address) in network for network in trusted)


def _address(text: str) -> str:
    """An address in one spelling, of `10.0.0.5`, `10.0.0.5:4711`, `[::1]:4711`, `::ffff:10.0.0.5`; else nothing."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return ""
    inner = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(inner or found)


class Proxies:
    """Puts the address and the scheme that a request really has into its scope. Outermost."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self.app, self.trusted = app, trusted
        self.told: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope.get("client"):
            self._believe(scope, Headers(scope=scope))
        await self.app(scope, receive, send)

    def _believe(self, scope: Scope, headers: Headers) -> None:
        peer = scope["client"][0]
        forwarded = ",".join(headers.getlist("x-forwarded-for"))
        if not is_trusted(peer, self.trusted):
            return self._tell(peer) if forwarded else None
        scope["client"] = (believed(peer, forwarded, self.trusted), 0)
        scheme = headers.get("x-forwarded-proto", "").strip()
        if scheme in _SCHEMES:
            scope["scheme"] = scheme if scope["type"] == "http" else _SCHEMES[scheme]
        return None

    def _tell(self, peer: str) -> None:
        """Once for each: an operator's own proxy is not named yet, or somebody tries to be another."""
        if peer not in self.told and len(self.told) < TOLD:
            self.told.add(peer)
            log.warning("X-Forwarded-For is not believed", peer=peer, trust_it_with="HUB_TRUSTED_PROXIES")
