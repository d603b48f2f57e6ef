"""The one outgoing HTTP client: a 2xx answer, or one of the faults of `core.integrations.base`.

With a proxy, the proxy resolves the vendor's name, so private addresses behind a name cannot be seen from
here: what is checked is the proxy's own address, and addresses and names as they are written.
"""

import logging
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpcore
import httpx

from core.http import headers, status
from core.http.answer import Answer, Reply, read_answer
from core.http.egress import Egress, parse_target
from core.http.errors import DeliveryError, Misconfigured, Rejected, Unavailable
from core.http.exchanges import Exchange, exchange_of, is_sign_in
from core.http.redaction import Redaction
from core.http.tls import trust
from core.http.transport import CONNECT_S, Call, open_pool, running
from core.platform.secret import Secret

DEADLINE_S = 20.0
#: `extensions=READS_ONLY` on a POST that changes nothing (a token, a search) keeps it from being in doubt
READS_ONLY = {"reads_only": True}
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DROPPED_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding", "set-cookie"})


def _drop(record: logging.LogRecord) -> bool:
    """httpx logs every URL at INFO, and a webhook's URL is its secret; httpcore logs headers at DEBUG."""
    return False


for _name in ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy"):
    logging.getLogger(_name).addFilter(_drop)


@dataclass(frozen=True)
class Rules:
    """What a client may reach and whom it trusts. PEM as text; `proxy` as http://[user:password@]host:port.

    `own_url` is the hub's public address: a call to it would be a loop and is refused.
    """

    egress: Egress = field(default_factory=Egress)
    ca_bundle: str | None = None
    tls_fingerprint: str | None = None
    client_cert: str | None = None
    client_key: Secret | None = None
    proxy: str | None = None
    own_url: str = ""


class VendorClient(httpx.Client):
    """What a connector gets as `self.http`. No httpx error leaves it; what `before_call` raises does."""

    def __init__(
        self,
        *,
        vendor: str,
        rules: Rules,
        faults: status.Faults | None = None,
        secrets: Sequence[str] = (),
        pinned_hosts: Sequence[str] = (),
        before_call: Callable[[], None] | None = None,
        deadline_s: float | None = None,
    ) -> None:
        deadline_s = DEADLINE_S if deadline_s is None else deadline_s
        self.vendor = vendor
        self.exchanges: list[Exchange] = []
        self.last_call: Call | None = None  # and how far it came
        self.rules = rules
        self._pinned_hosts = tuple(pinned_hosts)
        self.before_call = before_call
        self._redaction = Redaction([*secrets, *_own_secrets(rules)])
        super().__init__(
            transport=self._open_transport(dict(faults or {}), deadline_s),
            trust_env=False,
            timeout=httpx.Timeout(deadline_s, connect=CONNECT_S),
            headers={"Accept-Encoding": "gzip", "User-Agent": "footprintiq-hub"},
        )

    @contextmanager
    def call(self, before: Callable[[], None]) -> Iterator[list[Exchange]]:
        """Run `before` ahead of each request inside; yields the list that each exchange is added to."""
        self.before_call, self.exchanges = before, []
        try:
            yield self.exchanges
        finally:
            self.before_call = None

    def redacted(self, text: str, chars: int) -> str:
        """The first `chars` characters of `text`, without this client's secrets in any of their spellings."""
        return self._redaction.excerpt(text, chars)

    def build_request(self, method: str, url: httpx.URL | str, **kwargs: Any) -> httpx.Request:
        """Raises Misconfigured for an address or header that cannot be sent, Rejected for such a body."""
        if isinstance(url, str) and not self.base_url.host:
            parse_target(url)
        try:
            self._refuse_headers(httpx.Headers(kwargs.get("headers")))
            return super().build_request(method, url, **kwargs)
        except httpx.InvalidURL:
            raise Misconfigured(
                f"{self.vendor}: the address is not a web address. Enter one like https://host/path."
            ) from None
        except UnicodeEncodeError as error:
            if error.encoding == "utf-8":
                raise Rejected(
                    "The record holds half a character (a lone surrogate). Correct its text."
                ) from None
            raise Misconfigured(
                f"{self.vendor}: a header holds a character outside ASCII. Check the fields.",
                stage="credentials",
            ) from None

    def _refuse_headers(self, given: httpx.Headers) -> None:
        refused = headers.refused(name.decode("latin-1") for name, _ in given.raw)
        if refused is not None:
            raise Misconfigured(
                f'{self.vendor}: the header "{refused}" is one that the hub sets itself. Choose another header name.'
            )

    def send(self, request: httpx.Request, **kwargs: Any) -> httpx.Response:
        """Whatever is asked for: no redirects, and the answer read whole."""
        if self.before_call:
            self.before_call()
        return super().send(
            request, auth=kwargs.get("auth", httpx.USE_CLIENT_DEFAULT), follow_redirects=False
        )

    def _open_transport(self, faults: status.Faults, deadline_s: float) -> httpx.BaseTransport:
        return _Transport(self, faults, deadline_s)


class Previewed(DeliveryError):
    """Raised by a Recorder in place of an answer."""


