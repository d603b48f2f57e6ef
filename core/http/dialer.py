"""Lines for protocols that are not HTTP (mail): the same egress guard, deadline, TLS and records as HTTP has."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpcore
import httpx

from core.http.client import Previewed, Recorder, VendorClient
from core.http.egress import CallTarget
from core.http.errors import Unavailable
from core.http.exchanges import EXCERPT_CHARS, Exchange
from core.http.tls import trust
from core.http.transport import CONNECT_S, Call, Stream, connect, running

#: no mail server has more to say in one session; an endless answer ends here
MAX_HEARD_BYTES = 256 * 1024


class Dialer:
    """What a connector gets for mail, beside its HTTP client. One call at a time."""

    def __init__(self, client: VendorClient) -> None:
        self._client = client
        self._began_at = 0.0

    def dial(self, host: str, port: int, timeout_s: float, content: bytes, *, plain: bool) -> "MailLine":
        """A line that ends after `timeout_s` in all. A preview keeps `content` and raises instead.

        `plain`: nothing will be encrypted, so only an allow-listed address will do. Raises Unavailable or
        Misconfigured.
        """
        client, rules = self._client, self._client.rules
        if isinstance(client, Recorder):
            client.requests.append(httpx.Request("SMTP", f"smtp://{host}:{port}", content=content))
            raise Previewed(f"{client.vendor}: shown only, not sent.")
        if client.before_call:
            client.before_call()
        self._began_at = time.monotonic()
        call = Call(client.vendor, CallTarget("", host.lower().rstrip("."), port), self._began_at + timeout_s)
        trusted = trust(rules.ca_bundle, rules.tls_fingerprint, rules.client_cert, rules.client_key)
        excerpt = client.redacted(content.decode("utf-8", "replace"), EXCERPT_CHARS)
        client.last_call = call
        client.exchanges.append(
            Exchange("SMTP", f"{host}:{port}", None, 0, len(content), 0, excerpt, answer="")
        )
        try:
            addresses = rules.egress.mail_addresses(host, port, plain=plain)
            ends_at = min(call.ends_at, time.monotonic() + CONNECT_S)
            sock = connect(addresses, port, f"{host}:{port}", ends_at)
        except Unavailable as error:
            raise Unavailable(f"{client.vendor}: {error.message}.", "Nothing was sent.") from None
        call.connected = True
        return MailLine(Stream(sock, trusted), call)

    def heard(self, status: int | None, answer: str) -> str:
        """Keep what came back with the last line's record; returns it without secrets."""
        clean = self._client.redacted(answer, EXCERPT_CHARS)
        ms = round((time.monotonic() - self._began_at) * 1000)
        last = self._client.exchanges[-1]
        self._client.exchanges[-1] = replace(
            last, status=status, ms=ms, bytes_in=len(answer.encode("utf-8", "replace")), answer=clean
        )
        return clean


class MailLine:
    """A connection with the methods of a socket that `smtplib` uses. Its faults are OSErrors."""

    def __init__(self, stream: Stream, call: Call) -> None:
        self._stream = stream
        self._call = call
        self._heard_bytes = 0

    def sendall(self, data: bytes) -> None:
        with _as_os_errors(), running(self._call):
            self._stream.write(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Throwing it away leaves the line open, but with it goes what was read and not asked for."""
        return io.BufferedReader(_Reader(self))

    def read(self, max_bytes: int) -> bytes:
        with _as_os_errors(), running(self._call):
            data = self._stream.read(max_bytes)
        self._heard_bytes += len(data)
        if self._heard_bytes > MAX_HEARD_BYTES:
            raise ConnectionError("the answer does not end")
        return data

    def start_tls(self, host: str) -> None:
        """Encrypt from here on, as the connection's rules ask. Raises Misconfigured or Unavailable."""
        with running(self._call):
            try:
                self._stream = self._stream.start_tls(self._stream.trust.context, host)
            except Unavailable as error:
                vendor = self._call.vendor
                raise Unavailable(f"{vendor}: {error.message}.", "Nothing was sent.", stage="tls") from None

    def close(self) -> None:
        self._stream.close()


class _Reader(io.RawIOBase):
    def __init__(self, line: MailLine) -> None:
        self._line = line

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._line.read(min(len(buffer), 8192))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def _as_os_errors() -> Iterator[None]:
    try:
        yield
    except httpcore.TimeoutException:
        raise TimeoutError("no answer in time") from None
    except httpcore.NetworkError as error:
        raise ConnectionError(str(error)) from None
