"""A connection row → its live connector: credentials opened, HTTP client with its TLS, proxy and egress."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson

from core.catalog import Manifest, secret_fields
from core.connectors import connector as connector_class
from core.connectors.base import Connector, Misconfigured, Tokens
from core.http import Dialer, Egress, Recorder, Rules, VendorClient
from core.models import Connection
from core.secret import Secret
from core.settings import settings
from core.tokens import Preview, Shelf
from core.vault import Ring, Unreadable

_TABLE, _COLUMN = "user_integrations", "credentials_encrypted"
#: fields every entry takes, handled here and not by the connector
TLS_FIELDS = ("ca_bundle", "tls_fingerprint", "proxy", "client_cert", "client_key")


@dataclass(frozen=True)
class Live:
    connector: Connector
    client: VendorClient


class _Tools(Dialer):
    def __init__(self, client: VendorClient, tokens: Tokens) -> None:
        super().__init__(client)
        self.tokens = tokens

    def now(self) -> datetime:
        return datetime.now(UTC)


#: this process's access tokens, for as long as it lives
_SHELF = Shelf()


@cache
def ring() -> Ring:
    """This process's key ring. Raises Unusable when there is none."""
    return Ring.load(settings())


def seal(secrets: Mapping[str, str], connection_id: str, owner: str) -> str | None:
    """Secret config fields → what the row keeps; bound to this row and owner."""
    if not secrets:
        return None
    plain = orjson.dumps(dict(secrets)).decode()
    return ring().seal(plain, table=_TABLE, row=connection_id, column=_COLUMN, owner=owner)


def unseal(connection: Connection) -> dict[str, str]:
    """The row's secrets. Raises Misconfigured: a person must enter them again."""
    if not connection.credentials_encrypted:
        return {}
    try:
        plain = ring().open(
            connection.credentials_encrypted,
            table=_TABLE,
            row=connection.id,
            column=_COLUMN,
            owner=connection.user_id,
        )
    except Unreadable as error:
        raise Misconfigured(
            f'The stored credentials of "{connection.name}" cannot be read ({error.message}) '
            "Enter them again, or start the hub with the key they were sealed with."
        ) from None
    opened: dict[str, str] = orjson.loads(plain)
    return opened


def values(connection: Connection) -> dict[str, Any]:
    """The connection's whole config, secrets as plain strings. Raises Misconfigured as `unseal` does."""
    return {**connection.config, **unseal(connection)}


@contextmanager
def live(
    manifest: Manifest, values: Mapping[str, Any], before_call: Callable[[], None] | None = None
) -> Iterator[Live]:
    """The connector over real HTTP. `values` is the whole config, secrets as plain strings."""
    client = VendorClient(before_call=before_call, **_client_arguments(manifest, values))
    with client:
        yield Live(_build(manifest, values, client, _SHELF.of(manifest.slug, values)), client)


@contextmanager
def recorded(manifest: Manifest, values: Mapping[str, Any]) -> Iterator[tuple[Connector, Recorder]]:
    """The same connector, but nothing is sent: each request is kept and raises Previewed."""
    client = Recorder(**_client_arguments(manifest, values))
    with client:
        yield _build(manifest, values, client, Preview()), client


def _client_arguments(manifest: Manifest, values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "vendor": manifest.name,
        "rules": rules(values),
        "faults": connector_class(manifest.connector).faults,
        "secrets": [str(values[name]) for name in secret_fields(manifest) if values.get(name)],
        "pinned_hosts": manifest.pinned_hosts,
    }


def rules(values: Mapping[str, Any]) -> Rules:
    """The TLS, proxy and egress rules of one connection."""
    own = settings()
    bundle = values.get("ca_bundle") or (own.ca_bundle.read_text() if own.ca_bundle else None)
    key = values.get("client_key")
    return Rules(
        egress=egress(),
        own_url=own.public_url,
        ca_bundle=bundle,
        tls_fingerprint=values.get("tls_fingerprint"),
        client_cert=values.get("client_cert"),
        client_key=Secret(key) if key else None,
        proxy=values.get("proxy") or own.proxy,
    )


def egress() -> Egress:
    return Egress.parse(settings().egress_allow)


def _build(manifest: Manifest, values: Mapping[str, Any], client: VendorClient, tokens: Tokens) -> Connector:
    made = connector_class(manifest.connector)
    secret = secret_fields(manifest)
    known = {field.name for field in fields(made.Config)}
    given = {
        name: Secret(value) if name in secret and value is not None else value
        for name, value in values.items()
        if name in known
    }
    return made(made.Config(**given), client, _Tools(client, tokens))
