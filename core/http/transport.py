"""The sockets under the client: checked addresses, one deadline for a whole call, TLS as the rules ask.

`httpcore` speaks HTTP/1.1 and pools connections; everything that touches the network is here. Its own
timeouts are per read, so one byte each 0.3 s would never end: each socket operation is clamped to what is
left of the call.
"""

import select
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn

import httpcore
import httpx

from core.http import tls
from core.http.egress import CallTarget, Egress
from core.http.errors import Misconfigured, Unavailable
from core.http.networks import Address

CONNECT_S = 5.0
#: a server's keep-alive is rarely shorter than 15 s, and a call on a connection just closed there is in doubt
KEEP_ALIVE_S = 10.0


@dataclass
class Call:
    """One request on its way: what is left of its time, and how far it came."""

    vendor: str
    target: CallTarget
    ends_at: float  # time.monotonic()
    tunnelled: bool = False
    connected: bool = False  # the vendor took the connection, and TLS began
    sent: bool = False  # a byte of the request may have reached the vendor
    heard: bool = False  # a byte of the answer came back

    def left_s(self, at_most: float | None = None) -> float:
        """Seconds a socket operation may take; 0 when the call's time is over."""
        left = max(0.0, self.ends_at - time.monotonic())
        return left if at_most is None else min(left, at_most)


_call: ContextVar[Call] = ContextVar("call")


@contextmanager
def running(call: Call) -> Iterator[Call]:
    """The streams below learn through this which call they work for: pooled ones serve many."""
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)


class Stream(httpcore.NetworkStream):
    """A socket whose every operation ends with the call."""

    def __init__(self, sock: socket.socket, trust: tls.Trust) -> None:
        self._sock = sock
        self.trust = trust

    @property
    def _is_secure(self) -> bool:
        return isinstance(self._sock, ssl.SSLSocket)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = _call.get()
        try:
            self._wait_at_most(call, timeout, httpcore.ReadTimeout)
            data = self._sock.recv(max_bytes)
        except TimeoutError:
            raise httpcore.ReadTimeout("no answer in time") from None
        except OSError as error:
            self._refuse_alert(call, error)
            raise httpcore.ReadError(_reason(error)) from None
        if not self._is_secure and not call.heard and data[:2] == b"\x15\x03":  # a TLS alert record
            raise Misconfigured(
                f"{call.vendor}: {call.target.host}:{call.target.port} speaks TLS. Enter the address with https://.",
                stage="tls",
            )
        call.heard = call.heard or bool(data and self._reaches_vendor(call))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        call = _call.get()
        rest = memoryview(buffer)
        try:
            while rest:
                self._wait_at_most(call, timeout, httpcore.WriteTimeout)
                call.sent = call.sent or self._reaches_vendor(call)
                rest = rest[self._sock.send(rest) :]
        except TimeoutError:
            raise httpcore.WriteTimeout("not taken in time") from None
        except OSError as error:
            self._refuse_alert(call, error)
            raise httpcore.WriteError(_reason(error)) from None

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> "Stream":
        call = _call.get()
        host = (server_hostname or call.target.host).rstrip(".")
        call.connected = True
        try:
            self._wait_at_most(call, timeout, httpcore.ConnectTimeout)
            secure = ssl_context.wrap_socket(self._sock, server_hostname=host)
            self.trust.check_pin(secure, call.vendor)
        except Misconfigured:
            secure.close()
            raise
        except (OSError, httpcore.ConnectTimeout) as error:
            self.close()
            _refuse_handshake(call, error)
        return Stream(secure, self.trust)

    def close(self) -> None:
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._sock if self._is_secure else None
        if info == "is_readable":
            return _is_readable(self._sock)
        return self._sock if info == "socket" else None

    def _reaches_vendor(self, call: Call) -> bool:
        """What is said to a proxy before TLS (CONNECT) has not reached the vendor."""
        return self._is_secure or not call.tunnelled

    def _wait_at_most(self, call: Call, timeout: float | None, over: type[Exception]) -> None:
        left_s = call.left_s(timeout)
        if left_s <= 0:
            raise over("the call's time is over")
        self._sock.settimeout(left_s)

    def _refuse_alert(self, call: Call, error: OSError) -> None:
        """With TLS 1.3 a refused client certificate shows only after the handshake, at the first read."""
        if isinstance(error, ssl.SSLError) and not call.heard and "ALERT" in (error.reason or ""):
            raise Misconfigured(tls.refusal(error, call.vendor, call.target.host), stage="tls") from None


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections to checked addresses only; with a proxy, the proxy's own is what is checked."""

    def __init__(self, egress: Egress, trust: tls.Trust, by_proxy: bool) -> None:
        self._egress = egress
        self._trust = trust
        self._by_proxy = by_proxy

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        call = _call.get()
        where = f"{host}:{port}"
        ends_at = time.monotonic() + call.left_s(CONNECT_S)
        addresses = self._addresses(call, host, port)
        return Stream(connect(addresses, port, where, ends_at), self._trust)

    def _addresses(self, call: Call, host: str, port: int) -> list[Address]:
        if self._by_proxy:
            return self._egress.resolve(host, port)
        return self._egress.addresses(call.target, timeout_s=call.left_s(CONNECT_S))