class Recorder(VendorClient):
    """Sends nothing: keeps each request as it would go out, and raises Previewed for it."""

    def __init__(self, **kwargs: Any) -> None:
        self.requests: list[httpx.Request] = []
        super().__init__(**{**kwargs, "before_call": None})

    def _open_transport(self, faults: status.Faults, deadline_s: float) -> httpx.BaseTransport:
        return httpx.MockTransport(self._record)

    def _record(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        raise Previewed(f"{self.vendor}: shown only, not sent.")


@dataclass
class _Trace:
    """What is known of a call while it runs."""

    began_at: float
    answer: Answer | None = None


class _Transport(httpx.BaseTransport):
    """Below httpx's authentication, so that requests are judged and recorded as they really go out."""

    def __init__(self, client: VendorClient, faults: status.Faults, deadline_s: float) -> None:
        self._client = client
        self._rules = client.rules
        self._faults = faults
        self._deadline_s = deadline_s
        self._pool: httpcore.ConnectionPool | None = None
        self._opening = threading.Lock()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self._client.last_call = call = self._prepare(request)
        trace = _Trace(time.monotonic())
        redaction = self._client._redaction.with_headers(request.headers)
        try:
            with running(call):
                trace.answer = self._call(call, request)
            return self._judge(call, request, trace.answer, redaction)
        except DeliveryError as fault:
            fault.said = redaction.clean(fault.said)
            fault.args = (fault.said,)
            raise
        finally:
            ms = round((time.monotonic() - trace.began_at) * 1000)
            self._client.exchanges.append(exchange_of(call, request, trace.answer, ms, redaction))

    def close(self) -> None:
        if self._pool:
            self._pool.close()

    def _prepare(self, request: httpx.Request) -> Call:
        rules = self._rules
        target = rules.egress.check_url(request.url, self._client._pinned_hosts, by_proxy=bool(rules.proxy))
        if rules.own_url:
            own = parse_target(rules.own_url)
            if (own.host, own.port) == (target.host, target.port):
                raise Misconfigured(
                    f"{self._client.vendor}: this is the hub's own address. Enter the receiver's."
                )
        request.read()
        tunnelled = bool(rules.proxy) and target.scheme == "https"
        return Call(self._client.vendor, target, time.monotonic() + self._deadline_s, tunnelled)

    def _pool_of_client(self) -> httpcore.ConnectionPool:
        """Opened at the first call, so that unreadable certificates are that call's fault."""
        rules = self._rules
        with self._opening:
            if self._pool is None:
                trusted = trust(rules.ca_bundle, rules.tls_fingerprint, rules.client_cert, rules.client_key)
                self._pool = open_pool(rules.egress, trusted, rules.proxy or None)
            return self._pool

    def _call(self, call: Call, request: httpx.Request) -> Answer:
        try:
            response = self._pool_of_client().handle_request(
                httpcore.Request(
                    method=request.method,
                    url=httpcore.URL(
                        scheme=request.url.raw_scheme,
                        host=request.url.raw_host,
                        port=request.url.port,
                        target=request.url.raw_path,
                    ),
                    headers=request.headers.raw,
                    content=request.content,
                    extensions={"timeout": {"pool": call.left_s(), "connect": CONNECT_S}},
                )
            )
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise self._silence(call, request, error) from None
        except (httpcore.ProxyError, Unavailable) as error:
            raise self._silence(call, request, error) from None
        return read_answer(response, self._deadline_s)

    def _silence(self, call: Call, request: httpx.Request, error: Exception) -> DeliveryError:
        return status.network_fault(call, error, _is_safe(request), self._deadline_s, self._hint(call, error))

    def _hint(self, call: Call, error: Exception) -> str:
        """TLS 1.3 shows a missing client certificate only as a connection that closes without a word."""
        if call.heard or isinstance(error, httpcore.TimeoutException):
            return ""
        if call.target.scheme == "http":
            return " If this port wants https://, correct the address."
        return "" if self._rules.client_cert else " If it wants a client certificate, enter one."

    def _judge(
        self, call: Call, request: httpx.Request, answer: Answer, redaction: Redaction
    ) -> httpx.Response:
        safe = _is_safe(request)
        if not 200 <= answer.status < 300:
            raise status.status_fault(call, answer, safe, self._faults, redaction)
        fault = status.answer_fault(
            call,
            answer,
            safe,
            wants_html="text/html" in request.headers.get("accept", ""),
            status_is_all=bool(request.extensions.get("status_is_all")),
        )
        if fault:
            if is_sign_in(request):  # the start of the answer may be the token
                raise fault
            fault.body = status.kept_body(answer, redaction)
            raise fault
        kept = [(k, v) for k, v in answer.headers.multi_items() if k.lower() not in _DROPPED_HEADERS]
        return Reply(answer.status, headers=kept, content=answer.content, request=request)


def _is_safe(request: httpx.Request) -> bool:
    return request.method.upper() in _SAFE_METHODS or bool(request.extensions.get("reads_only"))


def _own_secrets(rules: Rules) -> list[str]:
    key = [rules.client_key.reveal()] if rules.client_key else []
    password = re.search(r"//[^/]*?:([^/]+)@", rules.proxy or "")
    return [*key, password[1], unquote(password[1])] if password else key
