"""Build a connector with its HTTP client: TLS, proxy, egress rules, access tokens."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from core.http import Dialer, Egress, Recorder, Rules, VendorClient
from core.integrations import Manifest, secret_fields
from core.integrations.base import Connector, Tokens
from core.integrations.registry import connector as connector_class
from core.integrations.token_cache import NoTokens, TokenCache
from core.platform.secret import Secret
from core.platform.settings import settings

#: fields every entry takes, handled here and not by the connector
TLS_FIELDS = ("ca_bundle", "tls_fingerprint", "proxy", "client_cert", "client_key")


@dataclass
class Live:
    """An open connector. `another` opens the same one again, for a call beside this one's."""

    connector: Connector
    client: VendorClient
    another: "Callable[[], Live] | None" = None
    _others: "list[Live]" = field(default_factory=list)

    def lanes(self, number: int) -> "list[Live]":
        """This one and others, each with a client of its own: what one thread may use."""
        while self.another and len(self._others) < number - 1:
            self._others.append(self.another())
        return [self, *self._others[: number - 1]]


class _Tools(Dialer):
    def __init__(self, client: VendorClient, tokens: Tokens) -> None:
        super().__init__(client)
        self.tokens = tokens

    def now(self) -> datetime:
        return datetime.now(UTC)


#: this process's access tokens, for as long as it lives
_TOKENS = TokenCache()


@contextmanager
def live(
    manifest: Manifest, values: Mapping[str, Any], before_call: Callable[[], None] | None = None
) -> Iterator[Live]:
    """Open the connector over real HTTP. `values` is the whole config, secrets as plain strings."""
    with ExitStack() as stack:

        def opened() -> Live:
            client = stack.enter_context(
                VendorClient(before_call=before_call, **_client_arguments(manifest, values))
            )
            return Live(_build(manifest, values, client, _TOKENS.of(manifest.slug, values)), client)

        first = opened()
        first.another = opened
        yield first


@contextmanager
def recorded(manifest: Manifest, values: Mapping[str, Any]) -> Iterator[tuple[Connector, Recorder]]:
    """Open the same connector, but send nothing: each request is kept and raises Previewed."""
    client = Recorder(**_client_arguments(manifest, values))
    with client:
        yield _build(manifest, values, client, NoTokens()), client


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