def open_pool(egress: Egress, trust: tls.Trust, proxy: str | None) -> httpcore.ConnectionPool:
    """The connections of one client. Raises Misconfigured for a proxy address that cannot be used."""
    backend = GuardedBackend(egress, trust, by_proxy=proxy is not None)
    if proxy is None:
        return httpcore.ConnectionPool(
            ssl_context=trust.context, network_backend=backend, keepalive_expiry=KEEP_ALIVE_S
        )
    url = _proxy_url(proxy)
    auth = (url.username, url.password) if url.userinfo else None
    return httpcore.HTTPProxy(
        proxy_url=httpcore.URL(scheme=b"http", host=url.raw_host, port=url.port or 80, target=b"/"),
        proxy_auth=auth,
        ssl_context=trust.context,
        network_backend=backend,
        keepalive_expiry=KEEP_ALIVE_S,
    )


def _proxy_url(proxy: str) -> httpx.URL:
    try:
        url = httpx.URL(proxy)
    except httpx.InvalidURL:
        url = httpx.URL("")
    # TLS to the proxy would mean TLS inside TLS, which the ssl module has no socket for.
    if url.scheme != "http" or not url.host:
        raise Misconfigured(
            "The proxy's address cannot be used. Enter it as http://host:port; calls to https:// addresses "
            "stay encrypted through it."
        )
    return url


def connect(addresses: list[Address], port: int, where: str, ends_at: float) -> socket.socket:
    """The first address that answers; each gets an equal share of the time left. Raises Unavailable."""
    words = f"no answer from {where}"
    for index, address in enumerate(addresses):
        share_s = max(0.01, (ends_at - time.monotonic()) / (len(addresses) - index))
        sock = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_STREAM)
        try:
            sock.settimeout(share_s)
            sock.connect((str(address), port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            words = _unreached(error, where)
        else:
            return sock
    raise Unavailable(words)


def _unreached(error: OSError, where: str) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"nobody listens on {where}"
    if isinstance(error, TimeoutError):
        return f"no answer from {where} within {CONNECT_S:g} s"
    return f"{where} cannot be reached ({_reason(error)})"


def _refuse_handshake(call: Call, error: Exception) -> NoReturn:
    where = f"{call.target.host}:{call.target.port}"
    if isinstance(error, TimeoutError | httpcore.ConnectTimeout):
        raise Unavailable(f"no answer from {where} to the TLS handshake", stage="tls") from None
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        raise Misconfigured(tls.refusal(error, call.vendor, call.target.host), stage="tls") from None
    raise Unavailable(f"{where} closed the connection during the TLS handshake", stage="tls") from None


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _is_readable(sock: socket.socket) -> bool:
    """httpcore asks this of an idle connection: readable means the other side has closed it."""
    if sock.fileno() < 0:
        return True
    asked = select.poll()  # no file of its own, as a selector would open: it is asked before each call
    asked.register(sock, select.POLLIN)
    return bool(asked.poll(0))
